//! Messages under way: what was published, what came, and whether that is what was published.

use std::time::Duration;

use crate::{
    histogram::Histogram,
    net::{Handler, Net, Then},
    order::{Arrival, Faults, Sequence},
    payload::{Payloads, Stamp},
    wire::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Publish},
};

/// Which streams a subscriber gets: every so many, from the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    pub(super) first: usize,
    pub(super) every: usize,
}

/// What a link is here.
#[derive(Clone, Copy, Debug)]
enum Role {
    Bystander,
    Publisher(usize),
    /// With the place of its first sequence.
    Subscriber(Listener, usize),
}

struct Publisher {
    link: usize,
    /// Its streams are every so many from its own number; this is the next.
    next_stream: usize,
    in_flight: usize,
    packet_id: u16,
}

/// All of it.
pub(super) struct Flow {
    topics: Vec<String>,
    payloads: Payloads,
    qos: u8,
    v5: bool,
    roles: Vec<Role>,
    publishers: Vec<Publisher>,
    /// Whose turn it is.
    turn: usize,
    /// The number of the last message of each stream.
    numbers: Vec<u32>,
    sequences: Vec<Sequence>,
    fan: u64,
    now: u64,
    pub(super) sent: u64,
    pub(super) delivered: u64,
    measured: (u64, u64),
    measuring: bool,
    pub(super) latencies: Histogram,
    pub(super) faults: Faults,
    /// Connections that ended.
    pub(super) lost: usize,
}

/// QoS 1 and 2 messages of one publisher that wait for their acknowledgement.
const IN_FLIGHT: usize = 20;
/// Messages of one publisher in a row, so that they come together as those of a busy one do.
const BURST: usize = 16;
/// Bytes that the kernel does not take: the broker reads no more for now.
const BACKLOG_BYTES: usize = 64 * 1024;
const TICK: Duration = Duration::from_millis(100);

impl Flow {
    /// Nobody is there yet.
    pub(super) fn new(topics: Vec<String>, qos: u8, payload_bytes: usize, v5: bool) -> Self {
        Self {
            numbers: vec![0; topics.len()],
            topics,
            payloads: Payloads::new(payload_bytes),
            qos,
            v5,
            roles: Vec::new(),
            publishers: Vec::new(),
            turn: 0,
            sequences: Vec::new(),
            fan: 1,
            now: 0,
            sent: 0,
            delivered: 0,
            measured: (0, 0),
            measuring: false,
            latencies: Histogram::default(),
            faults: Faults::default(),
            lost: 0,
        }
    }

    fn role(&mut self, link: usize, role: Role) {
        if self.roles.len() <= link {
            self.roles.resize(link + 1, Role::Bystander);
        }
        self.roles[link] = role;
    }

    /// These listen; each message has `fan` of them.
    pub(super) fn subscribers(&mut self, listeners: &[(usize, Listener)], fan: u64) {
        self.fan = fan;
        for (link, listener) in listeners {
            self.role(*link, Role::Subscriber(*listener, self.sequences.len()));
            let streams = self.topics.len().saturating_sub(listener.first);
            let streams = streams.div_ceil(listener.every);
            self.sequences.resize(self.sequences.len() + streams, Sequence::default());
        }
    }

    /// These publish.
    pub(super) fn publishers(&mut self, links: &[usize]) {
        for (number, link) in links.iter().enumerate() {
            self.role(*link, Role::Publisher(number));
            let link = *link;
            let publisher = Publisher { link, next_stream: number, in_flight: 0, packet_id: 0 };
            self.publishers.push(publisher);
        }
    }

    /// As much as goes with so many deliveries under way; how long to wait then.
    pub(super) fn publish_all(&mut self, net: &mut Net, window: u64, fan: u64) -> Duration {
        let now = net.now();
        let mut blocked = 0;
        let mut under_way = self.under_way();
        while blocked < self.publishers.len() && under_way + fan <= window {
            let publisher = self.turn;
            self.turn = (self.turn + 1) % self.publishers.len();
            blocked += 1;
            for _ in 0..BURST {
                if under_way + fan > window || !self.may_publish(net, publisher) {
                    break;
                }
                self.publish(net, publisher, now);
                under_way += fan;
                blocked = 0;
            }
        }
        TICK
    }

    /// Everything that is due at this rate since `began`, stamped with the time when it was due: a
    /// slow broker does not hide its delay. How long to wait for the next.
    pub(super) fn publish_due(&mut self, net: &mut Net, began: u64, rate: u64) -> Duration {
        let due_at =
            |sent: u64| began + (u128::from(sent) * 1_000_000_000 / u128::from(rate)) as u64;
        let now = net.now();
        loop {
            let at = due_at(self.sent + 1);
            if at > now {
                return Duration::from_nanos(at.saturating_sub(net.now())).min(TICK);
            }
            let count = self.publishers.len();
            let ready = (0..count).map(|step| (self.turn + step) % count);
            let Some(publisher) = ready.into_iter().find(|who| self.may_publish(net, *who)) else {
                return Duration::from_millis(1);
            };
            self.turn = (publisher + 1) % count;
            self.publish(net, publisher, at);
        }
    }

