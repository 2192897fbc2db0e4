//! PUBLISH, from the bytes to every subscriber: the story is [`Connection::handle_publish`].
//!
//! A connection remembers, per topic, what it found out: the route, and which combinations of QoS and RETAIN are
//! permitted. On the usual path a message costs a comparison of the topic with the last one, two loads, and the
//! copying into each subscriber's buffer: no lock but the subscriber's, no allocation, no plugin.

use std::{collections::HashMap, sync::Arc, time::Instant};

use access::{NotAuthorized, PublishRequest};
use codec::{
    PacketId, PacketType, ProtocolVersion, Publish, QoS, ReasonCode, encode_acknowledgement,
};
use session::{Fanout, Inbound};
use store::{Origin, Store, Ticket};
use telemetry::events::PublishDenied;
use topic::TopicName;

use crate::{
    broker::Core,
    close::Close,
    config,
    connection::Connection,
    keeping::Keeping,
    router::{Route, Router},
    sessions::SessionHandle,
};

/// Topics that a connection remembers.
const TOPICS_MAX: usize = 1024;
/// Subscribers in the routes that it remembers, 32 bytes each.
const TARGETS_MAX: usize = 64 * 1024;

/// What a connection knows of the topics it publishes to.
#[derive(Default)]
pub(crate) struct Memo {
    topics: Vec<Known>,
    by_name: HashMap<TopicName, usize>,
    last: usize,
    /// Subscribers in all routes together.
    targets: usize,
}

/// One remembered topic.
struct Known {
    topic: TopicName,
    /// Made for the first message that is permitted.
    route: Option<Route>,
    route_generation: u64,
    /// Bit per (QoS, RETAIN) that was judged and permitted.
    permitted: u8,
}

impl Memo {
    /// Forgets what was permitted: the permissions changed.
    pub(crate) fn clear_permits(&mut self) {
        for known in &mut self.topics {
            known.permitted = 0;
        }
    }

    fn find(&mut self, topic: &str) -> Option<usize> {
        if self.topics.get(self.last).is_some_and(|known| known.topic.as_str() == topic) {
            return Some(self.last);
        }
        self.last = *self.by_name.get(topic)?;
        Some(self.last)
    }

    fn insert(&mut self, known: Known) -> usize {
        if self.topics.len() >= TOPICS_MAX {
            *self = Self::default();
        }
        self.last = self.topics.len();
        self.by_name.insert(known.topic.clone(), self.last);
        self.topics.push(known);
        self.last
    }

    /// The route of a topic, made anew when subscriptions have changed since.
    fn route(
        &mut self,
        at: usize,
        router: &Router,
        publisher: u64,
    ) -> Option<(&TopicName, &Route)> {
        let generation = router.generation();
        let known = self.topics.get(at)?;
        if known.route.is_none() || known.route_generation != generation {
            if self.targets > TARGETS_MAX {
                self.forget_routes();
            }
            let known = self.topics.get_mut(at)?;
            let before = known.route.take().map_or(0, |route| route.len());
            let made = router.route(known.topic.as_str(), publisher);
            self.targets = self.targets - before + made.len();
            (known.route, known.route_generation) = (Some(made), generation);
        }
        let known = self.topics.get(at)?;
        Some((&known.topic, known.route.as_ref()?))
    }

    /// Each is made again when its topic comes: also topics that were learned long ago can gain
    /// subscribers without end.
    fn forget_routes(&mut self) {
        for known in &mut self.topics {
            known.route = None;
        }
        self.targets = 0;
    }
}

/// Proof that a PUBLISH was permitted, now or before.
struct Permit(());

/// What answers a PUBLISH that was handled.
#[derive(Clone, Copy)]
enum Answer {
    /// Passed on; what was promised by that is durable with the ticket.
    Accepted { anybody: bool, ticket: Option<Ticket> },
    /// Refused with this code; QoS 0 is just dropped.
    Refused(ReasonCode),
}

fn permit_bit(qos: QoS, retain: bool) -> u8 {
    1 << (qos as u8 * 2 + u8::from(retain))
}

