//! Answers that promise what the store does not have for good yet: written to the client once it does, in the order
//! of the packets that they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3].

use std::collections::VecDeque;

use store::Ticket;

use crate::{connection::Connection, disconnect::FAREWELL};

/// Answers that wait.
#[derive(Default)]
pub(crate) struct Held {
    /// What each waits for, and how long it is.
    answers: VecDeque<(Ticket, usize)>,
    bytes: Vec<u8>,
}

/// Bytes from which on the client is not read: it sends faster than the disk writes.
const FULL_BYTES: usize = 16 * 1024;

impl Held {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL_BYTES
    }

    /// What is waited for next.
    pub(crate) fn next(&self) -> Option<Ticket> {
        self.answers.front().map(|(ticket, _)| *ticket)
    }

    /// Moves what need not wait any more behind `output`.
    pub(crate) fn release(&mut self, durable: Ticket, output: &mut Vec<u8>) {
        let mut ready = 0;
        while let Some((_, length)) = self.answers.pop_front_if(|(ticket, _)| *ticket <= durable) {
            ready += length;
        }
        if ready > 0 {
            output.extend(self.bytes.drain(..ready));
        }
        if self.answers.is_empty() {
            // Who has nothing to wait for owns no buffer.
            *self = Self::default();
        }
    }

    fn push(&mut self, ticket: Ticket, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        encode(&mut self.bytes);
        let length = self.bytes.len() - before;
        match self.answers.back_mut() {
            Some((last, bytes)) if *last >= ticket => *bytes += length,
            _ => self.answers.push_back((ticket, length)),
        }
    }
}

impl Connection {
    /// Moves answers to the output that need not wait any more.
    pub(crate) fn release_held(&mut self, durable: Ticket) {
        self.held.release(durable, &mut self.output);
        self.is_greeting &= self.held.next().is_some();
    }

    /// The connection ends: what was answered is still to be said, if the disk is not too slow.
    pub(crate) async fn await_held(&mut self) {
        let Some((last, _)) = self.held.answers.back() else { return };
        let last = *last;
        if tokio::time::timeout(FAREWELL, self.core.durable(last)).await.is_ok() {
            self.release_held(last);
        }
    }

    /// Writes an answer: at once, or when everything up to `ticket` is durable; never before an answer that waits.
    pub(crate) fn answer(&mut self, ticket: Option<Ticket>, encode: impl FnOnce(&mut Vec<u8>)) {
        let last = self.held.answers.back().map(|(ticket, _)| *ticket);
        match (ticket.max(last), &self.core.store) {
            (Some(ticket), Some(store)) if last.is_some() || store.durable() < ticket => {
                self.held.push(ticket, encode);
            }
            _ => encode(&mut self.output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_in_their_order_once_they_are_true() {
        let mut held = Held::default();
        for (ticket, answer) in [(3, "a"), (5, "bc"), (4, "d"), (5, "e"), (6, "f")] {
            held.push(Ticket(ticket), |out| out.extend_from_slice(answer.as_bytes()));
        }
        let mut output = Vec::new();
        for (durable, expect, next) in
            [(2, "", Some(3)), (3, "a", Some(5)), (4, "a", Some(5)), (5, "abcde", Some(6))]
        {
            held.release(Ticket(durable), &mut output);
            assert_eq!((output.as_slice(), held.next()), (expect.as_bytes(), next.map(Ticket)));
        }
        held.release(Ticket(9), &mut output);
        assert_eq!((output.as_slice(), held.next()), (b"abcdef".as_slice(), None));
        assert_eq!(held.bytes.capacity(), 0);
    }

    #[test]
    fn too_many_stop_the_reading() {
        let mut held = Held::default();
        held.push(Ticket(1), |out| out.resize(FULL_BYTES - 1, 0));
        assert!(!held.is_full());
        held.push(Ticket(2), |out| out.push(0));
        assert!(held.is_full());
        held.release(Ticket(1), &mut Vec::new());
        assert!(!held.is_full());
    }
}
