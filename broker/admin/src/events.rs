//! What happens, for those who watch: an observer that hands each event to every open stream and keeps the latest for
//! those who come back.
//!
//! Knows nothing of HTTP: `stream` speaks it. With no stream open it sees no event. What a slow stream cannot take is
//! lost to it alone, and it is told how much.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use telemetry::{Entry, Happening, HappeningKind, Interest, Metrics, Observer, ObserverId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

pub(crate) mod stream;

/// Streams at once.
pub(crate) const STREAMS_MAX: usize = 32;
/// Events that wait for the slowest stream, and that are kept for those who come back.
const EVENTS_MAX: usize = 1_024;
/// How long events are kept after the last stream ended.
const LINGER: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 60_000 });

/// An event as it waits: written once, for all who watch.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// One more than that of the event before.
    pub(crate) number: u64,
    pub(crate) kind: HappeningKind,
    /// An [`Entry`] in JSON.
    pub(crate) entry: String,
    pub(crate) user: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) status: Option<u16>,
}

/// See the module.
pub(crate) struct Hub {
    metrics: Arc<Metrics>,
    /// Numbers of another process mean nothing here.
    epoch: u64,
    id: OnceLock<ObserverId>,
    slots: Arc<Semaphore>,
    open: AtomicUsize,
    sender: broadcast::Sender<Arc<Recorded>>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    last: u64,
    events: VecDeque<Arc<Recorded>>,
}

/// One stream: what it missed, and what comes.
pub(crate) struct Watching {
    hub: Arc<Hub>,
    /// Events since the one that it saw last.
    pub(crate) missed: Vec<Arc<Recorded>>,
    /// There were more, and nobody has them any more.
    pub(crate) has_gap: bool,
    pub(crate) receiver: broadcast::Receiver<Arc<Recorded>>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.hub.open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let hub = Arc::clone(&self.hub);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(LINGER).await;
                hub.rest();
            });
        } else {
            hub.rest();
        }
    }
}

impl Hub {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let hub = Arc::new(Self {
            metrics: Arc::clone(metrics),
            epoch: u64::try_from(since.as_millis()).unwrap_or_default(),
            id: OnceLock::new(),
            slots: Arc::new(Semaphore::new(STREAMS_MAX)),
            open: AtomicUsize::new(0),
            sender: broadcast::Sender::new(EVENTS_MAX),
            latest: Mutex::default(),
        });
        let observer = Arc::clone(&hub) as Arc<dyn Observer>;
        hub.id.get_or_init(|| metrics.observers.add(Interest::NONE, observer));
        hub
    }

    /// How an event is named to those who watch.
    pub(crate) fn name(&self, number: u64) -> String {
        format!("{:x}-{number}", self.epoch)
    }

    /// Opens a stream behind the event of this name; `None` = there are as many as there may be.
    pub(crate) fn watch(self: &Arc<Self>, last: Option<&str>) -> Option<Watching> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let latest = self.lock();
        self.open.fetch_add(1, Ordering::AcqRel);
        let receiver = self.sender.subscribe();
        let (missed, has_gap) = last.map_or((Vec::new(), false), |last| latest.since(self, last));
        drop(latest);
        self.set_interest(Interest::ALL);
        Some(Watching { hub: Arc::clone(self), missed, has_gap, receiver, _slot: slot })
    }

    /// Nobody has come back: nothing is kept any more.
    fn rest(&self) {
        let mut latest = self.lock();
        if self.open.load(Ordering::Acquire) == 0 {
            self.set_interest(Interest::NONE);
            latest.events = VecDeque::new();
        }
    }

    fn set_interest(&self, interest: Interest) {
        if let Some(id) = self.id.get() {
            self.metrics.observers.set_interest(*id, interest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latest {
    fn since(&self, hub: &Hub, last: &str) -> (Vec<Arc<Recorded>>, bool) {
        let number = last.split_once('-').and_then(|(epoch, number)| {
            let epoch = u64::from_str_radix(epoch, 16).ok()?;
            (epoch == hub.epoch).then(|| number.parse::<u64>().ok()).flatten()
        });
        let Some(number) = number.filter(|number| *number <= self.last) else {
            return (Vec::new(), true);
        };
        let missed: Vec<_> =
            self.events.iter().filter(|event| event.number > number).cloned().collect();
        let has_gap = missed.len() as u64 != self.last - number;
        (missed, has_gap)
    }
}

impl Observer for Hub {
    fn observe(&self, happening: &Happening<'_>) {
        let entry = Entry::of(happening).line();
        let text = |text: Option<&str>| text.map(|text| text.chars().take(TEXT_MAX).collect());
        let (user, target) = (text(happening.user), text(happening.target));
        let mut latest = self.lock();
        latest.last += 1;
        let event = Arc::new(Recorded {
            number: latest.last,
            kind: happening.kind,
            entry,
            user,
            target,
            status: happening.status,
        });
        if latest.events.len() >= EVENTS_MAX {
            latest.events.pop_front();
        }
        latest.events.push_back(Arc::clone(&event));
        // Under the lock, so that streams see the order of the numbers. Nobody listens: nobody is told.
        let _ = self.sender.send(event);
    }
}

/// Characters of a text beside the entry.
const TEXT_MAX: usize = 1_024;
