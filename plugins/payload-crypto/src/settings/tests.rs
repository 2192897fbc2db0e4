//! What `[config]` may say, and the sentence about everything else.

use serde_json::{Value, json};

use super::*;

fn read(config: Value) -> Result<(Rules, Option<Pseudonyms>), String> {
    let settings: Settings = serde_json::from_value(config).map_err(|error| error.to_string())?;
    settings.checked()
}

/// A rule that is good, with these keys over it; null takes one away.
#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn rule(more: Value) -> Value {
    let mut rule = json!({ "topic": "plant/+/raw", "action": "open-inbound", "key": "devices" });
    let fields = rule.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    rule
}

fn one(more: Value) -> Result<Rules, String> {
    read(json!({ "rules": [rule(more)] })).map(|(rules, _)| rules)
}

#[test]
fn every_key_arrives() {
    let rules = one(json!({
        "client": "topic-level", "level": 2, "client_key": false, "stamp": "timestamp",
        "window_seconds": 5, "remember": 7, "reject": 0x87, "listeners": ["plain"],
    }));
    let seal =
        |client, client_key, stamp| Seal { ring: "devices".to_owned(), client, client_key, stamp };
    let filter = || Filter::new("plant/+/raw".to_owned()).unwrap();
    let fresh = Fresh { window_seconds: Some(5), remember: 7, memory_seconds: Some(70) };
    let expected = Inbound {
        filter: filter(),
        listeners: Some(vec!["plain".to_owned()]),
        seal: seal(Some(Named::Level(2)), false, Stamp::Timestamp),
        what: InboundWork::Open(Some(fresh)),
        reject: 0x87,
    };
    assert_eq!(rules.unwrap().inbound, [expected]);
    let rules = one(json!({
        "action": "open-outbound", "clear_for_groups": ["ops"],
        "clear_for_attributes": { "clearance": "high" }, "others": "nothing",
    }));
    let circle = Circle {
        groups: vec!["ops".to_owned()],
        attributes: vec![("clearance".to_owned(), "high".to_owned())],
    };
    let expected = Outbound {
        filter: filter(),
        seal: seal(None, false, Stamp::None),
        what: OutboundWork::Open { others_get_it_sealed: false },
        clear_for: Some(circle),
    };
    assert_eq!(rules.unwrap().outbound, [expected]);
}

#[test]
fn what_is_not_said() {
    let rules = one(json!({ "client": "client-id", "stamp": "counter" })).unwrap();
    assert!(rules.inbound[0].seal.client_key, "a key for each, where there is a name");
    assert_eq!(rules.inbound[0].reject, 0x99);
    let fresh = Fresh { window_seconds: None, remember: 32, memory_seconds: None };
    assert_eq!(rules.inbound[0].what, InboundWork::Open(Some(fresh)));
    let rules = one(json!({ "action": "seal-outbound" })).unwrap();
    assert!(!rules.outbound[0].seal.client_key && rules.outbound[0].clear_for.is_none());
}

#[test]
fn what_depends_on_the_subscriber() {
    use portcullis_plugin::Scope;
    for (more, scope) in [
        (json!({ "action": "open-outbound" }), Scope::Message),
        (json!({ "action": "seal-outbound" }), Scope::Message),
        (json!({ "action": "seal-outbound", "client": "principal" }), Scope::Subscriber),
        (json!({ "action": "open-outbound", "clear_for_groups": ["x"] }), Scope::Subscriber),
    ] {
        assert_eq!(one(more.clone()).unwrap().scope(), scope, "{more}");
    }
}

