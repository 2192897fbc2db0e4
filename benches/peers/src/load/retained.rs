//! Retained messages: what it costs to store one, and to fetch one.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{
    Outcome, Session,
    dial::{Dial, Patience},
};
use crate::{
    net::{Handler, Then},
    order::Faults,
    payload::{Payloads, Stamp},
    wire::{self, PUBACK, Packet, Publish},
};

/// How many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retained {
    pub(crate) topics: usize,
    /// How often all of them are fetched.
    pub(crate) fetches: usize,
    pub(crate) payload_bytes: usize,
}

/// Messages that wait for their PUBACK.
const IN_FLIGHT: usize = 20;

struct Storing {
    acknowledged: u64,
    refused: u64,
    lost: bool,
}

impl Handler for Storing {
    fn packet(&mut self, _: usize, packet: Packet<'_>, _: &mut Vec<u8>) -> Then {
        if let Packet::Acknowledgement { kind: PUBACK, reason_code, .. } = packet {
            self.acknowledged += 1;
            self.refused += u64::from(reason_code >= 0x80);
        }
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost = true;
    }
}

struct Fetching {
    payloads: Payloads,
    seen: Vec<bool>,
    granted: bool,
    came: u64,
    faults: Faults,
    lost: bool,
}

impl Handler for Fetching {
    fn packet(&mut self, _: usize, packet: Packet<'_>, _: &mut Vec<u8>) -> Then {
        match packet {
            Packet::SubAck { granted } => self.granted = granted,
            Packet::Publish(publish) => self.message(publish),
            _ => {}
        }
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost = true;
    }
}

impl Fetching {
    fn message(&mut self, publish: Publish<'_>) {
        let good = self.payloads.read(publish.payload).filter(|stamp| {
            publish.retain && publish.topic == topic(stamp.stream as usize).as_bytes()
        });
        let seen = good.and_then(|stamp| self.seen.get_mut(stamp.stream as usize));
        match seen {
            None => self.faults.damaged += 1,
            Some(true) => self.faults.repeated += 1,
            Some(seen) => {
                *seen = true;
                self.came += 1;
            }
        }
    }
}

fn topic(number: usize) -> String {
    format!("kept/{}/{number}/state", number % 100)
}

impl Retained {
    /// Runs it.
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome> {
        let topics = session.count(self.topics);
        let mut outcome = Outcome::default();
        let before = crate::process::resident_kib(session.target.process())?;
        self.store(session, topics, &mut outcome)?;
        let after = crate::process::resident_kib(session.target.process())?;
        outcome.figure("resident_bytes_per_retained", (after - before) * 1024.0 / topics as f64);
        self.fetch(session, topics, &mut outcome)?;
        Ok(outcome)
    }

    fn store(self, session: &mut Session, topics: usize, outcome: &mut Outcome) -> Result<()> {
        let publisher = session.dial(Dial::stay("p", 1))?.links[0];
        let payloads = Payloads::new(self.payload_bytes);
        let meter = session.meter()?;
        let mut storing = Storing { acknowledged: 0, refused: 0, lost: false };
        let mut sent = 0;
        let mut patience = Patience::new(session.net.now());
        while storing.acknowledged < topics as u64 {
            while sent < topics && sent as u64 - storing.acknowledged < IN_FLIGHT as u64 {
                let topic = topic(sent);
                let head = Publish {
                    topic: topic.as_bytes(),
                    qos: 1,
                    retain: true,
                    dup: false,
                    packet_id: (sent % 60_000 + 1) as u16,
                    payload: &[],
                };
                let stamp = Stamp { at: 1, sequence: 1, stream: sent as u32 };
                let v5 = session.net.v5();
                let out = session.net.out(publisher);
                wire::publish(out, v5, head, payloads.size());
                payloads.write(stamp, out);
                sent += 1;
            }
            session.net.turn(Duration::from_millis(100), &mut storing)?;
            ensure!(!storing.lost, "a connection ended: {:?}", session.net.complaints());
            patience.check(session.net.now(), storing.acknowledged, "PUBACKs")?;
        }
        let used = meter.used(&session.net)?;
        used.note(outcome, topics as u64, "cpu_us_per_stored", "stored_per_second");
        outcome.faults = Faults { refused: storing.refused, ..Faults::default() }.sentences();
        Ok(())
    }

    fn fetch(self, session: &mut Session, topics: usize, outcome: &mut Outcome) -> Result<()> {
        let fetchers = session.dial(Dial::stay("f", self.fetches))?.links;
        let mut faults = Faults::default();
        let meter = session.meter()?;
        for link in fetchers {
            let mut fetching = Fetching {
                payloads: Payloads::new(self.payload_bytes),
                seen: vec![false; topics],
                granted: false,
                came: 0,
                faults: Faults::default(),
                lost: false,
            };
            let v5 = session.net.v5();
            wire::subscribe(session.net.out(link), v5, 1, &["kept/#".to_owned()], 0);
            let mut patience = Patience::new(session.net.now());
            while fetching.came < topics as u64 || !fetching.granted {
                session.net.turn(Duration::from_millis(100), &mut fetching)?;
                ensure!(!fetching.lost, "a connection ended: {:?}", session.net.complaints());
                patience.check(session.net.now(), fetching.came, "retained messages")?;
            }
            faults.damaged += fetching.faults.damaged;
            faults.repeated += fetching.faults.repeated;
            // It would get whatever is published to it next.
            session.net.leave(link)?;
        }
        let used = meter.used(&session.net)?;
        let count = (topics * self.fetches) as u64;
        used.note(outcome, count, "cpu_us_per_fetched", "fetched_per_second");
        outcome.faults.extend(faults.sentences());
        Ok(())
    }
}
