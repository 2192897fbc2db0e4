//! One run: what happens when, by the seed, and what must hold at its end.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    num::NonZeroU64,
    sync::Arc,
    time::Instant,
};

use codec::{
    Connect, Decoded, Packet, PacketId, PacketType, ProtocolVersion, QoS, decode,
    encode_acknowledgement,
};
use fastrand::Rng;
use session::{
    Attachment, Claim, Delivered, DeliveryOptions, Fanout, Found, Frames, Inbound, Message,
    QueueFull, QueueLimits, Session, SessionLimits, Waiting,
};
use topic::TopicName;

use crate::{
    client::{Client, publish},
    disk::{Disk, Kept, Record},
};

const VERSION: ProtocolVersion = ProtocolVersion::V5;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    /// Messages that a crash took before they were promised: published again.
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Messages that were handed in from the disk.
    pub(crate) paged: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.received += other.received;
        self.crashes += other.crashes;
        self.cuts += other.cuts;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.paged += other.paged;
    }
}

pub(crate) struct World {
    random: Rng,
    told: bool,
    now: Instant,
    limits: SessionLimits,
    disk: Disk,
    session: Session,
    client: Client,
    connected: bool,
    /// Encoded by the broker, not yet with the client; and the other way.
    down: Vec<u8>,
    up: Vec<u8>,
    /// Answers that wait for the disk.
    held: VecDeque<(u64, Vec<u8>)>,
    /// Numbers published to the session and not promised to their publisher yet, with their ticket.
    unpromised: VecDeque<(u64, QoS, u64)>,
    /// To be published again, before anything new of the same publisher. Odd numbers are one's, even ones the other's:
    /// after a crash they come in another order than before.
    again: [VecDeque<(u64, QoS)>; 2],
    qos: BTreeMap<u64, QoS>,
    /// Messages are refused when they are handed in, as those that are no longer permitted.
    lossy: bool,
    refused: HashSet<u64>,
    summary: Summary,
}

impl World {
    pub(crate) fn new(seed: u64, told: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let limits = SessionLimits {
            queue: QueueLimits {
                messages: usize::MAX,
                bytes: 1 << 20,
                when_full: QueueFull::DropNewest,
            },
            window_max: random.u16(1..12),
            receive_maximum: 20,
            topic_alias_maximum: 0,
        };
        let mut session = Session::new(limits, true);
        session.keep();
        let lossy = random.u8(0..3) == 0;
        Self {
            random,
            told,
            now: Instant::now(),
            limits,
            disk: Disk::default(),
            session,
            client: Client::default(),
            connected: false,
            down: Vec::new(),
            up: Vec::new(),
            held: VecDeque::new(),
            unpromised: VecDeque::new(),
            again: Default::default(),
            qos: BTreeMap::new(),
            lossy,
            refused: HashSet::new(),
            summary: Summary::default(),
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{}", what());
        }
    }

    pub(crate) fn run(mut self) -> Summary {
        // Some runs are mostly away, and have long queues.
        let away = self.random.u8(0..4) == 0;
        for _ in 0..self.random.usize(30..600) {
            match self.random.u8(0..100) {
                0..30 => self.publish(),
                30..40 => self.commit(),
                40..60 => self.turn(),
                60..75 => self.client_reads(),
                75..85 => self.broker_reads(),
                85..91 => self.client_publishes(),
                91..93 => self.cut(),
                93..98 if !away || self.random.u8(0..10) == 0 => self.connect(),
                98 => self.crash(),
                _ => {}
            }
        }
        self.settle();
        self.check();
        self.summary.published = self.qos.len() as u64;
        self.summary.received = self.client.published;
        self.summary.repeated = self.client.repeated;
        self.summary
    }

