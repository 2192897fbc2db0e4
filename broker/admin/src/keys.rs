//! `/api/v1/keys`: the key rings of the configuration. What is in a key is written and never read: no answer has a byte of
//! it.
//!
//! Owns the trait that the program answers for; knows nothing of where keys are kept.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use crate::{
    call::{Answer, Call, blocking, json},
    problem::Problem,
};

/// Who has the key rings. Calls may block.
pub trait KeyManager: Send + Sync {
    /// All rings, by name.
    fn rings(&self) -> Vec<RingInfo>;
    /// One ring.
    fn ring(&self, name: &str) -> Option<RingInfo>;
    /// Adds a key that only opens, until the ring is rotated to it.
    fn add(&self, ring: &str, new: &NewKey) -> Result<RingInfo, KeyError>;
    /// Makes a new key, or the one of this number, the one that seals.
    fn rotate(&self, ring: &str, id: Option<u32>) -> Result<RingInfo, KeyError>;
    /// Takes a key away for good.
    fn retire(&self, ring: &str, id: u32) -> Result<RingInfo, KeyError>;
}

/// A ring, without what is in its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingInfo {
    /// NAME of `[keys.NAME]`.
    pub name: String,
    /// How it encrypts.
    pub algorithm: &'static str,
    /// Whether its keys can be changed here.
    pub managed: bool,
    /// The one that seals first, the retired ones last.
    pub keys: Vec<KeyInfo>,
}

/// A key, without what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its number, part of all that is sealed with it.
    pub id: u32,
    /// What it is good for.
    pub state: KeyState,
    /// Seconds since 1970; none where the configuration has it.
    pub created_unix: Option<u64>,
    /// Seconds since 1970.
    pub retired_unix: Option<u64>,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It seals and opens.
    Seals,
    /// It only opens.
    Opens,
    /// Neither.
    Retired,
}

/// A key to be.
#[derive(Clone, Default)]
pub struct NewKey {
    /// Its number; none = the next.
    pub id: Option<u32>,
    /// The key; none = a random one.
    pub value: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a ring stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No `[keys.NAME]`.
    #[error("there is no key ring {0:?}")]
    UnknownRing(String),
    /// No key of this number, or it is retired.
    #[error("the ring has no key {0} that opens")]
    UnknownKey(u32),
    /// A sentence.
    #[error("{0}")]
    Refused(String),
    /// It cannot be written down.
    #[error("the ring stays as it is, the change cannot be kept: {0}")]
    NotKept(String),
}

/// All rings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyRings {
    /// By name.
    rings: Vec<Ring>,
}

/// A key ring, `[keys.NAME]` of the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ring {
    /// Its name.
    name: String,
    /// `aes-256-gcm` or `chacha20-poly1305`.
    algorithm: &'static str,
    /// Whether its keys are the broker's (`managed = true`) and can be changed here.
    managed: bool,
    /// The one that seals first, then those that only open, then the retired ones.
    keys: Vec<Key>,
}

/// A key; what is in it is never told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    /// Its number.
    id: u32,
    /// `seals` (and opens), `opens`, or `retired`.
    state: &'static str,
    /// When it was made, in seconds since 1970; null where the configuration has it.
    created_unix: Option<u64>,
    /// When it was retired, in seconds since 1970.
    retired_unix: Option<u64>,
}

/// A key to add. It only opens until the ring is rotated to it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// Its number, larger than all before; without it the next one.
    #[schema(minimum = 1)]
    id: Option<u32>,
    /// 32 bytes in base64, never told again; without it the broker makes a random key.
    #[schema(value_type = Option<String>)]
    value: Option<Value>,
}

/// Text that is gone when nobody needs it.
struct Value(Zeroizing<String>);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // A value of another type is an error that quotes it: so nothing but its kind is told.
        let value = serde_json::Value::deserialize(from)?;
        match value {
            serde_json::Value::String(text) => Ok(Self(Zeroizing::new(text))),
            _ => Err(serde::de::Error::custom("value is text")),
        }
    }
}

/// Which key a ring is rotated to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateQuery {
    /// Number of a key that opens; without it a new one is made.
    id: Option<u32>,
}

/// `GET /api/v1/keys`
pub(crate) async fn list(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let rings = blocking(move || shared.state.keys.rings()).await?;
    let rings = rings.into_iter().map(Ring::from).collect();
    call.json_answer(&KeyRings { rings })
}

/// `GET /api/v1/keys/{ring}`
pub(crate) async fn show(call: Call) -> Answer {
    let name = call.path("ring")?;
    let (shared, asked) = (Arc::clone(&call.shared), name.clone());
    let ring = blocking(move || shared.state.keys.ring(&asked)).await?;
    let ring = ring.ok_or_else(|| problem(&KeyError::UnknownRing(name)))?;
    call.json_answer(&Ring::from(ring))
}

/// `POST /api/v1/keys/{ring}`
pub(crate) async fn add(call: Call) -> Answer {
    let ring = call.path("ring")?;
    let (shared, request) = call.json::<KeyRequest>().await?;
    let new = request.read()?;
    changed(blocking(move || shared.state.keys.add(&ring, &new)).await?)
}

/// `POST /api/v1/keys/{ring}/rotate`
pub(crate) async fn rotate(call: Call) -> Answer {
    let ring = call.path("ring")?;
    let query: RotateQuery = call.query()?;
    let shared = call.shared;
    changed(blocking(move || shared.state.keys.rotate(&ring, query.id)).await?)
}

/// `DELETE /api/v1/keys/{ring}/{key}`
pub(crate) async fn retire(call: Call) -> Answer {
    let (ring, key) = (call.path("ring")?, call.path("key")?);
    let id = key.parse().map_err(|_| {
        let problem = Problem::invalid(format!("{key:?} is no number of a key"));
        problem.about("key").allowed("1 to 4294967295")
    })?;
    let shared = call.shared;
    changed(blocking(move || shared.state.keys.retire(&ring, id)).await?)
}

fn changed(ring: Result<RingInfo, KeyError>) -> Answer {
    let ring = ring.map_err(|error| problem(&error))?;
    json(axum::http::StatusCode::OK, &Ring::from(ring))
}

fn problem(error: &KeyError) -> Problem {
    match error {
        KeyError::UnknownRing(_) | KeyError::UnknownKey(_) => Problem::not_found(error.to_string()),
        KeyError::Refused(_) => Problem::invalid(error.to_string()),
        KeyError::NotKept(_) => Problem::internal(error.to_string()),
    }
}

impl KeyRequest {
    fn read(self) -> Result<NewKey, Problem> {
        let value = self.value.map(|Value(text)| BASE64_STANDARD.decode(text.trim_ascii()));
        let value = value.transpose().map_err(|_| {
            Problem::invalid("the key is not base64").about("value").allowed("32 bytes in base64")
        })?;
        Ok(NewKey { id: self.id, value: value.map(Zeroizing::new) })
    }
}

impl From<RingInfo> for Ring {
    fn from(ring: RingInfo) -> Self {
        Self {
            name: ring.name,
            algorithm: ring.algorithm,
            managed: ring.managed,
            keys: ring.keys.into_iter().map(Key::from).collect(),
        }
    }
}

impl From<KeyInfo> for Key {
    fn from(key: KeyInfo) -> Self {
        Self {
            id: key.id,
            state: match key.state {
                KeyState::Seals => "seals",
                KeyState::Opens => "opens",
                KeyState::Retired => "retired",
            },
            created_unix: key.created_unix,
            retired_unix: key.retired_unix,
        }
    }
}
