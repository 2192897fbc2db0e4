//! PUBLISH, from the bytes to every subscriber: the story is [`Connection::handle_publish`].
//!
//! A connection remembers, per topic, what it found out: the route, and which combinations of QoS and RETAIN are
//! permitted. On the usual path a message costs a comparison of the topic with the last one, two loads, and the
//! copying into each subscriber's buffer: no lock but the subscriber's, no allocation, no plugin.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::{About, DecisionId, Event, EventKinds, NotAuthorized, PublishRequest};
use codec::{
    PacketId, PacketType, ProtocolVersion, Publish, QoS, ReasonCode, encode_acknowledgement,
};
use session::{Fanout, Inbound};
use store::{Origin, Store, Ticket};
use telemetry::events::PublishDenied;
use topic::TopicName;

use crate::{
    broker::Core, claimed::Verdict, close::Close, config, connection::Connection, keeping::Keeping,
    sessions::SessionHandle, shown::why,
};

/// Between two refused PUBLISH of one client that plugins are told of.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Refused operations of one client that are noted among the decisions in that time.
const NOTED_MAX: usize = 4;

/// Operations of one client that were refused in one second.
pub(crate) struct Denials {
    since: Instant,
    /// On which topic, and the decision.
    noted: Vec<(String, DecisionId)>,
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

pub(crate) fn permit_bit(qos: QoS, retain: bool) -> u8 {
    1 << (qos as u8 * 2 + u8::from(retain))
}

impl Connection {
    /// The story of a PUBLISH.
    pub(crate) fn handle_publish(
        &mut self,
        publish: &Publish<'_>,
        now: Instant,
    ) -> Result<(), Close> {
        let at = self.resolve_topic(publish)?;
        if self.is_claimed(at, publish) {
            return self.handle_claimed(at, publish, now);
        }
        self.accept(at, publish, Verdict::ByRules, now)
    }

    /// The same once it is known what plugins say, if they have a say.
    pub(crate) fn accept(
        &mut self,
        at: usize,
        publish: &Publish<'_>,
        verdict: Verdict,
        now: Instant,
    ) -> Result<(), Close> {
        self.counts.publish(publish.qos);
        let kept = self.handle.key.is_some() && publish.qos == QoS::ExactlyOnce;
        let handle = kept.then(|| Arc::clone(&self.handle));
        let _passing_on = handle.as_ref().map(|handle| handle.passing_on.lock());
        if self.is_repetition(publish)? {
            // Perhaps of what the connection before had not finished when it lost the session.
            let ticket = self.core.store().filter(|_| kept).map(Store::latest);
            return self.acknowledge(publish, ReasonCode::Success, ticket);
        }
        let permit = match verdict {
            Verdict::ByRules => self.permit(at, publish).map(|permit| (permit, None)),
            Verdict::Permitted(changed) => Ok((Permit(()), changed)),
            Verdict::Denied(denied) => Err(denied),
            Verdict::Rejected(code) => return self.refuse(publish, code),
            Verdict::Swallowed => return self.acknowledge(publish, ReasonCode::Success, None),
        };
        let answer = match permit {
            Ok(_) if self.check_user_properties(publish).is_err() => {
                Answer::Refused(ReasonCode::QuotaExceeded)
            }
            Ok((permit, changed)) => {
                self.forwarded.clear();
                match changed {
                    None => publish.encode_forwarded(&mut self.forwarded),
                    Some(changed) => changed.encode_forwarded(&mut self.forwarded),
                }
                self.pass_on(at, publish, permit, now)?
            }
            Err(denied) => {
                let decision = self.tell_denied(at, publish, &denied, now);
                self.deny(at, publish, (&denied, decision))?
            }
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

    pub(crate) fn learn_topic(&mut self, topic: &str) -> Result<usize, Close> {
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
        Ok(self.memo.insert(topic))
    }

    /// Whether a QoS 2 PUBLISH came before; notes it if not.
    fn is_repetition(&self, publish: &Publish<'_>) -> Result<bool, Close> {
        let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) else {
            return Ok(false);
        };
        let inbound = self.own()?.session.handle_publish_exactly_once(packet_id);
        Ok(inbound.map_err(Close::Session)? == Inbound::Duplicate)
    }

    pub(crate) fn check_user_properties(
        &self,
        publish: &Publish<'_>,
    ) -> Result<(), limits::SizeExceeded> {
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
            if publish.qos != QoS::AtMostOnce {
                return self.refuse_unkept(publish);
            }
            // Nothing was promised: it goes to those who are there. What is retained is out of date.
            retain = false;
            core.retained.forget(topic.as_str());
        }
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
            let handle = &self.handle;
            let by = core.retained.publisher(&handle.client_id, &handle.principal);
            let kept = core.retained.apply(fanout.message(), &by, sizes);
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
        self.pace.reached(route.len());
        let mut keeping = Keeping::new(core.store(), origin);
        route.deliver(&mut fanout, now, (&mut self.wakes, &mut keeping), &mut self.counts);
        if let Some(kept) = keeping.finish() {
            ticket = ticket.max(Some(kept.tell(&mut self.wakes)));
            note_stored(core, &self.handle, origin);
        }
        Ok(Answer::Accepted { anybody: !route.is_empty(), ticket })
    }

