//! The door: starting the host, and managing plugins as the admin API does.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use access::{
    BoxFuture, BrokerForPlugins, Gate, PluginError, PluginInfo, PluginManager, PluginState,
    ShadowReport, UploadedPlugin,
};
use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use crate::{
    chains::Plan,
    config::Config,
    loader::{Loader, Order, View},
    remembered::Remembered,
    runtime::{Outside, Runtime},
    sources::Sources,
    stats::Stats,
};

/// Orders that wait; more make their askers wait.
const ORDERS_MAX: usize = 64;
/// How long an asker waits for a build. A compiler has no deadline of its own.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The plugin host. Its loader ends when the last handle is dropped; calls in progress end by
/// themselves.
pub struct PluginHost {
    orders: mpsc::Sender<Order>,
    view: Arc<ArcSwap<View>>,
    stats: Arc<Stats>,
    runtime: Weak<Runtime>,
    /// What a plugin has to be for orders about it to be obeyed; `None` = whatever it is.
    only_if: Option<String>,
}

/// The host cannot start at all. A folder that cannot be read or a plugin that fails is none of
/// these: then the host runs, refuses, and says why.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// wasmtime does not start.
    #[error("{0}")]
    Engine(String),
    /// What admins disabled and which plugins there were is not known, and must not be guessed.
    #[error("{path}: {error}")]
    Remembered {
        /// The file.
        path: String,
        /// Why it cannot be used.
        error: std::io::Error,
    },
}

impl PluginHost {
    /// Loads everything that is in the folder, puts the chains into `gate`, and goes on watching.
    /// Needs a tokio runtime with time; compiles on its blocking threads.
    pub async fn start(config: Config, gate: Arc<Gate>) -> Result<Arc<Self>, StartError> {
        let data_dir = config.data_dir.clone();
        let outside = Outside {
            sources: config.sources.clone(),
            plugin_metrics: config.plugin_metrics.clone(),
            password_cache: config.password_cache,
        };
        let opened = tokio::task::spawn_blocking(move || open(&data_dir, outside)).await;
        let (runtime, remembered) =
            opened.map_err(|error| StartError::Engine(error.to_string()))??;
        let stats = Arc::clone(&runtime.stats);
        let for_broker = Arc::downgrade(&runtime);
        let mut loader = Loader::new(&config, runtime, gate, remembered);
        loader.load_all(&config.deny_all).await;
        let view = loader.view();
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        tokio::spawn(loader.run(inbox));
        Ok(Arc::new(Self { orders, view, stats, runtime: for_broker, only_if: None }))
    }

    /// Counters over all plugins.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Other chains, after a reload of the broker's configuration. In force when this returns.
    pub async fn set_chains(
        &self,
        chain: Option<Vec<String>>,
        listener_chains: BTreeMap<Arc<str>, Vec<String>>,
        admin_chain: Vec<String>,
    ) {
        let (answer, done) = oneshot::channel();
        let plan = Plan { chain, listener_chains, admin_chain };
        if self.orders.send(Order::Plan(plan, answer)).await.is_err() || done.await.is_err() {
            tracing::error!("the plugin loader has ended; chains stay as they are");
        }
    }

    /// Lets plugins reach the broker, which starts after them. Once; until then it is busy for them.
    pub fn connect(&self, broker: Arc<dyn BrokerForPlugins>) {
        let set = self.runtime.upgrade().map(|runtime| runtime.broker.set(broker));
        if !matches!(set, Some(Ok(()))) {
            tracing::error!("plugins reach another broker, or there are none any more");
        }
    }

    /// Other secrets, keys and verifiers, after a reload of the broker's configuration. Plugins that
    /// were granted what changed get a new generation; it is built after this returns, and until
    /// then the old one goes on with what it has.
    pub async fn set_sources(&self, sources: Sources) {
        let (answer, done) = oneshot::channel();
        if self.orders.send(Order::Sources(sources, answer)).await.is_err() || done.await.is_err() {
            tracing::error!("the plugin loader has ended; secrets and keys stay as they are");
        }
    }

