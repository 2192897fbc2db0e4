//! Tables of failures over a virtual clock.

use super::*;

const HERE: &str = "192.0.2.1";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
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
        let delay = backoff.failed(address(HERE), Some("alice"), now);
        assert_eq!(delay, Duration::from_secs(seconds), "failure {failures}");
        let expect = if seconds == 0 {
            Ok(())
        } else {
            Err(BackedOff { until: now + delay, failures: u32::try_from(failures).unwrap() })
        };
        assert_eq!(backoff.check(address(HERE), Some("alice"), now), expect);
        assert_eq!(backoff.check(address(HERE), Some("alice"), now + delay), Ok(()));
    }
    for _ in 0..100 {
        backoff.failed(address(HERE), Some("alice"), now);
    }
    assert_eq!(backoff.failed(address(HERE), Some("alice"), now), Duration::from_secs(60));
}

#[test]
fn only_the_pair_waits() {
    let (mut backoff, now) = backoff();
    for _ in 0..9 {
        backoff.failed(address("2001:db8::1"), Some("alice"), now);
    }
    for (from, user, free) in [
        ("2001:db8::1", Some("alice"), false),
        // The same /64 is the same peer.
        ("2001:db8::2", Some("alice"), false),
        ("2001:db8:0:1::1", Some("alice"), true),
        ("192.0.2.1", Some("alice"), true),
        ("2001:db8::1", Some("bob"), true),
        ("2001:db8::1", Some(""), true),
        ("2001:db8::1", None, true),
    ] {
        assert_eq!(backoff.check(address(from), user, now).is_ok(), free, "{from} {user:?}");
    }
}

#[test]
fn a_mapped_address_is_the_same_address() {
    let (mut backoff, now) = backoff();
    for _ in 0..4 {
        backoff.failed(address("::ffff:192.0.2.1"), None, now);
    }
    assert!(backoff.check(address("192.0.2.1"), None, now).is_err());
}

#[test]
fn success_and_time_forget() {
    let (mut backoff, now) = backoff();
    for _ in 0..9 {
        backoff.failed(address(HERE), Some("alice"), now);
    }
    backoff.succeeded(address(HERE), Some("alice"));
    assert_eq!(backoff.check(address(HERE), Some("alice"), now), Ok(()));
    for _ in 0..9 {
        backoff.failed(address(HERE), Some("alice"), now);
    }
    let later = now + Duration::from_secs(15 * 60);
    assert_eq!(backoff.failed(address(HERE), Some("alice"), later), Duration::ZERO);
}

#[test]
fn a_late_report_does_not_shorten_the_wait() {
    let (mut backoff, now) = backoff();
    let later = now + Duration::from_secs(10);
    for _ in 0..4 {
        backoff.failed(address(HERE), None, later);
    }
    let delay = backoff.failed(address(HERE), None, now);
    assert_eq!(backoff.check(address(HERE), None, later).unwrap_err().until, later + delay);
}

#[test]
fn the_table_is_bounded() {
    let (mut backoff, now) = backoff();
    for index in 0..200_000 {
        backoff.failed(address(HERE), Some(&index.to_string()), now);
    }
    assert!(backoff.pairs.len() <= 65_536);
}

#[test]
fn other_numbers_apply_at_once() {
    let (mut backoff, now) = backoff();
    for _ in 0..4 {
        backoff.failed(address(HERE), None, now);
    }
    let second = now + Duration::from_secs(1);
    assert_eq!(backoff.check(address(HERE), None, second), Ok(()));
    let first_delay = Duration::from_secs(5);
    backoff.set_config(LoginBackoffConfig { first_delay, ..LoginBackoffConfig::default() });
    assert!(backoff.check(address(HERE), None, second).is_err());
}
