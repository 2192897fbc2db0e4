//! SUBSCRIBE: each filter is judged by itself; and the same judgement again when permissions change.

use std::sync::Arc;

use access::{Permissions, SubscribePermit, SubscribeRequest};
use codec::{
    Packet, PacketType, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscriptionRequest,
};
use session::Subscription;
use telemetry::events::SubscribeDenied;

use crate::{
    broker::Core, close::Close, connection::Connection, retained::RetainedCursor,
    router::Subscriber, sessions::SessionHandle,
};

impl Connection {
    /// The story of a SUBSCRIBE.
    pub(crate) fn handle_subscribe(&mut self, subscribe: Subscribe) -> Result<(), Close> {
        self.counts.packet(PacketType::Subscribe);
        let identifier = subscribe.subscription_identifier;
        // What no session could hold is not even looked at: a packet has room for more than 200,000 filters.
        let most = self.core.live.load().limits.sizes.subscriptions_per_client;
        let requests = subscribe.requests.into_iter().enumerate();
        let reason_codes = requests
            .map(|(place, request)| {
                if place >= most {
                    return ReasonCode::QuotaExceeded;
                }
                self.subscribe(request, identifier).unwrap_or_else(|code| code)
            })
            .collect();
        let suback = SubAck {
            packet_id: subscribe.packet_id,
            reason_string: None,
            user_properties: Vec::new(),
            reason_codes,
        };
        Packet::SubAck(suback).encode(self.version, &mut self.output);
        Ok(())
    }

    /// One filter; the code for SUBACK either way.
    fn subscribe(
        &self,
        request: SubscriptionRequest,
        identifier: Option<u32>,
    ) -> Result<ReasonCode, ReasonCode> {
        let SubscriptionRequest { filter, options } = request;
        let filter = filter.map_err(|_| ReasonCode::TopicFilterInvalid)?;
        let text = filter.to_string();
        let live = self.core.live.load();
        live.limits.sizes.check_filter(&text).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        let asked = SubscribeRequest { filter: &filter, qos: options.maximum_qos };
        let permissions = self.authenticated.permissions();
        let permit = permissions.permit_subscribe(asked).map_err(|denied| {
            SubscribeDenied { client_id: &self.handle.client_id, filter: &text, cause: &denied }
                .emit(&self.core.metrics);
            ReasonCode::NotAuthorized
        })?;
        let subscription = Subscription { filter, options, identifier };
        let is_new = self.keep(&subscription, &live.limits.sizes)?;
        self.core.router.subscribe(subscriber(&self.handle, &subscription, permissions, permit));
        self.schedule_retained(subscription, permit, is_new);
        Ok(granted(options.maximum_qos))
    }

    /// Notes the subscription in the session, within its limits; `true` = it did not exist.
    fn keep(&self, subscription: &Subscription, sizes: &limits::Sizes) -> Result<bool, ReasonCode> {
        let mut state = self.handle.state.lock();
        let subscriptions = &mut state.session.subscriptions;
        let is_new = subscriptions.get(&subscription.filter).is_none();
        let wildcard = subscription.filter.filter.has_wildcard();
        let full = subscriptions.len() >= sizes.subscriptions_per_client;
        let wildcards_full =
            wildcard && subscriptions.wildcards() >= sizes.wildcard_subscriptions_per_client;
        if is_new && (full || wildcards_full) {
            return Err(ReasonCode::QuotaExceeded);
        }
        subscriptions.insert(subscription.clone());
        Ok(is_new)
    }

    /// Retained messages for the subscription [MQTT-3.3.1-9 to 11]; none for a shared one.
    fn schedule_retained(&self, subscription: Subscription, permit: SubscribePermit, is_new: bool) {
        let Subscription { filter, options, identifier } = subscription;
        let wanted = match options.retain_handling {
            RetainHandling::SendAtSubscribe => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        if wanted && filter.share.is_none() {
            let guarded = permit.check_each_delivery;
            let mut state = self.handle.state.lock();
            state.retained.retain(|cursor| cursor.filter != filter);
            state.retained.push(RetainedCursor::new(filter, options, identifier, guarded));
        }
    }
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

fn subscriber(
    handle: &Arc<SessionHandle>,
    subscription: &Subscription,
    permissions: &Arc<Permissions>,
    permit: SubscribePermit,
) -> Subscriber {
    Subscriber {
        handle: Arc::clone(handle),
        subscription: Arc::new(subscription.clone()),
        guard: permit.check_each_delivery.then(|| Arc::clone(permissions)),
    }
}

/// Judges all subscriptions of a session by new permissions: what is no longer permitted stops flowing, what is permitted
/// again flows again. A refused subscription stays part of the session, so that a passing failure of a plugin does
/// not lose it. Messages that wait and may no longer be delivered are dropped.
pub(crate) fn judge_again(
    core: &Core,
    handle: &Arc<SessionHandle>,
    permissions: &Arc<Permissions>,
) {
    let subscriptions: Vec<Subscription> = {
        let state = handle.state.lock();
        state.session.subscriptions.iter().cloned().collect()
    };
    let mut flowing = Vec::with_capacity(subscriptions.len());
    let mut unlimited = true;
    for subscription in subscriptions {
        let qos = subscription.options.maximum_qos;
        let asked = SubscribeRequest { filter: &subscription.filter, qos };
        match permissions.permit_subscribe(asked) {
            Ok(permit) => {
                unlimited &= !permit.check_each_delivery;
                core.router.subscribe(subscriber(handle, &subscription, permissions, permit));
                flowing.push(subscription);
            }
            Err(_) => {
                unlimited = false;
                core.router.unsubscribe(handle.id, &subscription.filter);
            }
        }
    }
    if unlimited {
        return;
    }
    let permitted = |message: &session::Message| {
        let topic = message.topic().as_str();
        flowing.iter().any(|subscription| {
            let (filter, qos) = (&subscription.filter, subscription.options.maximum_qos);
            filter.filter.matches(topic)
                && permissions.permit_delivery(topic, SubscribeRequest { filter, qos })
        })
    };
    let mut state = handle.state.lock();
    let dropped = state.session.retain_messages(permitted);
    state.retained.retain(|cursor| flowing.iter().any(|s| s.filter == cursor.filter));
    for cursor in &mut state.retained {
        // Asked at each message from now on: the permissions that made the cursor are gone.
        cursor.guarded = true;
    }
    drop(state);
    let reason = "no_longer_permitted";
    telemetry::events::MessageDropped { reason, count: dropped as u64 }.emit(&core.metrics);
}
