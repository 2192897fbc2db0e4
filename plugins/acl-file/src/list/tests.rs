//! Which rules are about whom.

use acl_rules::parse;
use portcullis_plugin::PeerCertificate;

use super::*;

const FILE: &str = r##"
    [[rules]]
    deny = "all"
    topic = "secret/#"

    [[rules]]
    allow = "all"
    topic = "plant/#"
    user = "alice"

    [[rules]]
    allow = "subscribe"
    topic = "log/#"
    group = "readers"

    [[rules]]
    allow = "publish"
    topic = "one"
    user = "alice"
    client_id = "press-1"
"##;

#[test]
fn rules_are_chosen_by_principal_group_and_client_id() {
    check(FILE, "bob", &[], "x", &["secret/#"]);
    check(FILE, "alice", &[], "x", &["secret/#", "plant/#"]);
    check(FILE, "alice", &[], "press-1", &["secret/#", "plant/#", "one"]);
    check(FILE, "bob", &[], "press-1", &["secret/#"]);
    check(FILE, "bob", &["writers", "readers"], "x", &["secret/#", "log/#"]);
    check(FILE, "Alice", &["Readers"], "PRESS-1", &["secret/#"]);
}

#[test]
fn a_file_without_rules_denies_everything() {
    let list = List::new(parse("# empty").unwrap());
    assert_eq!(list.answer(&Subject::default()), Answer::DenyAll);
}

#[test]
fn a_client_without_rules_is_the_next_links_matter() {
    let list =
        List::new(parse("[[rules]]\nallow = \"all\"\ntopic = \"#\"\nuser = \"alice\"").unwrap());
    assert_eq!(list.answer(&Subject::default()), Answer::Next);
}

/// The answer may be given to nobody for whom another one would have been made.
#[test]
fn an_answer_holds_for_those_about_whom_the_rules_ask_the_same() {
    let holds_for = |more: &str| {
        let text = format!("[[rules]]\nallow = \"all\"\ntopic = \"${{clientid}}/#\"\n{more}");
        let list = List::new(parse(&text).unwrap());
        let principal = Subject { groups: vec!["g".to_owned()], ..Subject::default() };
        match list.answer(&principal) {
            Answer::Permissions(set) => set.holds_for,
            other => panic!("{other:?}"),
        }
    };
    let more = |keys: &str| format!("[[rules]]\nallow = \"all\"\ntopic = \"x\"\n{keys}");
    assert_eq!(holds_for(""), HoldsFor::Everyone);
    assert_eq!(holds_for(&more("user = \"u\"")), HoldsFor::Principal);
    assert_eq!(holds_for(&more("group = \"g\"")), HoldsFor::Principal);
    assert_eq!(holds_for(&more("client_id = \"c\"")), HoldsFor::Client);
    assert_eq!(holds_for(&more("user = \"u\"\nclient_id = \"c\"")), HoldsFor::Client);
    assert_eq!(holds_for(&more("listener = \"l\"")), HoldsFor::Everyone);
    assert_eq!(holds_for(&more("authenticated_by = \"l\"")), HoldsFor::Principal);
    assert_eq!(holds_for(&more("attributes = { a = \"b\" }")), HoldsFor::Principal);
    assert_eq!(holds_for(&more("address = \"::1\"")), HoldsFor::Client);
    assert_eq!(holds_for(&more("certificate = { uri = \"u\" }")), HoldsFor::Client);
    let attribute = "[[rules]]\nallow = \"all\"\ntopic = \"${attr.a}\"\n";
    assert_eq!(holds_for(attribute), HoldsFor::Principal);
}