impl Connection {
    /// The story of a PUBLISH.
    pub(crate) fn handle_publish(
        &mut self,
        publish: &Publish<'_>,
        now: Instant,
    ) -> Result<(), Close> {
        self.counts.publish(publish.qos);
        let at = self.resolve_topic(publish)?;
        let kept = self.handle.key.is_some() && publish.qos == QoS::ExactlyOnce;
        let handle = kept.then(|| Arc::clone(&self.handle));
        let _passing_on = handle.as_ref().map(|handle| handle.passing_on.lock());
        if self.is_repetition(publish)? {
            // Perhaps of what the connection before had not finished when it lost the session.
            let ticket = self.core.store().filter(|_| kept).map(Store::latest);
            return self.acknowledge(publish, ReasonCode::Success, ticket);
        }
        let answer = match self.permit(at, publish) {
            Ok(_) if self.check_user_properties(publish).is_err() => {
                Answer::Refused(ReasonCode::QuotaExceeded)
            }
            Ok(permit) => self.pass_on(at, publish, permit, now)?,
            Err(denied) => self.deny(at, publish, &denied)?,
        };
        match answer {
            Answer::Accepted { anybody: true, ticket } => {
                self.acknowledge(publish, ReasonCode::Success, ticket)
            }
            Answer::Accepted { anybody: false, ticket } => {
                self.acknowledge(publish, ReasonCode::NoMatchingSubscribers, ticket)
            }
            Answer::Refused(code) => self.refuse(publish, code),
        }
    }

    /// The remembered topic of a PUBLISH, by name or by alias.
    fn resolve_topic(&mut self, publish: &Publish<'_>) -> Result<usize, Close> {
        if !publish.subscription_identifiers.is_empty() {
            return Err(Close::Protocol(
                ReasonCode::ProtocolError,
                "Subscription Identifier in a PUBLISH from a client [MQTT-3.3.4-6]",
            ));
        }
        let Some(alias) = publish.topic_alias else {
            return match self.memo.find(publish.topic) {
                Some(at) => Ok(at),
                None => self.learn_topic(publish.topic),
            };
        };
        if publish.topic.is_empty() {
            let topic = self.aliases.topic(alias).map_err(Close::Session)?.clone();
            return match self.memo.find(topic.as_str()) {
                Some(at) => Ok(at),
                None => self.learn_topic(topic.as_str()),
            };
        }
        let at = match self.memo.find(publish.topic) {
            Some(at) => at,
            None => self.learn_topic(publish.topic)?,
        };
        if let Some(known) = self.memo.topics.get(at) {
            self.aliases.set(alias, known.topic.clone()).map_err(Close::Session)?;
        }
        Ok(at)
    }

    fn learn_topic(&mut self, topic: &str) -> Result<usize, Close> {
        let invalid = |what| Close::Protocol(ReasonCode::TopicNameInvalid, what);
        if topic.is_empty() {
            return Err(Close::Session(session::Error::NoTopic));
        }
        self.core
            .live
            .load()
            .limits
            .sizes
            .check_topic(topic)
            .map_err(|_| invalid("topic longer or with more levels than the limits allow"))?;
        let topic = TopicName::new(topic).map_err(|_| invalid("not a topic name"))?;
        Ok(self.memo.insert(Known { topic, route: None, route_generation: 0, permitted: 0 }))
    }

