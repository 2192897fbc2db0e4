//! The state of all plugins: which are open, and who writes their files when.
//!
//! One writer a plugin, on a blocking thread, only while there is something to write: everything
//! that came since the last time goes out with one write and one `fdatasync`. A file that grew to
//! more than twice of what it holds is written anew. Whatever fails is told to those who wait, and
//! the next change writes the file anew.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    log,
    table::{Change, Refused, Table},
};
use crate::remembered::write_private;

/// Changes that wait for the disk; what is more is refused.
const PENDING_BYTES_MAX: usize = 32 << 20;
/// A file may be this much larger than twice its content.
const SLACK_BYTES: u64 = 1 << 20;

/// The state of every plugin that was granted some.
#[derive(Debug)]
pub(crate) struct StateStores {
    /// `None` = in memory only, for looking at a plugin.
    folder: Option<PathBuf>,
    open: Mutex<HashMap<String, Arc<PluginStore>>>,
}

/// The state of one plugin.
pub(crate) struct PluginStore {
    inner: Mutex<Inner>,
    file: Mutex<LogFile>,
}

struct Inner {
    table: Table,
    pending: Vec<u8>,
    /// Told about what is pending.
    batch: Batch,
    writing: bool,
    /// The file is behind and must be written anew.
    rewrite: bool,
    forgotten: bool,
}

struct LogFile {
    /// `None` = in memory only.
    path: Option<PathBuf>,
    file: Option<File>,
    bytes: u64,
}

type Batch = watch::Sender<Option<Result<(), String>>>;
/// What tells when a change is on the disk; `None` = there was nothing to write.
pub(crate) type Ticket = Option<watch::Receiver<Option<Result<(), String>>>>;

impl StateStores {
    /// `data_dir` = where the folder `plugin-state` is made when it is needed.
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        let folder = data_dir.map(|data_dir| data_dir.join("plugin-state"));
        Self { folder, open: Mutex::default() }
    }

    /// The state of a plugin, read from its file if it is not open yet. Blocking.
    pub(crate) fn open(&self, plugin: &str, quota: u64) -> Result<Arc<PluginStore>, String> {
        let mut open = self.open.lock();
        let store = match open.get(plugin) {
            Some(store) => Arc::clone(store),
            None => {
                let path = self.folder.as_ref().map(|folder| file_of(folder, plugin));
                let shown = path.as_ref().map(|path| path.display().to_string());
                let store = PluginStore::open(path).map_err(|error| {
                    format!("its state cannot be read: {}: {error}", shown.unwrap_or_default())
                })?;
                let store = Arc::new(store);
                open.insert(plugin.to_owned(), Arc::clone(&store));
                store
            }
        };
        store.inner.lock().table.quota = quota;
        Ok(store)
    }

    /// Removes the state of a plugin for ever. Blocking.
    pub(crate) fn forget(&self, plugin: &str) -> io::Result<()> {
        let mut open = self.open.lock();
        if let Some(store) = open.remove(plugin) {
            store.inner.lock().forgotten = true;
            // A write in progress must not bring the file back.
            store.file.lock().path = None;
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        match fs::remove_file(file_of(folder, plugin)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(folder)?.sync_all(),
        }
    }
}

fn file_of(folder: &Path, plugin: &str) -> PathBuf {
    folder.join(format!("{plugin}.state"))
}

impl PluginStore {
    fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let mut table = Table::default();
        let mut file = None;
        let mut bytes = 0;
        if let Some(path) = &path
            && let Some(content) = read_if_there(path)?
        {
            let whole;
            (table, whole) = log::read(&content)?;
            let opened = OpenOptions::new().append(true).open(path)?;
            if whole < content.len() {
                let file = path.display();
                tracing::warn!(%file, whole, "a torn end of a plugin's state is cut");
                opened.set_len(whole as u64)?;
                opened.sync_all()?;
            }
            bytes = whole as u64;
            file = Some(opened);
        }
        let rewrite = file.is_none();
        let inner = Inner {
            table,
            pending: Vec::new(),
            batch: watch::Sender::new(None),
            writing: false,
            rewrite,
            forgotten: false,
        };
        Ok(Self { inner: Mutex::new(inner), file: Mutex::new(LogFile { path, file, bytes }) })
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Table) -> T) -> Result<T, String> {
        let inner = self.inner.lock();
        if inner.forgotten { Err(forgotten()) } else { Ok(read(&inner.table)) }
    }

    /// Changes the table and has the change written. The outer error is about the store.
    pub(super) fn change<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Table) -> Result<Change<T>, Refused>,
    ) -> Result<Result<(T, Ticket), Refused>, String> {
        let mut inner = self.inner.lock();
        if inner.forgotten {
            return Err(forgotten());
        }
        if inner.pending.len() > PENDING_BYTES_MAX {
            return Err("the disk does not keep up".to_owned());
        }
        let Change { answer, records } = match change(&mut inner.table) {
            Ok(change) => change,
            Err(refused) => return Ok(Err(refused)),
        };
        if records.is_empty() {
            return Ok(Ok((answer, None)));
        }
        records.iter().for_each(|record| log::append(&mut inner.pending, record));
        let ticket = inner.batch.subscribe();
        if !std::mem::replace(&mut inner.writing, true) {
            let store = Arc::clone(self);
            tokio::task::spawn_blocking(move || store.write());
        }
        Ok(Ok((answer, Some(ticket))))
    }

    /// Waits until a change is on the disk.
    pub(super) async fn durable(&self, ticket: Ticket) -> Result<(), String> {
        let Some(mut ticket) = ticket else { return Ok(()) };
        match ticket.wait_for(Option::is_some).await {
            Ok(done) => done.clone().unwrap_or(Ok(())),
            Err(_) => Err("it was not written".to_owned()),
        }
    }

    /// Until nothing is left to write. Never two at once.
    fn write(&self) {
        let mut file = self.file.lock();
        loop {
            let mut inner = self.inner.lock();
            if inner.pending.is_empty() {
                inner.writing = false;
                return;
            }
            let mut bytes = std::mem::take(&mut inner.pending);
            let batch = std::mem::replace(&mut inner.batch, watch::Sender::new(None));
            let large = file.bytes > 2 * inner.table.bytes() + SLACK_BYTES;
            let anew = std::mem::take(&mut inner.rewrite) || large;
            if anew {
                bytes = log::whole(&inner.table);
            }
            drop(inner);
            let written = if anew { file.replace(&bytes) } else { file.append(&bytes) };
            if let Err(error) = &written {
                tracing::error!(%error, "the state of a plugin cannot be written");
                self.inner.lock().rewrite = true;
            }
            batch.send_replace(Some(written.map_err(|error| error.to_string())));
        }
    }
}

