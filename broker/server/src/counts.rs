//! What one connection counted since its last turn: added to the shared counters once per turn, not per message.

use std::sync::Arc;

use codec::{Decoded, Packet, PacketType, ProtocolVersion, QoS, ReasonCode, decode, outlines};
use session::{Delivered, DropReason};
use telemetry::{Direction, ListenerMetrics, Metrics, SIZES, events::MessageDropped, size_class};

use crate::router::Tally;

/// Counts of one turn.
pub(crate) struct Counts {
    metrics: Arc<Metrics>,
    /// `None` = of no connection.
    listener: Option<Arc<ListenerMetrics>>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    publish_received: [u64; 3],
    publish_sent: [u64; 3],
    publish_bytes_received: u64,
    publish_bytes_sent: u64,
    sizes_received: [u32; SIZES],
    sizes_sent: [u32; SIZES],
    any: bool,
    /// What was added to the shared counters.
    flushed_received: u64,
    flushed_sent: u64,
}

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

impl Counts {
    pub(crate) fn new(metrics: &Arc<Metrics>, listener: Option<Arc<ListenerMetrics>>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            listener,
            bytes_received: 0,
            bytes_sent: 0,
            publish_received: [0; 3],
            publish_sent: [0; 3],
            publish_bytes_received: 0,
            publish_bytes_sent: 0,
            sizes_received: [0; SIZES],
            sizes_sent: [0; SIZES],
            any: false,
            flushed_received: 0,
            flushed_sent: 0,
        }
    }

    /// Bytes that came so far.
    pub(crate) fn all_received(&self) -> u64 {
        self.flushed_received + self.bytes_received
    }

    /// Bytes that left so far.
    pub(crate) fn all_sent(&self) -> u64 {
        self.flushed_sent + self.bytes_sent
    }

    /// A packet other than PUBLISH came.
    pub(crate) fn packet(&self, packet_type: PacketType) {
        self.metrics.packets_received.of(packet_type).inc();
    }

    /// What the listener counts.
    pub(crate) fn listener(&self) -> Option<&ListenerMetrics> {
        self.listener.as_deref()
    }

    /// A packet other than PUBLISH came, of so many bytes; before it is handled.
    pub(crate) fn came(&self, packet: &Packet<'_>, bytes: usize) {
        let Some(listener) = &self.listener else { return };
        let (of, code) = match packet {
            Packet::PubAck(ack) => (PacketType::PubAck, Some(ack.reason_code)),
            Packet::PubRec(ack) => (PacketType::PubRec, Some(ack.reason_code)),
            Packet::PubRel(ack) => (PacketType::PubRel, Some(ack.reason_code)),
            Packet::PubComp(ack) => (PacketType::PubComp, Some(ack.reason_code)),
            Packet::Disconnect(disconnect) => {
                (PacketType::Disconnect, Some(disconnect.reason_code))
            }
            Packet::Auth(auth) => (PacketType::Auth, Some(auth.reason_code)),
            Packet::Subscribe(_) => (PacketType::Subscribe, None),
            Packet::Unsubscribe(_) => (PacketType::Unsubscribe, None),
            Packet::PingReq => (PacketType::PingReq, None),
            // PUBLISH is added up; the others are refused.
            _ => return,
        };
        listener.packets(Direction::Received, of, 1, bytes as u64);
        if let Some(code) = code {
            listener.reason(Direction::Received, of, code);
        }
    }

    /// These packets are written, whole ones one behind the other.
    pub(crate) fn sent(&mut self, encoded: &[u8], version: ProtocolVersion) {
        let mut rest = encoded;
        for packet in outlines(encoded) {
            let (this, behind) = rest.split_at_checked(packet.bytes).unwrap_or((rest, &[]));
            rest = behind;
            if packet.packet_type != PacketType::Publish {
                self.metrics.packets_sent.of(packet.packet_type).inc();
                if let Some(listener) = &self.listener {
                    note_sent(listener, packet.packet_type, this, version);
                }
                continue;
            }
            self.any = true;
            self.publish_bytes_sent += packet.bytes as u64;
            if let Some(count) = self.sizes_sent.get_mut(size_class(packet.bytes)) {
                *count += 1;
            }
            if let Some(count) = self.publish_sent.get_mut(packet.qos as usize) {
                *count += 1;
            }
        }
    }

    /// A PUBLISH of so many bytes came.
    pub(crate) fn publish_bytes(&mut self, bytes: usize) {
        self.any = true;
        self.publish_bytes_received += bytes as u64;
        if let Some(count) = self.sizes_received.get_mut(size_class(bytes)) {
            *count += 1;
        }
    }

    /// A PUBLISH came.
    pub(crate) fn publish(&mut self, qos: QoS) {
        self.any = true;
        if let Some(count) = self.publish_received.get_mut(qos as usize) {
            *count += 1;
        }
    }

    /// Messages were dropped.
    pub(crate) fn dropped(&self, reason: &'static str, count: u64) {
        MessageDropped { reason, count }.emit(&self.metrics);
    }

    /// Adds everything to the shared counters.
    pub(crate) fn flush(&mut self) {
        let metrics = &self.metrics;
        if self.bytes_received > 0 {
            self.flushed_received += self.bytes_received;
            metrics.bytes_received.inc_by(std::mem::take(&mut self.bytes_received));
        }
        if self.bytes_sent > 0 {
            self.flushed_sent += self.bytes_sent;
            metrics.bytes_sent.inc_by(std::mem::take(&mut self.bytes_sent));
        }
        if !std::mem::take(&mut self.any) {
            return;
        }
        let bytes_received = std::mem::take(&mut self.publish_bytes_received);
        let bytes_sent = std::mem::take(&mut self.publish_bytes_sent);
        metrics.publish_bytes_received.inc_by(bytes_received);
        metrics.publish_bytes_sent.inc_by(bytes_sent);
        let received = std::mem::take(&mut self.publish_received);
        let sent = std::mem::take(&mut self.publish_sent);
        if let Some(listener) = &self.listener {
            let publish = PacketType::Publish;
            let (all_received, all_sent) = (received.iter().sum(), sent.iter().sum());
            if all_received > 0 {
                listener.packets(Direction::Received, publish, all_received, bytes_received);
                let sizes = std::mem::take(&mut self.sizes_received);
                listener.publishes(Direction::Received, &received, &sizes);
            }
            if all_sent > 0 {
                listener.packets(Direction::Sent, publish, all_sent, bytes_sent);
                let sizes = std::mem::take(&mut self.sizes_sent);
                listener.publishes(Direction::Sent, &sent, &sizes);
            }
        }
        for ((qos, received), sent) in LEVELS.into_iter().zip(received).zip(sent) {
            if received > 0 {
                metrics.publish_received.of(qos).inc_by(received);
                metrics.packets_received.of(PacketType::Publish).inc_by(received);
            }
            if sent > 0 {
                metrics.publish_sent.of(qos).inc_by(sent);
                metrics.packets_sent.of(PacketType::Publish).inc_by(sent);
            }
        }
    }
}

