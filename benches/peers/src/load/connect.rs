//! Clients that connect and leave at once: what a connection costs.

use anyhow::Result;

use super::{Outcome, Session, dial::Dial};

/// How many connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connects {
    pub(crate) count: usize,
    pub(crate) at_a_time: usize,
}

/// How many connect before those that are measured.
const FIRST: usize = 50;

impl Connects {
    /// Runs it.
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome> {
        let count = session.count(self.count);
        let all = Dial {
            role: "c",
            count,
            first_user: FIRST,
            at_a_time: self.at_a_time,
            clean_start: true,
            and_leave: true,
        };
        // The first ones find caches cold. Others than those that are measured, or their
        // passwords would be known.
        session.dial(Dial { role: "w", count: FIRST, first_user: 0, ..all })?;
        let meter = session.meter()?;
        let dialed = session.dial(all)?;
        let used = meter.used(&session.net)?;
        let mut outcome = Outcome::default();
        used.note(&mut outcome, count as u64, "cpu_us_per_connect", "connects_per_second");
        outcome.latencies(&dialed.latencies);
        Ok(outcome)
    }
}

impl Session {
    /// One client that comes and goes: an error if it is not let in.
    pub(crate) fn knock(&mut self) -> Result<()> {
        let role = Dial { and_leave: true, ..Dial::stay("k", 1) };
        self.dial(role).map(drop)
    }
}
