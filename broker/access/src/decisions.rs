//! Which decisions were made lately, and the name that each has in logs, in the API and in recordings.
//!
//! Three lists: who was let in, who was refused, and operations. A flood of one kind does not wash the others away, and costs
//! no more than what a second of it leaves behind: the rest is not recorded, and of it only refusals are kept.
//! Knows nothing of how decisions are made.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use codec::QoS;

use crate::{LinkReport, LinkWord};

/// Identifies a decision: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId(u64);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is no [`DecisionId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a decision is named by 16 hexadecimal digits")]
pub struct NoDecisionId;

impl FromStr for DecisionId {
    type Err = NoDecisionId;

    fn from_str(text: &str) -> Result<Self, NoDecisionId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(NoDecisionId)
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// CONNECT, or the AUTH that ended an exchange.
    Connect,
    /// Authentication of a connected client, once more.
    Again,
    /// Permissions of a connected client, asked for again.
    Permissions,
    /// A PUBLISH or Will Message.
    Publish {
        /// Topic Name.
        topic: String,
        /// QoS.
        qos: QoS,
        /// RETAIN flag.
        retain: bool,
    },
    /// One filter of a SUBSCRIBE.
    Subscribe {
        /// With share name, if any.
        filter: String,
        /// Maximum QoS asked for.
        qos: QoS,
    },
    /// A login to the admin API.
    AdminLogin,
}

/// One decision.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// Its name.
    pub id: DecisionId,
    /// When it was made, seconds since 1970.
    pub at_unix: u64,
    /// What was decided.
    pub about: About,
    /// Client Identifier, as far as it was known; user name of a login to the admin API.
    pub client_id: Arc<str>,
    /// Who it proved to be.
    pub principal: Option<Arc<str>>,
    /// Listener; empty for the admin API.
    pub listener: Arc<str>,
    /// Address.
    pub remote: IpAddr,
    /// [`crate::Gate::generation`] that decided.
    pub generation: u64,
    /// Why it was refused; `None` = it was permitted.
    pub refusal: Option<String>,
    /// Plugins that were asked, or whose answers were kept, in order.
    pub links: Vec<LinkReport>,
    /// What rules said, for an operation.
    pub rules: Vec<LinkWord>,
    /// How long it took.
    pub elapsed: Duration,
    /// What plugins were asked and answered, as far as it was recorded.
    pub recordings: Vec<Arc<dyn Recording>>,
}

impl DecisionRecord {
    /// Bytes that it counts for.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.recordings.iter().map(|recording| recording.bytes()).sum::<usize>()
    }
}

/// One call of a plugin that was part of a decision, with everything that is needed to ask the same again.
pub trait Recording: Send + Sync + fmt::Debug {
    /// As JSON; what is secret in it is sealed.
    fn json(&self) -> String;

    /// Bytes of memory that it takes, roughly.
    fn bytes(&self) -> usize;
}

/// A decision that is being made.
#[derive(Debug)]
pub struct Making {
    id: DecisionId,
    /// There was room in its second: what it is made of is recorded, and it is kept whatever comes of it.
    is_recorded: bool,
    recordings: Mutex<Vec<Arc<dyn Recording>>>,
}

impl Making {
    /// Its name.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// Whether there is room for what it is made of.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Adds what a plugin was asked and answered.
    pub fn record(&self, recording: Arc<dyn Recording>) {
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner).push(recording);
    }

    /// What was recorded so far.
    pub fn take_recordings(&self) -> Vec<Arc<dyn Recording>> {
        std::mem::take(&mut self.recordings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The latest decisions.
#[derive(Debug)]
pub struct Decisions {
    next: AtomicU64,
    /// Of each list.
    most: AtomicUsize,
    per_second: AtomicU64,
    /// Microseconds of the clock up to which the recorded ones take all room.
    taken_until: AtomicU64,
    permitted: Mutex<Latest>,
    refused: Mutex<Latest>,
    operations: Mutex<Latest>,
}

#[derive(Debug, Default)]
struct Latest {
    /// With the bytes that each counts for.
    records: VecDeque<(usize, Arc<DecisionRecord>)>,
    bytes: usize,
}

impl Latest {
    fn pop(&mut self) -> Option<Arc<DecisionRecord>> {
        let (bytes, oldest) = self.records.pop_front()?;
        self.bytes -= bytes;
        Some(oldest)
    }
}

/// Bytes of each list, with what was recorded.
const BYTES_MOST: usize = 8 << 20;
/// Decisions of each kind that are kept unless [`Decisions::keep`] says otherwise.
const MOST: usize = 512;
/// Decisions that are recorded in a second unless [`Decisions::record_per_second`] says otherwise.
const PER_SECOND: u64 = 500;
/// Microseconds of that which may be taken at once after a rest: a fleet that comes back is not to pay
/// for more of it than shows how it was let in.
const AT_ONCE: u64 = SECOND / 10;
const SECOND: u64 = 1_000_000;

impl Default for Decisions {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            most: AtomicUsize::new(MOST),
            per_second: AtomicU64::new(PER_SECOND),
            taken_until: AtomicU64::new(0),
            permitted: Mutex::default(),
            refused: Mutex::default(),
            operations: Mutex::default(),
        }
    }
}

