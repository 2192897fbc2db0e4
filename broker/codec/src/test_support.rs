//! What the tests beside the packets share: golden bytes both ways, truncation, refusals.

use topic::SubscriptionFilter;

use crate::{
    Decoded, Error, ErrorKind, PACKET_BYTES_MAX, Packet, PacketId, ProtocolVersion, decode,
};

pub(crate) const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::V311, ProtocolVersion::V5];

pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

pub(crate) fn filter(text: &str) -> Result<SubscriptionFilter, String> {
    Ok(SubscriptionFilter::parse(text).unwrap())
}

pub(crate) fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    out
}

/// The packet that `bytes` are, all of them.
pub(crate) fn decode_whole(version: ProtocolVersion, bytes: &[u8]) -> Result<Packet<'_>, Error> {
    match decode(bytes, version, PACKET_BYTES_MAX)? {
        Decoded::Packet(packet, length) => {
            assert_eq!(length, bytes.len(), "bytes after the packet");
            Ok(packet)
        }
        Decoded::Incomplete { total } => panic!("incomplete, {total:?} needed: {bytes:02X?}"),
    }
}

/// `bytes` decode to `packet`.
pub(crate) fn check_reads(version: ProtocolVersion, bytes: &[u8], packet: &Packet<'_>) {
    assert_eq!(decode_whole(version, bytes).as_ref(), Ok(packet), "{bytes:02X?}");
}

/// `bytes` and `packet` are each other's form, and no piece of `bytes` is taken for the whole.
pub(crate) fn check_golden(version: ProtocolVersion, packet: &Packet<'_>, bytes: &[u8]) {
    check_reads(version, bytes, packet);
    let out = encoded(version, packet);
    assert_eq!(out, bytes, "encoded {out:02X?} instead of {bytes:02X?}");
    check_with_neighbour(version, packet, bytes);
    check_truncated(version, bytes);
    check_damaged(version, bytes);
    let too_small = decode(bytes, version, bytes.len() - 1);
    assert_eq!(too_small.unwrap_err().kind, ErrorKind::PacketTooLarge);
}

/// The next packet's bytes are left alone.
fn check_with_neighbour(version: ProtocolVersion, packet: &Packet<'_>, bytes: &[u8]) {
    let mut two = bytes.to_vec();
    two.extend_from_slice(&[0xC0, 0]);
    let decoded = decode(&two, version, bytes.len()).unwrap();
    assert_eq!(decoded, Decoded::Packet(packet.clone(), bytes.len()));
}

/// Cut anywhere, the packet is incomplete; cut with a matching Remaining Length, it is judged
/// without a panic.
fn check_truncated(version: ProtocolVersion, bytes: &[u8]) {
    for cut in 0..bytes.len() {
        match decode(&bytes[..cut], version, PACKET_BYTES_MAX) {
            Ok(Decoded::Incomplete { total }) => {
                assert!(total.is_none_or(|total| total == bytes.len()), "cut at {cut}");
                assert!(cut < 2 || bytes[1] >= 0x80 || total.is_some(), "cut at {cut}");
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
        if cut >= 2 && bytes[1] < 0x80 {
            survives(version, &with_length(bytes[0], &bytes[2..cut]));
        }
    }
}

/// Each byte of the body in turn becomes an integer without end, or any other value.
fn check_damaged(version: ProtocolVersion, bytes: &[u8]) {
    if bytes[1] >= 0x80 {
        return;
    }
    for at in 2..bytes.len() {
        let mut body = bytes[2..at].to_vec();
        body.extend_from_slice(&[0xFF; 5]);
        body.extend_from_slice(&bytes[at + 1..]);
        survives(version, &with_length(bytes[0], &body));
        for value in 0..=255 {
            let mut damaged = bytes.to_vec();
            damaged[at] = value;
            survives(version, &damaged);
        }
    }
}

pub(crate) fn with_length(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    crate::writer::packet(first_byte, body, &mut packet);
    packet
}

/// Whole bytes are a packet or refused; a packet keeps its meaning when encoded again.
fn survives(version: ProtocolVersion, bytes: &[u8]) {
    if let Ok(packet) = decode_whole(version, bytes) {
        let again = encoded(version_of(&packet, version), &packet);
        check_reads(version, &again, &packet);
    }
}

pub(crate) fn version_of(packet: &Packet<'_>, connection: ProtocolVersion) -> ProtocolVersion {
    match packet {
        Packet::Connect(connect) => connect.version,
        _ => connection,
    }
}

/// `bytes` are refused for this reason.
pub(crate) fn check_refused(
    version: ProtocolVersion,
    bytes: &[u8],
    kind: ErrorKind,
    statement: &str,
) {
    let error = decode_whole(version, bytes).expect_err("must be refused");
    assert_eq!((error.kind, error.statement), (kind, statement), "{bytes:02X?}: {error}");
    assert!(error.to_string().contains(statement));
    assert!(error.reason_code().is_failure());
}
