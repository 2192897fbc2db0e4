//! What the store keeps of a session beside its messages, and a session as the next process finds it again.
//!
//! Written when a connection comes and when it goes, and when a delayed Will Message was sent: what is found with
//! nothing said about its end was connected when the process ended, and that was the end of the connection. Of a session
//! that ends with its connection only that is kept, for its Will Message.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Authenticated, ClientLimits, Subject};
use codec::{ProtocolVersion, QoS, SubscriptionOptions};
use session::{Claim, Found, Message, Session, Subscription, Waiting, WillMessage};
use store::{FoundSession, KeptSession, KeptSubscription, KeptWill, Recovered, Store, Ticket};
use topic::{SubscriptionFilter, TopicName};

use crate::{
    broker::{Core, unix_now},
    config::LiveConfig,
    kept_identity::{from_kept, to_kept},
    retained::{RetainedCursor, RetainedDue},
    router::Subscriber,
    sessions::{Facts, SessionHandle, State},
    subscribe::since,
    will,
};

/// Writes down what is to be known of a session. `None` = it is not kept.
pub(crate) fn remember(
    store: Option<&dyn Store>,
    handle: &SessionHandle,
    state: &State,
) -> Option<Ticket> {
    let (store, key) = (store?, handle.stored?);
    if state.ended {
        return None;
    }
    let facts = &state.facts;
    let identity = facts.authenticated.identity();
    let away = state.connection.is_none();
    Some(store.put_session(
        key,
        KeptSession {
            client_id: handle.client_id.to_string(),
            identity: to_kept(identity),
            listener: facts.listener.to_string(),
            remote: facts.remote.to_string(),
            protocol: level(facts.protocol),
            expiry_seconds: facts.session_expiry_interval,
            disconnected_at_unix: away.then_some(facts.since_unix),
            sent_below: away.then(|| state.session.sent_below()),
            will: state.will.as_deref().map(kept_will),
        },
    ))
}

/// What is kept of a subscription.
pub(crate) fn kept_subscription(
    subscription: &Subscription,
    retained_due: bool,
) -> KeptSubscription {
    KeptSubscription {
        filter: subscription.filter.to_string(),
        identifier: subscription.identifier,
        options: subscription.options.encode(ProtocolVersion::V5),
        retained_due,
        since_unix: subscription.since_unix.map(|since| since.get().into()),
    }
}

fn kept_will(will: &WillMessage) -> KeptWill {
    let message = &will.message;
    KeptWill {
        delay_seconds: u32::try_from(will.delay.as_secs()).unwrap_or(u32::MAX),
        expiry_seconds: will.expiry_seconds,
        topic: message.topic().to_string(),
        forwarded: message.forwarded().to_vec(),
        payload: message.payload().to_vec(),
        qos: message.qos().value(),
        retain: message.retain(),
    }
}

fn level(protocol: ProtocolVersion) -> u8 {
    match protocol {
        ProtocolVersion::V311 => 4,
        ProtocolVersion::V5 => 5,
    }
}

/// Something of a session makes no sense: it was not written by this program as it is.
#[derive(Debug, thiserror::Error)]
#[error("the store has a session of client {client_id:?} whose {what} makes no sense")]
pub(crate) struct Senseless {
    client_id: String,
    what: &'static str,
}

/// Puts everything back that an earlier process left. Nobody has proved anything yet: what is subscribed goes on
/// collecting, and is judged before any of it flows (see `subscribe.rs`).
///
/// `listeners`: who said what a client may do decides about its Will Message too. One of a listener that is no more
/// would be judged by another chain: it is not sent.
pub(crate) fn restore(
    core: &Arc<Core>,
    recovered: Recovered,
    live: &LiveConfig,
    listeners: &[&str],
) -> Result<(), Senseless> {
    let now = Moment { instant: Instant::now(), unix: unix_now() };
    for retained in recovered.retained {
        core.retained.restore(retained, &now);
    }
    let mut sessions = recovered.sessions;
    // Of two with one client identifier the older was being ended.
    sessions.sort_by_key(|found| std::cmp::Reverse(found.key));
    let mut superseded = Vec::new();
    for mut found in sessions {
        if found.kept.will.is_some() && !listeners.contains(&found.kept.listener.as_str()) {
            let client_id = telemetry::Escaped(&found.kept.client_id);
            tracing::warn!(event = "will_refused", %client_id, listener = found.kept.listener,
                "the listener of the client is no more: its Will Message is not sent");
            found.kept.will = None;
        }
        let client_id: Arc<str> = found.kept.client_id.as_str().into();
        let (key, was_connected) = (found.key, found.kept.disconnected_at_unix.is_none());
        let senseless = |what| Senseless { client_id: client_id.to_string(), what };
        let state = state(found, live, &now).map_err(senseless)?;
        let (handle, is_first) = core.sessions.restore(key, &client_id, state);
        if !is_first {
            superseded.push(handle);
            continue;
        }
        route(core, &handle);
        if was_connected {
            remember(core.store(), &handle, &handle.state.lock());
        }
        core.timers.arm(now.instant, &handle);
    }
    // Now that all who may inherit something are there.
    for handle in superseded {
        let ended = core.end_session(&handle);
        let mut state = handle.state.lock();
        let (will, authenticated) = (state.will.take(), Arc::clone(&state.facts.authenticated));
        drop(state);
        match will {
            Some(will) => will::ask_and_publish(core, &handle, authenticated, will, Some(ended)),
            None => drop(ended.settle(core)),
        }
    }
    Ok(())
}

