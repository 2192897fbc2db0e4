//! QoS 2 from the client (section 4.3.3): which packet identifiers it has not released yet.
//!
//! QoS 1 needs no state: it is acknowledged in the turn in which it came. A message is handed on
//! when its PUBLISH comes (method B of figure 4.3); the identifier is noted before that, so that a
//! repetition is never handed on twice.

use codec::{PacketId, ProtocolVersion, ReasonCode};

use crate::{Error, Session};

/// What a QoS 2 PUBLISH is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// New: hand it on, then answer PUBREC.
    New,
    /// A repetition: answer PUBREC and nothing else [MQTT-4.3.3-10].
    Duplicate,
}

/// QoS 2 packet identifiers received and not yet released [MQTT-4.3.3-10], sorted. Identifiers
/// mostly grow, so that most come at the end; few are there at once.
#[derive(Debug, Default)]
pub(crate) struct Unreleased {
    sorted: Vec<u16>,
}

impl Unreleased {
    fn find(&self, packet_id: PacketId) -> Result<usize, usize> {
        self.sorted.binary_search(&packet_id.get())
    }

    fn remove(&mut self, packet_id: PacketId) -> bool {
        let Ok(at) = self.find(packet_id) else { return false };
        self.sorted.remove(at);
        if self.sorted.is_empty() && self.sorted.capacity() > IDENTIFIERS_KEPT {
            self.sorted = Vec::new();
        }
        true
    }
}

/// Identifiers whose memory an empty set keeps.
const IDENTIFIERS_KEPT: usize = 32;

impl Session {
    /// Notes the identifier of a QoS 2 PUBLISH. A 5.0 client that ignores our Receive Maximum is an
    /// error [MQTT-3.3.4-7]; a 3.1.1 client was never told one, and its bound is the number of
    /// identifiers: 128 KiB.
    pub fn handle_publish_exactly_once(&mut self, packet_id: PacketId) -> Result<Inbound, Error> {
        let Err(at) = self.unreleased.find(packet_id) else {
            return Ok(Inbound::Duplicate);
        };
        let full = self.awaiting_release() >= self.limits.receive_maximum.into();
        if full && self.version() == Some(ProtocolVersion::V5) {
            return Err(Error::ReceiveMaximumExceeded);
        }
        self.unreleased.sorted.insert(at, packet_id.get());
        Ok(Inbound::New)
    }

    /// The PUBLISH was answered with a failing PUBREC: its identifier is free again
    /// [MQTT-4.3.3-9].
    pub fn forget_publish(&mut self, packet_id: PacketId) {
        self.unreleased.remove(packet_id);
    }

    /// PUBREL: frees the identifier. The code goes into PUBCOMP [MQTT-4.3.3-11].
    pub fn handle_pubrel(&mut self, packet_id: PacketId) -> ReasonCode {
        if self.unreleased.remove(packet_id) {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        }
    }

    /// QoS 2 messages from the client that it has not released.
    pub fn awaiting_release(&self) -> usize {
        self.unreleased.sorted.len()
    }
}

#[cfg(test)]
mod tests;