    /// What the store does not take was not published.
    fn refuse_unkept(&self, publish: &Publish<'_>) -> Result<Answer, Close> {
        match self.version {
            ProtocolVersion::V5 => Ok(Answer::Refused(ReasonCode::QuotaExceeded)),
            // There is no way to say no: without an answer it comes again.
            ProtocolVersion::V311 => {
                self.forget(publish)?;
                Err(Close::ByServer(ReasonCode::QuotaExceeded))
            }
        }
    }

    fn deny(
        &self,
        at: usize,
        publish: &Publish<'_>,
        (denied, decision): (&NotAuthorized, Option<DecisionId>),
    ) -> Result<Answer, Close> {
        let topic = self.memo.topics.get(at).map_or("", |known| known.topic.as_str());
        let client = self.shown();
        PublishDenied { client, topic, denied: why(denied, &decision) }.emit(&self.core.metrics);
        let live = self.core.live.load();
        let disconnect = live.publish_denied == config::PublishDenied::Disconnect;
        if disconnect && self.version == ProtocolVersion::V311 {
            // When it comes again, it is to be judged again.
            self.forget(publish)?;
            return Err(Close::ByServer(ReasonCode::NotAuthorized));
        }
        Ok(Answer::Refused(denied.reason_code()))
    }

    /// Names the decision that refused an operation on a topic: noted anew at most [`NOTED_MAX`] times
    /// a second, as the client decides how often it happens; the same again is the same decision. With
    /// it, whether plugins are told.
    pub(crate) fn note_denied(
        &mut self,
        topic: &str,
        now: Instant,
        note: impl FnOnce(&Self) -> DecisionId,
    ) -> (Option<DecisionId>, bool) {
        let fresh = |last: &Denials| now.duration_since(last.since) < TOLD_EVERY;
        let mut denials = self.denials.take().filter(|last| fresh(last)).unwrap_or_else(|| {
            let noted = Vec::new();
            Box::new(Denials { since: now, noted })
        });
        let is_first = denials.noted.is_empty();
        let known = denials.noted.iter().find(|(known, _)| known == topic).map(|(_, id)| *id);
        let decision = known.or_else(|| {
            (denials.noted.len() < NOTED_MAX).then(|| {
                let decision = note(self);
                denials.noted.push((topic.to_owned(), decision));
                decision
            })
        });
        self.denials = Some(denials);
        (decision, is_first)
    }

    /// Notes the decision; returns its name.
    fn tell_denied(
        &mut self,
        at: usize,
        publish: &Publish<'_>,
        denied: &NotAuthorized,
        now: Instant,
    ) -> Option<DecisionId> {
        let topic = self.memo.topics.get(at)?.topic.clone();
        let (topic, qos, retain) = (topic.as_str(), publish.qos, publish.retain);
        let (decision, is_first) = self.note_denied(topic, now, |client| {
            let gate = &client.core.gate;
            let request = PublishRequest { topic, qos, retain };
            let rules = client.authenticated.permissions().explain_publish(request);
            let about = About::Publish { topic: topic.to_owned(), qos, retain };
            let (making, why) = (gate.making(), (Some(denied), rules));
            let at_unix = client.core.now_unix();
            gate.note_operation(&making, &client.authenticated, about, why, at_unix);
            making.id()
        });
        if is_first {
            let told = || Event::PublishDenied(self.who(), topic.to_owned());
            self.core.gate.tell(EventKinds::PUBLISH_DENIED, told);
        }
        decision
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
