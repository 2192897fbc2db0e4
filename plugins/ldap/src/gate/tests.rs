//! Answers over a directory that is a table, and what it is asked for them.

use std::cell::RefCell;

use portcullis_plugin::{Denial, PeerCertificate, TlsSession, reason_code};

use super::*;
use crate::settings::Written;

/// Answers by table, and notes what is asked.
#[derive(Default)]
struct Table {
    asked: RefCell<Vec<String>>,
    warned: RefCell<Vec<String>>,
    fails: Option<LdapError>,
    refuses: bool,
}

impl Table {
    fn note(&self, what: String) -> Result<(), LdapError> {
        self.asked.borrow_mut().push(what);
        self.fails.clone().map_or(Ok(()), Err)
    }
}

fn entry(dn: &str, attributes: &[(&str, &str)]) -> Entry {
    let one = |(name, value): &(&str, &str)| ((*name).to_owned(), vec![value.as_bytes().to_vec()]);
    Entry { dn: dn.to_owned(), attributes: attributes.iter().map(one).collect() }
}

impl LdapHost for Table {
    fn bind(&self, _: &str, dn: &str, password: &[u8]) -> Result<bool, LdapError> {
        self.note(format!("bind {dn}"))?;
        if self.refuses {
            return Err(LdapError::Refused("locked (code 53)".to_owned()));
        }
        Ok(dn == "uid=alice,dc=x" && password == b"right")
    }

    fn compare(&self, _: &str, dn: &str, name: &str, value: &[u8]) -> Result<bool, LdapError> {
        self.note(format!("compare {dn} {name}"))?;
        Ok(dn == "uid=alice,dc=x" && value == b"right")
    }

    fn search(&self, _: &str, search: Search<'_>) -> Result<Vec<Entry>, LdapError> {
        let Search { base, filter, values, .. } = search;
        self.note(format!("search {base} {filter} {values:?}"))?;
        let alice = entry("uid=alice,dc=x", &[("uid", "alice")]);
        Ok(match *values {
            ["alice" | "Alice"] => vec![alice],
            ["twins"] => vec![alice.clone(), alice],
            ["uid=alice,dc=x"] => vec![entry("cn=Ops,ou=g", &[("cn", "Ops")])],
            _ => Vec::new(),
        })
    }

    fn warn(&self, text: &str) {
        self.warned.borrow_mut().push(text.to_owned());
    }
}

const GROUPS: &str = r#","groups":{"base":"ou=g","filter":"(member={dn})"},
    "permissions":[{"group":"ops","rules":[{"deny":"all","topic":"ops/secret"}]},
                   {"group":"others","rules":[{"allow":"all","topic":"others"}]},
                   {"rules":[{"allow":"all","topic":"free/#"}]}]"#;

