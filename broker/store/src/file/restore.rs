//! Makes a store of what a [`super::Snapshot`] handed on, in a folder of its own, and opens it once to see
//! that it is whole. Knows nothing of archives.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use super::{FileStore, Options, commit, mark, snapshot, state::State};

/// A store that is being put together.
pub struct Restore {
    folder: PathBuf,
    state: State,
}

/// What is in a store that was put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Sessions.
    pub sessions: usize,
    /// Subscriptions of them.
    pub subscriptions: usize,
    /// Messages that wait for them or are in flight.
    pub messages: usize,
    /// Retained messages.
    pub retained: usize,
}

impl Restore {
    /// Makes the folder, which must not be there, with mode 0700.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub fn begin(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let state = State::open(&folder.join("state")).map_err(io::Error::other)?;
        Ok(Self { folder, state })
    }

    /// A new file of the log, to be filled and synchronised by the caller.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn file(&self, number: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(commit::path(&self.folder, number))
    }

    /// A piece of [`super::Snapshot::entries`].
    ///
    /// # Errors
    /// It is none, or cannot be written.
    pub fn entries(&mut self, piece: &[u8]) -> io::Result<()> {
        let entries = snapshot::pull(piece).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a piece of sessions is not whole")
        })?;
        self.state.restore(&entries)
    }

    /// Notes how far it reaches, and opens it as the broker will. Everything is on the disk then.
    ///
    /// # Errors
    /// It is not whole.
    pub fn finish(mut self, mark: &[u8]) -> io::Result<Restored> {
        let no_mark = || io::Error::new(io::ErrorKind::InvalidData, "the mark of the log is none");
        let (reaches, meta) = mark.split_at_checked(mark::MARK_BYTES).ok_or_else(no_mark)?;
        mark::decode(reaches).ok_or_else(no_mark)?;
        self.state.finish_restore(meta)?;
        drop(self.state);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(self.folder.join(mark::NAME))?;
        io::Write::write_all(&mut file, reaches)?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        let options = Options { free_bytes_min: 0, ..Options::new(&self.folder) };
        let (store, found) = FileStore::open(options).map_err(io::Error::other)?;
        if found.torn_bytes > 0 {
            let what = format!("the log ends with {} bytes that are no batch", found.torn_bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        store.close()?;
        Ok(Restored {
            sessions: found.sessions.len(),
            subscriptions: found.sessions.iter().map(|it| it.subscriptions.len()).sum(),
            messages: found.sessions.iter().map(|it| it.owed.len()).sum(),
            retained: found.retained.len(),
        })
    }
}
