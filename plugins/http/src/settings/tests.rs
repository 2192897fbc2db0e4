//! What is a configuration, and what is a mistake.

use serde_json::json;

use super::*;
use crate::gate::{Gate, tests::Memory};

#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn with(more: Value) -> Value {
    let mut all = json!({"url": "https://auth.example/login", "body": {"user": "${username}"}});
    for (key, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(key)),
            value => all[key] = value.clone(),
        }
    }
    all
}

fn open(config: Value) -> Result<(), String> {
    let settings: Settings = serde_json::from_value(config).map_err(|error| error.to_string())?;
    match Gate::open(Memory::default(), settings) {
        Ok(_) => Ok(()),
        Err(Error::Misconfigured(text)) => Err(text),
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn fails(config: Value, what: &str) {
    let error = open(config.clone()).unwrap_err();
    assert!(error.contains(what), "{config}: {error}, wanted {what}");
}

#[test]
fn all_three_questions() {
    let config = json!({
        "authenticate": with(json!({})),
        "permissions": with(json!({"body": {"user": "${username}", "x": ["${clientid}", 7]}})),
        "operations": with(json!({"topics": ["#"], "body": {"t": "${topic}", "a": "${action}"}})),
        "superuser": [{"allow": "subscribe", "topic": "#"}],
        "principal": "${cert_common_name}",
    });
    open(config).unwrap();
    let get = json!({"method": "GET", "body": null, "url": "https://a.example/${username}?q=1"});
    open(json!({"authenticate": with(get)})).unwrap();
    let plain = json!({"url": "http://auth.example/", "allow_plain": true});
    open(json!({"authenticate": with(plain)})).unwrap();
}

#[test]
fn mistakes_are_told() {
    let authenticate = |more| json!({"authenticate": with(more)});
    fails(json!({}), "nothing is asked");
    fails(json!({"unknown": 1}), "unknown");
    for (more, what) in [
        (json!({"url": "auth.example"}), "allowed: https:"),
        (json!({"url": "http://auth.example/x"}), "in the clear"),
        (json!({"url": "https://${username}/x"}), "for its path"),
        (json!({"url": "https://auth.example${username}/x"}), "for its path"),
        (json!({"url": "https://auth.example/#x"}), "fragment"),
        (json!({"url": "https://auth.example/?p=${password}"}), "does not belong here"),
        (json!({"url": "https://auth.example/${topic}"}), "${topic}"),
        (json!({"url": "https://auth.example/${user"}), "closed"),
        (json!({"method": "PUT"}), "PUT"),
        (json!({"method": "GET"}), "has none"),
        (json!({"body": null}), "missing"),
        (json!({"body": {"x": "${nobody}"}}), "${nobody}"),
        (json!({"body": {"x": ["${topic}"]}}), "${topic}"),
        (json!({"body": "username=${username}"}), "table"),
        (json!({"body_format": "form", "body": {"x": {"y": "z"}}}), "texts"),
        (json!({"body_format": "xml"}), "xml"),
        (json!({"headers": {"x": "${username}"}}), "no variables"),
        (json!({"headers": {"x": {"secret": "a", "prefix": "${username}"}}}), "no variables"),
        (json!({"headers": {"x": {"value": "a"}}}), "HeaderText"),
        (json!({"timeout_ms": 1}), "10 to 30000"),
        (json!({"no_content": "ignore"}), "ignore"),
        (json!({"topics": ["#"]}), "topics"),
    ] {
        fails(authenticate(more), what);
    }
    let operations = |more| json!({"operations": with(more)});
    fails(operations(json!({})), "topics");
    fails(operations(json!({"topics": []})), "1 to 100");
    fails(operations(json!({"topics": ["#"], "ttl_seconds": 3_601})), "0 to 3600");
    fails(operations(json!({"topics": ["#"], "body": {"p": "${password}"}})), "${password}");
    fails(operations(json!({"topics": ["#"], "unknown": 1})), "unknown");
    let both = |key: &str, value: Value| {
        let mut config = authenticate(json!({}));
        config[key] = value;
        config
    };
    fails(both("principal", json!("${password}")), "${password}");
    fails(both("superuser", json!([{"allow": "all", "topic": "a/#/b"}])), "superuser");
}
