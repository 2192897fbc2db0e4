//! Tables of connects over a virtual clock.

use super::*;

fn flapping() -> (Flapping, Instant) {
    (Flapping::new(FlappingConfig::default()), Instant::now())
}

/// Connects of one pair at these milliseconds; the index of the first refused one, if any.
#[track_caller]
fn check(times: impl IntoIterator<Item = u64>, expect: Option<usize>) {
    let (mut flapping, start) = flapping();
    let refused = times
        .into_iter()
        .map(|time| flapping.connected("alice", "sensor", start + Duration::from_millis(time)))
        .position(|answer| answer.is_err());
    assert_eq!(refused, expect);
}

#[test]
fn the_fifteenth_connect_within_a_minute_is_banned() {
    check((0..14).map(|_| 0), None);
    check((0..15).map(|_| 0), Some(14));
    check((0..15).map(|index| index * 4_285), Some(14));
    check((0..1_000).map(|index| index * 4_286), None);
    // Fourteen at the end of one minute and one at the start of the next are fifteen in a minute.
    check((0..14).map(|_| 59_000).chain([60_000]), Some(14));
    check((0..14).map(|_| 0).chain([60_000]), None);
}

#[test]
fn a_ban_lasts_five_minutes_and_tries_do_not_prolong_it() {
    let (mut flapping, start) = flapping();
    for _ in 0..14 {
        assert_eq!(flapping.connected("alice", "sensor", start), Ok(()));
    }
    let until = start + Duration::from_secs(300);
    let banned = Banned { until, connects: 15, window: Duration::from_secs(60) };
    for seconds in [0, 1, 100, 299] {
        let now = start + Duration::from_secs(seconds);
        assert_eq!(flapping.connected("alice", "sensor", now), Err(banned));
    }
    for _ in 0..14 {
        assert_eq!(flapping.connected("alice", "sensor", until), Ok(()));
    }
    assert!(flapping.connected("alice", "sensor", until).is_err());
}

#[test]
fn only_the_pair_is_banned() {
    let (mut flapping, start) = flapping();
    for _ in 0..20 {
        let _ = flapping.connected("mallory", "sensor", start);
    }
    for (principal, client_id, free) in [
        ("mallory", "sensor", false),
        ("alice", "sensor", true),
        ("mallory", "other", true),
        ("mallorys", "ensor", true),
    ] {
        let answer = flapping.connected(principal, client_id, start);
        assert_eq!(answer.is_ok(), free, "{principal} {client_id}");
    }
}

#[test]
fn a_pardon_ends_the_ban() {
    let (mut flapping, start) = flapping();
    assert!(!flapping.pardon("alice", "sensor", start));
    for _ in 0..15 {
        let _ = flapping.connected("alice", "sensor", start);
    }
    assert!(flapping.pardon("alice", "sensor", start));
    assert_eq!(flapping.connected("alice", "sensor", start), Ok(()));
}

#[test]
fn the_table_is_bounded() {
    let (mut flapping, start) = flapping();
    for index in 0..100_000 {
        assert_eq!(flapping.connected("alice", &index.to_string(), start), Ok(()));
    }
    assert!(flapping.pairs.len() <= 16_384);
}

#[test]
fn a_lower_limit_applies_to_the_next_connect() {
    let (mut flapping, start) = flapping();
    for _ in 0..10 {
        assert_eq!(flapping.connected("alice", "sensor", start), Ok(()));
    }
    flapping.set_config(FlappingConfig { connects: 5, ..FlappingConfig::default() });
    assert_eq!(flapping.connected("alice", "sensor", start).unwrap_err().connects, 5);
}
