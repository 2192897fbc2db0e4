//! The access log: who came, who went, who was let in and who was refused, one file of JSON lines a
//! day.
//!
//! Owns the queue between the broker and the disk, and its answer to "what when full": what has no
//! room is dropped and counted, and a line says how many were lost; nobody waits for the disk.
//! Refusals that come in floods are counted together, so that no stranger fills the disk. Knows
//! nothing of HTTP; `search.rs` reads what was written.

mod flood;
mod search;
mod writer;

use std::{
    fmt, io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use flood::Flood;
pub use search::{AccessPage, AccessQuery};
use writer::Writer;

use crate::{
    ByLabel, Entry, Happening, HappeningKind, Interest, Metrics, Observer, calendar::day_of,
};

/// Lines that wait to be written; what comes while there are so many is lost and counted.
const QUEUE_LINES: usize = 8_192;

/// Where the access log is, and how much of it there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// Its folder. Made with mode 0700 when it is not there; the files have 0600.
    pub folder: PathBuf,
    /// Days that are kept beside today, 1 to 3650.
    pub keep_days: u64,
    /// Bytes of one day; what comes after that is lost and counted.
    pub day_bytes_max: u64,
}

/// The access log. An [`Observer`]; files are written by a thread of its own.
pub struct AccessLog {
    config: AccessLogConfig,
    queue: Arc<Mutex<Queue>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    written: ByLabel,
    lost: ByLabel,
    failing: Arc<AtomicBool>,
}

/// What observers and the writer share.
struct Queue {
    /// `None` = closed.
    lines: Option<SyncSender<Line>>,
    flood: Flood,
    /// Lines that found no room and that no line has told of.
    untold: u64,
}

/// One line on its way to the file of its day.
struct Line {
    day: u64,
    text: String,
}

/// What it is about.
const KINDS: [HappeningKind; 10] = [
    HappeningKind::Connected,
    HappeningKind::Authenticated,
    HappeningKind::ConnectRefused,
    HappeningKind::ConnectionRefused,
    HappeningKind::Disconnected,
    HappeningKind::TakenOver,
    HappeningKind::PublishDenied,
    HappeningKind::SubscribeDenied,
    HappeningKind::WillRefused,
    HappeningKind::ProtocolViolation,
];

impl AccessLog {
    /// Makes the folder and begins to write what happens from now on.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or read, or no thread can be had.
    pub fn start(config: AccessLogConfig, metrics: &Metrics) -> io::Result<Arc<Self>> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.folder)?;
        std::fs::read_dir(&config.folder)?;
        let (sender, receiver) = sync_channel(QUEUE_LINES);
        let queue = Queue { lines: Some(sender), flood: Flood::default(), untold: 0 };
        let queue = Arc::new(Mutex::new(queue));
        let (written, lost) = (&metrics.access_log_lines, &metrics.access_log_dropped);
        let lost_by_writer = lost.clone();
        let failing = Arc::<AtomicBool>::default();
        let told = (lost_by_writer, Arc::clone(&failing));
        let writer = Writer::new(config.clone(), Arc::clone(&queue), told);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let writer = thread.spawn(move || writer.run(&receiver))?;
        let log = Arc::new(Self {
            config,
            queue,
            writer: Mutex::new(Some(writer)),
            written: written.clone(),
            lost: lost.clone(),
            failing,
        });
        let observer = Arc::clone(&log) as Arc<dyn Observer>;
        metrics.observers.add(Interest::any_of(&KINDS), observer);
        Ok(log)
    }

    /// Whether the last lines could not be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends; later events are lost. Blocks.
    pub fn close(&self) {
        self.lock().lines = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!(
                event = "access_log_failed",
                "the access log was not written to its end"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for AccessLog {
    fn observe(&self, happening: &Happening<'_>) {
        let second = happening.at_unix_ms / 1_000;
        let mut queue = self.lock();
        if !queue.flood.admit(second, happening) {
            return;
        }
        let Some(lines) = queue.lines.clone() else { return };
        drop(queue);
        let text = Entry::of(happening).line();
        match lines.try_send(Line { day: day_of(happening.at_unix_ms), text }) {
            Ok(()) => self.written.inc(happening.kind.name()),
            Err(TrySendError::Full(_)) => {
                self.lost.inc("queue_full");
                self.lock().untold += 1;
            }
            // It ends.
            Err(TrySendError::Disconnected(_)) => self.lost.inc("closed"),
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
