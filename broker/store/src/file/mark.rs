//! The file beside the log that says how far the log reached for certain, and with which segment it
//! begins: a log that ends before that was cut, and one that begins behind it lost its beginning.
//!
//! ```text
//! number of a batch u64 LE · number of a segment u64 LE · CRC-32 of both u32 LE
//! ```

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use crate::OpenError;

pub(super) const MARK_BYTES: usize = 20;

/// The file, and what it says.
pub(super) struct Mark {
    file: File,
    batch: u64,
    first: u64,
}

impl Mark {
    /// The mark of a folder. `None` = there is none, or its creation was cut short.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, OpenError> {
        let path = folder.join(NAME);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(path)(error)),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(OpenError::io(&path))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some((batch, first)) = decode(&bytes) else {
            return Err(OpenError::damaged(path, 0, "the mark does not fit its checksum"));
        };
        Ok(Some(Self { file, batch, first }))
    }

    /// A mark for a log that is about to begin, durable with its name.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(true).mode(0o600);
        let mark = Self { file: options.open(folder.join(NAME))?, batch: 0, first: 1 };
        mark.write()?;
        mark.file.sync_all()?;
        File::open(folder)?.sync_all()?;
        Ok(mark)
    }

    /// The last batch that is known to be durable.
    pub(super) fn batch(&self) -> u64 {
        self.batch
    }

    /// Number of the first segment of the log.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// A batch is durable. This itself is not synchronised: it may be lost, it cannot be early.
    pub(super) fn set_batch(&mut self, batch: u64) -> io::Result<()> {
        self.batch = batch;
        self.write()
    }

    /// The log begins with this segment; durable.
    pub(super) fn set_first(&mut self, first: u64) -> io::Result<()> {
        let before = std::mem::replace(&mut self.first, first);
        let result = self.write().and_then(|()| self.file.sync_data());
        if result.is_err() {
            self.first = before;
        }
        result
    }

    /// With one call, inside one sector: a crash leaves the old one or the new one.
    fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&encode(self.batch, self.first), 0)
    }
}

/// Its name in the folder.
pub(super) const NAME: &str = "committed";

pub(super) fn encode(batch: u64, first: u64) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    let (content, crc) = bytes.split_at_mut(MARK_BYTES - 4);
    content.copy_from_slice(&[batch.to_le_bytes(), first.to_le_bytes()].concat());
    crc.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<(u64, u64)> {
    let bytes: &[u8; MARK_BYTES] = bytes.try_into().ok()?;
    let (content, crc) = bytes.split_at(MARK_BYTES - 4);
    let (batch, rest) = content.split_first_chunk()?;
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let fits = crc32fast::hash(content).to_le_bytes() == crc;
    fits.then_some((number(batch), number(rest.first_chunk()?)))
}