/// A packet that was written, with the Reason Codes in it.
fn note_sent(listener: &ListenerMetrics, of: PacketType, encoded: &[u8], version: ProtocolVersion) {
    listener.packets(Direction::Sent, of, 1, encoded.len() as u64);
    let is_acknowledgement = matches!(
        of,
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp
    );
    if is_acknowledgement && encoded.len() == SHORT_ACKNOWLEDGEMENT {
        // Without a Reason Code it is Success; nearly all are.
        return listener.reason(Direction::Sent, of, ReasonCode::Success);
    }
    if let Some(code) = plain_code(of, encoded, version) {
        return listener.reason(Direction::Sent, of, code);
    }
    let Ok(Decoded::Packet(packet, _)) = decode(encoded, version, usize::MAX) else { return };
    let code = |code| listener.reason(Direction::Sent, of, code);
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            code(ack.reason_code)
        }
        Packet::Disconnect(disconnect) => code(disconnect.reason_code),
        Packet::Auth(auth) => code(auth.reason_code),
        Packet::SubAck(ack) => ack.reason_codes.into_iter().for_each(code),
        Packet::UnsubAck(ack) => ack.reason_codes.into_iter().for_each(code),
        _ => {}
    }
}

/// The one Reason Code of a packet where it stands: what else is in the packet is not read.
fn plain_code(of: PacketType, encoded: &[u8], version: ProtocolVersion) -> Option<ReasonCode> {
    let length_bytes = encoded.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let body = encoded.get(1 + length_bytes..)?;
    let at = match of {
        PacketType::ConnAck => 1,
        PacketType::Disconnect | PacketType::Auth => 0,
        PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => 2,
        _ => return None,
    };
    match body.get(at) {
        // The codes of 3.1.1 are others, except this one.
        None | Some(0) => Some(ReasonCode::Success),
        Some(value) if version == ProtocolVersion::V5 => ReasonCode::from_value(*value),
        Some(_) => None,
    }
}

/// Fixed header and Packet Identifier.
const SHORT_ACKNOWLEDGEMENT: usize = 4;

impl Tally for Counts {
    fn count(&mut self, delivered: Delivered) {
        match delivered {
            // Counted when it is written: see [`Counts::sent`].
            Delivered::Sent | Delivered::Queued => {}
            Delivered::QueuedDropping(count) => {
                self.dropped(DropReason::QueueFull.name(), count as u64);
            }
            // A session that is simply away is owed nothing at QoS 0.
            Delivered::Dropped(DropReason::NotConnected) => {}
            Delivered::Dropped(reason) => self.dropped(reason.name(), 1),
            Delivered::Disconnect => self.dropped(DropReason::QueueFull.name(), 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use codec::{ConnAck, Disconnect};

    use super::*;

    #[test]
    fn a_code_is_read_where_it_stands() {
        let check = |packet: Packet<'_>, of, version, expect| {
            let mut encoded = Vec::new();
            packet.encode(version, &mut encoded);
            assert_eq!(plain_code(of, &encoded, version), expect, "{packet:?}");
        };
        let connack = |reason_code| {
            let text = Some("x".repeat(200));
            let connack = ConnAck { reason_code, reason_string: text, ..ConnAck::default() };
            Packet::ConnAck(Box::new(connack))
        };
        let (success, refused) = (ReasonCode::Success, ReasonCode::NotAuthorized);
        let of = PacketType::ConnAck;
        check(connack(success), of, ProtocolVersion::V5, Some(success));
        check(connack(refused), of, ProtocolVersion::V5, Some(refused));
        check(connack(success), of, ProtocolVersion::V311, Some(success));
        check(connack(refused), of, ProtocolVersion::V311, None);
        let over = ReasonCode::SessionTakenOver;
        let disconnect = Packet::Disconnect(Disconnect::new(over));
        check(disconnect, PacketType::Disconnect, ProtocolVersion::V5, Some(over));
    }
}
