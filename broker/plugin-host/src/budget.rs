//! What one guest call may use: CPU time, wall time, memory. Knows nothing of which plugin or hook
//! it is.
//!
//! The guest is looked at when the epoch ticks and when it asks the host to wait: those are the
//! places where it gives its thread up. CPU time is the thread's CPU clock, so that a loaded machine
//! does not kill innocent guests; only the time up to the first look at a call is estimated, see
//! [`charge_call_from_here`]. The wall deadline is an epoch trap plus a time limit on host calls that
//! wait.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::engine::TICK;

/// CPU and wall time of one entry into a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// CPU time in the guest and in host calls on its thread.
    pub(crate) cpu: Duration,
    /// Time on the wall, from the entry on.
    pub(crate) wall: Duration,
}

impl Budget {
    /// The wall clock starts now.
    pub(crate) fn starting_now(self) -> Allowance {
        Allowance { cpu: self.cpu, wall: self.wall, deadline: Instant::now() + self.wall }
    }
}

/// A budget whose wall clock runs: entries that belong to one call share the deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    cpu: Duration,
    wall: Duration,
    deadline: Instant,
}

impl Allowance {
    /// The same deadline with other CPU time.
    pub(crate) fn with_cpu(self, cpu: Duration) -> Self {
        Self { cpu, ..self }
    }
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
    allowance: Allowance,
    cpu_used: Duration,
    stopped: Option<Stop>,
}

impl Meter {
    /// An account of which nothing is used yet.
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self { allowance, cpu_used: Duration::ZERO, stopped: None }
    }

    /// Starts the account again. The store's epoch deadline must be set by the caller.
    pub(crate) fn arm(&mut self, allowance: Allowance) {
        *self = Self::new(allowance);
    }

    /// When host calls that wait must give up.
    pub(crate) fn deadline(&self) -> Instant {
        self.allowance.deadline
    }

    /// CPU and wall time that the guest was given.
    pub(crate) fn budget(&self) -> Budget {
        Budget { cpu: self.allowance.cpu, wall: self.allowance.wall }
    }

    /// CPU time that was charged.
    pub(crate) fn cpu_used(&self) -> Duration {
        self.cpu_used
    }

    /// Why the host stopped it, if it did.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stopped
    }

    /// A host call that waited ran into the deadline.
    pub(crate) fn stop(&mut self, stop: Stop) {
        self.stopped = Some(stop);
    }

    /// Charges the CPU time since the poll began or was last charged. Must be called before
    /// everything that may give the thread up, or the time until there is never charged.
    pub(crate) fn charge(&mut self) -> Result<(), Stop> {
        let now = thread_cpu();
        self.cpu_used += match CHARGED_UNTIL.replace(Mark::Cpu(now)) {
            Mark::Cpu(since) => now.saturating_sub(since),
            // Where the CPU clock stood then is not known, only that a guest is looked at each tick.
            Mark::Wall(since) => since.elapsed().min(TICK / 2),
        };
        if self.cpu_used >= self.allowance.cpu {
            self.stopped = Some(Stop::Cpu);
            return Err(Stop::Cpu);
        }
        Ok(())
    }

    /// Called when the epoch deadline is reached, that is at most once a tick.
    pub(crate) fn tick(&mut self) -> UpdateDeadline {
        if self.charge().is_err() {
            return UpdateDeadline::Interrupt;
        }
        if Instant::now() >= self.allowance.deadline {
            self.stopped = Some(Stop::Deadline);
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Yield(1)
    }

    /// Called by host calls that wait, before they do.
    pub(crate) fn before_wait(&mut self) -> wasmtime::Result<()> {
        self.charge().map_err(|_| wasmtime::Error::msg("the CPU budget is used up"))
    }
}

/// Up to where the poll in progress is charged.
#[derive(Clone, Copy)]
enum Mark {
    /// By the CPU clock of this thread.
    Cpu(Duration),
    /// By the clock on the wall: it costs no system call.
    Wall(Instant),
}

