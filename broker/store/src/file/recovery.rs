//! Opens what an earlier process left: reads the whole log, cuts off a torn end, refuses anything
//! else that does not fit, and puts together what each session is still owed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use codec::PacketId;

use super::{
    FoundSession, Options, Recovered,
    commit::{self, Writer},
    log::{Log, Segment},
    record::Record,
    segment::{self, Chain, SEGMENT_HEADER, Scanned, SegmentHeader},
    state::{Kept, State},
};
use crate::{FoundOwed, KeptSession, KeptSubscription, OpenError, Position, SessionKey};

/// Everything that [`super::FileStore`] begins with.
pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) recovered: Recovered,
    pub(super) last_session: u64,
    /// Held as long as the store is open.
    pub(super) lock: File,
}

/// Opens a folder, or makes it.
pub(super) fn open(options: Options) -> Result<Opened, OpenError> {
    let folder = options.folder.clone();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(OpenError::io(&folder))?;
    let lock = lock(&folder)?;
    let mut found = Found::default();
    let state = State::open(&folder.join("state"))?;
    state.load(|kept| match kept {
        Kept::Session(key, kept) => found.session(key).kept = Some(kept),
        Kept::Subscription(key, kept) => found.session(key).subscriptions.push(kept),
        Kept::Retained(retained) => found.recovered.retained.push(retained),
    })?;
    let log = read_log(&folder, &mut found)?;
    let mark = check_mark(&folder, log.chain)?;
    let changes = state.last_change()?;
    if changes < log.state {
        let what = format!(
            "sessions and retained messages end with change {changes}, the log relies on {}",
            log.state
        );
        return Err(OpenError::damaged(folder.join("state"), 0, what));
    }
    found.recovered.torn_bytes = log.torn;
    let mut segments = log.segments;
    let (salt, current) = match segments.last() {
        Some(last) => (log.salt, Arc::clone(last)),
        None => {
            let salt = getrandom::u64().map_err(|error| {
                OpenError::io(&folder)(io::Error::other(format!("no random number: {error}")))
            })?;
            let header = SegmentHeader { number: 1, first: 0, chain: Chain::default(), salt };
            let segment = commit::create(&folder, &header).map_err(OpenError::io(&folder))?;
            segments.push(Arc::new(segment));
            (salt, segments.last().map(Arc::clone).ok_or_else(|| no_segment(&folder))?)
        }
    };
    let end = current.written.load(std::sync::atomic::Ordering::Relaxed);
    let shared = Arc::new(Log::new(segments, log.chain.batch, end));
    let last_session = found.last_session;
    let recovered = found.settle(&shared);
    let chain = log.chain;
    let writer =
        Writer { options, log: shared, state, segment: current, chain, salt, changes, mark };
    Ok(Opened { writer, recovered, last_session, lock })
}

fn no_segment(folder: &Path) -> OpenError {
    OpenError::io(folder)(io::Error::other("no segment"))
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let options = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).clone();
    let file = options.open(&path).map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path: folder.to_owned() }),
        Err(fs::TryLockError::Error(error)) => Err(OpenError::io(path)(error)),
    }
}

/// The log as it was read.
struct ReadLog {
    segments: Vec<Arc<Segment>>,
    chain: Chain,
    state: u64,
    torn: u64,
    salt: u64,
}

fn read_log(folder: &Path, found: &mut Found) -> Result<ReadLog, OpenError> {
    let paths = segment_paths(folder)?;
    let mut log =
        ReadLog { segments: Vec::new(), chain: Chain::default(), state: 0, torn: 0, salt: 0 };
    let mut before: Option<SegmentHeader> = None;
    for (at, path) in paths.iter().enumerate() {
        let last = at + 1 == paths.len();
        let scanned = segment::scan(path, last, &mut |_, record| {
            found.record(&record);
            Ok(())
        })?;
        let Some(scanned) = scanned else {
            // Its creation was cut short: nothing was in it.
            fs::remove_file(path).map_err(OpenError::io(path))?;
            continue;
        };
        let end =
            log.segments.last().map(|last| last.written.load(std::sync::atomic::Ordering::Relaxed));
        check_order(path, before, (end, log.chain), &scanned)?;
        log.segments.push(Arc::new(reopen(path, &scanned)?));
        (log.chain, log.torn) = (scanned.chain, scanned.torn);
        log.state = log.state.max(scanned.state);
        log.salt = scanned.header.salt;
        before = Some(scanned.header);
    }
    Ok(log)
}

