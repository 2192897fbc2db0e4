//! Makes a backup while the broker runs: the store as of one moment, then the files of the broker one after the other.
//!
//! Holds one file of the operator in memory at a time; the store is streamed. What is secret is left out unless it was
//! asked for: keys, the admin token, administrators, what plugins keep for themselves, and in the configuration
//! everything that stands in the place of a reference.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use admin::{Backup, BackupError, BackupMaker, KeyManager};
use serde_json::json;
use store::{FileStore, Snapshot};

use super::{About, FORMAT, archive::Writer, name};
use crate::{config::Config, keys::Rings};

/// How long the store may take to write what waits.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(10);
/// Sessions and retained messages go into files of about so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Largest file of the operator that is taken.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Most files of one folder with all below it.
const FILES_MAX: usize = 10_000;

/// Files and folders of the data folder that belong into a backup, and whether they are secret.
const DATA: [(&str, bool); 7] = [
    ("bans.json", false),
    ("plugins-state.json", false),
    ("plugin-versions", false),
    ("admin.token", true),
    ("admin", true),
    ("keys", true),
    ("plugin-state", true),
];

/// What plugins consist of; other files in their folder may be passwords.
const PLUGIN_FILES: [&str; 3] = ["wasm", "toml", "sig"];

/// Makes backups of one broker.
pub(crate) struct Maker {
    config: PathBuf,
    data_dir: PathBuf,
    plugins: PathBuf,
    store: Option<Arc<FileStore>>,
    keys: Arc<Rings>,
    busy: Arc<AtomicBool>,
}

impl Maker {
    /// For the broker of this configuration.
    pub(crate) fn new(config: &Config, store: Option<Arc<FileStore>>, keys: Arc<Rings>) -> Self {
        Self {
            config: config.file.clone(),
            data_dir: config.data_dir.clone(),
            plugins: config.plugins.dir.value.clone(),
            store,
            keys,
            busy: Arc::default(),
        }
    }
}

/// One at a time: each keeps files of the store that would be given back otherwise.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl BackupMaker for Maker {
    fn begin(&self, secrets: bool) -> Result<Box<dyn Backup>, BackupError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(BackupError::Busy);
        }
        let turn = Turn(Arc::clone(&self.busy));
        let snapshot = self.store.as_ref().map(|store| store.snapshot(SNAPSHOT_WITHIN)).transpose();
        let snapshot = snapshot.map_err(|error| BackupError::NotAvailable(error.to_string()))?;
        let mut left_out = Vec::new();
        if snapshot.is_none() {
            let what = "[store] durability = \"memory\": there are no kept sessions and messages";
            left_out.push(what.to_owned());
        }
        let config = self.configuration(secrets, &mut left_out);
        let mut files = self.plugin_files(secrets);
        for (path, _) in DATA.iter().filter(|(_, secret)| secrets || !secret) {
            collect(&self.data_dir, Path::new(path), name::DATA, &mut files);
        }
        if files.len() > FILES_MAX {
            let what = format!("there are {} files, at most {FILES_MAX} are taken", files.len());
            return Err(BackupError::NotAvailable(what));
        }
        let about = About {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_unix: unix_now(),
            secrets,
            left_out,
        };
        let rings: Vec<_> = self.keys.rings().iter().map(ring).collect();
        Ok(Box::new(Making {
            about,
            config,
            files,
            rings: json!({ "rings": rings }),
            snapshot,
            _turn: turn,
        }))
    }
}

impl Maker {
    /// The text of the configuration file, without what is secret unless that was asked for.
    fn configuration(&self, secrets: bool, left_out: &mut Vec<String>) -> Option<String> {
        let file = self.config.display();
        let text = match read_whole(&self.config) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let text = text.and_then(|text| match secrets {
            true => Ok(text),
            false => Config::without_secrets(&self.config, &text),
        });
        text.map_err(|what| left_out.push(format!("{file}: {what}"))).ok()
    }

