//! QoS 0, 1 and 2 towards the client (section 4.3): delivering, sending again, and the client's
//! acknowledgements.

use std::time::Instant;

use codec::{
    PacketId, PacketType, ProtocolVersion, PublishHead, QoS, ReasonCode, encode_acknowledgement,
};

use crate::{
    Delivered, DeliveryOptions, DropReason, Fanout, Message, QueueFull, Session,
    inflight::{Awaiting, Owed},
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
        let owed = Owed {
            message: fanout.message().clone(),
            qos,
            retain: options.retain,
            subscription_identifiers: options.subscription_identifiers.into(),
        };
        if self.is_window_open() {
            return match self.send(owed, now) {
                Ok(()) => Delivered::Sent,
                Err(TooLarge) => Delivered::Dropped(DropReason::TooLarge),
            };
        }
        let limits = &self.limits.queue;
        if !self.queue.has_room_for(&owed, limits) {
            self.dropped += self.queue.drop_expired(now) as u64;
        }
        match self.queue.push(owed, limits) {
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
        let Some(packet_id) = self.inflight.next_packet_id() else {
            return Err(TooLarge);
        };
        let head = head(&owed, packet_id, false, now);
        link.write(&mut self.out, owed.message.topic(), &head)?;
        self.inflight.push(packet_id, owed);
        Ok(())
    }

    /// Sends again what was in flight on an earlier connection [MQTT-4.4.0-1]: PUBREL at once, as
    /// the window holds back PUBLISH only [MQTT-3.3.4-9]; PUBLISH in the first order
    /// [MQTT-4.6.0-1]. Returns how many messages were dropped as too large for the client now.
    pub(crate) fn resend(&mut self, now: Instant) -> usize {
        let Some(version) = self.version() else {
            return 0;
        };
        if self.inflight.all_sent() {
            return 0;
        }
        let out = &mut self.out;
        self.inflight.send_releases(|packet_id| release(packet_id, version, out));
        let mut dropped = 0;
        let mut from = 0;
        while self.has_room()
            && let Some(link) = &self.link
            && let Some((at, packet_id, owed)) = self.inflight.next_unsent(from)
        {
            // Rare: not worth one of the few topic aliases.
            let head = head(owed, packet_id, true, now);
            from = at;
            if link.write_plain(&mut self.out, &head).is_ok() {
                self.inflight.mark_sent(at);
                continue;
            }
            dropped += 1;
            if self.inflight.give_up(at) {
                release(packet_id, version, &mut self.out);
            }
        }
        self.dropped += dropped as u64;
        dropped
    }

    /// Writes queued messages while the window has room; returns how many were dropped.
    pub(crate) fn send_queued(&mut self, now: Instant) -> usize {
        let mut dropped = 0;
        while self.inflight.all_sent() && self.has_room() {
            let Some(owed) = self.queue.pop() else { break };
            if owed.message.is_expired(now) || self.send(owed, now).is_err() {
                dropped += 1;
            }
        }
        self.dropped += dropped as u64;
        dropped
    }

    /// PUBACK: QoS 1 is complete. `false` = we await no such acknowledgement.
    pub fn handle_puback(&mut self, packet_id: PacketId, now: Instant) -> bool {
        self.complete(packet_id, now, |awaiting| matches!(awaiting, Awaiting::Acknowledged(_)))
    }

    /// PUBREC: the code for the PUBREL that answers it, 0x92 when there is no such message. `None` =
    /// no answer: the client refused the message, which completes it [MQTT-4.3.3-4].
    ///
    /// The caller writes the PUBREL with its other answers: a client that sends PUBREC without end
    /// and reads nothing is then not read, instead of filling the session.
    pub fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
        now: Instant,
    ) -> Option<ReasonCode> {
        if reason.is_failure() {
            self.complete(packet_id, now, |awaiting| {
                !matches!(awaiting, Awaiting::Acknowledged(_))
            });
            return None;
        }
        let known = self.inflight.released(packet_id);
        Some(if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound })
    }

    /// PUBCOMP: QoS 2 is complete. `false` = we await no such acknowledgement.
    pub fn handle_pubcomp(&mut self, packet_id: PacketId, now: Instant) -> bool {
        self.complete(packet_id, now, |awaiting| matches!(awaiting, Awaiting::Completed))
    }

    /// Ends an in-flight message; its place in the window goes to the next one.
    fn complete(
        &mut self,
        packet_id: PacketId,
        now: Instant,
        is: impl Fn(&Awaiting) -> bool,
    ) -> bool {
        let done = self.inflight.complete(packet_id, is);
        if done {
            self.pump(now);
        }
        done
    }

    /// The protocol level of the attached connection.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.link.as_ref().map(|link| link.version)
    }
}

fn release(packet_id: PacketId, version: ProtocolVersion, out: &mut Vec<u8>) {
    encode_acknowledgement(PacketType::PubRel, packet_id, ReasonCode::Success, version, out);
}

/// The PUBLISH for a message that is owed.
fn head(owed: &Owed, packet_id: PacketId, dup: bool, now: Instant) -> PublishHead<'_> {
    let message: &Message = &owed.message;
    PublishHead {
        dup,
        qos: owed.qos,
        retain: owed.retain,
        topic: message.topic().as_str(),
        packet_id: Some(packet_id),
        topic_alias: None,
        message_expiry_interval: message.expiry_left_seconds(now),
        subscription_identifiers: &owed.subscription_identifiers,
        forwarded: message.forwarded(),
        payload: message.payload(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
