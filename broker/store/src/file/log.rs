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
};

use parking_lot::{Condvar, Mutex, RwLock};

use super::{
    record::{self, Record},
    segment::{BATCH_HEADER, SEGMENT_HEADER},
    state::Change,
};
use crate::{Position, StoredMessage, Ticket, Unavailable};

/// Bytes that may wait to be written: more is not taken.
const PENDING_BYTES_MAX: usize = 128 << 20;
/// A message is mostly read with one call.
const READ_BYTES: usize = 4096;

/// Shared by all who append and the thread that writes.
pub(crate) struct Log {
    pending: Mutex<Pending>,
    /// Something waits, or the end is near.
    pub(super) more: Condvar,
    durable: AtomicU64,
    waiters: Mutex<Vec<(Ticket, Waker)>>,
    segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    trouble: Mutex<Option<String>>,
}

/// What waits to be written.
pub(super) struct Pending {
    /// Room for the header of the batch, then records.
    pub(super) bytes: Vec<u8>,
    pub(super) changes: Vec<Change>,
    /// Bytes of memory that they take, roughly.
    changes_bytes: usize,
    /// Position of the first of `bytes`.
    start: u64,
    /// Number of the batch that they become.
    batch: u64,
    /// Nothing more will come.
    pub(super) closing: bool,
}

/// One file of the log.
pub(crate) struct Segment {
    pub(super) file: File,
    pub(super) number: u64,
    /// Position of the first byte behind its header.
    pub(super) first: u64,
    /// Position up to which it was written.
    pub(super) written: AtomicU64,
    /// Claims on messages in it that are not settled.
    owed: AtomicU64,
}

impl Segment {
    pub(super) fn new(file: File, number: u64, first: u64, written: u64) -> Self {
        let (written, owed) = (AtomicU64::new(written), AtomicU64::new(0));
        Self { file, number, first, written, owed }
    }

    /// Where a position lies in the file.
    pub(super) fn offset(&self, position: u64) -> u64 {
        position - self.first + SEGMENT_HEADER as u64
    }
}

/// One batch on its way to the disk.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) changes: Vec<Change>,
    pub(super) start: u64,
    pub(super) number: u64,
}

impl Log {
    /// A log whose last batch has this number and ends at this position.
    pub(super) fn new(segments: Vec<Arc<Segment>>, batch: u64, end: u64) -> Self {
        let pending = Pending {
            bytes: vec![0; BATCH_HEADER],
            changes: Vec::new(),
            changes_bytes: 0,
            start: end,
            batch: batch + 1,
            closing: false,
        };
        Self {
            pending: Mutex::new(pending),
            more: Condvar::new(),
            durable: AtomicU64::new(batch),
            waiters: Mutex::default(),
            segments: RwLock::new(segments.into_iter().map(|s| (s.first, s)).collect()),
            trouble: Mutex::default(),
        }
    }

    /// Whether more messages are taken.
    pub(crate) fn check(&self) -> Result<(), Unavailable> {
        if let Some(trouble) = &*self.trouble.lock() {
            return Err(Unavailable(trouble.clone()));
        }
        let waiting = {
            let pending = self.pending.lock();
            pending.bytes.len().saturating_add(pending.changes_bytes)
        };
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

    /// Appends a record; where it lies, and its ticket.
    pub(crate) fn append(&self, record: &Record<'_>) -> (Position, Ticket) {
        let mut pending = self.pending.lock();
        let position = pending.start + pending.bytes.len() as u64;
        record::append(record, &mut pending.bytes);
        self.more.notify_one();
        (Position(position), Ticket(pending.batch))
    }

    /// Appends a change of the state.
    pub(crate) fn change(&self, change: Change) -> Ticket {
        let mut pending = self.pending.lock();
        pending.changes_bytes = pending.changes_bytes.saturating_add(change.bytes());
        pending.changes.push(change);
        self.more.notify_one();
        Ticket(pending.batch)
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.pending.lock().closing = true;
        self.more.notify_all();
    }

    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, Pending> {
        self.pending.lock()
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

    /// A batch is where it belongs.
    pub(super) fn committed(&self, batch: u64) {
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

    /// A session is owed the message at this place.
    pub(crate) fn owe(&self, position: Position, sessions: u64) {
        if let Some(segment) = self.segment(position) {
            segment.owed.fetch_add(sessions, Ordering::Relaxed);
        }
    }

    /// A session no longer is.
    pub(crate) fn settle(&self, position: Position) {
        if let Some(segment) = self.segment(position) {
            segment.owed.fetch_sub(1, Ordering::Relaxed);
        }
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

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= BATCH_HEADER && self.changes.is_empty()
    }

    /// Takes everything; the next batch begins behind it. `spare` = a buffer to go on with.
    pub(super) fn take(&mut self, mut spare: Vec<u8>) -> Batch {
        spare.clear();
        spare.resize(BATCH_HEADER, 0);
        let bytes = std::mem::replace(&mut self.bytes, spare);
        self.changes_bytes = 0;
        let batch = Batch {
            changes: std::mem::take(&mut self.changes),
            start: self.start,
            number: self.batch,
            bytes,
        };
        self.start += batch.bytes.len() as u64;
        self.batch += 1;
        batch
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
