//! Owns the ban of clients that connect again and again.
//!
//! Knows nothing of connections: CONNECT tells of each authenticated one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::range::{OutOfRange, Range, check, check_duration};
use crate::recent::{Fingerprint, Recent};

/// How many connects in how long ban for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlappingConfig {
    /// This many authenticated connects within `window` ban the pair; the last of them is refused
    /// already. 2 to 100; default 15.
    pub connects: u32,
    /// 1 s to 1 h; default 60 s.
    pub window: Duration,
    /// 1 s to 1 day; default 5 min.
    pub ban: Duration,
    /// (principal, client id) pairs that are remembered, the latest. 2 to 1,000,000; default
    /// 16,384.
    pub pairs: usize,
}

impl FlappingConfig {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check(CONNECTS, self.connects)?;
        check_duration(WINDOW, self.window)?;
        check_duration(BAN, self.ban)?;
        check(PAIRS, self.pairs as u64)
    }
}

impl Default for FlappingConfig {
    fn default() -> Self {
        Self {
            connects: 15,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(5 * 60),
            pairs: 16_384,
        }
    }
}

/// The pair connected too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client connected {connects} times within {window:?} and is banned for a while")]
pub struct Banned {
    /// When the ban ends.
    pub until: Instant,
    /// The limit that was reached.
    pub connects: u32,
    /// Within this time.
    pub window: Duration,
}

/// Authenticated connects by (principal, client id).
///
/// Only authenticated ones count, and only for who proved to be that principal: nobody can get a
/// victim banned by connecting with her client id.
#[derive(Debug)]
pub struct Flapping {
    config: FlappingConfig,
    pairs: Recent<History>,
}

#[derive(Debug)]
enum History {
    /// Times of the connects within the window, oldest first; fewer than `connects`.
    Connects(VecDeque<Instant>),
    BannedUntil(Instant),
}

impl Flapping {
    /// Nobody has connected yet.
    #[must_use]
    pub fn new(config: FlappingConfig) -> Self {
        Self { config, pairs: Recent::new(config.pairs) }
    }

    /// Told of an authenticated CONNECT before it is accepted.
    ///
    /// # Errors
    /// [`Banned`]: refuse it. Tries during a ban don't prolong it; after it the pair starts anew.
    pub fn connected(
        &mut self,
        principal: &str,
        client_id: &str,
        now: Instant,
    ) -> Result<(), Banned> {
        let pair = self.pairs.fingerprint((principal, client_id));
        let mut connects = match self.pairs.take(pair) {
            Some(History::BannedUntil(until)) if now < until => return self.ban(pair, until),
            Some(History::Connects(connects)) => connects,
            Some(History::BannedUntil(_)) | None => VecDeque::new(),
        };
        while connects.front().is_some_and(|oldest| self.is_past(*oldest, now)) {
            connects.pop_front();
        }
        connects.push_back(now);
        if connects.len() >= self.config.connects as usize {
            return self.ban(pair, now.checked_add(self.config.ban).unwrap_or(now));
        }
        self.pairs.put(pair, History::Connects(connects));
        Ok(())
    }

    /// Lifts the ban of a pair and forgets its connects. Whether it was banned at `now`.
    pub fn pardon(&mut self, principal: &str, client_id: &str, now: Instant) -> bool {
        let pair = self.pairs.fingerprint((principal, client_id));
        matches!(self.pairs.take(pair), Some(History::BannedUntil(until)) if now < until)
    }

    /// Other numbers from now on; running bans keep their end unless the number of pairs changes.
    pub fn set_config(&mut self, config: FlappingConfig) {
        if config.pairs != self.config.pairs {
            self.pairs = Recent::new(config.pairs);
        }
        self.config = config;
    }

    fn ban(&mut self, pair: Fingerprint, until: Instant) -> Result<(), Banned> {
        self.pairs.put(pair, History::BannedUntil(until));
        let FlappingConfig { connects, window, .. } = self.config;
        Err(Banned { until, connects, window })
    }

    fn is_past(&self, connect: Instant, now: Instant) -> bool {
        now.saturating_duration_since(connect) >= self.config.window
    }
}

const CONNECTS: Range = ("flapping.connects", 2, 100);
const WINDOW: Range = ("flapping.window", 1_000, 3_600_000);
const BAN: Range = ("flapping.ban", 1_000, 86_400_000);
const PAIRS: Range = ("flapping.pairs", 2, 1_000_000);

#[cfg(test)]
mod tests;