#[test]
fn names_with_wildcards_are_denied_where_the_file_says_so() {
    let rule = "[[rules]]\nallow = \"all\"\ntopic = \"x\"\n";
    let list = List::new(parse(&format!("names_with_wildcards = \"deny\"\n{rule}")).unwrap());
    assert_eq!(list.holds_for, HoldsFor::Client);
    let subject = |principal: &str, client_id: &str| Subject {
        principal: principal.to_owned(),
        client_id: client_id.to_owned(),
        ..Subject::default()
    };
    for (principal, client_id) in [("a+", "c"), ("a", "#"), ("a", "x/+/y")] {
        assert_eq!(list.answer(&subject(principal, client_id)), Answer::DenyAll);
    }
    assert!(matches!(list.answer(&subject("a/b", "$c")), Answer::Permissions(_)));
    let list = List::new(parse(rule).unwrap());
    assert!(matches!(list.answer(&subject("a+", "#")), Answer::Permissions(_)));
}

/// Everything that the contract tells of a client arrives where the rules look for it.
#[test]
fn a_rule_finds_every_part_of_a_client() {
    let subject = Subject {
        attributes: vec![portcullis_plugin::Attribute::new("plant", "berlin")],
        remote_address: "10.1.2.3".to_owned(),
        certificate: Some(certificate()),
        ..Subject::default()
    };
    for (more, about) in [
        ("authenticated_by = \"test\"", true),
        ("authenticated_by = \"other\"", false),
        ("listener = [\"tls\", \"mqtt\"]", true),
        ("listener = \"tls\"", false),
        ("address = \"10.0.0.0/8\"", true),
        ("address = \"192.0.2.0/24\"", false),
        ("attributes = { plant = [\"paris\", \"berlin\"] }", true),
        ("attributes = { plant = \"berlin\", line = \"7\" }", false),
        ("certificate = { common_name = \"press\" }", true),
        ("certificate = { common_name = \"PRESS\" }", false),
        ("certificate = { dns_name = \"b.example\", uri = \"urn:p\" }", true),
        ("certificate = { dns_name = \"b.example\", uri = \"urn:q\" }", false),
        ("certificate = { email_name = \"p@example\" }", true),
        ("certificate = { subject = \"CN=press\", issuer = \"CN=ca\" }", true),
        ("certificate = { issuer = \"CN=another ca\" }", false),
        ("certificate = { serial = \"0A:0B\" }", true),
        ("certificate = { serial = \"0A\" }", false),
    ] {
        let text = format!("[[rules]]\nallow = \"all\"\ntopic = \"x\"\n{more}\n");
        let answer = List::new(parse(&text).unwrap()).answer(&subject);
        assert_eq!(matches!(answer, Answer::Permissions(_)), about, "{more}");
    }
    let fingerprint = "7f".repeat(32);
    let text = format!(
        "[[rules]]\nallow = \"all\"\ntopic = \"${{attr.plant}}/x\"\n\
         certificate = {{ sha256 = \"{fingerprint}\" }}"
    );
    let Answer::Permissions(set) = List::new(parse(&text).unwrap()).answer(&subject) else {
        panic!("no rules");
    };
    assert_eq!(set.rules[0].filter, "berlin/x");
}

fn certificate() -> PeerCertificate {
    PeerCertificate {
        sha256: vec![0x7F; 32],
        subject: "CN=press".to_owned(),
        issuer: "CN=ca".to_owned(),
        serial: "0a0b".to_owned(),
        common_name: Some("press".to_owned()),
        dns_names: vec!["a.example".to_owned(), "b.example".to_owned()],
        uris: vec!["urn:p".to_owned()],
        email_names: vec!["p@example".to_owned()],
        not_after_unix: 0,
        der_chain: Vec::new(),
    }
}

#[track_caller]
fn check(text: &str, principal: &str, groups: &[&str], client_id: &str, filters: &[&str]) {
    let subject = Subject {
        principal: principal.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        client_id: client_id.to_owned(),
        ..Subject::default()
    };
    let Answer::Permissions(set) = List::new(parse(text).unwrap()).answer(&subject) else {
        panic!("no rules");
    };
    let got: Vec<&str> = set.rules.iter().map(|rule| rule.filter.as_str()).collect();
    assert_eq!(got, filters);
    assert_eq!(set.ttl_seconds, None);
}
