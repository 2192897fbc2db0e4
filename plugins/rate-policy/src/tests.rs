//! Whose bounds are whose, and what a configuration may not say.

use portcullis_plugin::{Attribute, ClientLimits, Grant};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

fn settings(config: Value) -> Result<Settings, String> {
    let settings = Settings::deserialize(config).map_err(|error| error.to_string())?;
    settings.check().map(|()| settings)
}

fn policy() -> RatePolicy {
    let config = json!({
        "default": { "messages_per_second": 1 },
        "class": [
            { "groups": ["gateways", "bridges"], "limits": { "messages_per_second": 2 } },
            { "users": ["alice"], "listeners": ["internal"], "limits": {} },
            { "users": ["alice"], "limits": { "messages_per_second": 3 } },
        ],
    });
    RatePolicy(settings(config).unwrap())
}

#[track_caller]
fn check(granted: &[(&str, &str)], listener: &str, messages_per_second: Option<u32>) {
    let connection = Connection {
        // A claim, which counts for nothing.
        username: Some("alice".to_owned()),
        listener: listener.to_owned(),
        attributes: granted.iter().map(|(name, value)| Attribute::new(*name, *value)).collect(),
        ..Connection::default()
    };
    let limits = ClientLimits { messages_per_second, ..ClientLimits::default() };
    assert_eq!(policy().judge(&connection), Outcome::Allow(Grant::default().limits(limits)));
}

#[test]
fn the_first_class_that_is_about_a_client_counts() {
    check(&[(PRINCIPAL, "bob")], "mqtt", Some(1));
    check(&[(PRINCIPAL, "bob"), (GROUP, "a"), (GROUP, "bridges")], "mqtt", Some(2));
    check(&[(PRINCIPAL, "alice")], "mqtt", Some(3));
    check(&[(PRINCIPAL, "alice")], "internal", None);
    check(&[(PRINCIPAL, "alice"), (GROUP, "gateways")], "internal", Some(2));
    check(&[(PRINCIPAL, "bob")], "internal", Some(1));
}

/// Whoever nobody named is not let in by bounds.
#[test]
fn whom_nobody_named_it_does_not_allow() {
    let connection = Connection { username: Some("alice".to_owned()), ..Connection::default() };
    assert_eq!(policy().judge(&connection), Outcome::Next);
    let attributes = vec![Attribute::new(GROUP, "gateways"), Attribute::new("principal", "alice")];
    assert_eq!(policy().judge(&Connection { attributes, ..connection }), Outcome::Next);
}

#[test]
fn every_bound_arrives() {
    let config = json!({ "default": {
        "messages_per_second": 1, "messages_burst": 2, "bytes_per_second": 1024,
        "receive_maximum": 4, "in_flight_max": 5, "queue_messages_max": 6, "queue_bytes_max": 7,
        "packet_bytes_max": 128, "keep_alive_seconds_max": 9, "subscriptions_max": 10,
        "session_expiry_seconds_max": 0,
    }});
    let settings = settings(config).unwrap();
    let whom = Whom { principal: "p", groups: &[], listener: "l" };
    let grant = settings.limits(&whom).grant();
    assert_eq!((grant.principal.as_ref(), grant.session_expiry_seconds_max), (None, Some(0)));
    let expected = ClientLimits {
        messages_per_second: Some(1),
        messages_burst: Some(2),
        bytes_per_second: Some(1_024),
        receive_maximum: Some(4),
        in_flight_max: Some(5),
        queue_messages_max: Some(6),
        queue_bytes_max: Some(7),
        packet_bytes_max: Some(128),
        keep_alive_seconds_max: Some(9),
        subscriptions_max: Some(10),
    };
    assert_eq!(grant.limits, Some(expected));
}

#[test]
fn what_could_be_no_bound_by_accident_is_refused() {
    for (config, words) in [
        (json!({}), "missing field `default`"),
        (json!({ "default": {}, "classes": [] }), "unknown field `classes`"),
        (json!({ "default": { "messages": 1 } }), "unknown field `messages`"),
        (json!({ "default": { "messages_per_second": 0 } }), "at least 1"),
        (json!({ "default": { "messages_per_second": -1 } }), "invalid value"),
        (json!({ "default": { "in_flight_max": 65536 } }), "invalid value"),
        (json!({ "default": { "bytes_per_second": 1023 } }), "at least 1024"),
        (json!({ "default": { "packet_bytes_max": 127 } }), "at least 128"),
        (json!({ "default": { "messages_burst": 5 } }), "stands beside"),
        (json!({ "default": {}, "class": [{ "limits": {} }] }), "number 1: name `groups`"),
        (json!({ "default": {}, "class": [{ "groups": ["a"] }] }), "missing field `limits`"),
        (json!({ "default": {}, "class": [{ "users": [""], "limits": {} }] }), "name is empty"),
        (
            json!({
                "default": {},
                "class": [{ "users": ["a"], "limits": { "receive_maximum": 0 } }],
            }),
            "number 1: receive_maximum = 0: at least 1",
        ),
    ] {
        let why = settings(config.clone()).unwrap_err();
        assert!(why.contains(words), "{config}: {why}");
    }
}
