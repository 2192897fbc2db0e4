//! Whether the messages of one stream arrive once each and in order, in 16 bytes a stream.

/// What the arrival of a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In order; those between the last and it are missing so far.
    InOrder,
    /// One that was missing: later ones overtook it.
    Overtaken,
    /// Not for the first time, or so late that nobody can tell.
    Again,
}

/// What one subscriber has seen of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequence {
    /// The highest number.
    last: u32,
    /// Of the 64 numbers up to it, those that came; the lowest bit is `last` itself.
    came: u64,
}

impl Sequence {
    /// Notes that number `sequence` (from 1) arrived.
    pub(crate) fn arrived(&mut self, sequence: u32) -> Arrival {
        if sequence > self.last {
            self.came = self.came.checked_shl(sequence - self.last).unwrap_or(0) | 1;
            self.last = sequence;
            return Arrival::InOrder;
        }
        match 1_u64.checked_shl(self.last - sequence) {
            Some(bit) if sequence > 0 && self.came & bit == 0 => {
                self.came |= bit;
                Arrival::Overtaken
            }
            _ => Arrival::Again,
        }
    }
}

/// What went wrong with deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Payload, topic or flags are not what was published.
    pub(crate) damaged: u64,
    /// Came to a subscriber that did not subscribe to it.
    pub(crate) misrouted: u64,
    pub(crate) overtaken: u64,
    pub(crate) repeated: u64,
    /// Never came.
    pub(crate) lost: u64,
    /// PUBLISH or SUBSCRIBE answered with a refusal.
    pub(crate) refused: u64,
}

impl Faults {
    /// A sentence for each kind.
    pub(crate) fn sentences(&self) -> Vec<String> {
        [
            (self.damaged, "deliveries differ from what was published"),
            (self.misrouted, "deliveries came to somebody who did not subscribe to them"),
            (self.overtaken, "deliveries were overtaken by later ones of their publisher"),
            (self.repeated, "deliveries came again"),
            (self.lost, "deliveries never came"),
            (self.refused, "packets were answered with a refusal"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Arrival::{Again, InOrder, Overtaken};
    use super::*;

    #[track_caller]
    fn check(numbers: &[u32], expected: &[Arrival]) {
        let mut sequence = Sequence::default();
        let seen: Vec<_> = numbers.iter().map(|number| sequence.arrived(*number)).collect();
        assert_eq!(seen, expected, "{numbers:?}");
    }

    #[test]
    fn order_overtaking_and_repetition_are_told_apart() {
        check(&[1, 2, 3], &[InOrder, InOrder, InOrder]);
        check(&[1, 3, 2], &[InOrder, InOrder, Overtaken]);
        check(&[1, 1], &[InOrder, Again]);
        check(&[3, 1, 1, 2], &[InOrder, Overtaken, Again, Overtaken]);
        check(&[0], &[Again]);
    }

    #[test]
    fn far_jumps_do_not_confuse_it() {
        check(&[1, 64, 1, 2], &[InOrder, InOrder, Again, Overtaken]);
        check(&[1, 65, 1, 2], &[InOrder, InOrder, Again, Overtaken]);
        check(&[1, 66, 1, 67], &[InOrder, InOrder, Again, InOrder]);
        check(&[1, 4_000_000_000, 1], &[InOrder, InOrder, Again]);
    }

    #[test]
    fn only_faults_that_were_seen_are_told() {
        assert!(Faults::default().sentences().is_empty());
        let told = Faults { lost: 3, ..Faults::default() }.sentences();
        assert_eq!(told, ["3 deliveries never came"]);
    }
}
