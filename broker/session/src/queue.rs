//! Messages that wait: for a connection, or for room in the window. Bounded by messages and by
//! bytes. Knows nothing of connections.
//!
//! What the store has need not be in memory: behind the first messages stand those of which only the
//! place is known ([`Stored`]); they are handed in, in their order, when their turn comes near.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use codec::QoS;

use crate::{
    Message,
    inflight::Owed,
    stored::{Claim, Stored, Waiting},
};

/// Limits of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of topics, properties and payloads.
    pub bytes: usize,
    /// What happens to the message that does not fit.
    pub when_full: QueueFull,
}

/// What gives way when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueFull {
    /// The oldest queued messages.
    #[default]
    DropOldest,
    /// The new message.
    DropNewest,
    /// The new message, and the connection of the slow client with 0x97.
    Disconnect,
}

/// What became of a message that was to be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enqueued {
    /// Queued; so many older ones were dropped for it.
    Queued { dropped: usize },
    /// Not queued.
    Refused,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Owed>,
    /// Behind them, and not in memory.
    stored: Stored,
    /// Of all of them.
    bytes: usize,
    /// Before this nothing here expires: a full queue is not searched at every message.
    expires_from: Option<Instant>,
}

/// A message that left the queue.
#[derive(Debug)]
pub(crate) enum Popped {
    /// It was in memory.
    Owed(Owed),
    /// Only the store has it.
    Waiting(Waiting),
}

impl Popped {
    /// What the session holds of it in the store, and its QoS.
    fn claim(&self) -> Option<(Claim, QoS)> {
        match self {
            Self::Owed(owed) => owed.claim.map(|claim| (claim, owed.qos)),
            Self::Waiting(waiting) => Some((waiting.claim, waiting.qos)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Owed(owed) => owed.message.size_bytes(),
            Self::Waiting(waiting) => waiting.bytes,
        }
    }
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.stored.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.stored.is_empty()
    }

    /// The next message, if it is in memory.
    pub(crate) fn front(&self) -> Option<&Owed> {
        self.waiting.front()
    }

    /// Whether a message of so many bytes fits as the queue is.
    pub(crate) fn has_room_for(&self, bytes: usize, limits: &QueueLimits) -> bool {
        self.len() < limits.messages && self.bytes.saturating_add(bytes) <= limits.bytes
    }

    /// Queues a message. What had to give way for it is named to `over`. `in_memory`: a connection is
    /// there and will want it soon.
    pub(crate) fn push(
        &mut self,
        owed: Owed,
        limits: &QueueLimits,
        in_memory: bool,
        mut over: impl FnMut(Claim, QoS),
    ) -> Enqueued {
        let size = owed.message.size_bytes();
        if size > limits.bytes || limits.messages == 0 {
            return Enqueued::Refused;
        }
        let mut dropped = 0;
        while !self.has_room_for(size, limits) {
            if limits.when_full != QueueFull::DropOldest {
                return Enqueued::Refused;
            }
            let Some(oldest) = self.pop() else { return Enqueued::Refused };
            if let Some((claim, qos)) = oldest.claim() {
                over(claim, qos);
            }
            dropped += 1;
        }
        self.count(size, owed.message.expires_at());
        match owed.waiting() {
            Some(waiting) if !in_memory || !self.keeps_another() => {
                self.stored.push_back(&waiting);
            }
            _ => self.waiting.push_back(owed),
        }
        Enqueued::Queued { dropped }
    }

    /// Whether one more message is worth its memory.
    fn keeps_another(&self) -> bool {
        self.stored.is_empty() && self.waiting.len() < IN_MEMORY_MAX && self.bytes <= LOAD_BYTES
    }

    fn count(&mut self, bytes: usize, expires_at: Option<Instant>) {
        self.bytes += bytes;
        self.expires_from = self.expires_from.into_iter().chain(expires_at).min();
    }

    /// Queues a message for which [`Self::has_room_for`] said yes, in memory.
    pub(crate) fn push_behind(&mut self, owed: Owed) {
        self.count(owed.message.size_bytes(), owed.message.expires_at());
        self.waiting.push_back(owed);
    }

    /// Whether little waits, and all of that in memory.
    pub(crate) fn has_few(&self) -> bool {
        self.stored.is_empty() && self.waiting.len() < IN_MEMORY_MIN && self.bytes <= LOAD_BYTES
    }

    /// Puts a message back that was popped last: it was within the limits then.
    pub(crate) fn push_front(&mut self, owed: Owed) {
        self.count(owed.message.size_bytes(), owed.message.expires_at());
        self.waiting.push_front(owed);
    }

    /// Queues a message that an earlier process left, behind all others.
    pub(crate) fn push_stored(&mut self, waiting: &Waiting) {
        self.count(waiting.bytes, waiting.expires_at);
        self.stored.push_back(waiting);
    }

    /// Lets go of the messages that the store has: nobody will want them soon.
    pub(crate) fn leave_to_store(&mut self) {
        if self.waiting.iter().all(|owed| owed.claim.is_some()) {
            let waiting = std::mem::take(&mut self.waiting);
            self.stored.prepend(waiting.iter().filter_map(Owed::waiting));
        }
    }

    /// What is to be handed in next, when little is left in memory.
    pub(crate) fn wanted(&self) -> Vec<Waiting> {
        if self.waiting.len() > IN_MEMORY_MIN {
            return Vec::new();
        }
        let mut bytes = 0;
        let next = self.stored.iter().take(IN_MEMORY_MAX);
        // One at least, however large.
        next.take_while(|waiting| {
            let before = bytes;
            bytes += waiting.bytes;
            before < LOAD_BYTES
        })
        .collect()
    }

