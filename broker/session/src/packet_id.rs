//! Packet identifiers that we give out [MQTT-2.2.1-4]. Knows nothing of what they stand for.

use codec::PacketId;

/// Gives out identifiers in turn, so that one is reused as late as possible.
///
/// It remembers how far ahead nothing is in use: the identifiers in use are looked at once per such
/// stretch, not once per message. Identifiers that become free meanwhile only make it longer.
#[derive(Debug, Default)]
pub(crate) struct PacketIds {
    last: u16,
    /// So many identifiers after `last` are free.
    free_ahead: u16,
}

impl PacketIds {
    /// The next free identifier; `None` when all 65,535 are in use. `in_use` must name every
    /// identifier that was given out and is not free again.
    pub(crate) fn next(&mut self, in_use: impl Iterator<Item = PacketId>) -> Option<PacketId> {
        if self.free_ahead == 0 {
            self.look_ahead(in_use);
        }
        self.free_ahead = self.free_ahead.checked_sub(1)?;
        self.last = self.after(1);
        PacketId::new(self.last)
    }

    /// Finds the next stretch of free identifiers.
    fn look_ahead(&mut self, in_use: impl Iterator<Item = PacketId>) {
        let first = self.after(1);
        // Distance from the first candidate, going round.
        let mut used: Vec<u16> = in_use
            .map(|id| id.get().checked_sub(first).unwrap_or_else(|| u16::MAX - first + id.get()))
            .collect();
        used.sort_unstable();
        let mut skipped = 0;
        let mut next_used = u16::MAX;
        for distance in used {
            if distance != skipped {
                next_used = distance;
                break;
            }
            skipped += 1;
        }
        self.last = self.after(skipped);
        self.free_ahead = next_used - skipped;
    }

    /// The identifier `steps` after the last one; 0 is none [MQTT-2.2.1-3].
    fn after(&self, steps: u16) -> u16 {
        match self.last.overflowing_add(steps) {
            (id, false) => id,
            (id, true) => id + 1,
        }
    }
}

#[cfg(test)]
mod tests;
