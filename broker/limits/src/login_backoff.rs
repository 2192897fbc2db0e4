//! Owns how long a peer must wait after failed logins.
//!
//! Knows nothing of passwords and plugins: CONNECT says what failed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::AddressPrefix;
use crate::range::{OutOfRange, Range, check, check_duration};
use crate::recent::Recent;

/// When waiting starts, how it grows and how much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginBackoffConfig {
    /// Failures without any wait: people mistype. 0 to 100; default 3.
    pub free_failures: u32,
    /// Wait after the first failure beyond those; doubles with each further one. 1 ms to 60 s;
    /// default 1 s.
    pub first_delay: Duration,
    /// Longest wait. 1 ms to 1 h; default 60 s.
    pub delay_max: Duration,
    /// A pair without failure for this long, or for `delay_max` if that is longer, starts anew.
    /// 1 s to 1 day; default 15 min.
    pub forget_after: Duration,
    /// (address, user) pairs that are remembered, the latest. 2 to 10,000,000; default 65,536.
    ///
    /// More than half as many other pairs must fail before a pair is forgotten early: at the
    /// default connection rate of 500 a second that takes longer than the longest wait.
    pub pairs: usize,
}

impl LoginBackoffConfig {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check(FREE_FAILURES, self.free_failures)?;
        check_duration(FIRST_DELAY, self.first_delay)?;
        check_duration(DELAY_MAX, self.delay_max)?;
        check_duration(FORGET_AFTER, self.forget_after)?;
        check(PAIRS, self.pairs as u64)
    }
}

impl Default for LoginBackoffConfig {
    fn default() -> Self {
        Self {
            free_failures: 3,
            first_delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            forget_after: Duration::from_secs(15 * 60),
            pairs: 65_536,
        }
    }
}

/// This pair has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failures} logins failed from this address as this user: no further try yet")]
pub struct BackedOff {
    /// From when the next try is heard.
    pub until: Instant,
    /// Failures in a row.
    pub failures: u32,
}

/// Failed logins by (address prefix, user name).
///
/// Never by the user alone: else anybody could lock anybody out by failing in her name. And not by
/// the address alone: else one mistyped password locks out all behind the same router.
#[derive(Debug)]
pub struct LoginBackoff {
    config: LoginBackoffConfig,
    pairs: Recent<Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl LoginBackoff {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(config: LoginBackoffConfig) -> Self {
        Self { config, pairs: Recent::new(config.pairs) }
    }

    /// Asked before a login is tried. `user` is None if CONNECT has no user name.
    ///
    /// # Errors
    /// [`BackedOff`] as long as the pair has to wait. A refused try doesn't prolong the wait.
    pub fn check(
        &self,
        address: IpAddr,
        user: Option<&str>,
        now: Instant,
    ) -> Result<(), BackedOff> {
        let Some(failures) = self.pairs.get(self.pair(address, user)) else {
            return Ok(());
        };
        let until = failures.last.checked_add(self.delay(failures.count)).unwrap_or(now);
        if now < until {
            return Err(BackedOff { until, failures: failures.count });
        }
        Ok(())
    }

    /// Told when a login failed. Returns how long the pair waits now.
    pub fn failed(&mut self, address: IpAddr, user: Option<&str>, now: Instant) -> Duration {
        let pair = self.pair(address, user);
        // Never before the wait is over: else waiting would be a way to start anew.
        let forget_after = self.config.forget_after.max(self.config.delay_max);
        let known = self
            .pairs
            .take(pair)
            .filter(|failures| now.saturating_duration_since(failures.last) < forget_after);
        let count = known.map_or(0, |failures| failures.count).saturating_add(1);
        // A late report must not shorten a wait.
        let last = known.map_or(now, |failures| failures.last.max(now));
        self.pairs.put(pair, Failures { count, last });
        self.delay(count)
    }

    /// Told when a login succeeded: the pair starts anew.
    pub fn succeeded(&mut self, address: IpAddr, user: Option<&str>) {
        self.pairs.take(self.pair(address, user));
    }

    /// Other numbers from now on. What is remembered stays unless the number of pairs changes.
    pub fn set_config(&mut self, config: LoginBackoffConfig) {
        if config.pairs != self.config.pairs {
            self.pairs = Recent::new(config.pairs);
        }
        self.config = config;
    }

    fn pair(&self, address: IpAddr, user: Option<&str>) -> crate::recent::Fingerprint {
        self.pairs.fingerprint((AddressPrefix::of(address), user))
    }

    fn delay(&self, failures: u32) -> Duration {
        let beyond = failures.saturating_sub(self.config.free_failures);
        let Some(doublings) = beyond.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.saturating_pow(doublings);
        self.config.first_delay.saturating_mul(factor).min(self.config.delay_max)
    }
}

const FREE_FAILURES: Range = ("login_backoff.free_failures", 0, 100);
const FIRST_DELAY: Range = ("login_backoff.first_delay", 1, 60_000);
const DELAY_MAX: Range = ("login_backoff.delay_max", 1, 3_600_000);
const FORGET_AFTER: Range = ("login_backoff.forget_after", 1_000, 86_400_000);
const PAIRS: Range = ("login_backoff.pairs", 2, 10_000_000);

#[cfg(test)]
mod tests;
