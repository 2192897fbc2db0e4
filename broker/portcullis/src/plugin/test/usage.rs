//! What calls cost: their times by hook, and the memory of an instance.

use std::{collections::BTreeMap, fmt, time::Duration};

use plugin_host::Loaded;

/// Of all calls so far.
#[derive(Debug, Default)]
pub(super) struct Usage {
    times: BTreeMap<&'static str, Vec<Duration>>,
    /// The most that an instance was seen with, and what it may have.
    memory_bytes: Option<(usize, usize)>,
}

impl Usage {
    /// One more, if it was a call.
    pub(super) fn add(&mut self, hook: &'static str, elapsed: Option<Duration>) {
        if let Some(elapsed) = elapsed {
            self.times.entry(hook).or_default().push(elapsed);
        }
    }

    /// Looks at the instance that waits for the next call.
    pub(super) fn look(&mut self, loaded: &Loaded) {
        self.memory_bytes = self.memory_bytes.max(loaded.memory_bytes());
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (hook, times) in &self.times {
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let (p50, p99) = (percentile(&sorted, 50), percentile(&sorted, 99));
            writeln!(f, "{hook:<13} {:>7} calls  p50 {p50:>9.1?}  p99 {p99:>9.1?}", sorted.len())?;
        }
        match self.memory_bytes {
            Some((bytes, most)) => {
                writeln!(
                    f,
                    "an instance has {} KiB of memory, may have {}",
                    bytes >> 10,
                    most >> 10
                )
            }
            None => f.write_str("no instance is kept, so its memory cannot be told\n"),
        }
    }
}

/// The time that so many of a hundred stay within.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&times, 50), Duration::from_micros(100));
        assert_eq!(percentile(&times, 99), Duration::from_micros(198));
        assert_eq!(percentile(&times[..1], 99), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
