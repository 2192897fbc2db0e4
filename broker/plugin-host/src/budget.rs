//! What one guest call may use: CPU time, wall time, memory. Knows nothing of which plugin or hook
//! it is.
//!
//! The guest is looked at when the epoch ticks. CPU time is the thread's CPU clock between ticks,
//! so that a loaded machine does not kill innocent guests; the wall deadline is an epoch trap plus
//! a time limit on host calls that wait.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// CPU and wall time of one entry into a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// CPU time in the guest and in host calls on its thread.
    pub(crate) cpu: Duration,
    /// Time on the wall, from the entry on.
    pub(crate) wall: Duration,
}

/// Why the host stopped a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The CPU budget is used up.
    Cpu,
    /// The wall deadline has passed.
    Deadline,
}

/// The running account of one store.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    deadline: Instant,
    cpu_used: Duration,
    stopped: Option<Stop>,
}

impl Meter {
    /// An account that starts now.
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            deadline: Instant::now() + budget.wall,
            cpu_used: Duration::ZERO,
            stopped: None,
        }
    }

    /// Starts the account again. The store's epoch deadline must be set by the caller.
    pub(crate) fn arm(&mut self, budget: Budget) {
        *self = Self::new(budget);
    }

    /// When host calls that wait must give up.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What the guest was given.
    pub(crate) fn budget(&self) -> Budget {
        self.budget
    }

    /// Why the host stopped it, if it did.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stopped
    }

    /// A host call that waited ran into the deadline.
    pub(crate) fn stop(&mut self, stop: Stop) {
        self.stopped = Some(stop);
    }

    /// Called when the epoch deadline is reached, that is at most once a tick.
    pub(crate) fn tick(&mut self) -> UpdateDeadline {
        let now = thread_cpu();
        let since = POLL_STARTED.with(|started| started.replace(now));
        self.cpu_used += now.saturating_sub(since);
        if self.cpu_used >= self.budget.cpu {
            self.stopped = Some(Stop::Cpu);
            return UpdateDeadline::Interrupt;
        }
        if Instant::now() >= self.deadline {
            self.stopped = Some(Stop::Deadline);
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Yield(1)
    }
}

thread_local! {
    /// Thread CPU time at which the poll in progress began or was last charged.
    static POLL_STARTED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Must be called at the start of each poll of a future that runs a guest.
pub(crate) fn poll_begins() {
    POLL_STARTED.with(|started| started.set(thread_cpu()));
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory and tables of one store, all its memories together.
#[derive(Debug)]
pub(crate) struct MemoryCap {
    bytes_max: usize,
    bytes: usize,
    last_growth: usize,
    hit: bool,
}

/// Elements per table: QuickJS and SpiderMonkey need nearly 8,000.
const TABLE_ELEMENTS_MAX: usize = 10_000;

impl MemoryCap {
    /// A cap for a new store.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, last_growth: 0, hit: false }
    }

    /// Whether the guest ever wanted more than the cap.
    pub(crate) fn hit(&self) -> bool {
        self.hit
    }

    /// Whether so little is left that the instance is better replaced.
    pub(crate) fn worn_out(&self) -> bool {
        self.bytes > self.bytes_max / 4 * 3
    }

    /// The cap in bytes.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let Some(total) = self.bytes.checked_add(growth) else {
            self.hit = true;
            return Ok(false);
        };
        if total > self.bytes_max {
            self.hit = true;
            return Ok(false);
        }
        self.bytes = total;
        self.last_growth = growth;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.bytes = self.bytes.saturating_sub(self.last_growth);
        self.last_growth = 0;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_cap() {
        let mut cap = MemoryCap::new(3 << 16);
        assert!(cap.memory_growing(0, 1 << 16, None).unwrap());
        assert!(cap.memory_growing(0, 2 << 16, None).unwrap());
        assert!(!cap.hit());
        assert!(cap.worn_out());
        assert!(!cap.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert!(cap.hit());
    }

    #[test]
    fn a_failed_growth_is_given_back() {
        let mut cap = MemoryCap::new(2 << 16);
        assert!(cap.memory_growing(0, 2 << 16, None).unwrap());
        cap.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(cap.memory_growing(0, 2 << 16, None).unwrap());
    }
}
