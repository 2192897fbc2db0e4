//! `DATA_DIR/keys/NAME.keys`: the keys of one managed ring. Two lines, the content in JSON and its SHA-256: a key in which
//! a bit flipped would look like any other, and open nothing.
//!
//! Replaced as a whole, never half written, readable by its owner alone. One that cannot be understood to the last byte is
//! no start, and changes nothing that is in force.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use plugin_host::{Aead, KeyRing, Secret};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::atomic_file;

const VERSION: u32 = 1;
/// A ring with all the keys that it may have is a tenth of that.
const FILE_BYTES_MAX: u64 = 1 << 20;
const OTHERS: u32 = 0o077;

/// What is in it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    version: u32,
    algorithm: String,
    /// Number of the next key that gets one by itself. None is used again.
    pub(super) next: u32,
    /// The one that seals first.
    pub(super) keys: Vec<Kept>,
    /// The latest last.
    pub(super) retired: Vec<Retired>,
}

/// A key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) id: u32,
    pub(super) created_unix: u64,
    /// In base64.
    value: String,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// What is left of one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retired {
    pub(super) id: u32,
    pub(super) created_unix: u64,
    pub(super) retired_unix: u64,
}

impl Kept {
    pub(super) fn new(id: u32, created_unix: u64, key: &[u8]) -> Self {
        Self { id, created_unix, value: BASE64_STANDARD.encode(key) }
    }

    pub(super) fn is(&self, key: &[u8]) -> bool {
        BASE64_STANDARD.decode(&self.value).map(Zeroizing::new).is_ok_and(|it| **it == *key)
    }
}

impl Content {
    pub(super) fn new(algorithm: Aead) -> Self {
        Self {
            version: VERSION,
            algorithm: algorithm.name().to_owned(),
            next: 1,
            keys: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// As a ring takes them.
    pub(super) fn keys(&self) -> Result<Vec<(u32, Secret)>, String> {
        let keys = self.keys.iter().map(|key| match BASE64_STANDARD.decode(&key.value) {
            Ok(bytes) if bytes.len() == KeyRing::KEY_BYTES => Ok((key.id, Secret::new(bytes))),
            _ => Err(format!("key {} is not {} bytes in base64", key.id, KeyRing::KEY_BYTES)),
        });
        keys.collect()
    }

    fn check(&self, algorithm: Aead) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("it has version {}, allowed: {VERSION}", self.version));
        }
        if self.algorithm != algorithm.name() {
            return Err(format!(
                "its keys are for {}, and the configuration says algorithm = {:?}",
                self.algorithm,
                algorithm.name()
            ));
        }
        let ids = self.keys.iter().map(|key| key.id).chain(self.retired.iter().map(|it| it.id));
        let mut ids: Vec<_> = ids.collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        let good = ids.len() == count && ids.first() != Some(&0) && ids.last() < Some(&self.next);
        if self.keys.is_empty() || !good {
            return Err("its numbers do not fit together".to_owned());
        }
        Ok(())
    }
}

/// Where the keys of a ring are.
pub(super) fn path(data_dir: &Path, ring: &str) -> PathBuf {
    data_dir.join("keys").join(format!("{ring}.keys"))
}

/// Stays when the keys are lost: a ring that began anew would seal with a key 1 that is not the one
/// which devices know.
fn marker(path: &Path) -> PathBuf {
    path.with_extension("keys.made")
}

