//! SUBSCRIBE: each filter is judged by itself; and the same judgement again when permissions change.

use std::{num::NonZero, sync::Arc, time::Instant};

use access::{About, Event, EventKinds, Permissions, SubscribePermit, SubscribeRequest};
use codec::{
    Packet, PacketType, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscriptionRequest,
};
use session::Subscription;
use store::Ticket;
use telemetry::events::SubscribeDenied;
use topic::{SubscriptionFilter, TopicFilter};

use crate::{
    broker::Core,
    close::Close,
    config::LiveConfig,
    connection::Connection,
    remember::kept_subscription,
    retained::RetainedCursor,
    router::Subscriber,
    sessions::{SessionHandle, State},
    shown::why,
};

impl Connection {
    /// The story of a SUBSCRIBE.
    pub(crate) fn handle_subscribe(&mut self, subscribe: Subscribe) -> Result<(), Close> {
        check_filters(subscribe.requests.iter().map(|request| &request.filter))?;
        self.check_answer(subscribe.requests.len())?;
        let most = self.core.live.load().subscriptions(&self.authenticated.identity().limits);
        let claimable = subscribe.requests.iter().take(most).filter_map(|request| {
            let filter = request.filter.as_ref().ok()?;
            Some((filter.clone(), request.options.maximum_qos))
        });
        if !self.ask_about_filters(claimable) {
            return Ok(());
        }
        self.counts.packet(PacketType::Subscribe);
        let handle = Arc::clone(&self.handle);
        let routing = handle.routing.lock();
        drop(self.own()?);
        let identifier = subscribe.subscription_identifier;
        // What no session could hold is not even looked at: a packet has room for more than 200,000 filters.
        let mut ticket = None;
        let requests = subscribe.requests.into_iter().enumerate();
        let reason_codes = requests
            .map(|(place, request)| {
                let qos = request.options.maximum_qos;
                let code = match place < most {
                    true => {
                        self.subscribe(request, identifier, &mut ticket).unwrap_or_else(|code| code)
                    }
                    false => ReasonCode::QuotaExceeded,
                };
                // MQTT 3.1 has no code for a failure: it is answered as granted, and gets nothing.
                if self.mqtt_3_1 { granted(qos) } else { code }
            })
            .collect();
        drop(routing);
        let suback = SubAck {
            packet_id: subscribe.packet_id,
            reason_string: None,
            user_properties: Vec::new(),
            reason_codes,
        };
        let version = self.version;
        self.answer(ticket, |out| Packet::SubAck(suback).encode(version, out));
        Ok(())
    }

    /// One filter; the code for SUBACK either way. `ticket`: of what was written down.
    fn subscribe(
        &mut self,
        request: SubscriptionRequest,
        identifier: Option<u32>,
        ticket: &mut Option<Ticket>,
    ) -> Result<ReasonCode, ReasonCode> {
        let SubscriptionRequest { filter, options } = request;
        let filter = filter.map_err(|_| ReasonCode::TopicFilterInvalid)?;
        let text = filter.to_string();
        let live = self.core.live.load();
        live.limits.sizes.check_filter(&text).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        let asked = SubscribeRequest { filter: &filter, qos: options.maximum_qos };
        let permissions = &Arc::clone(self.authenticated.permissions());
        let permit = permissions.permit_subscribe(asked).map_err(|denied| {
            let (decision, _) = self.note_denied(&text, Instant::now(), |client| {
                let gate = &client.core.gate;
                let about = About::Subscribe { filter: text.clone(), qos: asked.qos };
                let said = (Some(&denied), permissions.explain_subscribe(asked));
                let (making, at_unix) = (gate.making(), client.core.now_unix());
                gate.note_operation(&making, &client.authenticated, about, said, at_unix);
                making.id()
            });
            let (client, denied_why) = (self.shown(), why(&denied, &decision));
            SubscribeDenied { client, filter: &text, denied: denied_why }.emit(&self.core.metrics);
            denied.reason_code()
        })?;
        let since_unix = since(self.core.now_unix());
        let mut subscription = Subscription { filter, options, identifier, since_unix };
        let kept = self.handle.key.zip(self.core.store());
        if kept.is_some_and(|(_, store)| store.check().is_err()) {
            return Err(ReasonCode::QuotaExceeded);
        }
        let most = live.subscriptions(&self.authenticated.identity().limits);
        let is_new = keep(&self.handle, &mut subscription, (most, &live))
            .map_err(|NotKept| ReasonCode::QuotaExceeded)?;
        self.core.router.subscribe(subscriber(&self.handle, &subscription, permissions, permit));
        self.core.gate.tell(EventKinds::SUBSCRIBED, || {
            Event::Subscribed(self.who(), text, options.maximum_qos)
        });
        // What is retained later comes by the router.
        let cursor = retained_due(&self.core, &subscription, permit, is_new);
        let mut state = self.handle.state.lock();
        state.retained.extend(cursor);
        if let Some((key, store)) = kept {
            let due = state.retained.promises(&subscription.filter);
            *ticket = Some(store.put_subscription(key, kept_subscription(&subscription, due)));
        }
        Ok(granted(options.maximum_qos))
    }
}

