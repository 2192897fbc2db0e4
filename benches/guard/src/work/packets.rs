//! PUBLISH packets in and out.

use std::hint::black_box;

use codec::{Decoded, Packet, PacketId, ProtocolVersion, Publish, PublishHead, QoS, decode};

use super::{Ready, TIMES};

const TOPIC: &str = "plant/7/line/3/state";
const PAYLOAD: [u8; 64] = [b'x'; 64];

fn head(qos: QoS, forwarded: &[u8]) -> PublishHead<'_> {
    PublishHead {
        dup: false,
        qos,
        retain: false,
        topic: TOPIC,
        packet_id: (qos != QoS::AtMostOnce).then(|| PacketId::new(7)).flatten(),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_identifiers: &[],
        forwarded,
        payload: &PAYLOAD,
    }
}

fn decoding(version: ProtocolVersion, bytes: Vec<u8>) -> Ready {
    Box::new(move || {
        let (mut rest, mut count) = (&bytes[..], 0);
        while let Ok(Decoded::Packet(packet, length)) = decode(rest, version, 1 << 20) {
            count += usize::from(matches!(black_box(packet), Packet::Publish(_)));
            rest = rest.get(length..).unwrap_or_default();
        }
        count
    })
}

pub(super) fn decode_v311() -> Ready {
    let mut bytes = Vec::new();
    for _ in 0..TIMES {
        head(QoS::AtMostOnce, &[]).encode(ProtocolVersion::V311, &mut bytes);
    }
    decoding(ProtocolVersion::V311, bytes)
}

pub(super) fn decode_v5() -> Ready {
    let mut published = Publish::new(TOPIC, &PAYLOAD);
    published.content_type = Some("application/json");
    published.response_topic = Some("answers/7");
    let (mut forwarded, mut bytes) = (Vec::new(), Vec::new());
    published.encode_forwarded(&mut forwarded);
    for _ in 0..TIMES {
        head(QoS::AtLeastOnce, &forwarded).encode(ProtocolVersion::V5, &mut bytes);
    }
    decoding(ProtocolVersion::V5, bytes)
}

pub(super) fn encode() -> Ready {
    let mut out = Vec::with_capacity(100 * TIMES);
    Box::new(move || {
        for _ in 0..TIMES {
            black_box(head(QoS::AtLeastOnce, &[])).encode(ProtocolVersion::V311, &mut out);
        }
        out.len()
    })
}
