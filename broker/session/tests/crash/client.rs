//! A client that keeps its half of the session.

use std::collections::{HashSet, VecDeque};

use codec::{Acknowledgement, Packet, PacketId, Publish, QoS, ReasonCode};

/// A message that it publishes until it is complete.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) text: String,
    pub(crate) qos: QoS,
    pub(crate) id: PacketId,
    pub(crate) received: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Client {
    /// What came, with whether it is exactly once.
    pub(crate) got: Vec<(String, QoS)>,
    pub(crate) unreleased: HashSet<PacketId>,
    pub(crate) pending: VecDeque<Pending>,
    last_id: u16,
    pub(crate) published: u64,
    pub(crate) repeated: u64,
}

/// What it sends, as owned packets.
pub(crate) type Sent = Packet<'static>;

pub(crate) fn ack(packet: fn(Acknowledgement) -> Sent, id: PacketId) -> Sent {
    packet(Acknowledgement::new(id, ReasonCode::Success))
}

impl Client {
    /// Takes a packet from the broker; answers.
    pub(crate) fn take(&mut self, packet: &Packet<'_>) -> Option<Sent> {
        match packet {
            Packet::Publish(publish) => {
                let id = publish.packet_id.expect("QoS above 0");
                let text = String::from_utf8(publish.payload.to_vec()).unwrap();
                self.repeated += u64::from(publish.dup);
                match publish.qos {
                    QoS::ExactlyOnce => {
                        if self.unreleased.insert(id) {
                            self.got.push((text, publish.qos));
                        }
                        Some(ack(Packet::PubRec, id))
                    }
                    _ => {
                        self.got.push((text, publish.qos));
                        Some(ack(Packet::PubAck, id))
                    }
                }
            }
            Packet::PubRel(rel) => {
                self.unreleased.remove(&rel.packet_id);
                Some(ack(Packet::PubComp, rel.packet_id))
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => {
                self.pending.retain(|pending| pending.id != ack.packet_id);
                None
            }
            Packet::PubRec(rec) => {
                let found = self.pending.iter_mut().find(|pending| pending.id == rec.packet_id);
                found.expect("it is pending").received = true;
                Some(ack(Packet::PubRel, rec.packet_id))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Begins a message of its own.
    pub(crate) fn publish(&mut self, qos: QoS) -> &Pending {
        self.last_id = self.last_id % 20 + 1;
        while self.pending.iter().any(|pending| pending.id.get() == self.last_id) {
            self.last_id = self.last_id % 20 + 1;
        }
        let id = PacketId::new(self.last_id).unwrap();
        self.published += 1;
        let text = self.published.to_string();
        self.pending.push_back(Pending { text, qos, id, received: false });
        self.pending.back().unwrap()
    }
}

/// The PUBLISH of a pending message.
pub(crate) fn publish(pending: &Pending, dup: bool) -> Publish<'_> {
    Publish {
        dup,
        qos: pending.qos,
        packet_id: Some(pending.id),
        ..Publish::new("up", pending.text.as_bytes())
    }
}
