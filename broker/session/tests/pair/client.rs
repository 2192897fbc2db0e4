//! The client: QoS 1 and 2 both ways as sections 4.3, 4.4, 4.6 and 4.9 say, nothing clever.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use codec::{
    Packet, PacketId, PacketType, ProtocolVersion, Publish, QoS, ReasonCode, encode_acknowledgement,
};

use crate::ledger::{Ledger, number, payload, topic_name};

/// A message to the server that is not complete.
struct Owed {
    packet_id: PacketId,
    topic: u8,
    number: u32,
    qos: QoS,
    /// PUBREC came: PUBREL is what counts now.
    released: bool,
    sent: bool,
}

pub(crate) struct Client {
    pub(crate) version: ProtocolVersion,
    /// When a QoS 2 message is handed on: with PUBREL (method A) or with PUBLISH (method B).
    pub(crate) method_a: bool,
    /// Receive Maximum that it told the server, and the one that the server told it.
    pub(crate) receive_maximum: usize,
    pub(crate) server_receive_maximum: usize,
    quota: usize,
    last_id: u16,
    in_flight: VecDeque<Owed>,
    waiting: VecDeque<(u8, u32, QoS)>,
    /// QoS 2 messages received and not released.
    unreleased: BTreeMap<PacketId, (String, u32)>,
    /// Acknowledgements to be sent, in order [MQTT-4.6.0-2, MQTT-4.6.0-3].
    acknowledgements: VecDeque<(PacketType, PacketId, ReasonCode)>,
    /// QoS > 0 messages received on this connection and not acknowledged.
    unacknowledged: HashSet<PacketId>,
    aliases: HashMap<u16, String>,
    pub(crate) repeated: u64,
}

impl Client {
    pub(crate) fn new(version: ProtocolVersion, method_a: bool, receive_maximum: usize) -> Self {
        Self {
            version,
            method_a,
            receive_maximum,
            server_receive_maximum: 1,
            quota: 0,
            last_id: 0,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            unreleased: BTreeMap::new(),
            acknowledgements: VecDeque::new(),
            unacknowledged: HashSet::new(),
            aliases: HashMap::new(),
            repeated: 0,
        }
    }

    /// A new connection that resumes the session. PUBREL is sent again at once, PUBLISH as the new
    /// quota allows: all in their first order [MQTT-4.4.0-1, MQTT-4.6.0-1].
    pub(crate) fn connect(&mut self, server_receive_maximum: usize, out: &mut Vec<u8>) {
        self.server_receive_maximum = server_receive_maximum;
        self.quota = server_receive_maximum;
        self.acknowledgements.clear();
        self.unacknowledged.clear();
        self.aliases.clear();
        for owed in &mut self.in_flight {
            owed.sent = false;
        }
        self.send(out);
    }

    pub(crate) fn publish(&mut self, topic: u8, number: u32, qos: QoS, out: &mut Vec<u8>) {
        self.waiting.push_back((topic, number, qos));
        self.send(out);
    }

    /// Writes what the quota allows.
    fn send(&mut self, out: &mut Vec<u8>) {
        for owed in self.in_flight.iter_mut().filter(|owed| !owed.sent) {
            if owed.released {
                owed.sent = true;
                let (kind, code) = (PacketType::PubRel, ReasonCode::Success);
                encode_acknowledgement(kind, owed.packet_id, code, self.version, out);
            } else if self.quota > 0 {
                owed.sent = true;
                self.quota -= 1;
                self.repeated += 1;
                write(owed, true, self.version, out);
            } else {
                return;
            }
        }
        while let Some(&(topic, number, qos)) = self.waiting.front() {
            let packet_id = self.next_id();
            let owed = Owed { packet_id, topic, number, qos, released: false, sent: true };
            if qos == QoS::AtMostOnce {
                write(&owed, false, self.version, out);
                self.waiting.pop_front();
                continue;
            }
            // Counting as section 4.9 says, each broken connection may add to what is in flight; no
            // sane client goes on like that for ever.
            let most = 2 * self.server_receive_maximum;
            if self.quota == 0 || self.in_flight.len() >= most {
                return;
            }
            self.quota -= 1;
            write(&owed, false, self.version, out);
            self.in_flight.push_back(owed);
            self.waiting.pop_front();
        }
    }

