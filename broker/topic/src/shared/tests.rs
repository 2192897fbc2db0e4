//! Tables of subscription texts: plain, shared, malformed.

use super::*;

#[track_caller]
fn check(text: &str, share: Option<&str>, filter: &str) {
    let parsed = SubscriptionFilter::parse(text).unwrap();
    assert_eq!(parsed.share.as_ref().map(ShareName::as_str), share, "{text:?}");
    assert_eq!(parsed.filter.as_str(), filter, "{text:?}");
    assert_eq!(parsed.to_string(), text);
}

#[track_caller]
fn refuse(text: &str, expect: InvalidTopic) {
    assert_eq!(SubscriptionFilter::parse(text), Err(expect), "{text:?}");
}

#[test]
fn plain_filters_stay_whole() {
    for text in ["a/b", "#", "+", "/", "$SYS/#", "$shared/a/b", "$shar/a/b", "a/$share/g/f", "$"] {
        check(text, None, text);
    }
    check("$SHARE/g/f", None, "$SHARE/g/f");
    check("/$share/g/f", None, "/$share/g/f");
}

/// Covers 5.0 [MQTT-4.8.2-1] [MQTT-4.8.2-2].
#[test]
fn shared_subscriptions_have_a_name_and_a_filter() {
    check("$share/g/f", Some("g"), "f");
    check("$share/g/#", Some("g"), "#");
    check("$share/g//", Some("g"), "/");
    check("$share/g//finance", Some("g"), "/finance");
    check("$share/a name/sport/+/score", Some("a name"), "sport/+/score");
    check("$share/$share/$share/g/f", Some("$share"), "$share/g/f");
}

/// Covers 5.0 [MQTT-4.8.2-1] [MQTT-4.8.2-2].
#[test]
fn a_malformed_share_is_refused() {
    for text in [
        "$share",
        "$share/",
        "$share//",
        "$share//f",
        "$share/g",
        "$share/g/",
        "$share/+/f",
        "$share/#",
        "$share/#/f",
        "$share/g+/f",
        "$share/g#h/f",
    ] {
        refuse(text, InvalidTopic::BadShare);
    }
}

#[test]
fn the_filter_behind_the_share_obeys_the_filter_rules() {
    refuse("$share/g/a+", InvalidTopic::WildcardNotAlone { level: 1 });
    refuse("$share/g/a/#/b", InvalidTopic::HashNotLast { level: 2 });
    refuse("$share/g/a\0", InvalidTopic::NulCharacter);
    refuse("$share/g\0/a", InvalidTopic::NulCharacter);
    refuse("", InvalidTopic::Empty);
    let long = format!("$share/g/{}", "x".repeat(65_527));
    refuse(&long, InvalidTopic::TooLong { bytes: 65_536 });
}

/// Covers 5.0 [MQTT-4.8.2-1] [MQTT-4.8.2-2].
#[test]
fn share_names() {
    assert!(ShareName::new("g").is_ok());
    for (text, expect) in [
        ("", InvalidTopic::BadShare),
        ("a/b", InvalidTopic::BadShare),
        ("+", InvalidTopic::BadShare),
        ("a#", InvalidTopic::BadShare),
        ("a\0", InvalidTopic::NulCharacter),
    ] {
        assert_eq!(ShareName::new(text), Err(expect), "{text:?}");
    }
}
