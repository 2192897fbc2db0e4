//! The thread that writes the access log: the file of the day, its bounds, and the end of old files.
//!
//! Knows nothing of events. What cannot be written is counted and said at a bounded rate.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, SystemTime},
};

use super::{AccessLogConfig, Line, Queue};
use crate::{
    ByLabel, Entry,
    calendar::{date, day_from, day_of, timestamp},
};

/// How long what is over may wait for its line.
const TICK: Duration = Duration::from_secs(1);

/// Writes lines to the files of their days.
pub(super) struct Writer {
    config: AccessLogConfig,
    queue: Arc<Mutex<Queue>>,
    lost: ByLabel,
    open: Option<Open>,
    /// The last line could not be written.
    failed: Arc<AtomicBool>,
}

struct Open {
    day: u64,
    file: BufWriter<File>,
    bytes: u64,
    /// It was said that there is no more room.
    full: bool,
}

impl Writer {
    pub(super) fn new(
        config: AccessLogConfig,
        queue: Arc<Mutex<Queue>>,
        (lost, failed): (ByLabel, Arc<AtomicBool>),
    ) -> Self {
        Self { config, queue, lost, open: None, failed }
    }

    /// Until everybody who could send a line is gone.
    pub(super) fn run(mut self, lines: &Receiver<Line>) {
        self.remove_old(day_of(now_ms()));
        let mut told_at = 0;
        loop {
            match lines.recv_timeout(TICK) {
                Ok(line) => {
                    self.write(&line);
                    while let Ok(line) = lines.try_recv() {
                        self.write(&line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let second = now_ms() / 1_000;
            if second != told_at {
                told_at = second;
                self.tell_rest(second);
            }
            self.flush();
        }
        self.tell_rest(u64::MAX / 2_000);
        self.flush();
    }

    /// What was counted together, and what was lost.
    fn tell_rest(&mut self, second: u64) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = queue.flood.take(second);
        let untold = std::mem::take(&mut queue.untold);
        drop(queue);
        for (at_unix_ms, text) in rest {
            self.write(&Line { day: day_of(at_unix_ms), text });
        }
        if untold > 0 {
            let now = now_ms();
            self.write(&Line { day: day_of(now), text: lost(now, "queue_full", untold) });
        }
    }

    fn write(&mut self, line: &Line) {
        if let Err(error) = self.try_write(line) {
            self.lost.inc("not_written");
            self.open = None;
            if !self.failed.swap(true, Ordering::Relaxed) {
                tracing::error!(event = "access_log_failed", %error,
                    "the access log cannot be written");
            }
        }
    }

    fn try_write(&mut self, line: &Line) -> io::Result<()> {
        // A line that comes late, from another thread, goes to the day that is open.
        if self.open.as_ref().is_none_or(|open| open.day < line.day) {
            self.flush();
            if self.open.is_some() {
                self.remove_old(line.day);
            }
            self.open = Some(open(&self.config.folder, line.day)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let bytes = line.text.len() as u64;
        if open.bytes + bytes > self.config.day_bytes_max {
            self.lost.inc("day_full");
            if !std::mem::replace(&mut open.full, true) {
                let text = lost(now_ms(), "day_full", 1);
                open.file.write_all(text.as_bytes())?;
                tracing::warn!(
                    event = "access_log_full",
                    bytes_max = self.config.day_bytes_max,
                    "the access log has no more room for today"
                );
            }
            return Ok(());
        }
        open.file.write_all(line.text.as_bytes())?;
        open.bytes += bytes;
        if self.failed.load(Ordering::Relaxed) {
            self.failed.store(false, Ordering::Relaxed);
            tracing::info!(event = "access_log_recovered", "the access log is written again");
        }
        Ok(())
    }

    fn flush(&mut self) {
        let flushed = self.open.as_mut().map(|open| open.file.flush());
        if let Some(Err(error)) = flushed {
            self.lost.inc("not_written");
            self.open = None;
            if !self.failed.swap(true, Ordering::Relaxed) {
                tracing::error!(event = "access_log_failed", %error,
                    "the access log cannot be written");
            }
        }
    }

    fn remove_old(&self, today: u64) {
        let Ok(found) = std::fs::read_dir(&self.config.folder) else { return };
        for file in found.flatten() {
            let name = file.file_name();
            let Some(day) = name.to_str().and_then(day_of_file) else { continue };
            if day + self.config.keep_days < today
                && let Err(error) = std::fs::remove_file(file.path())
            {
                tracing::error!(event = "access_log_failed", %error, file = %file.path().display(),
                    "an old file of the access log cannot be removed");
            }
        }
    }
}

/// Name of the file of a day.
pub(super) fn file_of_day(day: u64) -> String {
    format!("access-{}.jsonl", date(day))
}

fn day_of_file(name: &str) -> Option<u64> {
    day_from(name.strip_prefix("access-")?.strip_suffix(".jsonl")?)
}

fn open(folder: &Path, day: u64) -> io::Result<Open> {
    let path = folder.join(file_of_day(day));
    let mut options = OpenOptions::new();
    let mut file = options.create(true).read(true).append(true).mode(0o600).open(path)?;
    let mut bytes = file.metadata()?.len();
    if bytes > 0 {
        // A crash may have torn the last line: what comes now is not to be part of it.
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            bytes += 1;
        }
    }
    Ok(Open { day, file: BufWriter::new(file), bytes, full: false })
}

fn lost(now_ms: u64, reason: &'static str, count: u64) -> String {
    let entry = Entry {
        time: timestamp(now_ms).into(),
        kind: "lost".into(),
        reason: Some(reason.into()),
        count: Some(count),
        ..Entry::default()
    };
    entry.line()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
