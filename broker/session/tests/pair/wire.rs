//! One direction of the link: bytes in transit, and whole packets out of what has arrived.

use std::collections::VecDeque;

use codec::{Decoded, Packet, ProtocolVersion, decode};

/// Bytes on their way, and the start of a packet at the far end.
#[derive(Default)]
pub(crate) struct Wire {
    transit: VecDeque<u8>,
    arrived: Vec<u8>,
}

impl Wire {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.transit.extend(bytes);
    }

    pub(crate) fn in_transit(&self) -> usize {
        self.transit.len()
    }

    /// Lets so many bytes arrive; calls `handle` for each packet that is whole then.
    pub(crate) fn receive(
        &mut self,
        bytes: usize,
        version: ProtocolVersion,
        mut handle: impl FnMut(Packet<'_>, usize),
    ) {
        self.arrived.extend(self.transit.drain(..bytes.min(self.transit.len())));
        let mut taken = 0;
        while taken < self.arrived.len() {
            match decode(&self.arrived[taken..], version, usize::MAX).expect("valid bytes") {
                Decoded::Packet(packet, length) => {
                    taken += length;
                    handle(packet, length);
                }
                Decoded::Incomplete { .. } => break,
            }
        }
        self.arrived.drain(..taken);
    }

    /// The connection is gone with everything on it.
    pub(crate) fn cut(&mut self) {
        *self = Self::default();
    }
}
