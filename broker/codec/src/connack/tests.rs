use super::*;
use crate::ErrorKind::{Malformed, ProtocolError};
use crate::Packet;
use crate::ProtocolVersion::{V5, V311};
use crate::test_support::{BOTH, check_golden, check_refused, decode_whole, encoded, with_length};

fn packet(connack: ConnAck) -> Packet<'static> {
    Packet::ConnAck(Box::new(connack))
}

/// Covers 5.0 [MQTT-3.2.2-1].
#[test]
fn golden_bytes() {
    let resumed = ConnAck { session_present: true, ..ConnAck::default() };
    check_golden(V311, &packet(ConnAck::default()), &[0x20, 2, 0, 0]);
    check_golden(V311, &packet(resumed.clone()), &[0x20, 2, 1, 0]);
    check_golden(V5, &packet(ConnAck::default()), &[0x20, 3, 0, 0, 0]);
    check_golden(V5, &packet(resumed), &[0x20, 3, 1, 0, 0]);
    let busy = packet(ConnAck::new(ReasonCode::ServerBusy));
    check_golden(V5, &busy, &[0x20, 3, 0, 0x89, 0]);
}

/// Set afterwards it is as if it had been known, however many bytes the Remaining Length has.
#[test]
fn session_present_is_marked_in_what_is_encoded() {
    for version in BOTH {
        for value_bytes in [0, 100, 200, 20_000] {
            let user_properties = vec![("k".to_owned(), "v".repeat(value_bytes))];
            let new = ConnAck { user_properties, ..ConnAck::default() };
            let resumed = ConnAck { session_present: true, ..new.clone() };
            let mut marked = encoded(version, &packet(new));
            ConnAck::mark_session_present(&mut marked);
            assert_eq!(marked, encoded(version, &packet(resumed)), "{version:?} {value_bytes}");
        }
    }
}

#[test]
fn golden_bytes_with_all_properties() {
    let text = |text: &str| Some(text.to_owned());
    let full = ConnAck {
        session_present: true,
        reason_code: ReasonCode::Success,
        session_expiry_interval: Some(1),
        receive_maximum: Some(2),
        maximum_qos: Some(QoS::AtLeastOnce),
        retain_available: Some(false),
        maximum_packet_size: Some(3),
        assigned_client_identifier: text("id"),
        topic_alias_maximum: Some(4),
        reason_string: text("r"),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        wildcard_subscription_available: Some(true),
        subscription_identifiers_available: Some(false),
        shared_subscription_available: Some(true),
        server_keep_alive: Some(5),
        response_information: text("i"),
        server_reference: text("s"),
        authentication_method: text("m"),
        authentication_data: Some(vec![0xFF]),
    };
    let bytes = b"\x20\x40\x01\0\x3D\x11\0\0\0\x01\x21\0\x02\x24\x01\x25\0\x27\0\0\0\x03\
        \x12\0\x02id\x22\0\x04\x1F\0\x01r\x28\x01\x29\0\x2A\x01\x13\0\x05\
        \x1A\0\x01i\x1C\0\x01s\x15\0\x01m\x16\0\x01\xFF\x26\0\x01k\0\x01v";
    check_golden(V5, &packet(full.clone()), bytes);
    assert_eq!(encoded(V311, &packet(full)), [0x20, 2, 1, 0]);
}

#[test]
fn return_codes_of_3_1_1() {
    for value in 0..=255 {
        let Some(reason_code) = ReasonCode::from_value(value) else {
            continue;
        };
        let expected = match value {
            0x84 => 1,
            0x85 => 2,
            0x86 => 4,
            0x87 | 0x8A => 5,
            0x80.. => 3,
            _ => 0,
        };
        let bytes = encoded(V311, &packet(ConnAck::new(reason_code)));
        assert_eq!(bytes, [0x20, 2, 0, expected], "{reason_code:?}");
    }
    for (code, value) in [(0, 0x00), (1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87)] {
        let bytes = [0x20, 2, 0, code];
        let Ok(Packet::ConnAck(connack)) = decode_whole(V311, &bytes) else { panic!("{code}") };
        assert_eq!(connack.reason_code.value(), value);
    }
}

/// [MQTT-3.2.2-6]
/// Covers 5.0 [MQTT-3.2.2-6], 3.1.1 [MQTT-3.2.2-4].
#[test]
fn a_failure_never_has_a_session() {
    let wrong = ConnAck { session_present: true, ..ConnAck::new(ReasonCode::NotAuthorized) };
    assert_eq!(encoded(V5, &packet(wrong.clone())), [0x20, 3, 0, 0x87, 0]);
    assert_eq!(encoded(V311, &packet(wrong)), [0x20, 2, 0, 5]);
    check_refused(V5, &[0x20, 3, 1, 0x87, 0], ProtocolError, "MQTT-3.2.2-6");
    check_refused(V311, &[0x20, 2, 1, 5], ProtocolError, "MQTT-3.2.2-6");
}

#[test]
fn full_qos_is_said_by_absence() {
    let connack = ConnAck { maximum_qos: Some(QoS::ExactlyOnce), ..ConnAck::default() };
    assert_eq!(encoded(V5, &packet(connack)), [0x20, 3, 0, 0, 0]);
}

#[test]
fn refusals() {
    for version in BOTH {
        check_refused(version, &[0x20, 3, 2, 0, 0], Malformed, "MQTT-3.2.2-1");
        check_refused(version, &[0x20, 1, 0], Malformed, "section 2.1.4");
        check_refused(version, &[0x20, 4, 0, 0, 0, 0], Malformed, "section 2.1.4");
        check_refused(version, &[0x22, 3, 0, 0, 0], Malformed, "MQTT-2.1.3-1");
    }
    check_refused(V311, &[0x20, 2, 0, 6], Malformed, "section 3.2.2.3");
    check_refused(V5, &[0x20, 2, 0, 0], Malformed, "section 2.1.4");
    check_refused(V5, &[0x20, 3, 0, 1, 0], ProtocolError, "section 2.4");
    check_refused(V5, &[0x20, 3, 0, 6, 0], Malformed, "section 2.4");
    let refused = |section: &[u8], kind, statement| {
        let mut body = vec![0, 0, section.len() as u8];
        body.extend_from_slice(section);
        check_refused(V5, &with_length(0x20, &body), kind, statement);
    };
    refused(b"\x21\0\0", ProtocolError, "section 3.1.2.11.3");
    refused(b"\x27\0\0\0\0", ProtocolError, "section 3.1.2.11.4");
    refused(b"\x24\x02", ProtocolError, "section 3.2.2.3.4");
    refused(b"\x25\x02", ProtocolError, "section 2.2");
    refused(b"\x22\0\x01\x22\0\x01", ProtocolError, "section 2.2.2.2");
    refused(b"\x18\0\0\0\x01", Malformed, "section 2.2.2.2");
    refused(b"\x12\0\x01\0", Malformed, "MQTT-1.5.4-2");
    check_refused(V5, &[0x20, 7, 0, 0, 0x80, 0x80, 0x80, 0x80, 1], Malformed, "section 1.5.5");
}
