//! Opens what an earlier process left: reads the whole log, cuts off a torn end, refuses anything
//! else that does not fit, and puts together what each session is still owed.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Options, Recovered,
    commit::{self, Writer},
    found::{Found, Total},
    lock::Lock,
    log::{Log, Segment},
    mark::{self, Mark},
    pending::Pending,
    segment::{self, Chain, Scanned, SegmentHeader},
    state::{Kept, State},
};
use crate::OpenError;

/// Everything that [`super::FileStore`] begins with.
pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) recovered: Recovered,
    pub(super) last_session: u64,
    /// Held as long as the store is open.
    pub(super) lock: Lock,
}

/// Opens a folder, or makes it.
pub(super) fn open(options: Options) -> Result<Opened, OpenError> {
    let folder = options.folder.clone();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(OpenError::io(&folder))?;
    let lock = Lock::take(&folder)?;
    let mut found = Found::default();
    let state = State::open(&folder.join("state"))?;
    let changes = state.load(|kept| match kept {
        Kept::Session(key, kept) => found.session(key, *kept),
        Kept::Subscription(key, kept) => found.subscription(key, kept),
        Kept::Retained(retained) => found.retained(retained),
    })?;
    let files = segment_files(&folder)?;
    let mark = match Mark::open(&folder)? {
        Some(mark) => mark,
        None if files.is_empty() && changes == 0 => {
            Mark::create(&folder).map_err(OpenError::io(folder.join(mark::NAME)))?
        }
        None => return Err(OpenError::damaged(folder.join(mark::NAME), 0, "the file is missing")),
    };
    let log = read_log(&folder, &files, &mark, &mut found)?;
    check_end(&folder, &log, &mark, changes)?;
    // Only now that all is well is anything changed.
    let mut segments = log.prepare(&folder)?;
    let (salt, current) = match segments.last() {
        Some(last) => (log.salt, Arc::clone(last)),
        None => {
            let salt = getrandom::u64().map_err(|error| {
                OpenError::io(&folder)(io::Error::other(format!("no random number: {error}")))
            })?;
            let header = SegmentHeader { number: 1, first: 0, chain: Chain::default(), salt };
            let segment = commit::create(&folder, &header).map_err(OpenError::io(&folder))?;
            let segment = Arc::new(segment);
            segments.push(Arc::clone(&segment));
            found.segment(0);
            (salt, segment)
        }
    };
    let Total { mut recovered, last_session, claims, notes } = found.total();
    recovered.torn_bytes = log.torn;
    let end = current.written.load(std::sync::atomic::Ordering::Relaxed);
    let counter = claims.at(crate::Position(end));
    let counter = counter.unwrap_or_else(|| claims.begin(end));
    let mut pending = Pending::new(log.chain.batch, end, counter, notes);
    pending.plan(&claims, options.segment_bytes);
    let writer = Writer {
        options,
        log: Arc::new(Log::new(segments, claims, pending)),
        state,
        segment: current,
        given_up: false,
        chain: log.chain,
        salt,
        changes,
        changes_relied: log.state,
        mark,
    };
    Ok(Opened { writer, recovered, last_session, lock })
}

/// The log as it was read. Nothing was changed.
#[derive(Default)]
struct ReadLog {
    segments: Vec<(PathBuf, Scanned)>,
    /// Files that are not needed: they were given back, or their creation was cut short.
    superfluous: Vec<PathBuf>,
    chain: Chain,
    state: u64,
    torn: u64,
    salt: u64,
}

