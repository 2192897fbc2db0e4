//! Any bytes, taken as packets of both versions: what decodes must mean the same when encoded
//! again.

use codec::{Decoded, ErrorKind, PACKET_BYTES_MAX, Packet, ProtocolVersion, Publish, decode};

/// Decodes `data` as it is, and once more behind a Remaining Length that fits it.
pub fn codec_decode(data: &[u8]) {
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        check(data, version);
        check(&framed(data), version);
    }
}

/// `data` with a Remaining Length put behind its first byte, so that its rest is a whole body.
fn framed(data: &[u8]) -> Vec<u8> {
    let Some((&first, body)) = data.split_first() else {
        return Vec::new();
    };
    let mut packet = vec![first];
    let mut left = body.len();
    while left > 0x7F {
        packet.push((left & 0x7F) as u8 | 0x80);
        left >>= 7;
    }
    packet.push(left as u8);
    packet.extend_from_slice(body);
    packet
}

fn check(data: &[u8], version: ProtocolVersion) {
    match decode(data, version, PACKET_BYTES_MAX) {
        Err(error) => assert!(error.reason_code().is_failure()),
        Ok(Decoded::Incomplete { total }) => {
            assert!(total.is_none_or(|total| total > data.len()));
        }
        Ok(Decoded::Packet(packet, length)) => {
            check_length(data, version, length);
            check_packet(&packet, version);
        }
    }
}

/// One byte less is no packet, and one byte less allowed is refused.
fn check_length(data: &[u8], version: ProtocolVersion, length: usize) {
    let cut = decode(&data[..length - 1], version, PACKET_BYTES_MAX);
    assert!(matches!(cut, Ok(Decoded::Incomplete { .. })), "{cut:?}");
    let refused = decode(data, version, length - 1).expect_err("longer than allowed");
    assert_eq!(refused.kind, ErrorKind::PacketTooLarge);
}

fn check_packet(packet: &Packet<'_>, connection: ProtocolVersion) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        _ => connection,
    };
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    match decode(&out, version, out.len()) {
        Ok(Decoded::Packet(again, length)) => {
            assert_eq!(&again, packet);
            assert_eq!(length, out.len());
            let mut twice = Vec::new();
            assert!(again.encode_within(version, out.len(), &mut twice));
            assert_eq!(twice, out);
        }
        other => panic!("{packet:?} encodes to {out:02X?}, which is {other:?}"),
    }
    if let Packet::Publish(publish) = packet {
        check_publish(publish);
    }
}

fn check_publish(publish: &Publish<'_>) {
    if publish.topic.is_empty() {
        assert!(publish.topic_alias.is_some());
    } else {
        topic::TopicName::check(publish.topic).expect("a decoded topic is valid");
    }
    assert_eq!(publish.user_properties.iter().count(), publish.user_properties.len());
    let mut forwarded = Vec::new();
    publish.encode_forwarded(&mut forwarded);
    let kept = Publish::from_parts(publish.topic, &forwarded, publish.payload)
        .expect("what was encoded can be read");
    assert_eq!(kept.user_properties, publish.user_properties);
    assert_eq!(kept.response_topic, publish.response_topic);
    assert_eq!(kept.correlation_data, publish.correlation_data);
    assert_eq!(kept.content_type, publish.content_type);
    assert_eq!(kept.payload_format_indicator, publish.payload_format_indicator);
    assert_eq!(kept.payload, publish.payload);
}
