use super::*;
use crate::ErrorKind::{
    ClientIdentifierNotValid, Malformed, ProtocolError, TopicNameInvalid,
    UnsupportedProtocolVersion,
};
use crate::Packet;
use crate::ProtocolVersion::{V5, V311};
use crate::test_support::{BOTH, check_golden, check_reads, check_refused, encoded, with_length};

fn packet(connect: Connect) -> Packet<'static> {
    Packet::Connect(Box::new(connect))
}

/// Golden whatever the version of the connection is said to be: CONNECT brings its own.
fn check(connect: &Connect, body: &[u8]) {
    for version in BOTH {
        check_golden(version, &packet(connect.clone()), &with_length(0x10, body));
    }
}

fn refused(body: &[u8], kind: ErrorKind, statement: &str) {
    for version in BOTH {
        check_refused(version, &with_length(0x10, body), kind, statement);
    }
}

/// Covers 3.1.1 [MQTT-3.1.3-1] [MQTT-3.1.3-3].
#[test]
fn golden_bytes_3_1_1() {
    check(&Connect::new(V311, "c1"), b"\0\x04MQTT\x04\x02\0\x3C\0\x02c1");
    check(&Connect::new(V311, ""), b"\0\x04MQTT\x04\x02\0\x3C\0\0");
    let kept = Connect {
        clean_start: false,
        session_expiry_interval: u32::MAX,
        keep_alive: 0,
        username: Some("u".to_owned()),
        password: Some(vec![0, 0xFF]),
        will: Some(Box::new(Will {
            qos: QoS::ExactlyOnce,
            retain: true,
            ..Will::new("w/t", b"gone")
        })),
        ..Connect::new(V311, "c")
    };
    check(&kept, b"\0\x04MQTT\x04\xF4\0\0\0\x01c\0\x03w/t\0\x04gone\0\x01u\0\x02\0\xFF");
}

#[test]
fn golden_bytes_3_1() {
    let old = Connect { mqtt_3_1: true, ..Connect::new(V311, "c") };
    check(&old, b"\0\x06MQIsdp\x03\x02\0\x3C\0\x01c");
    let most = "ä".repeat(23);
    let packet = packet(Connect { mqtt_3_1: true, ..Connect::new(V311, &most) });
    check_reads(V311, &encoded(V311, &packet), &packet);
    for wrong in ["", &"a".repeat(24)] {
        let length = u8::try_from(wrong.len()).unwrap();
        let head = b"\0\x06MQIsdp\x03\x02\0\0\0";
        let body = [head, &[length][..], wrong.as_bytes()].concat();
        refused(&body, ClientIdentifierNotValid, "MQTT 3.1, section 3.1");
    }
}

#[test]
fn golden_bytes_5_0() {
    check(&Connect::new(V5, ""), b"\0\x04MQTT\x05\x02\0\x3C\0\0\0");
    let password_alone = Connect { password: Some(b"p".to_vec()), ..Connect::new(V5, "c") };
    check(&password_alone, b"\0\x04MQTT\x05\x42\0\x3C\0\0\x01c\0\x01p");
}

/// Covers 5.0 [MQTT-3.1.2-9] [MQTT-3.1.3-1] [MQTT-3.1.3-3].
#[test]
fn golden_bytes_with_all_properties() {
    let will = Will {
        qos: QoS::AtLeastOnce,
        delay_interval: 1,
        message_expiry_interval: Some(2),
        payload_format_indicator: Some(true),
        response_topic: Some("r".to_owned()),
        correlation_data: Some(vec![7]),
        content_type: Some("t".to_owned()),
        user_properties: vec![("a".to_owned(), "b".to_owned())],
        ..Will::new("w", b"")
    };
    let full = Connect {
        clean_start: false,
        session_expiry_interval: 9,
        receive_maximum: 8,
        maximum_packet_size: Some(7),
        topic_alias_maximum: 6,
        request_response_information: true,
        request_problem_information: false,
        authentication_method: Some("m".to_owned()),
        authentication_data: Some(vec![5]),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        will: Some(Box::new(will)),
        ..Connect::new(V5, "c")
    };
    let body = b"\0\x04MQTT\x05\x0C\0\x3C\x23\x11\0\0\0\x09\x21\0\x08\x27\0\0\0\x07\x22\0\x06\
        \x19\x01\x17\0\x15\0\x01m\x16\0\x01\x05\x26\0\x01k\0\x01v\0\x01c\
        \x1F\x18\0\0\0\x01\x02\0\0\0\x02\x01\x01\x08\0\x01r\x09\0\x01\x07\x03\0\x01t\
        \x26\0\x01a\0\x01b\0\x01w\0\0";
    check(&full, body);
}

