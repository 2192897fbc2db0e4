//! The files of the log: their header, the batches in them, and how to tell a torn end from damage.
//!
//! ```text
//! segment = header (64 bytes) · batches
//! batch   = header (40 bytes) · records
//! ```
//!
//! A batch is what was written with one call and, with `durability = "fsync"`, synchronised before
//! the next one began. So at most the last batch can be torn by a crash: when one that does not fit is
//! followed by any that does, the file was damaged later, and that is not cut away in silence. Each
//! batch header holds a checksum of the one before: none can be missing or stand twice.
//!
//! Knows nothing of what records say.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use super::record::{self, Record};
use crate::OpenError;

/// Version of everything in the folder.
pub(crate) const FORMAT: u32 = 1;
pub(crate) const SEGMENT_HEADER: usize = 64;
pub(crate) const BATCH_HEADER: usize = 40;
const SEGMENT_MAGIC: [u8; 8] = *b"PORTLOG\n";
const BATCH_MAGIC: [u8; 4] = *b"PBAT";

/// Where a chain of batches stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Number of the last batch; 0 before the first.
    pub(crate) batch: u64,
    /// Checksum of its header.
    pub(crate) checksum: u32,
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Counts the files.
    pub(crate) number: u64,
    /// Position of the first byte behind the header.
    pub(crate) first: u64,
    /// The batch before it.
    pub(crate) chain: Chain,
    /// Of this store, not known to clients: what a payload looks like can never pass for a batch.
    pub(crate) salt: u64,
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) number: u64,
    /// Bytes of records.
    pub(crate) bytes: u64,
    /// Checksum of the header before it.
    pub(crate) before: u32,
    /// Number of the last change of the state that was durable before it.
    pub(crate) state: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        let fields: [&[u8]; 7] = [
            &SEGMENT_MAGIC,
            &FORMAT.to_le_bytes(),
            &self.chain.checksum.to_le_bytes(),
            &self.number.to_le_bytes(),
            &self.first.to_le_bytes(),
            &self.chain.batch.to_le_bytes(),
            &self.salt.to_le_bytes(),
        ];
        fill(&mut bytes, fields.into_iter().flatten());
        let (content, crc) = bytes.split_at_mut(SEGMENT_HEADER - 4);
        crc.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        bytes
    }

    /// `Err` = the format version of a header that is whole otherwise.
    fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Option<Self>, u32> {
        let (content, crc) = bytes.split_at(SEGMENT_HEADER - 4);
        let magic = content.get(..8) == Some(&SEGMENT_MAGIC);
        if !magic || u32_at(crc, 0) != crc32fast::hash(content) {
            return Ok(None);
        }
        if u32_at(content, 8) != FORMAT {
            return Err(u32_at(content, 8));
        }
        Ok(Some(Self {
            number: u64_at(content, 16),
            first: u64_at(content, 24),
            chain: Chain { batch: u64_at(content, 32), checksum: u32_at(content, 12) },
            salt: u64_at(content, 40),
        }))
    }
}

impl BatchHeader {
    pub(crate) fn encode(&self, salt: u64) -> [u8; BATCH_HEADER] {
        let mut bytes = [0; BATCH_HEADER];
        let content = bytes.get_mut(8..).unwrap_or_default();
        let fields: [&[u8]; 4] = [
            &self.number.to_le_bytes(),
            &self.bytes.to_le_bytes(),
            &self.state.to_le_bytes(),
            &self.before.to_le_bytes(),
        ];
        fill(content, fields.into_iter().flatten());
        let checksum = Self::checksum_of(content, salt);
        fill(&mut bytes, BATCH_MAGIC.iter().chain(&checksum.to_le_bytes()));
        bytes
    }

    /// The checksum in an encoded header.
    pub(crate) fn checksum(bytes: &[u8; BATCH_HEADER]) -> u32 {
        u32_at(bytes, 4)
    }

    fn checksum_of(content: &[u8], salt: u64) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&salt.to_le_bytes());
        hasher.update(content);
        hasher.finalize()
    }

    fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let content = bytes.get(8..BATCH_HEADER)?;
        let fits =
            bytes.starts_with(&BATCH_MAGIC) && u32_at(bytes, 4) == Self::checksum_of(content, salt);
        fits.then(|| Self {
            number: u64_at(content, 0),
            bytes: u64_at(content, 8),
            state: u64_at(content, 16),
            before: u32_at(content, 24),
        })
    }
}

