//! Packet identifiers that we give out [MQTT-2.2.1-4].

use codec::PacketId;

/// Gives out identifiers in turn, so that one is reused as late as possible.
#[derive(Debug, Default)]
pub(crate) struct PacketIds {
    last: u16,
}

impl PacketIds {
    /// The next identifier that `in_use` does not name. The caller keeps fewer than 65,535 in use.
    pub(crate) fn next(&mut self, in_use: impl Fn(PacketId) -> bool) -> Option<PacketId> {
        for _ in 0..=u16::MAX {
            self.last = self.last.wrapping_add(1);
            if let Some(id) = PacketId::new(self.last)
                && !in_use(id)
            {
                return Some(id);
            }
        }
        None
    }
}
