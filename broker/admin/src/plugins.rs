//! `/api/v1/plugins`: what is loaded, and changing it while the broker runs.
//!
//! Knows nothing of Wasm; asks the plugin manager. What may change grants, order or control is not
//! here on purpose: that is the operator's manifest.

use std::{collections::BTreeMap, sync::Arc};

use access::{PluginError, PluginInfo, PluginManager};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::upload::Upload;
pub(crate) use self::upload::{SIGNATURE, UPLOAD};
use crate::{
    call::{Answer, Call, blocking, json, tagged},
    field::{Field, Fields},
    problem::Problem,
};

pub(crate) mod upload;

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
    /// Hash of component and manifest of what answers; null = none answers.
    version: Option<String>,
    /// Whether it went live just now, and is replaced by its predecessor when it fails too often.
    on_probation: bool,
    /// An earlier version answers in place of the files in the folder, and why.
    held: Option<Held>,
    /// A version that asks for more than its predecessor, and waits until somebody approves it.
    waiting: Option<Waiting>,
    /// Versions that a rollback can go back to, newest first.
    kept: Vec<KeptVersion>,
    /// For whom it is not asked now, because their calls break.
    breaker: Breaker,
    /// Calls by hook since the generation went live, every hook that it exports.
    hook_calls: Vec<HookCalls>,
    /// Its instances now.
    pool: Pool,
    /// Most linear memory that an instance had after a call, since the generation went live.
    memory_peak_bytes: u64,
    /// Most that one may have.
    memory_max_bytes: u64,
    /// What the manifest in force lends it: keys of its [grants].
    grants: Vec<Grant>,
}

/// Calls of one hook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginHookCalls)]
pub(crate) struct HookCalls {
    /// Its name in the contract.
    hook: &'static str,
    /// How many.
    calls: u64,
    /// Wall time of one, waiting for an instance included; 0 = none yet.
    mean_seconds: f64,
}

/// Instances of the generation that answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginPool)]
pub(crate) struct Pool {
    /// Calls that may run at once.
    places: u64,
    /// Those that do.
    in_use: u64,
    /// Warm instances that wait for a call.
    idle: u64,
    /// Calls that wait for a place.
    waiting: u64,
    /// Instances that were made because none was warm.
    made: u64,
}

/// One key of [grants].
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginGrant)]
pub(crate) struct Grant {
    /// Its name.
    key: &'static str,
    /// Names, URLs, Topic Filters; one word or number where the key has no list.
    values: Vec<String>,
}

/// Circuit breakers of the generation that answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginBreaker)]
pub(crate) struct Breaker {
    /// Nobody's calls reach the plugin, but for one at a time that tries.
    open: bool,
    /// Client addresses (IPv6: /64) whose calls do not.
    open_addresses: u64,
    /// How often one opened.
    opened: u64,
    /// Calls that were answered with an error at once.
    refused: u64,
}

/// A version that waits for approval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Waiting {
    /// Its hash.
    version: String,
    /// Interfaces that it imports and its predecessor did not.
    asks: Vec<String>,
}

/// An earlier version answers in place of the files in the folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Held {
    /// Its hash.
    version: String,
    /// Why.
    because: Because,
}

/// Why an earlier version answers.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Because {
    /// An administrator asked for it.
    Asked,
    /// The newer one failed too often in its probation.
    Probation,
    /// The files in the folder did not load when the broker started.
    Start,
}

/// A version on disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptVersion {
    /// Hash of component and manifest.
    version: String,
    /// Whether it passed its probation.
    proven: bool,
    /// When it first went live, in seconds since 1970.
    since_unix: u64,
    /// What the component says of itself.
    described: Description,
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
    /// Asks for more than its predecessor, and nobody approved that; the predecessor answers, if
    /// there is one.
    WaitingForApproval,
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
    pub(crate) const ALL: [Self; 7] = [
        Self::Live,
        Self::LiveOld,
        Self::Failed,
        Self::WaitingForGrant,
        Self::WaitingForApproval,
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
            Self::WaitingForApproval => "waiting_for_approval",
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
    Ok(call.unless_known(answer(plugin)?))
}

/// The ETag is not over the bytes: counts change all the time, and nobody could ever say which plugin is meant.
fn answer(plugin: PluginInfo) -> Answer {
    let tag = plugin.tag();
    tagged(json(StatusCode::OK, &Plugin::from(plugin))?, &tag)
}

