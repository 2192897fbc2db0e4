//! Traffic beside a test: a ring of clients, each publishing to the next with QoS 1, all of them
//! checking what comes.
//!
//! Not one message may be lost, come twice, out of turn or changed, not one may be refused, and no
//! connection may end: whatever is not so is a panic in the task of that client, which
//! [`Traffic::check`] and [`Traffic::finish`] pass on.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use codec::{Packet, QoS, ReasonCode};
use portcullis_tests::{Client, packets};
use tokio::{sync::watch, task::JoinSet, time::Interval};

use super::{
    eventually::WAIT,
    folder::ALICE,
    knock::{enter, login},
};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Clients in the ring.
    pub(super) clients: u32,
    /// Messages a second of all of them together.
    pub(super) per_second: u32,
}

/// Running traffic.
pub(super) struct Traffic {
    stop: watch::Sender<bool>,
    members: JoinSet<u64>,
}

/// Messages that one client has in flight at most; the broker takes 32.
const IN_FLIGHT_MAX: usize = 30;

impl Traffic {
    /// Connects everybody, as [`ALICE`] and below the topic `free/ring`, and starts.
    pub(super) async fn start(address: SocketAddr, load: Load) -> Self {
        let mut ring = Vec::new();
        for number in 0..load.clients {
            let mut client = enter(address, login(&format!("ring-{number}"), ALICE)).await;
            let before = (number + load.clients - 1) % load.clients;
            client.subscribe(&topic_of(before), QoS::AtLeastOnce).await;
            ring.push((client, number, before));
        }
        let (stop, stopping) = watch::channel(false);
        let mut members = JoinSet::new();
        let every = Duration::from_secs(1) * load.clients / load.per_second;
        for (client, number, before) in ring {
            // Spread over the period, so that the load is even.
            let first = every * number / load.clients;
            let tick = tokio::time::interval_at(tokio::time::Instant::now() + first, every);
            let member = Member::new(client, number, before);
            members.spawn(member.run(tick, stopping.clone()));
        }
        Self { stop, members }
    }

    /// Fails if anything has gone wrong so far.
    pub(super) fn check(&mut self) {
        if let Some(ended) = self.members.try_join_next() {
            panic!("a client of the traffic ended: {ended:?}");
        }
    }

    /// Lets everybody publish a last message and waits until it has come. Returns how many were
    /// exchanged.
    pub(super) async fn finish(mut self) -> u64 {
        self.stop.send_replace(true);
        let all = async {
            let mut messages = 0;
            while let Some(ended) = self.members.join_next().await {
                messages += ended.expect("a client of the traffic");
            }
            messages
        };
        let all = tokio::time::timeout(WAIT, all).await;
        all.unwrap_or_else(|_| panic!("messages or their answers are missing after {WAIT:?}"))
    }
}

/// One client of the ring.
struct Member {
    client: Client,
    number: u32,
    /// Whose messages come here.
    before: u32,
    sent: u64,
    last_sent: bool,
    /// Packet Identifiers without PUBACK, in order.
    in_flight: VecDeque<u16>,
    received: u64,
    last_received: bool,
}

/// What a client of the ring may see.
enum Event {
    Message { packet_id: u16, topic: String, payload: String, dup: bool },
    Ack(u16, ReasonCode),
    Other(String),
}

impl Member {
    fn new(client: Client, number: u32, before: u32) -> Self {
        Self {
            client,
            number,
            before,
            sent: 0,
            last_sent: false,
            in_flight: VecDeque::new(),
            received: 0,
            last_received: false,
        }
    }

    /// Returns the number of messages received.
    async fn run(mut self, mut tick: Interval, stopping: watch::Receiver<bool>) -> u64 {
        while !(self.last_sent && self.last_received && self.in_flight.is_empty()) {
            let may_send = !self.last_sent && self.in_flight.len() < IN_FLIGHT_MAX;
            tokio::select! {
                _ = tick.tick(), if may_send => {
                    let last = *stopping.borrow();
                    self.publish(last).await;
                }
                event = self.client.next(Event::of) => {
                    let name = &self.client.name;
                    let event = event.unwrap_or_else(|| panic!("{name}: the broker closed"));
                    self.take(event).await;
                }
            }
        }
        self.received
    }

    async fn publish(&mut self, last: bool) {
        let packet_id = (self.sent % 60_000) as u16 + 1;
        let payload = payload(self.number, self.sent, last);
        self.client.send(packets::qos1(packet_id, &topic_of(self.number), &payload)).await;
        self.in_flight.push_back(packet_id);
        self.sent += 1;
        self.last_sent = last;
    }

    async fn take(&mut self, event: Event) {
        let name = &self.client.name;
        match event {
            Event::Ack(packet_id, code) => {
                assert_eq!(Some(packet_id), self.in_flight.pop_front(), "{name}: PUBACK in turn");
                assert_eq!(code, ReasonCode::Success, "{name}: PUBACK {packet_id}");
            }
            Event::Message { packet_id, topic, payload: came, dup } => {
                assert_eq!(topic, topic_of(self.before), "{name}");
                assert!(!dup && !self.last_received, "{name}: {came:?} came again");
                self.last_received = came == payload(self.before, self.received, true);
                if !self.last_received {
                    assert_eq!(came, payload(self.before, self.received, false), "{name}");
                }
                self.received += 1;
                self.client.send(packets::puback(packet_id, ReasonCode::Success)).await;
            }
            Event::Other(packet) => panic!("{name}: {packet} came"),
        }
    }
}

impl Event {
    fn of(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::PubAck(ack) => Self::Ack(ack.packet_id.get(), ack.reason_code),
            Packet::Publish(publish) if publish.qos == QoS::AtLeastOnce => Self::Message {
                packet_id: publish.packet_id.map_or(0, codec::PacketId::get),
                topic: publish.topic.to_owned(),
                payload: String::from_utf8_lossy(publish.payload).into_owned(),
                dup: publish.dup,
            },
            other => Self::Other(format!("{other:?}")),
        }
    }
}

fn topic_of(number: u32) -> String {
    format!("free/ring/{number}")
}

fn payload(number: u32, sequence: u64, last: bool) -> String {
    let last = if last { ", the last" } else { "" };
    format!("message {sequence} of {number}{last}")
}
