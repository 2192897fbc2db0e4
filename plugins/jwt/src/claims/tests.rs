//! Claims of every shape.

use serde_json::json;

use super::*;

fn claims(value: Value) -> Claims {
    match value {
        Value::Object(claims) => Claims(claims),
        _ => panic!("no object"),
    }
}

fn connection(client_id: &str, username: Option<&str>) -> Connection {
    Connection {
        client_id: client_id.to_owned(),
        username: username.map(str::to_owned),
        ..Connection::default()
    }
}

#[test]
fn a_claim_is_found_by_name_or_path() {
    let claims = claims(json!({
        "sub": "a", "https://example.com/roles": ["x"], "realm_access": {"roles": ["y", "z"]},
        "a/b": {"c~d": 1}
    }));
    assert_eq!(claims.get("sub"), Some(&json!("a")));
    assert_eq!(claims.get("https://example.com/roles"), Some(&json!(["x"])));
    assert_eq!(claims.get("/realm_access/roles/1"), Some(&json!("z")));
    assert_eq!(claims.get("/a~1b/c~0d"), Some(&json!(1)));
    for none in ["realm_access.roles", "/realm_access/roles/2", "/sub/x", "/", "x"] {
        assert_eq!(claims.get(none), None, "{none}");
    }
}

#[test]
fn required_claims_hold_the_client_to_its_token() {
    let claims = claims(json!({
        "client_id": "pump-7", "sub": "alice", "n": 7, "ok": true, "list": ["a", "pump-7"]
    }));
    let check = |required: Value, connection: &Connection| {
        let required = serde_json::from_value(required).unwrap();
        claims.check_required(&required, connection).is_ok()
    };
    let good = connection("pump-7", Some("alice"));
    for required in [
        json!({}),
        json!({"client_id": "${clientid}", "sub": "${username}"}),
        json!({"list": "${clientid}"}),
        json!({"n": 7, "ok": true}),
        json!({"sub": ["bob", "alice"]}),
        json!({"client_id": "pump-7"}),
    ] {
        assert!(check(required.clone(), &good), "{required}");
    }
    for required in [
        json!({"none": "x"}),
        json!({"n": "7"}),
        json!({"ok": false}),
        json!({"sub": "Alice"}),
        json!({"sub": ["bob"]}),
        json!({"list": "b"}),
        json!({"client_id": "${clientid}", "sub": "bob"}),
        json!({"client_id": "x${clientid}"}),
    ] {
        assert!(!check(required.clone(), &good), "{required}");
    }
    let both = json!({"client_id": "${clientid}", "sub": "${username}"});
    for other in [
        connection("pump-8", Some("alice")),
        connection("pump-7", Some("bob")),
        connection("pump-7", Some("")),
        connection("pump-7", None),
    ] {
        assert!(!check(both.clone(), &other), "{other:?}");
    }
    // What a client puts into its names is no template.
    let claims = self::claims(json!({"client_id": "${username}"}));
    let required = serde_json::from_value(json!({"client_id": "${clientid}"})).unwrap();
    assert!(claims.check_required(&required, &connection("x", Some("x"))).is_err());
    assert!(claims.check_required(&required, &connection("${username}", None)).is_ok());
}

#[test]
fn an_empty_variable_fits_no_empty_claim() {
    let claims = claims(json!({"sub": "", "list": [""]}));
    for claim in ["sub", "list"] {
        let required = BTreeMap::from([(claim.to_owned(), json!("${username}"))]);
        for username in [None, Some("")] {
            assert!(claims.check_required(&required, &connection("c", username)).is_err());
        }
    }
}

#[test]
fn a_name_is_a_text_that_is_not_empty() {
    let claims = claims(json!({"sub": "alice", "empty": "", "n": 1, "nul": "a\u{0}", "l": ["a"]}));
    assert_eq!(claims.principal("sub"), Ok(Some("alice".to_owned())));
    assert_eq!(claims.principal(""), Ok(None));
    for claim in ["empty", "n", "nul", "l", "none"] {
        assert!(claims.principal(claim).is_err(), "{claim}");
    }
}

#[test]
fn groups_unite_and_odd_ones_are_refused() {
    let claims = claims(json!({
        "groups": ["a", "b"], "role": "c", "more": ["b"], "n": [1], "o": {}, "e": [""],
        "many": (0..300).map(|n| n.to_string()).collect::<Vec<_>>()
    }));
    let groups = |names: &[&str]| {
        claims.groups(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(groups(&["groups", "role", "more", "none"]).unwrap(), ["a", "b", "c"]);
    for odd in ["n", "o", "e", "many"] {
        assert!(groups(&[odd]).is_err(), "{odd}");
    }
}

#[test]
fn scopes_are_words_or_a_list() {
    let claims = claims(json!({"scope": "a  b:c", "scp": ["d", "e f"], "n": 1}));
    assert_eq!(claims.scopes("scope").unwrap(), ["a", "b:c"]);
    assert_eq!(claims.scopes("scp").unwrap(), ["d", "e f"]);
    assert_eq!(claims.scopes("none").unwrap(), Vec::<&str>::new());
    assert!(claims.scopes("n").is_err());
}

#[test]
fn attributes_are_texts() {
    let claims = claims(json!({"tenant": "t", "n": 1}));
    let wanted = |claim: &str| BTreeMap::from([("a".to_owned(), claim.to_owned())]);
    assert_eq!(claims.attributes(&wanted("tenant")).unwrap(), [Attribute::new("a", "t")]);
    assert_eq!(claims.attributes(&wanted("none")).unwrap(), []);
    assert!(claims.attributes(&wanted("n")).is_err());
}

#[test]
fn times_are_seconds() {
    let claims = claims(json!({"a": 10, "b": 10.9, "c": -1, "d": "10", "e": 1_706_844_358_000_u64,
                               "f": 1e300}));
    assert_eq!((claims.time("a"), claims.time("b")), (Ok(Some(10)), Ok(Some(10))));
    assert_eq!(claims.time("none"), Ok(None));
    for odd in ["c", "d", "e", "f"] {
        assert!(claims.time(odd).is_err(), "{odd}");
    }
}
