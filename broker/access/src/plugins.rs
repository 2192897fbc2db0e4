//! Managing plugins, as the admin API sees it. Implemented by `plugin-host`; knows nothing of how a
//! component is loaded or of HTTP.

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
}

/// A component sent through the API.
#[derive(Clone, Debug)]
pub struct UploadedPlugin {
    /// Plugin name: letters, digits, `-`, `_`, at most 64.
    pub name: String,
    /// The component.
    pub wasm: Vec<u8>,
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
    /// Stores a component in the plugin folder and loads it. Never touches its manifest.
    fn upload(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
    /// Loads it again from its files now.
    fn reload(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>>;
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
