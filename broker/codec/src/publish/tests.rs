use super::*;
use crate::ErrorKind::{Malformed, ProtocolError, TopicAliasInvalid, TopicNameInvalid};
use crate::Packet;
use crate::ProtocolVersion::{V5, V311};
use crate::test_support::{BOTH, check_golden, check_reads, check_refused, encoded, id};

/// Covers 3.1.1 [MQTT-2.3.1-5].
#[test]
fn golden_bytes_3_1_1() {
    let plain = Publish::new("a/b", b"hi");
    check_golden(V311, &Packet::Publish(plain.clone()), b"\x30\x07\0\x03a/bhi");
    let all_flags = Publish {
        dup: true,
        qos: QoS::ExactlyOnce,
        retain: true,
        packet_id: Some(id(0x1234)),
        ..plain.clone()
    };
    check_golden(V311, &Packet::Publish(all_flags), b"\x3D\x09\0\x03a/b\x12\x34hi");
    let empty = Publish { qos: QoS::AtLeastOnce, packet_id: Some(id(1)), ..Publish::new("/", b"") };
    check_golden(V311, &Packet::Publish(empty), b"\x32\x05\0\x01/\0\x01");
}

/// Covers 5.0 [MQTT-2.2.1-2] [MQTT-2.2.2-1].
#[test]
fn golden_bytes_5_0() {
    let plain = Publish::new("a/b", b"hi");
    check_golden(V5, &Packet::Publish(plain.clone()), b"\x30\x08\0\x03a/b\0hi");
    let rich = Publish {
        qos: QoS::AtLeastOnce,
        packet_id: Some(id(7)),
        payload_format_indicator: Some(true),
        message_expiry_interval: Some(60),
        topic_alias: Some(2),
        response_topic: Some("r"),
        correlation_data: Some(b"\0\x01"),
        content_type: Some("t"),
        subscription_identifiers: vec![1, 128],
        user_properties: UserProperties { section: b"\x26\0\x01k\0\x01v", count: 1 },
        ..plain
    };
    let bytes = b"\x32\x2D\0\x03a/b\0\x07\x23\x23\0\x02\x02\0\0\0\x3C\x0B\x01\x0B\x80\x01\
        \x01\x01\x08\0\x01r\x09\0\x02\0\x01\x03\0\x01t\x26\0\x01k\0\x01vhi";
    check_golden(V5, &Packet::Publish(rich.clone()), bytes);
    // 3.1.1 gets the same message without what it cannot say.
    assert_eq!(encoded(V311, &Packet::Publish(rich)), b"\x32\x09\0\x03a/b\0\x07hi");

    let alias_only = Publish { topic_alias: Some(9), ..Publish::new("", b"x") };
    check_golden(V5, &Packet::Publish(alias_only), b"\x30\x07\0\0\x03\x23\0\x09x");
}

#[test]
fn properties_come_in_any_order() {
    let bytes = b"\x30\x15\0\x01t\x10\x26\0\x01k\0\x01v\x02\0\0\0\x01\x0B\x05\x01\0!";
    let expected = Publish {
        payload_format_indicator: Some(false),
        message_expiry_interval: Some(1),
        subscription_identifiers: vec![5],
        user_properties: UserProperties { section: b"\x26\0\x01k\0\x01v", count: 1 },
        ..Publish::new("t", b"!")
    };
    check_reads(V5, bytes, &Packet::Publish(expected));
}

#[test]
fn refusals_of_both_versions() {
    for version in BOTH {
        check_refused(version, b"\x36\x06\0\x01a\0\x01\0", Malformed, "MQTT-3.3.1-4");
        check_refused(version, b"\x38\x04\0\x01a\0", ProtocolError, "MQTT-3.3.1-2");
        check_refused(version, b"\x30\0", Malformed, "section 2.1.4");
        check_refused(version, b"\x30\x04\0\x03ab", Malformed, "section 2.1.4");
        check_refused(version, b"\x30\x04\xFF\xFFab", Malformed, "section 2.1.4");
        check_refused(version, b"\x32\x06\0\x01a\0\0\0", ProtocolError, "MQTT-2.2.1-3");
        check_refused(version, b"\x34\x04\0\x01a\0", Malformed, "section 2.1.4");
        check_refused(version, b"\x30\x06\0\x03a/+\0", TopicNameInvalid, "MQTT-3.3.2-2");
        check_refused(version, b"\x30\x04\0\x01#\0", TopicNameInvalid, "MQTT-3.3.2-2");
        check_refused(version, b"\x30\x05\0\x02a\0\0", Malformed, "MQTT-1.5.4-2");
        check_refused(version, b"\x30\x05\0\x02a\xFF\0", Malformed, "MQTT-1.5.4-1");
        check_refused(version, b"\x30\x06\0\x03\xED\xA0\x80\0", Malformed, "MQTT-1.5.4-1");
    }
    check_refused(V311, b"\x30\x03\0\0x", TopicNameInvalid, "MQTT-4.7.3-1");
    check_refused(V5, b"\x30\x04\0\0\0x", ProtocolError, "section 3.3.2.1");
}

