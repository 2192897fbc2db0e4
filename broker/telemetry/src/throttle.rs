//! At most so many log lines a second for one kind of event.
//!
//! Knows nothing of logs: it is asked with the current second and answers how many lines went
//! missing before this one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the lines of one kind of event. Lock free: refusals come from many connections at once.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// The current second in the upper 40 bits, lines written in it in the lower 24.
    window: AtomicU64,
    suppressed: AtomicU64,
}

/// Lines a second of one kind of event.
pub(crate) const LINES_PER_SECOND: u64 = 10;

impl Throttle {
    /// `Some(n)`: write the line, and say that `n` were left out since the last one. `None`: leave
    /// it out.
    pub(crate) fn admit(&self, now_seconds: u64) -> Option<u64> {
        let admitted = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
            let (second, lines) = (window >> LINES_BITS, window & LINES_MASK);
            if second != now_seconds {
                Some(now_seconds << LINES_BITS | 1)
            } else if lines < LINES_PER_SECOND {
                Some(window + 1)
            } else {
                None
            }
        });
        if admitted.is_err() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Ordering::Relaxed))
    }
}

const LINES_BITS: u32 = 24;
const LINES_MASK: u64 = (1 << LINES_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_rate_are_left_out_and_told_later() {
        let throttle = Throttle::default();
        let admitted = (0..25).filter(|_| throttle.admit(7).is_some()).count();
        assert_eq!(admitted as u64, LINES_PER_SECOND);
        assert_eq!(throttle.admit(8), Some(15));
        assert_eq!(throttle.admit(8), Some(0));
    }

    #[test]
    fn the_first_second_is_limited_too() {
        let throttle = Throttle::default();
        let admitted = (0..25).filter(|_| throttle.admit(0).is_some()).count();
        assert_eq!(admitted as u64, LINES_PER_SECOND);
    }
}
