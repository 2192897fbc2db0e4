//! Device traces: everything about the clients that somebody looks at, for a while, in files.
//!
//! Owns which traces there are, their bounds, and the thread that writes them. Knows nothing of
//! packets (`packet.rs` puts them into words, the server hands them over) and nothing of HTTP.
//!
//! Without a trace a connection pays one relaxed load a turn: [`Traces::generation`] changes when
//! traces come and go, and only then does it look whether one is about it.

mod keep;
mod login;
mod packet;
mod spec;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
};

use keep::{Keeper, Order};
pub use login::TracedLogin;
pub use packet::{Direction, PacketRecord};
pub use spec::{TraceSpec, TraceSpecError, Traced};

use crate::{
    Entry, Happening, HappeningKind, Interest, Metrics, Observer, ObserverId, entry::json_line,
};

/// Traces that there may be, ended ones too.
pub const TRACES_MAX: usize = 16;
/// Bytes that all traces may come to, those that run counted with all that they may.
pub const BYTES_OF_ALL_MAX: u64 = 4 << 30;
/// Records that wait to be written; what comes while there are so many is lost and counted.
const QUEUE: usize = 16_384;

/// Whether a trace records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceState {
    /// Its time has not come.
    Waiting,
    /// It records.
    Running,
    /// Its time is over, or somebody stopped it.
    Stopped,
    /// It has as many bytes as it may.
    Full,
    /// Its file could not be written.
    Failed,
}

impl TraceState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Running, Self::Stopped, Self::Full, Self::Failed];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Full => "full",
            Self::Failed => "failed",
        }
    }

    fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// One trace.
pub struct Trace {
    /// Names it.
    pub id: u64,
    /// What it is about.
    pub spec: TraceSpec,
    path: PathBuf,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    state: TraceState,
    /// Bytes on their way to the file or in it.
    bytes: u64,
    records: u64,
    lost: u64,
    second: u64,
    in_second: u64,
    ended_unix_ms: Option<u64>,
}

/// A trace as it is now.
#[derive(Clone, Debug)]
pub struct TraceInfo {
    /// Names it.
    pub id: u64,
    /// What it is about.
    pub spec: TraceSpec,
    /// Whether it records.
    pub state: TraceState,
    /// Bytes recorded.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// What would have been recorded, but came too fast.
    pub lost: u64,
}

