//! Tables of takes over a virtual clock.

use super::*;

fn rate(per_second: u64, burst: u64) -> Rate {
    Rate::new(per_second, burst).unwrap()
}

/// Each step: (milliseconds after the start, tokens, milliseconds at which it would be granted or
/// None if it is).
#[track_caller]
fn check(rate: Rate, steps: &[(u64, u64, Option<u64>)]) {
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let mut bucket = TokenBucket::new(rate, start);
    for (index, (time, count, refused)) in steps.iter().enumerate() {
        let expect = refused.map_or(Ok(()), |until| Err(Wait { until: at(until) }));
        assert_eq!(bucket.try_take(*count, at(*time)), expect, "step {index}");
    }
}

#[test]
fn rates_and_bursts_of_zero_are_refused() {
    for (per_second, burst) in [(0, 1), (1, 0), (0, 0)] {
        assert_eq!(Rate::new(per_second, burst), Err(InvalidRate { per_second, burst }));
    }
    assert_eq!((rate(3, 4).per_second(), rate(3, 4).burst()), (3, 4));
}

#[test]
fn a_burst_then_the_rate() {
    check(
        rate(10, 3),
        &[
            (0, 1, None),
            (0, 2, None),
            (0, 1, Some(100)),
            (99, 1, Some(100)),
            (100, 1, None),
            (100, 1, Some(200)),
            // After a long rest: the burst again, and no more than it.
            (60_000, 3, None),
            (60_000, 1, Some(60_100)),
        ],
    );
}

#[test]
fn a_refusal_takes_nothing_and_zero_is_free() {
    check(rate(1, 2), &[(0, 1, None), (0, 2, Some(1_000)), (0, 1, None), (0, 0, None)]);
}

#[test]
fn more_than_the_burst_needs_a_full_bucket_and_leaves_a_debt() {
    check(
        rate(10, 10),
        &[
            (0, 30, None),
            (0, 0, None),
            // 20 in debt: 2 s until empty, 0.1 s for the token.
            (0, 1, Some(2_100)),
            (2_100, 30, Some(3_000)),
            (3_000, 30, None),
        ],
    );
}

#[test]
fn time_that_stands_still_or_goes_back_gives_nothing() {
    check(
        rate(10, 1),
        &[(1_000, 1, None), (500, 1, Some(1_100)), (0, 1, Some(1_100)), (1_100, 1, None)],
    );
    // A take at an earlier time doesn't turn the clock back.
    check(rate(10, 2), &[(1_000, 1, None), (500, 1, None), (1_000, 1, Some(1_100))]);
}

#[test]
fn the_wait_is_exact_to_the_nanosecond() {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(rate(3, 1), start);
    bucket.try_take(1, start).unwrap();
    let until = bucket.try_take(1, start).unwrap_err().until;
    assert_eq!(until - start, Duration::from_nanos(333_333_334));
    assert!(bucket.try_take(1, until - Duration::from_nanos(1)).is_err());
    assert_eq!(bucket.try_take(1, until), Ok(()));
}

/// 7 per second, asked every 13 ms for an hour: exactly 7 × 3,600 and the burst, whatever the
/// steps; with rounded arithmetic some would get lost.
#[test]
fn nothing_drifts() {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(rate(7, 1), start);
    let mut granted = 0;
    let mut next = start;
    while next - start <= Duration::from_secs(3_600) {
        match bucket.try_take(1, next) {
            Ok(()) => granted += 1,
            Err(wait) => next = wait.until.min(next + Duration::from_millis(13)),
        }
    }
    // The wait is rounded up to a nanosecond: at most one grant may fall beyond the end.
    assert!((7 * 3_600..=7 * 3_600 + 1).contains(&granted), "{granted}");
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(rate(u64::MAX, u64::MAX), start);
    assert_eq!(bucket.try_take(u64::MAX, start), Ok(()));
    let later = start + Duration::from_secs(3_600 * 24 * 365 * 50);
    assert!(bucket.is_full(later));
    let mut slow = TokenBucket::new(rate(1, 1), start);
    assert_eq!(slow.try_take(u64::MAX, start), Ok(()));
    assert_eq!(slow.try_take(1, start), Err(Wait { until: start + WAIT_MAX }));
}

#[test]
fn a_new_rate_keeps_the_fill_up_to_the_new_burst() {
    let start = Instant::now();
    let mut bucket = TokenBucket::new(rate(1, 10), start);
    bucket.set_rate(rate(2, 3), start);
    assert_eq!(bucket.try_take(3, start), Ok(()));
    let until = bucket.try_take(1, start).unwrap_err().until;
    assert_eq!(until - start, Duration::from_millis(500));
    bucket.set_rate(rate(1, 10), start);
    assert!(!bucket.is_full(start + Duration::from_secs(9)));
    assert!(bucket.is_full(start + Duration::from_secs(10)));
}
