//! Names that are names, and what is none.

use super::*;

fn name(text: &str) -> DistinguishedName {
    DistinguishedName::parse(text).unwrap_or_else(|why| panic!("{text:?} {why}"))
}

fn values(text: &str, kind: &str) -> Vec<Option<String>> {
    name(text).values(kind).map(|value| value.map(str::to_owned)).collect()
}

#[track_caller]
fn check(text: &str, kind: &str, expected: &[&str]) {
    let expected: Vec<_> = expected.iter().map(|value| Some((*value).to_owned())).collect();
    assert_eq!(values(text, kind), expected, "{text:?}");
}

#[test]
fn values_come_without_their_escapes() {
    check("CN=press-1,OU=presses,OU=hall 2,O=acme", "ou", &["presses", "hall 2"]);
    check("CN=press-1 , O = acme", "o", &["acme"]);
    check("cn=a\\,b\\+c\\=d\\\\", "cn", &["a,b+c=d\\"]);
    check("CN=\\ x\\ ", "cn", &[" x "]);
    check("CN=  x  ,O=y", "cn", &["x"]);
    check("CN=\\#1", "cn", &["#1"]);
    check("CN=Z\\C3\\BCrich", "cn", &["Zürich"]);
    check("CN=Zürich;O=x", "o", &["x"]);
    check("CN=x\\00y", "cn", &["x\0y"]);
    check("CN=a+CN=b,O=x", "cn", &["a", "b"]);
    check("CN=,O=x", "cn", &[""]);
    check("CN=a=b", "cn", &["a=b"]);
    check("", "cn", &[]);
    for email in
        ["E=a@b", "EMAILADDRESS=a@b", "1.2.840.113549.1.9.1=a@b", "OID.1.2.840.113549.1.9.1=a@b"]
    {
        check(email, "email", &["a@b"]);
    }
    check("2.5.4.97=NTR-1", "2.5.4.97", &["NTR-1"]);
}

/// What was put into a value never becomes a part of its own.
#[test]
fn a_value_is_never_another_part() {
    check("CN=x\\,OU\\=admins,OU=guests", "ou", &["guests"]);
    check("CN=x\\2cOU\\3dadmins,OU=guests", "ou", &["guests"]);
    check("CN=x\\2COU=admins,OU=guests", "ou", &["guests"]);
}

#[test]
fn an_encoding_is_no_text() {
    assert_eq!(values("2.5.4.3=#1e020041,O=x", "cn"), [None]);
    assert_eq!(values("2.5.4.3=#1e020041,CN=x", "cn"), [None, Some("x".to_owned())]);
}

#[test]
fn what_is_no_name() {
    for (text, why) in [
        ("x", "without ="),
        ("CN=x,", "without ="),
        ("CN=x,,O=y", "whose type"),
        (",CN=x", "whose type"),
        ("=x", "whose type"),
        ("C N=x", "whose type"),
        ("CN=#", "hexadecimal"),
        ("CN=#abc", "hexadecimal"),
        ("CN=#zz", "hexadecimal"),
        ("CN=a\\", "needs none"),
        ("CN=a\\b", "needs none"),
        ("CN=a\\zz", "needs none"),
        ("CN=a\\é", "needs none"),
        ("CN=a\\ff", "UTF-8"),
        ("CN=\"a,b\"", "must be escaped"),
        ("CN=a<b", "must be escaped"),
        ("CN=a\0b", "must be escaped"),
    ] {
        let error = DistinguishedName::parse(text).expect_err(text);
        assert!(error.contains(why), "{text:?}: {error}");
    }
    let long = format!("CN={}", "x".repeat(8 << 10));
    assert!(DistinguishedName::parse(&long).is_err());
}

#[test]
fn what_lies_within_what() {
    let within = |inner: &str, outer: &str| name(inner).is_within(&name(outer));
    assert!(within("cn=ops,ou=groups,dc=example", "OU=Groups, DC=Example"));
    assert!(within("ou=groups,dc=example", "ou=groups,dc=example"));
    assert!(within("cn=ops,ou=two  words,dc=x", "ou=Two Words,dc=x"));
    assert!(within("cn=ops,o=a+ou=b", "ou=b+o=a"));
    assert!(within("cn=ops", ""));
    for (inner, outer) in [
        ("cn=ops,ou=groups,dc=example,dc=org", "ou=groups,dc=example"),
        ("cn=ops,ou=other,dc=example", "ou=groups,dc=example"),
        ("cn=ops\\,ou=groups\\,dc=example", "ou=groups,dc=example"),
        ("dc=example", "ou=groups,dc=example"),
        ("cn=ops,ou=xgroups,dc=example", "ou=groups,dc=example"),
    ] {
        assert!(!within(inner, outer), "{inner} {outer}");
    }
}

#[test]
fn what_a_thing_itself_is_called() {
    assert_eq!(name("cn=ops,ou=groups").own_value(), Some("ops"));
    assert_eq!(name("cn=ops+ou=x,ou=groups").own_value(), None);
    assert_eq!(name("").own_value(), None);
    assert_eq!(name("2.5.4.3=#1e020041").own_value(), None);
}

#[test]
fn kinds_have_one_name() {
    for text in ["OU", "ou", "OrganizationalUnitName", "2.5.4.11", "OID.2.5.4.11"] {
        assert_eq!(DistinguishedName::kind(text).as_deref(), Ok("ou"));
    }
    assert_eq!(DistinguishedName::kind("2.5.4.97").as_deref(), Ok("2.5.4.97"));
    assert!(DistinguishedName::kind("").is_err() && DistinguishedName::kind("o u").is_err());
}