/// Whoever makes changes: whatever the plugin is, or only if it is what If-Match says.
fn changer(call: &Call) -> Result<Arc<dyn PluginManager>, Problem> {
    let plugins = &call.shared.state.plugins;
    Ok(match call.if_match()? {
        Some(tag) => plugins.only_if(tag),
        None => Arc::clone(plugins),
    })
}

/// `PUT /api/v1/plugins/{name}`
pub(crate) async fn upload(call: Call) -> Answer {
    let plugins = changer(&call)?;
    let upload = Upload::of(&call)?;
    let (plugin, _slot) = upload.receive(call).await?;
    let ended = plugins.upload(plugin).await;
    answer(upload.ended(ended, |plugin| State::from(plugin.state).name())?)
}

/// `POST /api/v1/plugins/{name}/reload`
pub(crate) async fn reload(call: Call) -> Answer {
    answer(changer(&call)?.reload(&name_of(&call)?).await?)
}

/// How a candidate in shadow mode answers beside the live generation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ShadowReport)]
pub(crate) struct Shadow {
    /// Hash of its component and manifest.
    version: String,
    /// What the component says of itself.
    described: Description,
    /// How long it is asked, in seconds.
    seconds: u64,
    /// Questions that both answered.
    calls: u64,
    /// Questions for which there was no room in its queue.
    dropped: u64,
    /// Those that it answered otherwise.
    differences: u64,
    /// The same by hook.
    by_hook: BTreeMap<String, u64>,
    /// The last of them, oldest first, at most 100. Without passwords and payloads.
    last: Vec<ShadowDifference>,
}

/// A question that a candidate answered otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShadowDifference {
    /// Which hook.
    hook: String,
    /// Whose question.
    client_id: String,
    /// User name, or principal where it is known.
    user: Option<String>,
    /// Field by field: `expected` is what the live generation said, `answered` what the candidate said.
    lines: Vec<String>,
}

impl Shadow {
    /// Lines hold what plugins said, which may name anything of a client.
    fn of(report: access::ShadowReport, fields: Fields) -> Self {
        let show = |field, text: String| fields.show(field, text).into_owned();
        let line = |text: String| fields.show_sentence(text).into_owned();
        let last = report.last.into_iter().map(|difference| {
            let access::ShadowDifference { hook, client_id, user, lines } = difference;
            ShadowDifference {
                hook,
                client_id: show(Field::ClientId, client_id),
                user: user.map(|user| show(Field::Username, user)),
                lines: lines.into_iter().map(line).collect(),
            }
        });
        Self {
            version: report.version,
            described: report.described.into(),
            seconds: report.seconds,
            calls: report.calls,
            dropped: report.dropped,
            differences: report.differences,
            by_hook: report.by_hook.into_iter().collect(),
            last: last.collect(),
        }
    }
}

/// `GET /api/v1/plugins/{name}/shadow`
pub(crate) async fn shadow_report(call: Call) -> Answer {
    let name = name_of(&call)?;
    let plugins = &call.shared.state.plugins;
    // The state first: where another candidate comes in between, a change that names this one is
    // refused.
    let tag = plugins.get(&name).map(|plugin| plugin.tag());
    let report = plugins.shadow_report(&name)?;
    let shown = json(StatusCode::OK, &Shadow::of(report, call.fields()))?;
    match tag {
        Some(tag) => tagged(shown, &tag),
        None => Ok(shown),
    }
}

/// `POST /api/v1/plugins/{name}/shadow`
pub(crate) async fn shadow(call: Call) -> Answer {
    let plugins = changer(&call)?;
    let upload = Upload::of(&call)?;
    let (plugin, _slot) = upload.receive(call).await?;
    let ended = plugins.shadow(plugin).await;
    answer(upload.ended(ended, |_| "shadow")?)
}

