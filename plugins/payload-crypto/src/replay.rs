//! What was seen already: the largest stamps of each name, kept by the host over restarts and shared by all instances.

use portcullis_plugin::{Error, host};

use crate::rules::{Clock, Fresh};

/// What a stamp says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not seen before, and noted now.
    New,
    /// Seen before, or older than all that is remembered.
    Replayed,
    /// Too far from the broker's clock.
    Stale,
}

/// Judges a stamp and notes it. `of` names whose stamps it is among.
///
/// # Errors
/// What was seen cannot be looked at or noted: then the message is not taken.
pub(crate) fn judge(fresh: &Fresh, of: &str, stamp: u64, clock: Clock) -> Result<Verdict, Error> {
    let window = fresh.window_seconds.filter(|_| clock == Clock::Matters);
    if window.is_some_and(|window| !near(stamp, host::clock::now_unix_ms(), window)) {
        return Ok(Verdict::Stale);
    }
    // After this time what is remembered is stale anyway. A counter is never.
    let ttl = window.map(|window| window.saturating_mul(2).saturating_add(TTL_MARGIN_SECONDS));
    for _ in 0..TRIES_MAX {
        let entry = host::state::get(of).map_err(unavailable)?;
        let (seen, version) = entry.map_or((Vec::new(), None), |it| (it.value, Some(it.version)));
        let Some(seen) = Seen::read(&seen) else {
            return Err(Error::internal("what was seen before is damaged"));
        };
        let Some(seen) = seen.with(stamp, fresh.remember) else {
            return Ok(Verdict::Replayed);
        };
        let noted = host::state::compare_and_set(of, version, &seen.written(), ttl);
        if noted.map_err(unavailable)?.is_some() {
            return Ok(Verdict::New);
        }
    }
    Err(Error::unavailable("many messages of one client come at once by several ways"))
}

fn unavailable(error: host::state::Error) -> Error {
    match error {
        host::state::Error::Quota(text) => {
            Error::unavailable(format!("[grants] state is too small: {text}"))
        }
        host::state::Error::Unavailable(text) => Error::unavailable(text),
    }
}

fn near(stamp: u64, now: u64, window_seconds: u32) -> bool {
    stamp.abs_diff(now) <= u64::from(window_seconds) * 1_000
}

/// The largest stamps, in order, each once.
#[derive(Debug, PartialEq, Eq)]
struct Seen(Vec<u64>);

impl Seen {
    /// None: that was not written here.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (stamps, rest) = bytes.as_chunks::<8>();
        let stamps: Vec<_> = stamps.iter().map(|stamp| u64::from_be_bytes(*stamp)).collect();
        (rest.is_empty() && stamps.is_sorted_by(|a, b| a < b)).then_some(Self(stamps))
    }

    fn written(&self) -> Vec<u8> {
        self.0.iter().flat_map(|stamp| stamp.to_be_bytes()).collect()
    }

    /// With one more; none if it is there, or if it might have been there and was forgotten.
    fn with(mut self, stamp: u64, most: usize) -> Option<Self> {
        let place = self.0.binary_search(&stamp).err()?;
        if place == 0 && self.0.len() >= most {
            return None;
        }
        self.0.insert(place, stamp);
        let surplus = self.0.len().saturating_sub(most);
        self.0.drain(..surplus);
        Some(self)
    }
}

/// Others may have noted something meanwhile, each at least one message.
const TRIES_MAX: usize = 16;
const TTL_MARGIN_SECONDS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// Stamps one after the other, each with whether it is taken.
    #[track_caller]
    fn check(most: usize, stamps: &[(u64, bool)]) {
        let mut seen = Seen(Vec::new());
        for (stamp, taken) in stamps {
            match Seen::read(&seen.written()).unwrap().with(*stamp, most) {
                Some(with) => seen = with,
                None => {
                    assert!(!taken, "{stamp}");
                    continue;
                }
            }
            assert!(*taken && seen.0.len() <= most, "{stamp}");
        }
    }

    #[test]
    fn each_stamp_counts_once() {
        check(4, &[(1, true), (1, false), (2, true), (1, false), (2, false)]);
        check(4, &[(10, true), (5, true), (7, true), (5, false), (7, false), (10, false)]);
        check(4, &[(0, true), (0, false), (u64::MAX, true), (u64::MAX, false)]);
    }

    /// What fell out of the memory might have been seen.
    #[test]
    fn what_is_older_than_the_memory_is_refused() {
        check(3, &[(1, true), (2, true), (3, true), (4, true), (1, false), (0, false)]);
        check(3, &[(10, true), (20, true), (30, true), (5, false), (15, true), (12, false)]);
        check(1, &[(5, true), (4, false), (6, true), (5, false)]);
    }

    /// Nothing is taken twice, in whatever order things come.
    #[test]
    fn no_order_lets_one_in_twice() {
        for most in [1, 2, 5, 64] {
            let mut seen = Seen(Vec::new());
            let mut taken = std::collections::BTreeSet::new();
            let mut number = 12_345_u64;
            for _ in 0..5_000 {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let stamp = (number >> 33) % 200;
                if let Some(with) = Seen(seen.0.clone()).with(stamp, most) {
                    seen = with;
                    assert!(taken.insert(stamp), "{stamp} twice with {most}");
                }
            }
        }
    }

    #[test]
    fn damage_is_seen() {
        assert_eq!(Seen::read(b""), Some(Seen(Vec::new())));
        assert_eq!(Seen::read(&[0; 7]), None);
        assert_eq!(Seen::read(&[0; 16]), None, "one stamp twice");
    }

    #[test]
    fn near_the_clock_on_both_sides() {
        assert!(near(1_000, 2_000, 1) && near(2_000, 1_000, 1));
        assert!(!near(999, 2_000, 1) && !near(2_001, 1_000, 1));
        assert!(!near(u64::MAX, 0, u32::MAX) && !near(0, u64::MAX, 1));
    }
}
