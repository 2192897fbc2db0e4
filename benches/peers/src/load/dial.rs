//! Connecting many clients, subscribing them, and waiting until all that was answered.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Login, PATIENCE, Session};
use crate::{
    histogram::Histogram,
    net::{Handler, Then},
    wire::{self, Connect, Packet},
};

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    /// Client identifiers are this and a number.
    pub(super) role: &'static str,
    pub(super) count: usize,
    /// The user of the first client, where each is one.
    pub(super) first_user: usize,
    /// How many may wait for their CONNACK at a time.
    pub(super) at_a_time: usize,
    pub(super) clean_start: bool,
    /// Disconnect as soon as the CONNACK came.
    pub(super) and_leave: bool,
}

impl Dial {
    /// Clients that stay.
    pub(super) fn stay(role: &'static str, count: usize) -> Self {
        Self { role, count, first_user: 0, at_a_time: 64, clean_start: true, and_leave: false }
    }
}

/// What came of it.
pub(super) struct Dialed {
    /// The links, in the order of the clients.
    pub(super) links: Vec<usize>,
    pub(super) latencies: Histogram,
}

struct Dialing {
    first: usize,
    leave: bool,
    began: Vec<u64>,
    now: u64,
    done: usize,
    refused: Option<u8>,
    latencies: Histogram,
    lost: usize,
}

impl Handler for Dialing {
    fn arrived(&mut self, now: u64) {
        self.now = now;
    }

    fn packet(&mut self, link: usize, packet: Packet<'_>, _: &mut Vec<u8>) -> Then {
        let Packet::ConnAck { reason_code, .. } = packet else { return Then::Stay };
        let Some(began) = link.checked_sub(self.first).and_then(|of| self.began.get(of)) else {
            return Then::Stay;
        };
        self.done += 1;
        self.latencies.record(self.now - began);
        if reason_code != 0 {
            self.refused = Some(reason_code);
        }
        if self.leave { Then::Leave } else { Then::Stay }
    }

    fn closed(&mut self, _: usize) {
        self.lost += 1;
    }
}

impl Session {
    /// Connects clients; an error if one of them is refused or cut off.
    pub(super) fn dial(&mut self, dial: Dial) -> Result<Dialed> {
        let mut dialing = Dialing {
            first: self.net.links(),
            leave: dial.and_leave,
            began: Vec::with_capacity(dial.count),
            now: self.net.now(),
            done: 0,
            refused: None,
            latencies: Histogram::default(),
            lost: 0,
        };
        let mut patience = Patience::new(self.net.now());
        while dialing.done < dial.count {
            while dialing.began.len() < dial.count
                && dialing.began.len() - dialing.done < dial.at_a_time
            {
                let number = dialing.began.len();
                dialing.began.push(self.net.now());
                self.connect(dial, number)?;
            }
            self.net.turn(Duration::from_millis(100), &mut dialing)?;
            let refused = dialing.refused;
            ensure!(refused.is_none(), "CONNECT was answered with {refused:?}");
            let lost = dialing.lost;
            ensure!(lost == 0, "{lost} connections ended: {:?}", self.net.complaints());
            patience.check(self.net.now(), dialing.done as u64, "CONNACKs")?;
        }
        let links = (dialing.first..dialing.first + dial.count).collect();
        Ok(Dialed { links, latencies: dialing.latencies })
    }

    pub(super) fn connect(&mut self, dial: Dial, number: usize) -> Result<()> {
        let link = self.net.open()?;
        let who = match self.approach.login {
            Login::Nobody => None,
            Login::First => Some(0),
            Login::Each => Some(dial.first_user + number),
        };
        let login = who.map(|who| (crate::fixture::user(who), crate::fixture::password(who)));
        let client_id = format!("{}{number}", dial.role);
        let connect = Connect {
            v5: self.net.v5(),
            client_id: &client_id,
            login: login.as_ref().map(|(user, password)| (user.as_str(), password.as_str())),
            clean_start: dial.clean_start,
        };
        connect.encode(self.net.out(link));
        Ok(())
    }

    /// Subscribes each link to its filters and waits until all of it is granted.
    pub(super) fn subscribe(
        &mut self,
        wanted: impl IntoIterator<Item = (usize, Vec<String>)>,
        qos: u8,
    ) -> Result<()> {
        let v5 = self.net.v5();
        let mut granting = Granting::default();
        let mut sent = 0;
        let mut patience = Patience::new(self.net.now());
        for (link, filters) in wanted {
            for (number, part) in filters.chunks(FILTERS_PER_SUBSCRIBE).enumerate() {
                let packet_id = (number % 60_000 + 1) as u16;
                wire::subscribe(self.net.out(link), v5, packet_id, part, qos);
                sent += 1;
                // Not more ahead of the broker than it can take.
                while sent - granting.answered > SUBSCRIBES_AHEAD {
                    self.grant(&mut granting, &mut patience)?;
                }
            }
        }
        while granting.answered < sent {
            self.grant(&mut granting, &mut patience)?;
        }
        Ok(())
    }

    fn grant(&mut self, granting: &mut Granting, patience: &mut Patience) -> Result<()> {
        self.net.turn(Duration::from_millis(100), granting)?;
        ensure!(!granting.refused, "a subscription was refused");
        ensure!(!granting.lost, "a connection ended: {:?}", self.net.complaints());
        patience.check(self.net.now(), granting.answered, "SUBACKs")
    }
}

const FILTERS_PER_SUBSCRIBE: usize = 100;
const SUBSCRIBES_AHEAD: u64 = 64;

#[derive(Default)]
struct Granting {
    answered: u64,
    refused: bool,
    lost: bool,
}

impl Handler for Granting {
    fn packet(&mut self, _: usize, packet: Packet<'_>, _: &mut Vec<u8>) -> Then {
        if let Packet::SubAck { granted } = packet {
            self.answered += 1;
            self.refused |= !granted;
        }
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost = true;
    }
}

/// Gives up when nothing happens for [`PATIENCE`].
pub(super) struct Patience {
    since: u64,
    seen: u64,
}

impl Patience {
    pub(super) fn new(now: u64) -> Self {
        Self { since: now, seen: 0 }
    }

    /// An error if `count` is what it was for too long.
    pub(super) fn check(&mut self, now: u64, count: u64, what: &str) -> Result<()> {
        if count != self.seen {
            (self.since, self.seen) = (now, count);
        }
        let waited = Duration::from_nanos(now - self.since);
        ensure!(waited < PATIENCE, "no more {what} for {PATIENCE:?}, {count} came");
        Ok(())
    }
}
