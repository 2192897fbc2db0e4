//! One upload of a component: what is sent, and what those who watch are told until it is live or
//! refused.
//!
//! Knows nothing of what the plugin manager does with it.

use std::sync::Arc;

use access::{PluginError, PluginInfo, UploadProgress, UploadStage, UploadedPlugin};
use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use telemetry::{Metrics, events::PluginUpload};
use tokio::sync::OwnedSemaphorePermit;

use super::name_of;
use crate::{
    call::{Call, expect_media_type},
    problem::Problem,
    route::Header,
};

/// See the module.
pub(super) struct Upload {
    metrics: Arc<Metrics>,
    plugin: String,
    /// How it is named in events.
    id: String,
    user: Option<String>,
}

impl Upload {
    /// The upload that a request begins.
    pub(super) fn of(call: &Call) -> Result<Arc<Self>, Problem> {
        let plugin = name_of(call)?;
        let id = id(&call.parts.headers)?;
        let (metrics, user) = (Arc::clone(&call.shared.state.metrics), call.who()?.user.clone());
        Ok(Arc::new(Self { metrics, plugin, id, user }))
    }

    /// The component that is sent, and the place that it takes among uploads.
    pub(super) async fn receive(
        self: &Arc<Self>,
        call: Call,
    ) -> Result<(UploadedPlugin, OwnedSemaphorePermit), Problem> {
        let received = receive(call, self.plugin.clone()).await;
        let (mut plugin, slot) = received.inspect_err(|problem| self.refused(problem))?;
        self.tell("received");
        let told = Arc::clone(self);
        plugin.progress = UploadProgress::new(move |stage| {
            told.tell(match stage {
                UploadStage::Checking => "checking",
                UploadStage::Compiling => "compiling",
                UploadStage::Testing => "testing",
            });
        });
        Ok((plugin, slot))
    }

    /// What became of it; `stage` says what that is called.
    pub(super) fn ended(
        &self,
        ended: Result<PluginInfo, PluginError>,
        stage: impl FnOnce(&PluginInfo) -> &'static str,
    ) -> Result<PluginInfo, Problem> {
        let plugin = ended.map_err(Problem::from).inspect_err(|problem| self.refused(problem))?;
        self.tell(stage(&plugin));
        Ok(plugin)
    }

    fn tell(&self, stage: &str) {
        self.emit(stage, None);
    }

    fn refused(&self, problem: &Problem) {
        self.emit("refused", Some(&problem.detail));
    }

    fn emit(&self, stage: &str, refused: Option<&str>) {
        let (plugin, upload, user) = (&*self.plugin, &*self.id, self.user.as_deref());
        PluginUpload { plugin, upload, stage, user, refused }.emit(&self.metrics);
    }
}

async fn receive(
    call: Call,
    name: String,
) -> Result<(UploadedPlugin, OwnedSemaphorePermit), Problem> {
    expect_media_type(&call.parts.headers, "application/wasm")?;
    let slot = Arc::clone(&call.shared.uploads)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("other uploads are in progress; try again"))?;
    let signature = signature(&call.parts.headers)?;
    let wasm = call.read_body(WASM_BYTES_MAX).await?;
    Ok((UploadedPlugin { signature, ..UploadedPlugin::new(name, wasm) }, slot))
}

/// What is to be `NAME.sig`, if it was sent.
fn signature(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(SIGNATURE.name) else { return Ok(None) };
    let text = BASE64_STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| {
        let name = SIGNATURE.name;
        Problem::invalid(format!("{name}: is not the contents of a signature file in base64"))
    })?;
    if text.len() > SIGNATURE_BYTES_MAX {
        let name = SIGNATURE.name;
        let problem = Problem::invalid(format!("{name}: the signature file is too large"));
        return Err(problem.allowed(format!("at most {SIGNATURE_BYTES_MAX} bytes")));
    }
    Ok(Some(text))
}

/// Whoever watches for an upload of its own has named it; nobody does for the others.
fn id(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(UPLOAD.name) else {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes)
            .map_err(|error| Problem::internal(format!("no random number: {error}")))?;
        return Ok(format!("{:016x}", u64::from_be_bytes(bytes)));
    };
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match value.to_str() {
        Ok(id) if (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(good) => {
            Ok(id.to_owned())
        }
        _ => Err(Problem::invalid("this cannot be the name of an upload")
            .about(UPLOAD.name)
            .allowed("1 to 64 letters, digits, - and _")),
    }
}

/// What `portcullis plugin sign` wrote about an uploaded component.
pub(crate) const SIGNATURE: Header = Header {
    name: "Portcullis-Signature",
    required: false,
    description: "Contents of NAME.sig in base64, at most 16 KiB of text: stored beside the \
                  component. Without it the one in the folder must fit, if there is one",
};
/// Names an upload in the events that tell how far it is.
pub(crate) const UPLOAD: Header = Header {
    name: "Portcullis-Upload",
    required: false,
    description: "Names this upload as target of its plugin_upload events, which tell how far it \
                  is: 1 to 64 letters, digits, - and _. Without it the broker makes a name",
};
const SIGNATURE_BYTES_MAX: usize = 16 * 1024;
/// Largest component.
pub(crate) const WASM_BYTES_MAX: usize = 32 * 1024 * 1024;
const ID_BYTES_MAX: usize = 64;
