//! Publishers and subscribers: what a message costs, how many get through, and how long they take.

mod flow;

use std::time::Duration;

use anyhow::{Result, ensure};

use self::flow::{Flow, Listener};
use super::{
    Meter, Outcome, Session, Used,
    dial::{Dial, Patience},
};

/// Who gets what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each publisher has one subscriber.
    Pairs,
    /// Every subscriber gets everything.
    FanOut,
    /// One subscriber gets everything, by a wildcard.
    FanIn,
    /// Each topic has one exact subscriber, and one of those with a wildcard.
    Grid { topics: usize, wildcards: usize },
}

/// A load of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    pub(crate) shape: Shape,
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) qos: u8,
    pub(crate) payload_bytes: usize,
    /// Messages a second that are published; `None`: as many as go.
    pub(crate) rate: Option<u64>,
    /// Subscribers whose session outlives their connection.
    pub(crate) kept: bool,
    /// Subscriptions of others, whom nothing is published to.
    pub(crate) filters: usize,
    /// Connections beside, with a subscription each, that do nothing.
    pub(crate) idle: usize,
    /// How long is measured.
    pub(crate) time: Duration,
    /// The first levels of all topics.
    pub(crate) below: &'static str,
}

impl Messages {
    /// Ten pairs, QoS 0, 64 bytes, as fast as it goes.
    pub(crate) const PAIRS: Self = Self {
        shape: Shape::Pairs,
        publishers: 10,
        subscribers: 10,
        qos: 0,
        payload_bytes: 64,
        rate: None,
        kept: false,
        filters: 0,
        idle: 0,
        time: Duration::from_secs(3),
        below: "bench/site",
    };

    fn streams(&self) -> usize {
        match self.shape {
            Shape::Grid { topics, .. } => topics,
            Shape::Pairs | Shape::FanOut | Shape::FanIn => self.publishers,
        }
    }

    /// How many get each message.
    fn fan(&self) -> u64 {
        match self.shape {
            Shape::Pairs | Shape::FanIn => 1,
            Shape::FanOut => self.subscribers as u64,
            Shape::Grid { .. } => 2,
        }
    }

    /// Deliveries that may be under way.
    fn window(&self) -> u64 {
        (1_000 * self.fan()).min(20_000).max(self.fan())
    }

    /// Topics of all streams; levels are as many as those of the subscriptions of others.
    fn topics(&self) -> Vec<String> {
        let groups = match self.shape {
            Shape::Grid { wildcards, .. } => wildcards,
            Shape::Pairs | Shape::FanOut | Shape::FanIn => 100,
        };
        let topic = |stream| format!("{}/{}/line/m{stream}/state", self.below, stream % groups);
        (0..self.streams()).map(topic).collect()
    }

    /// Runs it.
    pub(crate) fn run(self, session: &mut Session) -> Result<Outcome> {
        let mut flow = self.prepare(session)?;
        let mut outcome = Outcome::default();
        let used = self.measure(session, &mut flow)?;
        let delivered = flow.delivered_while_measured();
        used.note(&mut outcome, delivered, "cpu_us_per_message", "messages_per_second");
        outcome.latencies(&flow.latencies);
        flow.finish();
        outcome.faults = flow.faults.sentences();
        if let (Some(rate), false) = (self.rate, session.approach.quick) {
            let reached = delivered as f64 / used.seconds / self.fan() as f64;
            if reached < 0.95 * rate as f64 {
                outcome.faults.push(format!("only {reached:.0} messages a second of {rate}"));
            }
        }
        Ok(outcome)
    }