/// A moment as subscriptions have it.
pub(crate) fn since(unix: u64) -> Option<NonZero<u32>> {
    u32::try_from(unix).ok().and_then(NonZero::new)
}

/// The client has as many subscriptions as it may.
pub(crate) struct NotKept;

/// Notes the subscription in the session, `most` in all; `true` = it did not exist. One that did is replaced, and exists
/// as long as before.
pub(crate) fn keep(
    handle: &SessionHandle,
    subscription: &mut Subscription,
    (most, live): (usize, &LiveConfig),
) -> Result<bool, NotKept> {
    let mut state = handle.state.lock();
    let subscriptions = &mut state.session.subscriptions;
    let existing = subscriptions.get(&subscription.filter);
    let is_new = existing.is_none();
    subscription.since_unix = existing.map_or(subscription.since_unix, |it| it.since_unix);
    let wildcard = subscription.filter.filter.has_wildcard();
    let full = subscriptions.len() >= most;
    let wildcards_max = live.limits.sizes.wildcard_subscriptions_per_client;
    let wildcards_full = wildcard && subscriptions.wildcards() >= wildcards_max;
    if is_new && (full || wildcards_full) {
        return Err(NotKept);
    }
    subscriptions.insert(subscription.clone());
    Ok(is_new)
}

/// Retained messages for the subscription [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]; none for a shared one.
pub(crate) fn retained_due(
    core: &Core,
    subscription: &Subscription,
    permit: SubscribePermit,
    is_new: bool,
) -> Option<RetainedCursor> {
    let wanted = match subscription.options.retain_handling {
        RetainHandling::SendAtSubscribe => true,
        RetainHandling::SendIfNew => is_new,
        RetainHandling::DoNotSend => false,
    };
    let cursor = RetainedCursor::new(subscription, permit.check_each_delivery);
    let wanted = wanted && subscription.filter.share.is_none();
    Some(cursor).filter(|cursor| wanted && core.retained.has_any(cursor))
}

/// A filter that breaks the rules of filters ends the connection: 3.1.1 [MQTT-4.8.0-1], 5.0 [MQTT-4.13.1-1]. That one
/// is not permitted or too long is said in the answer.
pub(crate) fn check_filters<'a>(
    mut filters: impl Iterator<Item = &'a Result<SubscriptionFilter, String>>,
) -> Result<(), Close> {
    match filters.any(Result::is_err) {
        true => Err(Close::Protocol(ReasonCode::TopicFilterInvalid, "not a topic filter")),
        false => Ok(()),
    }
}

fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

