//! Rules of a configuration: which are rules, and which are mistakes.

use serde_json::{Value, json};

use super::*;

fn rule(value: Value) -> Result<Rule, String> {
    let rule: ConfiguredRule = serde_json::from_value(value).map_err(|error| error.to_string())?;
    rule.rule()
}

#[test]
fn every_key_narrows() {
    let all = Activity::PUBLISH | Activity::SUBSCRIBE;
    assert_eq!(rule(json!({"allow": "all", "topic": "a/#"})).unwrap(), Rule::allow(all, "a/#"));
    let narrow = json!({"deny": "publish", "topic": "${clientid}/${username}", "qos": [0, 2],
                        "retain": false, "shared": "group"});
    let expected = Rule::deny(Activity::PUBLISH, "${clientid}/${username}")
        .qos(QosSet::AT_MOST_ONCE | QosSet::EXACTLY_ONCE)
        .retain(Condition::No)
        .share_name("group");
    assert_eq!(rule(narrow).unwrap(), expected);
    let shared = rule(json!({"allow": "subscribe", "topic": "a", "shared": true})).unwrap();
    assert_eq!(shared, Rule::allow(Activity::SUBSCRIBE, "a").shared(Condition::Yes));
    assert_eq!(ConfiguredRule::allow_all("#").rule().unwrap(), Rule::allow(all, "#"));
}

#[test]
fn mistakes_are_told() {
    for (value, what) in [
        (json!({"topic": "a"}), "either `allow` or `deny`"),
        (json!({"allow": "all", "deny": "all", "topic": "a"}), "either"),
        (json!({"allow": "all"}), "topic"),
        (json!({"allow": "everything", "topic": "a"}), "everything"),
        (json!({"allow": "all", "topic": "a", "user": "x"}), "user"),
        (json!({"allow": "all", "topic": "a", "qos": []}), "levels"),
        (json!({"allow": "all", "topic": "a", "qos": [0, 3]}), "levels"),
        (json!({"allow": "all", "topic": "a", "shared": "a/b"}), "share name"),
        (json!({"allow": "all", "topic": ""}), "empty"),
        (json!({"allow": "all", "topic": "a\u{0}"}), "NUL"),
        (json!({"allow": "all", "topic": "$share/g/a"}), "$share"),
        (json!({"allow": "all", "topic": "a/#/b"}), "last level"),
        (json!({"allow": "all", "topic": "a/b+"}), "stand alone"),
        (json!({"deny": "all", "topic": "${user}/a"}), "variables"),
    ] {
        let error = rule(value.clone()).unwrap_err();
        assert!(error.contains(what), "{value}: {error}");
    }
}