#[test]
fn every_mistake_has_its_sentence() {
    for (more, words) in [
        (json!({ "topik": "a" }), "unknown field `topik`"),
        (json!({ "topic": null }), "missing field `topic`"),
        (json!({ "topic": "a/#/b" }), "wildcard"),
        (json!({ "action": "open" }), "unknown variant"),
        (json!({ "key": "" }), "key is empty"),
        (json!({ "client": "topic-level" }), "level = 0"),
        (json!({ "client": "topic-level", "level": 4 }), "level = 4"),
        (json!({ "topic": "a/#", "client": "topic-level", "level": 2 }), "level = 2"),
        (json!({ "client": "principal", "level": 2 }), "level means nothing"),
        (json!({ "level": 2 }), "mean nothing without client"),
        (json!({ "client_key": true }), "mean nothing without client"),
        (json!({ "stamp": "counter" }), "stamp needs client"),
        (json!({ "remember": 5 }), "remember means nothing"),
        (json!({ "window_seconds": 5 }), "window_seconds means nothing"),
        (
            json!({ "client": "client-id", "stamp": "timestamp", "window_seconds": 0 }),
            "allowed: 1 to 86400",
        ),
        (json!({ "client": "client-id", "stamp": "counter", "remember": 65 }), "allowed: 1 to 64"),
        (json!({ "reject": 0x83 }), "reject = 0x83"),
        (json!({ "listeners": [] }), "listeners is empty"),
        (json!({ "others": "sealed" }), "others means nothing"),
        (json!({ "clear_for_groups": ["x"] }), "clear_for_groups means nothing"),
        (json!({ "action": "seal-outbound", "reject": 0x99 }), "reject means nothing"),
        (json!({ "action": "seal-outbound", "others": "sealed" }), "others means nothing"),
        (json!({ "action": "open-outbound", "others": "nothing" }), "others means nothing"),
        (json!({ "action": "open-outbound", "clear_for_groups": [] }), "are empty"),
        (json!({ "action": "open-outbound", "client": "client-id" }), "who published is not known"),
        (json!({ "action": "seal-inbound", "stamp": "counter" }), "does not count"),
    ] {
        let error = one(more.clone()).unwrap_err();
        assert!(error.contains(words), "{more}: {error}");
    }
    assert!(read(json!({})).unwrap_err().contains("would do nothing"));
    let many = vec![rule(json!({})); 100];
    assert!(read(json!({ "rules": many })).unwrap_err().contains("at most 99"));
}

/// Who is free to choose a client identifier must not get the key of the principal of that name.
#[test]
fn the_names_of_a_ring_are_of_one_kind() {
    let mixed = |other: &str| {
        let first = rule(json!({ "client": "client-id" }));
        let second = rule(json!({ "client": "principal", "key": other }));
        read(json!({ "rules": [first, second] })).map(drop)
    };
    assert!(mixed("devices").unwrap_err().contains("a ring each"));
    mixed("others").unwrap();
}

/// A rule with a short window must not make those with a long one forget.
#[test]
fn the_rules_of_a_ring_remember_for_the_longest_window() {
    let of = |key: &str, stamp: &str, window: Value| {
        rule(json!({ "key": key, "client": "client-id", "stamp": stamp, "window_seconds": window }))
    };
    let rules = [
        of("a", "timestamp", json!(10)),
        of("a", "timestamp", json!(1_000)),
        of("a", "counter", Value::Null),
        of("b", "timestamp", json!(5)),
    ];
    let (rules, _) = read(json!({ "rules": rules })).unwrap();
    let memories = rules.inbound.iter().map(|rule| match &rule.what {
        InboundWork::Open(Some(fresh)) => fresh.memory_seconds,
        other => panic!("{other:?}"),
    });
    assert_eq!(memories.collect::<Vec<_>>(), [Some(2_060), Some(2_060), None, Some(70)]);
}

#[test]
fn pseudonyms() {
    let with = |more: Value| {
        let mut table = json!({ "secret": "s", "prefix": "p", "topics": ["a/${client}/b", "c"] });
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(json!({ "pseudonyms": table })).map(|(_, pseudonyms)| pseudonyms.unwrap())
    };
    assert_eq!(with(json!({ "client": "principal" })).unwrap().client, Named::Principal);
    for (more, words) in [
        (json!({ "secret": "" }), "secret is empty"),
        (json!({ "prefix": "" }), "prefix"),
        (json!({ "prefix": "a/+" }), "prefix"),
        (json!({ "prefix": "$SYS" }), "prefix"),
        (json!({ "topics": [] }), "0 topics"),
        (json!({ "topics": ["a/#"] }), "no topic name"),
        (json!({ "topics": ["$SYS/x"] }), "no topic name"),
        (json!({ "topics": ["a/${username}"] }), "no topic name"),
        (json!({ "client": "topic-level" }), "topic-level"),
        (json!({ "topic": "a" }), "unknown field"),
    ] {
        let error = with(more.clone()).unwrap_err();
        assert!(error.contains(words), "{more}: {error}");
    }
}