    /// Few identifiers, so that each is used many times.
    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id % 40 + 1;
            let id = PacketId::new(self.last_id).unwrap();
            if self.in_flight.iter().all(|owed| owed.packet_id != id) {
                return id;
            }
        }
    }

    pub(crate) fn handle(
        &mut self,
        packet: Packet<'_>,
        refuse: bool,
        down: &mut Ledger,
        out: &mut Vec<u8>,
    ) {
        match packet {
            Packet::Publish(publish) => self.handle_publish(&publish, refuse, down),
            Packet::PubRel(release) => {
                let known = self.unreleased.remove(&release.packet_id);
                if let (Some((topic, number)), true) = (&known, self.method_a) {
                    down.receive(topic, QoS::ExactlyOnce, *number);
                }
                let code = match known {
                    Some(_) => ReasonCode::Success,
                    None => ReasonCode::PacketIdentifierNotFound,
                };
                self.acknowledgements.push_back((PacketType::PubComp, release.packet_id, code));
            }
            Packet::PubAck(ack) => self.complete(ack.packet_id, out),
            Packet::PubComp(ack) => self.complete(ack.packet_id, out),
            Packet::PubRec(ack) if ack.reason_code.is_failure() => {
                self.complete(ack.packet_id, out);
            }
            Packet::PubRec(ack) => {
                let owed = self.in_flight.iter_mut().find(|owed| owed.packet_id == ack.packet_id);
                owed.expect("PUBREC for a message in flight").released = true;
                let (kind, code) = (PacketType::PubRel, ReasonCode::Success);
                encode_acknowledgement(kind, ack.packet_id, code, self.version, out);
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn handle_publish(&mut self, publish: &Publish<'_>, refuse: bool, down: &mut Ledger) {
        if let (Some(alias), false) = (publish.topic_alias, publish.topic.is_empty()) {
            self.aliases.insert(alias, publish.topic.to_owned());
        }
        let topic = match publish.topic_alias {
            Some(alias) => self.aliases.get(&alias).expect("an alias that arrived").clone(),
            None => publish.topic.to_owned(),
        };
        let number = number(publish.payload);
        let Some(packet_id) = publish.packet_id else {
            return down.receive(&topic, publish.qos, number);
        };
        self.unacknowledged.insert(packet_id);
        let count = self.unacknowledged.len();
        assert!(count <= self.receive_maximum, "{count} above {}", self.receive_maximum);
        let code = if refuse { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
        let repeated = self.unreleased.contains_key(&packet_id);
        let (kind, code) = match publish.qos {
            QoS::AtLeastOnce => (PacketType::PubAck, code),
            _ if repeated => (PacketType::PubRec, ReasonCode::Success),
            _ => (PacketType::PubRec, code),
        };
        self.acknowledgements.push_back((kind, packet_id, code));
        if code.is_failure() {
            return down.refuse(number);
        }
        match publish.qos {
            QoS::ExactlyOnce if repeated => {
                let (_, held) = &self.unreleased[&packet_id];
                assert_eq!(*held, number, "a new message under an identifier not released");
            }
            QoS::ExactlyOnce => {
                self.unreleased.insert(packet_id, (topic.clone(), number));
                if !self.method_a {
                    down.receive(&topic, publish.qos, number);
                }
            }
            _ => down.receive(&topic, publish.qos, number),
        }
    }

    fn complete(&mut self, packet_id: PacketId, out: &mut Vec<u8>) {
        let at = self.in_flight.iter().position(|owed| owed.packet_id == packet_id);
        self.in_flight.remove(at.expect("an acknowledgement for a message in flight"));
        self.quota = (self.quota + 1).min(self.server_receive_maximum);
        self.send(out);
    }

    /// Sends so many of the acknowledgements that are due.
    pub(crate) fn acknowledge(&mut self, count: usize, out: &mut Vec<u8>) {
        for _ in 0..count {
            let Some((kind, packet_id, code)) = self.acknowledgements.pop_front() else {
                return;
            };
            encode_acknowledgement(kind, packet_id, code, self.version, out);
            if kind != PacketType::PubRec || code.is_failure() {
                self.unacknowledged.remove(&packet_id);
            }
        }
    }

    /// Whether nothing is open on its side.
    pub(crate) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty() && self.unreleased.is_empty()
    }
}

fn write(owed: &Owed, dup: bool, version: ProtocolVersion, out: &mut Vec<u8>) {
    let (topic, payload) = (topic_name(owed.topic), payload(owed.number, 0));
    let packet_id = (owed.qos != QoS::AtMostOnce).then_some(owed.packet_id);
    let publish = Publish { dup, qos: owed.qos, packet_id, ..Publish::new(&topic, &payload) };
    Packet::Publish(publish).encode(version, out);
}