impl Decisions {
    /// Names of decisions begin here: after all of an earlier process.
    pub fn number_from(&self, first: u64) {
        self.next.fetch_max(first, Ordering::Relaxed);
    }

    /// How many are kept of each list; 0 = none.
    pub fn keep(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How many are recorded in a second, at least 1; a tenth of them at once after a rest.
    pub fn record_per_second(&self, per_second: u32) {
        self.per_second.store(per_second.max(1).into(), Ordering::Relaxed);
    }

    /// Begins one. `now` = time on a clock that never goes back.
    pub fn begin(&self, now: Duration) -> Arc<Making> {
        let id = DecisionId(self.next.fetch_add(1, Ordering::Relaxed));
        let is_recorded = self.are_kept() && self.takes_room(now);
        Arc::new(Making { id, is_recorded, recordings: Mutex::default() })
    }

    fn takes_room(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let each = (SECOND / self.per_second.load(Ordering::Relaxed)).max(1);
        let taken = self.taken_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
            let until = until.max(now);
            (until - now < AT_ONCE).then(|| until.saturating_add(each))
        });
        taken.is_ok()
    }

    /// Whether any is kept.
    pub fn are_kept(&self) -> bool {
        self.most.load(Ordering::Relaxed) > 0
    }

    /// Keeps one in place of the oldest.
    pub fn note(&self, record: DecisionRecord) {
        let most = self.most.load(Ordering::Relaxed);
        let list = match (&record.about, &record.refusal) {
            (About::Publish { .. } | About::Subscribe { .. }, _) => &self.operations,
            (_, None) => &self.permitted,
            (_, Some(_)) => &self.refused,
        };
        let (bytes, record) = (record.bytes(), Arc::new(record));
        // What gives way is dropped without the lock.
        let mut gone = Vec::new();
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        while list.records.len() >= most.max(1) || list.bytes + bytes > BYTES_MOST {
            let Some(oldest) = list.pop() else { break };
            gone.push(oldest);
        }
        if most > 0 {
            list.bytes += bytes;
            list.records.push_back((bytes, record));
        }
        drop(list);
    }

    fn lists(&self) -> [&Mutex<Latest>; 3] {
        [&self.permitted, &self.refused, &self.operations]
    }

    /// One of them.
    pub fn find(&self, id: DecisionId) -> Option<Arc<DecisionRecord>> {
        self.lists().into_iter().find_map(|list| {
            let list = list.lock().unwrap_or_else(PoisonError::into_inner);
            // The latest are asked for mostly.
            list.records.iter().rev().map(|(_, record)| record).find(|it| it.id == id).cloned()
        })
    }

    /// The latest before `before`, the newest first, of which `wanted` holds.
    pub fn latest(
        &self,
        before: Option<DecisionId>,
        most: usize,
        wanted: impl Fn(&DecisionRecord) -> bool,
    ) -> Vec<Arc<DecisionRecord>> {
        let mut found = Vec::new();
        for list in self.lists() {
            let list = list.lock().unwrap_or_else(PoisonError::into_inner);
            let records = list.records.iter().map(|(_, record)| record);
            let earlier = records.filter(|r| before.is_none_or(|before| r.id < before));
            found.extend(earlier.filter(|record| wanted(record)).cloned());
        }
        found.sort_unstable_by_key(|record| std::cmp::Reverse(record.id));
        found.truncate(most);
        found
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Making>>> = const { RefCell::new(None) };
}

/// The decision that is being made here, for those who record what it was made of; `None` also when it
/// is not recorded.
pub fn current_decision() -> Option<Arc<Making>> {
    CURRENT.with_borrow(|making| making.clone().filter(|making| making.is_recorded))
}

/// Runs a part of a decision: while it runs, [`current_decision`] is that.
pub async fn deciding<F: Future>(making: &Arc<Making>, part: F) -> F::Output {
    let mut part = pin!(part);
    poll_fn(|context| {
        let _before = Before(CURRENT.replace(Some(Arc::clone(making))));
        part.as_mut().poll(context)
    })
    .await
}

/// Set again when it is dropped, also by a panic.
struct Before(Option<Arc<Making>>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests;
