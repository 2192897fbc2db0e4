//! The thread that writes: everything that came since the last time goes out with one write and at
//! most one `fdatasync`, so that a thousand publishers share it (group commit).
//!
//! What it could not write it writes again until it can; meanwhile no more messages are taken.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

use super::{
    Durability, Options,
    log::{Log, Segment},
    mark::Mark,
    pending::Batch,
    segment::{BATCH_HEADER, BatchHeader, Chain, SegmentHeader},
    snapshot::{Snapshot, Wanted},
    state::State,
};

/// Between attempts to write what the disk did not take.
const RETRY: Duration = Duration::from_millis(200);
/// A buffer up to this size is used again.
const BUFFER_KEPT: usize = 4 << 20;

/// Owned by the thread.
pub(super) struct Writer {
    pub(super) options: Options,
    pub(super) log: Arc<Log>,
    pub(super) state: State,
    /// Where it writes.
    pub(super) segment: Arc<Segment>,
    /// It could not be synchronised: nothing more is written to it.
    pub(super) given_up: bool,
    pub(super) chain: Chain,
    pub(super) salt: u64,
    /// Number of the last change of the state.
    pub(super) changes: u64,
    /// The last of them that a batch may rely on.
    pub(super) changes_relied: u64,
    pub(super) mark: Mark,
}

