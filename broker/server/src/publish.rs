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
use telemetry::events::PublishDenied;
use topic::TopicName;

use crate::{close::Close, config, connection::Connection, router::Route};

/// Topics that a connection remembers.
const TOPICS_MAX: usize = 1024;

/// What a connection knows of the topics it publishes to.
#[derive(Default)]
pub(crate) struct Memo {
    topics: Vec<Known>,
    by_name: HashMap<TopicName, usize>,
    last: usize,
}

/// One remembered topic.
struct Known {
    topic: TopicName,
    route: Arc<Route>,
    route_generation: u64,
    /// Bit per (QoS, RETAIN) that was judged and permitted.
    permitted: u8,
}

impl Memo {
    /// Forgets everything: the permissions changed.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
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
            self.clear();
        }
        self.last = self.topics.len();
        self.by_name.insert(known.topic.clone(), self.last);
        self.topics.push(known);
        self.last
    }
}

/// What answers a PUBLISH that was handled.
#[derive(Clone, Copy)]
enum Answer {
    /// Passed on.
    Accepted { anybody: bool },
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
        if self.is_repetition(publish)? {
            return self.acknowledge(publish, ReasonCode::Success);
        }
        let answer = match self.permit(at, publish) {
            Ok(()) if self.check_user_properties(publish).is_err() => {
                Answer::Refused(ReasonCode::QuotaExceeded)
            }
            Ok(()) => self.pass_on(at, publish, now),
            Err(denied) => self.deny(at, &denied)?,
        };
        match answer {
            Answer::Accepted { anybody: true } => self.acknowledge(publish, ReasonCode::Success),
            Answer::Accepted { anybody: false } => {
                self.acknowledge(publish, ReasonCode::NoMatchingSubscribers)
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
        let route_generation = self.core.router.generation();
        let route = Arc::new(self.core.router.route(topic.as_str(), self.handle.id));
        Ok(self.memo.insert(Known { topic, route, route_generation, permitted: 0 }))
    }

    /// Whether a QoS 2 PUBLISH came before; notes it if not.
    fn is_repetition(&self, publish: &Publish<'_>) -> Result<bool, Close> {
        let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) else {
            return Ok(false);
        };
        let mut state = self.handle.state.lock();
        let inbound = state.session.handle_publish_exactly_once(packet_id);
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

    fn permit(&mut self, at: usize, publish: &Publish<'_>) -> Result<(), NotAuthorized> {
        let bit = permit_bit(publish.qos, publish.retain);
        let Some(known) = self.memo.topics.get_mut(at) else { return Ok(()) };
        if known.permitted & bit != 0 {
            return Ok(());
        }
        let topic = known.topic.as_str();
        let request = PublishRequest { topic, qos: publish.qos, retain: publish.retain };
        self.authenticated.permissions().permit_publish(request)?;
        known.permitted |= bit;
        Ok(())
    }

    /// Retained store, then every subscriber.
    fn pass_on(&mut self, at: usize, publish: &Publish<'_>, now: Instant) -> Answer {
        let Some(known) = self.memo.topics.get_mut(at) else {
            return Answer::Refused(ReasonCode::UnspecifiedError);
        };
        let generation = self.core.router.generation();
        if known.route_generation != generation {
            known.route = Arc::new(self.core.router.route(known.topic.as_str(), self.handle.id));
            known.route_generation = generation;
        }
        self.forwarded.clear();
        publish.encode_forwarded(&mut self.forwarded);
        let mut fanout = Fanout::new(
            &known.topic,
            (&self.forwarded, publish.payload),
            (publish.qos, publish.retain),
            (publish.message_expiry_interval, now),
            &mut self.frames,
        );
        if publish.retain {
            let sizes = &self.core.live.load().limits.sizes;
            if self.core.retained.apply(fanout.message(), sizes).is_err() {
                self.counts.dropped("retained_full", 1);
                return Answer::Refused(ReasonCode::QuotaExceeded);
            }
        }
        known.route.deliver(&mut fanout, now, &mut self.wakes, &mut self.counts);
        Answer::Accepted { anybody: !known.route.is_empty() }
    }

    fn deny(&self, at: usize, denied: &NotAuthorized) -> Result<Answer, Close> {
        let topic = self.memo.topics.get(at).map_or("", |known| known.topic.as_str());
        PublishDenied { client_id: &self.handle.client_id, topic, cause: denied }
            .emit(&self.core.metrics);
        let live = self.core.live.load();
        let disconnect = live.publish_denied == config::PublishDenied::Disconnect;
        if disconnect && self.version == ProtocolVersion::V311 {
            return Err(Close::ByServer(ReasonCode::NotAuthorized));
        }
        Ok(Answer::Refused(ReasonCode::NotAuthorized))
    }

    fn refuse(&mut self, publish: &Publish<'_>, code: ReasonCode) -> Result<(), Close> {
        if let (QoS::ExactlyOnce, Some(packet_id), ProtocolVersion::V5) =
            (publish.qos, publish.packet_id, self.version)
        {
            // Answered with a failure, it is complete. A 3.1.1 client goes on with PUBREL as if accepted.
            self.handle.state.lock().session.forget_publish(packet_id);
        }
        self.acknowledge(publish, code)
    }

    fn acknowledge(&mut self, publish: &Publish<'_>, code: ReasonCode) -> Result<(), Close> {
        let kind = match publish.qos {
            QoS::AtMostOnce => return Ok(()),
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => PacketType::PubRec,
        };
        let packet_id: PacketId = publish.packet_id.ok_or(Close::Protocol(
            ReasonCode::MalformedPacket,
            "PUBLISH with QoS > 0 without Packet Identifier [MQTT-2.2.1-3]",
        ))?;
        encode_acknowledgement(kind, packet_id, code, self.version, &mut self.output);
        Ok(())
    }
}
