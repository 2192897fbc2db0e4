//! Earlier versions of plugins in a backup without secrets. A version is known by the hash of
//! component and manifest: one whose manifest is told otherwise goes into the backup as the version
//! that it is then, and so it is named wherever it was named.
//!
//! Knows nothing of which part of a manifest is secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::Path,
};

use plugin_host::{sha256, version_hash};
use serde_json::Value;

use super::{collect::Found, without_secrets};

/// Files of a version, as `plugin-host` keeps them.
const WASM: &str = "plugin.wasm";
const MANIFEST: &str = "plugin.toml";
const SIGNATURE: &str = "plugin.sig";
const RECORD: &str = "version.json";
/// Largest component that is kept.
const WASM_BYTES_MAX: u64 = 32 << 20;
/// Largest record or manifest that is looked into.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Hashes of versions and manifests that are others without secrets.
#[derive(Default)]
pub(super) struct Renamed(BTreeMap<String, String>);

impl Renamed {
    /// A component whose manifest is told otherwise; by what the version was known, and by what it is.
    pub(super) fn note(&mut self, wasm: &[u8], manifest: &str, told: &str) -> (String, String) {
        let hash = |text: &str| version_hash(wasm.to_vec(), Some(text.to_owned()));
        let (before, now) = (hash(manifest), hash(told));
        self.0.insert(sha256(manifest.as_bytes()), sha256(told.as_bytes()));
        self.0.insert(before.clone(), now.clone());
        (before, now)
    }

    /// A text that names versions and manifests by their hashes, none of which is part of anything else.
    pub(super) fn named_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (before, now)| text.replace(before, now))
    }
}

/// What is told of versions.
#[derive(Default)]
pub(super) struct Told {
    pub(super) files: Vec<Found>,
    /// Folders of versions that are left out: damaged, or nobody knows where their secrets stand.
    pub(super) gone: usize,
    /// Versions whose signature does not fit any more.
    pub(super) unsigned: usize,
}

/// The files of all versions, without secrets.
pub(super) fn tell(files: Vec<Found>, renamed: &mut Renamed) -> Told {
    let mut folders: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for file in files {
        let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        folders.entry(folder).or_default().push(file);
    }
    let mut told = Told::default();
    let mut names: BTreeSet<String> = folders.keys().cloned().collect();
    for (folder, files) in folders {
        match Version::of(&folder, &files, renamed) {
            Ok(None) => told.files.extend(files),
            // Two that differ in comments alone are one now.
            Ok(Some(version)) if !names.insert(version.folder.clone()) => {}
            Ok(Some(version)) => {
                told.unsigned += usize::from(files.iter().any(|file| is(file, SIGNATURE)));
                told.files.extend(files.into_iter().filter_map(|file| version.tell(file)));
            }
            Err(Unclear) => told.gone += 1,
        }
    }
    told
}

/// Nobody knows what it is, or where its secrets stand.
struct Unclear;

/// A version that is told otherwise than it is.
struct Version {
    folder: String,
    manifest: String,
    record: Vec<u8>,
}

impl Version {
    /// `None` = it is told as it is.
    fn of(folder: &str, files: &[Found], renamed: &mut Renamed) -> Result<Option<Self>, Unclear> {
        let find = |name: &str| files.iter().find(|file| is(file, name));
        let Some(manifest) = find(MANIFEST) else { return Ok(None) };
        let text = text(&manifest.path)?;
        let Some(told) = without_secrets::manifest(&text).map_err(|_| Unclear)? else {
            return Ok(None);
        };
        let wasm = bytes(&find(WASM).ok_or(Unclear)?.path, WASM_BYTES_MAX)?;
        let record = self::text(&find(RECORD).ok_or(Unclear)?.path)?;
        let mut record: Value = serde_json::from_str(&record).map_err(|_| Unclear)?;
        let (above, known) = folder.rsplit_once('/').ok_or(Unclear)?;
        let (before, now) = renamed.note(&wasm, &text, &told);
        let named = record.get_mut("version").filter(|named| **named == *known).ok_or(Unclear)?;
        if before != known {
            return Err(Unclear);
        }
        *named = Value::from(now.as_str());
        let record = serde_json::to_vec_pretty(&record).map_err(|_| Unclear)?;
        Ok(Some(Self { folder: format!("{above}/{now}"), manifest: told, record }))
    }

    /// One of its files. The signature is of the manifest as it was.
    fn tell(&self, file: Found) -> Option<Found> {
        let name = file.name.rsplit_once('/').map_or("", |(_, name)| name).to_owned();
        let content = match name.as_str() {
            SIGNATURE => return None,
            MANIFEST => Some(self.manifest.clone().into_bytes()),
            RECORD => Some(self.record.clone()),
            _ => None,
        };
        let bytes = content.as_ref().map_or(file.bytes, |content| content.len() as u64);
        Some(Found { name: format!("{}/{name}", self.folder), content, bytes, ..file })
    }
}

fn is(file: &Found, name: &str) -> bool {
    file.path.file_name().is_some_and(|found| found == name)
}

fn text(path: &Path) -> Result<String, Unclear> {
    String::from_utf8(bytes(path, TEXT_BYTES_MAX)?).map_err(|_| Unclear)
}

fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, Unclear> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() as u64 <= most => Ok(bytes),
        _ => Err(Unclear),
    }
}
