//! The entry for decoding as a whole; generated packets of all kinds are in `generated`.

use super::*;
use crate::ReasonCode;
use crate::test_support::{BOTH, check_refused, encoded, id};

mod generated;

#[test]
fn nothing_is_incomplete() {
    for version in BOTH {
        assert_eq!(decode(&[], version, 10), Ok(Decoded::Incomplete { total: None }));
        assert_eq!(decode(&[0x30], version, 10), Ok(Decoded::Incomplete { total: None }));
        let waiting = decode(&[0x30, 0xFF, 0x01], version, 1000);
        assert_eq!(waiting, Ok(Decoded::Incomplete { total: Some(258) }));
    }
}

#[test]
fn size_is_refused_at_the_fixed_header() {
    for version in BOTH {
        // 268,435,460 bytes are announced, five have come.
        let huge = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
        assert_eq!(decode(&huge, version, 1 << 20), Err(TOO_LARGE));
        assert_eq!(decode(&huge, version, PACKET_BYTES_MAX - 1), Err(TOO_LARGE));
        let waiting = Decoded::Incomplete { total: Some(PACKET_BYTES_MAX) };
        assert_eq!(decode(&huge, version, PACKET_BYTES_MAX), Ok(waiting));
        assert_eq!(decode(&[0xC0, 0], version, 1), Err(TOO_LARGE));
    }
}

#[test]
fn malformed_fixed_headers() {
    for version in BOTH {
        check_refused(version, &[0x00, 0], ErrorKind::Malformed, "section 2.1.2");
        check_refused(version, &[0x0F, 0], ErrorKind::Malformed, "section 2.1.2");
        for first in [0x10, 0x20, 0x30, 0x40, 0x62, 0x82, 0x90, 0xC0, 0xE0] {
            let endless = [first, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
            check_refused(version, &endless, ErrorKind::Malformed, "section 1.5.5");
        }
    }
}

/// [MQTT-1.5.5-1] is a rule of 5.0 only.
/// Covers 5.0 [MQTT-1.5.5-1].
#[test]
fn padded_remaining_length() {
    for bytes in [&[0xC0, 0x80, 0][..], &[0x30, 0x84, 0x80, 0, 0, 1, b't', 0]] {
        assert!(decode(bytes, ProtocolVersion::V311, 100).is_ok());
        check_refused(ProtocolVersion::V5, bytes, ErrorKind::Malformed, "MQTT-1.5.5-1");
    }
}

/// [MQTT-3.2.2-19], [MQTT-3.2.2-20]
/// Covers 5.0 [MQTT-3.2.2-19] [MQTT-3.2.2-20].
#[test]
fn remarks_are_dropped_when_the_receiver_takes_less() {
    let mut ack = Acknowledgement::new(id(1), ReasonCode::NotAuthorized);
    let bare = encoded(ProtocolVersion::V5, &Packet::PubAck(ack.clone()));
    ack.reason_string = Some("because".to_owned());
    ack.user_properties = vec![("k".to_owned(), "v".to_owned())];
    let packet = Packet::PubAck(ack);
    let full = encoded(ProtocolVersion::V5, &packet);
    for (packet_bytes_max, expected) in [
        (usize::MAX, Some(&full)),
        (full.len(), Some(&full)),
        (full.len() - 1, Some(&bare)),
        (bare.len(), Some(&bare)),
        (bare.len() - 1, None),
        (0, None),
    ] {
        let mut out = vec![0xAA];
        let fitted = packet.encode_within(ProtocolVersion::V5, packet_bytes_max, &mut out);
        assert_eq!(fitted, expected.is_some(), "{packet_bytes_max}");
        assert_eq!(out[1..], **expected.unwrap_or(&Vec::new()), "{packet_bytes_max}");
        assert_eq!(out[0], 0xAA);
    }
}

#[test]
fn messages_are_written_whole_or_not_at_all() {
    let packet = Packet::Publish(Publish::new("t", b"payload"));
    let mut out = Vec::new();
    assert!(!packet.encode_within(ProtocolVersion::V5, 12, &mut out));
    assert!(out.is_empty());
    assert!(packet.encode_within(ProtocolVersion::V5, 13, &mut out));
    assert_eq!(out.len(), 13);
    out.clear();
    let auth = Packet::Auth(Auth::new(ReasonCode::ReAuthenticate, "m"));
    assert!(!auth.encode_within(ProtocolVersion::V311, 100, &mut out), "3.1.1 has no AUTH");
    assert!(out.is_empty());
}