fn read_log(
    folder: &Path,
    files: &[(u64, PathBuf)],
    mark: &Mark,
    found: &mut Found,
) -> Result<ReadLog, OpenError> {
    let mut log = ReadLog::default();
    let mut headers = Vec::new();
    for (at, (number, path)) in files.iter().enumerate() {
        if *number < mark.first() {
            log.superfluous.push(path.clone());
            continue;
        }
        match segment::header(path, at + 1 == files.len())? {
            Some(header) if header.number == *number => headers.push((path, header)),
            Some(_) => {
                return Err(OpenError::damaged(
                    path,
                    0,
                    "the file has the name of another segment",
                ));
            }
            // Nothing was in it.
            None => log.superfluous.push(path.clone()),
        }
    }
    let first = headers.first().map_or(1, |(_, header)| header.number);
    if first != mark.first() {
        let path = commit::path(folder, mark.first());
        return Err(OpenError::damaged(
            path,
            0,
            "the log begins with this file, and it is missing",
        ));
    }
    for (at, (path, header)) in headers.iter().enumerate() {
        let next = headers.get(at + 1);
        found.segment(header.first);
        let mut record =
            |position, record: super::record::Record<'_>| found.record(position, &record);
        let scanned = segment::scan(path, *header, next.map(|(_, next)| next), &mut record)?;
        if let Some((path, next)) = next {
            check_order(path, &scanned, next)?;
        }
        (log.chain, log.torn, log.salt) = (scanned.chain, scanned.torn, header.salt);
        log.state = log.state.max(scanned.state);
        log.segments.push(((*path).clone(), scanned));
    }
    Ok(log)
}

/// All files of the log, by number.
fn segment_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(OpenError::io(folder))? {
        let path = entry.map_err(OpenError::io(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let number = number.filter(|number| commit::path(folder, *number) == path);
            let number = number.ok_or_else(|| {
                OpenError::damaged(&path, 0, "the name is not that of a file of the log")
            })?;
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Each segment begins where the one before ends.
fn check_order(path: &Path, before: &Scanned, next: &SegmentHeader) -> Result<(), OpenError> {
    let follows = next.number == before.header.number + 1
        && next.salt == before.header.salt
        && next.chain == before.chain
        && next.first == before.end();
    if !follows {
        return Err(OpenError::damaged(path, 0, "the segment does not follow the one before"));
    }
    Ok(())
}

/// The log must reach at least as far as was noted beside it, and the state as far as the log says.
fn check_end(folder: &Path, log: &ReadLog, mark: &Mark, changes: u64) -> Result<(), OpenError> {
    if mark.batch() > log.chain.batch {
        let path = log.segments.last().map_or(folder, |(path, _)| path);
        let what = format!(
            "batch {} was written, and the log ends with batch {}: its end is missing",
            mark.batch(),
            log.chain.batch
        );
        let at = log.segments.last().map_or(0, |(_, scanned)| scanned.length);
        return Err(OpenError::damaged(path, at, what));
    }
    if changes < log.state {
        let what = format!(
            "sessions and retained messages end with change {changes}, the log relies on {}",
            log.state
        );
        return Err(OpenError::damaged(folder.join("state"), 0, what));
    }
    Ok(())
}

impl ReadLog {
    /// Opens the segments to go on with them, without what is superfluous.
    fn prepare(&self, folder: &Path) -> Result<Vec<Arc<Segment>>, OpenError> {
        for path in &self.superfluous {
            fs::remove_file(path).map_err(OpenError::io(path))?;
        }
        if !self.superfluous.is_empty() {
            let sync = File::open(folder).and_then(|folder| folder.sync_all());
            sync.map_err(OpenError::io(folder))?;
        }
        let reopen = |(path, scanned): &(PathBuf, Scanned)| reopen(path, scanned).map(Arc::new);
        self.segments.iter().map(reopen).collect()
    }
}

/// Opens a segment to go on with it, without its torn end.
fn reopen(path: &Path, scanned: &Scanned) -> Result<Segment, OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(OpenError::io(path))?;
    if scanned.torn > 0 {
        tracing::warn!(path = %path.display(), bytes = scanned.torn, at = scanned.length,
            "a crash tore the end of the log: cut off, nothing in it was acknowledged");
        file.set_len(scanned.length).map_err(OpenError::io(path))?;
        file.sync_all().map_err(OpenError::io(path))?;
    }
    let header = &scanned.header;
    Ok(Segment::new(file, header.number, header.first, scanned.end()))
}