impl Writer {
    /// Writes until the log is closed and empty. The error is what the disk said to the last batch.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut spare = Vec::new();
        // What could not be given back is not tried again before something else is to be done.
        let mut refused = None;
        loop {
            let mut pending = self.log.lock();
            let settled = loop {
                // Before the batch is taken: what freed the space is in it, or was written before.
                let settled = self.log.claims.settled_below(self.segment.first);
                let asked = !pending.wanted.is_empty();
                if !pending.is_empty() || asked || pending.closing || settled != refused {
                    break settled;
                }
                if self.log.has_trouble() {
                    // Nothing comes that would show that there is room again.
                    self.log.more.wait_for(&mut pending, RETRY);
                    MutexGuard::unlocked(&mut pending, || self.look_at_room());
                } else {
                    self.log.more.wait(&mut pending);
                }
            };
            if let Some(end) = settled {
                pending.renew_notes(end);
            }
            let closing = pending.closing;
            let wanted = std::mem::take(&mut pending.wanted);
            let done = closing && pending.is_empty();
            if done || !pending.is_empty() {
                let batch = pending.take(spare);
                pending.plan(&self.log.claims, self.options.segment_bytes);
                drop(pending);
                // At the end an empty one: what a crash tears never has anything behind it.
                spare = self.write(batch, closing)?;
            } else {
                drop(pending);
            }
            // Before space is given back: what a snapshot holds stays readable until it is dropped.
            wanted.iter().for_each(|wanted| self.answer(wanted));
            refused = settled.filter(|end| !self.give_back(*end));
            if done {
                return self.synchronise();
            }
        }
    }

    /// Everything that is written by now, to whoever asked for it.
    fn answer(&self, wanted: &Wanted) {
        let snapshot = self.state.snapshot().map(|state| Snapshot {
            files: self.log.files(),
            state,
            batch: self.chain.batch,
            first: self.mark.first(),
        });
        // Whoever asked may have given up meanwhile.
        let _gone = wanted.send(snapshot);
    }

    /// Writes a batch, however often that takes.
    fn write(&mut self, mut batch: Batch, closing: bool) -> io::Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            match self.try_write(&mut batch) {
                Ok(()) => break,
                Err(error) if closing => return Err(error),
                Err(error) => {
                    self.log.set_trouble(Some(format!("writing to the log failed: {error}")));
                    self.log.wait(RETRY);
                }
            }
        }
        self.look_at_room();
        self.log.committed(batch.number, begun.elapsed());
        let mut spare = batch.bytes;
        if spare.capacity() > BUFFER_KEPT {
            spare = Vec::new();
        }
        Ok(spare)
    }

    fn try_write(&mut self, batch: &mut Batch) -> io::Result<()> {
        let fsync = self.options.durability == Durability::Fsync;
        if !batch.changes.is_empty() {
            self.state.apply(&batch.changes, self.changes + 1, fsync)?;
            self.changes += 1;
            batch.changes = Vec::new();
        }
        if fsync {
            self.changes_relied = self.changes;
        }
        if self.given_up || batch.begins_segment && self.segment.first != batch.start {
            self.begin_segment(batch.start)?;
            self.given_up = false;
        }
        let header = BatchHeader {
            number: batch.number,
            bytes: (batch.bytes.len() - BATCH_HEADER) as u64,
            before: self.chain.checksum,
            state: self.changes_relied,
        };
        let header = header.encode(self.salt);
        if let Some(room) = batch.bytes.first_chunk_mut() {
            *room = header;
        }
        let file = &self.segment.file;
        let offset = self.segment.offset(batch.start);
        if let Err(error) = file.write_all_at(&batch.bytes, offset) {
            // What was written of it must not look like a batch. If that fails too, it is written over.
            let _cut = file.set_len(offset);
            return Err(error);
        }
        if fsync && let Err(error) = file.sync_data() {
            // The system may have forgotten the pages, and say next time that all is well: they are
            // written to another file. These are cut off; if a crash brings them back, they lie
            // behind the place where the next file begins.
            let _cut = file.set_len(offset);
            self.given_up = true;
            return Err(error);
        }
        self.chain = Chain { batch: batch.number, checksum: BatchHeader::checksum(&header) };
        let written = batch.start + batch.bytes.len() as u64;
        self.segment.written.store(written, Ordering::Release);
        if fsync {
            self.set_mark();
        }
        Ok(())
    }

    /// The batch is where it belongs, whether the mark can be moved or not.
    fn set_mark(&mut self) {
        if let Err(error) = self.mark.set_batch(self.chain.batch) {
            tracing::warn!(%error, "it could not be noted how far the log reaches");
        }
    }

    /// With `durability = "os"`: everything so far survives a power cut too.
    fn synchronise(&mut self) -> io::Result<()> {
        self.state.persist()?;
        if self.options.durability == Durability::Os {
            self.segment.file.sync_data()?;
            self.changes_relied = self.changes;
            self.set_mark();
        }
        Ok(())
    }

    fn begin_segment(&mut self, first: u64) -> io::Result<()> {
        if self.options.durability == Durability::Os {
            // Only the last file may have an end that a power cut tore.
            self.synchronise()?;
        }
        let number = self.segment.number + 1;
        let header = SegmentHeader { number, first, chain: self.chain, salt: self.salt };
        let segment = create(&self.options.folder, &header)?;
        self.segment = Arc::new(segment);
        self.log.add_segment(Arc::clone(&self.segment));
        Ok(())
    }

    /// Deletes the segments below a position, oldest first. What made them superfluous is written.
    /// Whether that went well.
    fn give_back(&mut self, end: u64) -> bool {
        let result = self.try_give_back(end);
        if let Err(error) = &result {
            tracing::error!(%error, "the space of old messages could not be given back");
        }
        result.is_ok()
    }

    fn try_give_back(&mut self, end: u64) -> io::Result<()> {
        if self.options.durability == Durability::Os {
            self.synchronise()?;
        }
        let Some(first) = self.log.first_file(end) else { return Ok(()) };
        let gone = self.mark.first()..first;
        // First this: files that are still there then are deleted at the next start, and a first one
        // that is not there is missing.
        self.mark.set_first(first)?;
        self.log.forget_below(end);
        for number in gone {
            fs::remove_file(path(&self.options.folder, number))?;
        }
        File::open(&self.options.folder)?.sync_all()
    }

    /// Stops taking messages before the disk is full: what was taken must still fit.
    pub(super) fn look_at_room(&self) {
        match rustix::fs::fstatvfs(&self.segment.file) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                let least = self.options.free_bytes_min;
                let trouble = (free < least).then(|| {
                    format!("the disk has {free} bytes left, at least {least} are kept free")
                });
                self.log.set_trouble(trouble);
            }
            Err(error) => self.log.set_trouble(Some(format!("the disk does not answer: {error}"))),
        }
    }
}

/// A new file of the log, durable with its name.
pub(super) fn create(folder: &Path, header: &SegmentHeader) -> io::Result<Segment> {
    let path = path(folder, header.number);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(Segment::new(file, header.number, header.first, header.first))
}

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.log"))
}
