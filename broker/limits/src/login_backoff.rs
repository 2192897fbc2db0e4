//! Owns how long a peer must wait after failed logins.
//!
//! Knows nothing of passwords and plugins: CONNECT says what failed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::AddressPrefix;
use crate::range::{OutOfRange, Range, check, check_duration};
use crate::recent::{Fingerprint, Recent};

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
    /// (address, user or client) pairs that are remembered, the latest. 2 to 10,000,000; default 65,536.
    ///
    /// More than half as many other pairs must try before a pair is forgotten early: at the
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
#[error("{failures} logins of this user or client from this address failed or are undecided")]
pub struct BackedOff {
    /// From when the next try is heard.
    pub until: Instant,
    /// Failures in a row, with the tries that are still being decided.
    pub failures: u32,
}

/// Who an address says it is. A user and a client of one name are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claimant<'a> {
    /// The User Name of CONNECT.
    User(&'a str),
    /// The Client Identifier, where CONNECT has no User Name.
    Client(&'a str),
}

/// Failed logins by (address prefix, user name), or (address prefix, client identifier) where there
/// is no user name.
///
/// Never by the user alone: else anybody could lock anybody out by failing in her name. And not by
/// the address alone: else one mistyped password, or one device with a bad certificate, locks out
/// all behind the same router.
///
/// A try counts as failed from [`LoginBackoff::attempt`] on until it is settled by one of `failed`,
/// `succeeded` and `undecided`: else as many guesses as fit into the time of one decision would be
/// heard at once. A pair that has not failed yet may have 32 more: devices that share one user name
/// behind one address come back together.
#[derive(Debug)]
pub struct LoginBackoff {
    config: LoginBackoffConfig,
    pairs: Recent<Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// Tries that are still being decided, and when the latest began.
    pending: u32,
    begun: Instant,
}

/// Undecided tries that a pair without a failure may have beside its free ones.
const TOGETHER_MAX: u32 = 32;

impl LoginBackoff {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(config: LoginBackoffConfig) -> Self {
        Self { config, pairs: Recent::new(config.pairs) }
    }

    /// Asked before a login is tried; from then on it counts as failed. Each success needs one of
    /// [`LoginBackoff::failed`], [`LoginBackoff::succeeded`] and [`LoginBackoff::undecided`].
    ///
    /// # Errors
    /// [`BackedOff`] as long as the pair has to wait. A refused try doesn't prolong the wait.
    pub fn attempt(
        &mut self,
        address: IpAddr,
        claimant: Claimant<'_>,
        now: Instant,
    ) -> Result<(), BackedOff> {
        let pair = self.pair(address, claimant);
        self.check(pair, now)?;
        let known = self.take(pair, now);
        let pending = known.pending.saturating_add(1);
        self.pairs.put(pair, Failures { pending, begun: known.begun.max(now), ..known });
        Ok(())
    }

    /// Told when a login failed. Returns how long the pair waits now.
    pub fn failed(&mut self, address: IpAddr, claimant: Claimant<'_>, now: Instant) -> Duration {
        let pair = self.pair(address, claimant);
        let known = self.take(pair, now);
        let count = known.count.saturating_add(1);
        // A late report must not shorten a wait.
        let last = known.last.max(now);
        let pending = known.pending.saturating_sub(1);
        self.pairs.put(pair, Failures { count, last, pending, ..known });
        self.delay(count)
    }

    /// Told when a login succeeded: the pair starts anew, but for tries that are being decided.
    pub fn succeeded(&mut self, address: IpAddr, claimant: Claimant<'_>) {
        self.settle(self.pair(address, claimant), |known| known.count = 0);
    }

    /// Told when a try came to no verdict: as if it had not been.
    pub fn undecided(&mut self, address: IpAddr, claimant: Claimant<'_>) {
        self.settle(self.pair(address, claimant), |_| {});
    }

    /// Other numbers from now on. What is remembered stays unless the number of pairs changes.
    pub fn set_config(&mut self, config: LoginBackoffConfig) {
        if config.pairs != self.config.pairs {
            self.pairs = Recent::new(config.pairs);
        }
        self.config = config;
    }

    fn pair(&self, address: IpAddr, claimant: Claimant<'_>) -> Fingerprint {
        self.pairs.fingerprint((AddressPrefix::of(address), claimant))
    }

    fn check(&self, pair: Fingerprint, now: Instant) -> Result<(), BackedOff> {
        let Some(known) = self.pairs.get(pair) else {
            return Ok(());
        };
        // A fleet that shares one user name and comes back at once has done nothing wrong yet.
        let allowance = if known.count == 0 { TOGETHER_MAX } else { 0 };
        let pending = known.pending.saturating_sub(allowance);
        let failures = known.count.saturating_add(pending);
        let after = |at: Instant, failures| at.checked_add(self.delay(failures)).unwrap_or(now);
        let mut until = after(known.last, known.count);
        if pending > 0 {
            until = until.max(after(known.begun, failures));
        }
        if now < until { Err(BackedOff { until, failures }) } else { Ok(()) }
    }

    /// Takes what is known of a pair, to be put back. Failures that are long past are forgotten.
    fn take(&mut self, pair: Fingerprint, now: Instant) -> Failures {
        // Never before the wait is over: else waiting would be a way to start anew.
        let forget_after = self.config.forget_after.max(self.config.delay_max);
        let mut known = self.pairs.take(pair).unwrap_or(Failures {
            count: 0,
            last: now,
            pending: 0,
            begun: now,
        });
        if now.saturating_duration_since(known.last) >= forget_after {
            known.count = 0;
            known.last = now;
        }
        known
    }

    /// One try less is being decided.
    fn settle(&mut self, pair: Fingerprint, change: impl FnOnce(&mut Failures)) {
        let Some(mut known) = self.pairs.take(pair) else { return };
        known.pending = known.pending.saturating_sub(1);
        change(&mut known);
        if known.count > 0 || known.pending > 0 {
            self.pairs.put(pair, known);
        }
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
