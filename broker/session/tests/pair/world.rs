//! One run: what happens when, by the seed, and what must hold at its end.

use std::time::{Duration, Instant};

use codec::{Packet, PacketType, ProtocolVersion, QoS, ReasonCode, encode_acknowledgement};
use fastrand::Rng;
use session::{
    Attachment, Delivered, DeliveryOptions, DropReason, Fanout, Frames, Inbound, QueueFull,
    QueueLimits, Session, SessionLimits,
};
use topic::TopicName;

use crate::{
    client::Client,
    ledger::{Ledger, number, payload, topic_name},
    monitor::{Allowed, Monitor},
    wire::Wire,
};

/// What a run did; a simulation in which nothing happens proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) messages: u64,
    pub(crate) cuts: u64,
    pub(crate) repeated_down: u64,
    pub(crate) repeated_up: u64,
    pub(crate) releases_repeated: u64,
    pub(crate) aliased: u64,
    pub(crate) windows_full: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.cuts += other.cuts;
        self.repeated_down += other.repeated_down;
        self.repeated_up += other.repeated_up;
        self.releases_repeated += other.releases_repeated;
        self.aliased += other.aliased;
        self.windows_full += other.windows_full;
        self.refused += other.refused;
        self.dropped += other.dropped;
    }
}

pub(crate) struct World {
    random: Rng,
    told: bool,
    now: Instant,
    session: Session,
    limits: SessionLimits,
    client: Client,
    connected: bool,
    monitor: Monitor,
    /// Encoded by the server, not yet on the wire.
    output: Vec<u8>,
    to_client: Wire,
    to_server: Wire,
    /// Server to client, client to server.
    down: Ledger,
    up: Ledger,
    /// Messages are also revoked, expire and are too large for some connections.
    lossy: bool,
    summary: Summary,
}

impl World {
    pub(crate) fn new(seed: u64, told: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let version = if random.bool() { ProtocolVersion::V5 } else { ProtocolVersion::V311 };
        let limits = SessionLimits {
            queue: QueueLimits {
                messages: usize::MAX,
                // Queued messages never add up to that, output with QoS 0 in it does.
                bytes: 8 * 1024,
                when_full: QueueFull::DropNewest,
            },
            window_max: random.u16(1..12),
            receive_maximum: random.u16(1..12),
            topic_alias_maximum: random.u16(0..3),
        };
        let allowed = Allowed { window: 0, packet_bytes_max: usize::MAX, alias_maximum: 0 };
        Self {
            session: Session::new(limits, true),
            client: Client::new(version, random.bool(), 1),
            monitor: Monitor::new(allowed),
            now: Instant::now(),
            told,
            limits,
            connected: false,
            output: Vec::new(),
            to_client: Wire::default(),
            to_server: Wire::default(),
            down: Ledger::default(),
            up: Ledger::default(),
            lossy: random.u8(0..4) == 0,
            summary: Summary::default(),
            random,
        }
    }

