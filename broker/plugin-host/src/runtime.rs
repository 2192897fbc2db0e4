//! What all plugins of one host share: the linker with every lent interface, the code cache, the
//! password threads, the counters.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use access::BrokerForPlugins;
use telemetry::PluginMetrics;
use wasmtime::component::Linker;

use crate::{
    aot::AotCache,
    capability::{
        cache_control::Everybody, http_client::HttpClients, password_threads::PasswordThreads,
        state::StateStores, verified::Verified,
    },
    engine::{self, HostEngine},
    instance::State,
    pool::Pools,
    recording::Sealer,
    sources::{Lendable, Sources},
    stats::Stats,
    taped, wasi,
};

/// What others own and plugins may use.
#[derive(Default)]
pub(crate) struct Outside {
    /// What the configuration lends by name.
    pub(crate) sources: Sources,
    /// Where metrics of plugins are told.
    pub(crate) plugin_metrics: PluginMetrics,
    /// How long a verified password is remembered; `None` = not at all.
    pub(crate) password_cache: Option<Duration>,
}

/// Shared by every generation.
pub(crate) struct Runtime {
    /// The engine.
    pub(crate) engine: &'static HostEngine,
    /// Every interface that plugins may import.
    pub(crate) linker: Linker<State>,
    /// The same, and what is linked of WASI.
    pub(crate) linker_with_wasi: Linker<State>,
    /// Cached machine code.
    pub(crate) aot: AotCache,
    /// Where passwords are verified.
    pub(crate) passwords: Arc<PasswordThreads>,
    /// Passwords that were verified lately; `None` = nothing is remembered.
    pub(crate) verified: Option<Verified>,
    /// Where instances wait for calls.
    pub(crate) pools: Arc<Pools>,
    /// Counters.
    pub(crate) stats: Arc<Stats>,
    /// What the configuration lends by name.
    pub(crate) sources: Lendable,
    /// Metrics of plugins.
    pub(crate) plugin_metrics: PluginMetrics,
    /// State of plugins.
    pub(crate) state: StateStores,
    /// HTTP requests of plugins.
    pub(crate) http: HttpClients,
    /// The broker, once it is up.
    pub(crate) broker: OnceLock<Arc<dyn BrokerForPlugins>>,
    /// Seals what is secret in recordings; `None` = nothing is recorded.
    pub(crate) sealer: Option<Sealer>,
    /// When all permissions are asked for anew.
    pub(crate) everybody: Everybody,
}

impl Runtime {
    /// `data_dir` = where machine code is cached and state of plugins is kept; a cache that cannot
    /// be used costs a warning. `None` = nothing is written.
    pub(crate) fn new(data_dir: Option<&Path>, outside: Outside) -> Result<Self, String> {
        let engine = engine::shared()?;
        let aot = match data_dir.map(|data_dir| AotCache::open(&data_dir.join("aot"))) {
            Some(Ok(cache)) => cache,
            Some(Err(error)) => {
                tracing::warn!(%error, "machine code of plugins is not cached");
                AotCache::off()
            }
            None => AotCache::off(),
        };
        let unlinked = |error: wasmtime::Error| format!("host interfaces: {error:#}");
        let linker = linker(engine).map_err(unlinked)?;
        Ok(Self {
            engine,
            linker_with_wasi: with_wasi(linker.clone()).map_err(unlinked)?,
            linker,
            aot,
            passwords: Arc::new(PasswordThreads::new()),
            verified: outside.password_cache.and_then(Verified::new),
            pools: Arc::default(),
            stats: Arc::default(),
            sources: Lendable::new(outside.sources),
            plugin_metrics: outside.plugin_metrics,
            state: StateStores::new(data_dir),
            http: HttpClients::default(),
            broker: OnceLock::new(),
            sealer: sealer(data_dir),
            everybody: Everybody::default(),
        })
    }
}

/// Without a key nothing is recorded: what is secret must not be there to be read.
fn sealer(data_dir: Option<&Path>) -> Option<Sealer> {
    let sealer = Sealer::open(data_dir);
    sealer.inspect_err(|error| tracing::warn!(%error, "calls of plugins are not recorded")).ok()
}

fn with_wasi(mut linker: Linker<State>) -> wasmtime::Result<Linker<State>> {
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

fn linker(engine: &HostEngine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(&engine.engine);
    taped::add_to_linker(&mut linker)?;
    Ok(linker)
}
