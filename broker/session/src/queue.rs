//! Messages that wait: for a connection, or for room in the window. Bounded by messages and by bytes.

use std::{collections::VecDeque, time::Instant};

use crate::inflight::Owed;

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
    bytes: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn push(&mut self, owed: Owed, limits: &QueueLimits, now: Instant) -> Enqueued {
        let size = owed.message.size_bytes();
        if size > limits.bytes || limits.messages == 0 {
            return Enqueued::Refused;
        }
        let fits = |queue: &Self| {
            queue.waiting.len() < limits.messages && queue.bytes + size <= limits.bytes
        };
        if !fits(self) {
            self.retain(|queued| !queued.message.is_expired(now));
        }
        let mut dropped = 0;
        while !fits(self) {
            if limits.when_full != QueueFull::DropOldest || self.pop().is_none() {
                return Enqueued::Refused;
            }
            dropped += 1;
        }
        self.bytes += size;
        self.waiting.push_back(owed);
        Enqueued::Queued { dropped }
    }

    pub(crate) fn pop(&mut self) -> Option<Owed> {
        let owed = self.waiting.pop_front()?;
        self.bytes -= owed.message.size_bytes();
        if self.waiting.is_empty() {
            // A queue that was long once must not cost an idle client its memory for good.
            self.waiting = VecDeque::new();
        }
        Some(owed)
    }

    /// Keeps what `keep` says; returns how many went.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Owed) -> bool) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(keep);
        self.bytes = self.waiting.iter().map(|o| o.message.size_bytes()).sum();
        before - self.waiting.len()
    }
}