#[test]
fn defaults_may_be_said() {
    let body = b"\0\x04MQTT\x05\x02\0\x3C\x0F\x11\0\0\0\0\x21\xFF\xFF\x22\0\0\x19\0\x17\x01\0\0";
    check_reads(V5, &with_length(0x10, body), &packet(Connect::new(V5, "")));
}

#[test]
fn will_forwards_as_a_publish_does() {
    let will = Will {
        payload_format_indicator: Some(true),
        response_topic: Some("r".to_owned()),
        correlation_data: Some(vec![7]),
        content_type: Some("t".to_owned()),
        user_properties: vec![("a".to_owned(), "b".to_owned())],
        delay_interval: 3,
        message_expiry_interval: Some(3),
        ..Will::new("w", b"payload")
    };
    let mut kept = Vec::new();
    will.encode_forwarded(&mut kept);
    let publish = crate::Publish::from_parts("w", &kept, b"payload").unwrap();
    let mut again = Vec::new();
    publish.encode_forwarded(&mut again);
    assert_eq!(again, kept);
    assert_eq!(publish.user_properties.to_buf(), will.user_properties);
}

/// Covers 5.0 [MQTT-3.1.2-1] [MQTT-3.1.2-2], 3.1.1 [MQTT-3.1.2-1] [MQTT-3.1.2-2].
#[test]
fn refusals_of_the_protocol() {
    refused(b"\0\x04MQTt\x04\x02\0\0\0\0", UnsupportedProtocolVersion, "MQTT-3.1.2-1");
    for level in [0, 2, 4, 5, 0x83] {
        let body = [b"\0\x06MQIsdp", &[level][..], b"\x02\0\0\0\x01c"].concat();
        refused(&body, UnsupportedProtocolVersion, "MQTT-3.1.2-2");
    }
    refused(b"\0\0\x04\x02\0\0\0\0", UnsupportedProtocolVersion, "MQTT-3.1.2-1");
    for level in [0, 3, 6, 0x84, 0x85, 255] {
        let body = [b"\0\x04MQTT", &[level][..], b"\x02\0\0\0\0"].concat();
        refused(&body, UnsupportedProtocolVersion, "MQTT-3.1.2-2");
    }
    refused(b"\0\x04MQT", Malformed, "section 2.1.4");
    refused(b"", Malformed, "section 2.1.4");
}

/// Covers 5.0 [MQTT-3.1.2-3] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13], 3.1.1 [MQTT-3.1.2-3]
/// [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT-3.1.2-22].
#[test]
fn all_flag_bytes() {
    for value in 0..=255_u8 {
        let will_qos = (value >> 3) & 3;
        let will = value & 0x04 != 0;
        let common =
            value & 1 == 0 && will_qos != 3 && (will || (will_qos == 0 && value & 0x20 == 0));
        assert_eq!(Flags::decode(value, V5).is_ok(), common, "{value:#04x}");
        let user_rule = value & 0xC0 != 0x40;
        assert_eq!(Flags::decode(value, V311).is_ok(), common && user_rule, "{value:#04x}");
        if let Ok(flags) = Flags::decode(value, V5) {
            assert_eq!(flags.encode(), value);
        }
    }
}

#[test]
fn refusals_of_flags() {
    let with_flags = |flags: u8| [b"\0\x04MQTT\x04", &[flags][..], b"\0\0\0\x01c"].concat();
    refused(&with_flags(0x03), Malformed, "MQTT-3.1.2-3");
    refused(&with_flags(0x0A), Malformed, "MQTT-3.1.2-11");
    refused(&with_flags(0x1E), Malformed, "MQTT-3.1.2-12");
    refused(&with_flags(0x22), Malformed, "MQTT-3.1.2-13");
    refused(&with_flags(0x42), ProtocolError, "3.1.1 MQTT-3.1.2-22");
    // Flags announce a will, a user name, a password that are not there.
    refused(&with_flags(0x06), Malformed, "section 2.1.4");
    refused(&with_flags(0x82), Malformed, "section 2.1.4");
    refused(&with_flags(0xC2), Malformed, "section 2.1.4");
}

