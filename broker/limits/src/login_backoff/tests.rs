//! Tables of failures over a virtual clock.

use super::*;

const HERE: &str = "192.0.2.1";

const ALICE: Claimant<'_> = Claimant::User("alice");
const NOBODY: Claimant<'_> = Claimant::Client("device-1");

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn check(
    backoff: &LoginBackoff,
    from: &str,
    claimant: Claimant<'_>,
    now: Instant,
) -> Result<(), BackedOff> {
    backoff.check(backoff.pair(address(from), claimant), now)
}

fn backoff() -> (LoginBackoff, Instant) {
    (LoginBackoff::new(LoginBackoffConfig::default()), Instant::now())
}

#[test]
fn delays_double_up_to_the_cap() {
    let (mut backoff, now) = backoff();
    for (failures, seconds) in
        [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate().map(|(i, s)| (i + 1, s))
    {
        let delay = backoff.failed(address(HERE), ALICE, now);
        assert_eq!(delay, Duration::from_secs(seconds), "failure {failures}");
        let expect = if seconds == 0 {
            Ok(())
        } else {
            Err(BackedOff { until: now + delay, failures: u32::try_from(failures).unwrap() })
        };
        assert_eq!(check(&backoff, HERE, ALICE, now), expect);
        assert_eq!(check(&backoff, HERE, ALICE, now + delay), Ok(()));
    }
    for _ in 0..100 {
        backoff.failed(address(HERE), ALICE, now);
    }
    assert_eq!(backoff.failed(address(HERE), ALICE, now), Duration::from_secs(60));
}

#[test]
fn only_the_pair_waits() {
    let (mut backoff, now) = backoff();
    for _ in 0..9 {
        backoff.failed(address("2001:db8::1"), ALICE, now);
    }
    for (from, claimant, free) in [
        ("2001:db8::1", ALICE, false),
        // The same /64 is the same peer.
        ("2001:db8::2", ALICE, false),
        ("2001:db8:0:1::1", ALICE, true),
        ("192.0.2.1", ALICE, true),
        ("2001:db8::1", Claimant::User("bob"), true),
        ("2001:db8::1", Claimant::User(""), true),
        ("2001:db8::1", Claimant::Client("alice"), true),
    ] {
        assert_eq!(check(&backoff, from, claimant, now).is_ok(), free, "{from} {claimant:?}");
    }
}

#[test]
fn a_mapped_address_is_the_same_address() {
    let (mut backoff, now) = backoff();
    for _ in 0..4 {
        backoff.failed(address("::ffff:192.0.2.1"), NOBODY, now);
    }
    assert!(check(&backoff, "192.0.2.1", NOBODY, now).is_err());
}

#[test]
fn success_and_time_forget() {
    let (mut backoff, now) = backoff();
    for _ in 0..9 {
        backoff.failed(address(HERE), ALICE, now);
    }
    backoff.succeeded(address(HERE), ALICE);
    assert_eq!(check(&backoff, HERE, ALICE, now), Ok(()));
    for _ in 0..9 {
        backoff.failed(address(HERE), ALICE, now);
    }
    let later = now + Duration::from_secs(15 * 60);
    assert_eq!(backoff.failed(address(HERE), ALICE, later), Duration::ZERO);
}

#[test]
fn a_late_report_does_not_shorten_the_wait() {
    let (mut backoff, now) = backoff();
    let later = now + Duration::from_secs(10);
    for _ in 0..4 {
        backoff.failed(address(HERE), NOBODY, later);
    }
    let delay = backoff.failed(address(HERE), NOBODY, now);
    assert_eq!(check(&backoff, HERE, NOBODY, later).unwrap_err().until, later + delay);
}

#[test]
fn the_table_is_bounded() {
    let (mut backoff, now) = backoff();
    for index in 0..200_000 {
        backoff.failed(address(HERE), Claimant::User(&index.to_string()), now);
    }
    assert!(backoff.pairs.len() <= 65_536);
}

#[test]
fn other_numbers_apply_at_once() {
    let (mut backoff, now) = backoff();
    for _ in 0..4 {
        backoff.failed(address(HERE), NOBODY, now);
    }
    let second = now + Duration::from_secs(1);
    assert_eq!(check(&backoff, HERE, NOBODY, second), Ok(()));
    let first_delay = Duration::from_secs(5);
    backoff.set_config(LoginBackoffConfig { first_delay, ..LoginBackoffConfig::default() });
    assert!(check(&backoff, HERE, NOBODY, second).is_err());
}

/// Guesses that are sent while others are being decided count as if those had failed.
#[test]
fn parallel_tries_are_no_way_around_the_wait() {
    let (mut backoff, now) = backoff();
    let heard = (0..140).filter(|_| backoff.attempt(address(HERE), ALICE, now).is_ok()).count();
    assert_eq!(heard, 32 + 4);
    // Whoever else is free.
    assert_eq!(backoff.attempt(address(HERE), Claimant::User("bob"), now), Ok(()));
    for _ in 0..heard {
        backoff.failed(address(HERE), ALICE, now);
    }
    let until = now + Duration::from_secs(60);
    let waits = Err(BackedOff { until, failures: 36 });
    assert_eq!(backoff.attempt(address(HERE), ALICE, now), waits);
    assert_eq!(backoff.attempt(address(HERE), ALICE, until), Ok(()));
    assert!(backoff.attempt(address(HERE), ALICE, until).is_err(), "one at a time from now on");
}

#[test]
fn a_try_without_verdict_was_none() {
    let (mut backoff, now) = backoff();
    for _ in 0..100 {
        assert_eq!(backoff.attempt(address(HERE), ALICE, now), Ok(()));
        backoff.undecided(address(HERE), ALICE);
    }
    assert_eq!(backoff.pairs.len(), 0);
    for _ in 0..4 {
        backoff.attempt(address(HERE), ALICE, now).unwrap();
        backoff.failed(address(HERE), ALICE, now);
    }
    let later = now + Duration::from_secs(1);
    assert_eq!(backoff.attempt(address(HERE), ALICE, later), Ok(()));
    assert!(backoff.attempt(address(HERE), ALICE, later).is_err());
    // It does not prolong the wait either.
    backoff.undecided(address(HERE), ALICE);
    assert_eq!(backoff.attempt(address(HERE), ALICE, later), Ok(()));
}

/// One who gets in does not wipe out the guesses that are on their way beside her.
#[test]
fn success_leaves_what_is_being_decided() {
    let (mut backoff, now) = backoff();
    for _ in 0..36 {
        backoff.attempt(address(HERE), ALICE, now).unwrap();
    }
    backoff.succeeded(address(HERE), ALICE);
    assert_eq!(backoff.attempt(address(HERE), ALICE, now), Ok(()));
    assert!(backoff.attempt(address(HERE), ALICE, now).is_err());
    for _ in 0..36 {
        backoff.succeeded(address(HERE), ALICE);
    }
    assert_eq!(backoff.pairs.len(), 0);
}
