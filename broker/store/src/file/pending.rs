//! What waits to be written, and what becomes of it: one batch.

use std::sync::Arc;

use super::{
    claims::{Claims, Counter},
    notes::Notes,
    record::{self, Record},
    segment::BATCH_HEADER,
    snapshot::Wanted,
    state::Change,
};
use crate::{Position, Ticket};

/// What waits to be written.
pub(super) struct Pending {
    /// Room for the header of the batch, then records.
    bytes: Vec<u8>,
    changes: Vec<Change>,
    /// Bytes of memory that they take, roughly.
    changes_bytes: usize,
    /// Position of the first of `bytes`.
    start: u64,
    /// Number of the batch that they become.
    batch: u64,
    /// That batch begins a segment.
    begins_segment: bool,
    /// Counts what lies in `bytes`.
    pub(super) counter: Arc<Counter>,
    pub(super) notes: Notes,
    /// Who waits for a snapshot of what is written with the next batch. The callers bound how many.
    pub(super) wanted: Vec<Wanted>,
    /// Nothing more will come.
    pub(super) closing: bool,
}

/// One batch on its way to the disk.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) changes: Vec<Change>,
    pub(super) start: u64,
    pub(super) number: u64,
    /// It is the first of a segment.
    pub(super) begins_segment: bool,
}

impl Pending {
    /// Behind the batch with this number, which ends at `start`.
    pub(super) fn new(batch: u64, start: u64, counter: Arc<Counter>, notes: Notes) -> Self {
        Self {
            bytes: vec![0; BATCH_HEADER],
            changes: Vec::new(),
            changes_bytes: 0,
            start,
            batch: batch + 1,
            begins_segment: false,
            counter,
            notes,
            wanted: Vec::new(),
            closing: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() <= BATCH_HEADER && self.changes.is_empty()
    }

    /// Bytes of memory that wait, roughly.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.len().saturating_add(self.changes_bytes)
    }

    /// Of everything that was appended so far.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(if self.is_empty() { self.batch - 1 } else { self.batch })
    }

    /// Appends a record; where it lies.
    pub(super) fn append(&mut self, record: &Record<'_>) -> Position {
        let position = self.start + self.bytes.len() as u64;
        record::append(record, &mut self.bytes);
        Position(position)
    }

    /// Appends a change of the state.
    pub(super) fn change(&mut self, change: Change) {
        if let Change::RemoveSession(session) = &change {
            self.notes.forget(*session);
        }
        self.changes_bytes = self.changes_bytes.saturating_add(change.bytes());
        self.changes.push(change);
    }

    /// Appends again what is noted below `end` only.
    pub(super) fn renew_notes(&mut self, end: u64) {
        let mut notes = std::mem::take(&mut self.notes);
        notes.renew(end, |record| self.append(record).0);
        self.notes = notes;
    }

    /// The next batch begins a segment if the present one is as large as it is to become.
    pub(super) fn plan(&mut self, claims: &Claims, segment_bytes: u64) {
        self.begins_segment = self.start - self.counter.first >= segment_bytes;
        if self.begins_segment {
            self.counter = claims.begin(self.start);
        }
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
            begins_segment: self.begins_segment,
            bytes,
        };
        self.start += batch.bytes.len() as u64;
        self.batch += 1;
        batch
    }
}
