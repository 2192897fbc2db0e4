//! Sessions whose clients are away: what it costs to queue a message for one, and to hand it over
//! when the client comes back.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    Outcome, Session,
    dial::{Dial, Patience},
};
use crate::{
    net::{Handler, Then},
    order::{Arrival, Faults, Sequence},
    payload::{Payloads, Stamp},
    wire::{self, PUBACK, Packet, Publish},
};

/// How many sessions, and messages for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offline {
    pub(crate) sessions: usize,
    pub(crate) messages: usize,
    pub(crate) payload_bytes: usize,
}

const PUBLISHERS: usize = 10;
/// Messages of one publisher that wait for their PUBACK.
const IN_FLIGHT: usize = 20;

struct Queueing {
    first: usize,
    in_flight: [usize; PUBLISHERS],
    acknowledged: u64,
    refused: u64,
    lost: bool,
}

impl Handler for Queueing {
    fn packet(&mut self, link: usize, packet: Packet<'_>, _: &mut Vec<u8>) -> Then {
        if let Packet::Acknowledgement { kind: PUBACK, reason_code, .. } = packet {
            self.acknowledged += 1;
            self.refused += u64::from(reason_code >= 0x80);
            self.in_flight[link - self.first] -= 1;
        }
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost = true;
    }
}

struct Draining {
    first: usize,
    payloads: Payloads,
    sequences: Vec<Sequence>,
    came: u64,
    faults: Faults,
    lost: bool,
    resumed: usize,
}

impl Handler for Draining {
    fn packet(&mut self, link: usize, packet: Packet<'_>, out: &mut Vec<u8>) -> Then {
        match packet {
            Packet::Publish(publish) => {
                wire::acknowledge(out, PUBACK, publish.packet_id);
                self.message(link - self.first, publish);
            }
            Packet::ConnAck { session_present: true, reason_code: 0 } => self.resumed += 1,
            Packet::ConnAck { .. } => self.faults.refused += 1,
            _ => {}
        }
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost = true;
    }
}

impl Draining {
    fn message(&mut self, session: usize, publish: Publish<'_>) {
        let good = self.payloads.read(publish.payload).filter(|stamp| {
            let expected = topic(stamp.stream as usize);
            publish.qos == 1 && !publish.dup && publish.topic == expected.as_bytes()
        });
        let Some(stamp) = good else {
            self.faults.damaged += 1;
            return;
        };
        if stamp.stream as usize != session {
            self.faults.misrouted += 1;
            return;
        }
        match self.sequences[session].arrived(stamp.sequence) {
            Arrival::InOrder => {}
            Arrival::Overtaken => self.faults.overtaken += 1,
            Arrival::Again => {
                self.faults.repeated += 1;
                return;
            }
        }
        self.came += 1;
    }
}

fn topic(session: usize) -> String {
    format!("away/{session}")
}

impl Offline {
    /// Runs it.
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome> {
        let mut outcome = self.fill(session)?;
        self.hand_over(session, &mut outcome)?;
        Ok(outcome)
    }

    fn clients(self, session: &Session) -> Dial {
        let count = session.count(self.sessions);
        Dial { clean_start: false, ..Dial::stay("away", count) }
    }

    /// Makes the sessions and queues their messages.
    pub(crate) fn fill(self, session: &mut Session) -> Result<Outcome> {
        let clients = self.clients(session);
        let links = session.dial(clients)?.links;
        let own = |(number, link): (usize, &usize)| (*link, vec![topic(number)]);
        session.subscribe(links.iter().enumerate().map(own), 1)?;
        for link in links {
            session.net.leave(link)?;
        }
        // Nothing is sent to a client whose goodbye has not been read.
        session.rest(Duration::from_millis(300))?;
        let mut outcome = Outcome::default();
        self.queue(session, clients.count, &mut outcome)?;
        Ok(outcome)
    }

    /// The clients come back, and get everything.
    pub(crate) fn hand_over(self, session: &mut Session, outcome: &mut Outcome) -> Result<()> {
        self.drain(session, self.clients(session), outcome)
    }

    fn queue(self, session: &mut Session, sessions: usize, outcome: &mut Outcome) -> Result<()> {
        let links = session.dial(Dial::stay("p", PUBLISHERS))?.links;
        let payloads = Payloads::new(self.payload_bytes);
        let all = (sessions * self.messages) as u64;
        let meter = session.meter()?;
        let mut queueing = Queueing {
            first: links[0],
            in_flight: [0; PUBLISHERS],
            acknowledged: 0,
            refused: 0,
            lost: false,
        };
        // Each publisher has every tenth session, round by round.
        let mut next = [0; PUBLISHERS];
        let mut patience = Patience::new(session.net.now());
        let v5 = session.net.v5();
        while queueing.acknowledged < all {
            for (number, link) in links.iter().enumerate() {
                let own = (sessions - number.min(sessions)).div_ceil(PUBLISHERS);
                while queueing.in_flight[number] < IN_FLIGHT && next[number] < own * self.messages {
                    let stream = next[number] % own * PUBLISHERS + number;
                    let sequence = (next[number] / own + 1) as u32;
                    let topic = topic(stream);
                    let head = Publish {
                        topic: topic.as_bytes(),
                        qos: 1,
                        retain: false,
                        dup: false,
                        packet_id: (next[number] % 60_000 + 1) as u16,
                        payload: &[],
                    };
                    let out = session.net.out(*link);
                    wire::publish(out, v5, head, payloads.size());
                    payloads.write(Stamp { at: 1, sequence, stream: stream as u32 }, out);
                    next[number] += 1;
                    queueing.in_flight[number] += 1;
                }
            }
            session.net.turn(Duration::from_millis(100), &mut queueing)?;
            ensure!(!queueing.lost, "a connection ended: {:?}", session.net.complaints());
            patience.check(session.net.now(), queueing.acknowledged, "PUBACKs")?;
        }
        let used = meter.used(&session.net)?;
        used.note(outcome, all, "cpu_us_per_queued", "queued_per_second");
        outcome.faults = Faults { refused: queueing.refused, ..Faults::default() }.sentences();
        Ok(())
    }

    fn drain(self, session: &mut Session, clients: Dial, outcome: &mut Outcome) -> Result<()> {
        let all = (clients.count * self.messages) as u64;
        let mut draining = Draining {
            first: session.net.links(),
            payloads: Payloads::new(self.payload_bytes),
            sequences: vec![Sequence::default(); clients.count],
            came: 0,
            faults: Faults::default(),
            lost: false,
            resumed: 0,
        };
        let meter = session.meter()?;
        // Messages come as soon as a client is back, so connecting belongs to it.
        for number in 0..clients.count {
            session.connect(clients, number)?;
            if number % 64 == 63 {
                session.net.turn(Duration::ZERO, &mut draining)?;
            }
        }
        let mut patience = Patience::new(session.net.now());
        while draining.came < all {
            session.net.turn(Duration::from_millis(100), &mut draining)?;
            ensure!(!draining.lost, "a connection ended: {:?}", session.net.complaints());
            patience.check(session.net.now(), draining.came, "queued messages")?;
        }
        let used = meter.used(&session.net)?;
        used.note(outcome, all, "cpu_us_per_drained", "drained_per_second");
        if draining.resumed != clients.count {
            let (resumed, count) = (draining.resumed, clients.count);
            outcome.faults.push(format!("only {resumed} of {count} sessions were still there"));
        }
        outcome.faults.extend(draining.faults.sentences());
        Ok(())
    }
}
