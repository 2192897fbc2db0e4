//! The scenarios: what they are called, which variant of a broker they need, the load, and the figures
//! that are compared.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{
    Approach, Connects, Idle, Login, Messages, Offline, Outcome, Retained, Session, Shape,
};

/// A scenario.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) set: Set,
    pub(crate) variant: &'static str,
    pub(crate) load: Load,
    pub(crate) v5: bool,
    pub(crate) login: Login,
    /// The figures that are compared.
    pub(crate) rows: &'static [Row],
    /// Its place in a plot.
    pub(crate) family: Option<(&'static str, u64)>,
}

/// Which scenarios are run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// If nothing is said.
    Core,
    /// Those of the plots.
    Scale,
    /// What takes long.
    Proof,
}

impl Set {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Scale => "scale",
            Self::Proof => "proof",
        }
    }
}

/// A figure that is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) figure: &'static str,
    pub(crate) unit: &'static str,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    Connects(Connects),
    Idle(Idle),
    Messages(Messages),
    Offline(Offline),
    Retained(Retained),
    /// As fast as it goes, then at half of what that was.
    Saturation(Messages),
    /// The broker ends and starts again before the messages are handed over.
    Restart(Offline),
    /// Only the start, in a new folder and in one that was used.
    Start,
}

const CONNECT: &[Row] = &[Row { figure: "cpu_us_per_connect", unit: "µs of CPU per connect" }];
const MESSAGE: &[Row] = &[Row { figure: "cpu_us_per_message", unit: "µs of CPU per message" }];
const IDLE: &[Row] = &[Row { figure: "resident_kib_per_connection", unit: "KiB per connection" }];
const RETAINED: &[Row] = &[
    Row { figure: "cpu_us_per_stored", unit: "µs of CPU to store one" },
    Row { figure: "cpu_us_per_fetched", unit: "µs of CPU to fetch one" },
];
const OFFLINE: &[Row] = &[
    Row { figure: "cpu_us_per_queued", unit: "µs of CPU to queue one" },
    Row { figure: "cpu_us_per_drained", unit: "µs of CPU to hand one over" },
];
const RESTART: &[Row] = &[
    Row { figure: "start_again_ms", unit: "ms to the first client after it" },
    Row { figure: "cpu_us_per_drained", unit: "µs of CPU to hand one over" },
];
const SATURATION: &[Row] = &[
    Row { figure: "messages_per_second", unit: "messages a second" },
    Row { figure: "p50_us_at_half", unit: "µs, median at half of that" },
    Row { figure: "p99_us_at_half", unit: "µs, 99 % at half of that" },
    Row { figure: "p999_us_at_half", unit: "µs, 99.9 % at half of that" },
];
const RATE: &[Row] = &[
    Row { figure: "cpu_us_per_message", unit: "µs of CPU per message" },
    Row { figure: "p99_us", unit: "µs, 99 %" },
];
const START: &[Row] = &[
    Row { figure: "start_ms", unit: "ms to the first client" },
    Row { figure: "start_again_ms", unit: "ms to the first client, the second time" },
    Row { figure: "resident_kib", unit: "KiB with nobody connected" },
];

impl Scenario {
    fn new(name: &str, about: &str, load: Load, rows: &'static [Row]) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            set: Set::Core,
            variant: "plain",
            load,
            v5: false,
            login: Login::Nobody,
            rows,
            family: None,
        }
    }

    fn messages(name: &str, about: &str, messages: Messages) -> Self {
        Self::new(name, about, Load::Messages(messages), MESSAGE)
    }

    fn variant(self, variant: &'static str) -> Self {
        Self { variant, ..self }
    }

    fn login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    fn in_family(self, family: &'static str, place: u64) -> Self {
        Self { set: Set::Scale, family: Some((family, place)), ..self }
    }

    /// Puts it on a broker that serves.
    pub(crate) fn run(&self, session: &mut Session) -> Result<Outcome> {
        match self.load {
            Load::Connects(connects) => connects.run(session),
            Load::Idle(idle) => idle.run(session),
            Load::Messages(messages) => messages.run(session),
            Load::Offline(offline) => offline.run(session),
            Load::Retained(retained) => retained.run(session),
            Load::Saturation(_) | Load::Restart(_) | Load::Start => Ok(Outcome::default()),
        }
    }

    /// What the generator has to know, but for the certificate.
    pub(crate) fn approach(&self, quick: bool) -> Approach {
        Approach { v5: self.v5, tls: None, login: self.login, quick }
    }
}

/// All of them, in the order in which they are run.
pub(crate) fn all() -> Vec<Scenario> {
    let parts = [connecting(), pairs(), many(), kept(), plugins(), scale(), proof()];
    parts.into_iter().flatten().collect()
}

