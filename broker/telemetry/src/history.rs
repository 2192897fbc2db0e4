//! What happened to each client lately: connects, disconnects, refusals, limits, takeovers.
//!
//! In memory and bounded three ways: events of a client, bytes of all, and age; the clients that
//! nothing happened to for the longest time go first. What a stranger can cause under the name of
//! another, by trying to connect as it, has a quarter of events and bytes for itself: it pushes out
//! its like and nothing else. Knows nothing of HTTP.

mod events;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use self::events::{Event, Events, cut};
use crate::{Happening, HappeningKind, Interest, Metrics, Observer};

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
    /// What clients did.
    own: Book,
    /// What was tried in their names.
    claimed: Book,
}

/// Events by client.
#[derive(Debug)]
struct Book {
    /// By when something happened to them last.
    clients: LruCache<Box<str>, Events>,
    bytes: usize,
    /// Before that nobody is old enough to be forgotten.
    next_old_unix_ms: u64,
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
        let state = State { config, own: Book::empty(), claimed: Book::empty() };
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
        (state.own.next_old_unix_ms, state.claimed.next_old_unix_ms) = (0, 0);
        state.make_room();
    }

    /// What happened to a client, the latest first. `now` = milliseconds since 1970.
    pub fn of(&self, client_id: &str, now_unix_ms: u64) -> Vec<Past> {
        let mut state = self.lock();
        state.forget_old(now_unix_ms);
        let oldest = now_unix_ms.saturating_sub(millis(state.config.keep));
        let mut events: Vec<_> = [&state.claimed, &state.own]
            .into_iter()
            .filter_map(|book| book.clients.peek(client_id))
            .flat_map(Events::iter)
            .filter(|event| event.at_unix_ms >= oldest)
            .collect();
        // Stable: what is the client's own is the later one of two at the same time.
        events.sort_by_key(|event| event.at_unix_ms);
        events.into_iter().rev().take(state.config.events_max).map(Event::into_past).collect()
    }

    /// Clients, and bytes in use.
    pub fn size(&self) -> (usize, usize) {
        let state = self.lock();
        let State { own, claimed, .. } = &*state;
        let unknown = claimed.clients.iter().filter(|(name, _)| !own.clients.contains(*name));
        (own.clients.len() + unknown.count(), own.bytes + claimed.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for History {
    fn observe(&self, happening: &Happening<'_>) {
        let Some(client_id) = happening.client_id else { return };
        if is_told_by_the_next(happening) {
            return;
        }
        let event = Event::of(happening);
        let mut state = self.lock();
        state.note(&cut(client_id), event);
        state.forget_old(happening.at_unix_ms);
        state.make_room();
    }
}

/// At CONNECT: what follows, that it is connected or was refused, says who proved it and in which decision.
fn is_told_by_the_next(happening: &Happening<'_>) -> bool {
    happening.kind == HappeningKind::Authenticated && happening.reason.is_none()
}

impl State {
    fn note(&mut self, client_id: &str, event: Event<'_>) {
        let most = self.config.events_max;
        if event.is_claimed() {
            self.claimed.note(client_id, event, (most / CLAIMED_SHARE).max(1));
        } else {
            self.own.note(client_id, event, most);
        }
    }

    fn forget_old(&mut self, now_unix_ms: u64) {
        let keep = millis(self.config.keep);
        self.own.forget_old(now_unix_ms, keep);
        self.claimed.forget_old(now_unix_ms, keep);
    }

    fn make_room(&mut self) {
        let most = self.config.bytes_max;
        self.claimed.shrink_to(most / CLAIMED_SHARE);
        self.own.shrink_to(most.saturating_sub(self.claimed.bytes));
    }
}

impl Book {
    fn empty() -> Self {
        Self { clients: LruCache::unbounded(), bytes: 0, next_old_unix_ms: 0 }
    }

    fn note(&mut self, client_id: &str, event: Event<'_>, events_max: usize) {
        if let Some(events) = self.clients.get_mut(client_id) {
            let before = events.memory();
            events.push(event, events_max);
            self.bytes = self.bytes + events.memory() - before;
            return;
        }
        let mut events = Events::default();
        events.push(event, events_max);
        self.bytes += bytes_of(client_id, &events);
        self.clients.put(client_id.into(), events);
    }

    fn forget_old(&mut self, now_unix_ms: u64, keep_ms: u64) {
        if now_unix_ms < self.next_old_unix_ms {
            return;
        }
        // Nothing happened to the first for the longest time.
        while let Some((_, events)) = self.clients.peek_lru() {
            let last = events.last().map_or(0, |event| event.at_unix_ms);
            if last >= now_unix_ms.saturating_sub(keep_ms) {
                self.next_old_unix_ms = last.saturating_add(keep_ms);
                return;
            }
            self.forget_first();
        }
    }

    fn shrink_to(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && !self.clients.is_empty() {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((client_id, events)) = self.clients.pop_lru() {
            self.bytes -= bytes_of(&client_id, &events);
        }
    }
}

fn bytes_of(client_id: &str, events: &Events) -> usize {
    CLIENT_BYTES + client_id.len() + events.memory()
}

/// The part of events and bytes that is for what strangers can cause: one in so many.
const CLAIMED_SHARE: usize = 4;
/// A client beside its name and its events: its place in the table and in the order.
const CLIENT_BYTES: usize = 128;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

    /// A login and its connect are one event; a login of a connected client is one of its own.
    #[test]
    fn a_login_is_told_once() {
        let history = history(HistoryConfig::default());
        history.observe(&event(1, "a", HappeningKind::Authenticated));
        assert_eq!(history.size(), (0, 0));
        let plugin = Some("gate");
        history.observe(&Happening { plugin, ..event(1, "a", HappeningKind::Connected) });
        let again = event(2, "a", HappeningKind::Authenticated);
        history.observe(&Happening { reason: Some("again"), ..again });
        let of_a = history.of("a", 3);
        let kinds: Vec<_> = of_a.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [HappeningKind::Authenticated, HappeningKind::Connected]);
        assert_eq!(of_a[1].plugin.as_deref(), plugin);
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
    fn strangers_push_out_no_event_of_a_client() {
        let history = history(HistoryConfig { bytes_max: 100_000, ..HistoryConfig::default() });
        for at in 0..20 {
            history.observe(&event(at, "a", HappeningKind::Connected));
        }
        let refused = |at: u64, client_id: &str, cause: &str, reason: &str| {
            history.observe(&Happening {
                cause: Some(&cause),
                reason: Some(reason),
                ..event(at, client_id, HappeningKind::ConnectRefused)
            });
        };
        // The wait is another one each time; that is one event.
        for at in 100..200 {
            refused(at, "a", &format!("wait {at} s"), "connection_rate_exceeded");
        }
        assert_eq!(history.of("a", 200).len(), 21);
        assert_eq!(history.of("a", 200)[0].times, 100);
        // Under its name as well as under any other.
        for at in 200..5_000 {
            refused(at, "a", "", &format!("reason {at}"));
            refused(at, &format!("random {at}"), "", "not_authorized");
            assert!(history.lock().claimed.bytes <= 25_000);
        }
        refused(5_000, "a", "", "last");
        let of_a = history.of("a", 5_000);
        let own = of_a.iter().filter(|event| event.kind == HappeningKind::Connected).count();
        assert_eq!(own, 20, "{of_a:?}");
        assert!(of_a.len() <= 20 + 16 && of_a[0].reason.as_deref() == Some("last"));
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
