//! Who gets in with which certificate.

use portcullis_plugin::TlsSession;

use super::*;
use crate::settings::Written;

pub(crate) fn certificate(subject: &str) -> PeerCertificate {
    PeerCertificate {
        sha256: vec![0xab; 32],
        subject: subject.to_owned(),
        issuer: "CN=ca,O=acme".to_owned(),
        serial: "0a".to_owned(),
        common_name: None,
        dns_names: vec!["Press-1.example".to_owned()],
        uris: vec!["spiffe://acme/press-1".to_owned()],
        email_names: vec!["press@acme.example".to_owned()],
        not_after_unix: 4_000_000_000,
        der_chain: Vec::new(),
    }
}

fn gate(json: &str) -> Gate {
    let written: Written = serde_json::from_str(json).unwrap();
    Gate::new(Settings::try_from(written).unwrap())
}

fn client(client_id: &str, certificate: PeerCertificate) -> Connection {
    let version = "1.3".to_owned();
    let tls = TlsSession { version, server_name: None, certificate: Some(certificate) };
    Connection { client_id: client_id.to_owned(), tls: Some(tls), ..Connection::default() }
}

#[track_caller]
fn granted(gate: &Gate, connection: &Connection) -> Grant {
    match gate.judge(connection) {
        (Outcome::Allow(grant), None) => grant,
        (outcome, why) => panic!("{outcome:?}: {why:?}"),
    }
}

#[track_caller]
fn refused(gate: &Gate, connection: &Connection, words: &str) {
    match gate.judge(connection) {
        (Outcome::Deny(denial), Some(why)) if why.contains(words) => {
            assert_eq!(denial.reason_code, reason_code::NOT_AUTHORIZED);
        }
        other => panic!("{other:?}, not {words}"),
    }
}

#[test]
fn a_certificate_is_a_grant() {
    let gate = gate(
        r#"{"principal":"cn","client_id":"principal","groups":["subject.ou","subject.o"],
            "attributes":{"serial":"serial","of":"issuer"}}"#,
    );
    let subject = "CN=press-1,OU=presses,OU=hall 2,O=presses";
    let grant = granted(&gate, &client("press-1", certificate(subject)));
    assert_eq!(grant.principal.as_deref(), Some("press-1"));
    assert_eq!(grant.groups, ["hall 2", "presses"]);
    let expected = [Attribute::new("of", "CN=ca,O=acme"), Attribute::new("serial", "0a")];
    assert_eq!(grant.attributes, expected);
    assert_eq!(grant.expires_at_unix, Some(4_000_000_000));
    for other in ["press-2", "Press-1", "press-1 ", ""] {
        refused(&gate, &client(other, certificate(subject)), "client identifier");
    }
}

