//! Sessions, subscriptions and retained messages in fjall: small, seldom changed, read as a whole at
//! the start.
//!
//! Every change carries a number, and the log notes the last one it relies on. So a fjall that came
//! back without its last commits (it takes a damaged journal for one that a crash cut short) is found
//! out: see `recovery.rs`. Beside the number stands a sum over all entries, so that any other loss is
//! found out too: fjall's checksums do not cover the order of its commits.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use crate::{KeptRule, KeptSession, KeptSubscription, OpenError, Retained, SessionKey};

mod entry;

use self::entry::{Entry, Meta, Place};

/// A change of the state.
#[derive(Debug)]
pub(crate) enum Change {
    PutSession(SessionKey, Box<KeptSession>),
    RemoveSession(SessionKey),
    PutSubscription(SessionKey, KeptSubscription),
    RemoveSubscription(SessionKey, String),
    PutRetained(Retained),
    RemoveRetained(String),
}

impl Change {
    /// Bytes of memory that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let more = match self {
            Self::PutSession(_, kept) => {
                let identity = &kept.identity;
                let groups = identity.groups.iter().map(|group| CHANGE_BYTES + group.len());
                let attributes = identity
                    .attributes
                    .iter()
                    .map(|(key, value)| CHANGE_BYTES + key.len() + value.len());
                let will = kept
                    .will
                    .as_ref()
                    .map_or(0, |will| will.topic.len() + will.forwarded.len() + will.payload.len());
                let rules = identity.permissions.iter().flat_map(|granted| &granted.rules);
                let rules = rules.map(|rule| size_of::<KeptRule>() + rule.filter.len());
                let texts = [&kept.client_id, &identity.principal, &identity.authenticated_by];
                let texts = texts.into_iter().map(String::len);
                size_of::<KeptSession>()
                    + will
                    + groups.chain(attributes).chain(rules).chain(texts).sum::<usize>()
            }
            Self::PutSubscription(_, kept) => kept.filter.len(),
            Self::PutRetained(kept) => {
                let message = &kept.message;
                message.topic.len()
                    + message.forwarded.len()
                    + message.payload.len()
                    + kept.publisher.len()
            }
            Self::RemoveSubscription(_, text) | Self::RemoveRetained(text) => text.len(),
            Self::RemoveSession(_) => 0,
        };
        CHANGE_BYTES + more
    }
}

/// Something that is kept.
pub(super) enum Kept {
    Session(SessionKey, Box<KeptSession>),
    Subscription(SessionKey, KeptSubscription),
    Retained(Retained),
}

/// The open database. Owned by the thread that writes.
pub(super) struct State {
    path: PathBuf,
    /// `None` after a failure: fjall does not go on with what may be half written.
    open: Option<Open>,
}

struct Open {
    database: Database,
    sessions: Keyspace,
    subscriptions: Keyspace,
    retained: Keyspace,
    meta: Keyspace,
    /// What stands in `meta`.
    last: Meta,
}

/// All entries as of one moment.
pub(super) struct StateSnapshot {
    snapshot: fjall::Snapshot,
    keyspaces: [(Place, Keyspace); 3],
    meta: Meta,
}

impl StateSnapshot {
    /// What is noted of the whole.
    pub(super) fn meta(&self) -> Vec<u8> {
        self.meta.encode()
    }

