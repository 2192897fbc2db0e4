//! The cache of machine code in `DATA_DIR/aot`: never anything but a shortcut.
//!
//! Loading machine code is trusting it, so each file carries an HMAC under a key that lies in the
//! same private folder; whatever does not verify is compiled again. A folder or a key of somebody
//! else is not used at all: who knows the key writes machine code for us. Nothing is ever loaded
//! from the plugin folder.

use std::{
    fs, io,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::HostEngine;

/// Files kept, and bytes of them together; what was not used for longest goes first.
const KEPT: Kept = Kept { files: 64, bytes: 512 << 20 };
const MAC_BYTES: usize = 32;
/// The block size of SHA-256: a key of this length is used as it is.
const KEY_BYTES: usize = 64;
/// Machine code is four to five times its component.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The cache. Without a folder it only compiles.
#[derive(Debug)]
pub(crate) struct AotCache {
    folder: Option<(PathBuf, [u8; KEY_BYTES])>,
}

impl AotCache {
    /// A cache in `folder`, which is made with mode 0700; one that others can use is refused. An
    /// error is worth a warning, not a stop.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = fs::symlink_metadata(folder)?;
        let kind = (metadata.is_dir(), "a folder");
        private(folder, &metadata, kind, 0o700, effective_user()?)?;
        clear_up(folder)?;
        let key = read_or_make_key(&folder.join("key"))?;
        Ok(Self { folder: Some((folder.to_owned(), key)) })
    }

    /// No cache.
    pub(crate) fn off() -> Self {
        Self { folder: None }
    }

    /// The component's machine code, and whether it was cached. Blocks for as long as a compiler does.
    pub(crate) fn load(
        &self,
        engine: &HostEngine,
        component: &[u8],
    ) -> Result<(Component, bool), String> {
        let name = file_name(engine, component);
        if let Some(code) = self.read(&name) {
            match deserialize(engine, &code) {
                Ok(component) => return Ok((component, true)),
                Err(error) => {
                    tracing::warn!(file = name, %error, "cached machine code does not load");
                }
            }
        }
        let code = engine
            .engine
            .precompile_component(component)
            .map_err(|error| format!("does not compile: {error:#}"))?;
        if let Err(error) = self.write(&name, &code) {
            tracing::warn!(file = name, %error, "machine code is not cached");
        }
        let fresh = deserialize(engine, &code);
        fresh.map(|fresh| (fresh, false)).map_err(|error| format!("does not load: {error:#}"))
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let (folder, key) = self.folder.as_ref()?;
        let file = fs::File::open(folder.join(name)).ok()?;
        // Used today: others go first. Not worth more than a try.
        let _ = file.set_modified(SystemTime::now());
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        let code = bytes.split_off_checked(MAC_BYTES)?;
        if mac(key, name, &code).verify_slice(&bytes).is_err() {
            tracing::warn!(file = name, "cached machine code is damaged; compiling again");
            return None;
        }
        Some(code)
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let Some((folder, key)) = self.folder.as_ref() else {
            return Ok(());
        };
        let temporary = folder.join(format!(".{name}.tmp"));
        let mut file = private_file(&temporary)?;
        file.write_all(&mac(key, name, code).finalize().into_bytes())?;
        file.write_all(code)?;
        fs::rename(&temporary, folder.join(name))?;
        evict(folder, KEPT)
    }
}

/// The name covers the component and everything that shapes its machine code.
fn file_name(engine: &HostEngine, component: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(engine.hash);
    hasher.update(component);
    format!("{}.cwasm", crate::candidate::hex(&hasher.finalize()))
}

fn mac(key: &[u8; KEY_BYTES], name: &str, code: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(&(*key).into());
    // The name is in it too: a file renamed to another component's name does not verify.
    mac.update(name.as_bytes());
    mac.update(code);
    mac
}

