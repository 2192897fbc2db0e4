//! QoS 0, 1 and 2 towards the client (section 4.3): delivering, sending again, and the client's
//! acknowledgements.

use std::time::Instant;

use codec::{
    PacketId, PacketType, ProtocolVersion, PublishHead, QoS, ReasonCode, encode_acknowledgement,
};

use crate::{
    Claim, Delivered, DeliveryOptions, DropReason, Fanout, Message, QueueFull, Session,
    inflight::{Awaiting, Owed, Released},
    kept::let_go,
    link::TooLarge,
    queue::Enqueued,
};

impl Session {
    /// Delivers one message by one subscription (or several merged ones).
    pub fn deliver(
        &mut self,
        fanout: &mut Fanout<'_>,
        options: &DeliveryOptions<'_>,
        now: Instant,
    ) -> Delivered {
        let qos = fanout.qos().min(options.maximum_qos);
        let delivered = if qos == QoS::AtMostOnce {
            self.deliver_at_most_once(fanout, options)
        } else {
            self.deliver_acknowledged(fanout, options, qos, now)
        };
        self.dropped += match delivered {
            Delivered::Sent | Delivered::Queued => 0,
            Delivered::QueuedDropping(count) => count as u64,
            Delivered::Dropped(_) | Delivered::Disconnect => 1,
        };
        delivered
    }

    fn deliver_at_most_once(
        &mut self,
        fanout: &mut Fanout<'_>,
        options: &DeliveryOptions<'_>,
    ) -> Delivered {
        let Some(link) = &mut self.link else {
            return Delivered::Dropped(DropReason::NotConnected);
        };
        if self.out.len() >= self.limits.queue.bytes {
            return Delivered::Dropped(DropReason::SlowConsumer);
        }
        if self.claims.as_ref().is_some_and(|claims| fanout.is_claimed(claims)) {
            return self.enqueue_at_most_once(fanout, options);
        }
        let plain =
            !options.retain && options.subscription_identifiers.is_empty() && !link.sets_aliases();
        let written = if plain {
            link.write_frame(&mut self.out, fanout.plain_frame(link.version))
        } else {
            let head = PublishHead {
                retain: options.retain,
                subscription_identifiers: options.subscription_identifiers,
                ..fanout.head()
            };
            link.write(&mut self.out, fanout.topic(), &head)
        };
        match written {
            Ok(()) => Delivered::Sent,
            Err(TooLarge) => Delivered::Dropped(DropReason::TooLarge),
        }
    }

    fn deliver_acknowledged(
        &mut self,
        fanout: &mut Fanout<'_>,
        options: &DeliveryOptions<'_>,
        qos: QoS,
        now: Instant,
    ) -> Delivered {
        if self.link.is_none() && !self.persistent {
            return Delivered::Dropped(DropReason::NotConnected);
        }
        let claim = self.next_claim(options.place);
        if self.is_kept() && claim.is_none() {
            return Delivered::Dropped(DropReason::NotStored);
        }
        let owed = Owed {
            message: fanout.message().clone(),
            transformed: None,
            claim,
            qos,
            retain: options.retain,
            shared: options.shared,
            subscription_identifiers: options.subscription_identifiers.into(),
        };
        // What the store has yet to write is not sent at once with QoS 2: it waits.
        let at_once = (claim.is_none() || qos == QoS::AtLeastOnce)
            && !self.claims.as_ref().is_some_and(|claims| fanout.is_claimed(claims));
        if at_once && self.is_window_open() && self.inflight.has_identifier_for(claim) {
            return match self.send(owed, now) {
                Ok(()) => {
                    self.claimed(claim, qos);
                    Delivered::Sent
                }
                Err(TooLarge) => Delivered::Dropped(DropReason::TooLarge),
            };
        }
        let delivered = self.enqueue(owed, now);
        if matches!(delivered, Delivered::Queued | Delivered::QueuedDropping(_)) {
            self.claimed(claim, qos);
        }
        delivered
    }