/// Now, by both clocks.
pub(crate) struct Moment {
    instant: Instant,
    unix: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), unix: unix_now() }
    }

    /// What is left until then, and nothing when it has passed.
    pub(crate) fn seconds_left(&self, unix: u64) -> u32 {
        u32::try_from(unix.saturating_sub(self.unix)).unwrap_or(u32::MAX)
    }

    pub(crate) fn instant(&self) -> Instant {
        self.instant
    }

    /// A moment that may lie in the past: then it is now.
    fn at(&self, unix: u64) -> Option<Instant> {
        self.instant.checked_add(Duration::from_secs(unix.saturating_sub(self.unix)))
    }

    /// A message from the store.
    pub(crate) fn message(&self, stored: &store::StoredMessage) -> Option<Arc<Message>> {
        let topic = TopicName::new(&stored.topic).ok()?;
        let expiry = stored.expires_at_unix.map(|at| self.seconds_left(at));
        let message = Message::new(topic, &stored.forwarded, &stored.payload, stored.qos)
            .with_retain(stored.retain)
            .with_expiry(expiry, self.instant);
        Some(Arc::new(message))
    }
}

/// A session as it was found.
pub(crate) fn state(
    found: FoundSession,
    live: &LiveConfig,
    now: &Moment,
) -> Result<State, &'static str> {
    let FoundSession { kept, subscriptions, owed, unreleased, last_number, .. } = found;
    let sent_below = kept.sent_below.unwrap_or(last_number + 1);
    let granted = ClientLimits {
        queue_messages_max: kept.identity.queue_messages_max,
        queue_bytes_max: kept.identity.queue_bytes_max,
        ..ClientLimits::default()
    };
    let limits = live.session_limits(&granted);
    let mut session = Session::recovered(limits, Found { last_number, sent_below });
    let mut retained = RetainedDue::default();
    for kept in subscriptions {
        let subscription = subscription(&kept).ok_or("subscription")?;
        if kept.retained_due {
            // From the beginning: how far it had come is not kept.
            retained.extend(Some(RetainedCursor::new(&subscription, true)));
        }
        session.subscriptions.insert(subscription);
    }
    for owed in owed {
        let number = owed.number.try_into().map_err(|_| "message number")?;
        let claim = Claim { number, place: owed.position.0 };
        if owed.received {
            session.recover_received(claim);
            continue;
        }
        session.recover_waiting(&Waiting {
            claim,
            bytes: usize::try_from(owed.bytes).unwrap_or(usize::MAX),
            expires_at: owed.expires_at_unix.and_then(|at| now.at(at)),
            qos: owed.qos,
            retain: owed.retain,
            shared: owed.shared,
            subscription_identifiers: owed.subscription_identifiers,
        });
    }
    for packet_id in unreleased {
        session.recover_unreleased(packet_id);
    }
    let ended_at = kept.disconnected_at_unix.unwrap_or(now.unix);
    let after = |seconds: u32| now.at(ended_at.saturating_add(seconds.into()));
    let will = kept.will.as_ref().map(|will| self::will(will).ok_or("will")).transpose()?;
    let will_due = kept.will.as_ref().and_then(|will| {
        // The earlier of delay and session end [MQTT-3.1.2-8].
        after(will.delay_seconds.min(kept.expiry_seconds))
    });
    let expires = after(kept.expiry_seconds);
    let facts = facts(kept, ended_at)?;
    Ok(State {
        session,
        connection: None,
        ended: false,
        permissions: Arc::clone(facts.authenticated.permissions()),
        will,
        retained,
        will_due,
        expires,
        facts: Box::new(facts),
    })
}

fn facts(kept: KeptSession, since: u64) -> Result<Facts, &'static str> {
    let remote: SocketAddr = kept.remote.parse().map_err(|_| "address")?;
    let protocol = match kept.protocol {
        4 => ProtocolVersion::V311,
        5 => ProtocolVersion::V5,
        _ => return Err("protocol level"),
    };
    let listener: Arc<str> = kept.listener.into();
    let identity = from_kept(kept.identity);
    let subject = Subject {
        identity: Arc::new(identity),
        client_id: kept.client_id.into(),
        listener: Arc::clone(&listener),
        remote: remote.ip(),
        protocol,
        certificate: None,
    };
    Ok(Facts {
        authenticated: Arc::new(Authenticated::remembered(subject)),
        username: None,
        listener,
        remote,
        protocol,
        keep_alive_seconds: 0,
        clean_start: false,
        session_expiry_interval: kept.expiry_seconds,
        session_expiry_requested: kept.expiry_seconds,
        since_unix: since,
    })
}

fn subscription(kept: &KeptSubscription) -> Option<Subscription> {
    Some(Subscription {
        filter: SubscriptionFilter::parse(&kept.filter).ok()?,
        options: SubscriptionOptions::decode(kept.options, ProtocolVersion::V5).ok()?,
        identifier: kept.identifier,
        since_unix: kept.since_unix.and_then(since),
    })
}

fn will(kept: &KeptWill) -> Option<Box<WillMessage>> {
    let topic = TopicName::new(&kept.topic).ok()?;
    let qos = QoS::from_value(kept.qos)?;
    let message = Message::new(topic, &kept.forwarded, &kept.payload, qos).with_retain(kept.retain);
    Some(Box::new(WillMessage {
        message: Arc::new(message),
        expiry_seconds: kept.expiry_seconds,
        delay: Duration::from_secs(kept.delay_seconds.into()),
    }))
}

/// What the session subscribed to collects messages from now on. Which of them are permitted is judged when the
/// client comes back.
fn route(core: &Core, handle: &Arc<SessionHandle>) {
    let subscriptions: Vec<_> = handle.state.lock().session.subscriptions.iter().cloned().collect();
    for subscription in subscriptions {
        let subscription = Arc::new(subscription);
        core.router.subscribe(Subscriber { handle: Arc::clone(handle), subscription, guard: None });
    }
}
