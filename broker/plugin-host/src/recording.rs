//! What a plugin was asked in the course of a decision, what the host told it meanwhile, and what it answered:
//! enough to ask the same again (`replay.rs`). Kept with the decision (`access::Decisions`).
//!
//! Passwords, Authentication Data and everything that the host told the guest are sealed as soon as the call has
//! ended, with a key that only this machine has; the rest is there to be read.

mod sealer;
mod tape;

use std::{fmt, sync::Arc};

use access::{PluginFailure, Recording};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub(crate) use self::{
    sealer::Sealer,
    tape::{Note, Notes, Tape},
};
use crate::{generation::Generation, instance::Call};

/// A question that is recorded.
pub(crate) trait Recorded: Call
where
    Self::Reply: Clone + Serialize,
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
    C::Reply: Clone + Serialize,
{
    generation: Arc<Generation>,
    call: C,
    secret: Vec<u8>,
    answer: Answer<C::Reply>,
    taped: Taped,
}

enum Answer<T> {
    Plain(Result<T, PluginFailure>),
    Sealed(Vec<u8>),
}

impl<C: Recorded> Recorder<C>
where
    C::Reply: Clone + Serialize,
{
    /// Seals what is secret.
    pub(crate) fn new(
        generation: &Arc<Generation>,
        mut call: C,
        answer: Result<C::Reply, PluginFailure>,
        taped: Taped,
        sealer: &Sealer,
    ) -> Self {
        let secret = call.take_secret();
        let secret = if secret.is_empty() { secret } else { sealer.seal(secret) };
        let answer = match C::SECRET_ANSWER {
            false => Answer::Plain(answer),
            true => Answer::Sealed(sealer.seal(self::answer(&answer).to_string().into_bytes())),
        };
        Self { generation: Arc::clone(generation), call, secret, answer, taped }
    }
}

impl<C: Recorded> fmt::Debug for Recorder<C>
where
    C::Reply: Clone + Serialize,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("hook", &C::NAME).finish_non_exhaustive()
    }
}

impl<C: Recorded> Recording for Recorder<C>
where
    C::Reply: Clone + Serialize + Sync,
{
    fn json(&self) -> String {
        let sealed = |bytes: &[u8]| STANDARD.encode(bytes);
        let recording = Document {
            plugin: self.generation.name.to_string(),
            generation: self.generation.short.to_string(),
            component_sha256: self.generation.component_sha256.clone(),
            memory_bytes: self.generation.manifest.limits.memory_bytes,
            hook: C::NAME.to_owned(),
            input: json(self.call.input()),
            secret: sealed(&self.secret),
            answer: match &self.answer {
                Answer::Plain(plain) => answer(plain),
                Answer::Sealed(bytes) => serde_json::json!({ "sealed": sealed(bytes) }),
            },
            init: self.taped.init.as_deref().map(sealed),
            call: self.taped.call.as_deref().map(sealed),
        };
        serde_json::to_string(&recording).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        let told = [self.taped.init.as_deref(), self.taped.call.as_deref()];
        let told = told.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        size_of::<Self>() + self.call.bytes() + self.secret.len() + told
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
    /// `{"sealed": ...}`.
    pub(crate) answer: Value,
    /// What the host told it while the instance was made; null = more than is kept.
    pub(crate) init: Option<String>,
    /// The same for the call.
    pub(crate) call: Option<String>,
}

/// An answer as documents have it.
pub(crate) fn answer<T: Serialize>(answer: &Result<T, PluginFailure>) -> Value {
    match answer {
        Ok(reply) => serde_json::json!({ "ok": json(reply) }),
        Err(failure) => serde_json::json!({
            "failure": { "kind": failure.kind.to_string(), "message": failure.message },
        }),
    }
}

/// Records of the contract have names for keys and no number that JSON lacks: it cannot fail.
fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
