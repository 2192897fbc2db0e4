//! The audit log: who changed what, who logged in, and who was turned away. JSON lines, one file a
//! day, each line with the hash of the one before.
//!
//! Owns the files `YYYY-MM-DD.jsonl` of one folder and what happens when they cannot be written:
//! lines wait, and until they are on the disk no change is made. Knows nothing of routes.

mod chain;
mod day;
mod read;
mod record;
mod verify;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;

use crate::{Error, call::blocking, problem::Problem};

pub(crate) use read::{Found, Search};
pub(crate) use record::{Action, Record};
pub use verify::{AuditFault, AuditReport, verify_audit};

use writer::Writer;

/// Milliseconds since 1970; passed in so that tests can turn the day.
pub(crate) type Clock = fn() -> u64;

/// The log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    writer: Arc<Mutex<Writer>>,
    /// How the writer was when its last work was done: whoever asks does not wait for the disk.
    seen: Arc<ArcSwap<Seen>>,
    refused: Arc<Mutex<BothRefused>>,
    clock: Clock,
    /// Searches that run: each reads a file.
    searches: Arc<tokio::sync::Semaphore>,
    /// `None` = nothing is kept.
    folder: Option<PathBuf>,
}

/// What others may know of the writer.
#[derive(Debug)]
struct Seen {
    fault: Option<String>,
    /// Number and hash of the last line.
    head: (u64, String),
}

impl Seen {
    fn of(writer: &Writer) -> Self {
        Self { fault: writer.fault().map(str::to_owned), head: writer.head() }
    }
}

/// Refusals of one kind in this minute. Anybody who reaches the address can cause them, and must not fill the
/// disk.
#[derive(Debug, Default)]
struct Refused {
    minute: u64,
    written: u32,
    left_out: u64,
}

/// Each with a budget of its own: requests without any token must not hide guesses of passwords.
#[derive(Debug, Default)]
struct BothRefused {
    logins: Refused,
    requests: Refused,
}

impl BothRefused {
    fn of(&mut self, action: Action) -> &mut Refused {
        match action {
            Action::Login => &mut self.logins,
            Action::Change | Action::Logout | Action::Refused | Action::Start => &mut self.requests,
        }
    }
}

/// Refusals of one kind that are written a minute; the next one that is written says how many were not.
const REFUSED_PER_MINUTE: u32 = 60;
const SEARCHES_MAX: usize = 2;

impl Audit {
    /// Opens the folder, made with mode 0700 if it is not there, and looks where its chain ends.
    pub(crate) fn open(folder: &Path, keep_days: u64, clock: Clock) -> Result<Self, Error> {
        let writer = Writer::open(folder, keep_days, clock())
            .map_err(|what| Error::Audit { path: folder.to_owned(), what })?;
        Ok(Self { folder: Some(folder.to_owned()), ..Self::of(writer, clock) })
    }

    /// One that keeps nothing, for tests of other things.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self::of(Writer::nowhere(), now)
    }

    /// From now on the disk is full, or not any more.
    #[cfg(test)]
    pub(crate) fn fill_disk(&self, full: bool) {
        self.writer.lock().unwrap().fill_disk(full);
    }

    fn of(writer: Writer, clock: Clock) -> Self {
        Self {
            seen: Arc::new(ArcSwap::from_pointee(Seen::of(&writer))),
            writer: Arc::new(Mutex::new(writer)),
            refused: Arc::default(),
            clock,
            searches: Arc::new(tokio::sync::Semaphore::new(SEARCHES_MAX)),
            folder: None,
        }
    }

    /// Whether a change may be made: all lines so far are on the disk.
    pub(crate) async fn check_writable(&self) -> Result<(), Problem> {
        self.work(Writer::write_pending).await
    }

    /// Writes what happened, and returns when it is on the disk. If that fails it is written as soon
    /// as the disk lets it.
    pub(crate) async fn record(&self, record: Record) -> Result<(), Problem> {
        self.work(move |writer, now| writer.append(record, now)).await
    }

    async fn work(
        &self,
        work: impl FnOnce(&mut Writer, u64) -> Result<(), String> + Send + 'static,
    ) -> Result<(), Problem> {
        let (writer, seen) = (Arc::clone(&self.writer), Arc::clone(&self.seen));
        let now = self.now();
        let written = blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let written = work(&mut writer, now);
            seen.store(Arc::new(Seen::of(&writer)));
            written
        });
        written.await?.map_err(|what| {
            tracing::error!(%what, "the audit log cannot be written: no change is made");
            Problem::busy("the audit log cannot be written: nothing is changed until it can")
        })
    }

    /// As [`Audit::record`], for what strangers can cause as often as they like.
    pub(crate) async fn record_refusal(&self, mut record: Record) {
        {
            let mut both = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            let refused = both.of(record.action);
            let minute = self.now() / 60_000;
            if refused.minute != minute {
                (refused.minute, refused.written) = (minute, 0);
            }
            if refused.written >= REFUSED_PER_MINUTE {
                refused.left_out += 1;
                return;
            }
            refused.written += 1;
            record.left_out = std::mem::take(&mut refused.left_out);
        }
        // Whoever is refused is refused, and the log has said what is wrong.
        let _ = self.record(record).await;
    }

    /// For `/readyz`: what is wrong.
    pub(crate) fn problems(&self) -> Vec<String> {
        let seen = self.seen.load();
        let fault = seen.fault.iter();
        fault.map(|what| format!("the audit log cannot be written: {what}")).collect()
    }

    /// The lines of a day that fit, the newest first.
    pub(crate) async fn search(&self, search: Search) -> Result<Found, Problem> {
        let Some(folder) = self.folder.clone() else {
            return Ok(Found::default());
        };
        let permit = Arc::clone(&self.searches).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::busy("the audit log is being searched"))?;
        let today = day::Day::of(self.now());
        let found = blocking(move || {
            let found = read::search(&folder, &search, today);
            drop(permit);
            found
        });
        found.await?.map_err(|error| {
            tracing::error!(%error, "the audit log could not be read");
            Problem::internal("the audit log could not be read: the log says why")
        })
    }

    /// Number and hash of the last line.
    pub(crate) fn head(&self) -> (u64, String) {
        self.seen.load().head.clone()
    }

    fn now(&self) -> u64 {
        (self.clock)()
    }
}

/// The clock of the machine.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
