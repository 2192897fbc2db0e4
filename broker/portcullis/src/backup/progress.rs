//! How far an archive was read, on standard error while somebody looks.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::ctl::{Progress, bar};

/// Draws while it is read from.
pub(super) struct Watched {
    file: File,
    what: &'static str,
    read: u64,
    bytes: u64,
    progress: Progress,
}

impl Watched {
    /// An archive; `what` is done with it.
    pub(super) fn open(path: &Path, what: &'static str) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, what, read: 0, bytes, progress: Progress::new() })
    }
}

impl Read for Watched {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.read += count as u64;
        let Self { what, read, bytes, progress, .. } = self;
        progress.draw(|| format!("{what}  {}", bar(*read, *bytes)));
        Ok(count)
    }
}
