//! Owns the token bucket: a rate that holds over time, and a burst that may be used at once.
//!
//! Knows nothing of what a token stands for and of clocks.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Tokens per second, and tokens that may be taken at once after a rest. Neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU64,
    burst: NonZeroU64,
}

/// A rate or burst of 0: it would mean "never", and reads as if it meant "unlimited".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate of {per_second} per second with a burst of {burst} is refused: both must be at least 1"
)]
pub struct InvalidRate {
    /// Tokens per second that were asked for.
    pub per_second: u64,
    /// Burst that was asked for.
    pub burst: u64,
}

/// Not enough tokens yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is reached")]
pub struct Wait {
    /// When the same request will be granted if nobody else takes tokens; at most 30 days away.
    pub until: Instant,
}

impl Rate {
    /// `per_second` tokens a second, `burst` at once; each from 1 to `u64::MAX`.
    ///
    /// # Errors
    /// [`InvalidRate`] if one of them is 0.
    pub fn new(per_second: u64, burst: u64) -> Result<Self, InvalidRate> {
        match (NonZeroU64::new(per_second), NonZeroU64::new(burst)) {
            (Some(per_second), Some(burst)) => Ok(Self { per_second, burst }),
            _ => Err(InvalidRate { per_second, burst }),
        }
    }

    /// For defaults that are known when the program is compiled.
    pub(crate) const fn constant(per_second: NonZeroU64, burst: NonZeroU64) -> Self {
        Self { per_second, burst }
    }

    /// Tokens per second.
    #[must_use]
    pub fn per_second(self) -> u64 {
        self.per_second.get()
    }

    /// Tokens at once after a rest.
    #[must_use]
    pub fn burst(self) -> u64 {
        self.burst.get()
    }

    fn capacity(self) -> i128 {
        i128::from(self.burst()) * PARTS_PER_TOKEN
    }
}

/// A bucket that starts full.
///
/// The arithmetic is exact: the fill is counted in billionths of a token, so that a nanosecond at
/// a rate of 1 per second is one part. Nothing is rounded, hence nothing drifts, and all products
/// fit into 128 bits or saturate at "full".
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    /// Billionths of a token; negative after a request larger than the burst.
    parts: i128,
    updated: Instant,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, parts: rate.capacity(), updated: now }
    }

    /// Its rate and burst.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes `count` tokens, or none.
    ///
    /// A request larger than the burst needs a full bucket and leaves a debt: so the rate holds in
    /// the long run, and a packet larger than the burst waits instead of waiting for ever.
    ///
    /// A `now` before the last one counts as no time passed.
    ///
    /// # Errors
    /// [`Wait`]; the bucket is unchanged.
    pub fn try_take(&mut self, count: u64, now: Instant) -> Result<(), Wait> {
        self.check(count, now)?;
        self.parts = self.fill(now) - i128::from(count) * PARTS_PER_TOKEN;
        self.updated = self.updated.max(now);
        Ok(())
    }

    /// Takes `count` tokens, if need be on credit. Returns when there is no debt any more; `None` =
    /// there is none.
    pub fn spend(&mut self, count: u64, now: Instant) -> Option<Instant> {
        self.parts = self.fill(now) - i128::from(count) * PARTS_PER_TOKEN;
        self.updated = self.updated.max(now);
        let per_second = i128::from(self.rate.per_second());
        let debt = (-self.parts).max(0);
        let nanoseconds = u64::try_from((debt + per_second - 1) / per_second).ok()?;
        (nanoseconds > 0).then(|| self.updated + Duration::from_nanos(nanoseconds).min(WAIT_MAX))
    }

    /// Whether [`TokenBucket::try_take`] would succeed, without taking.
    ///
    /// # Errors
    /// [`Wait`], as `try_take`.
    pub fn check(&self, count: u64, now: Instant) -> Result<(), Wait> {
        let needed = i128::from(count.min(self.rate.burst())) * PARTS_PER_TOKEN;
        let missing = needed - self.fill(now);
        if count == 0 || missing <= 0 {
            return Ok(());
        }
        let per_second = i128::from(self.rate.per_second());
        // Rounded up: one nanosecond earlier there are not enough.
        let nanoseconds = u64::try_from((missing + per_second - 1) / per_second);
        let wait = nanoseconds.map_or(WAIT_MAX, Duration::from_nanos).min(WAIT_MAX);
        let start = self.updated.max(now);
        Err(Wait { until: start.checked_add(wait).unwrap_or(start) })
    }

    /// Whether it is as full as a new one: then forgetting it loses nothing.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.fill(now) == self.rate.capacity()
    }

    /// Goes on with another rate; what is in the bucket stays, up to the new burst.
    pub fn set_rate(&mut self, rate: Rate, now: Instant) {
        self.parts = self.fill(now).min(rate.capacity());
        self.updated = self.updated.max(now);
        self.rate = rate;
    }

    fn fill(&self, now: Instant) -> i128 {
        let elapsed = now.saturating_duration_since(self.updated).as_nanos();
        let elapsed = i128::try_from(elapsed).unwrap_or(i128::MAX);
        let gained = elapsed.saturating_mul(i128::from(self.rate.per_second()));
        self.parts.saturating_add(gained).min(self.rate.capacity())
    }
}

const PARTS_PER_TOKEN: i128 = 1_000_000_000;

/// Longest wait that is told: further away, a clock may not be able to say when.
const WAIT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests;
