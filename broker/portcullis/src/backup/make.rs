//! Makes a backup while the broker runs: the store as of one moment, then the files of the broker one after the other.
//!
//! Holds one file of the operator in memory at a time, and none that is large; the store is streamed. What is secret is
//! left out unless it was asked for (`collect.rs`), in the configuration everything that stands in the place of a
//! reference.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use admin::{Backup, BackupError, BackupMaker, KeyManager};
use serde_json::json;
use store::{FileStore, Snapshot};

use super::{
    About, FORMAT,
    archive::Writer,
    collect::{Collected, FILES_MAX, Found},
    name,
};
use crate::{config::Config, keys::Rings};

/// How long the store may take to write what waits.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(10);
/// Sessions and retained messages go into files of about so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Largest configuration that is taken.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// A file up to this length is read before it goes into the archive, so that one that is being written may grow or
/// shrink; a larger one is streamed.
const READ_AT_ONCE_MAX: u64 = 16 << 20;

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
        let collected = Collected::from(&self.plugins, &self.data_dir, secrets);
        left_out.extend(collected.left_out);
        let files = collected.files;
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
        let log = snapshot.iter().flat_map(Snapshot::files).map(|file| file.bytes());
        let about_bytes = log.chain(files.iter().map(|file| file.bytes)).sum();
        Ok(Box::new(Making {
            about_bytes,
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
        let mut bytes = Vec::new();
        let read = File::open(&self.config)
            .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes));
        let text = match read {
            Ok(_) if bytes.len() as u64 > CONFIG_BYTES_MAX => {
                Err(format!("it is too long, allowed: at most {CONFIG_BYTES_MAX} bytes"))
            }
            Ok(_) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let text = text.and_then(|text| match secrets {
            true => Ok(text),
            false => Config::without_secrets(&self.config, &text),
        });
        text.map_err(|what| left_out.push(format!("{file}: {what}"))).ok()
    }
}

/// A backup whose moment has come, to be written.
struct Making {
    about: About,
    about_bytes: u64,
    config: Option<String>,
    files: Vec<Found>,
    rings: serde_json::Value,
    snapshot: Option<Snapshot>,
    /// The next one begins when this is gone.
    _turn: Turn,
}

impl Backup for Making {
    fn about_bytes(&self) -> u64 {
        self.about_bytes
    }

    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        let mut archive = Writer::begin(out, &self.about)?;
        if let Some(text) = &self.config {
            archive.bytes(name::CONFIG, text.as_bytes())?;
        }
        archive.bytes(name::KEYS, &serde_json::to_vec_pretty(&self.rings)?)?;
        for file in &self.files {
            match add(file, &mut archive) {
                // What was there a moment ago and was taken away is not part of the broker any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                added => added?,
            }
        }
        if let Some(snapshot) = &self.snapshot {
            store(snapshot, &mut archive)?;
        }
        archive.finish()
    }
}

fn add(found: &Found, archive: &mut Writer<impl Write>) -> io::Result<()> {
    if let Some(content) = &found.content {
        return archive.bytes(&found.name, content);
    }
    let at = |error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", found.path.display()))
    };
    let mut file = File::open(&found.path).map_err(at)?;
    if file.metadata().map_err(at)?.len() <= READ_AT_ONCE_MAX {
        let mut bytes = Vec::new();
        (&mut file).take(READ_AT_ONCE_MAX + 1).read_to_end(&mut bytes).map_err(at)?;
        if bytes.len() as u64 <= READ_AT_ONCE_MAX {
            return archive.bytes(&found.name, &bytes);
        }
        file.rewind().map_err(at)?;
    }
    let bytes = file.metadata().map_err(at)?.len();
    archive.file(&found.name, bytes, file).map_err(at)
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

/// A ring without what is in its keys.
fn ring(ring: &admin::RingInfo) -> serde_json::Value {
    let keys: Vec<u32> = ring.keys.iter().map(|key| key.id).collect();
    json!({ "name": ring.name, "algorithm": ring.algorithm, "managed": ring.managed, "keys": keys })
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
