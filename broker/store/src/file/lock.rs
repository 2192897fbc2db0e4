//! One process at a time: a lock on a file in the folder, as long as the store is open.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::OpenError;

/// Held until it is dropped.
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(OpenError::io(path)(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Said, not left to the closing of the file: a child process that is just being started holds the
        // same lock for a moment.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of the store is given back late");
        }
    }
}
