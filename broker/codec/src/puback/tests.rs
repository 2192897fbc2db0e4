use super::*;
use crate::ErrorKind::{Malformed, ProtocolError};
use crate::Packet;
use crate::ProtocolVersion::{V5, V311};
use crate::test_support::{BOTH, check_golden, check_reads, check_refused, encoded, id};

type Wrap = fn(Acknowledgement) -> Packet<'static>;

/// The four packets with their first byte and a failure that they may carry.
const FOUR: [(PacketType, Wrap, u8, ReasonCode); 4] = [
    (PacketType::PubAck, Packet::PubAck, 0x40, ReasonCode::NotAuthorized),
    (PacketType::PubRec, Packet::PubRec, 0x50, ReasonCode::QuotaExceeded),
    (PacketType::PubRel, Packet::PubRel, 0x62, ReasonCode::PacketIdentifierNotFound),
    (PacketType::PubComp, Packet::PubComp, 0x70, ReasonCode::PacketIdentifierNotFound),
];

#[test]
fn golden_bytes() {
    for (packet_type, wrap, first, failure) in FOUR {
        let success = wrap(Acknowledgement::new(id(0x0203), ReasonCode::Success));
        for version in BOTH {
            check_golden(version, &success, &[first, 2, 2, 3]);
        }
        let code = failure.value();
        let failed = Acknowledgement::new(id(1), failure);
        check_golden(V5, &wrap(failed.clone()), &[first, 3, 0, 1, code]);
        assert_eq!(encoded(V311, &wrap(failed.clone())), [first, 2, 0, 1]);

        let explained = Acknowledgement {
            reason_string: Some("r".to_owned()),
            user_properties: vec![("a".to_owned(), "b".to_owned())],
            ..failed
        };
        let mut bytes = vec![first, 0x0F, 0, 1, code, 0x0B];
        bytes.extend_from_slice(b"\x1F\0\x01r\x26\0\x01a\0\x01b");
        check_golden(V5, &wrap(explained.clone()), &bytes);
        assert_eq!(encoded(V311, &wrap(explained)), [first, 2, 0, 1]);

        let mut out = vec![0xEE];
        encode_acknowledgement(packet_type, id(1), failure, V5, &mut out);
        assert_eq!(out, [0xEE, first, 3, 0, 1, code]);
    }
}

#[test]
fn forms_that_say_more_than_needed_are_read() {
    for (_, wrap, first, _) in FOUR {
        let success = wrap(Acknowledgement::new(id(5), ReasonCode::Success));
        check_reads(V5, &[first, 3, 0, 5, 0], &success);
        check_reads(V5, &[first, 4, 0, 5, 0, 0], &success);
    }
}

#[test]
fn success_with_properties_keeps_its_reason_code() {
    let mut packet = Acknowledgement::new(id(1), ReasonCode::Success);
    packet.reason_string = Some(String::new());
    check_golden(V5, &Packet::PubAck(packet), &[0x40, 7, 0, 1, 0, 3, 0x1F, 0, 0]);
}

#[test]
fn no_matching_subscribers_is_no_failure_but_said() {
    let packet = Acknowledgement::new(id(1), ReasonCode::NoMatchingSubscribers);
    check_golden(V5, &Packet::PubRec(packet), &[0x50, 3, 0, 1, 0x10]);
}

#[test]
fn refusals() {
    for (_, _, first, _) in FOUR {
        for version in BOTH {
            check_refused(version, &[first, 0], Malformed, "section 2.1.4");
            check_refused(version, &[first, 1, 1], Malformed, "section 2.1.4");
            check_refused(version, &[first, 2, 0, 0], ProtocolError, "MQTT-2.2.1-3");
            check_refused(version, &[first ^ 2, 2, 0, 1], Malformed, "MQTT-2.1.3-1");
        }
        check_refused(V311, &[first, 3, 0, 1, 0], Malformed, "section 2.1.4");
        check_refused(V5, &[first, 3, 0, 1, 0x01], ProtocolError, "section 2.4");
        check_refused(V5, &[first, 3, 0, 1, 0x7F], Malformed, "section 2.4");
        check_refused(V5, &[first, 5, 0, 1, 0, 0, 0], Malformed, "section 2.1.4");
        check_refused(V5, &[first, 6, 0, 1, 0, 2, 1, 1], Malformed, "section 2.2.2.2");
        check_refused(
            V5,
            &[first, 8, 0, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            Malformed,
            "section 1.5.5",
        );
        let twice = [first, 10, 0, 1, 0, 6, 0x1F, 0, 0, 0x1F, 0, 0];
        check_refused(V5, &twice, ProtocolError, "section 2.2.2.2");
    }
    // 0x92 is for PUBREL and PUBCOMP, 0x87 for PUBACK and PUBREC.
    check_refused(V5, &[0x40, 3, 0, 1, 0x92], ProtocolError, "section 2.4");
    check_refused(V5, &[0x62, 3, 0, 1, 0x87], ProtocolError, "section 2.4");
}

#[test]
fn other_packet_types_have_no_such_form() {
    let mut out = Vec::new();
    for packet_type in [PacketType::Connect, PacketType::Publish, PacketType::SubAck] {
        encode_acknowledgement(packet_type, id(1), ReasonCode::Success, V5, &mut out);
    }
    assert!(out.is_empty());
}
