//! What was seen already: the largest stamps of each name, kept by the host over restarts and shared by all instances and
//! all rules with one ring and one kind of stamp.

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
    // After this time what is remembered is stale anyway, for every rule. A counter is never.
    let ttl = fresh.memory_seconds.filter(|_| clock == Clock::Matters);
    for _ in 0..TRIES_MAX {
        let entry = host::state::get(of).map_err(unavailable)?;
        let version = entry.as_ref().map(|entry| entry.version);
        let seen = entry.map_or_else(|| Some(Seen::default()), |entry| Seen::read(&entry.value));
        let Some(seen) = seen else {
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

/// The largest stamps, in order, each once. All that may have been seen beside them is not larger than `floor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    floor: Option<u64>,
    stamps: Vec<u64>,
}

impl Seen {
    /// None: that was not written here.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (has_floor, rest) = bytes.split_first()?;
        let (numbers, []) = rest.as_chunks::<8>() else { return None };
        let mut numbers = numbers.iter().map(|number| u64::from_be_bytes(*number));
        let floor = match has_floor {
            0 => None,
            1 => Some(numbers.next()?),
            _ => return None,
        };
        let stamps: Vec<_> = numbers.collect();
        let in_order = floor.iter().chain(&stamps).is_sorted_by(|a, b| a < b);
        in_order.then_some(Self { floor, stamps })
    }

    fn written(&self) -> Vec<u8> {
        let numbers = self.floor.iter().chain(&self.stamps).flat_map(|number| number.to_be_bytes());
        std::iter::once(u8::from(self.floor.is_some())).chain(numbers).collect()
    }

    /// With one more, and no more than `most`; none if it is there, or may have been.
    fn with(mut self, stamp: u64, most: usize) -> Option<Self> {
        if self.floor.is_some_and(|floor| stamp <= floor) {
            return None;
        }
        let place = self.stamps.binary_search(&stamp).err()?;
        self.stamps.insert(place, stamp);
        let surplus = self.stamps.len().saturating_sub(most);
        self.floor = self.stamps.drain(..surplus).next_back().or(self.floor);
        Some(self)
    }
}

/// Others may have noted something meanwhile, each at least one message.
const TRIES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// Stamps one after the other, each with whether it is taken.
    #[track_caller]
    fn check(most: usize, stamps: &[(u64, bool)]) {
        let mut seen = Seen::default();
        for (stamp, taken) in stamps {
            match Seen::read(&seen.written()).unwrap().with(*stamp, most) {
                Some(with) => seen = with,
                None => {
                    assert!(!taken, "{stamp}");
                    continue;
                }
            }
            assert!(*taken && seen.stamps.len() <= most, "{stamp}");
        }
    }

    #[test]
    fn each_stamp_counts_once() {
        check(4, &[(1, true), (1, false), (2, true), (1, false), (2, false)]);
        check(4, &[(10, true), (5, true), (7, true), (5, false), (7, false), (10, false)]);
        check(4, &[(0, true), (0, false), (u64::MAX, true), (u64::MAX, false)]);
    }

    /// What fell out of the memory might have been seen, and all that is not larger.
    #[test]
    fn what_is_older_than_the_memory_is_refused() {
        check(3, &[(1, true), (2, true), (3, true), (4, true), (1, false), (0, false)]);
        check(3, &[(10, true), (20, true), (30, true), (5, true), (5, false), (4, false)]);
        check(3, &[(10, true), (20, true), (30, true), (40, true), (15, true), (12, false)]);
        check(1, &[(5, true), (4, true), (4, false), (6, true), (5, false)]);
    }

    /// Nothing is taken twice, in whatever order things come, and however many are remembered meanwhile.
    #[test]
    fn no_order_lets_one_in_twice() {
        for most in [1, 2, 5, 64] {
            let mut seen = Seen::default();
            let mut taken = std::collections::BTreeSet::new();
            let mut number = 12_345_u64;
            for round in 0..5_000 {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let stamp = (number >> 33) % 200;
                let most = if round % 100 < 50 { most } else { 7 };
                if let Some(with) = seen.clone().with(stamp, most) {
                    seen = with;
                    assert!(taken.insert(stamp), "{stamp} twice with {most}");
                }
            }
        }
    }

    #[test]
    fn damage_is_seen() {
        for bytes in [&[][..], &[0; 8], &[2], &[1], &[0; 17], &[1, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Seen::read(bytes), None, "{bytes:?}");
        }
        assert_eq!(Seen::read(&[0]), Some(Seen::default()));
        let seen = Seen { floor: Some(3), stamps: vec![4, 9] };
        assert_eq!(Seen::read(&seen.written()), Some(seen));
        let wrong = Seen { floor: Some(4), stamps: vec![4, 9] };
        assert_eq!(Seen::read(&wrong.written()), None);
    }

    #[test]
    fn near_the_clock_on_both_sides() {
        assert!(near(1_000, 2_000, 1) && near(2_000, 1_000, 1));
        assert!(!near(999, 2_000, 1) && !near(2_001, 1_000, 1));
        assert!(!near(u64::MAX, 0, u32::MAX) && !near(0, u64::MAX, 1));
    }
}
