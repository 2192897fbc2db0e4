//! Owns the level of load, 0 (none) to 10: how long work waits, how much memory is in use and how
//! busy the processors are, made into one number that rises at once and falls slowly.
//!
//! Knows nothing of how the load is measured: whoever measures tells it every 100 ms. What follows
//! from the level is in `credits.rs`, and in whoever refuses connections.

use std::time::{Duration, Instant};

use crate::range::{OutOfRange, Range, check, check_duration};

/// When the broker counts as overloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadConfig {
    /// Whether publishers are held back and the level is more than 0. Default true.
    pub enabled: bool,
    /// Level 10 is reached when work that is ready waits this long; a tenth of it is level 1. 20 ms
    /// to 10 s; default 250 ms.
    pub delay: Duration,
    /// Bytes of memory from which on nobody is let in; the level rises from 80 % of it on. 64 MiB to
    /// 1 PiB. The program sets it with [`memory_for_machine`]; the default is that of 2 GiB.
    pub memory: u64,
}

impl OverloadConfig {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check_duration(DELAY, self.delay)?;
        check(MEMORY, self.memory)
    }
}

impl Default for OverloadConfig {
    fn default() -> Self {
        let memory = memory_for_machine(2 << 30);
        Self { enabled: true, delay: Duration::from_millis(250), memory }
    }
}

/// 80 % of what the machine, or the container, has.
#[must_use]
pub fn memory_for_machine(bytes: u64) -> u64 {
    (bytes / 5).saturating_mul(4).clamp(MEMORY.1, MEMORY.2)
}

/// What was measured since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// How long work that was ready had to wait.
    pub delay: Duration,
    /// Bytes of memory in use; `None` = the system does not say.
    pub memory: Option<u64>,
    /// Share of the processors that was used, 1 = all of all; `None` = the system does not say.
    pub processors: Option<f64>,
}

/// The level, 0 to 10.
///
/// It rises with the next measurement, by at most three levels, so that one late wake does not make
/// an emergency; it falls by one level each half second, and only once the load is clearly below.
#[derive(Debug)]
pub struct Overload {
    config: OverloadConfig,
    level: u8,
    /// Smoothed: half of it is the latest measurement.
    delay: Duration,
    /// Until when it does not fall.
    stays_until: Option<Instant>,
    is_memory_full: bool,
}

impl Overload {
    /// No load.
    #[must_use]
    pub fn new(config: OverloadConfig) -> Self {
        Self { config, level: 0, delay: Duration::ZERO, stays_until: None, is_memory_full: false }
    }

    /// The level now.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Whether so much memory is in use that nobody is let in: from the configured bytes on, until
    /// a twentieth of them is free again. Holds also where the level is switched off.
    #[must_use]
    pub fn is_memory_full(&self) -> bool {
        self.is_memory_full
    }

    /// Other bounds from now on.
    pub fn set_config(&mut self, config: OverloadConfig) {
        self.config = config;
    }

    /// Takes in what was measured; returns the level.
    pub fn observe(&mut self, load: Load, now: Instant) -> u8 {
        self.delay = (self.delay + load.delay) / 2;
        let used = load.memory.unwrap_or_default();
        let free = self.config.memory.saturating_sub(used);
        self.is_memory_full = free == 0 || self.is_memory_full && free < self.config.memory / 20;
        let wanted = if self.config.enabled { self.wanted(load) } else { 0 };
        if wanted > self.level {
            self.level = wanted.min(self.level + RISES_BY);
            self.stays_until = now.checked_add(STAYS);
        } else if self.is_calm(load) || !self.config.enabled {
            if self.level > 0 && self.stays_until.is_none_or(|until| until <= now) {
                self.level -= 1;
                self.stays_until = now.checked_add(STAYS);
            }
        } else {
            self.stays_until = now.checked_add(STAYS);
        }
        self.level
    }

    /// The level that the load is worth.
    fn wanted(&self, load: Load) -> u8 {
        let delay = tenths(self.delay.as_nanos(), self.config.delay.as_nanos());
        delay.max(self.of_memory(load.memory)).max(of_processors(load.processors))
    }

    /// Whether the load is clearly below what the present level stands for: by half a level. One of
    /// 1 would stay for ever otherwise on a machine whose clock is coarse.
    fn is_calm(&self, load: Load) -> bool {
        let step = self.config.delay / u32::from(LEVEL_MAX);
        let bound = (step * u32::from(self.level)).saturating_sub(step / 2);
        let others = self.of_memory(load.memory).max(of_processors(load.processors));
        self.delay < bound && others < self.level
    }

    /// 0 below 80 %, 10 at 100 %.
    fn of_memory(&self, used: Option<u64>) -> u8 {
        let begins = self.config.memory / 5 * 4;
        let above = used.unwrap_or_default().saturating_sub(begins);
        tenths(above.into(), (self.config.memory - begins).into())
    }
}

/// Busy processors alone harm nobody: work that waits does. They are the first level.
fn of_processors(share: Option<f64>) -> u8 {
    u8::from(share.is_some_and(|share| share >= PROCESSORS_BUSY))
}