pub(crate) fn subscriber(
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

/// Judges all subscriptions of a session, and the messages that wait for it, by the permissions that
/// it has now: what is no longer permitted stops flowing, what is permitted again flows again. A
/// refused subscription stays part of the session, so that a passing failure of a plugin does not
/// lose it.
pub(crate) fn judge_again(core: &Core, handle: &Arc<SessionHandle>) {
    let _routing = handle.routing.lock();
    let judged = Judged::route(core, handle);
    let mut state = handle.state.lock();
    let state = &mut *state;
    if judged.is_narrow() {
        state.session.take_back_output();
    }
    let dropped = if state.session.has_waiting() {
        state.session.retain_messages(|message| judged.permits(message))
    } else {
        0
    };
    // Asked at each message from now on: the permissions that made the cursors are gone.
    state.retained.guard(|filter| judged.flows(filter));
    let expired = state.session.pump(Instant::now());
    state.settle(core.store(), handle.key);
    for (reason, count) in [("no_longer_permitted", dropped), ("expired", expired)] {
        telemetry::events::MessageDropped { reason, count: count as u64 }.emit(&core.metrics);
    }
}

/// As [`judge_again`], but what waits is left alone.
pub(crate) fn stop_routing(core: &Core, handle: &Arc<SessionHandle>) {
    let _routing = handle.routing.lock();
    Judged::route(core, handle);
}

/// The subscriptions of a session by its permissions.
pub(crate) struct Judged {
    permissions: Arc<Permissions>,
    flowing: Vec<(Subscription, SubscribePermit)>,
    refused: Vec<Subscription>,
}

impl Judged {
    /// As they are.
    pub(crate) fn of(state: &State) -> Self {
        let permissions = Arc::clone(&state.permissions);
        Self::by(permissions, state.session.subscriptions.iter().cloned())
    }

    fn by(permissions: Arc<Permissions>, all: impl Iterator<Item = Subscription>) -> Self {
        let mut judged = Self { permissions, flowing: Vec::new(), refused: Vec::new() };
        for subscription in all {
            let qos = subscription.options.maximum_qos;
            let asked = SubscribeRequest { filter: &subscription.filter, qos };
            match judged.permissions.permit_subscribe(asked) {
                Ok(permit) => judged.flowing.push((subscription, permit)),
                Err(_) => judged.refused.push(subscription),
            }
        }
        judged
    }

    /// Puts what is permitted into the router and takes the rest out. The session's routing is
    /// locked.
    fn route(core: &Core, handle: &Arc<SessionHandle>) -> Self {
        let (permissions, subscriptions) = {
            let state = handle.state.lock();
            let subscriptions: Vec<_> = state.session.subscriptions.iter().cloned().collect();
            (Arc::clone(&state.permissions), subscriptions)
        };
        let judged = Self::by(permissions, subscriptions.into_iter());
        for (subscription, permit) in &judged.flowing {
            core.router.subscribe(subscriber(handle, subscription, &judged.permissions, *permit));
        }
        for subscription in &judged.refused {
            core.router.unsubscribe(handle.id, &subscription.filter);
        }
        judged
    }

    /// Whether something is refused: a subscription, or a part of one.
    fn is_narrow(&self) -> bool {
        !self.refused.is_empty()
            || self.flowing.iter().any(|(_, permit)| permit.check_each_delivery)
    }

    fn flows(&self, filter: &SubscriptionFilter) -> bool {
        self.flowing.iter().any(|(subscription, _)| subscription.filter == *filter)
    }

    /// Whether a message that waits may be delivered. One that no subscription of today is about
    /// came by one that was given up: it is judged as if its topic were the filter.
    pub(crate) fn permits(&self, message: &session::Message) -> bool {
        let topic = message.topic().as_str();
        let about = |subscription: &&Subscription| subscription.filter.filter.matches(topic);
        let permits = |filter: &SubscriptionFilter, qos| {
            self.permissions.permit_delivery(topic, SubscribeRequest { filter, qos })
        };
        let mut flowing = self.flowing.iter().map(|(flowing, _)| flowing).filter(about).peekable();
        if flowing.peek().is_some() {
            return flowing.any(|s| permits(&s.filter, s.options.maximum_qos));
        }
        if self.refused.iter().any(|subscription| about(&subscription)) {
            return false;
        }
        TopicFilter::new(topic)
            .is_ok_and(|filter| permits(&SubscriptionFilter { share: None, filter }, message.qos()))
    }
}