#[test]
fn names_that_are_nobody_s() {
    let gate = gate(r#"{"principal":"cn"}"#);
    for (subject, why) in [
        ("O=acme", "no such name"),
        ("CN=a,CN=b", "more than one"),
        ("CN=a+CN=a", "more than one"),
        ("CN=#", "hexadecimal"),
        ("CN=\\ a", "white space"),
        ("CN=\\ ", "white space"),
        ("CN=\\#", "one of + # / *"),
        ("CN=a\\+b", "one of + # / *"),
        ("CN=a/b", "one of + # / *"),
        ("CN=*", "one of + # / *"),
        ("CN=a\\00", "control"),
        ("CN=a\\0d\\0a", "control"),
        ("CN=", "empty"),
        ("2.5.4.3=#0c0161", "no text"),
    ] {
        refused(&gate, &client("a", certificate(subject)), why);
    }
    let long = format!("CN={}", "x".repeat(257));
    refused(&gate, &client("a", certificate(&long)), "over 256 bytes");
}

#[test]
fn a_part_of_a_name_can_be_the_principal() {
    let client = client("x", certificate("CN=x"));
    for (json, principal) in [
        (r#"{"principal":"san-uri","prefix":"spiffe://acme/"}"#, "press-1"),
        (r#"{"principal":"san-dns","suffix":".example"}"#, "press-1"),
        (r#"{"principal":"san-email"}"#, "press@acme.example"),
        (r#"{"principal":"serial"}"#, "0a"),
        (r#"{"principal":"dn"}"#, "CN=x"),
    ] {
        assert_eq!(granted(&gate(json), &client).principal.as_deref(), Some(principal));
    }
    refused(&gate(r#"{"principal":"san-uri"}"#), &client, "one of + # / *");
    refused(&gate(r#"{"principal":"san-dns","suffix":".other"}"#), &client, "no such name");
    refused(&gate(r#"{"principal":"cn","prefix":"x"}"#), &client, "0 or over");
    let nobody = granted(&gate(r#"{"groups":["issuer.cn"]}"#), &client);
    assert_eq!((nobody.principal, nobody.groups), (None, vec!["ca".to_owned()]));
}

#[test]
fn whoever_has_none_is_the_operator_s_choice() {
    let none = Connection::default();
    let version = "1.3".to_owned();
    let tls = Some(TlsSession { version, server_name: None, certificate: None });
    let encrypted = Connection { tls, ..Connection::default() };
    for connection in [none, encrypted] {
        let next = gate(r#"{"principal":"cn"}"#);
        assert_eq!(next.judge(&connection), (Outcome::Next, None));
        let deny = gate(r#"{"principal":"cn","no_certificate":"deny"}"#);
        refused(&deny, &connection, "there is no client certificate");
    }
}

#[test]
fn only_these_authorities() {
    let ours = client("a", certificate("CN=a"));
    let theirs = client("a", PeerCertificate { issuer: "CN=ca".to_owned(), ..certificate("CN=a") });
    let deny = gate(r#"{"principal":"cn","issuers":["CN=ca, O=acme"]}"#);
    granted(&deny, &ours);
    refused(&deny, &theirs, "none of `issuers`");
    let next = gate(r#"{"principal":"cn","issuers":["CN=ca,O=acme"],"other_issuer":"next"}"#);
    assert_eq!(next.judge(&theirs), (Outcome::Next, None));
}

#[test]
fn client_identifiers_can_be_any_field() {
    let gate = gate(r#"{"principal":"cn","client_id":"san-dns"}"#);
    granted(&gate, &client("press-1.example", certificate("CN=x")));
    refused(&gate, &client("x", certificate("CN=x")), "client identifier");
    let none = PeerCertificate { dns_names: Vec::new(), ..certificate("CN=x") };
    refused(&gate, &client("", none), "client identifier");
}

#[test]
fn rules_follow_the_certificate() {
    let gate = gate(
        r#"{"principal":"cn","permissions":[
            {"where":{"subject.ou":["presses","saws"],"issuer":"cn=ca,o=acme"},
             "rules":[{"deny":"all","topic":"a"},{"allow":"all","topic":"b"}]},
            {"where":{"subject.ou":"others"},"rules":[{"allow":"all","topic":"c"}]},
            {"rules":[{"allow":"all","topic":"d"}]}]}"#,
    );
    let topics = |principal: &str, subject: &str| {
        let certificate = Some(certificate(subject));
        let subject = Subject { principal: principal.into(), certificate, ..Subject::default() };
        match gate.permissions(&subject) {
            Answer::Permissions(set) => {
                assert_eq!(set.holds_for, HoldsFor::Client);
                set.rules.into_iter().map(|rule| rule.filter).collect::<Vec<_>>().concat()
            }
            other => format!("{other:?}"),
        }
    };
    assert_eq!(topics("x", "CN=x,OU=presses"), "abd");
    assert_eq!(topics("x", "CN=x,OU=others"), "cd");
    assert_eq!(topics("x", "CN=x"), "d");
    // Somebody else to others, and nobody to us.
    assert_eq!(topics("y", "CN=x,OU=presses"), "Answer::Next");
    assert_eq!(topics("x", "CN=x,OU=\\00"), "Answer::Next");
    assert_eq!(gate.permissions(&Subject::default()), Answer::Next);
}
