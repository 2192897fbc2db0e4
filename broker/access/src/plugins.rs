//! Managing plugins, as the admin API sees it. Implemented by `plugin-host`; knows nothing of how a
//! component is loaded or of HTTP.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use crate::BoxFuture;

/// State of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginState {
    /// A generation answers.
    Live,
    /// The newest file failed; an earlier generation still answers.
    LiveOld,
    /// No generation answers and its link fails closed.
    Failed,
    /// Imports more than was granted; not live.
    WaitingForGrant,
    /// Asks for more than what was live before it, and nobody approved that yet; an earlier
    /// generation answers, if there is one.
    WaitingForApproval,
    /// `enabled = false`, or disabled by an admin.
    Disabled,
    /// Its file was removed; its link fails closed until an admin forgets it.
    Removed,
}

/// What is known of one plugin.
#[derive(Clone, Debug)]
pub struct PluginInfo {
    /// File name without `.wasm`.
    pub name: String,
    /// State.
    pub state: PluginState,
    /// Generation hash in force, hex; `None` = none.
    pub generation: Option<String>,
    /// How many generations of it have gone live since start.
    pub generations: u64,
    /// How many times its files did not go live since start.
    pub load_failures: u64,
    /// What the component says of itself: name, version.
    pub described: Option<(String, String)>,
    /// Hooks that it exports.
    pub hooks: Vec<String>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Place in the default chain.
    pub order: i64,
    /// Control flag.
    pub control: crate::Control,
    /// Last error, if the newest file did not go live or the last call failed to start.
    pub error: Option<String>,
    /// Calls, failures, and microseconds of wall time spent in calls since the generation went
    /// live.
    pub calls: u64,
    /// Calls that came to no decision.
    pub failures: u64,
    /// The same by kind, every kind.
    pub failure_kinds: Vec<(crate::PluginFailureKind, u64)>,
    /// Microseconds spent in calls.
    pub call_microseconds: u64,
    /// Calls by hook, every hook that can be called.
    pub hook_calls: Vec<HookCalls>,
    /// Its instances.
    pub pool: PoolInfo,
    /// What the manifest in force lends it: keys of `[grants]` with what stands there, only those
    /// that lend something.
    pub grants: Vec<(&'static str, Vec<String>)>,
    /// Which version answers and why, and which ones could.
    pub versions: VersionInfo,
    /// For whom it is not asked now.
    pub breaker: BreakerInfo,
    /// Whether a chain of the configuration names it, of devices or of administrators: such a chain
    /// does not go on without it.
    pub is_named: bool,
}

impl PluginInfo {
    /// Names what it is: state, generation and versions; not how often it was called.
    pub fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        let VersionInfo { live, held, waiting, candidate, .. } = &self.versions;
        let held = held.as_ref().map(|held| (&held.version, held.because));
        let waiting = waiting.as_ref().map(|waiting| &waiting.version);
        (self.state, &self.generation, live, held, waiting, candidate).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Calls of one hook since the generation went live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookCalls {
    /// Its name in the contract.
    pub hook: &'static str,
    /// How many.
    pub calls: u64,
    /// Wall time of all of them, waiting for an instance included.
    pub time: Duration,
}

/// Instances of the generation that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolInfo {
    /// Calls that may run at once.
    pub places: u64,
    /// Those that do.
    pub in_use: u64,
    /// Warm instances that wait for a call.
    pub idle: u64,
    /// Calls that wait for a place.
    pub waiting: u64,
    /// Instances that were made because none was warm.
    pub made: u64,
    /// Most linear memory that an instance had after a call.
    pub memory_peak_bytes: u64,
    /// Most that one may have.
    pub memory_max_bytes: u64,
}

/// Circuit breakers of the generation that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerInfo {
    /// Nobody's calls reach the plugin, but for one at a time that tries.
    pub open: bool,
    /// Addresses whose calls do not.
    pub open_addresses: u64,
    /// How often one opened since the generation went live.
    pub opened: u64,
    /// Calls that were answered with an error at once.
    pub refused: u64,
}

/// A version is a component with its manifest, by hash; with the contents of `[files]` it becomes a
/// generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionInfo {
    /// What answers.
    pub live: Option<String>,
    /// It went live just now, and is replaced by its predecessor when it fails too often.
    pub on_probation: bool,
    /// An earlier version answers in place of the files in the folder.
    pub held: Option<Held>,
    /// What lies in the folder waits until an admin approves it.
    pub waiting: Option<Waiting>,
    /// Generation of what is asked the same beside it, in shadow mode.
    pub candidate: Option<String>,
    /// Kept on disk, newest first.
    pub kept: Vec<KeptVersion>,
    /// How often an earlier version took the place of the files in the folder, since the start.
    pub rollbacks: Vec<(HeldBecause, u64)>,
}

/// A version that asks for more than what was live before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub version: String,
    /// The interfaces that it imports beyond.
    pub asks: Vec<String>,
}

/// An earlier version answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub version: String,
    /// Why.
    pub because: HeldBecause,
}

/// Why an earlier version answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldBecause {
    /// An admin asked for it.
    Asked,
    /// The newer one failed too often in its probation.
    Probation,
    /// The files in the folder did not load when the broker started.
    Start,
}

impl HeldBecause {
    /// All.
    pub const ALL: [Self; 3] = [Self::Asked, Self::Probation, Self::Start];

