//! Decoding and encoding of the packets that carry the load.

use std::hint::black_box;

use codec::{
    PacketId, PacketType, ProtocolVersion, PublishHead, QoS, ReasonCode, decode,
    encode_acknowledgement,
};
use criterion::{Criterion, criterion_group, criterion_main};

fn head(qos: QoS, payload: &[u8]) -> PublishHead<'_> {
    PublishHead {
        dup: false,
        qos,
        retain: false,
        topic: "plant/7/line/3/state",
        packet_id: (qos != QoS::AtMostOnce).then(|| PacketId::new(7)).flatten(),
        topic_alias: None,
        message_expiry_interval: None,
        subscription_identifiers: &[],
        forwarded: &[],
        payload,
    }
}

fn publish(criterion: &mut Criterion) {
    let payload = [b'x'; 64];
    for (name, version) in [("3.1.1", ProtocolVersion::V311), ("5.0", ProtocolVersion::V5)] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let head = head(qos, &payload);
            let mut bytes = Vec::new();
            head.encode(version, &mut bytes);
            criterion.bench_function(&format!("decode PUBLISH {name} QoS {}", qos as u8), |b| {
                b.iter(|| decode(black_box(&bytes), version, 1 << 20).is_ok());
            });
            let mut out = Vec::with_capacity(256);
            criterion.bench_function(&format!("encode PUBLISH {name} QoS {}", qos as u8), |b| {
                b.iter(|| {
                    out.clear();
                    black_box(&head).encode(version, &mut out);
                    out.len()
                });
            });
        }
    }
}

fn puback(criterion: &mut Criterion) {
    let Some(id) = PacketId::new(9) else { return };
    let (kind, version) = (PacketType::PubAck, ProtocolVersion::V5);
    let mut bytes = Vec::new();
    encode_acknowledgement(kind, id, ReasonCode::Success, version, &mut bytes);
    criterion.bench_function("decode PUBACK", |b| {
        b.iter(|| decode(black_box(&bytes), version, 1 << 20).is_ok());
    });
}

criterion_group!(benches, publish, puback);
criterion_main!(benches);
