//! The gate over a service in memory.

use std::cell::RefCell;

use portcullis_plugin::{Activity, Attribute, PublishOperation, SubscribeOperation};
use serde_json::{Value, json};

use super::*;
use crate::reply::tests::response;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// None: no reply at all.
    says: Option<Value>,
    asked: RefCell<Vec<Request>>,
}

impl Web for Memory {
    fn send(&self, request: &Request) -> Result<Response, http_client::Error> {
        self.asked.borrow_mut().push(request.clone());
        let says = self.says.as_ref().ok_or(http_client::Error::Timeout)?;
        Ok(response(200, "application/json", &says.to_string()))
    }

    fn now_unix(&self) -> u64 {
        1_000
    }
}

fn gate(says: impl Into<Option<Value>>, config: Value) -> Gate<Memory> {
    let host = Memory { says: says.into(), ..Memory::default() };
    Gate::open(host, serde_json::from_value(config).unwrap()).unwrap()
}

fn login(says: impl Into<Option<Value>>) -> Gate<Memory> {
    let body = json!({"u": "${username}", "c": "${clientid}", "p": "${password}"});
    gate(says, json!({"authenticate": {"url": "https://a.example/", "body": body}}))
}

fn ask(
    gate: &Gate<Memory>,
    username: Option<&str>,
    password: Option<&[u8]>,
) -> Result<Outcome, Error> {
    let username = username.map(str::to_owned);
    let connection = Connection { username, ..Connection::default() };
    let password = password.map(<[u8]>::to_vec);
    gate.authenticate(&connection, &Credentials { password, ..Credentials::default() })
}

fn alice(gate: &Gate<Memory>) -> Result<Outcome, Error> {
    ask(gate, Some("alice"), Some(b"secret"))
}

