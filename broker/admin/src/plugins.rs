//! `/api/v1/plugins`: what is loaded, and changing it while the broker runs.
//!
//! Knows nothing of Wasm; asks the plugin manager. What may change grants, order or control is not
//! here on purpose: that is the operator's manifest.

use std::sync::Arc;

use access::{PluginError, PluginInfo, UploadedPlugin};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    call::{Answer, Call, blocking, expect_media_type, json},
    problem::Problem,
};

/// All plugins.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plugins {
    /// By name.
    plugins: Vec<Plugin>,
}

/// What is known of one plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plugin {
    /// File name without `.wasm`.
    name: String,
    /// State.
    state: State,
    /// Hash of the generation in force, in hex; null = none answers.
    generation: Option<String>,
    /// How many generations of it have gone live since the start.
    generations: u64,
    /// What the component says of itself.
    described: Option<Description>,
    /// Hooks that it exports.
    hooks: Vec<String>,
    /// Interfaces that it imports.
    imports: Vec<String>,
    /// Place in the default chain.
    order: i64,
    /// Control flag.
    control: Control,
    /// The last error: why the newest file did not go live, or why a call could not start.
    error: Option<String>,
    /// Calls since the generation went live.
    calls: u64,
    /// Those that came to no decision.
    failures: u64,
    /// Microseconds of wall time spent in them.
    call_microseconds: u64,
}

/// What a component says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Description {
    /// Name.
    name: String,
    /// Version.
    version: String,
}

/// State of a plugin.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginState)]
pub(crate) enum State {
    /// A generation answers.
    Live,
    /// The newest file failed; an earlier generation still answers.
    LiveOld,
    /// No generation answers; its link fails closed.
    Failed,
    /// Imports more than was granted; its link fails closed.
    WaitingForGrant,
    /// Switched off by manifest or administrator.
    Disabled,
    /// Its file is gone; its link fails closed until it is forgotten.
    Removed,
}

/// What the word of a link means for the chain.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Control {
    /// Its allow skips the remaining sufficient and optional links; its deny refuses.
    Sufficient,
    /// Must allow; the chain goes on but can only refuse.
    Required,
    /// Must allow; anything else refuses at once.
    Requisite,
    /// Never decides.
    Optional,
}

impl State {
    /// All, for metrics.
    pub(crate) const ALL: [Self; 6] = [
        Self::Live,
        Self::LiveOld,
        Self::Failed,
        Self::WaitingForGrant,
        Self::Disabled,
        Self::Removed,
    ];

    /// Its word in JSON and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::LiveOld => "live_old",
            Self::Failed => "failed",
            Self::WaitingForGrant => "waiting_for_grant",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

/// `GET /api/v1/plugins`
pub(crate) async fn list(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let plugins = blocking(move || shared.state.plugins.list()).await?;
    let plugins = plugins.into_iter().map(Plugin::from).collect();
    call.json_answer(&Plugins { plugins })
}

/// `GET /api/v1/plugins/{name}`
pub(crate) async fn show(call: Call) -> Answer {
    let name = name_of(&call)?;
    let plugin =
        call.shared.state.plugins.get(&name).ok_or_else(|| PluginError::NotFound(name.clone()))?;
    call.json_answer(&Plugin::from(plugin))
}

/// `PUT /api/v1/plugins/{name}`
pub(crate) async fn upload(call: Call) -> Answer {
    let name = name_of(&call)?;
    expect_media_type(&call.parts.headers, "application/wasm")?;
    let shared = Arc::clone(&call.shared);
    let slot = Arc::clone(&shared.uploads)
        .try_acquire_owned()
        .map_err(|_| Problem::busy("other uploads are in progress; try again"))?;
    let wasm = call.read_body(WASM_BYTES_MAX).await?;
    let uploaded = shared.state.plugins.upload(UploadedPlugin { name, wasm }).await?;
    drop(slot);
    json(StatusCode::OK, &Plugin::from(uploaded))
}

/// `POST /api/v1/plugins/{name}/reload`
pub(crate) async fn reload(call: Call) -> Answer {
    let reloaded = call.shared.state.plugins.reload(&name_of(&call)?).await?;
    json(StatusCode::OK, &Plugin::from(reloaded))
}

/// `POST /api/v1/plugins/{name}/disable`
pub(crate) async fn disable(call: Call) -> Answer {
    let disabled = call.shared.state.plugins.disable(&name_of(&call)?).await?;
    json(StatusCode::OK, &Plugin::from(disabled))
}

/// `POST /api/v1/plugins/{name}/enable`
pub(crate) async fn enable(call: Call) -> Answer {
    let enabled = call.shared.state.plugins.enable(&name_of(&call)?).await?;
    json(StatusCode::OK, &Plugin::from(enabled))
}

/// `DELETE /api/v1/plugins/{name}`
pub(crate) async fn forget(call: Call) -> Result<Response, Problem> {
    call.shared.state.plugins.forget(&name_of(&call)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The name in the path. Checked here too because it becomes a file name.
fn name_of(call: &Call) -> Result<String, Problem> {
    let name = call.path("name")?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(good) {
        return Ok(name);
    }
    Err(Problem::invalid(format!("{name:?} cannot be the name of a plugin"))
        .about("name")
        .allowed("1 to 64 letters, digits, - and _"))
}

impl From<PluginError> for Problem {
    fn from(error: PluginError) -> Self {
        let detail = error.to_string();
        match error {
            PluginError::NotFound(_) => Self::not_found(detail),
            PluginError::Invalid(_) => Self::invalid(detail),
            PluginError::Rejected(_) => Self::plugin_rejected(detail),
            PluginError::Internal(_) => Self::internal(detail),
        }
    }
}

impl From<PluginInfo> for Plugin {
    fn from(info: PluginInfo) -> Self {
        Self {
            name: info.name,
            state: info.state.into(),
            generation: info.generation,
            generations: info.generations,
            described: info.described.map(|(name, version)| Description { name, version }),
            hooks: info.hooks,
            imports: info.imports,
            order: info.order,
            control: info.control.into(),
            error: info.error,
            calls: info.calls,
            failures: info.failures,
            call_microseconds: info.call_microseconds,
        }
    }
}

impl From<access::PluginState> for State {
    fn from(state: access::PluginState) -> Self {
        match state {
            access::PluginState::Live => Self::Live,
            access::PluginState::LiveOld => Self::LiveOld,
            access::PluginState::Failed => Self::Failed,
            access::PluginState::WaitingForGrant => Self::WaitingForGrant,
            access::PluginState::Disabled => Self::Disabled,
            access::PluginState::Removed => Self::Removed,
        }
    }
}

impl From<access::Control> for Control {
    fn from(control: access::Control) -> Self {
        match control {
            access::Control::Sufficient => Self::Sufficient,
            access::Control::Required => Self::Required,
            access::Control::Requisite => Self::Requisite,
            access::Control::Optional => Self::Optional,
        }
    }
}

pub(crate) const WASM_BYTES_MAX: usize = 32 * 1024 * 1024;
const NAME_BYTES_MAX: usize = 64;
