//! Seals what is secret in recordings: AES-256-GCM with the key in `DATA_DIR/recorder.key` (0600), made at the first
//! start. Sealed is a nonce, the ciphertext and its tag.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// Name of the file with the key.
pub(crate) const FILE: &str = "recorder.key";
const KEY_BYTES: usize = 32;

/// See the module.
pub(crate) struct Sealer {
    key: LessSafeKey,
    /// Nonces are this, and a number that never comes twice: the first ones of two processes are
    /// random.
    prefix: [u8; 4],
    next: AtomicU64,
}

impl Sealer {
    /// With the key of a folder, made if there is none; without a folder with one that goes with the process.
    pub(crate) fn open(data_dir: Option<&Path>) -> io::Result<Self> {
        let key = match data_dir {
            Some(folder) => read_or_make(&folder.join(FILE))?,
            None => random_key()?,
        };
        Self::new(&key)
    }

    /// With the key of a folder that has one.
    pub(crate) fn open_existing(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let key = File::open(&path).and_then(read).map_err(named)?;
        Self::new(&key)
    }

    fn new(key: &[u8; KEY_BYTES]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(io::Error::other)?;
        let (mut prefix, mut first) = ([0; 4], [0; 8]);
        getrandom::fill(&mut prefix).map_err(io::Error::other)?;
        getrandom::fill(&mut first).map_err(io::Error::other)?;
        let next = AtomicU64::new(u64::from_le_bytes(first));
        Ok(Self { key: LessSafeKey::new(key), prefix, next })
    }

    /// The plaintext is overwritten where it lies. Empty = it cannot be sealed, and is gone.
    pub(crate) fn seal(&self, plaintext: Vec<u8>) -> Vec<u8> {
        let mut text = Zeroizing::new(plaintext);
        let mut nonce = [0; NONCE_LEN];
        let (prefix, number) = nonce.split_at_mut(self.prefix.len());
        prefix.copy_from_slice(&self.prefix);
        number.copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        let unique = Nonce::assume_unique_for_key(nonce);
        match self.key.seal_in_place_separate_tag(unique, Aad::empty(), &mut text) {
            Ok(tag) => [&nonce[..], &text, tag.as_ref()].concat(),
            Err(_) => Vec::new(),
        }
    }

    /// `None` = it was not sealed with this key.
    pub(crate) fn open_sealed(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plaintext = self.key.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
        Some(plaintext.to_vec())
    }
}

fn random_key() -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(key.as_mut_slice()).map_err(io::Error::other)?;
    Ok(key)
}

fn read_or_make(path: &Path) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    match File::open(path) {
        Ok(file) => read(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
    .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn read(mut file: File) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let metadata = file.metadata()?;
    if metadata.mode() & 0o077 != 0 {
        return invalid("others can read the key; it must have mode 0600");
    }
    if metadata.len() != KEY_BYTES as u64 {
        return invalid("is not a key of 32 bytes; without the file a new one is made");
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    file.read_exact(key.as_mut_slice())?;
    Ok(key)
}

fn make(path: &Path) -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let key = random_key()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.as_slice())?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_same_key_opens() {
        let folder = tempfile::tempdir().unwrap();
        let first = Sealer::open(Some(folder.path())).unwrap();
        let sealed = first.seal(b"open sesame".to_vec());
        assert!(!sealed.windows(4).any(|part| part == b"open"));
        assert_ne!(first.seal(b"open sesame".to_vec()), sealed, "a nonce came twice");
        let next = Sealer::open(Some(folder.path())).unwrap();
        assert_eq!(next.open_sealed(&sealed).as_deref(), Some(b"open sesame".as_slice()));
        assert_eq!(Sealer::open(None).unwrap().open_sealed(&sealed), None);
        for at in [0, NONCE_LEN, sealed.len() - 1] {
            let mut harmed = sealed.clone();
            harmed[at] ^= 1;
            assert_eq!(next.open_sealed(&harmed), None);
        }
        assert_eq!(next.open_sealed(b"short"), None);
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        Sealer::open(Some(folder.path())).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = |path: &Path| Sealer::open(Some(path)).err().unwrap().to_string();
        assert!(refused(folder.path()).contains("mode 0600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(refused(folder.path()).contains("not a key of 32 bytes"));
    }
}