fn fill<'a>(target: &mut [u8], source: impl Iterator<Item = &'a u8>) {
    for (slot, byte) in target.iter_mut().zip(source) {
        *slot = *byte;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// A segment as far as it is whole.
pub(crate) struct Scanned {
    pub(crate) header: SegmentHeader,
    /// Behind its last whole batch.
    pub(crate) chain: Chain,
    /// Bytes of the file up to there.
    pub(crate) length: u64,
    /// Bytes behind that which a crash tore.
    pub(crate) torn: u64,
    /// The highest number of a change of the state that a batch relies on.
    pub(crate) state: u64,
}

/// What a segment says of itself. `last`: its creation may have been cut short, which is `None`.
pub(crate) fn header(path: &Path, last: bool) -> Result<Option<SegmentHeader>, OpenError> {
    let mut file = File::open(path).map_err(OpenError::io(path))?;
    let length = file.metadata().map_err(OpenError::io(path))?.len();
    read_header(&mut file, path, length, last)
}

/// Reads a segment, record by record, each with its position. It goes to where the `next` one
/// begins: what lies behind that was written, could not be synchronised, and was written again
/// there. Without a next one, a torn end is to be expected.
pub(crate) fn scan(
    path: &Path,
    header: SegmentHeader,
    next: Option<&SegmentHeader>,
    found: &mut dyn FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<Scanned, OpenError> {
    let file = File::open(path).map_err(OpenError::io(path))?;
    let length = file.metadata().map_err(OpenError::io(path))?.len();
    scan_from(file, length, (path, header, next), found)
}

/// As [`scan`], of `length` bytes that `file` gives; `path` is what errors name.
pub(crate) fn scan_from(
    file: impl Read + Seek,
    length: u64,
    (path, header, next): (&Path, SegmentHeader, Option<&SegmentHeader>),
    found: &mut dyn FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<Scanned, OpenError> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    reader.seek(SeekFrom::Start(SEGMENT_HEADER as u64)).map_err(OpenError::io(path))?;
    let mut scanned =
        Scanned { header, chain: header.chain, length: SEGMENT_HEADER as u64, torn: 0, state: 0 };
    let mut body = Vec::new();
    loop {
        let left = length.saturating_sub(scanned.length);
        if next.map_or(left == 0, |next| scanned.end() >= next.first) {
            return Ok(scanned);
        }
        match read_batch(&mut reader, left, &scanned, &mut body).map_err(OpenError::io(path))? {
            Ok(batch) => {
                hand_on(&body, scanned.end() + BATCH_HEADER as u64, found)
                    .map_err(|what| OpenError::damaged(path, scanned.length, what))?;
                scanned.chain = batch.chain;
                scanned.state = scanned.state.max(batch.state);
                scanned.length += (BATCH_HEADER + body.len()) as u64;
            }
            Err(what) => {
                let later = later_batch(&mut reader, &scanned).map_err(OpenError::io(path))?;
                if next.is_some() || later {
                    let what = format!("{what}, and more was written behind it");
                    return Err(OpenError::damaged(path, scanned.length, what));
                }
                scanned.torn = left;
                return Ok(scanned);
            }
        }
    }
}

impl Scanned {
    /// Position behind the last whole batch.
    pub(crate) fn end(&self) -> u64 {
        self.header.first + self.length - SEGMENT_HEADER as u64
    }
}

pub(crate) fn read_header(
    reader: &mut impl Read,
    path: &Path,
    length: u64,
    last: bool,
) -> Result<Option<SegmentHeader>, OpenError> {
    let mut bytes = [0; SEGMENT_HEADER];
    if length < SEGMENT_HEADER as u64 {
        if last {
            return Ok(None);
        }
        return Err(OpenError::damaged(path, length, "the header ends early"));
    }
    reader.read_exact(&mut bytes).map_err(OpenError::io(path))?;
    match SegmentHeader::decode(&bytes) {
        Err(found) => Err(OpenError::Format { path: path.to_owned(), found }),
        Ok(Some(header)) => Ok(Some(header)),
        Ok(None) if last && length == SEGMENT_HEADER as u64 => Ok(None),
        Ok(None) => Err(OpenError::damaged(path, 0, "the header is not that of a segment")),
    }
}

struct Batch {
    chain: Chain,
    state: u64,
}

/// The next batch, its records into `body`; what is wrong with it otherwise.
fn read_batch(
    reader: &mut impl Read,
    left: u64,
    scanned: &Scanned,
    body: &mut Vec<u8>,
) -> io::Result<Result<Batch, &'static str>> {
    let mut header = [0; BATCH_HEADER];
    if left < BATCH_HEADER as u64 {
        return Ok(Err("a batch ends early"));
    }
    reader.read_exact(&mut header)?;
    let Some(batch) = BatchHeader::decode(&header, scanned.header.salt) else {
        return Ok(Err("the header of a batch does not fit its checksum"));
    };
    if (batch.number, batch.before) != (scanned.chain.batch + 1, scanned.chain.checksum) {
        return Ok(Err("a batch is not the one that follows the batch before"));
    }
    if batch.bytes > left - BATCH_HEADER as u64 {
        return Ok(Err("a batch ends early"));
    }
    body.clear();
    reader.take(batch.bytes).read_to_end(body)?;
    let mut rest = body.as_slice();
    while !rest.is_empty() {
        match record::read(rest) {
            Ok((_, length)) => rest = rest.get(length..).unwrap_or_default(),
            Err(record::NoRecord(what)) => return Ok(Err(what)),
        }
    }
    let checksum = BatchHeader::checksum(&header);
    let chain = Chain { batch: batch.number, checksum };
    Ok(Ok(Batch { chain, state: batch.state }))
}

/// Only once the whole batch is known to be good: what is cut off must not have been acted on.
fn hand_on(
    body: &[u8],
    first: u64,
    found: &mut dyn FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let (record, length) = record::read(rest).map_err(|error| error.to_string())?;
        found(first + at as u64, record)?;
        at += length;
    }
    Ok(())
}

/// Whether a batch that was written after the one at the end of what is whole can be seen anywhere.
fn later_batch(reader: &mut (impl Read + Seek), scanned: &Scanned) -> io::Result<bool> {
    reader.seek(SeekFrom::Start(scanned.length + 1))?;
    let mut window = Vec::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(false);
        }
        window.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let is_later = |bytes: &[u8]| {
            BatchHeader::decode(bytes, scanned.header.salt)
                .is_some_and(|batch| batch.number > scanned.chain.batch + 1)
        };
        let starts = window.len().saturating_sub(BATCH_HEADER - 1);
        if (0..starts).any(|at| {
            window.get(at..).is_some_and(|rest| rest.starts_with(&BATCH_MAGIC) && is_later(rest))
        }) {
            return Ok(true);
        }
        window.drain(..starts);
    }
}

#[cfg(test)]
mod tests;
