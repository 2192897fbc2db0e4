//! Decisions of admins that outlive a restart: which plugins they disabled.
//! `DATA_DIR/plugins-state.json`, 0600.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The file and what it holds.
#[derive(Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    disabled: BTreeSet<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    disabled: BTreeSet<String>,
}

impl Remembered {
    /// Reads the file; none is an empty one. A damaged one is an error: it could enable what an
    /// admin disabled.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("plugins-state.json");
        let file = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, disabled: file.disabled })
    }

    /// Whether an admin disabled it.
    pub(crate) fn is_disabled(&self, name: &str) -> bool {
        self.disabled.contains(name)
    }

    /// Remembers it, on disk first.
    pub(crate) fn set_disabled(&mut self, name: &str, disabled: bool) -> io::Result<()> {
        let mut changed = self.disabled.clone();
        match disabled {
            true => changed.insert(name.to_owned()),
            false => changed.remove(name),
        };
        if changed == self.disabled {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&File { disabled: changed.clone() })?;
        write_private(&self.path, &text)?;
        self.disabled = changed;
        Ok(())
    }
}

/// Replaces `path` in one step by a file with mode 0600.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let (folder, name) = path
        .parent()
        .zip(path.file_name())
        .ok_or_else(|| io::Error::other("a path without a folder"))?;
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(io::Error::other)?;
    // Hidden, so that a look at the plugin folder does not take it for a plugin.
    let suffix = crate::candidate::hex(&suffix);
    let temporary = folder.join(format!(".{}.{suffix}.tmp", name.to_string_lossy()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(contents)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn survives_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let mut remembered = Remembered::open(folder.path()).unwrap();
        assert!(!remembered.is_disabled("a"));
        remembered.set_disabled("a", true).unwrap();
        let again = Remembered::open(folder.path()).unwrap();
        assert!(again.is_disabled("a"));
        let mode = fs::metadata(&again.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary is left");
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugins-state.json"), "{\"disab").unwrap();
        assert!(Remembered::open(folder.path()).is_err());
    }
}
