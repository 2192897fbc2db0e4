//! How loaded the broker is: measured every 100 ms, told to everybody who has to know.
//!
//! Owns the measuring: how late a task is woken, which memory the process has, what it uses of the processors. What
//! that makes as a level is computed in `limits::Overload`; what follows from it for publishers is in `pace.rs`, for
//! those who connect in `listener.rs`.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use access::{Event, EventKinds};
use limits::{Load, OverloadConfig};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use telemetry::events::OverloadChanged;

use crate::broker::Core;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);
/// Over how many looks the use of processors is averaged.
const PROCESSOR_LOOKS: u32 = 10;

/// The level as everybody reads it.
pub(crate) struct Overload {
    level: AtomicU8,
    is_memory_full: AtomicBool,
    model: Mutex<limits::Overload>,
}

impl Overload {
    pub(crate) fn new(config: OverloadConfig) -> Self {
        Self {
            level: AtomicU8::new(0),
            is_memory_full: AtomicBool::new(false),
            model: Mutex::new(limits::Overload::new(config)),
        }
    }

    /// 0 to 10.
    pub(crate) fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    /// Whether nobody else is let in until memory is free again.
    pub(crate) fn is_memory_full(&self) -> bool {
        self.is_memory_full.load(Ordering::Relaxed)
    }

    pub(crate) fn set_config(&self, config: OverloadConfig) {
        self.model.lock().set_config(config);
    }

    /// Takes in a measurement; the level before and now.
    fn observe(&self, load: Load, now: Instant) -> (u8, u8) {
        let mut model = self.model.lock();
        let before = model.level();
        let level = model.observe(load, now);
        self.level.store(level, Ordering::Relaxed);
        self.is_memory_full.store(model.is_memory_full(), Ordering::Relaxed);
        (before, level)
    }
}

/// Measures for the life of the broker.
pub(crate) async fn run(core: Arc<Core>) {
    let mut shutdown = core.shutdown.subscribe();
    let mut processors = Processors::new(Instant::now());
    loop {
        let due = Instant::now() + EVERY;
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        let now = Instant::now();
        let load = Load {
            // Of the timer itself, up to a millisecond is none.
            delay: now.saturating_duration_since(due).saturating_sub(Duration::from_millis(1)),
            memory: resident_bytes(),
            processors: processors.share(now),
        };
        let (before, level) = core.overload.observe(load, now);
        if before != level {
            tell(&core, (before, level), load);
        }
    }
}

fn tell(core: &Core, (before, level): (u8, u8), load: Load) {
    OverloadChanged {
        before,
        level,
        delay: load.delay,
        memory_bytes: load.memory,
        processors: load.processors,
    }
    .emit(&core.metrics);
    core.gate.tell(EventKinds::OVERLOAD, || Event::Overload(level));
}

/// Memory of this process that is in RAM, where the system tells it. A file without a disk behind it: reading takes
/// microseconds.
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// What this process uses of the processors that it may use.
struct Processors {
    count: f64,
    looks: u32,
    at: Instant,
    used: Duration,
    share: Option<f64>,
}

impl Processors {
    fn new(now: Instant) -> Self {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        Self { count: count as f64, looks: 0, at: now, used: processor_time(), share: None }
    }

    /// The average of the last second or so.
    fn share(&mut self, now: Instant) -> Option<f64> {
        self.looks += 1;
        if self.looks < PROCESSOR_LOOKS {
            return self.share;
        }
        let (used, elapsed) = (processor_time(), now.saturating_duration_since(self.at));
        let share = used.saturating_sub(self.used).as_secs_f64() / elapsed.as_secs_f64();
        (self.looks, self.at, self.used) = (0, now, used);
        self.share = (share / self.count).is_finite().then_some(share / self.count);
        self.share
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_both() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        let began = Instant::now();
        let mut processors = Processors::new(began);
        let mut sum = 0_u64;
        while began.elapsed() < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_mul(3).wrapping_add(1));
        }
        let shares: Vec<_> = (0..PROCESSOR_LOOKS)
            .map(|_| processors.share(began + Duration::from_millis(50)))
            .collect();
        let (last, others) = shares.split_last().unwrap();
        assert!(others.iter().all(Option::is_none), "{others:?}");
        assert!(last.is_some_and(|share| share > 0.0), "{last:?}");
    }

    #[test]
    fn what_was_measured_is_read_everywhere() {
        let overload = Overload::new(OverloadConfig::default());
        let full = Load { memory: Some(u64::MAX), ..Load::default() };
        assert_eq!(overload.observe(full, Instant::now()), (0, 3));
        assert_eq!((overload.level(), overload.is_memory_full()), (3, true));
    }
}