fn segment_paths(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(OpenError::io(folder))? {
        let path = entry.map_err(OpenError::io(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Each segment begins where the one before ends.
fn check_order(
    path: &Path,
    before: Option<SegmentHeader>,
    (end, chain): (Option<u64>, Chain),
    scanned: &Scanned,
) -> Result<(), OpenError> {
    let header = &scanned.header;
    if *path != commit::path(path.parent().unwrap_or(path), header.number) {
        return Err(OpenError::damaged(path, 0, "the file has the name of another segment"));
    }
    let Some(before) = before else { return Ok(()) };
    let follows = header.number == before.number + 1
        && header.salt == before.salt
        && header.chain == chain
        && Some(header.first) == end;
    if !follows {
        return Err(OpenError::damaged(path, 0, "the segment does not follow the one before"));
    }
    Ok(())
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
    let written = header.first + scanned.length - SEGMENT_HEADER as u64;
    Ok(Segment::new(file, header.number, header.first, written))
}

/// The log must reach at least as far as was noted beside it.
fn check_mark(folder: &Path, chain: Chain) -> Result<File, OpenError> {
    let path = folder.join("committed");
    let options =
        OpenOptions::new().create(true).read(true).write(true).truncate(false).mode(0o600).clone();
    let mut file = options.open(&path).map_err(OpenError::io(&path))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(OpenError::io(&path))?;
    let marked = match bytes.as_slice().try_into() {
        Ok(bytes) => u64::from_le_bytes(bytes),
        Err(_) if bytes.is_empty() => 0,
        Err(_) => return Err(OpenError::damaged(path, 0, "the file has a wrong length")),
    };
    if marked > chain.batch {
        let what = format!(
            "batch {marked} was written, and the log ends with batch {}: its end is missing",
            chain.batch
        );
        return Err(OpenError::damaged(folder, 0, what));
    }
    Ok(file)
}

/// What was found so far.
#[derive(Default)]
struct Found {
    sessions: HashMap<SessionKey, Session>,
    last_session: u64,
    recovered: Recovered,
}

#[derive(Default)]
struct Session {
    kept: Option<KeptSession>,
    subscriptions: Vec<KeptSubscription>,
    owed: BTreeMap<u64, FoundOwed>,
    unreleased: BTreeSet<PacketId>,
    /// The highest number of a message.
    last_number: u64,
}

impl Found {
    fn session(&mut self, key: SessionKey) -> &mut Session {
        self.last_session = self.last_session.max(key.0);
        self.sessions.entry(key).or_default()
    }

    /// A session that is not over: what others were owed is nobody's any more.
    fn living(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.last_session = self.last_session.max(key.0);
        self.sessions.get_mut(&key)
    }

    fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Message { origin, .. } => {
                if let Some(origin) = origin
                    && let Some(session) = self.living(origin.session)
                {
                    session.unreleased.insert(origin.packet_id);
                }
            }
            Record::Owed { position, bytes, expires_at_unix, owed } => {
                for owed in owed.iter() {
                    let Some(session) = self.living(owed.session) else { continue };
                    session.last_number = session.last_number.max(owed.number);
                    let found = FoundOwed {
                        position: Position(*position),
                        number: owed.number,
                        bytes: *bytes,
                        expires_at_unix: *expires_at_unix,
                        qos: owed.qos,
                        retain: owed.retain,
                        shared: owed.shared,
                        subscription_identifiers: owed.subscription_identifiers.clone(),
                        received: false,
                    };
                    let known = session.owed.entry(owed.number).or_insert(found);
                    known.position = known.position.max(Position(*position));
                }
            }
            Record::Completed { session, numbers } => {
                let Some(session) = self.living(*session) else { return };
                for number in numbers.iter() {
                    session.last_number = session.last_number.max(*number);
                    session.owed.remove(number);
                }
            }
            Record::Received { session, number } => {
                let Some(session) = self.living(*session) else { return };
                if let Some(owed) = session.owed.get_mut(number) {
                    owed.received = true;
                }
            }
            Record::Accepted(origin) => {
                if let Some(session) = self.living(origin.session) {
                    session.unreleased.insert(origin.packet_id);
                }
            }
            Record::Released(origin) => {
                if let Some(session) = self.living(origin.session) {
                    session.unreleased.remove(&origin.packet_id);
                }
            }
        }
    }

    /// Counts the claims, segment by segment, and hands everything over.
    fn settle(self, log: &Log) -> Recovered {
        let Self { sessions, mut recovered, .. } = self;
        for (key, session) in sessions {
            // Subscriptions of a session that is over would be a change that was half applied.
            let Some(kept) = session.kept else { continue };
            for owed in session.owed.values() {
                log.owe(owed.position, 1);
            }
            recovered.sessions.push(FoundSession {
                key,
                kept,
                subscriptions: session.subscriptions,
                owed: session.owed.into_values().collect(),
                unreleased: session.unreleased.into_iter().collect(),
                last_number: session.last_number,
            });
        }
        recovered
    }
}