    fn may_publish(&self, net: &Net, publisher: usize) -> bool {
        let publisher = &self.publishers[publisher];
        (self.qos == 0 || publisher.in_flight < IN_FLIGHT)
            && net.backlog(publisher.link) < BACKLOG_BYTES
    }

    fn publish(&mut self, net: &mut Net, number: usize, at: u64) {
        let count = self.publishers.len();
        let publisher = &mut self.publishers[number];
        let stream = publisher.next_stream;
        publisher.next_stream += count;
        if publisher.next_stream >= self.topics.len() {
            publisher.next_stream = number;
        }
        if self.qos > 0 {
            publisher.in_flight += 1;
            publisher.packet_id = publisher.packet_id.checked_add(1).unwrap_or(1);
        }
        self.numbers[stream] += 1;
        self.sent += 1;
        let stamp = Stamp { at, sequence: self.numbers[stream], stream: stream as u32 };
        let head = Publish {
            topic: self.topics[stream].as_bytes(),
            qos: self.qos,
            retain: false,
            dup: false,
            packet_id: publisher.packet_id,
            payload: &[],
        };
        let out = net.out(publisher.link);
        wire::publish(out, self.v5, head, self.payloads.size());
        self.payloads.write(stamp, out);
    }

    fn under_way(&self) -> u64 {
        (self.sent * self.fan).saturating_sub(self.delivered)
    }

    /// Messages that wait for their acknowledgement.
    pub(super) fn unacknowledged(&self) -> usize {
        self.publishers.iter().map(|publisher| publisher.in_flight).sum()
    }

    /// What was before is not measured.
    pub(super) fn measure_from_here(&mut self) {
        self.latencies.clear();
        self.measured = (self.delivered, self.delivered);
        self.measuring = true;
    }

    /// What comes from now on is not measured.
    pub(super) fn stop_measuring(&mut self) {
        self.measured.1 = self.delivered;
        self.measuring = false;
    }

    pub(super) fn delivered_while_measured(&self) -> u64 {
        self.measured.1 - self.measured.0
    }

    /// Whatever did not come is lost.
    pub(super) fn finish(&mut self) {
        self.faults.lost = self.under_way();
        self.faults.refused += self.unacknowledged() as u64;
    }

    fn delivery(&mut self, listener: Listener, first: usize, publish: Publish<'_>) {
        let stamp = self.payloads.read(publish.payload);
        let good = stamp.filter(|stamp| {
            let topic = self.topics.get(stamp.stream as usize);
            let as_published = publish.qos == self.qos && !publish.retain && !publish.dup;
            as_published && topic.is_some_and(|topic| topic.as_bytes() == publish.topic)
        });
        let Some(stamp) = good else {
            self.faults.damaged += 1;
            return;
        };
        let of_first = (stamp.stream as usize).checked_sub(listener.first);
        let Some(place) = of_first.filter(|place| place % listener.every == 0) else {
            self.faults.misrouted += 1;
            return;
        };
        match self.sequences[first + place / listener.every].arrived(stamp.sequence) {
            Arrival::InOrder => {}
            Arrival::Overtaken => self.faults.overtaken += 1,
            Arrival::Again => {
                self.faults.repeated += 1;
                return;
            }
        }
        self.delivered += 1;
        if self.measuring {
            self.latencies.record(self.now.saturating_sub(stamp.at));
        }
    }
}

impl Handler for Flow {
    fn arrived(&mut self, now: u64) {
        self.now = now;
    }

    fn packet(&mut self, link: usize, packet: Packet<'_>, out: &mut Vec<u8>) -> Then {
        match (packet, self.roles.get(link)) {
            (Packet::Publish(publish), Some(Role::Subscriber(listener, first))) => {
                match publish.qos {
                    1 => wire::acknowledge(out, PUBACK, publish.packet_id),
                    2 => wire::acknowledge(out, PUBREC, publish.packet_id),
                    _ => {}
                }
                self.delivery(*listener, *first, publish);
            }
            (Packet::Publish(_), _) => self.faults.misrouted += 1,
            (Packet::Acknowledgement { kind: PUBREL, packet_id, .. }, _) => {
                wire::acknowledge(out, PUBCOMP, packet_id);
            }
            (
                Packet::Acknowledgement { kind, packet_id, reason_code },
                Some(Role::Publisher(number)),
            ) => {
                let refused = reason_code >= 0x80;
                self.faults.refused += u64::from(refused);
                if kind == PUBREC && !refused {
                    wire::acknowledge(out, PUBREL, packet_id);
                } else {
                    let publisher = &mut self.publishers[*number];
                    publisher.in_flight = publisher.in_flight.saturating_sub(1);
                }
            }
            _ => {}
        }
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost += 1;
    }
}