/// How many tenths of `whole` are in `part`, at most 10.
fn tenths(part: u128, whole: u128) -> u8 {
    let tenths = part.saturating_mul(10).checked_div(whole).unwrap_or_default();
    u8::try_from(tenths.min(LEVEL_MAX.into())).unwrap_or(LEVEL_MAX)
}

/// The highest level.
pub const LEVEL_MAX: u8 = 10;
const RISES_BY: u8 = 3;
const STAYS: Duration = Duration::from_millis(500);
const PROCESSORS_BUSY: f64 = 0.97;
const DELAY: Range = ("overload.delay", 20, 10_000);
const MEMORY: Range = ("memory", 64 << 20, 1 << 50);

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    struct Run {
        overload: Overload,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            let overload = Overload::new(OverloadConfig::default());
            Self { overload, now: Instant::now() }
        }

        /// The level after so many measurements of the same load.
        fn tick(&mut self, load: Load, times: u32) -> u8 {
            for _ in 0..times {
                self.now += TICK + load.delay;
                self.overload.observe(load, self.now);
            }
            self.overload.level()
        }
    }

    fn late(ms: u64) -> Load {
        Load { delay: Duration::from_millis(ms), ..Load::default() }
    }

    #[test]
    fn it_rises_within_a_second_and_falls_within_ten() {
        let mut run = Run::new();
        let began = run.now;
        while run.tick(late(300), 1) < LEVEL_MAX {}
        assert!(run.now - began <= Duration::from_secs(2), "{:?}", run.now - began);
        let mut run = Run::new();
        assert!(run.tick(late(300), 2) > 0);
        run.tick(late(300), 10);
        let fell = run.now;
        while run.tick(late(1), 1) > 0 {}
        assert!(run.now - fell <= Duration::from_secs(7), "{:?}", run.now - fell);
    }

    #[test]
    fn one_late_wake_is_no_emergency() {
        let mut run = Run::new();
        assert!(run.tick(late(2_000), 1) <= 3);
        let mut run = Run::new();
        assert_eq!(run.tick(late(40), 1), 0);
    }

    #[test]
    fn steady_delays_have_steady_levels() {
        for (ms, level) in [(0, 0), (20, 0), (30, 1), (130, 5), (260, 10), (9_000, 10)] {
            let mut run = Run::new();
            run.tick(late(ms), 30);
            for _ in 0..50 {
                assert_eq!(run.tick(late(ms), 1), level, "{ms} ms");
            }
        }
    }

    /// A load that swings round a bound does not make the level swing with it.
    #[test]
    fn it_does_not_flutter() {
        let mut run = Run::new();
        run.tick(late(130), 30);
        let mut changes = 0;
        let mut last = run.overload.level();
        for turn in 0..200 {
            let level = run.tick(late(if turn % 2 == 0 { 120 } else { 130 }), 1);
            changes += u32::from(level != last);
            last = level;
        }
        assert!(changes <= 1, "{changes}");
    }

    #[test]
    fn memory_raises_it_and_closes_the_door_until_some_is_free() {
        let mut run = Run::new();
        let limit = OverloadConfig::default().memory;
        let used = |share: f64| Load { memory: Some((limit as f64 * share) as u64), ..late(0) };
        assert_eq!(run.tick(used(0.79), 20), 0);
        assert_eq!(run.tick(used(0.91), 20), 5);
        assert!(!run.overload.is_memory_full());
        assert_eq!(run.tick(used(1.01), 20), LEVEL_MAX);
        assert!(run.overload.is_memory_full());
        run.tick(used(0.97), 1);
        assert!(run.overload.is_memory_full());
        run.tick(used(0.94), 1);
        assert!(!run.overload.is_memory_full());
    }

    #[test]
    fn busy_processors_alone_are_the_first_level() {
        let mut run = Run::new();
        let busy = Load { processors: Some(1.0), ..late(0) };
        assert_eq!(run.tick(busy, 50), 1);
        assert_eq!(run.tick(Load { processors: Some(0.5), ..late(0) }, 20), 0);
    }

    #[test]
    fn switched_off_it_falls_to_none_but_memory_counts() {
        let mut run = Run::new();
        run.tick(late(300), 10);
        let off = OverloadConfig { enabled: false, ..OverloadConfig::default() };
        run.overload.set_config(off);
        let full = Load { memory: Some(off.memory), ..late(300) };
        assert_eq!(run.tick(full, 80), 0);
        assert!(run.overload.is_memory_full());
    }

    #[test]
    fn a_clock_that_stands_still_does_no_harm() {
        let mut overload = Overload::new(OverloadConfig::default());
        let now = Instant::now();
        for _ in 0..100 {
            overload.observe(late(300), now);
        }
        assert_eq!(overload.level(), LEVEL_MAX);
    }

    #[test]
    fn ranges() {
        let mut config = OverloadConfig::default();
        assert_eq!(config.check(), Ok(()));
        config.memory = 1;
        assert_eq!(config.check().unwrap_err().key, "memory");
        config.delay = Duration::ZERO;
        assert_eq!(config.check().unwrap_err().key, "overload.delay");
        assert_eq!(memory_for_machine(10 << 30), 8 << 30);
        assert_eq!(memory_for_machine(0), MEMORY.1);
    }
}