#[allow(unsafe_code, reason = "wasmtime cannot check machine code: the caller vouches for it")]
fn deserialize(engine: &HostEngine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was made by `precompile_component` of this very engine configuration: just
    // now, or earlier and then kept in a 0700 folder under an HMAC that has been verified.
    unsafe { Component::deserialize(&engine.engine, code) }
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => {
            let kind = (metadata.is_file(), "a regular file");
            private(path, &metadata, kind, 0o600, effective_user()?)?;
            if let Ok(key) = <[u8; KEY_BYTES]>::try_from(fs::read(path)?) {
                return Ok(key);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    private_file(path)?.write_all(&key)?;
    Ok(key)
}

/// Refuses what is not ours alone.
fn private(
    path: &Path,
    metadata: &fs::Metadata,
    (is_kind, kind): (bool, &str),
    mode: u32,
    user: u32,
) -> io::Result<()> {
    let shown = path.display();
    let found = metadata.mode() & 0o7777;
    let problem = if !is_kind {
        format!("{shown}: is not {kind}; remove it")
    } else if metadata.uid() != user {
        format!("{shown}: belongs to user {}, not to {user}; remove it", metadata.uid())
    } else if found != mode {
        format!("{shown}: has mode {found:04o}, must have {mode:04o}; remove it")
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

/// The user that this process acts as: the second number behind `Uid:`.
fn effective_user() -> io::Result<u32> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/status does not tell the user"))
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Bounds of the folder.
#[derive(Clone, Copy)]
struct Kept {
    files: usize,
    bytes: u64,
}

/// Files that a process left behind when it ended in the middle of a write.
fn clear_up(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn evict(folder: &Path, kept: Kept) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            let metadata = fs::symlink_metadata(&path)?;
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((modified, path, metadata.len()));
        }
    }
    files.sort();
    let mut bytes: u64 = 0;
    for (number, (_, path, size)) in files.into_iter().rev().enumerate() {
        bytes = bytes.saturating_add(size);
        if number >= kept.files || bytes > kept.bytes {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

trait SplitOffChecked: Sized {
    /// As `split_off`, but `None` when there is nothing behind `at`.
    fn split_off_checked(&mut self, at: usize) -> Option<Self>;
}

impl SplitOffChecked for Vec<u8> {
    fn split_off_checked(&mut self, at: usize) -> Option<Self> {
        (self.len() > at).then(|| self.split_off(at))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt, chown, symlink},
        time::Duration,
    };

    use super::*;
    use crate::{engine, tests::guest};

    #[track_caller]
    fn refused(folder: &Path, expected: &str) {
        let error = AotCache::open(folder).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_folder_or_key_that_others_can_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let aot = folder.path().join("aot");
        let key = aot.join("key");
        AotCache::open(&aot).unwrap();
        mode(&aot, 0o750);
        refused(&aot, "has mode 0750, must have 0700");
        mode(&aot, 0o700);
        mode(&key, 0o640);
        refused(&aot, "has mode 0640, must have 0600");
        mode(&key, 0o600);
        AotCache::open(&aot).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&key, &elsewhere).unwrap();
        symlink(&elsewhere, &key).unwrap();
        refused(&aot, "key: is not a regular file");
        fs::remove_file(&key).unwrap();
        symlink(&aot, folder.path().join("link")).unwrap();
        refused(&folder.path().join("link"), "link: is not a folder");
        if effective_user().unwrap() == 0 {
            chown(&aot, Some(12345), None).unwrap();
            refused(&aot, "belongs to user 12345, not to 0");
        }
    }

    #[test]
    fn what_a_torn_write_left_goes_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let aot = folder.path().join("aot");
        AotCache::open(&aot).unwrap();
        fs::write(aot.join(".x.cwasm.tmp"), "half").unwrap();
        AotCache::open(&aot).unwrap();
        assert!(!aot.join(".x.cwasm.tmp").exists());
        assert!(aot.join("key").exists());
    }

    #[test]
    fn bytes_are_bounded_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = AotCache::open(&folder.path().join("aot")).unwrap();
        let aot = &cache.folder.as_ref().unwrap().0;
        let hour = Duration::from_secs(3600);
        for (hours, name) in [(3, "a.cwasm"), (2, "b.cwasm"), (1, "c.cwasm")] {
            cache.write(name, &[0; 100]).unwrap();
            let file = fs::File::options().write(true).open(aot.join(name)).unwrap();
            file.set_modified(SystemTime::now() - hour * hours).unwrap();
        }
        assert!(cache.read("a.cwasm").is_some());
        evict(aot, Kept { files: 64, bytes: 300 }).unwrap();
        let there = ["a.cwasm", "b.cwasm", "c.cwasm"].map(|name| aot.join(name).exists());
        assert_eq!(there, [true, false, true]);
    }

    #[test]
    fn files_are_private_and_damage_is_compiled_over() {
        let folder = tempfile::tempdir().unwrap();
        let aot = folder.path().join("aot");
        let cache = AotCache::open(&aot).unwrap();
        let engine = engine::shared().unwrap();
        let wasm = guest::Guest::allow().component();
        assert!(!cache.load(engine, &wasm).unwrap().1);
        let name = file_name(engine, &wasm);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&aot), 0o700);
        assert_eq!(mode(&aot.join(&name)), 0o600);
        assert_eq!(mode(&aot.join("key")), 0o600);

        let cache = AotCache::open(&aot).unwrap();
        assert!(cache.read(&name).is_some(), "the key survives a restart");
        let mut damaged = fs::read(aot.join(&name)).unwrap();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        fs::write(aot.join(&name), &damaged).unwrap();
        assert!(cache.read(&name).is_none());
        cache.load(engine, &wasm).unwrap();
        assert!(cache.read(&name).is_some(), "it was compiled again");
        fs::write(aot.join(&name), b"short").unwrap();
        cache.load(engine, &wasm).unwrap();
    }

    #[test]
    fn the_oldest_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let aot = folder.path().join("aot");
        let cache = AotCache::open(&aot).unwrap();
        for number in 0..KEPT.files + 5 {
            cache.write(&format!("{number}.cwasm"), b"code").unwrap();
        }
        let left = fs::read_dir(aot).unwrap();
        assert_eq!(left.count(), KEPT.files + 1, "the files and the key");
    }
}