    fn plugin_files(&self, secrets: bool) -> Vec<Found> {
        let mut files = Vec::new();
        collect(&self.plugins, Path::new(""), name::PLUGINS, &mut files);
        files.retain(|file| {
            let extension = file.path.extension().and_then(|it| it.to_str()).unwrap_or_default();
            let in_it = file.path.parent() == Some(self.plugins.as_path());
            secrets || in_it && PLUGIN_FILES.contains(&extension)
        });
        files
    }
}

/// A file, and its name in the archive.
struct Found {
    path: PathBuf,
    name: String,
}

/// A backup whose moment has come, to be written.
struct Making {
    about: About,
    config: Option<String>,
    files: Vec<Found>,
    rings: serde_json::Value,
    snapshot: Option<Snapshot>,
    /// The next one begins when this is gone.
    _turn: Turn,
}

impl Backup for Making {
    fn about_bytes(&self) -> u64 {
        let lengths = self.files.iter().filter_map(|file| fs::metadata(&file.path).ok());
        let files: u64 = lengths.map(|metadata| metadata.len()).sum();
        let log: u64 =
            self.snapshot.iter().flat_map(Snapshot::files).map(|file| file.bytes()).sum();
        files + log
    }

    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        let mut archive = Writer::begin(out, &self.about)?;
        if let Some(text) = &self.config {
            archive.bytes(name::CONFIG, text.as_bytes())?;
        }
        archive.bytes(name::KEYS, &serde_json::to_vec_pretty(&self.rings)?)?;
        for file in &self.files {
            let bytes = match read_whole(&file.path) {
                Ok(bytes) => bytes,
                // What was there a moment ago and was taken away is not part of the broker any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let what = format!("{}: {error}", file.path.display());
                    return Err(io::Error::new(error.kind(), what));
                }
            };
            archive.bytes(&file.name, &bytes)?;
        }
        if let Some(snapshot) = &self.snapshot {
            store(snapshot, &mut archive)?;
        }
        archive.finish()
    }
}

fn store(snapshot: &Snapshot, archive: &mut Writer<impl Write>) -> io::Result<()> {
    archive.bytes(name::STORE_MARK, &snapshot.mark())?;
    let mut number = 0_u64;
    snapshot.entries(PIECE_BYTES, &mut |piece| {
        number += 1;
        archive.bytes(&format!("{}{number:08}", name::STORE_ENTRIES), piece)
    })?;
    for file in snapshot.files() {
        // Damage is found while there is another copy, not when this one is needed.
        file.check()?;
        let name = format!("{}{:020}", name::STORE_LOG, file.number());
        archive.file(&name, file.bytes(), file.reader())?;
    }
    Ok(())
}

/// All files at a path below a folder, in the order of their names; links are not followed, and what is written beside
/// its final name begins with a dot.
fn collect(folder: &Path, below: &Path, prefix: &str, found: &mut Vec<Found>) {
    let path = folder.join(below);
    let Ok(metadata) = fs::symlink_metadata(&path) else { return };
    // A link to a plugin is how some operators install them.
    let metadata = if prefix == name::PLUGINS && metadata.is_symlink() {
        fs::metadata(&path).unwrap_or(metadata)
    } else {
        metadata
    };
    if metadata.is_file() {
        if let Some(name) = below.to_str() {
            found.push(Found { path, name: format!("{prefix}{name}") });
        }
    } else if metadata.is_dir() && found.len() <= FILES_MAX {
        let Ok(entries) = fs::read_dir(&path) else { return };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            if !name.as_encoded_bytes().starts_with(b".") {
                collect(folder, &below.join(name), prefix, found);
            }
        }
    }
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it is too long, allowed: at most {FILE_BYTES_MAX} bytes");
        return Err(io::Error::other(what));
    }
    Ok(bytes)
}

/// A ring without what is in its keys.
fn ring(ring: &admin::RingInfo) -> serde_json::Value {
    let keys: Vec<u32> = ring.keys.iter().map(|key| key.id).collect();
    json!({ "name": ring.name, "algorithm": ring.algorithm, "managed": ring.managed, "keys": keys })
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
