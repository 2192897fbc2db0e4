//! The store on disk: puts log and state together behind [`Store`].

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::Waker,
    thread::{self, JoinHandle},
    time::Duration,
};

use codec::PacketId;
use parking_lot::Mutex;

mod claims;
mod commit;
mod found;
mod lock;
mod log;
mod mark;
mod notes;
mod pending;
pub(crate) mod record;
mod recovery;
mod restore;
mod segment;
mod snapshot;
mod state;

pub(crate) use segment::FORMAT;

pub use self::{
    found::FoundClaims,
    restore::{Restore, Restored},
    snapshot::{Snapshot, SnapshotFile},
};
use self::{lock::Lock, log::Log, state::Change};
use crate::{
    KeptSession, KeptSubscription, MessageRef, OpenError, Origin, Owed, Position, Retained,
    SessionKey, Store, StoredMessage, Ticket, Unavailable, Usage,
};

/// What "durable" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Survives a power cut.
    #[default]
    Fsync,
    /// Survives the death of the process, not that of the system.
    Os,
}

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder; made with mode 0700 when it is not there.
    pub folder: PathBuf,
    /// What "durable" means.
    pub durability: Durability,
    /// Bytes of one file of the log, roughly.
    pub segment_bytes: u64,
    /// Bytes that must be free on the disk for messages to be taken.
    pub free_bytes_min: u64,
}

impl Options {
    /// The defaults for a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::Fsync,
            segment_bytes: 64 << 20,
            free_bytes_min: 64 << 20,
        }
    }
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Sessions that are not over.
    pub sessions: Vec<FoundSession>,
    /// Retained messages.
    pub retained: Vec<Retained>,
    /// Bytes that a crash tore off the end of the log.
    pub torn_bytes: u64,
}

/// A session as it is found again.
#[derive(Debug)]
pub struct FoundSession {
    /// Its key.
    pub key: SessionKey,
    /// What is known of it.
    pub kept: KeptSession,
    /// Its subscriptions.
    pub subscriptions: Vec<KeptSubscription>,
    /// What it is owed, by number.
    pub owed: FoundClaims,
    /// QoS 2 identifiers of the client that it has not released.
    pub unreleased: Vec<PacketId>,
    /// The highest number that one of its messages had.
    pub last_number: u64,
}

/// A store in a folder, used by one process at a time.
pub struct FileStore {
    log: Arc<Log>,
    last_session: AtomicU64,
    segment_bytes: u64,
    writer: Mutex<Option<JoinHandle<io::Result<()>>>>,
    /// Held as long as the store is open.
    lock: Mutex<Option<Lock>>,
}

impl FileStore {
    /// Opens a folder and hands on what is in it.
    ///
    /// # Errors
    /// The folder cannot be used, was written by another version, or is damaged.
    pub fn open(options: Options) -> Result<(Self, Recovered), OpenError> {
        let (folder, segment_bytes) = (options.folder.clone(), options.segment_bytes);
        let opened = recovery::open(options)?;
        let log = Arc::clone(&opened.writer.log);
        let writer = opened.writer;
        // Before anybody can ask.
        writer.look_at_room();
        let writer = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::io(folder))?;
        let store = Self {
            log,
            last_session: AtomicU64::new(opened.last_session),
            segment_bytes,
            writer: Mutex::new(Some(writer)),
            lock: Mutex::new(Some(opened.lock)),
        };
        Ok((store, opened.recovered))
    }

    /// Whether another process has the store in this folder open now. Nothing is made where there is none.
    pub fn is_in_use(folder: &std::path::Path) -> bool {
        folder.is_dir() && matches!(Lock::take(folder), Err(OpenError::InUse { .. }))
    }

    /// What the store holds once everything that was appended before this call is written, as of one
    /// moment. Blocks until that is so; what is appended meanwhile may be in it.
    ///
    /// Its files stay readable, and take their space, until it is dropped, however much is given back
    /// meanwhile: whoever takes snapshots bounds their number and their time.
    ///
    /// # Errors
    /// The disk does not take what waits `within` that time, or the store is closed.
    pub fn snapshot(&self, within: Duration) -> io::Result<Snapshot> {
        let (wanted, snapshot) = mpsc::sync_channel(1);
        self.log.want(wanted);
        match snapshot.recv_timeout(within) {
            Ok(snapshot) => snapshot,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the store did not write what waits within {} s", within.as_secs()),
            )),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("the store is closed"))
            }
        }
    }

    /// Writes what is left and closes. Nothing may be appended any more.
    ///
    /// # Errors
    /// The disk did not take the last batch.
    pub fn close(&self) -> io::Result<()> {
        self.log.close();
        let result = match self.writer.lock().take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the thread that writes panicked")),
        };
        drop(self.lock.lock().take());
        result
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the end of the store could not be written");
        }
    }
}

impl Store for FileStore {
    fn check(&self) -> Result<(), Unavailable> {
        self.log.check()
    }

    fn append_message(&self, message: &MessageRef<'_>, origin: Option<Origin>) -> Position {
        self.log.message(message, origin)
    }

    fn append_owed(&self, position: Position, size: (usize, Option<u64>), owed: &[Owed]) -> Ticket {
        self.log.owed(position, size, owed)
    }

    fn append_moved(&self, from: Position, to: Position, size: (usize, Option<u64>), owed: Owed) {
        self.log.moved((from, to), size, owed);
    }

    fn usage(&self) -> Usage {
        Usage { file_bytes: self.segment_bytes, ..self.log.usage() }
    }

    fn complete(&self, session: SessionKey, done: &[(u64, Position)]) -> Ticket {
        self.log.complete(session, done)
    }

    fn abandon(&self, positions: &[Position]) {
        self.log.settle(positions);
    }

    fn receive(&self, session: SessionKey, number: u64) -> Ticket {
        self.log.receive(session, number)
    }

    fn release(&self, origin: Origin) -> Ticket {
        self.log.release(origin)
    }

    fn new_session(&self) -> SessionKey {
        SessionKey(self.last_session.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn put_session(&self, key: SessionKey, session: KeptSession) -> Ticket {
        self.log.change(Change::PutSession(key, Box::new(session)))
    }

    fn remove_session(&self, key: SessionKey) -> Ticket {
        self.log.change(Change::RemoveSession(key))
    }

    fn put_subscription(&self, key: SessionKey, subscription: KeptSubscription) -> Ticket {
        self.log.change(Change::PutSubscription(key, subscription))
    }

    fn remove_subscription(&self, key: SessionKey, filter: String) -> Ticket {
        self.log.change(Change::RemoveSubscription(key, filter))
    }

    fn put_retained(&self, retained: Retained) -> Ticket {
        self.log.change(Change::PutRetained(retained))
    }

    fn remove_retained(&self, topic: String) -> Ticket {
        self.log.change(Change::RemoveRetained(topic))
    }

    fn latest(&self) -> Ticket {
        self.log.latest()
    }

    fn durable(&self) -> Ticket {
        self.log.durable()
    }

    fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        self.log.wake_when_durable(ticket, waker);
    }

    fn read(&self, positions: &[Position]) -> io::Result<Vec<Option<StoredMessage>>> {
        positions.iter().map(|position| self.log.read(*position)).collect()
    }
}

#[cfg(test)]
mod tests;
