//! The outlines of encoded packets: type, QoS and length of each, without decoding what is in it.
//!
//! For counting what is written; called by `server` on bytes that this crate encoded.

use crate::{PacketType, QoS, fixed_header::FixedHeader};

/// What the fixed header of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its type.
    pub packet_type: PacketType,
    /// QoS of a PUBLISH; of all others QoS 0.
    pub qos: QoS,
    /// Bytes of the whole packet.
    pub bytes: usize,
}

/// The packets that stand one behind the other in `encoded`, each whole; ends before one that is not.
pub fn outlines(encoded: &[u8]) -> impl Iterator<Item = Outline> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        let header = FixedHeader::decode(rest).ok().flatten()?;
        let bytes = header.bytes + header.remaining;
        rest = rest.get(bytes..)?;
        let is_publish = header.packet_type == PacketType::Publish;
        let qos = if is_publish { QoS::from_value(header.flags >> 1 & 0b11)? } else { NO_QOS };
        Some(Outline { packet_type: header.packet_type, qos, bytes })
    })
}

const NO_QOS: QoS = QoS::AtMostOnce;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acknowledgement, Packet, PacketId, ProtocolVersion, Publish, ReasonCode};

    #[test]
    fn each_packet_is_seen_with_its_length() {
        for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
            let long = vec![b'x'; 20_000];
            let packet_id = PacketId::new(7);
            let packets = [
                Packet::Publish(Publish::new("a", b"x")),
                Packet::Publish(Publish {
                    qos: QoS::ExactlyOnce,
                    packet_id,
                    retain: true,
                    ..Publish::new("a/b", &long)
                }),
                Packet::PubAck(Acknowledgement::new(packet_id.unwrap(), ReasonCode::Success)),
                Packet::PingResp,
            ];
            let (mut encoded, mut expected) = (Vec::new(), Vec::new());
            let kinds = [
                (PacketType::Publish, QoS::AtMostOnce),
                (PacketType::Publish, QoS::ExactlyOnce),
                (PacketType::PubAck, QoS::AtMostOnce),
                (PacketType::PingResp, QoS::AtMostOnce),
            ];
            for (packet, (packet_type, qos)) in packets.into_iter().zip(kinds) {
                let before = encoded.len();
                packet.encode(version, &mut encoded);
                expected.push(Outline { packet_type, qos, bytes: encoded.len() - before });
            }
            assert_eq!(outlines(&encoded).collect::<Vec<_>>(), expected);
            // The last one is not whole.
            let cut = &encoded[..encoded.len() - 1];
            assert_eq!(outlines(cut).collect::<Vec<_>>(), expected[..3]);
        }
        assert_eq!(outlines(&[]).next(), None);
        assert_eq!(outlines(&[0]).next(), None);
    }
}
