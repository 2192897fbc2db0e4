//! Tables of lengths and counts at, below and above their limits.

use super::*;

fn exceeded(limit: &'static str, value: u64, maximum: u64) -> Result<(), SizeExceeded> {
    Err(SizeExceeded { limit, value, maximum })
}

/// `count` levels, one `/` less.
fn levels(count: usize) -> String {
    "/".repeat(count - 1)
}

#[test]
fn client_ids() {
    let sizes = Sizes::default();
    assert_eq!(sizes.check_client_id(""), Ok(()));
    assert_eq!(sizes.check_client_id(&"x".repeat(256)), Ok(()));
    let expect = exceeded("client_id_bytes", 257, 256);
    assert_eq!(sizes.check_client_id(&"x".repeat(257)), expect);
    // Bytes, not characters.
    assert_eq!(sizes.check_client_id(&"ü".repeat(129)), exceeded("client_id_bytes", 258, 256));
}

#[test]
fn usernames() {
    let sizes = Sizes::default();
    assert_eq!(sizes.check_username(&"x".repeat(1_024)), Ok(()));
    let expect = exceeded("username_bytes", 1_025, 1_024);
    assert_eq!(sizes.check_username(&"x".repeat(1_025)), expect);
}

#[test]
fn topics_and_filters() {
    let sizes = Sizes::default();
    let both = |text: &str, expect| {
        assert_eq!(sizes.check_topic(text), expect);
        assert_eq!(sizes.check_filter(text), expect);
    };
    both(&"x".repeat(1_024), Ok(()));
    both(&"x".repeat(1_025), exceeded("topic_bytes", 1_025, 1_024));
    both(&levels(64), Ok(()));
    both(&levels(65), exceeded("topic_levels", 65, 64));
    both(&levels(2_000), exceeded("topic_bytes", 1_999, 1_024));
}

#[test]
fn user_properties_and_subscriptions() {
    let sizes = Sizes::default();
    for (count, bytes, expect) in [
        (64, 8_192, Ok(())),
        (65, 0, exceeded("user_properties", 65, 64)),
        (1, 8_193, exceeded("user_property_bytes", 8_193, 8_192)),
    ] {
        assert_eq!(sizes.check_user_properties(count, bytes), expect);
    }
    for (count, wildcards, expect) in [
        (100, 10, Ok(())),
        (101, 0, exceeded("subscriptions_per_client", 101, 100)),
        (50, 11, exceeded("wildcard_subscriptions_per_client", 11, 10)),
    ] {
        assert_eq!(sizes.check_subscriptions(count, wildcards), expect);
    }
}

#[test]
fn an_excess_is_a_sentence() {
    let error = Sizes::default().check_client_id(&"x".repeat(300)).unwrap_err();
    assert_eq!(error.to_string(), "client_id_bytes exceeded: 300 is more than 256");
}

/// Sets one field to a value as large as its type allows, else to `value`.
fn set(sizes: &mut Sizes, key: &str, value: u64) {
    let size = usize::try_from(value).unwrap();
    let short = u16::try_from(value).unwrap_or(u16::MAX);
    let time = Duration::from_millis(value);
    match key {
        "packet_bytes" => sizes.packet_bytes = size,
        "packet_bytes_before_connect" => sizes.packet_bytes_before_connect = size,
        "client_id_bytes" => sizes.client_id_bytes = size,
        "username_bytes" => sizes.username_bytes = size,
        "sessions" => sizes.sessions = size,
        "sessions_per_principal" => sizes.sessions_per_principal = size,
        "topic_bytes" => sizes.topic_bytes = size,
        "topic_levels" => sizes.topic_levels = size,
        "subscriptions_per_client" => sizes.subscriptions_per_client = size,
        "wildcard_subscriptions_per_client" => sizes.wildcard_subscriptions_per_client = size,
        "receive_maximum" => sizes.receive_maximum = short,
        "queue_messages" => sizes.queue_messages = size,
        "queue_bytes" => sizes.queue_bytes = size,
        "keep_alive_max" => sizes.keep_alive_max = short,
        "topic_alias_maximum" => sizes.topic_alias_maximum = short,
        "user_properties" => sizes.user_properties = size,
        "user_property_bytes" => sizes.user_property_bytes = size,
        "retained_messages" => sizes.retained_messages = size,
        "retained_bytes" => sizes.retained_bytes = size,
        "session_expiry_max" => sizes.session_expiry_max = u32::try_from(value).unwrap(),
        "connect_timeout" => sizes.connect_timeout = time,
        "write_timeout" => sizes.write_timeout = time,
        "strangers_bytes" => sizes.strangers_bytes = size,
        "idle_timeout" => sizes.idle_timeout = Some(time),
        _ => panic!("{key} is in RANGES but no field"),
    }
}

#[test]
fn each_range_is_that_of_its_field() {
    assert_eq!(RANGES.len(), 24);
    for (key, minimum, maximum) in RANGES.iter().copied() {
        for value in [minimum, maximum] {
            let mut sizes = Sizes::default();
            set(&mut sizes, key, value);
            assert_eq!(sizes.check(), Ok(()), "{key} = {value}");
        }
        let outside = [minimum.checked_sub(1), Some(maximum + 1)];
        for value in outside.into_iter().flatten() {
            // 65,536 can't be said in a field of 16 bits.
            let short = matches!(key, "receive_maximum" | "keep_alive_max" | "topic_alias_maximum");
            if short && value > maximum {
                continue;
            }
            let mut sizes = Sizes::default();
            set(&mut sizes, key, value);
            let error = OutOfRange { key, value, minimum, maximum };
            assert_eq!(sizes.check(), Err(error), "{key} = {value}");
        }
    }
}
