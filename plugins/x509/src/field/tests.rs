//! Which field has which values.

use super::*;
use crate::gate::tests::certificate;

#[test]
fn every_field_has_its_values() {
    let certificate = certificate("CN=press-1,OU=presses+OU=hall 2,O=acme");
    for (name, expected) in [
        ("cn", &["press-1"][..]),
        ("dn", &["CN=press-1,OU=presses+OU=hall 2,O=acme"]),
        ("subject.OU", &["presses", "hall 2"]),
        ("subject.2.5.4.10", &["acme"]),
        ("subject.uid", &[]),
        ("issuer", &["CN=ca,O=acme"]),
        ("issuer.cn", &["ca"]),
        ("san-dns", &["press-1.example"]),
        ("san-uri", &["spiffe://acme/press-1"]),
        ("san-email", &["press@acme.example"]),
        ("serial", &["0a"]),
        ("fingerprint", &["abababababababababababababababababababababababababababababababab"]),
    ] {
        let field = Field::parse("key", name).unwrap();
        assert_eq!(field.values(&certificate).unwrap(), expected, "{name}");
    }
}

#[test]
fn what_is_no_field() {
    for name in ["", "CN", "subject", "subject.", "subject.o u", "san", "san-ip", "cn.x"] {
        let error = Field::parse("principal", name).unwrap_err();
        assert!(error.starts_with("principal: "), "{error}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_a_failure() {
    for (subject, why) in [
        ("CN=a\\00b", "control"),
        ("CN=a\\0ab", "control"),
        ("CN=", "empty"),
        ("2.5.4.3=#1e020041", "is no text"),
        ("CN=x,nonsense", "without ="),
        ("CN=\\ff", "UTF-8"),
    ] {
        let field = Field::parse("key", "cn").unwrap();
        let error = field.values(&certificate(subject)).unwrap_err();
        assert!(error.contains(why), "{subject}: {error}");
    }
    let long = certificate(&format!("CN={}", "x".repeat(1_025)));
    assert!(Field::parse("key", "cn").unwrap().values(&long).is_err());
}

#[test]
fn values_of_the_configuration_may_be_spelled_otherwise() {
    let same = |name: &str, text: &str, value: &str| {
        let field = Field::parse("key", name).unwrap();
        field.expected(text).is_ok_and(|expected| field.is(value, &expected))
    };
    assert!(same("san-dns", "Press-1.Example", "press-1.example"));
    assert!(same("serial", "0A:FF", "0aff"));
    assert!(same("fingerprint", "AB:cd", "abcd"));
    assert!(same("issuer", "cn=ca, o=acme", "CN=ca,O=acme"));
    assert!(!same("issuer", "cn=CA, o=acme", "CN=ca,O=acme"));
    assert!(!same("issuer", "CN=ca\\,O=acme", "CN=ca,O=acme"));
    assert!(!same("cn", "Press", "press"));
    assert!(!same("serial", "xyz", "xyz") && !same("issuer", "nonsense", "nonsense"));
}
