//! What the plugin host must be told. Knows nothing of the broker's configuration file.

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use telemetry::PluginMetrics;

use crate::{Sources, Trust};

/// Settings of the plugin host.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hot-drop folder.
    pub dir: PathBuf,
    /// Names of the default chain, in order; `None` = every enabled plugin, by `order`, then name.
    pub chain: Option<Vec<String>>,
    /// Chains of listeners that have their own.
    pub listener_chains: BTreeMap<Arc<str>, Vec<String>>,
    /// Names of the chain of the admin API, in order; empty = nobody logs in there.
    pub admin_chain: Vec<String>,
    /// Folders inside which `[files]` of manifests must lie, after symbolic links are resolved.
    pub file_roots: Vec<PathBuf>,
    /// The broker's data folder: machine code is cached in `aot/` (0700), decisions of admins in
    /// `plugins-state.json` (0600).
    pub data_dir: PathBuf,
    /// A component without a manifest is not live.
    pub require_manifest: bool,
    /// A version that asks for more than its predecessor, under the same manifest, waits until an
    /// admin approves it.
    pub require_approval: bool,
    /// Whose plugins are loaded.
    pub trust: Arc<Trust>,
    /// How often the folder is looked at even if nothing was notified.
    pub rescan_interval: Duration,
    /// How long files must be unchanged before they are read.
    pub quiet_period: Duration,
    /// The component that ends every chain. Empty = none: then the end of a chain refuses natively.
    pub deny_all: Cow<'static, [u8]>,
    /// What manifests may name in `[grants]`.
    pub sources: Sources,
    /// Where metrics of plugins are told.
    pub plugin_metrics: PluginMetrics,
    /// How long a password that was verified, and let its client in, is remembered; `None` = not at
    /// all.
    pub password_cache: Option<Duration>,
}

impl Config {
    /// How long a verified password is remembered when nothing is said.
    pub const PASSWORD_CACHE: Duration = Duration::from_secs(5 * 60);

    /// Defaults: everything in `dir` is the chain, rescan every 30 s, quiet period 300 ms, files
    /// only from `dir`.
    pub fn new(dir: impl Into<PathBuf>, data_dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            file_roots: vec![dir.clone()],
            dir,
            chain: None,
            listener_chains: BTreeMap::new(),
            admin_chain: Vec::new(),
            data_dir: data_dir.into(),
            require_manifest: false,
            require_approval: true,
            trust: Arc::default(),
            rescan_interval: Duration::from_secs(30),
            quiet_period: Duration::from_millis(300),
            deny_all: Cow::Borrowed(DENY_ALL),
            sources: Sources::default(),
            plugin_metrics: PluginMetrics::default(),
            password_cache: Some(Self::PASSWORD_CACHE),
        }
    }
}

/// `deny-all`, a real component inside the program.
const DENY_ALL: &[u8] = include_bytes!("../../../plugins/prebuilt/deny-all.wasm");