    /// Whether a QoS 2 PUBLISH came before; notes it if not.
    fn is_repetition(&self, publish: &Publish<'_>) -> Result<bool, Close> {
        let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) else {
            return Ok(false);
        };
        let inbound = self.own()?.session.handle_publish_exactly_once(packet_id);
        Ok(inbound.map_err(Close::Session)? == Inbound::Duplicate)
    }

    fn check_user_properties(&self, publish: &Publish<'_>) -> Result<(), limits::SizeExceeded> {
        let properties = &publish.user_properties;
        if properties.is_empty() {
            return Ok(());
        }
        let bytes = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.core.live.load().limits.sizes.check_user_properties(properties.len(), bytes)
    }

    fn permit(&mut self, at: usize, publish: &Publish<'_>) -> Result<Permit, NotAuthorized> {
        let bit = permit_bit(publish.qos, publish.retain);
        let known = self.memo.topics.get_mut(at).ok_or(NotAuthorized::NoRule)?;
        if known.permitted & bit == 0 {
            let topic = known.topic.as_str();
            let request = PublishRequest { topic, qos: publish.qos, retain: publish.retain };
            self.authenticated.permissions().permit_publish(request)?;
            known.permitted |= bit;
        }
        Ok(Permit(()))
    }

    /// Retained store, then every subscriber.
    fn pass_on(
        &mut self,
        at: usize,
        publish: &Publish<'_>,
        _: Permit,
        now: Instant,
    ) -> Result<Answer, Close> {
        let (core, publisher) = (&self.core, self.handle.id);
        let Some((topic, route)) = self.memo.route(at, &core.router, publisher) else {
            return Ok(Answer::Refused(ReasonCode::UnspecifiedError));
        };
        let mut retain = publish.retain;
        if (retain || route.is_kept(publish.qos))
            && let Some(unavailable) = core.store().and_then(|store| store.check().err())
        {
            tracing::debug!(%unavailable, "PUBLISH refused");
            self.counts.dropped("store_unavailable", 1);
            match (publish.qos, self.version) {
                // Nothing was promised: it goes to those who are there. What is retained is out of date.
                (QoS::AtMostOnce, _) => {
                    retain = false;
                    core.retained.forget(topic.as_str());
                }
                (_, ProtocolVersion::V5) => {
                    return Ok(Answer::Refused(ReasonCode::QuotaExceeded));
                }
                // There is no way to say no: without an answer it comes again.
                (_, ProtocolVersion::V311) => {
                    self.forget(publish)?;
                    return Err(Close::ByServer(ReasonCode::QuotaExceeded));
                }
            }
        }
        self.forwarded.clear();
        publish.encode_forwarded(&mut self.forwarded);
        let mut fanout = Fanout::new(
            topic,
            (&self.forwarded, publish.payload),
            (publish.qos, publish.retain),
            (publish.message_expiry_interval, now),
            &mut self.frames,
        );
        let mut ticket = None;
        if retain {
            let sizes = &core.live.load().limits.sizes;
            let kept = core.retained.apply(fanout.message(), &self.handle.client_id, sizes);
            if let Ok(kept) = kept {
                ticket = kept;
            } else {
                self.counts.dropped("retained_full", 1);
                // Who can be told is told, and may try again; for the others it is a message like
                // any other that just is not retained.
                if self.version == ProtocolVersion::V5 && publish.qos != QoS::AtMostOnce {
                    return Ok(Answer::Refused(ReasonCode::QuotaExceeded));
                }
                ticket = core.retained.forget(topic.as_str());
            }
        }
        let origin = match (publish.qos, self.handle.key, publish.packet_id) {
            (QoS::ExactlyOnce, Some(session), Some(packet_id)) => {
                Some(Origin { session, packet_id })
            }
            _ => None,
        };
        let mut keeping = Keeping::new(core.store(), origin);
        route.deliver(&mut fanout, now, (&mut self.wakes, &mut keeping), &mut self.counts);
        if let Some(kept) = keeping.finish() {
            ticket = ticket.max(Some(kept.tell(&mut self.wakes)));
            note_stored(core, &self.handle, origin);
        }
        Ok(Answer::Accepted { anybody: !route.is_empty(), ticket })
    }

    fn deny(
        &self,
        at: usize,
        publish: &Publish<'_>,
        denied: &NotAuthorized,
    ) -> Result<Answer, Close> {
        let topic = self.memo.topics.get(at).map_or("", |known| known.topic.as_str());
        PublishDenied { client_id: &self.handle.client_id, topic, cause: denied }
            .emit(&self.core.metrics);
        let live = self.core.live.load();
        let disconnect = live.publish_denied == config::PublishDenied::Disconnect;
        if disconnect && self.version == ProtocolVersion::V311 {
            // When it comes again, it is to be judged again.
            self.forget(publish)?;
            return Err(Close::ByServer(ReasonCode::NotAuthorized));
        }
        Ok(Answer::Refused(ReasonCode::NotAuthorized))
    }

    fn refuse(&mut self, publish: &Publish<'_>, code: ReasonCode) -> Result<(), Close> {
        if self.version == ProtocolVersion::V5 {
            // Answered with a failure, it is complete. A 3.1.1 client goes on with PUBREL as if
            // accepted.
            self.forget(publish)?;
        }
        self.acknowledge(publish, code, None)
    }

    /// The identifier of a QoS 2 PUBLISH is free again.
    fn forget(&self, publish: &Publish<'_>) -> Result<(), Close> {
        if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) {
            self.own()?.session.forget_publish(packet_id);
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        publish: &Publish<'_>,
        code: ReasonCode,
        ticket: Option<Ticket>,
    ) -> Result<(), Close> {
        let kind = match publish.qos {
            QoS::AtMostOnce => return Ok(()),
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => PacketType::PubRec,
        };
        let packet_id: PacketId = publish.packet_id.ok_or(Close::Protocol(
            ReasonCode::MalformedPacket,
            "PUBLISH with QoS > 0 without Packet Identifier [MQTT-2.2.1-3]",
        ))?;
        let version = self.version;
        self.answer(ticket, |out| encode_acknowledgement(kind, packet_id, code, version, out));
        Ok(())
    }
}

/// The store knows the identifier of a PUBLISH as one in use; the session frees it, unless it is over.
fn note_stored(core: &Core, handle: &SessionHandle, origin: Option<Origin>) {
    let Some(origin) = origin else { return };
    let mut state = handle.state.lock();
    match core.store().filter(|_| state.ended) {
        // It was told of the end perhaps before it was told of this.
        Some(store) => drop(store.release(origin)),
        None => state.session.note_stored(origin.packet_id),
    }
}