impl LogFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.path.is_none() {
            return Ok(());
        }
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("the file is not open"))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        self.file = None;
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        write_private(path, bytes)?;
        self.file = Some(OpenOptions::new().append(true).open(path)?);
        self.bytes = bytes.len() as u64;
        Ok(())
    }
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn forgotten() -> String {
    "an admin made the broker forget this plugin".to_owned()
}

impl std::fmt::Debug for PluginStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn set(store: &Arc<PluginStore>, key: &str, value: &[u8]) -> Result<u64, String> {
        let (version, ticket) = store
            .change(|table| table.set(key, value.to_vec(), 0, 0))?
            .map_err(|Refused(it)| it)?;
        store.durable(ticket).await?;
        Ok(version)
    }

    fn get(store: &PluginStore, key: &str) -> Option<Vec<u8>> {
        store.read(|table| table.get(key, 0).map(|entry| entry.value.clone())).unwrap()
    }

    #[tokio::test]
    async fn what_was_answered_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let stores = StateStores::new(Some(folder.path()));
        let store = stores.open("p", 1 << 20).unwrap();
        let sets = (0..50_u8).map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { set(&store, &format!("k{number}"), &[number]).await })
        });
        for set in sets.collect::<Vec<_>>() {
            set.await.unwrap().unwrap();
            // A copy of the file as a power cut would leave it.
            let again = StateStores::new(Some(folder.path())).open("p", 1 << 20).unwrap();
            assert!(get(&again, "k0").is_some());
        }
        let again = StateStores::new(Some(folder.path())).open("p", 1 << 20).unwrap();
        assert!((0..50).all(|number: u8| get(&again, &format!("k{number}")) == Some(vec![number])));
        assert!(set(&again, "more", b"x").await.unwrap() > 50, "versions go on");
    }

    #[tokio::test]
    async fn the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStores::new(Some(folder.path())).open("p", 1 << 20).unwrap();
        for _ in 0..100 {
            set(&store, "k", &[7; 60_000]).await.unwrap();
        }
        let path = folder.path().join("plugin-state/p.state");
        assert!(fs::metadata(&path).unwrap().len() < 2 << 20);
        let again = StateStores::new(Some(folder.path())).open("p", 1 << 20).unwrap();
        assert_eq!(get(&again, "k"), Some(vec![7; 60_000]));
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told_and_the_next_change_repairs() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::write(&data, "no folder").unwrap();
        let stores = StateStores::new(Some(&data));
        assert!(stores.open("p", 1).is_err(), "not a folder");
        fs::remove_file(&data).unwrap();
        let store = stores.open("p", 1 << 20).unwrap();
        fs::write(&data, "no folder").unwrap();
        assert!(set(&store, "a", b"1").await.is_err());
        fs::remove_file(&data).unwrap();
        set(&store, "b", b"2").await.unwrap();
        let again = StateStores::new(Some(&data)).open("p", 1 << 20).unwrap();
        assert_eq!(get(&again, "a"), Some(b"1".to_vec()));
        assert_eq!(get(&again, "b"), Some(b"2".to_vec()));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let stores = StateStores::new(Some(folder.path()));
        let store = stores.open("p", 1 << 20).unwrap();
        set(&store, "a", b"1").await.unwrap();
        stores.forget("p").unwrap();
        assert!(set(&store, "b", b"1").await.is_err());
        assert_eq!(get(&stores.open("p", 1 << 20).unwrap(), "a"), None);
        stores.forget("never").unwrap();
    }
}