fn connecting() -> Vec<Scenario> {
    let connects = |count, at_a_time| Load::Connects(Connects { count, at_a_time });
    let idle = |subscribed| Load::Idle(Idle { count: 9_000, subscribed });
    vec![
        Scenario::new(
            "connect",
            "clients come and go, without password",
            connects(5_000, 64),
            CONNECT,
        ),
        Scenario::new(
            "connect-logged",
            "the same, each in the log of the broker",
            connects(5_000, 64),
            CONNECT,
        )
        .variant("logged"),
        Scenario::new(
            "connect-password",
            "each with a password of its own, the same $7$ hashes on all sides",
            connects(1_000, 32),
            CONNECT,
        )
        .variant("password")
        .login(Login::Each),
        Scenario::new(
            "tls-handshake",
            "TLS 1.3 with a full handshake, X25519 and ECDSA P-256",
            connects(1_500, 32),
            CONNECT,
        )
        .variant("tls"),
        Scenario::new("idle", "9,000 connections, nothing on them", idle(false), IDLE),
        Scenario::new("idle-subscribed", "each with one subscription", idle(true), IDLE),
        Scenario::new(
            "start",
            "from the start of the process to its first client",
            Load::Start,
            START,
        ),
    ]
}

fn pairs() -> Vec<Scenario> {
    let mut found = Vec::new();
    for qos in 0..=2 {
        for payload_bytes in [64, 1_024] {
            let messages = Messages { qos, payload_bytes, ..Messages::PAIRS };
            let name = format!("qos{qos}-{payload_bytes}");
            let about = format!("QoS {qos}, {payload_bytes} bytes, ten pairs, as fast as it goes");
            found.push(Scenario::messages(&name, &about, messages));
        }
    }
    for qos in 0..=2 {
        let messages = Messages { qos, rate: Some(5_000), ..Messages::PAIRS };
        let about = format!("QoS {qos}, 64 bytes, ten pairs, 5,000 messages a second");
        let load = Load::Messages(messages);
        found.push(Scenario::new(&format!("qos{qos}-rate"), &about, load, RATE));
    }
    for qos in 0..=1 {
        let about = format!("QoS {qos}, 64 bytes, ten pairs, in MQTT 5.0");
        let messages = Messages { qos, ..Messages::PAIRS };
        let scenario = Scenario::messages(&format!("qos{qos}-v5"), &about, messages);
        found.push(Scenario { v5: true, ..scenario }.variant("v5"));
    }
    let about = "QoS 0, 64 bytes, ten pairs, over TLS 1.3";
    found.push(Scenario::messages("tls-qos0", about, Messages::PAIRS).variant("tls"));
    let about = "QoS 0, 64 bytes: as fast as it goes, then the latency at half of that";
    found.push(Scenario::new("saturation", about, Load::Saturation(Messages::PAIRS), SATURATION));
    found
}

fn many() -> Vec<Scenario> {
    let fan_out =
        Messages { shape: Shape::FanOut, publishers: 1, subscribers: 1_000, ..Messages::PAIRS };
    let fan_in =
        Messages { shape: Shape::FanIn, publishers: 1_000, subscribers: 1, ..Messages::PAIRS };
    let grid = Messages {
        shape: Shape::Grid { topics: 10_000, wildcards: 100 },
        subscribers: 1_000,
        ..Messages::PAIRS
    };
    let tree = Messages { filters: 100_000, ..Messages::PAIRS };
    vec![
        Scenario::messages("fan-out", "one publisher, 1,000 subscribers", fan_out),
        Scenario::messages("fan-in", "1,000 publishers, one subscriber", fan_in),
        Scenario::messages("grid", "10,000 topics, 1,000 exact and 100 wildcard subscribers", grid),
        Scenario::messages("tree", "ten pairs beside 100,000 subscriptions of others", tree),
    ]
}

fn kept() -> Vec<Scenario> {
    let away = Offline { sessions: 1_000, messages: 100, payload_bytes: 64 };
    let offline = Load::Offline(away);
    let retained = Load::Retained(Retained { topics: 10_000, fetches: 10, payload_bytes: 64 });
    let about = "10,000 retained messages, fetched ten times";
    let mut found = vec![Scenario::new("retained", about, retained, RETAINED)];
    for (durability, variant) in
        [("memory", "kept-memory"), ("os", "kept-os"), ("fsync", "kept-fsync")]
    {
        let name = |load: &str| format!("{load}-{durability}");
        let about =
            format!("1,000 clients that are away, 100 messages each, durability {durability}");
        found.push(Scenario::new(&name("offline"), &about, offline, OFFLINE).variant(variant));
        for qos in 1..=2 {
            let messages = Messages { qos, kept: true, ..Messages::PAIRS };
            let about = format!("QoS {qos}, ten pairs, sessions kept, durability {durability}");
            let name = name(&format!("kept-qos{qos}"));
            found.push(Scenario::messages(&name, &about, messages).variant(variant));
        }
    }
    let about = "as offline-fsync, the broker ends and starts again before they come back";
    let restart = Scenario::new("restart", about, Load::Restart(away), RESTART);
    found.push(restart.variant("kept-fsync"));
    found
}