    pub(crate) fn run(mut self) -> Summary {
        self.connect();
        for _ in 0..self.random.usize(20..250) {
            self.step();
        }
        self.settle();
        self.summary.messages = (self.down.messages.len() + self.up.messages.len()) as u64;
        self.summary.repeated_down = self.monitor.repeated;
        self.summary.repeated_up = self.client.repeated;
        self.summary.aliased = self.monitor.aliased;
        self.summary.windows_full = self.monitor.windows_full;
        self.summary.dropped = self.session.dropped();
        self.summary
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{}", what());
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.u64(0..200));
        match self.random.u8(0..100) {
            0..=24 => self.publish_down(),
            25..=39 => self.publish_up(),
            40..=59 => self.move_down(),
            60..=79 => self.move_up(),
            80..=91 if self.connected => self.acknowledge(),
            92..=95 if self.connected => self.cut(),
            92..=98 if !self.connected => self.connect(),
            99 if self.lossy => self.revoke(),
            _ => self.write(),
        }
    }

    fn qos(&mut self) -> QoS {
        QoS::from_value(self.random.u8(0..3)).unwrap()
    }

    fn publish_down(&mut self) {
        let (topic, qos) = (self.random.u8(0..4), self.qos());
        let expiry = (self.lossy && self.random.u8(0..10) == 0).then_some(self.random.u32(0..4));
        let large = self.lossy && self.random.u8(0..10) == 0;
        // QoS 0 may fill the output; what is acknowledged must fit the queue.
        let bytes = match qos {
            QoS::AtMostOnce if self.random.u8(0..4) == 0 => 3_000,
            _ => usize::from(large) * 80,
        };
        let number = self.down.publish(topic, qos, expiry.is_some() || large);
        let (name, payload) = (TopicName::new(&topic_name(topic)).unwrap(), payload(number, bytes));
        let mut frames = Frames::default();
        let parts: (&[u8], &[u8]) = (&[], &payload);
        let mut fanout = Fanout::new(&name, parts, (qos, false), (expiry, self.now), &mut frames);
        let options = DeliveryOptions {
            maximum_qos: QoS::ExactlyOnce,
            retain: self.random.bool(),
            subscription_identifiers: if self.random.bool() { &[] } else { &[7, 300] },
            shared: false,
            place: None,
        };
        let delivered = self.session.deliver(&mut fanout, &options, self.now);
        self.tell(|| format!("server publishes {number} to {name} with {qos:?}: {delivered:?}"));
        let expected = match delivered {
            Delivered::Sent => self.connected,
            Delivered::Queued => qos != QoS::AtMostOnce,
            Delivered::Dropped(DropReason::TooLarge) => large || bytes > 0,
            Delivered::Dropped(_) => qos == QoS::AtMostOnce,
            Delivered::QueuedDropping(_) | Delivered::Disconnect => false,
        };
        assert!(expected, "{delivered:?}");
    }

    fn publish_up(&mut self) {
        let (topic, qos) = (self.random.u8(0..4), self.qos());
        if !self.connected {
            return;
        }
        let number = self.up.publish(topic, qos, false);
        self.tell(|| format!("client publishes {number} with {qos:?}"));
        let mut out = Vec::new();
        self.client.publish(topic, number, qos, &mut out);
        self.to_server.send(&out);
    }

    fn acknowledge(&mut self) {
        let mut out = Vec::new();
        self.client.acknowledge(self.random.usize(0..8), &mut out);
        self.to_server.send(&out);
    }

    /// The server's loop takes what the session has written.
    fn write(&mut self) {
        if !self.connected {
            return;
        }
        let mut bytes = Vec::new();
        if self.session.has_output() {
            self.session.take_output(&mut bytes, self.now);
        }
        self.watch(&bytes);
        self.output.append(&mut bytes);
        self.to_client.send(&self.output);
        self.output.clear();
    }

    fn watch(&mut self, bytes: &[u8]) {
        let mut wire = Wire::default();
        wire.send(bytes);
        let monitor = &mut self.monitor;
        wire.receive(usize::MAX, self.client.version, |packet, length| {
            if self.told {
                println!("server writes {packet:?}");
            }
            monitor.watch(&packet, length);
        });
    }

    fn move_down(&mut self) {
        let bytes = self.random.usize(0..400);
        let (client, down, random) = (&mut self.client, &mut self.down, &mut self.random);
        let (told, summary) = (self.told, &mut self.summary);
        let mut out = Vec::new();
        let version = client.version;
        self.to_client.receive(bytes, version, |packet, _| {
            let refuse = version == ProtocolVersion::V5 && random.u8(0..30) == 0;
            summary.refused += u64::from(refuse);
            if told {
                println!("client gets {packet:?}, refuse: {refuse}");
            }
            client.handle(packet, refuse, down, &mut out);
        });
        self.to_server.send(&out);
    }

    fn move_up(&mut self) {
        let bytes = self.random.usize(0..200);
        let mut wire = std::mem::take(&mut self.to_server);
        wire.receive(bytes, self.client.version, |packet, _| self.handle(packet));
        self.to_server = wire;
    }

    /// What `server` does with a packet.
    fn handle(&mut self, packet: Packet<'_>) {
        self.tell(|| format!("server gets {packet:?}"));
        let now = self.now;
        match packet {
            Packet::Publish(publish) => {
                let number = number(publish.payload);
                let mut code = ReasonCode::Success;
                let kind = match (publish.qos, publish.packet_id) {
                    (QoS::ExactlyOnce, Some(id)) => {
                        let inbound = self.session.handle_publish_exactly_once(id).unwrap();
                        let v5 = self.client.version == ProtocolVersion::V5;
                        if inbound == Inbound::New && v5 && self.random.u8(0..30) == 0 {
                            code = ReasonCode::QuotaExceeded;
                            self.session.forget_publish(id);
                            self.up.refuse(number);
                        } else if inbound == Inbound::New {
                            self.up.receive(publish.topic, publish.qos, number);
                        }
                        PacketType::PubRec
                    }
                    _ => {
                        self.up.receive(publish.topic, publish.qos, number);
                        PacketType::PubAck
                    }
                };
                if let Some(id) = publish.packet_id {
                    self.answer(kind, id, code);
                }
            }
            Packet::PubRel(ack) => {
                let (code, _) = self.session.handle_pubrel(ack.packet_id);
                let again = code == ReasonCode::PacketIdentifierNotFound;
                self.summary.releases_repeated += u64::from(again);
                self.answer(PacketType::PubComp, ack.packet_id, code);
            }
            Packet::PubAck(ack) => {
                assert!(self.session.handle_puback(ack.packet_id, now), "{ack:?}");
                self.monitor.complete(ack.packet_id);
            }
            Packet::PubRec(ack) => {
                match self.session.handle_pubrec(ack.packet_id, ack.reason_code, now) {
                    Some((code, _)) => {
                        assert_eq!(code, ReasonCode::Success, "{ack:?}");
                        self.answer(PacketType::PubRel, ack.packet_id, code);
                    }
                    None => self.monitor.complete(ack.packet_id),
                }
            }
            Packet::PubComp(ack) => {
                assert!(self.session.handle_pubcomp(ack.packet_id, now), "{ack:?}");
                self.monitor.complete(ack.packet_id);
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn answer(&mut self, kind: PacketType, packet_id: codec::PacketId, code: ReasonCode) {
        let version = self.client.version;
        encode_acknowledgement(kind, packet_id, code, version, &mut self.output);
    }

    /// Permissions changed: one topic may no longer be delivered.
    fn revoke(&mut self) {
        let topic = self.random.u8(0..4);
        self.tell(|| format!("topic {topic} is revoked"));
        let revoked = topic_name(topic);
        for message in self.down.messages.iter_mut().filter(|message| message.topic == topic) {
            message.may_be_lost = true;
        }
        if self.random.bool() {
            self.session.take_back_output();
        }
        self.session.retain_messages(|message| message.topic().as_str() != revoked);
        self.session.pump(self.now);
    }

    fn cut(&mut self) {
        self.tell(|| "the connection is cut".to_owned());
        self.summary.cuts += 1;
        // Some of what was under way still arrives.
        if self.random.bool() {
            self.write();
        }
        self.move_up();
        self.move_down();
        if self.random.bool() {
            // Taken by the connection and lost with it: counts as sent.
            let mut lost = Vec::new();
            while self.session.has_output() {
                self.session.take_output(&mut lost, self.now);
            }
            self.watch(&lost);
        }
        self.session.detach();
        self.to_client.cut();
        self.to_server.cut();
        self.output.clear();
        self.connected = false;
    }

    fn connect(&mut self) {
        let v5 = self.client.version == ProtocolVersion::V5;
        let receive_maximum = if v5 { self.random.u16(1..12) } else { u16::MAX };
        let small = v5 && self.lossy && self.random.bool();
        let attachment = Attachment {
            version: self.client.version,
            receive_maximum,
            maximum_packet_size: small.then_some(60),
            topic_alias_maximum: if v5 { self.random.u16(0..4) } else { 0 },
        };
        self.attach(&attachment);
    }

    fn attach(&mut self, attachment: &Attachment) {
        self.tell(|| format!("connects: {attachment:?}"));
        self.limits.window_max = self.random.u16(1..12);
        let window = attachment.receive_maximum.min(self.limits.window_max);
        self.monitor.connect(Allowed {
            window: window.into(),
            packet_bytes_max: attachment.maximum_packet_size.map_or(usize::MAX, |max| max as usize),
            alias_maximum: attachment.topic_alias_maximum.min(self.limits.topic_alias_maximum),
        });
        self.session.attach(attachment, self.limits);
        self.connected = true;
        while self.random.u8(0..3) == 0 {
            // Permissions are judged again here; messages come all the same.
            self.publish_down();
        }
        self.session.pump(self.now);
        let mut out = Vec::new();
        self.client.receive_maximum = attachment.receive_maximum.into();
        self.client.connect(self.limits.receive_maximum.into(), &mut out);
        self.to_server.send(&out);
    }

    /// No more cuts: what is owed arrives, and then both sides have let everything go.
    fn settle(&mut self) {
        self.tell(|| "settling".to_owned());
        if !self.connected {
            self.connect();
        }
        let mut quiet = 0;
        for _ in 0..100_000 {
            self.write();
            self.move_down();
            self.acknowledge();
            self.move_up();
            let moving = self.to_client.in_transit() + self.to_server.in_transit() > 0
                || self.session.has_output()
                || !self.output.is_empty();
            quiet = if moving { 0 } else { quiet + 1 };
            // Acknowledgements are sent by chance: quiet for long enough is over.
            if quiet > 30 {
                break;
            }
        }
        assert_eq!(self.session.in_flight(), 0, "in flight");
        assert_eq!(self.session.queued(), 0, "queued");
        assert_eq!(self.session.awaiting_release(), 0, "awaiting PUBREL");
        assert!(self.client.is_settled(), "the client still waits");
        self.down.settle();
        self.up.settle();
    }
}