    fn enqueue(&mut self, owed: Owed, now: Instant) -> Delivered {
        let (limits, in_memory) = (&self.limits.queue, self.link.is_some());
        let Self { queue, inflight, kept, .. } = self;
        let mut over = |claim, qos| let_go((inflight, kept), claim, qos);
        if !queue.has_room_for(owed.message.size_bytes(), limits) {
            self.dropped += queue.drop_expired(now, &mut over) as u64;
        }
        match queue.push(owed, limits, in_memory, over) {
            Enqueued::Queued { dropped: 0 } => Delivered::Queued,
            Enqueued::Queued { dropped } => Delivered::QueuedDropping(dropped),
            Enqueued::Refused if self.must_disconnect() => Delivered::Disconnect,
            Enqueued::Refused => Delivered::Dropped(DropReason::QueueFull),
        }
    }

    fn must_disconnect(&self) -> bool {
        self.limits.queue.when_full == QueueFull::Disconnect && self.link.is_some()
    }

    /// A new message may be written at once: nothing waits before it and the window has room.
    fn is_window_open(&self) -> bool {
        self.queue.is_empty() && self.inflight.all_sent() && self.has_room()
    }

    /// Whether one more PUBLISH with QoS > 0 may be written now [MQTT-3.3.4-9].
    fn has_room(&self) -> bool {
        self.link.as_ref().is_some_and(|link| {
            self.inflight.sent() < link.window.into() && self.out.len() < self.limits.queue.bytes
        })
    }

    /// Puts a message in flight and writes it. One that the client does not accept counts as
    /// completed [MQTT-3.1.2-25].
    fn send(&mut self, owed: Owed, now: Instant) -> Result<(), TooLarge> {
        // Neither can be missing: callers have asked `has_room`, and a window has at most 65,535.
        let Some(link) = &mut self.link else {
            return Err(TooLarge);
        };
        if owed.qos == QoS::AtMostOnce {
            let head = head(&owed, None, false, now);
            return link.write(&mut self.out, owed.message.topic(), &head);
        }
        let Some(packet_id) = self.inflight.next_packet_id(owed.claim) else {
            return Err(TooLarge);
        };
        let kept = self.kept.as_ref();
        let again = kept.zip(owed.claim).is_some_and(|(kept, claim)| kept.may_be_sent(claim));
        let head = head(&owed, Some(packet_id), again, now);
        link.write(&mut self.out, owed.message.topic(), &head)?;
        self.inflight.push(packet_id, owed, again);
        Ok(())
    }

    /// Sends again what was in flight on an earlier connection [MQTT-4.4.0-1]: PUBREL at once, as
    /// the window holds back PUBLISH only [MQTT-3.3.4-9]; PUBLISH in the first order
    /// [MQTT-4.6.0-1]. Returns how many messages were dropped as too large for the client now.
    pub(crate) fn resend(&mut self, now: Instant) -> usize {
        if self.link.is_none() || self.inflight.all_sent() {
            return 0;
        }
        self.send_releases();
        let mut dropped = 0;
        let mut from = 0;
        while self.has_room()
            && let Some(link) = &self.link
            && let Some((at, packet_id, owed)) = self.inflight.next_unsent(from)
        {
            // Rare: not worth one of the few topic aliases.
            let head = head(owed, Some(packet_id), true, now);
            let claim = owed.claim;
            from = at;
            if link.write_plain(&mut self.out, &head).is_ok() {
                self.inflight.mark_sent(at);
                continue;
            }
            dropped += 1;
            match self.inflight.give_up(at) {
                Some(over) => self.done(over.claim()),
                None => {
                    self.given_up(claim);
                    self.send_releases();
                }
            }
        }
        self.dropped += dropped as u64;
        dropped
    }

    /// Writes queued messages while the window has room; returns how many were dropped.
    pub(crate) fn send_queued(&mut self, now: Instant) -> usize {
        let mut dropped = 0;
        while self.inflight.all_sent() && self.has_room() && self.is_next_ready() {
            let Some(owed) = self.queue.pop_owed() else { break };
            let (claim, qos) = (owed.claim, owed.qos);
            if owed.message.is_expired(now) || self.send(owed, now).is_err() {
                dropped += 1;
                if let Some(claim) = claim {
                    let_go((&mut self.inflight, &mut self.kept), claim, qos);
                    self.send_releases();
                }
            }
        }
        self.dropped += dropped as u64;
        dropped
    }