    /// Its word in files, JSON and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Probation => "probation",
            Self::Start => "start",
        }
    }
}

/// A version on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptVersion {
    /// Its hash, hex.
    pub version: String,
    /// Whether it passed its probation.
    pub proven: bool,
    /// When it first went live, in seconds since 1970.
    pub since_unix: u64,
    /// What the component says of itself: name, version.
    pub described: (String, String),
}

/// How a candidate in shadow mode answers beside the live generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowReport {
    /// Hash of its component and manifest.
    pub version: String,
    /// What the component says of itself: name, version.
    pub described: (String, String),
    /// How long it is asked.
    pub seconds: u64,
    /// Questions that both answered.
    pub calls: u64,
    /// Questions for which there was no room in its queue.
    pub dropped: u64,
    /// Those that it answered otherwise.
    pub differences: u64,
    /// The same by hook.
    pub by_hook: Vec<(String, u64)>,
    /// The last of them, oldest first, at most 100.
    pub last: Vec<ShadowDifference>,
}

/// A question that a candidate answered otherwise. Neither password nor payload is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowDifference {
    /// Which hook.
    pub hook: String,
    /// Whose question.
    pub client_id: String,
    /// User name, or principal where it is known.
    pub user: Option<String>,
    /// Field by field: what the live generation said, and what the candidate said.
    pub lines: Vec<String>,
}

/// How far an upload is. What becomes of it is the answer to [`PluginManager::upload`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStage {
    /// Component, signature, manifest and grants are looked at.
    Checking,
    /// It is compiled to machine code.
    Compiling,
    /// It runs where nobody is judged by it: `init`, `self-test`, golden calls.
    Testing,
}

/// Who wants to know how far an upload is; nobody by default.
#[derive(Clone, Default)]
pub struct UploadProgress(Option<Arc<dyn Fn(UploadStage) + Send + Sync>>);

impl UploadProgress {
    /// `tell` is called as each stage begins; it returns at once.
    pub fn new(tell: impl Fn(UploadStage) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// A stage begins.
    pub fn reached(&self, stage: UploadStage) {
        if let Some(tell) = &self.0 {
            tell(stage);
        }
    }
}

impl fmt::Debug for UploadProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadProgress({})", if self.0.is_some() { "told" } else { "untold" })
    }
}

/// A component sent through the API.
#[derive(Clone, Debug)]
pub struct UploadedPlugin {
    /// Plugin name: letters, digits, `-`, `_`, at most 64.
    pub name: String,
    /// The component.
    pub wasm: Vec<u8>,
    /// What is to be `NAME.sig`; `None` = what lies in the folder under this name.
    pub signature: Option<String>,
    /// Who wants to know how far it is.
    pub progress: UploadProgress,
}

impl UploadedPlugin {
    /// Without a signature of its own, and nobody wants to know how far it is.
    pub fn new(name: impl Into<String>, wasm: Vec<u8>) -> Self {
        let (name, progress) = (name.into(), UploadProgress::default());
        Self { name, wasm, signature: None, progress }
    }
}

/// Why managing failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// No such plugin.
    #[error("no plugin is named {0:?}")]
    NotFound(String),
    /// The request is not acceptable; the sentence says why and what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// The plugin was stored or found, but did not go live; the earlier generation stays.
    #[error("{0}")]
    Rejected(String),
    /// It is in another state than the change is meant for.
    #[error("plugin {0} is in another state: it was changed meanwhile")]
    Changed(String),
    /// Disk or the like.
    #[error("{0}")]
    Internal(String),
}

/// What the admin API can do with plugins.
pub trait PluginManager: Send + Sync {
    /// All plugins, by name.
    fn list(&self) -> Vec<PluginInfo>;
    /// One plugin.
    fn get(&self, name: &str) -> Option<PluginInfo>;
    /// The same manager, whose changes are made only if the plugin has this [`PluginInfo::tag`] when it is their turn.
    fn only_if(&self, tag: String) -> Arc<dyn PluginManager>;
    /// Stores a component in the plugin folder and loads it. Never touches its manifest.
    fn upload(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Loads it again from its files now.
    fn reload(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Puts the version before the live one in its place, until the files in the folder change or
    /// [`PluginManager::reload`] is asked for.
    fn rollback(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Lets a version go live that asks for more than its predecessor. `version` = only if it is this
    /// one that waits.
    fn approve(
        &self,
        name: &str,
        version: Option<String>,
    ) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Stores a component beside the live one, as a candidate that sees live traffic.
    fn shadow(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// How the candidate answers.
    fn shadow_report(&self, name: &str) -> Result<ShadowReport, PluginError>;
    /// Puts the candidate in the place of the live component.
    fn promote(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Removes the candidate.
    fn drop_shadow(&self, name: &str) -> BoxFuture<'_, Result<(), PluginError>>;
    /// Takes it out of the default chain (a chain that names it fails closed) until enabled.
    fn disable(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Reverses [`PluginManager::disable`].
    fn enable(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Removes the memory of a plugin whose file is gone.
    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), PluginError>>;
    /// Problems that keep `/readyz` at 503: each configured plugin that failed, as a sentence.
    fn not_ready(&self) -> Vec<String>;
    /// Things an operator should know though the broker is ready, e.g. that only deny-all is in the
    /// chain.
    fn warnings(&self) -> Vec<String>;
}
