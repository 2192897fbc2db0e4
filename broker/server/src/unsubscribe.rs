//! UNSUBSCRIBE.

use std::sync::Arc;

use access::{Event, EventKinds};
use codec::{Packet, PacketType, ReasonCode, UnsubAck, Unsubscribe};
use store::Ticket;
use topic::SubscriptionFilter;

use crate::{
    broker::Core, close::Close, connection::Connection, sessions::SessionHandle,
    subscribe::check_filters,
};

impl Connection {
    /// The story of an UNSUBSCRIBE: no permission is needed to want less.
    pub(crate) fn handle_unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> Result<(), Close> {
        self.counts.packet(PacketType::Unsubscribe);
        check_filters(unsubscribe.filters.iter())?;
        self.check_answer(unsubscribe.filters.len())?;
        let handle = Arc::clone(&self.handle);
        let routing = handle.routing.lock();
        drop(self.own()?);
        let mut ticket = None;
        let reason_codes = unsubscribe
            .filters
            .iter()
            .map(|filter| match filter {
                Ok(filter) => self.unsubscribe(filter, &mut ticket),
                Err(_) => ReasonCode::TopicFilterInvalid,
            })
            .collect();
        drop(routing);
        let unsuback = UnsubAck {
            packet_id: unsubscribe.packet_id,
            reason_string: None,
            user_properties: Vec::new(),
            reason_codes,
        };
        let version = self.version;
        self.answer(ticket, |out| Packet::UnsubAck(unsuback).encode(version, out));
        Ok(())
    }

    fn unsubscribe(&self, filter: &SubscriptionFilter, ticket: &mut Option<Ticket>) -> ReasonCode {
        let (removed, written) = remove(&self.core, &self.handle, filter);
        *ticket = (*ticket).max(written);
        if !removed {
            return ReasonCode::NoSubscriptionExisted;
        }
        let event = || Event::Unsubscribed(self.who(), filter.to_string());
        self.core.gate.tell(EventKinds::UNSUBSCRIBED, event);
        ReasonCode::Success
    }
}

/// Takes a subscription out of a session and the router; whether there was one, and what says when that is durable. The
/// session's routing is locked.
pub(crate) fn remove(
    core: &Core,
    handle: &SessionHandle,
    filter: &SubscriptionFilter,
) -> (bool, Option<Ticket>) {
    let removed = {
        let mut state = handle.state.lock();
        state.retained.forget(filter);
        state.session.subscriptions.remove(filter)
    };
    let kept = handle.key.zip(core.store());
    if removed.is_none() {
        // The connection that had the session before may have removed it a moment ago.
        return (false, kept.map(|(_, store)| store.latest()));
    }
    core.router.unsubscribe(handle.id, filter);
    (true, kept.map(|(key, store)| store.remove_subscription(key, filter.to_string())))
}
