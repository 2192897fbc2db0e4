//! What happened to each client lately: connects, disconnects, refusals, limits, takeovers.
//!
//! In memory and bounded three ways: events of a client, bytes of all, and age; the clients that
//! nothing happened to for the longest time go first. Knows nothing of HTTP.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Happening, HappeningKind, Interest, Metrics, Observer, shown_username};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// For how long.
    pub keep: Duration,
    /// Events of one client.
    pub events_max: usize,
    /// Bytes of all.
    pub bytes_max: usize,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { keep: Duration::from_secs(24 * 3_600), events_max: 64, bytes_max: 32 << 20 }
    }
}

/// Bytes of one text.
const TEXT_BYTES_MAX: usize = 256;

/// One event of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// When it happened last, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// When it happened for the first of `times`.
    pub first_unix_ms: u64,
    /// How many times in a row, without anything else in between.
    pub times: u64,
    /// What.
    pub kind: HappeningKind,
    /// Address and port.
    pub remote: Option<std::net::SocketAddr>,
    /// Name of the listener.
    pub listener: Option<Box<str>>,
    /// The principal.
    pub principal: Option<Box<str>>,
    /// Name of a Reason Code or of a limit.
    pub reason: Option<Box<str>>,
    /// Names the decision.
    pub decision: Option<Box<str>>,
    /// The plugin that decided.
    pub plugin: Option<Box<str>>,
    /// Why, for the operator.
    pub cause: Option<Box<str>>,
    /// Topic Name or Topic Filter.
    pub topic: Option<Box<str>>,
    /// Bytes received and sent, and milliseconds connected.
    pub traffic: Option<[u64; 3]>,
}

/// The history of all clients. An [`Observer`].
#[derive(Debug)]
pub struct History {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: HistoryConfig,
    clients: HashMap<Arc<str>, Client>,
    /// By when something happened to them last, in order; ties are told apart by a number.
    by_age: BTreeMap<u64, Arc<str>>,
    last_turn: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Client {
    events: VecDeque<Past>,
    turn: u64,
}

const KINDS: [HappeningKind; 11] = [
    HappeningKind::Connected,
    HappeningKind::Authenticated,
    HappeningKind::ConnectRefused,
    HappeningKind::Disconnected,
    HappeningKind::TakenOver,
    HappeningKind::SessionEnded,
    HappeningKind::PublishDenied,
    HappeningKind::SubscribeDenied,
    HappeningKind::WillRefused,
    HappeningKind::ProtocolViolation,
    HappeningKind::ReadingPaused,
];

impl History {
    /// Begins to keep what happens from now on.
    pub fn start(config: HistoryConfig, metrics: &Metrics) -> Arc<Self> {
        let state = State {
            config,
            clients: HashMap::new(),
            by_age: BTreeMap::new(),
            last_turn: 0,
            bytes: 0,
        };
        let history = Arc::new(Self { state: Mutex::new(state) });
        if !config.keep.is_zero() {
            let observer = Arc::clone(&history) as Arc<dyn Observer>;
            metrics.observers.add(Interest::any_of(&KINDS), observer);
        }
        history
    }

    /// Other bounds from now on.
    pub fn set_config(&self, config: HistoryConfig) {
        let mut state = self.lock();
        state.config = config;
        state.make_room();
    }

    /// What happened to a client, the latest first. `now` = milliseconds since 1970.
    pub fn of(&self, client_id: &str, now_unix_ms: u64) -> Vec<Past> {
        let mut state = self.lock();
        let oldest = now_unix_ms.saturating_sub(millis(state.config.keep));
        state.forget_before(oldest);
        let Some(client) = state.clients.get(client_id) else { return Vec::new() };
        let kept = client.events.iter().rev().take_while(|event| event.at_unix_ms >= oldest);
        kept.cloned().collect()
    }

    /// Clients, and bytes in use.
    pub fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.clients.len(), state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for History {
    fn observe(&self, happening: &Happening<'_>) {
        let Some(client_id) = happening.client_id else { return };
        let client_id = cut(client_id);
        let event = Past::of(happening);
        let mut state = self.lock();
        let oldest = event.at_unix_ms.saturating_sub(millis(state.config.keep));
        state.note(&client_id, event);
        state.forget_before(oldest);
        state.make_room();
    }
}

impl State {
    fn note(&mut self, client_id: &str, event: Past) {
        self.last_turn += 1;
        let turn = self.last_turn;
        let key = match self.clients.get_key_value(client_id) {
            Some((key, _)) => Arc::clone(key),
            None => {
                let key: Arc<str> = client_id.into();
                self.bytes += CLIENT_BYTES + key.len();
                self.clients.insert(Arc::clone(&key), Client::default());
                key
            }
        };
        let Some(client) = self.clients.get_mut(&key) else { return };
        self.by_age.remove(&client.turn);
        client.turn = turn;
        self.by_age.insert(turn, key);
        if let Some(last) = client.events.back_mut().filter(|last| last.is_like(&event)) {
            last.times += 1;
            last.at_unix_ms = event.at_unix_ms;
            return;
        }
        self.bytes += event.bytes();
        client.events.push_back(event);
        while client.events.len() > self.config.events_max {
            let gone = client.events.pop_front();
            self.bytes -= gone.map_or(0, |event| event.bytes());
        }
    }

