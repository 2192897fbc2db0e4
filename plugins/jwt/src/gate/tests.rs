//! The gate over a host in memory: verifiers that know tokens by heart, an issuer that says what it
//! was told to.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::json;

use super::*;
use crate::settings::tests::settings;

#[derive(Default)]
struct Memory {
    /// By verifier: claims of a token, or the phrase of a refusal.
    verifiers: BTreeMap<&'static str, Result<Value, &'static str>>,
    unavailable: bool,
    /// Status and body.
    issuer: Option<(u16, Value)>,
    asked: RefCell<Vec<String>>,
}

impl TokenHost for Memory {
    fn verify(&self, verifier: &str, token: &str) -> Result<String, VerifyError> {
        let Some(known) = self.verifiers.get(verifier) else {
            return Err(VerifyError::Unknown(verifier.to_owned()));
        };
        if self.unavailable && verifier == "idp" {
            return Err(VerifyError::Unavailable("the keys cannot be had".to_owned()));
        }
        match known {
            Ok(claims) if token == JWT => Ok(claims.to_string()),
            Ok(_) => Err(VerifyError::Refused("its signature is wrong".to_owned())),
            Err(why) => Err(VerifyError::Refused((*why).to_owned())),
        }
    }

    fn send(&self, request: &Request) -> Result<Response, http_client::Error> {
        self.asked.borrow_mut().push(String::from_utf8(request.body.clone()).unwrap());
        let Some((status, body)) = &self.issuer else { return Err(http_client::Error::Timeout) };
        let body = body.to_string().into_bytes();
        Ok(Response { status: *status, headers: Vec::new(), body })
    }

    fn now_unix(&self) -> u64 {
        1_000
    }
}

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
const OTHER_JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.b3RoZXI";

fn idp(claims: Value) -> Memory {
    Memory { verifiers: BTreeMap::from([("idp", Ok(claims))]), ..Memory::default() }
}

fn alice() -> Memory {
    idp(json!({"sub": "alice", "exp": 2_000, "groups": ["a"], "client_id": "client"}))
}

fn gate(host: Memory, more: Value) -> Gate<Memory> {
    Gate::open(host, settings(more)).unwrap()
}

fn connect(gate: &Gate<Memory>, username: Option<&str>, password: Option<&str>) -> Outcome {
    try_connect(gate, username, password).unwrap()
}

