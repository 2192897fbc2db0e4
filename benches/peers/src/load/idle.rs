//! Connections on which nothing happens: what each holds in memory.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Outcome, Session, dial::Dial};
use crate::{
    net::{Handler, Then},
    process::resident_kib,
    wire::Packet,
};

/// How many connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) count: usize,
    /// Each with a subscription of its own.
    pub(crate) subscribed: bool,
}

/// How long nothing happens.
const REST: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Resting {
    lost: usize,
}

impl Handler for Resting {
    fn packet(&mut self, _: usize, _: Packet<'_>, _: &mut Vec<u8>) -> Then {
        Then::Stay
    }

    fn closed(&mut self, _: usize) {
        self.lost += 1;
    }
}

impl Idle {
    /// Runs it.
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome> {
        let process = session.target.process();
        let before = resident_kib(process)?;
        let dialed = session.dial(Dial::stay("i", self.count))?;
        if self.subscribed {
            let filters = |(number, link): (usize, &usize)| (*link, vec![format!("idle/{number}")]);
            session.subscribe(dialed.links.iter().enumerate().map(filters), 1)?;
        }
        session.rest(REST / 2)?;
        let meter = session.meter()?;
        session.rest(REST / 2)?;
        let used = meter.used(&session.net)?;
        let after = resident_kib(process)?;
        let mut outcome = Outcome::default();
        outcome.figure("resident_kib_per_connection", (after - before) / self.count as f64);
        outcome.figure("resident_kib_before", before);
        outcome.figure("resident_kib_after", after);
        outcome.figure("broker_busy", used.broker / used.seconds);
        Ok(outcome)
    }
}

impl Session {
    /// Lets time pass; an error if a connection ends meanwhile.
    pub(super) fn rest(&mut self, time: Duration) -> Result<()> {
        let until = self.net.now() + time.as_nanos() as u64;
        let mut resting = Resting::default();
        while self.net.now() < until {
            self.net.turn(Duration::from_millis(100), &mut resting)?;
        }
        ensure!(resting.lost == 0, "{} connections ended", resting.lost);
        Ok(())
    }
}
