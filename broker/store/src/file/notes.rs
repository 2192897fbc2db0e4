//! What the log says of messages apart from claims: identifiers of QoS 2 that clients have not
//! released, and messages that they said they have (PUBREC). Before the segment goes away in which such a thing
//! is noted, it is noted again.
//!
//! Bounded by the Receive Maximum of each session, in each direction.

use std::{collections::BTreeMap, num::NonZeroU16};

use codec::PacketId;

use super::record::Record;
use crate::{Origin, SessionKey};

/// Each with the position of the record that says so.
#[derive(Debug, Default)]
pub(super) struct Notes {
    accepted: BTreeMap<(SessionKey, PacketId), u64>,
    received: BTreeMap<(SessionKey, u64), u64>,
}

impl Notes {
    /// An identifier is in use.
    pub(super) fn accept(&mut self, origin: Origin, position: u64) {
        self.accepted.insert((origin.session, origin.packet_id), position);
    }

    /// It no longer is.
    pub(super) fn release(&mut self, origin: Origin) {
        self.accepted.remove(&(origin.session, origin.packet_id));
    }

    /// PUBREC came for a message.
    pub(super) fn receive(&mut self, session: SessionKey, number: u64, position: u64) {
        self.received.insert((session, number), position);
    }

    /// These messages are done with.
    pub(super) fn complete(&mut self, session: SessionKey, numbers: &[u64]) {
        if !self.received.is_empty() {
            for number in numbers {
                self.received.remove(&(session, *number));
            }
        }
    }

    /// The session is over.
    pub(super) fn forget(&mut self, session: SessionKey) {
        let identifiers =
            (session, PacketId(NonZeroU16::MIN))..=(session, PacketId(NonZeroU16::MAX));
        self.accepted.extract_if(identifiers, |_, _| true).for_each(drop);
        self.received.extract_if((session, 0)..=(session, u64::MAX), |_, _| true).for_each(drop);
    }

    /// Hands on what is noted below `end` only; it lies where `write` says then.
    pub(super) fn renew(&mut self, end: u64, mut write: impl FnMut(&Record<'_>) -> u64) {
        for ((session, packet_id), position) in &mut self.accepted {
            if *position < end {
                let origin = Origin { session: *session, packet_id: *packet_id };
                *position = write(&Record::Accepted(origin));
            }
        }
        for ((session, number), position) in &mut self.received {
            if *position < end {
                *position = write(&Record::Received { session: *session, number: *number });
            }
        }
    }
}