fn gate(host: Table, more: &str) -> Gate<Table> {
    let json = format!(r#"{{"source":"corp","base":"dc=x","filter":"(uid={{user}})"{more}}}"#);
    let written: Written = serde_json::from_str(&json).unwrap();
    Gate::new(host, Settings::try_from(written).unwrap())
}

fn client(user: Option<&str>, password: &str) -> (Connection, Credentials) {
    let username = user.map(str::to_owned);
    let password = Some(password.as_bytes().to_vec());
    (
        Connection { username, ..Connection::default() },
        Credentials { password, ..Credentials::default() },
    )
}

fn judge(gate: &Gate<Table>, user: &str, password: &str) -> Outcome {
    let (connection, credentials) = client(Some(user), password);
    gate.judge(&connection, &credentials).unwrap()
}

fn asked(gate: &Gate<Table>) -> Vec<String> {
    gate.host.asked.take()
}

#[test]
fn the_right_password_is_a_grant_with_groups() {
    let gate = gate(Table::default(), GROUPS);
    let Outcome::Allow(grant) = judge(&gate, "alice", "right") else { panic!("refused") };
    assert_eq!(grant.principal.as_deref(), Some("alice"));
    assert_eq!(grant.groups, ["Ops"]);
    assert_eq!(grant.attributes[0], Attribute::new("ldap-user", "alice"));
    let expected = [
        r#"search dc=x (uid={}) ["alice"]"#,
        "bind uid=alice,dc=x",
        r#"search ou=g (member={}) ["uid=alice,dc=x"]"#,
    ];
    assert_eq!(asked(&gate), expected);
}

/// By answer and by the number and kind of questions.
#[test]
fn unknown_users_and_wrong_passwords_are_the_same() {
    for (method, kind) in [("bind", "bind"), ("compare", "compare")] {
        let gate = gate(Table::default(), &format!(r#"{GROUPS},"method":"{method}""#));
        for user in ["alice", "nobody", "twins", "Alice", "*", "alice)(uid=*"] {
            let (wrong, right) = (judge(&gate, user, "wrong"), "right");
            assert_eq!(wrong, Outcome::bad_credentials(), "{user}");
            let kinds: Vec<_> = asked(&gate).iter().map(|it| it[..4].to_owned()).collect();
            assert_eq!(kinds, ["sear", &kind[..4]], "{user}");
            if user != "alice" {
                assert_eq!(judge(&gate, user, right), Outcome::bad_credentials(), "{user}");
            }
            gate.host.asked.take();
        }
    }
}

#[test]
fn what_no_directory_is_asked() {
    let gate = gate(Table::default(), "");
    for (user, password) in [
        ("alice", ""),
        ("nobody", ""),
        ("alice", "\0right"),
        ("", "right"),
        ("alice\0", "right"),
        ("ali\nce", "right"),
    ] {
        assert_eq!(judge(&gate, user, password), Outcome::bad_credentials(), "{user:?}");
    }
    let (connection, credentials) = client(None, "right");
    assert_eq!(gate.judge(&connection, &credentials), Ok(Outcome::Next));
    let (connection, mut credentials) = client(Some("alice"), "");
    credentials.password = None;
    assert_eq!(gate.judge(&connection, &credentials), Ok(Outcome::bad_credentials()));
    assert_eq!(asked(&gate), [""; 0]);
}

#[test]
fn failures_are_no_answers() {
    for (error, is) in [
        (LdapError::Timeout, "Timeout"),
        (LdapError::Unavailable("x".to_owned()), "Unavailable"),
        (LdapError::Denied("x".to_owned()), "Misconfigured"),
        (LdapError::TooLarge, "Internal"),
    ] {
        let gate = gate(Table { fails: Some(error), ..Table::default() }, GROUPS);
        let (connection, credentials) = client(Some("alice"), "right");
        let failed = format!("{:?}", gate.judge(&connection, &credentials).unwrap_err());
        assert!(failed.contains(is), "{failed}");
        assert!(gate.permissions(&subject("alice", "alice")).is_err());
    }
}

/// Locked and expired accounts are told apart by nobody but the operator.
#[test]
fn a_bind_that_is_refused_is_a_wrong_password() {
    let gate = gate(Table { refuses: true, ..Table::default() }, "");
    for user in ["alice", "nobody"] {
        assert_eq!(judge(&gate, user, "right"), Outcome::bad_credentials());
    }
    assert_eq!(gate.host.warned.take().len(), 2);
}

#[test]
fn users_are_found_by_what_the_operator_says() {
    let certificate = PeerCertificate {
        sha256: vec![0; 32],
        subject: String::new(),
        issuer: String::new(),
        serial: String::new(),
        common_name: Some("alice".to_owned()),
        dns_names: Vec::new(),
        uris: Vec::new(),
        email_names: Vec::new(),
        not_after_unix: 0,
        der_chain: Vec::new(),
    };
    let tls =
        TlsSession { version: "1.3".to_owned(), server_name: None, certificate: Some(certificate) };
    let (mut connection, credentials) = client(Some("mallory"), "right");
    let by_name = gate(Table::default(), r#","user":"common-name""#);
    assert_eq!(by_name.judge(&connection, &credentials), Ok(Outcome::Next));
    connection.tls = Some(tls);
    assert!(matches!(by_name.judge(&connection, &credentials), Ok(Outcome::Allow(_))));
    connection.client_id = "alice".to_owned();
    let by_id = gate(Table::default(), r#","user":"client-id""#);
    assert!(matches!(by_id.judge(&connection, &credentials), Ok(Outcome::Allow(_))));
    let next = gate(Table::default(), r#","unknown_user":"next""#);
    assert_eq!(next.judge(&connection, &credentials), Ok(Outcome::Next));
    let denied = Denial { reason_code: reason_code::BAD_USER_NAME_OR_PASSWORD, reason: None };
    assert_eq!(Outcome::bad_credentials(), Outcome::Deny(denied));
}

#[test]
fn another_case_is_taken_where_the_operator_says_so() {
    let gate = gate(Table::default(), r#","exact":false"#);
    let Outcome::Allow(grant) = judge(&gate, "Alice", "right") else { panic!("refused") };
    assert_eq!(grant.principal.as_deref(), Some("alice"));
}

fn subject(principal: &str, user: &str) -> Subject {
    let attributes = vec![Attribute::new(USER_ATTRIBUTE, user)];
    Subject { principal: principal.to_owned(), attributes, ..Subject::default() }
}

fn topics(answer: Answer) -> Vec<String> {
    match answer {
        Answer::Permissions(set) => set.rules.into_iter().map(|rule| rule.filter).collect(),
        other => vec![format!("{other:?}")],
    }
}

#[test]
fn rules_are_those_of_the_groups_and_everybody_s() {
    let gate = gate(Table::default(), GROUPS);
    let answer = gate.permissions(&subject("alice", "alice")).unwrap();
    assert_eq!(topics(answer), ["ops/secret", "free/#"]);
    // Gone since, another one by now, called otherwise.
    for (principal, user) in [("bob", "bob"), ("bob", "alice"), ("Alice", "Alice")] {
        assert_eq!(gate.permissions(&subject(principal, user)), Ok(Answer::DenyAll), "{principal}");
    }
    gate.host.asked.take();
    // Whom others let in is nothing of ours.
    let other = Subject { principal: "alice".to_owned(), ..Subject::default() };
    assert_eq!(gate.permissions(&other), Ok(Answer::Next));
    assert_eq!(asked(&gate), [""; 0]);
}

#[test]
fn a_lookup_lets_nobody_in_and_knows_everybody() {
    let lookup = gate(Table::default(), &format!(r#"{GROUPS},"method":"lookup""#));
    let (connection, credentials) = client(Some("alice"), "right");
    assert_eq!(lookup.judge(&connection, &credentials), Ok(Outcome::Next));
    let other = |principal: &str| Subject { principal: principal.into(), ..Subject::default() };
    let answer = lookup.permissions(&other("alice")).unwrap();
    assert_eq!(topics(answer), ["ops/secret", "free/#"]);
    for principal in ["bob", "Alice", "twins"] {
        assert_eq!(lookup.permissions(&other(principal)), Ok(Answer::DenyAll), "{principal}");
    }
    let more = format!(r#"{GROUPS},"method":"lookup","unknown_user":"next""#);
    let next = gate(Table::default(), &more);
    assert_eq!(next.permissions(&other("bob")), Ok(Answer::Next));
}

#[test]
fn the_self_test_tells_what_will_never_work() {
    assert_eq!(gate(Table::default(), GROUPS).check(), Ok(()));
    let away = gate(Table { fails: Some(LdapError::Timeout), ..Table::default() }, GROUPS);
    assert_eq!(away.check(), Ok(()));
    assert_eq!(away.host.warned.take().len(), 1);
    for error in [
        LdapError::Malformed("the filter".to_owned()),
        LdapError::Denied("no grant".to_owned()),
        LdapError::Refused("no such object".to_owned()),
        LdapError::TooLarge,
    ] {
        let gate = gate(Table { fails: Some(error), ..Table::default() }, GROUPS);
        assert!(matches!(gate.check(), Err(Error::Misconfigured(_))));
    }
}