    /// Takes the first message that is not in memory, if it is this one.
    pub(crate) fn take_stored(&mut self, claim: Claim) -> Option<Waiting> {
        self.stored.iter().next().filter(|first| first.claim.number == claim.number)?;
        let taken = self.stored.pop_front()?;
        self.bytes -= taken.bytes;
        Some(taken)
    }

    /// Hands in the message that [`Self::take_stored`] took.
    pub(crate) fn hand_in(&mut self, taken: Waiting, message: Arc<Message>) {
        self.count(message.size_bytes(), message.expires_at());
        let Waiting { claim, qos, retain, shared, subscription_identifiers, .. } = taken;
        let claim = Some(claim);
        self.waiting.push_back(Owed {
            message,
            transformed: None,
            claim,
            qos,
            retain,
            shared,
            subscription_identifiers,
        });
    }

    /// The next message in memory.
    pub(crate) fn pop_owed(&mut self) -> Option<Owed> {
        let owed = self.waiting.pop_front()?;
        self.bytes -= owed.message.size_bytes();
        self.release_memory();
        Some(owed)
    }

    /// The oldest message.
    pub(crate) fn pop(&mut self) -> Option<Popped> {
        let owed = self.waiting.pop_front().map(Popped::Owed);
        let popped = owed.or_else(|| self.stored.pop_front().map(Popped::Waiting))?;
        self.bytes -= popped.bytes();
        self.release_memory();
        Some(popped)
    }

    /// Drops what has expired [MQTT-3.3.2-5]; returns how many. What the store has of them is named to
    /// `over`.
    pub(crate) fn drop_expired(&mut self, now: Instant, over: impl FnMut(Claim, QoS)) -> usize {
        if self.expires_from.is_none_or(|at| at > now) {
            return 0;
        }
        let waits_on = |waiting: &Waiting| waiting.expires_at.is_none_or(|at| at > now);
        self.retain(|owed| !owed.message.is_expired(now), Some(waits_on), over)
    }

    /// Keeps of what is in memory what `keep` says; returns how many went. What the store has of them is
    /// named to `over`.
    pub(crate) fn retain_owed(
        &mut self,
        keep: impl FnMut(&Owed) -> bool,
        over: impl FnMut(Claim, QoS),
    ) -> usize {
        self.retain(keep, None::<fn(&Waiting) -> bool>, over)
    }

    fn retain(
        &mut self,
        mut keep_owed: impl FnMut(&Owed) -> bool,
        keep_stored: Option<impl Fn(&Waiting) -> bool>,
        mut over: impl FnMut(Claim, QoS),
    ) -> usize {
        let before = self.len();
        self.waiting.retain(|owed| {
            let keep = keep_owed(owed);
            if let Some(claim) = owed.claim.filter(|_| !keep) {
                over(claim, owed.qos);
            }
            keep
        });
        if let Some(keep_stored) = keep_stored {
            self.stored.retain(|waiting| {
                let keep = keep_stored(waiting);
                if !keep {
                    over(waiting.claim, waiting.qos);
                }
                keep
            });
        }
        let owed = self.waiting.iter().map(|o| (o.message.size_bytes(), o.message.expires_at()));
        let stored = self.stored.iter().map(|waiting| (waiting.bytes, waiting.expires_at));
        let (mut bytes, mut expires_from) = (0, None::<Instant>);
        for (size, expires_at) in owed.chain(stored) {
            bytes += size;
            expires_from = expires_from.into_iter().chain(expires_at).min();
        }
        (self.bytes, self.expires_from) = (bytes, expires_from);
        let gone = before - self.len();
        self.release_memory();
        gone
    }

    /// All that is in memory, for those who may change it.
    pub(crate) fn owed_mut(&mut self) -> impl Iterator<Item = &mut Owed> {
        self.waiting.iter_mut()
    }

    /// All that is in memory.
    pub(crate) fn owed(&self) -> impl Iterator<Item = &Owed> {
        self.waiting.iter()
    }

    /// All that is not in memory.
    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// As [`Self::stored`], to be changed; their number stays.
    pub(crate) fn stored_mut(&mut self) -> &mut Stored {
        &mut self.stored
    }

    /// What is known of all messages that the store has.
    pub(crate) fn in_store(&self) -> impl Iterator<Item = Waiting> {
        self.waiting.iter().filter_map(Owed::waiting).chain(self.stored.iter())
    }

    /// The first message in its order that the store has.
    pub(crate) fn first_number(&self) -> Option<u64> {
        let owed = self.waiting.front().and_then(|owed| owed.claim);
        let claim = owed.or_else(|| self.stored.iter().next().map(|waiting| waiting.claim))?;
        Some(claim.number.get())
    }

    /// A queue that was long once must not cost an idle client its memory for good.
    fn release_memory(&mut self) {
        if self.is_empty() {
            self.expires_from = None;
        }
        if self.waiting.is_empty() && self.waiting.capacity() > MESSAGES_KEPT {
            self.waiting = VecDeque::new();
        }
    }
}

/// Messages that the store has and that are in memory all the same.
const IN_MEMORY_MAX: usize = 128;
/// With so many or fewer left in memory, more are wanted.
const IN_MEMORY_MIN: usize = 32;
/// Bytes that are handed in at once, but for the last message.
const LOAD_BYTES: usize = 256 << 10;
/// Messages whose memory an empty queue keeps.
const MESSAGES_KEPT: usize = 4;

#[cfg(test)]
mod tests;
