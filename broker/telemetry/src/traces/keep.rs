//! The files of traces: `ID.json` says what a trace is about, `ID.jsonl` has its records.
//!
//! One thread writes all of them, begins and ends those whose time has come, and removes those that
//! ended long ago. Knows nothing of what is in a record.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, TryRecvError},
    },
    time::{Duration, SystemTime},
};

use super::{Trace, TraceSpec, TraceState};
use crate::Metrics;

/// How often records are written, and is looked whose time has come.
const TICK: Duration = Duration::from_millis(100);
/// How long records stay after the end of a trace.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// What the thread is to do.
pub(super) enum Order {
    /// Append a line.
    Write(Arc<Trace>, String),
    /// Remove the files.
    Remove(Arc<Trace>),
}

/// The thread.
pub(super) struct Keeper {
    metrics: Weak<Metrics>,
    files: HashMap<u64, (Arc<Trace>, BufWriter<File>)>,
}

impl Keeper {
    pub(super) fn new(metrics: Weak<Metrics>) -> Self {
        Self { metrics, files: HashMap::new() }
    }

    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            // Not woken by a record: that would cost whoever is traced a call of the system each.
            std::thread::park_timeout(TICK);
            let over = loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(error) => break error == TryRecvError::Disconnected,
                }
            };
            self.flush();
            let Some(metrics) = self.metrics.upgrade().filter(|_| !over) else { return };
            self.look(&metrics);
        }
    }

    fn flush(&mut self) {
        self.files.retain(|_, (trace, file)| match file.flush() {
            Ok(()) => true,
            Err(error) => {
                failed(trace, &error);
                false
            }
        });
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Remove(trace) => {
                self.files.remove(&trace.id);
                for path in [trace.path.clone(), trace.path.with_extension("json")] {
                    match fs::remove_file(&path) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => tracing::error!(event = "trace_failed", %error,
                            file = %path.display(), "a trace cannot be removed"),
                    }
                }
            }
            Order::Write(trace, line) => {
                if let Err(error) = self.write(&trace, &line) {
                    self.files.remove(&trace.id);
                    failed(&trace, &error);
                }
            }
        }
    }

    fn write(&mut self, trace: &Arc<Trace>, line: &str) -> io::Result<()> {
        let (_, file) = match self.files.get_mut(&trace.id) {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                let file = options.create(true).append(true).mode(0o600).open(&trace.path)?;
                let open = (Arc::clone(trace), BufWriter::new(file));
                self.files.entry(trace.id).or_insert(open)
            }
        };
        file.write_all(line.as_bytes())
    }

    /// Begins, ends and forgets.
    fn look(&mut self, metrics: &Metrics) {
        let (traces, now) = (&metrics.traces, now_ms());
        if traces.generation() == 0 && traces.read().is_empty() {
            return;
        }
        let mut changed = false;
        let mut old = Vec::new();
        for trace in traces.read().iter() {
            let mut progress = trace.progress();
            match progress.state {
                TraceState::Waiting if now >= trace.spec.start_unix_ms => {
                    progress.state = TraceState::Running;
                    changed = true;
                }
                TraceState::Running if now >= trace.spec.end_unix_ms => {
                    progress.state = TraceState::Stopped;
                    progress.ended_unix_ms = Some(now);
                    changed = true;
                }
                TraceState::Waiting | TraceState::Running => {}
                _ => {
                    self.files.remove(&trace.id);
                    let ended = progress.ended_unix_ms.unwrap_or(trace.spec.end_unix_ms);
                    if ended.saturating_add(KEPT_MS) < now {
                        old.push(Arc::clone(trace));
                    }
                }
            }
        }
        for trace in old {
            traces.write().retain(|other| other.id != trace.id);
            self.obey(Order::Remove(trace));
            changed = true;
        }
        // One that is full, or whose file failed, is over without anybody having said so.
        let runs = traces.read().iter().any(|trace| trace.is_running());
        if changed || runs != traces.is_on() {
            traces.changed(metrics);
        }
    }
}

fn failed(trace: &Trace, error: &io::Error) {
    trace.end(TraceState::Failed, now_ms());
    let (event, trace) = ("trace_failed", trace.id);
    tracing::error!(event, %error, trace, "a trace cannot be written");
}

/// The traces that are in a folder, ended; makes the folder.
pub(super) fn find(folder: &Path) -> io::Result<Vec<Arc<Trace>>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let id = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let text = fs::read(&path)?;
        let spec = serde_json::from_slice::<TraceSpec>(&text);
        let (Some(id), Ok(spec)) = (id, spec) else {
            tracing::warn!(file = %path.display(), "is no trace of ours");
            continue;
        };
        let trace = Trace::new(id, spec, folder, TraceState::Stopped);
        let length = fs::metadata(&trace.path).map_or(0, |file| file.len());
        trace.progress().bytes = length;
        found.push(Arc::new(trace));
    }
    found.sort_by_key(|trace| trace.id);
    let surplus = found.len().saturating_sub(super::TRACES_MAX);
    Ok(found.split_off(surplus))
}

/// Writes down what a trace is about.
pub(super) fn write_spec(trace: &Trace) -> io::Result<()> {
    let text = serde_json::to_vec(&trace.spec).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    options.open(trace.path.with_extension("json"))?.write_all(&text)?;
    options.open(&trace.path).map(drop)
}

/// Whole lines of a file from `offset` on.
pub(super) fn read_lines(path: &Path, offset: u64, most: usize) -> io::Result<(Vec<u8>, u64)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), offset)),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut lines = Vec::new();
    let mut reader = BufReader::new(file);
    reader.by_ref().take(most as u64).read_to_end(&mut lines)?;
    if lines.len() == most && !lines.ends_with(b"\n") {
        // To the end of the last line: a line that is longer than `most` must not stop everything.
        reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut lines)?;
    }
    let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    lines.truncate(whole);
    Ok((lines, offset + whole as u64))
}

const LINE_BYTES_MAX: u64 = 1 << 20;

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