/// `DELETE /api/v1/plugins/{name}/shadow`
pub(crate) async fn drop_shadow(call: Call) -> Answer {
    changer(&call)?.drop_shadow(&name_of(&call)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/plugins/{name}/promote`
pub(crate) async fn promote(call: Call) -> Answer {
    answer(changer(&call)?.promote(&name_of(&call)?).await?)
}

/// What is approved.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveQuery {
    /// Only if it is this version that waits.
    version: Option<String>,
}

/// `POST /api/v1/plugins/{name}/approve`
pub(crate) async fn approve(call: Call) -> Answer {
    let (name, query): (_, ApproveQuery) = (name_of(&call)?, call.query()?);
    answer(changer(&call)?.approve(&name, query.version).await?)
}

/// `POST /api/v1/plugins/{name}/rollback`
pub(crate) async fn rollback(call: Call) -> Answer {
    answer(changer(&call)?.rollback(&name_of(&call)?).await?)
}

/// `POST /api/v1/plugins/{name}/disable`
pub(crate) async fn disable(call: Call) -> Answer {
    answer(changer(&call)?.disable(&name_of(&call)?).await?)
}

/// `POST /api/v1/plugins/{name}/enable`
pub(crate) async fn enable(call: Call) -> Answer {
    answer(changer(&call)?.enable(&name_of(&call)?).await?)
}

/// `DELETE /api/v1/plugins/{name}`
pub(crate) async fn forget(call: Call) -> Result<Response, Problem> {
    changer(&call)?.forget(&name_of(&call)?).await?;
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
            PluginError::Changed(_) => Self::precondition_failed(detail),
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
            described: info.described.map(Description::from),
            hooks: info.hooks,
            imports: info.imports,
            order: info.order,
            control: info.control.into(),
            error: info.error,
            calls: info.calls,
            failures: info.failures,
            call_microseconds: info.call_microseconds,
            version: info.versions.live,
            on_probation: info.versions.on_probation,
            held: info.versions.held.map(Held::from),
            waiting: info.versions.waiting.map(Waiting::from),
            kept: info.versions.kept.into_iter().map(KeptVersion::from).collect(),
            breaker: Breaker::from(info.breaker),
            hook_calls: info.hook_calls.into_iter().map(HookCalls::from).collect(),
            pool: Pool::from(info.pool),
            memory_peak_bytes: info.pool.memory_peak_bytes,
            memory_max_bytes: info.pool.memory_max_bytes,
            grants: info.grants.into_iter().map(|(key, values)| Grant { key, values }).collect(),
        }
    }
}

impl From<access::HookCalls> for HookCalls {
    fn from(access::HookCalls { hook, calls, time }: access::HookCalls) -> Self {
        let mean_seconds = if calls == 0 { 0.0 } else { time.as_secs_f64() / calls as f64 };
        Self { hook, calls, mean_seconds }
    }
}

impl From<access::PoolInfo> for Pool {
    fn from(info: access::PoolInfo) -> Self {
        let access::PoolInfo { places, in_use, idle, waiting, made, .. } = info;
        Self { places, in_use, idle, waiting, made }
    }
}

impl From<(String, String)> for Description {
    fn from((name, version): (String, String)) -> Self {
        Self { name, version }
    }
}

impl From<access::BreakerInfo> for Breaker {
    fn from(info: access::BreakerInfo) -> Self {
        let access::BreakerInfo { open, open_addresses, opened, refused } = info;
        Self { open, open_addresses, opened, refused }
    }
}

impl From<access::Waiting> for Waiting {
    fn from(access::Waiting { version, asks }: access::Waiting) -> Self {
        Self { version, asks }
    }
}

impl From<access::Held> for Held {
    fn from(held: access::Held) -> Self {
        let because = match held.because {
            access::HeldBecause::Asked => Because::Asked,
            access::HeldBecause::Probation => Because::Probation,
            access::HeldBecause::Start => Because::Start,
        };
        Self { version: held.version, because }
    }
}

impl From<access::KeptVersion> for KeptVersion {
    fn from(kept: access::KeptVersion) -> Self {
        let access::KeptVersion { version, proven, since_unix, described } = kept;
        Self { version, proven, since_unix, described: described.into() }
    }
}

impl From<access::PluginState> for State {
    fn from(state: access::PluginState) -> Self {
        match state {
            access::PluginState::Live => Self::Live,
            access::PluginState::LiveOld => Self::LiveOld,
            access::PluginState::Failed => Self::Failed,
            access::PluginState::WaitingForGrant => Self::WaitingForGrant,
            access::PluginState::WaitingForApproval => Self::WaitingForApproval,
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

const NAME_BYTES_MAX: usize = 64;
