//! A subscriber that keeps its half of the session, and everything that came.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use codec::{Packet, QoS, ReasonCode};
use portcullis_tests::packets;

use super::{publisher::Publisher, wire::Wire};

pub(super) struct Subscriber {
    client_id: &'static str,
    qos: QoS,
    /// It is there in every so manieth round.
    pub(super) every: usize,
    /// QoS 2 identifiers that were not released.
    unreleased: HashSet<u16>,
    /// What came, by topic, in its order.
    got: HashMap<String, Vec<u64>>,
}

impl Subscriber {
    pub(super) fn new(client_id: &'static str, qos: QoS, every: usize) -> Self {
        Self { client_id, qos, every, unreleased: HashSet::new(), got: HashMap::new() }
    }

    /// Makes the session.
    pub(super) async fn subscribe(&mut self, address: SocketAddr) {
        let (mut wire, _) = Wire::connect(address, self.client_id).await.expect("a broker");
        wire.send(&packets::subscribe(1, &[("free/#", self.qos)])).await.expect("a broker");
        let granted = packets::suback(1, &[packets::granted(self.qos)]);
        wire.next(|packet| assert_eq!(packet, &granted)).await.expect("SUBACK");
    }

    /// Takes what comes until the connection ends, or until so many different messages of each topic are there and
    /// every identifier is released.
    pub(super) async fn run(&mut self, address: SocketAddr, until: Option<&[(String, u64)]>) {
        let Some((mut wire, present)) = Wire::connect(address, self.client_id).await else {
            return;
        };
        assert!(present, "{}: the session is gone", self.client_id);
        while !until.is_some_and(|expected| self.has(expected)) {
            let taken = tokio::time::timeout(Duration::from_secs(20), self.take(&mut wire)).await;
            if taken.unwrap_or_else(|_| panic!("{}: nothing more comes", self.client_id)).is_none()
            {
                assert!(until.is_none(), "the broker is gone");
                return;
            }
        }
        if until.is_some() {
            // What comes twice is to be acknowledged up to its end too. Twice: an answer may overtake what is
            // delivered in its turn.
            let mut silent = 0;
            while silent < 2 {
                wire.send(&Packet::PingReq).await.expect("a broker");
                silent += 1;
                while !self.take(&mut wire).await.expect("a broker") {
                    silent = 0;
                }
                if !self.unreleased.is_empty() {
                    silent = 0;
                }
            }
        }
    }

    fn has(&self, expected: &[(String, u64)]) -> bool {
        self.unreleased.is_empty()
            && expected.iter().all(|(topic, count)| {
                let got = self.got.get(topic).map(Vec::as_slice).unwrap_or_default();
                // Order is checked afterwards: the last number is enough here.
                got.iter().max().map_or(0, |last| last + 1) >= *count
            })
    }

    /// Takes the next packet and answers it; `true` = it was a PINGRESP.
    async fn take(&mut self, wire: &mut Wire) -> Option<bool> {
        let answer = wire
            .next(|packet| match packet {
                Packet::Publish(publish) => {
                    let id = publish.packet_id.map_or(0, codec::PacketId::get);
                    let text = std::str::from_utf8(publish.payload).expect("a number");
                    let number = text.parse().expect("a number");
                    let mut took = || {
                        let topic = self.got.entry(publish.topic.to_owned()).or_default();
                        topic.push(number);
                    };
                    match publish.qos {
                        QoS::AtMostOnce => panic!("{publish:?}"),
                        QoS::AtLeastOnce => {
                            took();
                            Some(packets::puback(id, ReasonCode::Success))
                        }
                        QoS::ExactlyOnce => {
                            if self.unreleased.insert(id) {
                                took();
                            }
                            Some(packets::pubrec(id, ReasonCode::Success))
                        }
                    }
                }
                Packet::PubRel(ack) => {
                    let id = ack.packet_id.get();
                    self.unreleased.remove(&id);
                    Some(packets::pubcomp(id, ReasonCode::Success))
                }
                Packet::PingResp => None,
                other => panic!("{other:?}"),
            })
            .await?;
        if let Some(answer) = &answer {
            wire.send(answer).await?;
        }
        Some(answer.is_none())
    }

    /// Everything that this publisher was promised came, in order, and once where that was promised.
    pub(super) fn check(&self, publisher: &Publisher, seed: u64) {
        let got = self.got.get(&publisher.topic).map(Vec::as_slice).unwrap_or_default();
        let who = format!("{} of {} (seed {seed})", self.client_id, publisher.topic);
        let exactly_once = self.qos == QoS::ExactlyOnce && publisher.qos == QoS::ExactlyOnce;
        let mut first = Vec::new();
        let mut seen = HashSet::new();
        for number in got {
            if seen.insert(*number) {
                first.push(*number);
            } else {
                assert!(!exactly_once, "{who}: {number} came twice");
            }
        }
        assert!(first.is_sorted(), "{who}: out of order: {first:?}");
        let is_lost = |number: &u64| publisher.is_accepted(*number) && !seen.contains(number);
        let lost: Vec<_> = (0..publisher.sent()).filter(is_lost).collect();
        assert!(lost.is_empty(), "{who}: acknowledged and lost: {lost:?} of {}", publisher.sent());
        assert!(seen.iter().all(|number| *number < publisher.sent()), "{who}: an invented message");
    }
}