fn plugins() -> Vec<Scenario> {
    let up = Messages { below: "up/site", ..Messages::PAIRS };
    let none = "as qos0-64, with one user and no rules";
    let rules = "the same with 1,000 rules";
    let first = Login::First;
    let connect = |name, about, at_a_time| {
        let load = Load::Connects(Connects { count: 1_000, at_a_time });
        Scenario::new(name, about, load, CONNECT).login(Login::Each)
    };
    let security = "as rules-1000, mosquitto with its plugin dynamic-security";
    vec![
        connect(
            "connect-security",
            "as connect-password with 1,000 rules, mosquitto with its plugin dynamic-security",
            32,
        )
        .variant("security"),
        connect("connect-webhook", "as connect-password, a web service is asked for each", 16)
            .variant("webhook"),
        Scenario::messages("rules-security", security, Messages::PAIRS)
            .variant("security")
            .login(first),
        Scenario::messages("rules-none", none, Messages::PAIRS).variant("password").login(first),
        Scenario::messages("rules-1000", rules, Messages::PAIRS).variant("rules").login(first),
        Scenario::messages("transform-none", "as qos0-64, on other topics", up),
        Scenario::messages("transform", "the same, each payload through a plugin", up)
            .variant("transform"),
    ]
}

/// The families of the plots, by name, with what they show.
pub(crate) const FAMILIES: [(&str, &str, &str); 3] = [
    (
        "connections",
        "Connections, all of them busy, 5,000 messages a second together",
        "connections",
    ),
    ("idle-connections", "Ten busy pairs beside connections that do nothing", "idle connections"),
    ("subscriptions", "Ten busy pairs beside subscriptions of others", "subscriptions"),
];

fn scale() -> Vec<Scenario> {
    let mut found = Vec::new();
    for count in [10, 100, 1_000, 10_000] {
        let half = count as usize / 2;
        let busy =
            Messages { publishers: half, subscribers: half, rate: Some(5_000), ..Messages::PAIRS };
        let about = format!("{count} connections, half of them publish, 5,000 messages a second");
        let name = format!("connections-{count}");
        found.push(Scenario::messages(&name, &about, busy).in_family("connections", count));
    }
    for count in [10, 100, 1_000, 10_000] {
        let messages = Messages { idle: count as usize, ..Messages::PAIRS };
        let about = format!("ten pairs beside {count} idle connections with a subscription each");
        let name = format!("idle-connections-{count}");
        found
            .push(Scenario::messages(&name, &about, messages).in_family("idle-connections", count));
    }
    for count in [10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let messages = Messages { filters: count as usize, ..Messages::PAIRS };
        let about = format!("ten pairs beside {count} subscriptions of others");
        let name = format!("subscriptions-{count}");
        found.push(Scenario::messages(&name, &about, messages).in_family("subscriptions", count));
    }
    found
}

fn proof() -> Vec<Scenario> {
    let million = Retained { topics: 1_000_000, fetches: 1, payload_bytes: 64 };
    let about = "a million retained messages, fetched once";
    let long = Messages { time: Duration::from_secs(60), ..Messages::PAIRS };
    [
        Scenario::new("retained-million", about, Load::Retained(million), RETAINED),
        Scenario::messages("qos0-minute", "as qos0-64, for a minute", long),
    ]
    .map(|scenario| Scenario { set: Set::Proof, ..scenario })
    .into()
}

/// Those that the words name: a name, its beginning and `*`, or a set; without words the core.
pub(crate) fn chosen(words: &[String]) -> Result<Vec<Scenario>> {
    let core = [Set::Core.name().to_owned()];
    let words = if words.is_empty() { &core } else { words };
    let mut all = all();
    let fits = |word: &str, scenario: &Scenario| match word.strip_suffix('*') {
        Some(begin) => scenario.name.starts_with(begin),
        None => scenario.name == word || scenario.set.name() == word,
    };
    for word in words {
        let known = all.iter().any(|scenario| fits(word, scenario));
        ensure!(known, "there is no scenario {word}: see --list");
    }
    all.retain(|scenario| words.iter().any(|word| fits(word, scenario)));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().into_iter().map(|scenario| scenario.name).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn words_choose() {
        let names = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            let names = chosen(&words).map(|found| found.into_iter().map(|one| one.name).collect());
            names.map_err(|error| error.to_string())
        };
        let expected: Result<Vec<_>, _> = Ok(vec!["connect".to_owned(), "idle".to_owned()]);
        assert_eq!(names(&["idle", "connect"]), expected);
        assert_eq!(names(&["rules*"]).unwrap().len(), 3);
        assert_eq!(names(&["scale"]).unwrap().len(), 14);
        assert!(names(&[]).unwrap().contains(&"qos0-64".to_owned()));
        assert!(names(&["nothing"]).unwrap_err().contains("--list"));
    }

    #[test]
    fn every_family_is_drawn() {
        for scenario in all() {
            let Some((family, _)) = scenario.family else { continue };
            assert!(FAMILIES.iter().any(|(name, ..)| *name == family), "{family}");
        }
    }
}