fn try_connect(
    gate: &Gate<Memory>,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<Outcome, Error> {
    let username = username.map(str::to_owned);
    let connection = Connection { username, ..Connection::default() };
    let password = password.map(|password| password.as_bytes().to_vec());
    gate.judge_connect(&connection, &Credentials { password, ..Credentials::default() })
}

fn auth(gate: &Gate<Memory>, method: &str, data: Option<&str>) -> Step {
    let opening = Opening {
        method: method.to_owned(),
        data: data.map(|data| data.as_bytes().to_vec()),
        principal: None,
        user_properties: Vec::new(),
    };
    gate.judge_auth(&Connection::default(), &opening).unwrap()
}

#[track_caller]
fn refused(outcome: &Outcome, what: &str) {
    let Outcome::Deny(denial) = outcome else { panic!("{outcome:?}") };
    assert_eq!(denial.reason_code, reason_code::BAD_USER_NAME_OR_PASSWORD);
    let reason = denial.reason.as_deref().unwrap_or_default();
    assert!(reason.contains(what), "{reason}");
}

#[test]
fn a_good_token_names_the_client_and_ends_with_it() {
    let gate = gate(alice(), json!({"group_claims": ["groups"]}));
    let grant = Grant::new("alice").group("a").expires_at_unix(2_000);
    for username in [None, Some("alice"), Some("anybody")] {
        assert_eq!(connect(&gate, username, Some(JWT)), grant.clone().into());
    }
}

#[test]
fn what_is_no_token_is_for_others() {
    let gate = gate(alice(), json!({}));
    for password in [None, Some(""), Some("open sesame"), Some("a.b.c"), Some("abc")] {
        assert_eq!(connect(&gate, Some(JWT), password), Outcome::Next, "{password:?}");
    }
    refused(&connect(&gate, None, Some(OTHER_JWT)), "signature");
}

#[test]
fn tokens_are_looked_for_where_they_may_be() {
    let in_username = gate(alice(), json!({"from": ["username"]}));
    assert!(matches!(connect(&in_username, Some(JWT), Some("x")), Outcome::Allow(_)));
    assert_eq!(connect(&in_username, None, Some(JWT)), Outcome::Next);
    let both = gate(alice(), json!({"from": ["username", "password"]}));
    assert!(matches!(connect(&both, Some("alice"), Some(JWT)), Outcome::Allow(_)));
    refused(&connect(&both, Some(OTHER_JWT), Some(JWT)), "signature");
    let in_auth = gate(alice(), json!({"from": ["auth"]}));
    assert_eq!(connect(&in_auth, Some(JWT), Some(JWT)), Outcome::Next);
}

#[test]
fn auth_has_one_method_and_one_step() {
    let gate = gate(alice(), json!({"from": ["auth"], "method": "TOKEN"}));
    assert_eq!(gate.methods(), ["TOKEN"]);
    assert!(matches!(auth(&gate, "TOKEN", Some(JWT)), Step::Success(_)));
    assert_eq!(auth(&gate, "OTHER", Some(JWT)), Step::Next);
    for data in [None, Some(""), Some("open sesame"), Some(OTHER_JWT)] {
        let Step::Deny(denial) = auth(&gate, "TOKEN", data) else { panic!("{data:?}") };
        assert_eq!(denial.reason_code, reason_code::NOT_AUTHORIZED);
    }
    let without = self::gate(alice(), json!({}));
    assert!(without.methods().is_empty());
    assert_eq!(auth(&without, "OAUTH2-JWT", Some(JWT)), Step::Next);
}

#[test]
fn a_token_for_another_client_is_refused() {
    let require = json!({"require": {"client_id": "${clientid}", "sub": "${username}"}});
    let gate = gate(alice(), require);
    assert!(matches!(connect(&gate, Some("alice"), Some(JWT)), Outcome::Allow(_)));
    refused(&connect(&gate, Some("bob"), Some(JWT)), "claim sub");
    refused(&connect(&gate, None, Some(JWT)), "claim sub");
}

#[test]
fn claims_that_are_odd_refuse() {
    for (claims, what) in [
        (json!({"exp": 2_000}), "claim sub names nobody"),
        (json!({"sub": "alice"}), "no end"),
        (json!({"sub": "alice", "exp": 1_000}), "it has expired"),
        (json!({"sub": "alice", "exp": "2000"}), "claim exp"),
        (json!({"sub": "alice", "exp": 2_000, "groups": 7}), "claim groups"),
        (json!({"sub": "alice", "exp": 2_000, "acl": 7}), "claim acl"),
    ] {
        let gate = gate(idp(claims), json!({"group_claims": ["groups"], "acl_claim": "acl"}));
        refused(&connect(&gate, None, Some(JWT)), what);
    }
}

#[test]
fn a_name_may_be_left_to_others() {
    let gate = gate(alice(), json!({"principal_claim": ""}));
    let Outcome::Allow(grant) = connect(&gate, None, Some(JWT)) else { panic!("refused") };
    assert_eq!(grant.principal, None);
}

#[test]
fn verifiers_are_asked_in_turn_and_a_silent_one_is_an_error() {
    let two = |first, second| Memory {
        verifiers: BTreeMap::from([("idp", first), ("other", second)]),
        ..Memory::default()
    };
    let config = || json!({"verifiers": ["idp", "other"]});
    let claims = || Ok(json!({"sub": "alice", "exp": 2_000}));
    let good = two(Err("it is of another issuer"), claims());
    assert!(matches!(connect(&gate(good, config()), None, Some(JWT)), Outcome::Allow(_)));
    let bad = two(Err("it is of another issuer"), Err("it has expired"));
    let bad = connect(&gate(bad, config()), None, Some(JWT));
    refused(&bad, "another issuer; it has expired");
    let mut silent = two(claims(), Err("it is of another issuer"));
    silent.unavailable = true;
    let error = try_connect(&gate(silent, config()), None, Some(JWT)).unwrap_err();
    assert!(matches!(&error, Error::Unavailable(text) if text.contains("idp")), "{error:?}");
    let unknown = gate(alice(), config());
    assert!(matches!(unknown.check_verifiers(), Err(Error::Misconfigured(_))));
    assert!(gate(alice(), json!({})).check_verifiers().is_ok());
}

#[expect(clippy::needless_pass_by_value, reason = "as `json!` gives it")]
fn introspection(more: Value) -> Value {
    let mut all = json!({"url": "https://idp.example/introspect", "audience": [],
                         "authorization": {"prefix": "Basic ", "secret": "idp"}});
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({"introspection": all})
}

#[test]
fn opaque_tokens_are_asked_about() {
    let active = json!({"active": true, "sub": "bob", "exp": 1_500});
    let host = Memory { issuer: Some((200, active)), ..alice() };
    let gate = gate(host, introspection(json!({})));
    let grant = Grant::new("bob").expires_at_unix(1_500);
    assert_eq!(connect(&gate, None, Some("opaque")), grant.into());
    // Those that can be judged here are not shown around, nor is what cannot be a token.
    assert!(matches!(connect(&gate, None, Some(JWT)), Outcome::Allow(_)));
    assert_eq!(connect(&gate, None, Some("open sesame")), Outcome::Next);
    assert_eq!(connect(&gate, None, Some("")), Outcome::Next);
    assert_eq!(*gate.host.asked.borrow(), ["token=opaque&token_type_hint=access_token"]);
}

#[test]
fn a_prefix_keeps_other_passwords_here() {
    let host = Memory { issuer: Some((200, json!({"active": false}))), ..alice() };
    let gate = gate(host, introspection(json!({"prefix": "at_"})));
    assert_eq!(connect(&gate, None, Some("my-password")), Outcome::Next);
    refused(&connect(&gate, None, Some("at_1")), "issuer says");
    assert_eq!(gate.host.asked.borrow().len(), 1);
}

#[test]
fn an_issuer_that_does_not_answer_is_an_error() {
    for issuer in [None, Some((500, json!({"active": true}))), Some((200, json!({})))] {
        let gate = gate(Memory { issuer, ..alice() }, introspection(json!({})));
        assert!(try_connect(&gate, None, Some("opaque")).is_err());
    }
}

#[test]
fn a_jwt_may_have_to_be_active_too() {
    let config = || introspection(json!({"also_jwt": true}));
    let with = |answer: Value| Memory { issuer: Some((200, answer)), ..alice() };
    let active = gate(with(json!({"active": true, "sub": "mallory", "exp": 1_200})), config());
    let grant = Grant::new("alice").expires_at_unix(1_200);
    assert_eq!(connect(&active, None, Some(JWT)), grant.into());
    let revoked = gate(with(json!({"active": false})), config());
    refused(&connect(&revoked, None, Some(JWT)), "issuer says");
    refused(&connect(&revoked, None, Some(OTHER_JWT)), "signature");
    assert_eq!(revoked.host.asked.borrow().len(), 1, "only about what was verified");
    assert!(try_connect(&gate(alice(), config()), None, Some(JWT)).is_err());
}