#[test]
fn refusals_of_properties() {
    let refused = |section: &[u8], kind, statement| {
        let mut body = b"\0\x01t".to_vec();
        body.push(section.len() as u8);
        body.extend_from_slice(section);
        check_refused(V5, &crate::test_support::with_length(0x30, &body), kind, statement);
    };
    refused(b"\x23\0\0", TopicAliasInvalid, "MQTT-3.3.2-8");
    refused(b"\x23\0\x01\x23\0\x01", ProtocolError, "section 2.2.2.2");
    refused(b"\x01\x01\x01\x01", ProtocolError, "section 2.2.2.2");
    refused(b"\x01\x02", ProtocolError, "section 2.2");
    refused(b"\x0B\0", ProtocolError, "section 3.8.2.1.2");
    refused(b"\x0B\x81\x80\x80\x80\x01", Malformed, "section 1.5.5");
    refused(b"\x08\0\x01+", ProtocolError, "MQTT-3.3.2-14");
    refused(b"\x08\0\0", ProtocolError, "MQTT-3.3.2-14");
    refused(b"\x11\0\0\0\x01", Malformed, "section 2.2.2.2");
    refused(b"\x1F\0\0", Malformed, "section 2.2.2.2");
    refused(b"\x7F\0", Malformed, "section 2.2.2.2");
    refused(b"\x26\0\x01k\0\x01\0", Malformed, "MQTT-1.5.4-2");
    refused(b"\x02\0\0\0", Malformed, "section 2.1.4");
    // The section's length itself: no end, padded, beyond the packet, missing.
    check_refused(V5, b"\x30\x08\0\x01t\x80\x80\x80\x80\x01", Malformed, "section 1.5.5");
    check_refused(V5, b"\x30\x05\0\x01t\x80\0", Malformed, "MQTT-1.5.5-1");
    check_refused(V5, b"\x30\x05\0\x01t\x02x", Malformed, "section 2.1.4");
    check_refused(V5, b"\x30\x03\0\x01t", Malformed, "section 2.1.4");
}

#[test]
fn forwarded_properties_survive_being_kept_encoded() {
    let publish = Publish {
        payload_format_indicator: Some(false),
        response_topic: Some("answer/to"),
        correlation_data: Some(b"\xFF"),
        content_type: Some("application/json"),
        user_properties: UserProperties { section: b"\x26\0\x01k\0\x01v\x26\0\0\0\0", count: 2 },
        ..Publish::new("t", b"payload")
    };
    let mut kept = Vec::new();
    publish.encode_forwarded(&mut kept);
    assert_eq!(Publish::from_parts("t", &kept, b"payload"), Some(publish.clone()));

    let not_forwarded = Publish {
        message_expiry_interval: Some(1),
        topic_alias: Some(1),
        subscription_identifiers: vec![1],
        ..publish
    };
    let mut again = Vec::new();
    not_forwarded.encode_forwarded(&mut again);
    assert_eq!(again, kept);

    let mut nothing = Vec::new();
    Publish::new("t", b"").encode_forwarded(&mut nothing);
    assert!(nothing.is_empty());
    assert_eq!(Publish::from_parts("t", b"", b""), Some(Publish::new("t", b"")));
}

#[test]
fn what_is_not_forwarded_is_no_encoding_of_parts() {
    let table: [&[u8]; 7] = [
        b"\x02\0\0\0\x01",
        b"\x23\0\x01",
        b"\x0B\x01",
        b"\x01",
        b"\x01\x01\x01\x01",
        b"\x1F\0\0",
        b"\xFF",
    ];
    for forwarded in table {
        assert_eq!(Publish::from_parts("t", forwarded, b""), None, "{forwarded:02X?}");
    }
}

fn head(payload: &[u8]) -> PublishHead<'_> {
    PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        topic_alias: None,
        message_expiry_interval: None,
        subscription_identifiers: &[],
        forwarded: &[],
        payload,
    }
}

#[test]
fn announced_length_is_the_written_length() {
    for payload_bytes in [0, 1, 122, 123, 124, 125, 16_378, 16_379, 16_380, 16_381, 2_097_150] {
        let payload = vec![b'x'; payload_bytes];
        let heads = [
            head(&payload),
            PublishHead { qos: QoS::ExactlyOnce, packet_id: Some(id(1)), ..head(&payload) },
            PublishHead {
                topic_alias: Some(1),
                message_expiry_interval: Some(2),
                subscription_identifiers: &[1, 127, 128, 16_384, 2_097_152, 268_435_455],
                forwarded: b"\x01\x01",
                ..head(&payload)
            },
        ];
        for (head, version) in heads.iter().flat_map(|head| BOTH.map(|v| (head, v))) {
            let mut out = vec![0xAA];
            head.encode(version, &mut out);
            assert_eq!(out.len(), 1 + head.encoded_len(version));
            let decoded = crate::test_support::decode_whole(version, &out[1..]).unwrap();
            let Packet::Publish(publish) = decoded else { panic!("{decoded:?}") };
            assert_eq!(publish.payload, payload);
        }
    }
}

#[test]
fn nothing_is_written_that_cannot_be_said() {
    let mut out = Vec::new();
    PublishHead { qos: QoS::AtLeastOnce, ..head(b"x") }.encode(V5, &mut out);
    assert!(out.is_empty(), "QoS 1 without a Packet Identifier");

    let payload = vec![0; variable_byte_integer::MAX as usize];
    let too_long = head(&payload);
    assert!(too_long.encoded_len(V5) > crate::PACKET_BYTES_MAX);
    too_long.encode(V5, &mut out);
    assert!(out.is_empty(), "longer than a Remaining Length");

    PublishHead { dup: true, packet_id: Some(id(1)), ..head(b"") }.encode(V311, &mut out);
    assert_eq!(out, b"\x30\x03\0\x01t", "QoS 0 has neither DUP nor identifier");
}