    fn prepare(&self, session: &mut Session) -> Result<Flow> {
        self.bystanders(session)?;
        let topics = self.topics();
        let stay = Dial { clean_start: !self.kept, ..Dial::stay("s", self.subscribers) };
        let subscribers = session.dial(stay)?.links;
        let mut wanted = Vec::new();
        let mut listeners = Vec::new();
        for (number, link) in subscribers.iter().enumerate() {
            let (filters, every) = match self.shape {
                Shape::Pairs | Shape::Grid { .. } => {
                    let own = topics.iter().skip(number).step_by(self.subscribers);
                    (own.cloned().collect(), self.subscribers)
                }
                Shape::FanOut => (topics.clone(), 1),
                Shape::FanIn => (vec![format!("{}/+/line/+/state", self.below)], 1),
            };
            let first = if every == 1 { 0 } else { number };
            listeners.push((*link, Listener { first, every }));
            wanted.push((*link, filters));
        }
        if let Shape::Grid { wildcards, .. } = self.shape {
            let links = session.dial(Dial::stay("w", wildcards))?.links;
            for (number, link) in links.into_iter().enumerate() {
                listeners.push((link, Listener { first: number, every: wildcards }));
                wanted.push((link, vec![format!("{}/{number}/line/+/state", self.below)]));
            }
        }
        session.subscribe(wanted, self.qos)?;
        let publishers = session.dial(Dial::stay("p", self.publishers))?.links;
        let mut flow = Flow::new(topics, self.qos, self.payload_bytes, session.net.v5());
        flow.subscribers(&listeners, self.fan());
        flow.publishers(&publishers);
        Ok(flow)
    }

    /// Those beside whom the messages go their way.
    fn bystanders(&self, session: &mut Session) -> Result<()> {
        if self.idle > 0 {
            let links = session.dial(Dial::stay("i", self.idle))?.links;
            let own = |(number, link)| (link, vec![format!("idle/{number}")]);
            session.subscribe(links.into_iter().enumerate().map(own), self.qos)?;
        }
        if self.filters > 0 {
            let holders = self.filters.min(100);
            let links = session.dial(Dial::stay("f", holders))?.links;
            let (below, count) = (self.below, self.filters);
            let own = |(holder, link): (usize, usize)| {
                let numbers = (holder..count).step_by(holders);
                (link, numbers.map(|number| other_filter(below, number)).collect())
            };
            session.subscribe(links.into_iter().enumerate().map(own), self.qos)?;
        }
        Ok(())
    }

    /// Publishes; what is measured begins when all are warm.
    fn measure(&self, session: &mut Session, flow: &mut Flow) -> Result<Used> {
        let quick = if session.approach.quick { 5 } else { 1 };
        let time = (self.time / quick).as_nanos() as u64;
        let began = session.net.now();
        let warm = began + time / 4;
        let end = warm + time;
        let mut meter: Option<Meter> = None;
        let mut patience = Patience::new(began);
        let used = loop {
            let now = session.net.now();
            match &meter {
                None if now >= warm => {
                    meter = Some(session.meter()?);
                    flow.measure_from_here();
                }
                Some(meter) if now >= end => break meter.used(&session.net)?,
                _ => {}
            }
            let wait = match self.rate {
                Some(rate) => flow.publish_due(&mut session.net, began, rate),
                None => flow.publish_all(&mut session.net, self.window(), self.fan()),
            };
            session.net.turn(wait, flow)?;
            ensure!(flow.lost == 0, "a connection ended: {:?}", session.net.complaints());
            patience.check(now, flow.delivered, "deliveries")?;
        };
        flow.stop_measuring();
        self.drain(session, flow)?;
        Ok(used)
    }

    /// What is under way arrives, or is lost.
    fn drain(&self, session: &mut Session, flow: &mut Flow) -> Result<()> {
        let mut seen = (flow.delivered, session.net.now());
        while flow.delivered < flow.sent * self.fan() || flow.unacknowledged() > 0 {
            session.net.turn(Duration::from_millis(100), flow)?;
            let now = session.net.now();
            if flow.delivered != seen.0 {
                seen = (flow.delivered, now);
            }
            if Duration::from_nanos(now - seen.1) > LATE {
                break;
            }
        }
        Ok(())
    }
}

/// When nothing comes for this long, nothing will.
const LATE: Duration = Duration::from_secs(10);

/// A subscription that nothing is published to: one in ten has a `+`, one a `#`.
fn other_filter(below: &str, number: usize) -> String {
    let group = number % 100;
    match number / 100 % 10 {
        0 => format!("{below}/{group}/+/{number}/state"),
        1 => format!("{below}/{group}/line/{number}/#"),
        _ => format!("{below}/{group}/line/{number}/state"),
    }
}