/// Why there is no such trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There are as many as there may be.
    #[error(
        "there are {TRACES_MAX} traces, allowed: {TRACES_MAX}, ended ones too; delete one first"
    )]
    TooMany,
    /// All together could become larger than they may.
    #[error(
        "max_bytes {asked} is more than is left: {left} of {BYTES_OF_ALL_MAX} bytes of all traces, \
         ended ones too; delete one first"
    )]
    TooLarge {
        /// Of the new one.
        asked: u64,
        /// What the others leave.
        left: u64,
    },
    /// What it is to be about makes no sense.
    #[error("{0}")]
    Spec(#[from] TraceSpecError),
    /// The disk did not take it.
    #[error("the trace cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

/// All traces.
pub struct Traces {
    generation: AtomicU64,
    /// Whether any runs.
    on: AtomicBool,
    list: RwLock<Vec<Arc<Trace>>>,
    keeper: Mutex<Option<(PathBuf, SyncSender<Order>)>>,
    last_id: AtomicU64,
    /// Held while one is added: its file is written before it is in the list.
    adding: Mutex<()>,
    observer: Mutex<Option<ObserverId>>,
}

/// Events that traces record besides packets.
const KINDS: [HappeningKind; 14] = [
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
    HappeningKind::BanMade,
    HappeningKind::PluginChanged,
    HappeningKind::PluginUpload,
];

impl Default for Traces {
    /// None, and none can be made before [`Traces::open`].
    fn default() -> Self {
        Self {
            generation: AtomicU64::new(0),
            on: AtomicBool::new(false),
            list: RwLock::default(),
            keeper: Mutex::new(None),
            last_id: AtomicU64::new(0),
            adding: Mutex::new(()),
            observer: Mutex::new(None),
        }
    }
}

impl Traces {
    /// Keeps traces in a folder, made with mode 0700 when it is not there. Those of an earlier
    /// process are there, ended. The traces must be those of `metrics`.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or read, or no thread can be had.
    pub fn open(metrics: &Arc<Metrics>, folder: PathBuf) -> io::Result<()> {
        let traces = &metrics.traces;
        let found = keep::find(&folder)?;
        let last = found.iter().map(|trace| trace.id).max().unwrap_or_default();
        traces.last_id.store(last, Ordering::Relaxed);
        *traces.write() = found;
        let (sender, orders) = sync_channel(QUEUE);
        *traces.keeper() = Some((folder, sender));
        let keeper = Keeper::new(Arc::downgrade(metrics));
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || keeper.run(&orders))
            .map(drop)?;
        // Interested in nothing until there is a trace.
        let observer = Arc::new(Observing(Arc::downgrade(metrics)));
        let id = metrics.observers.add(Interest::NONE, observer);
        metrics.plugins.trace_with(metrics);
        *traces.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        Ok(())
    }

    /// Changes with every trace that begins or ends. 0 = there never was one.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whether any trace runs: what is done only for traces costs nobody anything without.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins a trace, or lets it wait for its time. `now` = milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// See [`TraceError`].
    pub fn add(
        &self,
        metrics: &Metrics,
        spec: TraceSpec,
        now_unix_ms: u64,
    ) -> Result<TraceInfo, TraceError> {
        spec.check(now_unix_ms)?;
        let folder = self.keeper().as_ref().map(|(folder, _)| folder.clone());
        let folder = folder.ok_or_else(|| io::Error::other("there is no folder for traces"))?;
        // One at a time. Not the lock of the list: each CONNECT looks at that.
        let adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_room(&spec)?;
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let waits = spec.start_unix_ms > now_unix_ms;
        let state = if waits { TraceState::Waiting } else { TraceState::Running };
        let trace = Arc::new(Trace::new(id, spec, &folder, state));
        keep::write_spec(&trace)?;
        self.write().push(Arc::clone(&trace));
        drop(adding);
        self.changed(metrics);
        Ok(trace.info())
    }

    /// Whether there may be one more of this size. An ended one counts with what it has.
    fn check_room(&self, spec: &TraceSpec) -> Result<(), TraceError> {
        let list = self.read();
        if list.len() >= TRACES_MAX {
            return Err(TraceError::TooMany);
        }
        let taken = list.iter().map(|trace| {
            let progress = *trace.progress();
            if progress.state.is_over() { progress.bytes } else { trace.spec.bytes_max }
        });
        let taken: u64 = taken.sum();
        if taken.saturating_add(spec.bytes_max) > BYTES_OF_ALL_MAX {
            let (asked, left) = (spec.bytes_max, BYTES_OF_ALL_MAX.saturating_sub(taken));
            return Err(TraceError::TooLarge { asked, left });
        }
        Ok(())
    }

    /// All, in the order of their making.
    pub fn list(&self) -> Vec<TraceInfo> {
        self.read().iter().map(|trace| trace.info()).collect()
    }

    /// One of them.
    pub fn find(&self, id: u64) -> Option<Arc<Trace>> {
        self.read().iter().find(|trace| trace.id == id).cloned()
    }

    /// Ends one; its records stay. `None` = there is none of this name.
    pub fn stop(&self, metrics: &Metrics, id: u64, now_unix_ms: u64) -> Option<TraceInfo> {
        let trace = self.find(id)?;
        trace.end(TraceState::Stopped, now_unix_ms);
        self.changed(metrics);
        Some(trace.info())
    }

    /// Ends one, and removes its records. `false` = there is none of this name. Blocks.
    pub fn remove(&self, metrics: &Metrics, id: u64, now_unix_ms: u64) -> bool {
        let Some(trace) = self.find(id) else { return false };
        trace.end(TraceState::Stopped, now_unix_ms);
        self.write().retain(|trace| trace.id != id);
        self.changed(metrics);
        // After what is still on its way to the file.
        let sender = self.keeper().as_ref().map(|(_, sender)| sender.clone());
        if let Some(sender) = sender {
            let _ = sender.send(Order::Remove(trace));
        }
        true
    }

    /// The traces that are about this client as far as it is known, and running.
    pub fn about(&self, traced: &Traced<'_>) -> Vec<Arc<Trace>> {
        if !self.is_on() {
            return Vec::new();
        }
        let list = self.read();
        let running = list.iter().filter(|trace| trace.is_running());
        running.filter(|trace| trace.spec.is_about(traced)).cloned().collect()
    }

    /// Records an event in the traces that it belongs to.
    fn note(&self, happening: &Happening<'_>) {
        let traced = Traced {
            client_id: happening.client_id.unwrap_or_default(),
            principal: happening.principal,
            address: happening.remote.map(|remote| remote.ip()),
        };
        for trace in self.about(&traced) {
            let spec = &trace.spec;
            if spec.wants_topic(happening.topic) && spec.wants_plugin(happening.plugin) {
                self.record(&trace, happening.at_unix_ms, &Entry::of(happening));
            }
        }
    }

    /// A call of a plugin about a client, with what came of it.
    pub fn note_call(&self, traced: &Traced<'_>, call: &PluginCallRecord<'_>) {
        for trace in self.about(traced) {
            if trace.spec.wants_topic(call.topic) && trace.spec.wants_plugin(Some(call.plugin)) {
                let now = keep::now_ms();
                self.record(&trace, now, &CallLine::of(traced, call, now));
            }
        }
    }

    /// Records a packet.
    pub fn note_packet(&self, traces: &[Arc<Trace>], packet: &PacketRecord<'_>) {
        let now = keep::now_ms();
        for trace in traces.iter().filter(|trace| trace.is_running()) {
            if trace.spec.plugin.is_none() && packet.is_wanted(&trace.spec) {
                self.record(trace, now, &packet.line(now, trace.spec.payload_bytes));
            }
        }
    }

    fn record<T: serde::Serialize>(&self, trace: &Arc<Trace>, now: u64, record: &T) {
        self.record_line(trace, now, json_line(record));
    }

    fn record_line(&self, trace: &Arc<Trace>, now: u64, line: String) {
        if !trace.admit(now, line.len() as u64) {
            return;
        }
        let Some(sender) = self.keeper().as_ref().map(|(_, sender)| sender.clone()) else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            sender.try_send(Order::Write(Arc::clone(trace), line))
        {
            trace.progress().lost += 1;
        }
    }

    /// Everybody looks again which traces are about it.
    fn changed(&self, metrics: &Metrics) {
        let running = self.read().iter().any(|trace| trace.is_running());
        self.on.store(running, Ordering::Relaxed);
        let interest = if running { Interest::any_of(&KINDS) } else { Interest::NONE };
        let observer = *self.observer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(observer) = observer {
            metrics.observers.set_interest(observer, interest);
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Trace>>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Trace>>> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeper(&self) -> MutexGuard<'_, Option<(PathBuf, SyncSender<Order>)>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call of a plugin.
#[derive(Clone, Copy, Debug)]
pub struct PluginCallRecord<'a> {
    /// The plugin.
    pub plugin: &'a str,
    /// What it was asked for.
    pub hook: &'a str,
    /// What it said.
    pub verdict: &'a str,
    /// How long it took.
    pub microseconds: u64,
    /// The answer was there already.
    pub cached: bool,
    /// Topic Name or Topic Filter that it was about.
    pub topic: Option<&'a str>,
}

#[derive(serde::Serialize)]
struct CallLine<'a> {
    time: String,
    #[serde(rename = "type")]
    kind: &'static str,
    client_id: &'a str,
    plugin: &'a str,
    hook: &'a str,
    verdict: &'a str,
    microseconds: u64,
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
}

impl<'a> CallLine<'a> {
    fn of(traced: &Traced<'a>, call: &PluginCallRecord<'a>, now: u64) -> Self {
        Self {
            time: crate::calendar::timestamp(now),
            kind: "plugin_call",
            client_id: traced.client_id,
            plugin: call.plugin,
            hook: call.hook,
            verdict: call.verdict,
            microseconds: call.microseconds,
            cached: call.cached,
            topic: call.topic,
        }
    }
}

impl Trace {
    fn new(id: u64, spec: TraceSpec, folder: &std::path::Path, state: TraceState) -> Self {
        let progress = Progress {
            state,
            bytes: 0,
            records: 0,
            lost: 0,
            second: 0,
            in_second: 0,
            ended_unix_ms: None,
        };
        let path = folder.join(format!("{id}.jsonl"));
        Self { id, spec, path, progress: Mutex::new(progress) }
    }

    /// As it is now.
    pub fn info(&self) -> TraceInfo {
        let progress = *self.progress();
        TraceInfo {
            id: self.id,
            spec: self.spec.clone(),
            state: progress.state,
            bytes: progress.bytes,
            records: progress.records,
            lost: progress.lost,
        }
    }

    /// Whole lines from `offset` on, at most `most` bytes of them, and where to go on. Blocks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self, offset: u64, most: usize) -> io::Result<(Vec<u8>, u64)> {
        keep::read_lines(&self.path, offset, most)
    }

    fn is_running(&self) -> bool {
        self.progress().state == TraceState::Running
    }

    /// Whether a record of so many bytes may be written.
    fn admit(&self, now_unix_ms: u64, bytes: u64) -> bool {
        let mut progress = self.progress();
        if progress.state != TraceState::Running || now_unix_ms >= self.spec.end_unix_ms {
            return false;
        }
        let second = now_unix_ms / 1_000;
        if progress.second != second {
            (progress.second, progress.in_second) = (second, 0);
        }
        if progress.in_second >= self.spec.events_per_second {
            progress.lost += 1;
            return false;
        }
        if progress.bytes + bytes > self.spec.bytes_max {
            progress.state = TraceState::Full;
            progress.ended_unix_ms = Some(now_unix_ms);
            return false;
        }
        progress.in_second += 1;
        progress.bytes += bytes;
        progress.records += 1;
        true
    }

    fn end(&self, state: TraceState, now_unix_ms: u64) {
        let mut progress = self.progress();
        if !progress.state.is_over() {
            progress.state = state;
            progress.ended_unix_ms = Some(now_unix_ms);
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Observing(std::sync::Weak<Metrics>);

impl Observer for Observing {
    fn observe(&self, happening: &Happening<'_>) {
        if let Some(metrics) = self.0.upgrade() {
            metrics.traces.note(happening);
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
