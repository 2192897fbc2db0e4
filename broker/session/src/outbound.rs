//! QoS 0, 1 and 2 towards the client (section 4.3): delivering, and the client's acknowledgements.

use std::time::Instant;

use codec::{
    PacketId, PacketType, ProtocolVersion, PublishHead, QoS, ReasonCode, encode_acknowledgement,
};
use topic::TopicName;

use crate::{
    Fanout, Message, QueueFull, Session,
    inflight::{Awaiting, Owed},
    queue::Enqueued,
    session::Link,
    topic_alias::Alias,
};

/// How a subscription wants the message.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOptions<'a> {
    /// Maximum QoS of the subscription.
    pub maximum_qos: QoS,
    /// RETAIN flag to send.
    pub retain: bool,
    /// Subscription Identifiers of all matching subscriptions.
    pub subscription_identifiers: &'a [u32],
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Encoded for the connection.
    Sent,
    /// Queued.
    Queued,
    /// Queued in place of so many older ones.
    QueuedDropping(usize),
    /// Dropped.
    Dropped(DropReason),
    /// Dropped, and policy says to end the slow client's connection.
    Disconnect,
}

/// Why a message was dropped; `name` is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The queue is full.
    QueueFull,
    /// QoS 0 and the client does not read fast enough.
    SlowConsumer,
    /// Larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
    /// QoS 0, or a session that does not outlive its connection, and the client is away.
    NotConnected,
}

impl DropReason {
    /// Label in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SlowConsumer => "slow_consumer",
            Self::TooLarge => "too_large",
            Self::NotConnected => "not_connected",
        }
    }
}

/// The packet would be longer than the client accepts.
struct TooLarge;

impl Link {
    /// Appends a PUBLISH, with a topic alias where that is possible.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        topic: &TopicName,
        head: PublishHead<'_>,
    ) -> Result<(), TooLarge> {
        let mut head = head;
        let alias = self.aliases.resolve(topic);
        match alias {
            Alias::None => {}
            Alias::Set(number) => head.topic_alias = Some(number),
            Alias::Use(number) => {
                head.topic_alias = Some(number);
                head.topic = "";
            }
        }
        if head.encoded_len(self.version) > self.packet_bytes_max {
            return Err(TooLarge);
        }
        reserve_first(out);
        head.encode(self.version, out);
        self.aliases.confirm(topic, alias);
        Ok(())
    }
}

/// Output starts with room for several small packets instead of growing through every power of two.
fn reserve_first(out: &mut Vec<u8>) {
    if out.capacity() == 0 {
        out.reserve(OUTPUT_FIRST_BYTES);
    }
}

const OUTPUT_FIRST_BYTES: usize = 1024;

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
        let plain = !options.retain
            && options.subscription_identifiers.is_empty()
            && !link.aliases.enabled();
        if plain {
            let frame = fanout.plain_frame(link.version);
            if frame.len() > link.packet_bytes_max {
                return Delivered::Dropped(DropReason::TooLarge);
            }
            reserve_first(&mut self.out);
            self.out.extend_from_slice(frame);
            return Delivered::Sent;
        }
        let head = PublishHead {
            retain: options.retain,
            subscription_identifiers: options.subscription_identifiers,
            ..fanout.head()
        };
        match link.write(&mut self.out, fanout.topic(), head) {
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
        match self.queue.push(owed, &self.limits.queue, now) {
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

    fn has_room(&self) -> bool {
        self.link.as_ref().is_some_and(|link| {
            self.inflight.sent() < link.window && self.out.len() < self.limits.queue.bytes
        })
    }

    /// Puts a message in flight and writes it.
    fn send(&mut self, owed: Owed, now: Instant) -> Result<(), TooLarge> {
        let Some(link) = &mut self.link else {
            return Err(TooLarge);
        };
        // Judged before it gets an identifier: a message that cannot be sent counts as completed [MQTT-3.1.2-25].
        let longest = head(&owed, PacketId::new(1), false, now);
        if longest.encoded_len(link.version) > link.packet_bytes_max {
            return Err(TooLarge);
        }
        let Some((packet_id, owed)) = self.inflight.push(owed) else {
            return Err(TooLarge);
        };
        let head = head(owed, Some(packet_id), false, now);
        if link.write(&mut self.out, owed.message.topic(), head).is_err() {
            // Only the alias made it too long.
            head.encode(link.version, &mut self.out);
        }
        Ok(())
    }

    /// Writes again what was in flight on an earlier connection.
    pub(crate) fn resend(&mut self, now: Instant) {
        while self.has_room() {
            let Some(link) = &self.link else { return };
            let Some(entry) = self.inflight.next_unsent() else { return };
            let (id, version) = (entry.packet_id, link.version);
            match &entry.awaiting {
                Awaiting::Acknowledged(owed) | Awaiting::Received(owed) => {
                    head(owed, Some(id), true, now).encode(version, &mut self.out);
                }
                Awaiting::Completed => {
                    let (kind, code) = (PacketType::PubRel, ReasonCode::Success);
                    encode_acknowledgement(kind, id, code, version, &mut self.out);
                }
            }
        }
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
        let done = self.inflight.complete(packet_id, |a| matches!(a, Awaiting::Acknowledged(_)));
        if done.is_some() {
            self.pump(now);
        }
        done.is_some()
    }

    /// PUBREC: answers PUBREL, or completes the message when the client refused it [MQTT-4.3.3-4]. `false` = no such
    /// message; a 5.0 client was told so with PUBREL 0x92.
    pub fn handle_pubrec(&mut self, packet_id: PacketId, reason: ReasonCode, now: Instant) -> bool {
        if reason.is_failure() {
            let done = self.inflight.complete(packet_id, |a| !matches!(a, Awaiting::Acknowledged(_)));
            if done.is_some() {
                self.pump(now);
            }
            return done.is_some();
        }
        let known = self.inflight.released(packet_id);
        let code = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        if let Some(link) = &self.link {
            let (kind, version) = (PacketType::PubRel, link.version);
            encode_acknowledgement(kind, packet_id, code, version, &mut self.out);
        }
        known
    }

    /// PUBCOMP: QoS 2 is complete. `false` = we await no such acknowledgement.
    pub fn handle_pubcomp(&mut self, packet_id: PacketId, now: Instant) -> bool {
        let done = self.inflight.complete(packet_id, |a| matches!(a, Awaiting::Completed));
        if done.is_some() {
            self.pump(now);
        }
        done.is_some()
    }

    /// The protocol level of the attached connection.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.link.as_ref().map(|link| link.version)
    }
}

/// The PUBLISH for a message that is owed.
fn head<'a>(
    owed: &'a Owed,
    packet_id: Option<PacketId>,
    dup: bool,
    now: Instant,
) -> PublishHead<'a> {
    let message: &Message = &owed.message;
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
