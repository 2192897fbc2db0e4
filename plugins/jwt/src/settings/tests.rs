//! What is a configuration, and what is a mistake.

use serde_json::json;

use super::*;

/// With these keys beside `verifiers`.
#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
pub(crate) fn settings(more: Value) -> Settings {
    let mut all = json!({"verifiers": ["idp"]});
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn fails(more: Value, what: &str) {
    let mut all = json!({"verifiers": ["idp"]});
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    let read = serde_json::from_value::<Settings>(all).map_err(|error| error.to_string());
    let error = match read.map(|read| read.check()) {
        Err(text) | Ok(Err(Error::Misconfigured(text))) => text,
        other => panic!("{more}: {other:?}"),
    };
    assert!(error.contains(what), "{more}: {error}, wanted {what}");
}

#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn introspection(more: Value) -> Value {
    let mut all = json!({"url": "https://idp.example/introspect", "audience": [],
                         "authorization": {"prefix": "Basic ", "secret": "idp"}});
    for (key, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(key)),
            value => all[key] = value.clone(),
        }
    }
    json!({"introspection": all})
}

#[test]
fn defaults_are_a_token_in_the_password_and_its_subject() {
    let settings = settings(json!({}));
    settings.check().unwrap();
    assert_eq!(settings.from, [Place::Password]);
    assert_eq!((&*settings.principal_claim, &*settings.method), ("sub", "OAUTH2-JWT"));
    assert!(settings.acl_claim.is_none(), "no claim permits anything unasked");
}

#[test]
fn mistakes_are_told() {
    fails(json!({"verifiers": []}), "no verifier");
    fails(json!({"verifiers": [""]}), "up to 8 names");
    fails(json!({"verifiers": vec!["a"; 9]}), "up to 8 names");
    fails(json!({"from": []}), "one or more");
    fails(json!({"from": ["cookie"]}), "cookie");
    fails(json!({"method": ""}), "1 to 256");
    fails(json!({"unknown": 1}), "unknown");
    fails(json!({"acl_claim": ""}), "acl_claim");
    fails(json!({"scope_claim": ""}), "scope_claim");
    fails(json!({"group_claims": [""]}), "group_claims");
    fails(json!({"attributes": {"a": ""}}), "attributes");
    fails(json!({"attributes": {"": "a"}}), "attributes");
    fails(json!({"require": {"a": []}}), "nothing is in this list");
    fails(json!({"require": {"a": {}}}), "allowed: a text");
    fails(json!({"require": {"a": [["b"]]}}), "allowed: a text");
    fails(json!({"require": {"a": "${user}"}}), "the variables are");
    fails(json!({"require": {"a": "${username}"}, "from": ["username"]}), "the token itself");
    fails(json!({"scopes": {"a": [{"allow": "all", "topic": "a/#/b"}]}}), "scopes.\"a\": rule 1");
    fails(json!({"roles": {"a": [{"allow": "all", "topic": "${a}"}]}}), "roles.\"a\": rule 1");
    fails(json!({"roles": {"a": [{"allow": "all", "user": "x"}]}}), "user");
}

#[test]
fn introspection_says_for_whom_tokens_are() {
    for (more, what) in [
        (json!({"audience": null}), "audience"),
        (json!({"url": "idp.example"}), "allowed: https:"),
        (json!({"url": "http://idp.example/"}), "in the clear"),
        (json!({"authorization": {"prefix": "", "secret": ""}}), "names no secret"),
        (json!({"valid_seconds_max": 0}), "1 to 86400"),
        (json!({"timeout_ms": 5}), "10 to 30000"),
        (json!({"client_secret": "hush"}), "client_secret"),
    ] {
        fails(introspection(more), what);
    }
    settings(introspection(json!({}))).check().unwrap();
    let plain = json!({"url": "http://idp.example/", "allow_plain": true});
    settings(introspection(plain)).check().unwrap();
}
