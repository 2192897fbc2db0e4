//! The thread that writes: everything that came since the last time goes out with one write and at
//! most one `fdatasync`, so that a thousand publishers share it (group commit).
//!
//! What it could not write it writes again until it can; meanwhile no more messages are taken.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Durability, Options,
    log::{Batch, Log, Segment},
    segment::{BATCH_HEADER, BatchHeader, Chain, SegmentHeader},
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
    pub(super) chain: Chain,
    pub(super) salt: u64,
    /// Number of the last change of the state.
    pub(super) changes: u64,
    /// Says after each batch that it was written: a log that ends before that was cut.
    pub(super) mark: File,
}

impl Writer {
    /// Writes until the log is closed and empty. The error is what the disk said to the last batch.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.look_at_room();
        let mut spare = Vec::new();
        loop {
            let mut pending = self.log.lock();
            while pending.is_empty() && !pending.closing {
                if self.log.has_trouble() {
                    // Nothing comes that would show that there is room again.
                    self.log.more.wait_for(&mut pending, RETRY);
                    drop(pending);
                    self.look_at_room();
                    pending = self.log.lock();
                } else {
                    self.log.more.wait(&mut pending);
                }
            }
            let closing = pending.closing;
            let done = closing && pending.is_empty();
            let batch = pending.take(spare);
            drop(pending);
            // At the end an empty one: what a crash tears never has anything behind it.
            spare = self.write(batch, closing)?;
            if done {
                return self.state.persist();
            }
        }
    }

    /// Writes a batch, however often that takes.
    fn write(&mut self, mut batch: Batch, closing: bool) -> io::Result<Vec<u8>> {
        loop {
            match self.try_write(&mut batch) {
                Ok(()) => break,
                Err(error) if closing => return Err(error),
                Err(error) => {
                    self.log.set_trouble(Some(format!("writing to the log failed: {error}")));
                    let mut pending = self.log.lock();
                    self.log.more.wait_for(&mut pending, RETRY);
                }
            }
        }
        self.look_at_room();
        self.log.committed(batch.number);
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
        let end = self.segment.written.load(Ordering::Relaxed);
        if end - self.segment.first >= self.options.segment_bytes || end != batch.start {
            self.begin_segment(batch.start)?;
        }
        let header = BatchHeader {
            number: batch.number,
            bytes: (batch.bytes.len() - BATCH_HEADER) as u64,
            before: self.chain.checksum,
            state: self.changes,
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
            // written to another file, and these are cut off.
            let _cut = file.set_len(offset);
            self.begin_segment(batch.start)?;
            return Err(error);
        }
        self.chain = Chain { batch: batch.number, checksum: BatchHeader::checksum(&header) };
        let written = batch.start + batch.bytes.len() as u64;
        self.segment.written.store(written, Ordering::Release);
        self.mark.write_all_at(&batch.number.to_le_bytes(), 0)
    }

    fn begin_segment(&mut self, first: u64) -> io::Result<()> {
        let number = self.segment.number + 1;
        let header = SegmentHeader { number, first, chain: self.chain, salt: self.salt };
        let segment = create(&self.options.folder, &header)?;
        self.segment = Arc::new(segment);
        self.log.add_segment(Arc::clone(&self.segment));
        Ok(())
    }

    /// Stops taking messages before the disk is full: what was taken must still fit.
    fn look_at_room(&self) {
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
