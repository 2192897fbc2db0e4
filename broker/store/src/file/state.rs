//! Sessions, subscriptions and retained messages in fjall: small, seldom changed, read as a whole at
//! the start.
//!
//! Every change carries a number, and the log notes the last one it relies on. So a fjall that came
//! back without its last commits (it takes a damaged journal for one that a crash cut short) is found
//! out: see `recovery.rs`.

use std::{
    io,
    path::{Path, PathBuf},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::record;
use crate::{KeptSession, KeptSubscription, OpenError, Retained, SessionKey};

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
                let texts = [&kept.client_id, &identity.principal, &identity.authenticated_by];
                let texts = texts.into_iter().map(String::len);
                size_of::<KeptSession>()
                    + will
                    + groups.chain(attributes).chain(texts).sum::<usize>()
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
    Session(SessionKey, KeptSession),
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
        let open = open(path).map_err(|error| damaged(path, &error))?;
        Ok(Self { path: path.to_owned(), open: Some(open) })
    }

    /// Applies changes in one step.
    pub(super) fn apply(&mut self, changes: &[Change], number: u64, fsync: bool) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(open(&self.path).map_err(io::Error::other)?);
        }
        let result = self.open.as_ref().map_or(Ok(()), |open| open.apply(changes, number, fsync));
        if result.is_err() {
            self.open = None;
        }
        result.map_err(io::Error::other)
    }

    /// Everything is on the disk.
    pub(super) fn persist(&self) -> io::Result<()> {
        let persist = |open: &Open| open.database.persist(PersistMode::SyncAll);
        self.open.as_ref().map_or(Ok(()), persist).map_err(io::Error::other)
    }

    /// Number of the last change.
    pub(super) fn last_change(&self) -> Result<u64, OpenError> {
        let Some(open) = &self.open else { return Ok(0) };
        let value = open.meta.get(LAST_CHANGE).map_err(|error| damaged(&self.path, &error))?;
        let number = value.map(|value| value.as_ref().try_into().map(u64::from_be_bytes));
        number
            .transpose()
            .map_err(|_| OpenError::damaged(&self.path, 0, "the number of changes is no number"))
            .map(Option::unwrap_or_default)
    }

    /// Hands on everything that is kept.
    pub(super) fn load(&self, mut found: impl FnMut(Kept)) -> Result<(), OpenError> {
        let Some(open) = &self.open else { return Ok(()) };
        let fault = |what: &str| OpenError::damaged(&self.path, 0, what.to_owned());
        let failed = |error| damaged(&self.path, &error);
        for entry in open.sessions.iter() {
            let (key, value) = entry.into_inner().map_err(failed)?;
            let key = session_key(&key).ok_or_else(|| fault("a session without key"))?;
            let kept = serde_json::from_slice(&value)
                .map_err(|error| fault(&format!("session {}: {error}", key.0)))?;
            found(Kept::Session(key, kept));
        }
        for entry in open.subscriptions.iter() {
            let (key, value) = entry.into_inner().map_err(failed)?;
            let key = session_key(&key).ok_or_else(|| fault("a subscription without key"))?;
            let kept = serde_json::from_slice(&value)
                .map_err(|error| fault(&format!("subscription of session {}: {error}", key.0)))?;
            found(Kept::Subscription(key, kept));
        }
        for entry in open.retained.iter() {
            let (topic, value) = entry.into_inner().map_err(failed)?;
            let kept = decode_retained(&value).ok_or_else(|| {
                fault(&format!("the retained message of {:?}", String::from_utf8_lossy(&topic)))
            })?;
            found(Kept::Retained(kept));
        }
        Ok(())
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
    Ok(Open {
        sessions: keyspace("sessions")?,
        subscriptions: keyspace("subscriptions")?,
        retained: keyspace("retained")?,
        meta: keyspace("meta")?,
        database,
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
    fn apply(&self, changes: &[Change], number: u64, fsync: bool) -> Result<(), fjall::Error> {
        let mode = if fsync { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.database.batch().durability(Some(mode));
        for change in changes {
            match change {
                Change::PutSession(key, kept) => {
                    batch.insert(&self.sessions, key.0.to_be_bytes(), json(kept)?);
                }
                Change::RemoveSession(key) => {
                    batch.remove(&self.sessions, key.0.to_be_bytes());
                    for entry in self.subscriptions.prefix(key.0.to_be_bytes()) {
                        batch.remove(&self.subscriptions, entry.key()?);
                    }
                }
                Change::PutSubscription(key, kept) => {
                    batch.insert(
                        &self.subscriptions,
                        subscription_key(*key, &kept.filter),
                        json(kept)?,
                    );
                }
                Change::RemoveSubscription(key, filter) => {
                    batch.remove(&self.subscriptions, subscription_key(*key, filter));
                }
                Change::PutRetained(kept) => {
                    batch.insert(
                        &self.retained,
                        kept.message.topic.as_bytes(),
                        encode_retained(kept),
                    );
                }
                Change::RemoveRetained(topic) => batch.remove(&self.retained, topic.as_bytes()),
            }
        }
        batch.insert(&self.meta, LAST_CHANGE, number.to_be_bytes());
        batch.commit()
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, fjall::Error> {
    serde_json::to_vec(value).map_err(|error| fjall::Error::Io(error.into()))
}

fn session_key(key: &[u8]) -> Option<SessionKey> {
    key.first_chunk().map(|bytes| SessionKey(u64::from_be_bytes(*bytes)))
}

fn subscription_key(key: SessionKey, filter: &str) -> Vec<u8> {
    [&key.0.to_be_bytes(), filter.as_bytes()].concat()
}

/// The publisher's length, the publisher, the message.
fn encode_retained(kept: &Retained) -> Vec<u8> {
    let publisher = kept.publisher.as_bytes();
    // A Client Identifier has at most 65,535 bytes.
    let length = u16::try_from(publisher.len()).unwrap_or(u16::MAX);
    let mut value = length.to_be_bytes().to_vec();
    value.extend_from_slice(publisher);
    record::encode_message(&kept.message.as_ref(), None, &mut value);
    value
}

fn decode_retained(value: &[u8]) -> Option<Retained> {
    let (length, rest) = value.split_first_chunk()?;
    let (publisher, message) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let publisher = String::from_utf8(publisher.to_vec()).ok()?;
    Some(Retained { message: record::decode_message(message)?, publisher })
}
