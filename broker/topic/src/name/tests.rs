//! Tables of topic names: valid, invalid, and why.

use super::*;

#[track_caller]
fn check(text: &str, expect: Result<(), InvalidTopic>) {
    assert_eq!(TopicName::check(text), expect, "{text:?}");
    assert_eq!(TopicName::new(text).map(|name| name.to_string()), expect.map(|()| text.to_owned()));
}

#[test]
fn any_text_without_wildcards_and_nul_is_a_name() {
    for text in
        ["a", "/", "//", "a/", "/a", "a//b", " ", "a b/c", "$SYS/x", "$", "ü/温度", "$share"]
    {
        check(text, Ok(()));
    }
}

/// Covers 5.0 [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2], 3.1.1 [MQTT-4.7.1-1] [MQTT-4.7.3-1]
/// [MQTT-4.7.3-2].
#[test]
fn refusals_name_their_reason() {
    check("", Err(InvalidTopic::Empty));
    check("a\0b", Err(InvalidTopic::NulCharacter));
    for text in ["+", "#", "a/+", "a/#", "a+b", "a#"] {
        check(text, Err(InvalidTopic::WildcardInName));
    }
}

/// Covers 5.0 [MQTT-4.7.3-3], 3.1.1 [MQTT-4.7.3-3].
#[test]
fn the_longest_name_has_65535_bytes() {
    check(&"x".repeat(65_535), Ok(()));
    check(&"x".repeat(65_536), Err(InvalidTopic::TooLong { bytes: 65_536 }));
    // Bytes count, not characters.
    check(&"ü".repeat(32_768), Err(InvalidTopic::TooLong { bytes: 65_536 }));
}

#[test]
fn empty_levels_are_levels() {
    for (text, levels) in [("a", 1), ("/", 2), ("a/b", 2), ("//", 3), ("a//b", 3), ("/a/", 3)] {
        assert_eq!(level_count(text), levels, "{text:?}");
    }
}

/// Covers 5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4].
#[test]
fn names_are_not_normalised() {
    let composed = TopicName::new("\u{e9}").unwrap();
    let decomposed = TopicName::new("e\u{301}").unwrap();
    assert_ne!(composed, decomposed);
    assert_ne!(TopicName::new("a").unwrap(), TopicName::new("A").unwrap());
    assert_ne!(TopicName::new("a").unwrap(), TopicName::new("a/").unwrap());
    assert_ne!(TopicName::new("/a").unwrap(), TopicName::new("a").unwrap());
}

#[test]
fn refusals_are_sentences() {
    let error = TopicName::new(&"x".repeat(70_000)).unwrap_err();
    assert_eq!(error.to_string(), "the topic has 70000 bytes; at most 65535 are allowed");
}

#[test]
fn the_brokers_own_topics_stand_apart() {
    for (text, own) in [
        ("$SYS", true),
        ("$SYS/", true),
        ("$SYS/x/y", true),
        ("$SYS/#", true),
        ("$SYSTEM/x", false),
        ("$sys/x", false),
        ("a/$SYS/x", false),
        ("#", false),
        ("$", false),
    ] {
        assert_eq!(is_of_broker(text), own, "{text:?}");
    }
}
