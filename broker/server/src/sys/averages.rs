//! Exponential averages of counters over 1, 5 and 15 minutes: how much a minute.
//!
//! Knows no clock: `now` is passed in. The weight of a new reading follows from the time that it covers, so that an
//! interval that is late or was changed does not falsify the average.

use std::time::{Duration, Instant};

/// What is averaged, in the order of the readings.
pub(super) const LOADS: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/received",
    "publish/sent",
    "publish/dropped",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
];

/// The periods, with their names.
pub(super) const PERIODS: [(&str, Duration); 3] = [
    ("1min", Duration::from_secs(60)),
    ("5min", Duration::from_secs(5 * 60)),
    ("15min", Duration::from_secs(15 * 60)),
];

/// One counter, or average of one, for each of [`LOADS`].
pub(super) type Readings<T> = [T; LOADS.len()];

/// All averages; they begin at 0.
pub(super) struct Averages {
    at: Instant,
    last: Readings<u64>,
    by_period: [Readings<f64>; PERIODS.len()],
}

impl Averages {
    /// Counters are 0 at `now`.
    pub(super) fn new(now: Instant) -> Self {
        let none = [0.0; LOADS.len()];
        Self { at: now, last: [0; LOADS.len()], by_period: [none; PERIODS.len()] }
    }

    /// Takes in what the counters say at `now`. Nothing happens when no time has passed.
    pub(super) fn update(&mut self, counters: Readings<u64>, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        for ((_, period), averages) in PERIODS.iter().zip(&mut self.by_period) {
            let kept = (-seconds / period.as_secs_f64()).exp();
            let readings = counters.iter().zip(&self.last);
            for (average, (counter, last)) in averages.iter_mut().zip(readings) {
                let a_minute = counter.saturating_sub(*last) as f64 * 60.0 / seconds;
                *average = a_minute + kept * (*average - a_minute);
            }
        }
        (self.at, self.last) = (now, counters);
    }

    /// (load, period, how much a minute).
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, f64)> {
        PERIODS.iter().zip(&self.by_period).flat_map(|((period, _), averages)| {
            LOADS.iter().zip(averages).map(|(load, average)| (*load, *period, *average))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(averages: &Averages, load: &str, period: &str) -> f64 {
        averages.each().find(|(l, p, _)| (*l, *p) == (load, period)).expect("is there").2
    }

    fn counted(messages: u64) -> Readings<u64> {
        let mut readings = [0; LOADS.len()];
        readings[0] = messages;
        readings
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.01, "{found} instead of {expected}");
    }

    /// 10 a second = 600 a minute.
    #[test]
    fn a_steady_load_is_approached_faster_the_shorter_the_period() {
        let start = Instant::now();
        let mut averages = Averages::new(start);
        for tenth in 1..=6 {
            let now = start + Duration::from_secs(10 * tenth);
            averages.update(counted(100 * tenth), now);
        }
        // After one period: 1 - 1/e of it.
        near(of(&averages, "messages/received", "1min"), 600.0 * (1.0 - (-1.0_f64).exp()));
        near(of(&averages, "messages/received", "5min"), 600.0 * (1.0 - (-0.2_f64).exp()));
        near(of(&averages, "messages/received", "15min"), 600.0 * (1.0 - (-1.0_f64 / 15.0).exp()));
        near(of(&averages, "messages/sent", "1min"), 0.0);
        for tenth in 7..=600 {
            averages.update(counted(100 * tenth), start + Duration::from_secs(10 * tenth));
        }
        near(of(&averages, "messages/received", "1min"), 600.0);
        near(of(&averages, "messages/received", "5min"), 600.0);
    }

    /// How often it is looked at makes no difference to a steady load.
    #[test]
    fn the_interval_does_not_matter() {
        let start = Instant::now();
        let (mut often, mut seldom) = (Averages::new(start), Averages::new(start));
        for second in 1..=120 {
            often.update(counted(7 * second), start + Duration::from_secs(second));
        }
        for second in [1, 50, 51, 120] {
            seldom.update(counted(7 * second), start + Duration::from_secs(second));
        }
        for (load, period, value) in often.each() {
            near(of(&seldom, load, period), value);
        }
    }

    #[test]
    fn a_load_that_ends_fades() {
        let start = Instant::now();
        let mut averages = Averages::new(start);
        averages.update(counted(600), start + Duration::from_secs(60));
        let before = of(&averages, "messages/received", "1min");
        averages.update(counted(600), start + Duration::from_secs(120));
        near(of(&averages, "messages/received", "1min"), before * (-1.0_f64).exp());
    }

    #[test]
    fn no_time_and_counters_that_go_back_are_harmless() {
        let start = Instant::now();
        let mut averages = Averages::new(start);
        averages.update(counted(5), start);
        assert!(averages.each().all(|(_, _, value)| value == 0.0));
        averages.update(counted(60), start + Duration::from_secs(60));
        averages.update(counted(0), start + Duration::from_secs(61));
        assert!(averages.each().all(|(_, _, value)| value.is_finite() && value >= 0.0));
    }
}
