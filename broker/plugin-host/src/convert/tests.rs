//! What of a guest's answer is taken, mended and refused.

use super::*;

fn grant_of(principal: &str) -> grants::Grant {
    grants::Grant {
        principal: Some(principal.to_owned()),
        groups: vec!["g".to_owned()],
        attributes: Vec::new(),
        permissions: Vec::new(),
        limits: None,
        expires_at_unix: Some(7),
        session_expiry_seconds_max: None,
        user_properties: Vec::new(),
    }
}

#[test]
fn addresses_are_written_as_everywhere() {
    for byte in 0..=255 {
        for octets in [[byte, 0, 9, 10], [127, byte, 99, 100], [1, 255, byte, byte]] {
            let from = IpAddr::from(octets);
            assert_eq!(address(from), from.to_string());
        }
    }
    for text in ["::1", "2001:db8::ff", "::ffff:1.2.3.4"] {
        assert_eq!(address(text.parse().unwrap()), text);
    }
}

#[test]
fn a_denial_is_always_a_failure_code() {
    let code = |reason_code| denial(types::Denial { reason_code, reason: None }).reason_code;
    assert_eq!(code(0), ReasonCode::NotAuthorized);
    assert_eq!(code(0x18), ReasonCode::NotAuthorized);
    assert_eq!(code(0xFF), ReasonCode::NotAuthorized);
    assert_eq!(code(0x8A), ReasonCode::Banned);
    let reason = Some("a\0b".to_owned());
    let denied = denial(types::Denial { reason_code: 0x86, reason });
    assert_eq!(denied.reason.unwrap(), "a\\u{0}b");
}

#[test]
fn grants_are_checked() {
    assert!(grant(grant_of("alice")).is_ok());
    assert_eq!(grant(grant_of("")).unwrap_err().kind, PluginFailureKind::Internal);
    assert_eq!(grant(grant_of("a\0")).unwrap_err().kind, PluginFailureKind::Internal);
    let long = "x".repeat(GRANT_BYTES_MAX);
    assert_eq!(grant(grant_of(&long)).unwrap_err().kind, PluginFailureKind::TooLarge);
    let mut unsendable = grant_of("alice");
    let value = "a\0".to_owned();
    unsendable.user_properties.push(types::Attribute { name: "n".to_owned(), value });
    assert_eq!(grant(unsendable).unwrap_err().kind, PluginFailureKind::Internal);
}

#[test]
fn grants_are_bounded() {
    let attribute = types::Attribute { name: "n".to_owned(), value: "v".to_owned() };
    let most = grants::Grant {
        groups: vec![String::new(); GROUPS_MAX],
        attributes: vec![attribute.clone(); ATTRIBUTES_MAX],
        user_properties: vec![attribute.clone(); ATTRIBUTES_MAX],
        ..grant_of("alice")
    };
    assert!(grant(most.clone()).is_ok());
    let refused = |from: grants::Grant, expected: &str| {
        let failure = grant(from).unwrap_err();
        assert_eq!(failure.kind, PluginFailureKind::TooLarge);
        assert_eq!(failure.message, expected);
    };
    let mut groups = most.clone();
    groups.groups.push(String::new());
    refused(groups, "granted 257 groups; at most 256 are taken");
    let mut attributes = most.clone();
    attributes.attributes.push(attribute.clone());
    refused(attributes, "granted 65 attributes; at most 64 are taken");
    let mut properties = most;
    properties.user_properties.push(attribute);
    refused(properties, "granted 65 User Properties; at most 64 are taken");
}
