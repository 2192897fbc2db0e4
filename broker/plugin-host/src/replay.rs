//! Asks a recorded question again: the same bytes, the same question, the same answers of the host in the same
//! order. Nothing of this machine reaches the guest, and nothing of the guest reaches anything.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    path::Path,
    sync::Arc,
};

use access::PluginFailure;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::Value;

use crate::{
    generation::Replayer,
    hooks::{
        admin_authenticator::AuthenticateAdmin,
        authenticator::Authenticate,
        authorizer::Permissions,
        enhanced_authenticator::{Begin, Proceed},
        operation_authorizer::Authorize,
    },
    recording::{Document, Note, Notes, Recorded, Sealer, answer},
    runtime::{Outside, Runtime},
};

/// A recorded call, read back.
#[derive(Debug)]
pub struct Recording {
    document: Document,
    secret: Vec<u8>,
    answer: Value,
    init: VecDeque<Note>,
    call: VecDeque<Note>,
}

/// What a replay came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// What was answered when it was recorded.
    pub recorded: Value,
    /// What is answered now.
    pub now: Value,
    /// Answers of the host that the guest did not ask for this time.
    pub unasked: usize,
}

impl Replayed {
    /// Whether the verdict is the same. Of a failure only the kind counts: its sentence may name addresses
    /// and times.
    pub fn is_same(&self) -> bool {
        let kind = |answer: &Value| answer.pointer("/failure/kind").cloned();
        match (kind(&self.recorded), kind(&self.now)) {
            (Some(recorded), Some(now)) => recorded == now,
            (None, None) => self.recorded == self.now && self.unasked == 0,
            _ => false,
        }
    }
}

impl Recording {
    /// Reads one call of a recording, with the key in this folder.
    ///
    /// # Errors
    /// It is none, it was sealed with another key, or it does not have all that the guest was told.
    pub fn read(call: Value, data_dir: &Path) -> Result<Self, String> {
        let document: Document =
            serde_json::from_value(call).map_err(|error| format!("is no recording: {error}"))?;
        let sealer = Sealer::open_existing(data_dir).map_err(|error| error.to_string())?;
        let open = |what: &str, text: &str| {
            let bytes = STANDARD.decode(text).ok().and_then(|bytes| sealer.open_sealed(&bytes));
            bytes.ok_or_else(|| format!("its {what} was not sealed with the key of this broker"))
        };
        let told = |what: &str, text: &Option<String>| {
            let text = text.as_deref().ok_or_else(|| {
                format!("its {what} has more than is kept of what the host told the guest")
            })?;
            Notes::read(&open(what, text)?).map_err(|error| format!("its {what}: {error}"))
        };
        let secret = match document.secret.is_empty() {
            true => Vec::new(),
            false => open("secret", &document.secret)?,
        };
        if document.answer.is_null() {
            return Err("its answer was more than is kept".to_owned());
        }
        let answer = match document.answer.get("sealed").and_then(Value::as_str) {
            None => document.answer.clone(),
            Some(sealed) => serde_json::from_slice(&open("answer", sealed)?)
                .map_err(|error| format!("its answer: {error}"))?,
        };
        let (init, call) = (told("init", &document.init)?, told("call", &document.call)?);
        Ok(Self { document, secret, answer, init, call })
    }

    /// Name of the plugin.
    pub fn plugin(&self) -> &str {
        &self.document.plugin
    }

    /// The hook.
    pub fn hook(&self) -> &str {
        &self.document.hook
    }
}

/// Asks recorded questions again; a component is compiled once.
pub struct Replay {
    runtime: Arc<Runtime>,
    components: HashMap<String, Replayer>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.components.keys()).finish()
    }
}

impl Replay {
    /// Knows no component yet.
    ///
    /// # Errors
    /// The engine does not start.
    pub fn new() -> Result<Self, String> {
        let runtime = Arc::new(Runtime::new(None, Outside::default())?);
        Ok(Self { runtime, components: HashMap::new() })
    }

    /// Asks the component that was asked then, again; `find` brings it when it is not known yet.
    ///
    /// # Errors
    /// It is not found, it is another component, or this host cannot run it.
    pub async fn ask(
        &mut self,
        recording: Recording,
        find: impl FnOnce(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Replayed, String> {
        let Document { component_sha256: sha256, memory_bytes, hook, .. } = &recording.document;
        let replayer = match self.components.entry(sha256.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let wasm = find(sha256)?;
                let replayer = Replayer::new(&self.runtime, wasm, *memory_bytes).await?;
                if replayer.component_sha256 != *sha256 {
                    let found = &replayer.component_sha256;
                    return Err(format!("the component is {found}, recorded was {sha256}"));
                }
                new.insert(replayer)
            }
        };
        match hook.as_str() {
            Authenticate::NAME => ask::<Authenticate>(recording, replayer).await,
            AuthenticateAdmin::NAME => ask::<AuthenticateAdmin>(recording, replayer).await,
            Permissions::NAME => ask::<Permissions>(recording, replayer).await,
            Authorize::NAME => ask::<Authorize>(recording, replayer).await,
            Begin::NAME => ask::<Begin>(recording, replayer).await,
            Proceed::NAME => ask::<Proceed>(recording, replayer).await,
            other => Err(format!("{other:?} is no hook that is recorded")),
        }
    }
}

async fn ask<C: Recorded>(recording: Recording, replayer: &mut Replayer) -> Result<Replayed, String>
where
    C::Reply: Serialize,
{
    let Recording { document, secret, answer: recorded, init, call } = recording;
    let input = serde_json::from_value(document.input)
        .map_err(|error| format!("its input is none of {}: {error}", C::NAME))?;
    let question = C::again(input, secret);
    let (now, unasked): (Result<C::Reply, PluginFailure>, usize) =
        replayer.ask(&question, init, call).await;
    Ok(Replayed { recorded, now: answer(&now), unasked })
}