    fn order<T: Send + 'static>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, PluginError>>) -> Order,
    ) -> BoxFuture<'_, Result<T, PluginError>> {
        let (answer, verdict) = oneshot::channel();
        let order = match &self.only_if {
            Some(tag) => Order::OnlyIf(tag.clone(), Box::new(make(answer))),
            None => make(answer),
        };
        Box::pin(async move {
            let ended = || PluginError::Internal("the plugin loader has ended".to_owned());
            self.orders.send(order).await.map_err(|_| ended())?;
            match tokio::time::timeout(ANSWER_WITHIN, verdict).await {
                Ok(verdict) => verdict.map_err(|_| ended())?,
                Err(_) => Err(PluginError::Internal(format!(
                    "not decided within {} s; it goes on, and the state of the plugin will tell",
                    ANSWER_WITHIN.as_secs()
                ))),
            }
        })
    }
}

fn open(data_dir: &Path, outside: Outside) -> Result<(Arc<Runtime>, Remembered), StartError> {
    let runtime = Runtime::new(Some(data_dir), outside).map_err(StartError::Engine)?;
    let remembered = Remembered::open(data_dir).map_err(|error| {
        let path = data_dir.join(Remembered::FILE).display().to_string();
        StartError::Remembered { path, error }
    })?;
    Ok((Arc::new(runtime), remembered))
}

impl PluginManager for PluginHost {
    fn list(&self) -> Vec<PluginInfo> {
        self.view.load().rows.values().map(|row| row.info()).collect()
    }

    fn get(&self, name: &str) -> Option<PluginInfo> {
        self.view.load().rows.get(name).map(|row| row.info())
    }

    fn only_if(&self, tag: String) -> Arc<dyn PluginManager> {
        Arc::new(Self {
            orders: self.orders.clone(),
            view: Arc::clone(&self.view),
            stats: Arc::clone(&self.stats),
            runtime: Weak::clone(&self.runtime),
            only_if: Some(tag),
        })
    }

    fn upload(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Upload(plugin, answer))
    }

    fn reload(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Reload(name.to_owned(), answer))
    }

    fn shadow(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Shadow(plugin, answer))
    }

    fn shadow_report(&self, name: &str) -> Result<ShadowReport, PluginError> {
        let view = self.view.load();
        let row = view.rows.get(name).ok_or_else(|| PluginError::NotFound(name.to_owned()))?;
        match row.shadow_report() {
            Some(Ok(report)) => Ok(report),
            Some(Err(error)) => {
                Err(PluginError::Rejected(format!("the candidate of {name}: {error}")))
            }
            None => Err(PluginError::NotFound(format!("{name}.shadow"))),
        }
    }

    fn promote(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Promote(name.to_owned(), answer))
    }

    fn drop_shadow(&self, name: &str) -> BoxFuture<'_, Result<(), PluginError>> {
        self.order(|answer| Order::DropShadow(name.to_owned(), answer))
    }

    fn approve(
        &self,
        name: &str,
        version: Option<String>,
    ) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Approve(name.to_owned(), version, answer))
    }

    fn rollback(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Rollback(name.to_owned(), answer))
    }

    fn disable(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Disable(name.to_owned(), answer))
    }

    fn enable(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.order(|answer| Order::Enable(name.to_owned(), answer))
    }

    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), PluginError>> {
        self.order(|answer| Order::Forget(name.to_owned(), answer))
    }

    fn not_ready(&self) -> Vec<String> {
        let view = self.view.load();
        let mut reasons = view.not_ready.clone();
        if self.orders.is_closed() {
            reasons.push("the plugin loader has ended".to_owned());
        }
        reasons
    }

    fn warnings(&self) -> Vec<String> {
        self.view.load().warnings.clone()
    }
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let view = self.view.load();
        let states: BTreeMap<&String, PluginState> =
            view.rows.iter().map(|(name, row)| (name, row.state())).collect();
        f.debug_struct("PluginHost").field("plugins", &states).finish_non_exhaustive()
    }
}