/// None = there is no such file, and never was. The error is a sentence that names the file.
pub(super) fn read(path: &Path, algorithm: Aead) -> Result<Option<Content>, String> {
    let refused = |what: String| {
        format!(
            "{}: the keys cannot be used: {what}; restore the file: without its keys nothing that \
             was sealed can be opened",
            path.display()
        )
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let marker = marker(path);
            return match marker.try_exists() {
                Ok(false) => Ok(None),
                Ok(true) => Err(refused(format!(
                    "it is gone (who wants a new ring deletes {} too)",
                    marker.display()
                ))),
                Err(error) => Err(refused(error.to_string())),
            };
        }
        Err(error) => return Err(refused(error.to_string())),
    };
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(refused(format!(
            "it has mode {mode:04o}, so others than its owner can use it: chmod 600, and rotate \
             the ring if somebody may have read it"
        )));
    }
    if metadata.len() > FILE_BYTES_MAX {
        let bytes = metadata.len();
        return Err(refused(format!("it has {bytes} bytes, allowed: at most {FILE_BYTES_MAX}")));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let content = parse(&Zeroizing::new(text)).map_err(refused)?;
    content.check(algorithm).map_err(refused)?;
    content.keys().map_err(refused)?;
    Ok(Some(content))
}

fn parse(text: &str) -> Result<Content, String> {
    let damaged = || "it is damaged".to_owned();
    let (content, rest) = text.split_once('\n').ok_or_else(damaged)?;
    if rest != format!("{}\n", sha256(content)) {
        return Err(damaged());
    }
    // What serde says of a value that is wrong may quote it.
    serde_json::from_str(content).map_err(|_| damaged())
}

/// On the disk when this returns.
pub(super) fn write(path: &Path, content: &Content) -> io::Result<()> {
    let text = Zeroizing::new(serde_json::to_string(content)?);
    let text = Zeroizing::new(format!("{}\n{}\n", *text, sha256(&text)));
    atomic_file::replace(path, text.as_bytes())?;
    mark(path)
}

/// Notes that there are keys. Behind them: a crash between the two leaves a ring that can be read, and is
/// noted then.
pub(super) fn mark(path: &Path) -> io::Result<()> {
    let marker = marker(path);
    if marker.try_exists()? { Ok(()) } else { atomic_file::replace(&marker, b"") }
}

fn sha256(text: &str) -> String {
    plugin_host::sha256(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn content() -> Content {
        let mut content = Content::new(Aead::Aes256Gcm);
        content.keys = vec![Kept::new(2, 7, &[2; 32]), Kept::new(1, 5, &[1; 32])];
        content.retired = vec![Retired { id: 3, created_unix: 5, retired_unix: 8 }];
        content.next = 4;
        content
    }

    fn error(path: &Path) -> String {
        read(path, Aead::Aes256Gcm).err().expect("refused")
    }

    #[test]
    fn what_is_kept_comes_back_and_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.keys");
        assert!(read(&path, Aead::Aes256Gcm).unwrap().is_none());
        write(&path, &content()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let back = read(&path, Aead::Aes256Gcm).unwrap().unwrap();
        assert!(back.keys[0].is(&[2; 32]) && back.keys[1].is(&[1; 32]));
        assert_eq!((back.next, back.retired[0].id), (4, 3));
        let other = read(&path, Aead::ChaCha20Poly1305).err().unwrap();
        assert!(other.contains("the configuration says algorithm"), "{other}");
    }

    /// Every byte counts, and no sentence has one of them.
    #[test]
    fn damage_is_seen_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.keys");
        write(&path, &content()).unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = error(&path);
            assert!(error.contains("a.keys: the keys cannot be used"), "byte {at}: {error}");
            assert!(!error.contains("AgICAg"), "byte {at}: {error}");
            fs::write(&path, &good[..at]).unwrap();
            self::error(&path);
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(error(&path).contains("mode 0640"));
    }

    #[test]
    fn numbers_that_do_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.keys");
        let changes: [fn(&mut Content); 5] = [
            |it| it.next = 3,
            |it| it.keys[0].id = 1,
            |it| it.keys[0].id = 3,
            |it| it.keys.clear(),
            |it| it.keys[0] = Kept::new(2, 7, &[2; 31]),
        ];
        for change in changes {
            let mut content = content();
            change(&mut content);
            write(&path, &content).unwrap();
            error(&path);
        }
    }
}
