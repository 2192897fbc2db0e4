//! Messages that wait: for a connection, or for room in the window. Bounded by messages and by
//! bytes. Knows nothing of connections.

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
    /// Before this nothing here expires: a full queue is not searched at every message.
    expires_from: Option<Instant>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a message fits as the queue is.
    pub(crate) fn has_room_for(&self, owed: &Owed, limits: &QueueLimits) -> bool {
        self.waiting.len() < limits.messages
            && self.bytes.saturating_add(owed.message.size_bytes()) <= limits.bytes
    }

    pub(crate) fn push(&mut self, owed: Owed, limits: &QueueLimits) -> Enqueued {
        let size = owed.message.size_bytes();
        if size > limits.bytes || limits.messages == 0 {
            return Enqueued::Refused;
        }
        let mut dropped = 0;
        while !self.has_room_for(&owed, limits) {
            if limits.when_full != QueueFull::DropOldest || self.pop().is_none() {
                return Enqueued::Refused;
            }
            dropped += 1;
        }
        self.bytes += size;
        let expiries = self.expires_from.into_iter().chain(owed.message.expires_at());
        self.expires_from = expiries.min();
        self.waiting.push_back(owed);
        Enqueued::Queued { dropped }
    }

    /// Puts a message back that was popped last: it was within the limits then.
    pub(crate) fn push_front(&mut self, owed: Owed) {
        self.bytes += owed.message.size_bytes();
        let expiries = self.expires_from.into_iter().chain(owed.message.expires_at());
        self.expires_from = expiries.min();
        self.waiting.push_front(owed);
    }

    pub(crate) fn pop(&mut self) -> Option<Owed> {
        let owed = self.waiting.pop_front()?;
        self.bytes -= owed.message.size_bytes();
        self.release_memory();
        Some(owed)
    }

    /// Drops what has expired [MQTT-3.3.2-5]; returns how many.
    pub(crate) fn drop_expired(&mut self, now: Instant) -> usize {
        if self.expires_from.is_none_or(|at| at > now) {
            return 0;
        }
        self.retain(|owed| !owed.message.is_expired(now))
    }

    /// Keeps what `keep` says; returns how many went.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Owed) -> bool) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(keep);
        let messages = || self.waiting.iter().map(|owed| &owed.message);
        self.bytes = messages().map(|message| message.size_bytes()).sum();
        self.expires_from = messages().filter_map(|message| message.expires_at()).min();
        let gone = before - self.waiting.len();
        self.release_memory();
        gone
    }

    /// A queue that was long once must not cost an idle client its memory for good.
    fn release_memory(&mut self) {
        if self.waiting.is_empty() {
            self.expires_from = None;
            if self.waiting.capacity() > MESSAGES_KEPT {
                self.waiting = VecDeque::new();
            }
        }
    }
}

/// Messages whose memory an empty queue keeps.
const MESSAGES_KEPT: usize = 4;

#[cfg(test)]
mod tests;
