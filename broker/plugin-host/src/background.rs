//! Hooks that nobody waits for: timers, and events in batches. Owns the tasks that call them, one per
//! hook and live generation.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use access::{Event, EventKinds, EventSink};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use telemetry::{EscapedDisplay, PluginCallRecord};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    generation::Generation,
    hooks::{events::OnEvents, timer::OnTimer},
    instance::Call,
};

/// Events that wait for one plugin, and how many it is given at once.
const WAITING_MAX: usize = 4_096;
const BATCH_MAX: usize = 256;
/// How long events are gathered.
const GATHER: Duration = Duration::from_millis(100);

/// An event with its time in milliseconds since 1970.
pub(crate) type Stamped = (u64, Event);

/// The live generations with such hooks.
pub(crate) struct Background {
    running: Vec<Running>,
    hub: Arc<Hub>,
}

/// One generation and its tasks; they end with it. A call that runs goes on to its end.
struct Running {
    generation: Arc<Generation>,
    listener: Option<Arc<Listener>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Background {
    pub(crate) fn new() -> Self {
        Self { running: Vec::new(), hub: Arc::default() }
    }

    /// Where the broker tells what happens.
    pub(crate) fn sink(&self) -> Arc<dyn EventSink> {
        Arc::clone(&self.hub) as _
    }

    /// These are live from now on, and no others.
    pub(crate) fn set(&mut self, live: &[Arc<Generation>]) {
        let is = |one: &Running, other: &Arc<Generation>| Arc::ptr_eq(&one.generation, other);
        self.running.retain(|running| live.iter().any(|generation| is(running, generation)));
        for generation in live {
            if !self.running.iter().any(|running| is(running, generation)) {
                self.running.extend(start(generation));
            }
        }
        let listeners = self.running.iter().filter_map(|running| running.listener.clone());
        self.hub.set(listeners.collect());
    }
}

fn start(generation: &Arc<Generation>) -> Option<Running> {
    let mut tasks = Vec::new();
    if let Some(interval) = generation.claims.timer {
        tasks.push(tokio::spawn(keep_time(Arc::clone(generation), interval)));
    }
    let listener = generation.claims.events.map(|wanted| Arc::new(Listener::new(wanted)));
    if let Some(listener) = &listener {
        tasks.push(tokio::spawn(hand_on(Arc::clone(generation), Arc::clone(listener))));
    }
    let generation = Arc::clone(generation);
    (!tasks.is_empty()).then_some(Running { generation, listener, tasks })
}

async fn keep_time(generation: Arc<Generation>, interval: Duration) {
    loop {
        let begun = Instant::now();
        let asked = generation.ask(OnTimer).await;
        note(&generation, OnTimer::HOOK, begun, asked.is_ok());
        if let Err(failure) = asked {
            let (plugin, error) = (&*generation.name, EscapedDisplay(&failure));
            tracing::warn!(event = "timer_failed", plugin, %error, "a plugin's timer failed");
        }
        tokio::time::sleep(interval).await;
    }
}

async fn hand_on(generation: Arc<Generation>, listener: Arc<Listener>) {
    loop {
        listener.some.notified().await;
        tokio::time::sleep(GATHER).await;
        loop {
            let (batch, dropped) = listener.take();
            if batch.is_empty() {
                break;
            }
            // Counted by the generation, and of no other consequence.
            let begun = Instant::now();
            let asked = generation.ask(OnEvents::new(batch, dropped)).await;
            note(&generation, OnEvents::HOOK, begun, asked.is_ok());
        }
    }
}

fn note(generation: &Generation, hook: &str, begun: Instant, done: bool) {
    let (verdict, elapsed) = (if done { "done" } else { "failure" }, begun.elapsed());
    generation.times.observe(hook, verdict, elapsed);
    let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let (plugin, cached, topic) = (&*generation.name, false, None);
    let call = PluginCallRecord { plugin, hook, verdict, microseconds, cached, topic };
    generation.runtime.plugin_metrics.note_call(&call);
}

/// What waits for one plugin.
struct Listener {
    wanted: EventKinds,
    waiting: Mutex<VecDeque<Stamped>>,
    dropped: AtomicU64,
    some: Notify,
}

impl Listener {
    fn new(wanted: EventKinds) -> Self {
        let (waiting, some) = (Mutex::default(), Notify::new());
        Self { wanted, waiting, dropped: AtomicU64::new(0), some }
    }

    fn push(&self, event: Stamped) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back(event);
        drop(waiting);
        self.some.notify_one();
    }

    /// The next batch, and how many were lost before it.
    fn take(&self) -> (Vec<Stamped>, u64) {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(BATCH_MAX);
        (waiting.drain(..count).collect(), self.dropped.swap(0, Ordering::Relaxed))
    }
}

/// Everybody who wants to know.
#[derive(Default)]
struct Hub {
    listeners: ArcSwap<Vec<Arc<Listener>>>,
    wanted: AtomicU8,
}

impl Hub {
    fn set(&self, listeners: Vec<Arc<Listener>>) {
        let wanted = listeners.iter().map(|listener| listener.wanted);
        let wanted = wanted.fold(EventKinds::default(), EventKinds::with);
        self.listeners.store(Arc::new(listeners));
        self.wanted.store(wanted.0, Ordering::Relaxed);
    }
}

impl EventSink for Hub {
    fn wanted(&self) -> EventKinds {
        EventKinds(self.wanted.load(Ordering::Relaxed))
    }

    fn tell(&self, event: Event) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let kind = event.kind();
        for listener in self.listeners.load().iter().filter(|l| l.wanted.has(kind)) {
            listener.push((now, event.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let hub = Hub::default();
        let wanted = EventKinds::SESSION_EXPIRED;
        let (one, other) =
            (Arc::new(Listener::new(wanted)), Arc::new(Listener::new(EventKinds::CONNECTED)));
        hub.set(vec![Arc::clone(&one), Arc::clone(&other)]);
        assert!(hub.wanted().has(wanted) && hub.wanted().has(EventKinds::CONNECTED));
        assert!(!hub.wanted().has(EventKinds::SUBSCRIBED));
        for _ in 0..WAITING_MAX + 3 {
            hub.tell(Event::SessionExpired("c".into()));
        }
        let (first, dropped) = one.take();
        assert_eq!((first.len(), dropped), (BATCH_MAX, 3));
        let mut rest = 0;
        loop {
            let (batch, dropped) = one.take();
            assert_eq!(dropped, 0);
            if batch.is_empty() {
                break;
            }
            rest += batch.len();
        }
        assert_eq!(rest, WAITING_MAX - BATCH_MAX);
        assert!(other.take().0.is_empty());
    }
}