fn bodies(gate: &Gate<Memory>) -> Vec<Value> {
    let asked = gate.host.asked.borrow();
    asked.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[test]
fn the_service_decides() {
    let gate = login(json!({"result": "allow"}));
    assert_eq!(alice(&gate).unwrap(), Outcome::allow("alice"));
    assert_eq!(bodies(&gate), [json!({"u": "alice", "c": "client", "p": "secret"})]);
    assert_eq!(alice(&login(json!({"result": "ignore"}))).unwrap(), Outcome::Next);
    let Outcome::Deny(denial) = alice(&login(json!({"result": "deny"}))).unwrap() else {
        panic!("not denied")
    };
    assert_eq!(denial.reason_code, reason_code::NOT_AUTHORIZED);
    assert!(alice(&login(None)).is_err());
    assert!(alice(&login(json!({}))).is_err());
}

#[test]
fn an_empty_password_never_leaves() {
    let gate = login(json!({"result": "allow"}));
    let bad = Outcome::bad_credentials();
    assert_eq!(ask(&gate, Some("alice"), Some(b"")).unwrap(), bad);
    assert_eq!(ask(&gate, Some("alice"), None).unwrap(), bad);
    assert_eq!(ask(&gate, None, Some(b"")).unwrap(), bad);
    assert_eq!(ask(&gate, Some("alice"), Some(b"\xFF")).unwrap(), bad);
    assert_eq!(ask(&gate, None, None).unwrap(), Outcome::Next);
    assert_eq!(bodies(&gate), Vec::<Value>::new());
}

#[test]
fn a_service_that_needs_no_password_is_asked_without() {
    let body = json!({"cn": "${cert_common_name}", "c": "${clientid}", "ip": "${peerhost}"});
    let config = json!({
        "authenticate": {"url": "https://a.example/${listener}", "body": body},
        "principal": "${cert_common_name}"
    });
    let gate = gate(json!({"result": "allow"}), config);
    // Nobody named the client: that is left to other links.
    assert_eq!(ask(&gate, None, None).unwrap(), Grant::default().into());
    assert_eq!(bodies(&gate), [json!({"cn": "", "c": "client", "ip": "127.0.0.1"})]);
    assert_eq!(gate.host.asked.borrow()[0].url, "https://a.example/mqtt");
    assert_eq!(ask(&gate, Some("a"), Some(b"")).unwrap(), Outcome::bad_credentials());
}

#[test]
fn an_allow_carries_what_the_reply_says() {
    let gate = login(json!({
        "result": "allow", "client_attrs": {"tenant": "t"}, "expire_at": 2_000, "groups": ["g"],
        "acl": [{"permission": "deny", "action": "all", "topic": "x"}], "is_superuser": true
    }));
    let Outcome::Allow(grant) = alice(&gate).unwrap() else { panic!("refused") };
    let all = Activity::PUBLISH | Activity::SUBSCRIBE;
    assert_eq!(grant.permissions, [Rule::allow(all, "#"), Rule::deny(all, "x")]);
    assert_eq!(grant.attributes, [Attribute::new("tenant", "t")]);
    assert_eq!((grant.expires_at_unix, &*grant.groups), (Some(2_000), &["g".to_owned()][..]));
    for odd in [
        json!({"result": "allow", "expire_at": 999}),
        json!({"result": "allow", "acl": [{"permission": "allow"}]}),
    ] {
        assert!(alice(&login(odd)).is_err());
    }
}

fn rights(says: impl Into<Option<Value>>) -> Result<Answer, Error> {
    let question = json!({"url": "https://a.example/", "body": {"u": "${username}"}});
    let gate = gate(says, json!({"permissions": question}));
    assert_eq!(alice(&gate).unwrap(), Outcome::Next, "it is not asked who it is");
    gate.permissions(&Subject::default())
}

#[test]
fn rights_are_a_list_of_rules() {
    let says = json!({"result": "allow", "ttl": 30, "acl": [
        {"permission": "allow", "action": "publish", "topic": "x"}
    ]});
    let set = PermissionSet {
        rules: vec![Rule::allow(Activity::PUBLISH, "x")],
        ttl_seconds: Some(30),
        holds_for: HoldsFor::Client,
    };
    assert_eq!(rights(says).unwrap(), Answer::Permissions(set));
    assert_eq!(rights(json!({"result": "ignore"})).unwrap(), Answer::Next);
    assert_eq!(rights(json!({"result": "deny"})).unwrap(), Answer::DenyAll);
    let superuser = rights(json!({"result": "allow", "is_superuser": true})).unwrap();
    assert!(matches!(superuser, Answer::Permissions(set) if set.rules.len() == 1));
    let nothing = rights(json!({"result": "allow", "acl": []})).unwrap();
    assert!(matches!(nothing, Answer::Permissions(set) if set.rules.is_empty()));
    for odd in [
        json!({"result": "allow"}),
        json!({"result": "allow", "acl": [], "ttl": 0}),
        json!({"result": "allow", "acl": [], "expire_at": 1_000}),
    ] {
        assert!(rights(odd).is_err());
    }
    assert!(rights(None).is_err());
    let soon = rights(json!({"result": "allow", "acl": [], "expire_at": 1_010})).unwrap();
    assert!(matches!(soon, Answer::Permissions(set) if set.ttl_seconds == Some(10)));
}

#[test]
fn single_operations_are_asked_about() {
    let body = json!({"u": "${username}", "a": "${action}", "t": "${topic}", "q": "${qos}",
                      "r": "${retain}", "s": "${share_name}"});
    let config = json!({"operations": {
        "url": "https://a.example/", "body": body, "topics": ["#"], "ttl_seconds": 5
    }});
    let subject = Subject { principal: "alice".to_owned(), ..Subject::default() };
    let publish = Operation::Publish(PublishOperation {
        topic: "a/b".to_owned(),
        qos: Qos::AtLeastOnce,
        retain: true,
        payload_bytes_max: 64,
    });
    let subscribe = Operation::Subscribe(SubscribeOperation {
        filter: "a/#".to_owned(),
        qos: Qos::AtMostOnce,
        share_name: Some("g".to_owned()),
    });
    let deny = Denial { reason_code: reason_code::NOT_AUTHORIZED, reason: None };
    for (word, decision) in
        [("allow", Decision::Allow), ("ignore", Decision::Next), ("deny", Decision::Deny(deny))]
    {
        let gate = gate(json!({"result": word}), config.clone());
        let ruling = gate.authorize(&subject, &publish).unwrap();
        assert_eq!(ruling, Ruling { decision, ttl_seconds: Some(5) });
        gate.authorize(&subject, &subscribe).unwrap();
        let asked = bodies(&gate);
        let expected = [
            json!({"u": "alice", "a": "publish", "t": "a/b", "q": "1", "r": "true", "s": ""}),
            json!({"u": "alice", "a": "subscribe", "t": "a/#", "q": "0", "r": "false", "s": "g"}),
        ];
        assert_eq!(asked, expected);
        assert_eq!(gate.topics(), ["#"]);
    }
    assert!(gate(None, config).authorize(&subject, &publish).is_err());
    assert!(login(None).topics().is_empty());
}
