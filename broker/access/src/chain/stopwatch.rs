//! How long each link takes, with one look at the clock for each: what ends one begins the next.

use std::time::Duration;

/// Runs from link to link.
pub(crate) struct Stopwatch {
    clock: fn() -> Duration,
    now: Duration,
}

impl Stopwatch {
    /// `clock` never goes back.
    pub(crate) fn start(clock: fn() -> Duration) -> Self {
        Self { clock, now: clock() }
    }

    /// Time since the last lap.
    pub(crate) fn lap(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.now, (self.clock)());
        self.now.saturating_sub(before)
    }

    /// The clock at the last lap.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// The clock itself.
    pub(crate) fn clock(&self) -> fn() -> Duration {
        self.clock
    }
}