    /// Hands on every entry: kind, key, value.
    ///
    /// # Errors
    /// What is read is not what was written, or `found` fails.
    pub(super) fn entries(
        &self,
        mut found: impl FnMut(u8, &[u8], &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut sum = 0_u64;
        for (place, keyspace) in &self.keyspaces {
            for entry in self.snapshot.iter(keyspace) {
                let (key, value) = entry.into_inner().map_err(io::Error::other)?;
                sum = sum.wrapping_add(entry::checksum(*place, &key, &value));
                found(*place as u8, &key, &value)?;
            }
        }
        if sum != self.meta.sum {
            let what = "sessions or retained messages are not what was written";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(())
    }
}

/// Memory for fjall's cache: all of it is read once.
const CACHE_BYTES: u64 = 8 << 20;
/// Its journals are kept small: they are read at each start.
const JOURNAL_BYTES: u64 = 64 << 20;
/// What a change takes apart from its texts.
const CHANGE_BYTES: usize = size_of::<Change>();
const LAST_CHANGE: &str = "last-change";

impl State {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        // A few damaged bytes make fjall abort the process: this says then what it was about.
        tracing::info!(path = %path.display(), "opening sessions and retained messages");
        let open = open(path).map_err(|error| damaged(path, &error))?;
        Ok(Self { path: path.to_owned(), open: Some(open) })
    }

    /// Applies changes in one step. Doing that again does no harm.
    pub(super) fn apply(&mut self, changes: &[Change], number: u64, fsync: bool) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => open(&self.path).map_err(io::Error::other)?,
        };
        open.apply(changes, number, fsync).map_err(io::Error::other)?;
        self.open = Some(open);
        Ok(())
    }

    /// Everything is on the disk.
    pub(super) fn persist(&self) -> io::Result<()> {
        let persist = |open: &Open| open.database.persist(PersistMode::SyncAll);
        self.open.as_ref().map_or(Ok(()), persist).map_err(io::Error::other)
    }

    /// Everything as it is now.
    pub(super) fn snapshot(&self) -> io::Result<StateSnapshot> {
        let open = self.open.as_ref();
        let open =
            open.ok_or_else(|| io::Error::other("sessions could not be written last time"))?;
        Ok(StateSnapshot {
            snapshot: open.database.snapshot(),
            keyspaces: Place::ALL.map(|place| (place, open.keyspace(place).clone())),
            meta: open.last,
        })
    }

    /// Puts entries in that a [`StateSnapshot`] handed on; nothing checks them before [`Self::load`] does.
    pub(super) fn restore(&mut self, entries: &[(u8, &[u8], &[u8])]) -> io::Result<()> {
        let Some(open) = &self.open else { return Err(io::Error::other("not open")) };
        let mut batch = open.database.batch().durability(Some(PersistMode::Buffer));
        for (place, key, value) in entries {
            let place = Place::ALL.into_iter().find(|known| *known as u8 == *place);
            let place = place.ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "an entry of an unknown kind")
            })?;
            batch.insert(open.keyspace(place), *key, *value);
        }
        batch.commit().map_err(io::Error::other)
    }

    /// Ends a restoration with what is noted of the whole: 16 bytes of a [`StateSnapshot`]. Everything is
    /// on the disk then.
    pub(super) fn finish_restore(&mut self, meta: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::Error::other("not open")) };
        let last = Meta::decode(meta).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the sum over all entries is none")
        })?;
        open.meta.insert(LAST_CHANGE, last.encode()).map_err(io::Error::other)?;
        open.last = last;
        open.database.persist(PersistMode::SyncAll).map_err(io::Error::other)
    }

    /// Hands on everything that is kept. The number of the last change.
    pub(super) fn load(&self, mut found: impl FnMut(Kept)) -> Result<u64, OpenError> {
        let Some(open) = &self.open else { return Ok(0) };
        let fault = |what: String| OpenError::damaged(&self.path, 0, what);
        let mut sum = 0_u64;
        for place in Place::ALL {
            for entry in open.keyspace(place).iter() {
                let (key, value) =
                    entry.into_inner().map_err(|error| damaged(&self.path, &error))?;
                sum = sum.wrapping_add(entry::checksum(place, &key, &value));
                found(entry::decode(place, &key, &value).map_err(fault)?);
            }
        }
        if sum != open.last.sum {
            return Err(fault("sessions or retained messages are not what was written".to_owned()));
        }
        Ok(open.last.number)
    }
}

fn open(path: &Path) -> Result<Open, fjall::Error> {
    let database = Database::builder(path)
        .worker_threads(1)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .manual_journal_persist(true)
        .open()?;
    let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
    let meta = keyspace("meta")?;
    let last = match meta.get(LAST_CHANGE)? {
        Some(value) => Meta::decode(&value).ok_or_else(|| {
            fjall::Error::Io(io::Error::other("the number of the last change is no number"))
        })?,
        None => Meta::default(),
    };
    Ok(Open {
        sessions: keyspace("sessions")?,
        subscriptions: keyspace("subscriptions")?,
        retained: keyspace("retained")?,
        meta,
        database,
        last,
    })
}

fn damaged(path: &Path, error: &fjall::Error) -> OpenError {
    match error {
        fjall::Error::Io(error) => {
            OpenError::io(path)(io::Error::new(error.kind(), error.to_string()))
        }
        error => OpenError::damaged(path, 0, format!("sessions and retained messages: {error}")),
    }
}

impl Open {
    fn keyspace(&self, place: Place) -> &Keyspace {
        match place {
            Place::Session => &self.sessions,
            Place::Subscription => &self.subscriptions,
            Place::Retained => &self.retained,
        }
    }

    fn apply(&mut self, changes: &[Change], number: u64, fsync: bool) -> Result<(), fjall::Error> {
        let mode = if fsync { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.database.batch().durability(Some(mode));
        let mut sum = self.last.sum;
        for ((place, key), value) in self.entries(changes)? {
            let keyspace = self.keyspace(place);
            let before = keyspace.get(&key)?;
            if let Some(before) = &before {
                sum = sum.wrapping_sub(entry::checksum(place, &key, before));
            }
            match value {
                Some(value) => {
                    sum = sum.wrapping_add(entry::checksum(place, &key, &value));
                    batch.insert(keyspace, key, value);
                }
                None if before.is_some() => batch.remove(keyspace, key),
                None => {}
            }
        }
        let last = Meta { number, sum };
        batch.insert(&self.meta, LAST_CHANGE, last.encode());
        batch.commit()?;
        self.last = last;
        Ok(())
    }

    /// What becomes of each entry.
    fn entries(
        &self,
        changes: &[Change],
    ) -> Result<BTreeMap<Entry, Option<Vec<u8>>>, fjall::Error> {
        let mut entries = BTreeMap::new();
        for change in changes {
            if let Change::RemoveSession(key) = change {
                let prefix = key.0.to_be_bytes();
                for entry in self.subscriptions.prefix(prefix) {
                    entries.insert((Place::Subscription, entry.key()?.to_vec()), None);
                }
                // And those that this batch made.
                let begin = (Place::Subscription, prefix.to_vec());
                for ((place, key), value) in entries.range_mut(begin..) {
                    if *place != Place::Subscription || !key.starts_with(&prefix) {
                        break;
                    }
                    *value = None;
                }
            }
            let (entry, value) = entry::encode(change)?;
            entries.insert(entry, value);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