#[test]
fn refusals_of_the_payload() {
    let no_id = b"\0\x04MQTT\x04\0\0\0\0\0";
    refused(no_id, ClientIdentifierNotValid, "3.1.1 MQTT-3.1.3-8");
    refused(b"\0\x04MQTT\x04\x02\0\0\0\x01\xFF", Malformed, "MQTT-1.5.4-1");
    refused(b"\0\x04MQTT\x04\x02\0\0\0\x01\0", Malformed, "MQTT-1.5.4-2");
    refused(b"\0\x04MQTT\x04\x02\0\0\0\x01cX", Malformed, "section 2.1.4");
    refused(b"\0\x04MQTT\x04\x82\0\0\0\x01c\0\x01\0", Malformed, "MQTT-1.5.4-2");
    refused(b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01#\0\0", TopicNameInvalid, "MQTT-3.3.2-2");
    refused(b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\0\0\0", TopicNameInvalid, "MQTT-4.7.3-1");
    refused(b"\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01w\0\x05x", Malformed, "section 2.1.4");
}

#[test]
fn refusals_of_properties() {
    let with = |section: &[u8], kind, statement| {
        let mut body = b"\0\x04MQTT\x05\x02\0\0".to_vec();
        body.push(section.len() as u8);
        body.extend_from_slice(section);
        body.extend_from_slice(b"\0\x01c");
        refused(&body, kind, statement);
    };
    with(b"\x21\0\0", ProtocolError, "section 3.1.2.11.3");
    with(b"\x27\0\0\0\0", ProtocolError, "section 3.1.2.11.4");
    with(b"\x17\x02", ProtocolError, "section 2.2");
    with(b"\x16\0\x01x", ProtocolError, "section 3.1.2.11.10");
    with(b"\x22\0\x01\x22\0\x01", ProtocolError, "section 2.2.2.2");
    with(b"\x18\0\0\0\x01", Malformed, "section 2.2.2.2");
    with(b"\x23\0\x01", Malformed, "section 2.2.2.2");
    with(b"\x15\0\x01\0", Malformed, "MQTT-1.5.4-2");
    refused(b"\0\x04MQTT\x05\x02\0\0\x80\x80\x80\x80\x01\0\0", Malformed, "section 1.5.5");
    refused(b"\0\x04MQTT\x05\x02\0\0\x80\0\0\0", Malformed, "MQTT-1.5.5-1");
}

#[test]
fn refusals_of_will_properties() {
    let with = |section: &[u8], kind, statement| {
        let mut body = b"\0\x04MQTT\x05\x06\0\0\0\0\x01c".to_vec();
        body.push(section.len() as u8);
        body.extend_from_slice(section);
        body.extend_from_slice(b"\0\x01w\0\0");
        refused(&body, kind, statement);
    };
    with(b"\x11\0\0\0\x01", Malformed, "section 2.2.2.2");
    with(b"\x18\0\0\0\x01\x18\0\0\0\x01", ProtocolError, "section 2.2.2.2");
    with(b"\x08\0\x01+", ProtocolError, "MQTT-3.3.2-14");
    with(b"\x01\x02", ProtocolError, "section 2.2");
    refused(
        b"\0\x04MQTT\x05\x06\0\0\0\0\x01c\xFF\xFF\xFF\xFF\x01\0\x01w\0\0",
        Malformed,
        "section 1.5.5",
    );
}

/// 5.0 wants the shortest Remaining Length; 3.1.1 has no such rule. The CONNECT itself decides.
/// Covers 5.0 [MQTT-1.5.5-1].
#[test]
fn padded_remaining_length() {
    for version in BOTH {
        let old = b"\x10\x8D\0\0\x04MQTT\x04\x02\0\x3C\0\x01c";
        check_reads(version, old, &packet(Connect::new(V311, "c")));
        let new = b"\x10\x8E\0\0\x04MQTT\x05\x02\0\x3C\0\0\x01c";
        check_refused(version, new, Malformed, "MQTT-1.5.5-1");
    }
}

#[test]
fn what_3_1_1_cannot_say_is_left_out() {
    let connect = Connect { password: Some(b"p".to_vec()), ..Connect::new(V311, "c") };
    let bytes = encoded(V311, &packet(connect));
    check_reads(V311, &bytes, &packet(Connect::new(V311, "c")));
}

#[test]
fn secrets_are_not_shown() {
    let connect = Connect {
        password: Some(b"hunter2".to_vec()),
        authentication_data: Some(b"hunter3".to_vec()),
        ..Connect::new(V5, "c")
    };
    assert_eq!(format!("{connect:?}"), r#"Connect { client_id: "c", .. }"#);
}
