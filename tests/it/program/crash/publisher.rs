//! A publisher that keeps its half of the session: numbers on one topic, resent until they are acknowledged.

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use codec::{Packet, QoS, ReasonCode};
use portcullis_tests::packets;

use super::wire::Wire;

/// Most in flight; the broker takes 32.
const WINDOW: usize = 20;

pub(super) struct Publisher {
    client_id: String,
    pub(super) topic: String,
    pub(super) qos: QoS,
    /// Number of the next message.
    next: u64,
    pending: VecDeque<Pending>,
    /// Numbers that the broker took over.
    accepted: HashSet<u64>,
    /// The session was there once.
    began: bool,
}

struct Pending {
    number: u64,
    /// PUBREC came.
    received: bool,
}

impl Pending {
    fn id(&self) -> u16 {
        u16::try_from(self.number % 60_000).expect("small") + 1
    }
}

impl Publisher {
    pub(super) fn new(place: usize, qos: QoS) -> Self {
        Self {
            client_id: format!("p{place}"),
            topic: format!("free/{place}"),
            qos,
            next: 0,
            pending: VecDeque::new(),
            accepted: HashSet::new(),
            began: false,
        }
    }

    /// How many messages the broker took over.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.len() as u64
    }

    /// Numbers that were sent, each at least once.
    pub(super) fn sent(&self) -> u64 {
        self.next
    }

    /// Whether the broker took it over.
    pub(super) fn is_accepted(&self, number: u64) -> bool {
        self.accepted.contains(&number)
    }

    /// Publishes until the connection ends.
    pub(super) async fn run(&mut self, address: SocketAddr) {
        let Some(mut wire) = self.connect(address).await else { return };
        loop {
            while self.pending.len() < WINDOW {
                let pending = Pending { number: self.next, received: false };
                self.next += 1;
                self.pending.push_back(pending);
                if self.send_last(&mut wire).await.is_none() {
                    return;
                }
            }
            if self.take_answer(&mut wire).await.is_none() {
                return;
            }
        }
    }

    /// Sends nothing new, until everything is acknowledged.
    pub(super) async fn finish(&mut self, address: SocketAddr) {
        let mut wire = self.connect(address).await.expect("the broker is there");
        while !self.pending.is_empty() {
            let answer = tokio::time::timeout(Duration::from_secs(20), self.take_answer(&mut wire));
            answer.await.expect("an answer in time").expect("the broker is there");
        }
    }

    /// Connects, and sends again what was not acknowledged, in its order [MQTT-4.4.0-1].
    async fn connect(&mut self, address: SocketAddr) -> Option<Wire> {
        let (mut wire, present) = Wire::connect(address, &self.client_id).await?;
        assert!(present || !self.began, "{}: the session is gone", self.client_id);
        self.began = true;
        let (qos, topic) = (self.qos, self.topic.clone());
        for pending in &self.pending {
            let text = pending.number.to_string();
            let packet = match (qos, pending.received) {
                (QoS::ExactlyOnce, true) => packets::pubrel(pending.id(), ReasonCode::Success),
                (QoS::ExactlyOnce, false) => packets::qos2(pending.id(), &topic, &text),
                _ => packets::qos1(pending.id(), &topic, &text),
            };
            let packet = if pending.received { packet } else { packets::again(packet) };
            wire.send(&packet).await?;
        }
        Some(wire)
    }

    async fn send_last(&mut self, wire: &mut Wire) -> Option<()> {
        let Some(pending) = self.pending.back() else { return Some(()) };
        let text = pending.number.to_string();
        let packet = match self.qos {
            QoS::ExactlyOnce => packets::qos2(pending.id(), &self.topic, &text),
            _ => packets::qos1(pending.id(), &self.topic, &text),
        };
        wire.send(&packet).await
    }

    async fn take_answer(&mut self, wire: &mut Wire) -> Option<()> {
        #[allow(clippy::enum_variant_names, reason = "the names are the specification's")]
        #[derive(Debug)]
        enum Answer {
            PubAck(u16),
            PubRec(u16),
            PubComp(u16),
        }
        let answer = wire
            .next(|packet| match packet {
                Packet::PubAck(ack) | Packet::PubRec(ack)
                    if ack.reason_code != ReasonCode::Success =>
                {
                    panic!("{packet:?}")
                }
                Packet::PubAck(ack) => Answer::PubAck(ack.packet_id.get()),
                Packet::PubRec(ack) => Answer::PubRec(ack.packet_id.get()),
                // 0x92 is well: the crash came between its release and our knowing of it.
                Packet::PubComp(ack) => Answer::PubComp(ack.packet_id.get()),
                other => panic!("{other:?}"),
            })
            .await?;
        let at = |id: u16| self.pending.iter().position(|pending| pending.id() == id);
        match answer {
            Answer::PubAck(id) => {
                let at = at(id).expect("it is pending");
                let done = self.pending.remove(at).expect("it is there");
                self.accepted.insert(done.number);
            }
            Answer::PubRec(id) => {
                let at = at(id).expect("it is pending");
                let pending = &mut self.pending[at];
                if !pending.received {
                    pending.received = true;
                    self.accepted.insert(pending.number);
                }
                wire.send(&packets::pubrel(id, ReasonCode::Success)).await?;
            }
            Answer::PubComp(id) => {
                let at = at(id).expect("it is pending");
                self.pending.remove(at);
            }
        }
        Some(())
    }
}
