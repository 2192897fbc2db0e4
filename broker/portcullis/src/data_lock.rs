//! One process at a time in a data folder, whatever it keeps there: a lock on `DATA_DIR/.lock`, held by `run` and by
//! `restore` as long as they work.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::Path,
};

use crate::failure::Failure;

const FILE: &str = ".lock";

/// Held until it is dropped.
pub(crate) struct DataLock(File);

impl DataLock {
    /// Takes it, or says that somebody else has it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, Failure> {
        let path = data_dir.join(FILE);
        let refused = |error: std::io::Error| {
            Failure::Refused(format!("{}: cannot be used: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(refused)?;
        // A restore by root: the broker opens it as the user whose folder it is.
        let (folder, lock) = (data_dir.metadata(), file.metadata());
        let (folder, lock) = (folder.map_err(refused)?, lock.map_err(refused)?);
        if rustix::process::geteuid().is_root() && lock.uid() != folder.uid() {
            fchown(&file, Some(folder.uid()), Some(folder.gid())).map_err(refused)?;
        }
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::Refused(format!(
                "{}: a broker uses this folder: stop it first",
                data_dir.display()
            ))),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }
}

impl Drop for DataLock {
    fn drop(&mut self) {
        // Said, not left to the closing of the file: a child process that is just being started holds the
        // same lock for a moment.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of data_dir is given back late");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = DataLock::take(folder.path()).unwrap();
        let second = DataLock::take(folder.path()).err().unwrap().to_string();
        assert!(second.contains("stop it first"), "{second}");
        drop(lock);
        DataLock::take(folder.path()).unwrap();
    }
}
