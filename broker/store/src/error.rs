//! Why a store does not open. Every message names the file and what to do about it.

use std::{io, path::PathBuf};

use crate::file::FORMAT;

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses a file.
    #[error("{path}: {error}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It was written by another version.
    #[error(
        "{path}: the store has format version {found}; this program reads version {FORMAT} only: \
         use the program that wrote it",
        path = .path.display()
    )]
    Format {
        /// The folder.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// What was acknowledged is no longer there as it was written.
    #[error(
        "{path}, byte {at}: {what}. Messages that were acknowledged are damaged or missing; \
         nothing was changed. Restore the folder from a backup, or move it away to begin empty",
        path = .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place in it.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// Another process has it.
    #[error("{path}: another process uses this store", path = .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl OpenError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { path, error }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, at: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), at, what: what.into() }
    }
}
