//! What a plugin was asked in the course of a decision, what the host told it meanwhile, and what it answered:
//! enough to ask the same again (`replay.rs`). Kept with the decision (`access::Decisions`).
//!
//! Passwords, Authentication Data and everything that the host told the guest are sealed as soon as the call has
//! ended, with a key that only this machine has; the rest is there to be read.

mod sealer;
mod tape;

use std::{fmt, io, sync::Arc};

use access::{PluginFailure, Recording};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(crate) use self::{
    sealer::Sealer,
    tape::{Note, Notes, OF_A_CALL, OF_INIT, Tape},
};
use crate::{generation::Generation, instance::Call};

/// A question that is recorded.
pub(crate) trait Recorded: Call
where
    Self::Reply: Serialize,
{
    /// What the guest is to see.
    type Input: Serialize + DeserializeOwned;

    /// How recordings name the hook.
    const NAME: &'static str;

    /// Nobody may read the answer either.
    const SECRET_ANSWER: bool = false;

    /// What may be read.
    fn input(&self) -> &Self::Input;

    /// Takes out what nobody may read.
    fn take_secret(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// The same question again.
    fn again(input: Self::Input, secret: Vec<u8>) -> Self;
}

/// What the guest was told while an instance was made, and in the call itself; sealed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taped {
    /// `None` = it was more than is kept.
    pub(crate) init: Option<Arc<[u8]>>,
    /// As for `init`.
    pub(crate) call: Option<Vec<u8>>,
}

/// A call that ended.
pub(crate) struct Recorder<C: Recorded>
where
    C::Reply: Serialize,
{
    /// Not the generation itself: its instances would live as long as what was recorded of it.
    plugin: Arc<str>,
    generation: Arc<str>,
    component_sha256: Arc<str>,
    memory_bytes: usize,
    call: C,
    secret: Vec<u8>,
    answer: Answer,
    taped: Taped,
}

/// As JSON.
enum Answer {
    Plain(Vec<u8>),
    Sealed(Vec<u8>),
    /// It was more than is kept.
    TooLarge,
}

impl Answer {
    fn new<T: Serialize>(answer: &Result<T, PluginFailure>) -> Self {
        let mut json = Bounded(Vec::new());
        match serde_json::to_writer(&mut json, &Said::from(answer)) {
            Ok(()) => Self::Plain(json.0),
            Err(_) => Self::TooLarge,
        }
    }

    fn sealed(self, sealer: &Sealer) -> Self {
        match self {
            Self::Plain(json) => Self::Sealed(sealer.seal(json)),
            other => other,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Plain(json) | Self::Sealed(json) => json.len(),
            Self::TooLarge => 0,
        }
    }

    /// As documents have it.
    fn shown(&self) -> Value {
        match self {
            Self::Plain(json) => serde_json::from_slice(json).unwrap_or_default(),
            Self::Sealed(bytes) => serde_json::json!({ "sealed": STANDARD.encode(bytes) }),
            Self::TooLarge => Value::Null,
        }
    }
}

/// Takes no more than is kept.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OF_A_CALL {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer on its way into JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Said<'a, T> {
    Ok(&'a T),
    Failure { kind: String, message: &'a str },
}

impl<'a, T> From<&'a Result<T, PluginFailure>> for Said<'a, T> {
    fn from(answer: &'a Result<T, PluginFailure>) -> Self {
        match answer {
            Ok(reply) => Self::Ok(reply),
            Err(failure) => {
                Self::Failure { kind: failure.kind.to_string(), message: &failure.message }
            }
        }
    }
}

impl<C: Recorded> Recorder<C>
where
    C::Reply: Serialize,
{
    /// Seals what is secret.
    pub(crate) fn new(
        generation: &Arc<Generation>,
        mut call: C,
        answer: &Result<C::Reply, PluginFailure>,
        taped: Taped,
        sealer: &Sealer,
    ) -> Self {
        let secret = call.take_secret();
        let secret = if secret.is_empty() { secret } else { sealer.seal(secret) };
        let answer = Answer::new(answer);
        let answer = if C::SECRET_ANSWER { answer.sealed(sealer) } else { answer };
        Self {
            plugin: Arc::clone(&generation.name),
            generation: Arc::clone(&generation.short),
            component_sha256: Arc::clone(&generation.component_sha256),
            memory_bytes: generation.manifest.limits.memory_bytes,
            call,
            secret,
            answer,
            taped,
        }
    }
}

impl<C: Recorded> fmt::Debug for Recorder<C>
where
    C::Reply: Serialize,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("hook", &C::NAME).finish_non_exhaustive()
    }
}

impl<C: Recorded> Recording for Recorder<C>
where
    C::Reply: Serialize,
{
    fn json(&self) -> String {
        let sealed = |bytes: &[u8]| STANDARD.encode(bytes);
        let recording = Document {
            plugin: self.plugin.to_string(),
            generation: self.generation.to_string(),
            component_sha256: self.component_sha256.to_string(),
            memory_bytes: self.memory_bytes,
            hook: C::NAME.to_owned(),
            input: json(self.call.input()),
            secret: sealed(&self.secret),
            answer: self.answer.shown(),
            init: self.taped.init.as_deref().map(sealed),
            call: self.taped.call.as_deref().map(sealed),
        };
        serde_json::to_string(&recording).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        // What an instance in the pool was told when it was made is shared by its calls.
        let own = self.taped.init.as_ref().filter(|init| Arc::strong_count(init) == 1);
        let init = own.map_or(0, |init| init.len());
        let told = self.taped.call.as_ref().map_or(0, Vec::len);
        size_of::<Self>()
            + self.call.bytes()
            + self.secret.len()
            + self.answer.bytes()
            + init
            + told
    }
}

/// A recording as it leaves the broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Name of the plugin.
    pub(crate) plugin: String,
    /// Short hash of its generation.
    pub(crate) generation: String,
    /// Of the component alone.
    pub(crate) component_sha256: String,
    /// Memory that an instance of it may have.
    pub(crate) memory_bytes: usize,
    /// The hook that was asked.
    pub(crate) hook: String,
    /// What it was asked.
    pub(crate) input: Value,
    /// What of it nobody may read.
    pub(crate) secret: String,
    /// What it answered: `{"ok": ...}`, `{"failure": {"kind": ..., "message": ...}}`, or either of them as
    /// `{"sealed": ...}`; null = more than is kept.
    pub(crate) answer: Value,
    /// What the host told it while the instance was made; null = more than is kept.
    pub(crate) init: Option<String>,
    /// The same for the call.
    pub(crate) call: Option<String>,
}

/// An answer as documents have it.
pub(crate) fn answer<T: Serialize>(answer: &Result<T, PluginFailure>) -> Value {
    json(&Said::from(answer))
}

/// Records of the contract have names for keys and no number that JSON lacks: it cannot fail.
fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
