//! What a store held at one moment between two batches, to be read while the store goes on.
//!
//! The log is only appended to, so the files that are open now and how far each is written say
//! everything about it; a file that is given back meanwhile goes when the last who has it open closes it.
//! Sessions and retained messages are a snapshot of fjall, of the same moment because one thread writes
//! both. Knows nothing of archives.

use std::{
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, mpsc::SyncSender},
};

use super::{
    log::Segment,
    mark,
    segment::{self, SEGMENT_HEADER},
    state::StateSnapshot,
};

/// Where a snapshot is awaited.
pub(super) type Wanted = SyncSender<io::Result<Snapshot>>;

/// What a store held at one moment. It keeps the space of its files until it is dropped.
pub struct Snapshot {
    /// The oldest first, with the position up to which each is written.
    pub(super) files: Vec<(Arc<Segment>, u64)>,
    pub(super) state: StateSnapshot,
    /// The last batch.
    pub(super) batch: u64,
    /// Number of the first file.
    pub(super) first: u64,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The files of the log, the oldest first.
    pub fn files(&self) -> impl ExactSizeIterator<Item = SnapshotFile<'_>> {
        self.files.iter().map(|(segment, end)| SnapshotFile { segment, end: *end })
    }

    /// What [`super::Restore::finish`] needs to know of the whole: how far the log reaches, and the sum over
    /// all entries.
    pub fn mark(&self) -> Vec<u8> {
        [&mark::encode(self.batch, self.first)[..], &self.state.meta()].concat()
    }

    /// Hands on sessions, subscriptions and retained messages, in pieces of about `piece_bytes`: one entry
    /// makes a piece larger, none is divided.
    ///
    /// # Errors
    /// They are not what was written, or `found` fails.
    pub fn entries(
        &self,
        piece_bytes: usize,
        found: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut piece = Vec::with_capacity(piece_bytes);
        self.state.entries(|place, key, value| {
            push(&mut piece, place, key, value)?;
            if piece.len() >= piece_bytes {
                found(&piece)?;
                piece.clear();
            }
            Ok(())
        })?;
        if piece.is_empty() { Ok(()) } else { found(&piece) }
    }
}

/// A file of the log in a snapshot.
#[derive(Clone, Copy)]
pub struct SnapshotFile<'a> {
    segment: &'a Arc<Segment>,
    end: u64,
}

impl SnapshotFile<'_> {
    /// Counts the files of a store.
    pub fn number(&self) -> u64 {
        self.segment.number
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.end - self.segment.first + SEGMENT_HEADER as u64
    }

    /// From its beginning.
    pub fn reader(&self) -> impl Read + Seek {
        Reader { segment: Arc::clone(self.segment), at: 0, length: self.bytes() }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// It is not what was written.
    pub fn check(&self) -> io::Result<()> {
        let name = format!("{:020}.log", self.segment.number);
        let path = Path::new(&name);
        let header = segment::read_header(&mut self.reader(), path, self.bytes(), false);
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let header = header.map_err(|error| damaged(error.to_string()))?;
        let header = header.ok_or_else(|| damaged(format!("{name} has no header")))?;
        let place = (path, header, None);
        let scanned = segment::scan_from(self.reader(), self.bytes(), place, &mut |_, _| Ok(()));
        let scanned = scanned.map_err(|error| damaged(error.to_string()))?;
        if scanned.torn > 0 {
            return Err(damaged(format!("{name}, byte {}: it is damaged", scanned.length)));
        }
        Ok(())
    }
}

/// Reads a file that others append to, without a place of theirs in it.
struct Reader {
    segment: Arc<Segment>,
    at: u64,
    length: u64,
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = bytes.len().min(left);
        let count =
            self.segment.file.read_at(bytes.get_mut(..room).unwrap_or_default(), self.at)?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file of the log was cut",
            ));
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Kind, both lengths (u32 LE), key and value.
fn push(piece: &mut Vec<u8>, place: u8, key: &[u8], value: &[u8]) -> io::Result<()> {
    let length = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other);
        length.map(u32::to_le_bytes)
    };
    piece.push(place);
    piece.extend_from_slice(&length(key)?);
    piece.extend_from_slice(&length(value)?);
    piece.extend_from_slice(key);
    piece.extend_from_slice(value);
    Ok(())
}

/// An entry of a piece: kind, key, value.
pub(super) type Entry<'a> = (u8, &'a [u8], &'a [u8]);

/// The entries of a piece; `None` = it is none.
pub(super) fn pull(mut piece: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut entries = Vec::new();
    while let Some((place, rest)) = piece.split_first() {
        let (key, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let length = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
        let (key, rest) = rest.split_at_checked(length(key)?)?;
        let (value, rest) = rest.split_at_checked(length(value)?)?;
        entries.push((*place, key, value));
        piece = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests;