    fn forget_before(&mut self, oldest_unix_ms: u64) {
        // The clients of the front had nothing happen to them for the longest time.
        while let Some((_, client_id)) = self.by_age.first_key_value() {
            let last = self.clients.get(client_id).and_then(|client| client.events.back());
            if last.is_some_and(|event| event.at_unix_ms >= oldest_unix_ms) {
                return;
            }
            self.forget_first();
        }
    }

    fn make_room(&mut self) {
        while self.bytes > self.config.bytes_max && !self.by_age.is_empty() {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((_, client_id)) = self.by_age.pop_first() else { return };
        if let Some(client) = self.clients.remove(&client_id) {
            let events: usize = client.events.iter().map(Past::bytes).sum();
            self.bytes -= CLIENT_BYTES + client_id.len() + events;
        }
    }
}

impl Past {
    fn of(happening: &Happening<'_>) -> Self {
        let owned = |text: &str| Box::<str>::from(&*cut(text));
        let traffic = happening.bytes_received.map(|received| {
            let (sent, ms) = (happening.bytes_sent, happening.connected_ms);
            [received, sent.unwrap_or_default(), ms.unwrap_or_default()]
        });
        Self {
            at_unix_ms: happening.at_unix_ms,
            first_unix_ms: happening.at_unix_ms,
            times: 1,
            kind: happening.kind,
            remote: happening.remote,
            listener: happening.listener.map(owned),
            principal: happening.principal.map(shown_username).map(owned),
            reason: happening.reason.map(owned),
            decision: happening.decision.map(|decision| owned(&decision.to_string())),
            plugin: happening.plugin.map(owned),
            cause: happening.cause.map(|cause| owned(&cause.to_string())),
            topic: happening.topic.map(owned),
            traffic,
        }
    }

    /// Whether it is the same again, as far as anybody wants to know.
    fn is_like(&self, next: &Self) -> bool {
        let parts = |past: &Self| (past.kind, past.remote.map(|remote| remote.ip()));
        let repeats = !matches!(next.kind, HappeningKind::Connected | HappeningKind::Disconnected);
        repeats
            && parts(self) == parts(next)
            && self.reason == next.reason
            && self.topic == next.topic
            && self.cause == next.cause
    }

    fn bytes(&self) -> usize {
        let texts = [
            &self.listener,
            &self.principal,
            &self.reason,
            &self.decision,
            &self.plugin,
            &self.cause,
            &self.topic,
        ];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        size_of::<Self>() + texts
    }
}

/// A client in both maps, beside its name and its events.
const CLIENT_BYTES: usize = 192;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn cut(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= TEXT_BYTES_MAX {
        return text.into();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_unix_ms: u64, client_id: &str, kind: HappeningKind) -> Happening<'_> {
        Happening { at_unix_ms, client_id: Some(client_id), ..Happening::of(kind) }
    }

    fn history(config: HistoryConfig) -> Arc<History> {
        History::start(config, &Metrics::new())
    }

    #[test]
    fn the_latest_comes_first_and_repetitions_are_counted() {
        let history = history(HistoryConfig::default());
        history.observe(&event(1, "a", HappeningKind::Connected));
        for at in 2..12 {
            history.observe(&event(at, "a", HappeningKind::PublishDenied));
        }
        history.observe(&event(12, "b", HappeningKind::Connected));
        let of_a = history.of("a", 20);
        assert_eq!(of_a.len(), 2);
        let denied = &of_a[0];
        assert_eq!((denied.kind, denied.times), (HappeningKind::PublishDenied, 10));
        assert_eq!((denied.first_unix_ms, denied.at_unix_ms), (2, 11));
        assert_eq!(of_a[1].kind, HappeningKind::Connected);
        assert!(history.of("c", 20).is_empty());
    }

    #[test]
    fn events_of_a_client_are_bounded() {
        let history = history(HistoryConfig { events_max: 3, ..HistoryConfig::default() });
        for at in 0..10 {
            history.observe(&event(at, "a", HappeningKind::Connected));
        }
        let times: Vec<_> = history.of("a", 10).iter().map(|event| event.at_unix_ms).collect();
        assert_eq!(times, [9, 8, 7]);
    }

    #[test]
    fn bytes_are_bounded_and_the_quiet_go_first() {
        let history = history(HistoryConfig { bytes_max: 50_000, ..HistoryConfig::default() });
        history.observe(&event(0, "quiet", HappeningKind::Connected));
        for at in 1..2_000 {
            history.observe(&event(at, "busy", HappeningKind::Connected));
            history.observe(&event(at, &format!("client {at}"), HappeningKind::Connected));
            assert!(history.size().1 <= 50_000);
        }
        assert!(history.of("quiet", 2_000).is_empty());
        assert_eq!(history.of("busy", 2_000).len(), 64);
        history.set_config(HistoryConfig { bytes_max: 0, ..HistoryConfig::default() });
        assert_eq!(history.size(), (0, 0));
    }

    #[test]
    fn what_is_old_is_gone() {
        let keep = Duration::from_secs(1);
        let history = history(HistoryConfig { keep, ..HistoryConfig::default() });
        history.observe(&event(0, "a", HappeningKind::Connected));
        history.observe(&event(900, "a", HappeningKind::Disconnected));
        history.observe(&event(900, "b", HappeningKind::Connected));
        assert_eq!(history.of("a", 1_500).len(), 1);
        assert!(history.of("a", 2_500).is_empty());
        assert_eq!(history.size(), (0, 0));
    }
}
