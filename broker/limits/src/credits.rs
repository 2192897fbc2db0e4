//! Owns what one publisher may still cost while the broker is overloaded.
//!
//! Knows nothing of sockets and of how the level comes about: whoever reads tells what was read,
//! once a batch, and asks when to go on.

use std::time::{Duration, Instant};

use crate::overload::LEVEL_MAX;

/// Credits of one publisher: a purse that each message is paid from, by its bytes and by how many
/// it goes to. At level 0 it is always full; with each level it is filled a quarter as fast as with
/// the one before.
///
/// The first levels hold back nobody but who publishes millions of messages a second, so that a busy
/// broker that answers in time goes on being busy. At level 10 there is still enough for some hundred
/// small messages a second: who publishes little is held back at no level.
#[derive(Clone, Debug)]
pub struct Credits {
    left: i64,
    updated: Instant,
    /// Percent of the usual filling; `None` = free of all this.
    percent: Option<u32>,
}

/// What a batch of packets costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// PUBLISH packets.
    pub messages: u64,
    /// Bytes of all packets.
    pub bytes: u64,
    /// Sessions that the messages went to, each counted for each message.
    pub recipients: u64,
}

impl Cost {
    fn credits(self) -> i64 {
        let of_each = self.messages.saturating_add(self.recipients).saturating_mul(OF_EACH);
        i64::try_from(of_each.saturating_add(self.bytes)).unwrap_or(i64::MAX)
    }
}

impl Credits {
    /// A full purse. `percent` of the usual filling: 1 to 10,000, 100 = as usual; more than that =
    /// free.
    #[must_use]
    pub fn new(percent: u32, now: Instant) -> Self {
        let percent = (percent <= PERCENT_MAX).then_some(percent.max(1));
        Self { left: FULL, updated: now, percent }
    }

    /// A batch was read: it is paid for, if need be on credit.
    pub fn spend(&mut self, cost: Cost, level: u8, now: Instant) {
        if level == 0 {
            self.left = FULL;
            self.updated = now;
            return;
        }
        self.fill(level, now);
        self.left = self.left.saturating_sub(cost.credits()).max(-DEBT_MAX);
    }

    /// When the next packet may be read, as far as the level stays; `None` = now. Asked again after
    /// at most a quarter of a second, as the level may have changed.
    pub fn resumes(&mut self, level: u8, now: Instant) -> Option<Instant> {
        if level == 0 || self.percent.is_none() {
            return None;
        }
        self.fill(level, now);
        if self.left >= 0 {
            return None;
        }
        let per_second = self.per_second(level);
        let milliseconds = (-self.left).saturating_mul(1_000) / per_second.max(1);
        let wait = Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default());
        now.checked_add(wait.clamp(PAUSE_MIN, PAUSE_MAX))
    }

    fn fill(&mut self, level: u8, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_micros();
        if elapsed == 0 {
            return;
        }
        self.updated = now;
        let per_second = self.per_second(level);
        let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
        let gained = per_second.saturating_mul(elapsed) / 1_000_000;
        self.left = self.left.saturating_add(gained).min((per_second / 4).max(FULL_MIN));
    }

    /// Credits a second at a level.
    fn per_second(&self, level: u8) -> i64 {
        let usual = FIRST_LEVEL >> (2 * u32::from(level.clamp(1, LEVEL_MAX) - 1));
        let percent = self.percent.unwrap_or(PERCENT_MAX);
        (usual.saturating_mul(percent.into()) / 100).max(1)
    }
}

/// What a message costs besides its bytes, and each recipient of it.
const OF_EACH: u64 = 128;
/// Credits a second at level 1.
const FIRST_LEVEL: i64 = 16 << 30;
/// What a purse holds when the level rises, and the least that a full one holds: otherwise that is what a quarter of a
/// second brings.
const FULL: i64 = 1 << 20;
const FULL_MIN: i64 = 64 << 10;
/// Most that is owed: so that one message to very many does not cost minutes.
const DEBT_MAX: i64 = 4 << 20;
const PERCENT_MAX: u32 = 10_000;
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: u64, recipients: u64) -> Cost {
        Cost { messages: 1, bytes, recipients }
    }

    /// Publishes as fast as it may for `seconds`; returns how many messages that were.
    fn run(credits: &mut Credits, (cost, level): (Cost, u8), seconds: u64, start: Instant) -> u64 {
        let mut now = start;
        let mut count = 0;
        while now < start + Duration::from_secs(seconds) {
            match credits.resumes(level, now) {
                Some(at) => now = at,
                None => {
                    credits.spend(cost, level, now);
                    count += 1;
                    now += Duration::from_micros(2);
                }
            }
        }
        count
    }

    #[test]
    fn each_level_quarters_what_a_flood_gets() {
        let start = Instant::now();
        let cost = message(256, 1);
        let mut last = u64::MAX;
        for level in 4..=LEVEL_MAX {
            let mut credits = Credits::new(100, start);
            run(&mut credits, (cost, level), 10, start);
            let count = run(&mut credits, (cost, level), 20, start + Duration::from_secs(10));
            let expected = (FIRST_LEVEL as u64 >> (2 * (level - 1))) * 20 / 512;
            assert!(count.abs_diff(expected) <= expected / 20 + 2, "{level}: {count} {expected}");
            assert!(count < last);
            last = count;
        }
    }

    #[test]
    fn who_publishes_little_is_never_held_back() {
        let mut now = Instant::now();
        let mut credits = Credits::new(100, now);
        for _ in 0..10_000 {
            now += Duration::from_millis(10);
            credits.spend(message(100, 1), LEVEL_MAX, now);
            assert_eq!(credits.resumes(LEVEL_MAX, now), None);
        }
    }

    #[test]
    fn recipients_cost() {
        let now = Instant::now();
        let mut credits = Credits::new(100, now);
        credits.spend(message(10, 100_000), LEVEL_MAX, now);
        assert!(credits.resumes(LEVEL_MAX, now).is_some());
        let mut credits = Credits::new(100, now);
        credits.spend(message(10, 100), LEVEL_MAX, now);
        assert_eq!(credits.resumes(LEVEL_MAX, now), None);
    }

    #[test]
    fn without_load_everything_is_forgiven() {
        let now = Instant::now();
        let mut credits = Credits::new(100, now);
        credits.spend(message(1 << 30, 0), LEVEL_MAX, now);
        let at = credits.resumes(LEVEL_MAX, now).unwrap();
        assert!(at <= now + PAUSE_MAX, "it is looked again soon");
        assert_eq!(credits.resumes(0, now), None);
        credits.spend(message(1 << 30, 0), 0, now);
        assert_eq!(credits.resumes(LEVEL_MAX, now), None);
    }

    #[test]
    fn weights() {
        let start = Instant::now();
        let cost = message(256, 1);
        let count = |percent| run(&mut Credits::new(percent, start), (cost, 8), 60, start);
        let (usual, half, double) = (count(100), count(50), count(200));
        assert!(half < usual * 6 / 10 && double > usual * 18 / 10, "{half} {usual} {double}");
        let mut free = Credits::new(PERCENT_MAX + 1, start);
        free.spend(message(1 << 40, 0), LEVEL_MAX, start);
        assert_eq!(free.resumes(LEVEL_MAX, start), None);
    }

    #[test]
    fn the_largest_message_is_paid_off_in_a_minute_or_so() {
        let start = Instant::now();
        let mut credits = Credits::new(100, start);
        credits.spend(message(256 << 20, 1 << 40), LEVEL_MAX, start);
        let later = start + Duration::from_secs(70);
        assert_eq!(credits.resumes(LEVEL_MAX, later), None);
    }
}
