//! Rules from three places.

use portcullis_plugin::Activity;
use serde_json::{Value, json};

use super::*;
use crate::settings::tests::settings;

fn of(more: Value, claims: Value, groups: &[&str]) -> Result<Vec<Rule>, String> {
    let Value::Object(claims) = claims else { panic!("no object") };
    let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
    rules(&settings(more), &Claims(claims), &groups)
}

fn mapped() -> Value {
    json!({
        "acl_claim": "acl",
        "scopes": {
            "read": [{"allow": "subscribe", "topic": "data/#"}],
            "write": [{"allow": "publish", "topic": "data/${username}"}]
        },
        "roles": {
            "guest": [{"deny": "all", "topic": "data/secret"}, {"allow": "all", "topic": "guests"}]
        }
    })
}

#[test]
fn what_is_not_configured_permits_nothing() {
    let claims = json!({"acl": {"all": ["#"]}, "scope": "write", "roles": ["admin"]});
    assert_eq!(of(json!({}), claims, &["admin"]).unwrap(), []);
}

#[test]
fn denials_come_first_and_the_tokens_own_keep_their_order() {
    let claims = json!({
        "scope": "read other",
        "acl": [
            {"permission": "allow", "action": "all", "topic": "a/b"},
            {"permission": "deny", "action": "all", "topic": "a/#"},
        ]
    });
    let all = Activity::PUBLISH | Activity::SUBSCRIBE;
    let expected = [
        Rule::deny(all, "data/secret"),
        Rule::allow(all, "a/b"),
        Rule::deny(all, "a/#"),
        Rule::allow(Activity::SUBSCRIBE, "data/#"),
        Rule::allow(all, "guests"),
    ];
    assert_eq!(of(mapped(), claims, &["guest", "nobody"]).unwrap(), expected);
}

#[test]
fn odd_claims_are_refused() {
    for (claims, what) in [
        (json!({"acl": "all"}), "claim acl: it is no list"),
        (json!({"acl": [{"permission": "allow", "action": "all", "topic": "${x}"}]}), "rule 1"),
        (json!({"scope": 7}), "claim scope"),
    ] {
        let error = of(mapped(), claims, &[]).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let many = json!({"acl": {"all": vec!["a"; 999]}, "scope": "read write"});
    assert!(of(mapped(), many, &[]).unwrap_err().contains("1000"));
}