    /// Whether the first message of the queue is in memory, no transform has to work on it, and it may be
    /// sent.
    fn is_next_ready(&self) -> bool {
        let holds = |owed| self.kept.as_ref().is_some_and(|kept| kept.holds(owed));
        self.queue.front().is_some_and(|owed| {
            !holds(owed) && !self.is_raw(owed) && self.inflight.has_identifier_for(owed.claim)
        })
    }

    /// Sends what frees identifiers: the window holds back PUBLISH only.
    pub(crate) fn send_releases(&mut self) {
        let Some(version) = self.version() else { return };
        let Self { inflight, kept, out, .. } = self;
        let holds = |claim| kept.as_ref().is_some_and(|kept| kept.holds_release(claim));
        inflight.send_releases(holds, |packet_id| {
            let (kind, code) = (PacketType::PubRel, ReasonCode::Success);
            encode_acknowledgement(kind, packet_id, code, version, out);
        });
    }

    /// PUBACK: QoS 1 is complete. `false` = we await no such acknowledgement.
    pub fn handle_puback(&mut self, packet_id: PacketId, now: Instant) -> bool {
        self.complete(packet_id, now, |awaiting| matches!(awaiting, Awaiting::Acknowledged(_)))
    }

    /// PUBREC: the code for the PUBREL that answers it, 0x92 when there is no such message. `None` =
    /// no answer: the client refused the message, which completes it [MQTT-4.3.3-4]. The claim is that
    /// of a message that the client has from now on: PUBREL must not be sent before the store knows.
    ///
    /// The caller writes the PUBREL with its other answers: a client that sends PUBREC without end
    /// and reads nothing is then not read, instead of filling the session.
    pub fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
        now: Instant,
    ) -> Option<(ReasonCode, Option<Claim>)> {
        if reason.is_failure() {
            self.complete(packet_id, now, |awaiting| {
                !matches!(awaiting, Awaiting::Acknowledged(_))
            });
            return None;
        }
        Some(match self.inflight.released(packet_id) {
            Some(Released::Now(claim)) => (ReasonCode::Success, claim),
            Some(Released::Before(claim)) => {
                let holds =
                    |claim: &Claim| self.kept.as_ref().is_some_and(|k| k.holds_release(*claim));
                (ReasonCode::Success, claim.filter(holds))
            }
            None => (ReasonCode::PacketIdentifierNotFound, None),
        })
    }

    /// PUBCOMP: QoS 2 is complete. `false` = we await no such acknowledgement.
    pub fn handle_pubcomp(&mut self, packet_id: PacketId, now: Instant) -> bool {
        self.complete(packet_id, now, |awaiting| matches!(awaiting, Awaiting::Completed(_)))
    }

    /// Ends an in-flight message; its place in the window goes to the next one.
    fn complete(
        &mut self,
        packet_id: PacketId,
        now: Instant,
        is: impl Fn(&Awaiting) -> bool,
    ) -> bool {
        let Some(done) = self.inflight.complete(packet_id, is) else {
            return false;
        };
        self.done(done.claim());
        self.pump(now);
        true
    }

    /// The protocol level of the attached connection.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.link.as_ref().map(|link| link.version)
    }
}

/// The PUBLISH for a message that is owed.
fn head(owed: &Owed, packet_id: Option<PacketId>, dup: bool, now: Instant) -> PublishHead<'_> {
    let message: &Message = owed.outgoing();
    PublishHead {
        dup,
        qos: owed.qos,
        retain: owed.retain,
        topic: message.topic().as_str(),
        packet_id,
        topic_alias: None,
        message_expiry_interval: message.expiry_left_seconds(now),
        subscription_identifiers: &owed.subscription_identifiers,
        forwarded: message.forwarded(),
        payload: message.payload(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
