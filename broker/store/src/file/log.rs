//! The log as everybody sees it: what waits to be written, where messages lie, from when on they are
//! durable. `commit.rs` writes it, `recovery.rs` reads it back.
//!
//! Positions count the bytes of all batches ever written, headers of files left out: a place is known
//! the moment something is appended, whatever file it comes to lie in.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use super::{
    claims::Claims,
    pending::Pending,
    record::{self, Record},
    segment::SEGMENT_HEADER,
    snapshot::Wanted,
    state::Change,
};
use crate::{
    MessageRef, Origin, Owed, Position, SessionKey, StoredMessage, Ticket, Unavailable, Usage,
};

/// Bytes that may wait to be written: more is not taken.
const PENDING_BYTES_MAX: usize = 128 << 20;
/// A message is mostly read with one call.
const READ_BYTES: usize = 4096;

/// Shared by all who append and the thread that writes.
pub(crate) struct Log {
    pending: Mutex<Pending>,
    /// Something waits, can be given back, or the end is near.
    pub(super) more: Condvar,
    durable: AtomicU64,
    waiters: Mutex<Vec<(Ticket, Waker)>>,
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    pub(super) claims: Claims,
    trouble: Mutex<Option<String>>,
    commits: AtomicU64,
    commit_nanoseconds: AtomicU64,
}

/// One file of the log.
pub(crate) struct Segment {
    pub(super) file: File,
    pub(super) number: u64,
    /// Position of the first byte behind its header.
    pub(super) first: u64,
    /// Position up to which it was written.
    pub(super) written: AtomicU64,
}

impl Segment {
    pub(super) fn new(file: File, number: u64, first: u64, written: u64) -> Self {
        Self { file, number, first, written: AtomicU64::new(written) }
    }

    /// Where a position lies in the file.
    pub(super) fn offset(&self, position: u64) -> u64 {
        position - self.first + SEGMENT_HEADER as u64
    }
}

impl Log {
    /// A log whose last batch is durable.
    pub(super) fn new(segments: Vec<Arc<Segment>>, claims: Claims, pending: Pending) -> Self {
        Self {
            durable: AtomicU64::new(pending.ticket().0),
            pending: Mutex::new(pending),
            more: Condvar::new(),
            waiters: Mutex::default(),
            segments: RwLock::new(segments.into_iter().map(|s| (s.first, s)).collect()),
            claims,
            trouble: Mutex::default(),
            commits: AtomicU64::new(0),
            commit_nanoseconds: AtomicU64::new(0),
        }
    }

