//! What one connection counted since its last turn: added to the shared counters once per turn, not per message.

use std::sync::Arc;

use codec::{PacketType, QoS, outlines};
use session::{Delivered, DropReason};
use telemetry::{Metrics, events::MessageDropped};

use crate::router::Tally;

/// Counts of one turn.
pub(crate) struct Counts {
    metrics: Arc<Metrics>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    publish_received: [u64; 3],
    publish_sent: [u64; 3],
    publish_bytes_received: u64,
    publish_bytes_sent: u64,
    any: bool,
    /// What was added to the shared counters.
    flushed_received: u64,
    flushed_sent: u64,
}

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

impl Counts {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            bytes_received: 0,
            bytes_sent: 0,
            publish_received: [0; 3],
            publish_sent: [0; 3],
            publish_bytes_received: 0,
            publish_bytes_sent: 0,
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

    /// These packets are written, whole ones one behind the other.
    pub(crate) fn sent(&mut self, encoded: &[u8]) {
        for packet in outlines(encoded) {
            if packet.packet_type != PacketType::Publish {
                self.metrics.packets_sent.of(packet.packet_type).inc();
                continue;
            }
            self.any = true;
            self.publish_bytes_sent += packet.bytes as u64;
            if let Some(count) = self.publish_sent.get_mut(packet.qos as usize) {
                *count += 1;
            }
        }
    }

    /// A PUBLISH of so many bytes came.
    pub(crate) fn publish_bytes(&mut self, bytes: usize) {
        self.any = true;
        self.publish_bytes_received += bytes as u64;
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
        metrics.publish_bytes_received.inc_by(std::mem::take(&mut self.publish_bytes_received));
        metrics.publish_bytes_sent.inc_by(std::mem::take(&mut self.publish_bytes_sent));
        let received = std::mem::take(&mut self.publish_received);
        let sent = std::mem::take(&mut self.publish_sent);
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