    /// A message from somebody, as `server` keeps and delivers it.
    fn publish(&mut self) {
        let publisher = self.random.usize(0..2);
        let (number, qos) = self.again[publisher].pop_front().unwrap_or_else(|| {
            let qos = if self.random.bool() { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            let last = self.qos.keys().rev().find(|number| *number % 2 == publisher as u64);
            (last.map_or(publisher as u64 + 2, |last| last + 2), qos)
        });
        self.publish_one(number, qos);
    }

    fn publish_one(&mut self, number: u64, qos: QoS) {
        self.qos.insert(number, qos);
        let text = number.to_string();
        let (place, _) = self.disk.append(Record::Message(Kept { text: text.clone(), qos }));
        let topic = TopicName::new("down").unwrap();
        let mut frames = Frames::default();
        let parts: (&[u8], &[u8]) = (&[], text.as_bytes());
        let mut fanout = Fanout::new(&topic, parts, (qos, false), (None, self.now), &mut frames);
        let options = DeliveryOptions {
            maximum_qos: QoS::ExactlyOnce,
            retain: false,
            subscription_identifiers: &[],
            shared: false,
            place: Some(place),
        };
        let delivered = self.session.deliver(&mut fanout, &options, self.now);
        assert!(matches!(delivered, Delivered::Sent | Delivered::Queued), "{delivered:?}");
        let of_session = self.session.last_number();
        let (_, ticket) = self.disk.append(Record::Owed { number: of_session, place, qos });
        self.session.written(of_session, ticket);
        self.unpromised.push_back((number, qos, ticket));
        self.tell(|| format!("{number} is published, {qos:?}: its {of_session}th, {delivered:?}"));
    }

    /// Some or all of what waits reaches the disk.
    fn commit(&mut self) {
        let waits = self.disk.log.len() - self.disk.durable;
        let some = if self.random.bool() { waits } else { self.random.usize(0..=waits) };
        self.disk.commit(self.disk.durable + some);
    }

    /// A turn of the connection.
    fn turn(&mut self) {
        if !self.connected {
            return;
        }
        let durable = self.disk.durable as u64;
        while let Some((_, answer)) = self.held.pop_front_if(|(ticket, _)| *ticket <= durable) {
            self.down.extend(answer);
        }
        for waiting in self.session.wanted() {
            let Some(kept) = self.disk.read(waiting.claim.place) else { break };
            let topic = TopicName::new("down").unwrap();
            let message = Message::new(topic, b"", kept.text.as_bytes(), kept.qos);
            let number: u64 = kept.text.parse().unwrap();
            // From some time on: before, it may have been sent. What came then may be permitted again.
            let came = self.client.got.iter().any(|(text, _)| *text == kept.text);
            let refused =
                !came && self.refused.contains(&number) || self.lossy && self.random.u8(0..8) == 0;
            if refused {
                self.refused.insert(number);
            }
            let message = Some(Arc::new(message)).filter(|_| !refused);
            self.session.hand_in(waiting.claim, message);
            self.summary.paged += 1;
        }
        self.tell_disk();
        self.session.durable(durable);
        self.session.pump(self.now);
        if self.session.has_output() {
            let mut output = Vec::new();
            self.session.take_output(&mut output, self.now);
            self.down.extend(output);
        }
    }

    /// Tells the disk what the session is done with.
    fn tell_disk(&mut self) {
        let disk = &mut self.disk;
        self.session.note_given_up(|number| disk.append(Record::Received(number)).1);
        for claim in self.session.take_done() {
            disk.append(Record::Done(claim.number.get()));
        }
    }

    /// The client takes some of what is on its way.
    fn client_reads(&mut self) {
        for _ in 0..self.random.usize(1..8) {
            let bytes = std::mem::take(&mut self.down);
            let Ok(Decoded::Packet(packet, length)) = decode(&bytes, VERSION, 1 << 20) else {
                self.down = bytes;
                return;
            };
            self.tell(|| format!("  client gets {packet:?}"));
            if let Some(answer) = self.client.take(&packet) {
                answer.encode(VERSION, &mut self.up);
            }
            self.down = bytes[length..].to_vec();
        }
    }

    /// The broker takes some of what the client sent.
    fn broker_reads(&mut self) {
        for _ in 0..self.random.usize(1..8) {
            let bytes = std::mem::take(&mut self.up);
            let Ok(Decoded::Packet(packet, length)) = decode(&bytes, VERSION, 1 << 20) else {
                self.up = bytes;
                return;
            };
            self.tell(|| format!("  broker gets {packet:?}"));
            self.handle(&packet);
            self.up = bytes[length..].to_vec();
        }
    }

    fn handle(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::PubAck(ack) => {
                self.session.handle_puback(ack.packet_id, self.now);
            }
            Packet::PubComp(ack) => {
                self.session.handle_pubcomp(ack.packet_id, self.now);
            }
            Packet::PubRec(ack) => {
                let answer = self.session.handle_pubrec(ack.packet_id, ack.reason_code, self.now);
                let (code, claim) = answer.unwrap();
                let received = claim.map(|claim| Record::Received(claim.number.get()));
                let ticket = received.map(|record| self.disk.append(record).1);
                self.answer(ticket, PacketType::PubRel, ack.packet_id, code);
            }
            Packet::PubRel(ack) => {
                let (code, stored) = self.session.handle_pubrel(ack.packet_id);
                let released = stored.then_some(Record::Released(ack.packet_id));
                let ticket = released.map(|record| self.disk.append(record).1);
                self.answer(ticket, PacketType::PubComp, ack.packet_id, code);
            }
            Packet::Publish(publish) => {
                let id = publish.packet_id.unwrap();
                let text = String::from_utf8(publish.payload.to_vec()).unwrap();
                let success = codec::ReasonCode::Success;
                if publish.qos == QoS::AtLeastOnce {
                    let (_, ticket) = self.disk.append(Record::Taken(text));
                    return self.answer(Some(ticket), PacketType::PubAck, id, success);
                }
                let inbound = self.session.handle_publish_exactly_once(id).unwrap();
                let ticket = (inbound == Inbound::New).then(|| {
                    let (_, ticket) = self.disk.append(Record::Accepted(id, text));
                    self.session.note_stored(id);
                    ticket
                });
                self.answer(ticket, PacketType::PubRec, id, success);
            }
            other => panic!("{other:?}"),
        }
    }

