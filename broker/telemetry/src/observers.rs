//! Who looks at events beside the log: the access log, the history of clients, live streams.
//!
//! Owns the list of observers and what each wants to see. Knows nothing of what they do with it.
//! An event that nobody wants costs one relaxed load.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

use crate::{Happening, HappeningKind};

/// Sees events as they happen, on the thread of whoever caused them: it returns at once, never
/// waits and never emits events itself. What it cannot take it drops and counts.
pub trait Observer: Send + Sync {
    /// One event of a kind that it is interested in.
    fn observe(&self, happening: &Happening<'_>);
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest(u32);

impl Interest {
    /// No kind: nothing is seen.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self(u32::MAX);

    /// This kind alone.
    pub const fn of(kind: HappeningKind) -> Self {
        Self(1 << kind as u32)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All of these kinds.
    pub fn any_of(kinds: &[HappeningKind]) -> Self {
        kinds.iter().fold(Self::NONE, |all, kind| all.and(Self::of(*kind)))
    }

    /// Whether the kind is among them.
    pub const fn holds(self, kind: HappeningKind) -> bool {
        self.0 & 1 << kind as u32 != 0
    }
}

/// How many events there were of each kind, whether anybody looked or not. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventCounts(Arc<[AtomicU64; HappeningKind::ALL.len()]>);

impl EventCounts {
    fn add(&self, kind: HappeningKind) {
        if let Some(count) = self.0.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl EncodeMetric for EventCounts {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (kind, count) in HappeningKind::ALL.into_iter().zip(self.0.iter()) {
            encoder
                .encode_family(&[("type", kind.name())])?
                .encode_counter::<[(&str, &str); 0], _, u64>(
                    &count.load(Ordering::Relaxed),
                    None,
                )?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// Names an observer to change or remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObserverId(u64);

struct Entry {
    id: ObserverId,
    interest: Interest,
    observer: Arc<dyn Observer>,
}

/// The observers of one broker. A handful: each event goes through the list.
#[derive(Default)]
pub struct Observers {
    /// What any of them wants.
    interest: AtomicU32,
    pub(crate) counts: EventCounts,
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    last: u64,
    list: Vec<Entry>,
}

impl Observers {
    /// From now on `observer` sees what it is interested in.
    pub fn add(&self, interest: Interest, observer: Arc<dyn Observer>) -> ObserverId {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.last += 1;
        let id = ObserverId(entries.last);
        entries.list.push(Entry { id, interest, observer });
        self.sum_up(&entries);
        id
    }

    /// Changes what it sees; for one that has listeners of its own only at times.
    pub fn set_interest(&self, id: ObserverId, interest: Interest) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.list.iter_mut().find(|entry| entry.id == id) {
            entry.interest = interest;
        }
        self.sum_up(&entries);
    }

    /// It sees nothing any more.
    pub fn remove(&self, id: ObserverId) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.list.retain(|entry| entry.id != id);
        self.sum_up(&entries);
    }

    /// Whether anybody wants to see events of this kind: for those to whom it is a cost to make one.
    pub fn wants(&self, kind: HappeningKind) -> bool {
        Interest(self.interest.load(Ordering::Relaxed)).holds(kind)
    }

    /// Tells everybody who wants to see it. `happening` is made only then.
    pub fn tell<'a>(&self, kind: HappeningKind, happening: impl FnOnce() -> Happening<'a>) {
        self.counts.add(kind);
        if self.wants(kind) {
            self.tell_now(Happening { at_unix_ms: unix_ms(), ..happening() });
        }
    }

    #[cold]
    fn tell_now(&self, happening: Happening<'_>) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.list.iter().filter(|entry| entry.interest.holds(happening.kind)) {
            entry.observer.observe(&happening);
        }
    }

    fn sum_up(&self, entries: &Entries) {
        let all = entries.list.iter().fold(Interest::NONE, |all, entry| all.and(entry.interest));
        self.interest.store(all.0, Ordering::Relaxed);
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers").field("interest", &self.interest).finish_non_exhaustive()
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<(HappeningKind, bool)>>);

    impl Observer for Seen {
        fn observe(&self, happening: &Happening<'_>) {
            self.0.lock().unwrap().push((happening.kind, happening.at_unix_ms > 0));
        }
    }

    #[test]
    fn an_observer_sees_what_it_wants_and_for_as_long() {
        let observers = Observers::default();
        let seen = Arc::new(Seen::default());
        let connected = Interest::of(HappeningKind::Connected);
        let tell = |kind| observers.tell(kind, || Happening::of(kind));
        tell(HappeningKind::Connected);
        let id = observers.add(connected, Arc::clone(&seen) as Arc<dyn Observer>);
        tell(HappeningKind::Connected);
        tell(HappeningKind::Disconnected);
        assert!(!observers.wants(HappeningKind::Disconnected));
        observers.set_interest(id, Interest::ALL);
        tell(HappeningKind::AdminRefused);
        observers.set_interest(id, Interest::NONE);
        tell(HappeningKind::Connected);
        observers.set_interest(id, connected);
        observers.remove(id);
        tell(HappeningKind::Connected);
        let seen = seen.0.lock().unwrap();
        let expected = [(HappeningKind::Connected, true), (HappeningKind::AdminRefused, true)];
        assert_eq!(*seen, expected);
    }

    #[test]
    fn what_nobody_wants_is_not_made() {
        let observers = Observers::default();
        observers.tell(HappeningKind::Connected, || unreachable!("nobody wants it"));
    }

    #[test]
    fn every_kind_has_its_own_name_and_bit() {
        for (n, kind) in HappeningKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n);
            assert!(n < 32);
            assert_eq!(HappeningKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(HappeningKind::from_name("no such"), None);
    }
}
