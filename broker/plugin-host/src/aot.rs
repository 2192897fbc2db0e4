//! The cache of machine code in `DATA_DIR/aot`: never anything but a shortcut.
//!
//! Loading machine code is trusting it, so each file carries an HMAC under a key that lies in the
//! same private folder; whatever does not verify is compiled again. Nothing is ever loaded from the
//! plugin folder.

use std::{
    fs, io,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::HostEngine;

/// Files kept; the oldest go first.
const FILES_MAX: usize = 64;
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
    /// A cache in `folder`, which is made with mode 0700. An error is worth a warning, not a stop.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let key = read_or_make_key(&folder.join("key"))?;
        Ok(Self { folder: Some((folder.to_owned(), key)) })
    }

    /// No cache.
    pub(crate) fn off() -> Self {
        Self { folder: None }
    }

    /// The component's machine code, cached or fresh. Blocks for as long as a compiler does.
    pub(crate) fn load(&self, engine: &HostEngine, component: &[u8]) -> Result<Component, String> {
        let name = file_name(engine, component);
        if let Some(code) = self.read(&name) {
            match deserialize(engine, &code) {
                Ok(component) => return Ok(component),
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
        deserialize(engine, &code).map_err(|error| format!("does not load: {error:#}"))
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let (folder, key) = self.folder.as_ref()?;
        let file = fs::File::open(folder.join(name)).ok()?;
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
        evict(folder)
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
    if let Ok(bytes) = fs::read(path)
        && let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes)
    {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    private_file(path)?.write_all(&key)?;
    Ok(key)
}

fn private_file(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn evict(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cwasm") {
            let modified = fs::metadata(&path)?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((modified, path));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(FILES_MAX);
    for (_, path) in files.into_iter().take(surplus) {
        fs::remove_file(path)?;
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
    use super::*;
    use crate::{engine, tests::guest};

    #[test]
    fn files_are_private_and_damage_is_compiled_over() {
        let folder = tempfile::tempdir().unwrap();
        let aot = folder.path().join("aot");
        let cache = AotCache::open(&aot).unwrap();
        let engine = engine::shared().unwrap();
        let wasm = guest::Guest::allow().component();
        cache.load(engine, &wasm).unwrap();
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
        let cache = AotCache::open(folder.path()).unwrap();
        for number in 0..FILES_MAX + 5 {
            cache.write(&format!("{number}.cwasm"), b"code").unwrap();
        }
        let left = fs::read_dir(folder.path()).unwrap();
        assert_eq!(left.count(), FILES_MAX + 1, "the files and the key");
    }
}