    /// At once, or when the ticket is durable; in order.
    fn answer(
        &mut self,
        ticket: Option<u64>,
        kind: PacketType,
        id: PacketId,
        code: codec::ReasonCode,
    ) {
        let mut bytes = Vec::new();
        encode_acknowledgement(kind, id, code, VERSION, &mut bytes);
        let last = self.held.back().map(|(ticket, _)| *ticket);
        match ticket.max(last) {
            Some(ticket) => self.held.push_back((ticket, bytes)),
            None => self.down.extend(bytes),
        }
    }

    fn client_publishes(&mut self) {
        if !self.connected || self.client.pending.len() >= 15 {
            return;
        }
        let qos = if self.random.bool() { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let pending = self.client.publish(qos);
        Packet::Publish(publish(pending, false)).encode(VERSION, &mut self.up);
    }

    fn connect(&mut self) {
        if self.connected {
            return;
        }
        self.tell(|| "connects".to_owned());
        self.disk.append(Record::Here);
        // CONNACK waits for everything before it.
        self.disk.commit(usize::MAX);
        self.connected = true;
        let mut connect = Connect::new(VERSION, "c");
        connect.receive_maximum = 9;
        self.session.attach(&Attachment::from(&connect), self.limits);
        self.session.pump(self.now);
        for pending in &self.client.pending {
            if pending.received {
                crate::client::ack(Packet::PubRel, pending.id).encode(VERSION, &mut self.up);
            } else {
                Packet::Publish(publish(pending, true)).encode(VERSION, &mut self.up);
            }
        }
    }

    fn cut(&mut self) {
        if !self.connected {
            return;
        }
        self.tell(|| "the connection breaks".to_owned());
        self.summary.cuts += 1;
        self.lose_connection();
        self.session.detach();
        self.tell_disk();
        self.disk.append(Record::Away(self.session.sent_below()));
    }

    fn lose_connection(&mut self) {
        self.connected = false;
        // Whole packets may still arrive at either side, in their order.
        if self.random.bool() {
            self.client_reads();
        }
        self.down.clear();
        self.up.clear();
        self.held.clear();
    }

    fn crash(&mut self) {
        self.tell(|| "the broker crashes".to_owned());
        self.summary.crashes += 1;
        self.lose_connection();
        self.disk.crash();
        // Whoever was promised nothing publishes again, before anything new.
        let durable = self.disk.durable as u64;
        let mut lost = std::mem::take(&mut self.unpromised);
        lost.retain(|(.., ticket)| *ticket > durable);
        self.summary.lost += lost.len() as u64;
        for (number, qos, _) in lost.into_iter().rev() {
            self.again[number as usize % 2].push_front((number, qos));
        }
        self.session = self.recovered();
    }

    /// The session as the next process finds it.
    fn recovered(&self) -> Session {
        let mut owed = BTreeMap::new();
        let (mut received, mut unreleased) = (HashSet::new(), Vec::new());
        let (mut last_number, mut sent_below) = (0, Some(0));
        for record in &self.disk.log {
            match record {
                Record::Message(_) | Record::Taken(_) => {}
                Record::Owed { number, place, qos } => {
                    last_number = last_number.max(*number);
                    owed.insert(*number, (*place, *qos));
                }
                Record::Done(number) => {
                    owed.remove(number);
                }
                Record::Received(number) => {
                    received.insert(*number);
                }
                Record::Accepted(id, _) => unreleased.push(*id),
                Record::Released(id) => unreleased.retain(|known| known != id),
                Record::Away(below) => sent_below = Some(*below),
                Record::Here => sent_below = None,
            }
        }
        let sent_below = sent_below.unwrap_or(last_number + 1);
        let mut session = Session::recovered(self.limits, Found { last_number, sent_below });
        for (number, (place, qos)) in owed {
            let claim = Claim { number: NonZeroU64::new(number).unwrap(), place };
            if received.contains(&number) {
                session.recover_received(claim);
                continue;
            }
            let bytes = self.disk.read(place).unwrap().text.len() + "down".len();
            session.recover_waiting(&Waiting {
                claim,
                bytes,
                expires_at: None,
                qos,
                retain: false,
                shared: false,
                subscription_identifiers: Box::default(),
            });
        }
        for id in unreleased {
            session.recover_unreleased(id);
        }
        session
    }

    /// Everything works from now on, until nothing is left to do.
    fn settle(&mut self) {
        self.tell(|| "--- from here on nothing breaks".to_owned());
        for (number, qos) in std::mem::take(&mut self.again).into_iter().flatten() {
            self.publish_one(number, qos);
        }
        self.connect();
        let mut idle = 0;
        for _ in 0..100_000 {
            let before = (self.client.got.len(), self.disk.log.len(), self.session.in_flight());
            self.disk.commit(usize::MAX);
            self.turn();
            self.client_reads();
            self.broker_reads();
            let same =
                before == (self.client.got.len(), self.disk.log.len(), self.session.in_flight());
            idle = if same && self.down.is_empty() && self.up.is_empty() { idle + 1 } else { 0 };
            if idle > 3 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn check(&self) {
        let session = &self.session;
        assert_eq!((session.in_flight(), session.queued()), (0, 0));
        assert!(self.lossy || session.dropped() == 0);
        assert!(self.client.pending.is_empty(), "{:?}", self.client.pending);
        assert!(self.client.unreleased.is_empty(), "an identifier that was never released");
        assert_eq!(self.session.awaiting_release(), 0);
        let got = self.client.got.iter();
        let got: Vec<_> = got.map(|(text, qos)| (text.parse().unwrap(), *qos)).collect();
        let came: HashSet<u64> = got.iter().map(|(number, _)| *number).collect();
        for publisher in 0..2 {
            let of_it = |number: u64| number % 2 == publisher;
            // What was refused may have come before that, on another connection.
            let expected = |number: u64| came.contains(&number) || !self.refused.contains(&number);
            let sent = self.qos.iter().map(|(number, qos)| (*number, *qos));
            let sent: Vec<_> = sent.filter(|(n, _)| of_it(*n) && expected(*n)).collect();
            let got: Vec<_> = got.iter().copied().filter(|(number, _)| of_it(*number)).collect();
            compare("down", &sent, &got);
        }
        let taken = self.disk.log.iter().filter_map(|record| match record {
            Record::Taken(text) => Some((text.parse().unwrap(), QoS::AtLeastOnce)),
            Record::Accepted(_, text) => Some((text.parse().unwrap(), QoS::ExactlyOnce)),
            _ => None,
        });
        let taken: Vec<_> = taken.collect();
        let all: HashSet<u64> = taken.iter().map(|(number, _)| *number).collect();
        assert_eq!(all.len() as u64, self.client.published, "up: something is lost");
        let of = |number: u64| taken.iter().find(|(n, _)| *n == number).unwrap().1;
        let sent: Vec<_> = (1..=self.client.published).map(|number| (number, of(number))).collect();
        compare("up", &sent, &taken);
    }
}

/// Everything came, exactly once where that was promised, and in order as far as it came for the first time.
fn compare(way: &str, sent: &[(u64, QoS)], got: &[(u64, QoS)]) {
    let mut seen = HashSet::new();
    let mut first = Vec::new();
    for (number, qos) in got {
        if seen.insert(*number) {
            first.push((*number, *qos));
        } else {
            assert_ne!(*qos, QoS::ExactlyOnce, "{way}: {number} came twice");
        }
    }
    assert_eq!(first, sent, "{way}");
}