thread_local! {
    /// Of this call's account, or of somebody else's before [`charge_from_here`].
    static CHARGED_UNTIL: Cell<Mark> = const { Cell::new(Mark::Cpu(Duration::ZERO)) };
}

/// From here on CPU time of this thread is the next account's. Must be called at the start of each
/// poll of a future that runs a guest but the first.
pub(crate) fn charge_from_here() {
    CHARGED_UNTIL.set(Mark::Cpu(thread_cpu()));
}

/// The same for the first poll of a call. Nearly all calls end in it within microseconds and are
/// never charged: the CPU clock, a system call, is asked only when the guest is looked at. Until
/// then it is charged by the wall, half a tick at most: less than any budget, so that a busy machine
/// kills no innocent guest.
pub(crate) fn charge_call_from_here() {
    CHARGED_UNTIL.set(Mark::Wall(Instant::now()));
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory and tables of one store, all its memories and all its tables together.
#[derive(Debug)]
pub(crate) struct MemoryCap {
    bytes_max: usize,
    bytes: usize,
    last_growth: usize,
    elements: usize,
    last_elements: usize,
    hit: bool,
}

/// Elements of all tables: QuickJS and SpiderMonkey need nearly 8,000.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Core instances, tables and memories of one store. A component made from a core module has a shim
/// and a fixup module beside it, with a table; QuickJS has three memories, CPython 38 instances.
pub(crate) const CORE_INSTANCES_MAX: u32 = 64;
pub(crate) const TABLES_MAX: u32 = 32;
pub(crate) const MEMORIES_MAX: u32 = 4;

impl MemoryCap {
    /// A cap for a new store.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, last_growth: 0, elements: 0, last_elements: 0, hit: false }
    }

    /// Whether the guest ever wanted more than the cap.
    pub(crate) fn hit(&self) -> bool {
        self.hit
    }

    /// Whether so little is left that the instance is better replaced.
    pub(crate) fn worn_out(&self) -> bool {
        self.bytes > self.bytes_max / 4 * 3
    }

    /// What it has taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
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
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.elements.saturating_add(growth);
        if total > TABLE_ELEMENTS_MAX {
            return Ok(false);
        }
        self.elements = total;
        self.last_elements = growth;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.elements = self.elements.saturating_sub(self.last_elements);
        self.last_elements = 0;
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
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
    fn tables_share_one_cap() {
        let mut cap = MemoryCap::new(1 << 16);
        assert!(cap.table_growing(0, 7_690, None).unwrap());
        assert!(cap.table_growing(0, 2_000, None).unwrap());
        assert!(!cap.table_growing(0, 400, None).unwrap());
        assert!(cap.table_growing(2_000, 2_300, None).unwrap());
        cap.table_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(cap.table_growing(2_000, 2_300, None).unwrap());
        assert!(!cap.table_growing(0, usize::MAX, None).unwrap());
    }

    #[test]
    fn every_charge_counts_from_the_last() {
        let budget = Budget { cpu: Duration::from_millis(20), wall: Duration::from_secs(60) };
        let mut meter = Meter::new(budget.starting_now());
        charge_from_here();
        let mut charges = 0;
        while meter.charge().is_ok() {
            charges += 1;
            let start = thread_cpu();
            while thread_cpu() - start < Duration::from_millis(1) {}
        }
        assert!((10..=20).contains(&charges), "{charges}");
        assert_eq!(meter.stopped(), Some(Stop::Cpu));
        meter.arm(budget.starting_now());
        charge_from_here();
        assert!(meter.charge().is_ok());
    }

    #[test]
    fn a_failed_growth_is_given_back() {
        let mut cap = MemoryCap::new(2 << 16);
        assert!(cap.memory_growing(0, 2 << 16, None).unwrap());
        cap.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(cap.memory_growing(0, 2 << 16, None).unwrap());
    }
}
