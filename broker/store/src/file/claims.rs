//! Counts what keeps the segments of the log from being given back: claims on the messages in them,
//! and messages whose claims are not known yet.
//!
//! A counter begins where a segment is planned to begin, which is known before anything is appended
//! there. When a failed write makes the writer begin a segment that was not planned, both share one.
//! Knows nothing of files.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use crate::Position;

/// All counters.
pub(super) struct Claims {
    counters: RwLock<BTreeMap<u64, Arc<Counter>>>,
    /// Where the last one begins: what is appended now belongs to it.
    last: AtomicU64,
}

/// What is counted from one position to where the next counter begins.
pub(super) struct Counter {
    pub(super) first: u64,
    /// Messages whose claims are not known yet.
    held: AtomicI64,
    /// Claims that are not settled. Below 0 for a moment when one is settled before it is counted;
    /// the message is held then.
    owed: AtomicI64,
}

impl Counter {
    fn new(first: u64) -> Self {
        Self { first, held: AtomicI64::new(0), owed: AtomicI64::new(0) }
    }

    /// A message was appended, and its claims are not known yet.
    pub(super) fn hold(&self) {
        self.held.fetch_add(1, Ordering::SeqCst);
    }

    /// Nothing in it is needed. In this order: claims are counted before their message is let go.
    fn is_empty(&self) -> bool {
        self.held.load(Ordering::SeqCst) == 0 && self.owed.load(Ordering::SeqCst) == 0
    }
}

impl Claims {
    /// Counters of segments that were found.
    pub(super) fn new(found: &[u64]) -> Self {
        let counter = |first: &u64| (*first, Arc::new(Counter::new(*first)));
        Self {
            counters: RwLock::new(found.iter().map(counter).collect()),
            last: AtomicU64::new(found.last().copied().unwrap_or_default()),
        }
    }

    /// A segment is planned.
    pub(super) fn begin(&self, first: u64) -> Arc<Counter> {
        let counter = Arc::new(Counter::new(first));
        self.counters.write().insert(first, Arc::clone(&counter));
        self.last.store(first, Ordering::SeqCst);
        counter
    }

    /// The counter of a position.
    pub(super) fn at(&self, position: Position) -> Option<Arc<Counter>> {
        let counters = self.counters.read();
        counters.range(..=position.0).next_back().map(|(_, counter)| Arc::clone(counter))
    }

    /// A claim that was found.
    pub(super) fn found(&self, position: Position) {
        if let Some(counter) = self.at(position) {
            counter.owed.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Claims on the message at this place.
    pub(super) fn owe(&self, position: Position, claims: usize) {
        if let Some(counter) = self.at(position) {
            counter.owed.fetch_add(claims as i64, Ordering::SeqCst);
        }
    }

    /// One of them is settled. Whether something can be given back now.
    pub(super) fn settle(&self, position: Position) -> bool {
        self.less(position, |counter| &counter.owed)
    }

    /// All claims on the message are known. Whether something can be given back now.
    pub(super) fn let_go(&self, position: Position) -> bool {
        self.less(position, |counter| &counter.held)
    }

    fn less(&self, position: Position, which: impl Fn(&Counter) -> &AtomicI64) -> bool {
        let Some(counter) = self.at(position) else { return false };
        let one = which(&counter).fetch_sub(1, Ordering::SeqCst) == 1;
        // The last one is not given back, and whoever begins another looks for himself.
        one && counter.is_empty() && counter.first != self.last.load(Ordering::SeqCst)
    }

    /// Nothing below this position is needed any more. `written_from`: where the file begins that is
    /// written to; it stays.
    pub(super) fn settled_below(&self, written_from: u64) -> Option<u64> {
        let counters = self.counters.read();
        let following = counters.keys().skip(1).take_while(|first| **first <= written_from);
        let pairs = counters.values().zip(following);
        pairs.take_while(|(counter, _)| counter.is_empty()).last().map(|(_, end)| *end)
    }

    /// What is below this position was given back.
    pub(super) fn forget_below(&self, end: u64) {
        let mut counters = self.counters.write();
        *counters = counters.split_off(&end);
    }

    /// Where each begins.
    pub(super) fn firsts(&self) -> Vec<Position> {
        self.counters.read().keys().copied().map(Position).collect()
    }
}

#[cfg(test)]
mod tests;
