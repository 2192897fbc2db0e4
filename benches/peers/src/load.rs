//! The loads: what the generator does to one broker, and the figures that come of it. Each checks all
//! that it gets; what is not as it must be ends up in [`Outcome::faults`].

mod connect;
mod dial;
mod idle;
mod messages;
mod offline;
mod retained;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use rustls::ClientConfig;

use crate::{histogram::Histogram, net::Net, process::Usage, target::Target};

pub(crate) use self::{
    connect::Connects,
    idle::Idle,
    messages::{Messages, Shape},
    offline::Offline,
    retained::Retained,
};

/// How the generator speaks to a broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approach {
    /// MQTT 5.0 instead of 3.1.1.
    pub(crate) v5: bool,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) login: Login,
    /// Divides durations and counts: for a quick look.
    pub(crate) quick: bool,
}

/// Who the clients say that they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Login {
    #[default]
    Nobody,
    /// All of them the first user.
    First,
    /// Client `n` is user `n`.
    Each,
}

/// Figures of a run by name, and what was wrong.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) figures: BTreeMap<String, f64>,
    pub(crate) faults: Vec<String>,
}

impl Outcome {
    fn figure(&mut self, name: &str, value: f64) {
        self.figures.insert(name.to_owned(), value);
    }

    /// Notes the usual parts of latencies.
    fn latencies(&mut self, latencies: &Histogram) {
        for (name, part) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            self.figure(name, latencies.microseconds_at(part));
        }
    }

    /// Adds those of another load, their names with `suffix`.
    pub(crate) fn add(&mut self, other: Self, suffix: &str) {
        self.figures.extend(other.figures.into_iter().map(|(name, of)| (name + suffix, of)));
        self.faults.extend(other.faults);
    }
}

/// A load on one broker: connections, and what the broker used.
pub(crate) struct Session {
    net: Net,
    target: Target,
    approach: Approach,
}

impl Session {
    /// No connection yet.
    pub(crate) fn new(target: Target, approach: Approach) -> Result<Self> {
        let net = Net::new(target, approach.tls.clone(), approach.v5)?;
        Ok(Self { net, target, approach })
    }

    /// A clock of what the broker and we use.
    fn meter(&self) -> Result<Meter> {
        let broker = Usage::of(self.target.process())?;
        Ok(Meter {
            at: self.net.now(),
            process: self.target.process(),
            broker,
            ours: Usage::ours()?,
        })
    }

    /// A tenth of it for a quick look.
    fn count(&self, count: usize) -> usize {
        if self.approach.quick { (count / 10).max(1) } else { count }
    }
}

/// What the broker and the generator had used at one time.
struct Meter {
    at: u64,
    process: u32,
    broker: Usage,
    ours: Usage,
}

/// What they used since then.
struct Used {
    seconds: f64,
    broker: f64,
    ours: f64,
}

impl Meter {
    fn used(&self, net: &Net) -> Result<Used> {
        let broker = Usage::of(self.process)?.since(&self.broker);
        let ours = Usage::ours()?.since(&self.ours);
        Ok(Used { seconds: (net.now() - self.at) as f64 / 1e9, broker, ours })
    }
}

impl Used {
    /// Notes time and usage for each of `count` things.
    fn note(&self, outcome: &mut Outcome, count: u64, each: &str, a_second: &str) {
        outcome.figure(each, self.broker * 1e6 / count.max(1) as f64);
        outcome.figure(a_second, count as f64 / self.seconds);
        outcome.figure("broker_busy", self.broker / self.seconds);
        outcome.figure("generator_busy", self.ours / self.seconds);
    }
}

/// Whoever waits for something gives up when nothing came for this long.
const PATIENCE: Duration = Duration::from_secs(30);