    /// Whether more messages are taken.
    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        if let Some(trouble) = &*self.trouble.lock() {
            return Err(Unavailable(trouble.clone()));
        }
        let waiting = self.pending.lock().waiting_bytes();
        if waiting > PENDING_BYTES_MAX {
            return Err(Unavailable(format!("{waiting} bytes wait to be written")));
        }
        Ok(())
    }

    /// Sets or clears the reason why nothing is taken.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        let before = std::mem::replace(&mut *self.trouble.lock(), trouble.clone());
        match (before, trouble) {
            (None, Some(why)) => tracing::error!(%why, "store takes nothing"),
            (Some(_), None) => tracing::warn!("store takes messages again"),
            _ => {}
        }
    }

    pub(super) fn has_trouble(&self) -> bool {
        self.trouble.lock().is_some()
    }

    /// Appends a message and holds it. Nobody is woken to write it: its claims come at once, and belong
    /// into the same batch.
    pub(crate) fn message(&self, message: &MessageRef<'_>, origin: Option<Origin>) -> Position {
        let mut pending = self.pending.lock();
        pending.counter.hold();
        let position = pending.append(&Record::Message { message: *message, origin });
        if let Some(origin) = origin {
            pending.notes.accept(origin, position.0);
        }
        position
    }

    /// Appends the claims on a message and lets it go.
    pub(crate) fn owed(
        &self,
        position: Position,
        (bytes, expires_at_unix): (usize, Option<u64>),
        owed: &[Owed],
    ) -> Ticket {
        let record =
            Record::Owed { position, bytes: bytes as u64, expires_at_unix, owed: owed.into() };
        self.claims.owe(position, owed.len());
        let ticket = self.append(|pending| pending.append(&record));
        if self.claims.let_go(position) {
            self.wake_writer();
        }
        ticket
    }

    /// Appends a claim that lies elsewhere from now on.
    pub(crate) fn moved(
        &self,
        (from, to): (Position, Position),
        (bytes, expires_at_unix): (usize, Option<u64>),
        owed: Owed,
    ) {
        let owed = vec![owed].into();
        let record = Record::Owed { position: to, bytes: bytes as u64, expires_at_unix, owed };
        self.claims.owe(to, 1);
        self.append(|pending| pending.append(&record));
        self.settle(&[from]);
    }

    /// Appends which messages a session is done with. The record comes first: a place is given back
    /// only once everything that freed it is durable.
    pub(crate) fn complete(&self, session: SessionKey, done: &[(u64, Position)]) -> Ticket {
        if done.is_empty() {
            return self.append(|_| ());
        }
        let (numbers, positions): (Vec<u64>, Vec<Position>) = done.iter().copied().unzip();
        let record = Record::Completed { session, numbers: numbers.as_slice().into() };
        let ticket = self.append(|pending| {
            pending.append(&record);
            pending.notes.complete(session, &numbers);
        });
        self.settle(&positions);
        ticket
    }

    /// Claims at these places are settled.
    pub(crate) fn settle(&self, positions: &[Position]) {
        // All of them: each counts.
        let emptied = positions.iter().filter(|position| self.claims.settle(**position)).count();
        if emptied > 0 {
            self.wake_writer();
        }
    }

    /// Appends that PUBREC came for a message.
    pub(crate) fn receive(&self, session: SessionKey, number: u64) -> Ticket {
        self.append(|pending| {
            let position = pending.append(&Record::Received { session, number });
            pending.notes.receive(session, number, position.0);
        })
    }

    /// Appends that PUBREL came for an identifier.
    pub(crate) fn release(&self, origin: Origin) -> Ticket {
        self.append(|pending| {
            pending.append(&Record::Released(origin));
            pending.notes.release(origin);
        })
    }

    /// Appends a change of the state.
    pub(crate) fn change(&self, change: Change) -> Ticket {
        self.append(|pending| pending.change(change))
    }

    fn append<T>(&self, append: impl FnOnce(&mut Pending) -> T) -> Ticket {
        let mut pending = self.pending.lock();
        append(&mut pending);
        self.more.notify_one();
        pending.ticket()
    }

    /// Something can be given back. The writer looks under this lock, so it cannot miss it.
    fn wake_writer(&self) {
        let _pending = self.pending.lock();
        self.more.notify_one();
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.pending.lock().closing = true;
        self.more.notify_all();
    }

    /// Somebody wants a snapshot of everything that was appended so far.
    pub(super) fn want(&self, wanted: Wanted) {
        let mut pending = self.pending.lock();
        // Dropped when nobody writes any more, which tells whoever waits.
        if !pending.closing {
            pending.wanted.push(wanted);
            self.more.notify_one();
        }
    }

    /// The files from the oldest on, and how far each is written. For the thread that writes, which alone
    /// adds files and takes them away.
    pub(super) fn files(&self) -> Vec<(Arc<Segment>, u64)> {
        let segments = self.segments.read();
        let with_end =
            |segment: &Arc<Segment>| (Arc::clone(segment), segment.written.load(Ordering::Acquire));
        segments.values().map(with_end).collect()
    }

    /// For as long as this, or until the end is near.
    pub(super) fn wait(&self, duration: Duration) {
        let mut pending = self.pending.lock();
        self.more.wait_while_for(&mut pending, |pending| !pending.closing, duration);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }

    /// Of everything that was appended so far.
    pub(crate) fn latest(&self) -> Ticket {
        self.pending.lock().ticket()
    }

    pub(crate) fn durable(&self) -> Ticket {
        Ticket(self.durable.load(Ordering::Acquire))
    }

    /// Wakes once `ticket` is durable.
    pub(crate) fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        let mut waiters = self.waiters.lock();
        if self.durable() >= ticket {
            drop(waiters);
            waker.wake_by_ref();
            return;
        }
        waiters.push((ticket, waker.clone()));
    }

    /// What it takes, but for the size of a file.
    pub(crate) fn usage(&self) -> Usage {
        let pending_bytes = self.pending.lock().waiting_bytes() as u64;
        let segments = self.segments.read();
        let first = segments.keys().next().copied().unwrap_or_default();
        let end = segments.values().next_back();
        let end = end.map_or(first, |segment| segment.written.load(Ordering::Acquire));
        let headers = (segments.len() * SEGMENT_HEADER) as u64;
        drop(segments);
        Usage {
            pending_bytes,
            files: self.claims.firsts(),
            log_bytes: end.saturating_sub(first) + headers,
            file_bytes: 0,
            commits: self.commits.load(Ordering::Relaxed),
            commit_time: Duration::from_nanos(self.commit_nanoseconds.load(Ordering::Relaxed)),
        }
    }

    /// A batch is where it belongs; writing it took so long.
    pub(super) fn committed(&self, batch: u64, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.commit_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        let ready: Vec<Waker> = {
            let mut waiters = self.waiters.lock();
            self.durable.store(batch, Ordering::Release);
            let ready = waiters.extract_if(.., |(ticket, _)| ticket.0 <= batch);
            ready.map(|(_, waker)| waker).collect()
        };
        for waker in ready {
            waker.wake();
        }
    }

    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        self.segments.write().insert(segment.first, segment);
    }

    /// The segment of a position.
    fn segment(&self, position: Position) -> Option<Arc<Segment>> {
        let segments = self.segments.read();
        segments.range(..=position.0).next_back().map(|(_, segment)| Arc::clone(segment))
    }

    /// Nobody needs what is below this position.
    pub(super) fn forget_below(&self, end: u64) {
        self.claims.forget_below(end);
        let mut segments = self.segments.write();
        *segments = segments.split_off(&end);
    }

    /// The number of the first file that holds something from this position on.
    pub(super) fn first_file(&self, position: u64) -> Option<u64> {
        self.segments.read().range(position..).next().map(|(_, segment)| segment.number)
    }

    /// Reads a message; `None` = not written yet.
    pub(crate) fn read(&self, position: Position) -> io::Result<Option<StoredMessage>> {
        let lost = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let at = position.0;
        let segment =
            self.segment(position).ok_or_else(|| lost("the message is no longer there"))?;
        if at >= segment.written.load(Ordering::Acquire) {
            return Ok(None);
        }
        let offset = segment.offset(at);
        let mut bytes = vec![0; READ_BYTES];
        let count = read_at_most(&segment.file, &mut bytes, offset)?;
        bytes.truncate(count);
        let (length, crc) = record::head(&bytes).ok_or_else(|| lost("a record ends early"))?;
        let end = record::HEAD_BYTES + length;
        if end > bytes.len() {
            // A length that a flipped bit made up must not allocate gigabytes.
            let written = segment.written.load(Ordering::Acquire);
            if at + end as u64 > written {
                return Err(lost("a record is longer than the log"));
            }
            let begun = bytes.len();
            bytes.resize(end, 0);
            let rest = bytes.get_mut(begun..).unwrap_or_default();
            segment.file.read_exact_at(rest, offset + begun as u64)?;
        }
        let body = bytes.get(record::HEAD_BYTES..end).unwrap_or_default();
        match record::check(body, crc) {
            Ok(Record::Message { message, .. }) => Ok(Some(message.into())),
            Ok(_) => Err(lost("a record is not a message")),
            Err(error) => Err(lost(&error.to_string())),
        }
    }
}

fn read_at_most(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
