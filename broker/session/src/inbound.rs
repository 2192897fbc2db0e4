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
    sorted: Vec<Received>,
    /// How many PUBLISH packets among them came on this connection: Receive Maximum is about those
    /// only (section 3.1.2.11.3).
    here: usize,
    /// PUBREL packets on this connection for a PUBLISH of an earlier one, at most Receive Maximum.
    ///
    /// A client that counts as section 4.9 says starts a connection with its full quota, sends such
    /// a PUBREL without using any of it, and gains one by its PUBCOMP: it may have so many more
    /// messages in flight, and is not to blame for it.
    from_earlier: u16,
}

#[derive(Debug)]
struct Received {
    packet_id: u16,
    /// Its PUBLISH came on the present connection.
    here: bool,
    /// The store was told of it, and is to be told of its end.
    stored: bool,
}

impl Unreleased {
    fn find(&self, packet_id: PacketId) -> Result<usize, usize> {
        self.sorted.binary_search_by_key(&packet_id.get(), |received| received.packet_id)
    }

    fn remove(&mut self, packet_id: PacketId) -> Option<Received> {
        let at = self.find(packet_id).ok()?;
        let received = self.sorted.remove(at);
        self.here -= usize::from(received.here);
        if self.sorted.is_empty() && self.sorted.capacity() > IDENTIFIERS_KEPT {
            self.sorted = Vec::new();
        }
        Some(received)
    }

    /// Notes one that came in an earlier process.
    pub(crate) fn recover(&mut self, packet_id: PacketId) {
        if let Err(at) = self.find(packet_id) {
            let received = Received { packet_id: packet_id.get(), here: false, stored: true };
            self.sorted.insert(at, received);
        }
    }

    /// What is known came on an earlier connection from now on.
    pub(crate) fn begin_connection(&mut self) {
        self.from_earlier = 0;
        self.here = 0;
        for received in &mut self.sorted {
            received.here = false;
        }
    }
}

/// Identifiers that one session may leave unreleased: each costs memory, and a note in the store.
const AWAITING_RELEASE_MAX: usize = 1_024;
/// Identifiers whose memory an empty set keeps.
const IDENTIFIERS_KEPT: usize = 16;

impl Session {
    /// Whether a QoS 2 PUBLISH with this identifier came before; nothing is noted.
    pub fn was_received(&self, packet_id: PacketId) -> bool {
        self.unreleased.find(packet_id).is_ok()
    }

    /// Notes the identifier of a QoS 2 PUBLISH. A 5.0 client that ignores our Receive Maximum is an
    /// error [MQTT-3.3.4-7]. A 3.1.1 client was never told one, and one that releases nothing over many
    /// connections keeps to it on each: their bound is [`AWAITING_RELEASE_MAX`].
    pub fn handle_publish_exactly_once(&mut self, packet_id: PacketId) -> Result<Inbound, Error> {
        let v5 = self.version() == Some(ProtocolVersion::V5);
        let unreleased = &mut self.unreleased;
        let found = unreleased.find(packet_id);
        if let Some(received) = found.ok().and_then(|at| unreleased.sorted.get_mut(at)) {
            unreleased.here += usize::from(!received.here);
            received.here = true;
            return Ok(Inbound::Duplicate);
        }
        let most = usize::from(self.limits.receive_maximum) + usize::from(unreleased.from_earlier);
        if v5 && unreleased.here >= most {
            return Err(Error::ReceiveMaximumExceeded);
        }
        if unreleased.sorted.len() >= AWAITING_RELEASE_MAX {
            return Err(Error::ReceiveMaximumExceeded);
        }
        if let Err(at) = found {
            let received = Received { packet_id: packet_id.get(), here: true, stored: false };
            unreleased.sorted.insert(at, received);
            unreleased.here += 1;
        }
        Ok(Inbound::New)
    }

    /// The PUBLISH was answered with a failing PUBREC: its identifier is free again
    /// [MQTT-4.3.3-9].
    pub fn forget_publish(&mut self, packet_id: PacketId) {
        self.unreleased.remove(packet_id);
    }

    /// The store was told of the identifier: when it is freed, it must be told again.
    pub fn note_stored(&mut self, packet_id: PacketId) {
        let unreleased = &mut self.unreleased;
        let found = unreleased.find(packet_id).ok();
        if let Some(received) = found.and_then(|at| unreleased.sorted.get_mut(at)) {
            received.stored = true;
        }
    }

    /// PUBREL: frees the identifier. The code goes into PUBCOMP [MQTT-4.3.3-11]; and whether the store
    /// was told of the identifier, so that it must be told of this before PUBCOMP is sent.
    pub fn handle_pubrel(&mut self, packet_id: PacketId) -> (ReasonCode, bool) {
        let released = self.unreleased.remove(packet_id);
        let stored = released.as_ref().is_some_and(|received| received.stored);
        if released.as_ref().is_none_or(|received| !received.here) {
            let most = self.limits.receive_maximum;
            self.unreleased.from_earlier = self.unreleased.from_earlier.saturating_add(1).min(most);
        }
        let code = match released {
            Some(_) => ReasonCode::Success,
            None => ReasonCode::PacketIdentifierNotFound,
        };
        (code, stored)
    }

    /// QoS 2 messages from the client that it has not released.
    pub fn awaiting_release(&self) -> usize {
        self.unreleased.sorted.len()
    }
}

#[cfg(test)]
mod tests;
