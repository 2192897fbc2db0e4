//! The crates put together: gate, plugins, broker and admin API of one configuration, started and
//! stopped as one.
//!
//! Owns the order: the gate refuses everybody until plugins stand in it, listeners open after that,
//! the admin API speaks last. Knows nothing of signals and terminals.

use std::{
    fs::{self, DirBuilder},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use access::{BrokerForPlugins, Gate, PluginManager};
use admin::{AdminServer, AdminState, ConfigManager, KeyManager};
use plugin_host::PluginHost;
use server::{Broker, BrokerHandle, Kept, KeptBans, ListenerInfo};
use store::{FileStore, Options, Store};
use telemetry::{AccessLog, History, Metrics, Records, Traces, events::ConfigReloaded};
use tokio::sync::mpsc;

use crate::{
    backup::Maker,
    bans,
    config::{self, Chain, Config, DecisionsConfig},
    config_desk::{Desk, Request},
    confinement,
    data_lock::DataLock,
    failure::Failure,
    keys::Rings,
    memory,
    otlp::Exporter,
    trust,
};

/// Name of the file with the token of the first start.
const TOKEN_FILE: &str = "admin.token";

/// How long connections have for their goodbye.
const GRACE: Duration = Duration::from_secs(5);

/// A running broker with everything around it.
pub(crate) struct Service {
    config: Config,
    descriptors: u64,
    broker: Arc<Broker>,
    plugins: Arc<PluginHost>,
    admin: AdminServer,
    gate: Arc<Gate>,
    keys: Arc<Rings>,
    desk: Arc<Desk>,
    requests: Option<mpsc::Receiver<Request>>,
    metrics: Arc<Metrics>,
    records: Records,
    exporter: Option<Exporter>,
    /// Closed last: connections that end write to it.
    store: Option<Arc<FileStore>>,
    /// Given back when all else is gone.
    _lock: DataLock,
}

impl Service {
    /// Starts everything. When it returns, all listeners are bound and every plugin was tried.
    /// `descriptors` = how many files may be open.
    pub(crate) async fn start(mut config: Config, descriptors: u64) -> Result<Self, Failure> {
        make_folders(&config)?;
        trust::at_start(&config)?;
        let lock = DataLock::take(&config.data_dir)?;
        let keys = Arc::new(Rings::new(&config.data_dir));
        keys.attach(&mut config.sources).map_err(Failure::Refused)?;
        let (store, kept) = open_store(&config.store).await?;
        let metrics = Metrics::new();
        let records = start_records(&config, &metrics)?;
        let gate = Arc::new(Gate::new(since_start));
        keep_decisions(&gate, config.decisions);
        gate.decisions().number_from(first_decision());
        let plugin_metrics = metrics.plugins.clone();
        let host = plugin_host::Config { plugin_metrics, ..plugin_host_config(&config) };
        let plugins = PluginHost::start(host, Arc::clone(&gate))
            .await
            .map_err(|error| Failure::Refused(sentence(&error)))?;
        let broker = Broker::start(
            server_config(&config, descriptors, bans::load(&config.data_dir)?),
            Arc::clone(&gate),
            Arc::clone(&metrics),
            kept,
        )
        .await
        .map_err(|error| Failure::Refused(sentence(&error)))?;
        plugins.connect(Arc::clone(&broker) as Arc<dyn BrokerForPlugins>);
        let (desk, requests) = Desk::new(&config);
        let desk = Arc::new(desk);
        let state = AdminState {
            broker: Arc::clone(&broker) as Arc<dyn BrokerHandle>,
            plugins: Arc::clone(&plugins) as Arc<dyn PluginManager>,
            keys: Arc::clone(&keys) as Arc<dyn KeyManager>,
            backups: Arc::new(Maker::new(&config, store.clone(), Arc::clone(&keys))),
            config: Arc::clone(&desk) as Arc<dyn ConfigManager>,
            gate: Arc::clone(&gate),
            metrics: Arc::clone(&metrics),
            records: records.clone(),
            ready_checks: Vec::new(),
        };
        let admin = admin::start(admin_config(&config), state)
            .await
            .map_err(|error| Failure::Refused(sentence(&error)))?;
        let requests = Some(requests);
        let exporter = config
            .otlp
            .clone()
            .map(|otlp| Exporter::start(otlp, (Arc::clone(&gate), &metrics), admin.scrape()));
        let exporter = exporter.transpose().map_err(Failure::Refused)?;
        Ok(Self {
            config,
            descriptors,
            broker,
            plugins,
            admin,
            gate,
            keys,
            desk,
            requests,
            metrics,
            records,
            exporter,
            store,
            _lock: lock,
        })
    }

    /// The listeners that are bound.
    pub(crate) fn listeners(&self) -> Vec<ListenerInfo> {
        self.broker.listeners()
    }

    /// The address of the admin API.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// The file of the admin token, when this start made it; said once.
    pub(crate) fn new_token_file(&mut self) -> Option<PathBuf> {
        let created = std::mem::take(&mut self.admin.token_created);
        created.then(|| self.config.data_dir.join(TOKEN_FILE))
    }

    /// Who asks the admin API for a reload; once.
    pub(crate) fn take_requests(&mut self) -> Option<mpsc::Receiver<Request>> {
        self.requests.take()
    }

    /// The plugins.
    pub(crate) fn plugins(&self) -> &dyn PluginManager {
        &*self.plugins
    }

    /// Reads the configuration file again and applies what can change while running; a faulty file
    /// changes nothing, and the error says so on one line.
    ///
    /// Returns the settings that differ and wait for a restart.
    pub(crate) async fn reload(&mut self) -> Result<Vec<String>, String> {
        let reloaded = self.reload_file().await;
        ConfigReloaded { failed: reloaded.as_ref().err().map(String::as_str) }.emit(&self.metrics);
        let waiting: Vec<String> = reloaded?.into_iter().map(str::to_owned).collect();
        self.desk.note_reload(&waiting);
        Ok(waiting)
    }

    async fn reload_file(&mut self) -> Result<Vec<&'static str>, String> {
        let mut new = match Config::load(&self.config.file) {
            Ok(new) => new,
            Err(problems) => {
                for problem in problems.to_string().lines() {
                    tracing::error!(problem, "the configuration is faulty: the old one stays");
                }
                if problems.problems.iter().any(|problem| confinement::may_cause(&problem.what)) {
                    tracing::warn!(
                        "Landlock: files elsewhere that were named since the start \
                         are out of reach; a restart reaches them, [process] landlock = false all"
                    );
                }
                let count = problems.problems.len();
                let word = if count == 1 { "fault" } else { "faults" };
                return Err(format!("the new configuration has {count} {word}: the old one stays"));
            }
        };
        if let Err(problem) = self.keys.attach(&mut new.sources) {
            tracing::error!(problem, "the configuration is faulty: the old one stays");
            return Err("a key ring cannot be used: the old configuration stays".to_owned());
        }
        let waiting = self.config.needs_restart(&new);
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "these settings differ and need a restart");
        }
        // Not `new` itself: a listener that it removes or renames stays bound under its old name
        // until a restart, and must not lose its own chain for the default one.
        self.config = self.config.with_live_part_of(new);
        keep_decisions(&self.gate, self.config.decisions);
        self.records.history.set_config(self.config.observe.history);
        self.broker.reconfigure(live_config(&self.config, self.descriptors));
        let plugins = plugin_host_config(&self.config);
        self.plugins.set_chains(plugins.chain, plugins.listener_chains, plugins.admin_chain).await;
        self.plugins.set_sources(plugins.sources).await;
        self.reload_tls().await?;
        tracing::info!(config = %self.config.file.display(), "reloaded");
        Ok(waiting)
    }

    /// Reads certificates, keys, authorities and lists again. The log has said what is wrong with each.
    async fn reload_tls(&self) -> Result<(), String> {
        let listeners = self.config.listeners.iter();
        let configs = listeners.filter_map(|l| Some((l.name.clone(), Arc::clone(l.tls.as_ref()?))));
        let faults = self.broker.reload_tls(&configs.collect::<Vec<_>>()).await;
        match faults.first() {
            None => Ok(()),
            Some((listener, fault)) => {
                Err(format!("listener {listener}: {fault}: what was good before stays"))
            }
        }
    }

    /// Says goodbye to every client and ends.
    pub(crate) async fn stop(self) {
        let left = self.broker.shutdown(GRACE).await;
        if left > 0 {
            tracing::warn!(connections = left, "clients that did not go are cut off");
        }
        self.admin.shutdown(GRACE).await;
        if let Some(exporter) = self.exporter {
            exporter.finish().await;
        }
        close_records(self.records).await;
        let Some(store) = self.store else { return };
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the end of the store was not written"),
            Err(error) => tracing::error!(%error, "the store was not closed"),
        }
    }
}

/// Begins to keep what happens.
fn start_records(config: &Config, metrics: &Arc<Metrics>) -> Result<Records, Failure> {
    let observe = &config.observe;
    let folder = config.data_dir.join("traces");
    Traces::open(metrics, folder.clone()).map_err(|error| {
        Failure::Refused(format!("{}: cannot be used: {error}", folder.display()))
    })?;
    let refused = |folder: &Path, error| {
        Failure::Refused(format!("[access_log] {}: cannot be used: {error}", folder.display()))
    };
    let access_log = observe.access_log.clone().map(|config| {
        let folder = config.folder.clone();
        AccessLog::start(config, metrics).map_err(|error| refused(&folder, error))
    });
    let history = History::start(observe.history, metrics);
    Ok(Records { access_log: access_log.transpose()?, history })
}

/// Writes the last lines.
async fn close_records(records: Records) {
    let Some(log) = records.access_log else { return };
    if let Err(error) = tokio::task::spawn_blocking(move || log.close()).await {
        tracing::error!(%error, "the access log was not closed");
    }
}

/// Opens the store and reads what an earlier process left in it, on a thread that may take its time.
async fn open_store(
    config: &config::Store,
) -> Result<(Option<Arc<FileStore>>, Option<Kept>), Failure> {
    let Some(durability) = config.durability else { return Ok((None, None)) };
    let free_bytes_min = config.free_bytes_min;
    let options = Options { durability, free_bytes_min, ..Options::new(&config.path) };
    let begun = Instant::now();
    let opened = tokio::task::spawn_blocking(move || FileStore::open(options)).await;
    let (store, recovered) = opened
        .map_err(|error| Failure::Refused(sentence(&error)))?
        .map_err(|error| Failure::Refused(format!("[store] {}", sentence(&error))))?;
    let waiting: usize = recovered.sessions.iter().map(|session| session.owed.len()).sum();
    tracing::info!(
        path = %config.path.display(),
        sessions = recovered.sessions.len(),
        waiting,
        retained = recovered.retained.len(),
        milliseconds = begun.elapsed().as_millis() as u64,
        "store opened"
    );
    let store = Arc::new(store);
    let kept = Kept { store: Arc::clone(&store) as Arc<dyn Store>, recovered };
    Ok((Some(store), Some(kept)))
}

fn server_config(config: &Config, descriptors: u64, bans: KeptBans) -> server::Config {
    let listeners = config.listeners.iter().map(|listener| server::ListenerConfig {
        name: listener.name.clone(),
        transport: listener.transport.clone(),
        proxy_protocol: listener.proxy_protocol.clone(),
        tls: listener.tls.clone(),
    });
    let (listeners, live) = (listeners.collect(), live_config(config, descriptors));
    server::Config { listeners, live, bans: Some(bans) }
}

fn live_config(config: &Config, descriptors: u64) -> server::LiveConfig {
    let fit = limits::connections_for_descriptors(descriptors);
    if let Some(wanted) = config.limits.connections.filter(|wanted| *wanted > fit) {
        tracing::warn!(wanted, fit, descriptors, "limits.connections is cut to what fits");
    }
    server::LiveConfig {
        limits: config.limits.settled(fit, memory::of_machine()),
        publish_denied: config.publish_denied,
        queue_full: config.limits.queue_full,
        retained_outlives_rights: !config.check_retain_source,
        client_id_from: config.client_id_from,
        protocol_versions: config.protocol_versions,
        sys: config.sys,
        listeners: config.listeners.iter().map(|l| (l.name.clone(), l.rules.clone())).collect(),
        overload_weights: config.limits.overload_weights.clone(),
    }
}

fn plugin_host_config(config: &Config) -> plugin_host::Config {
    let chains = config.listeners.iter().filter_map(|listener| {
        let chain = listener.chain.as_ref()?;
        Some((Arc::from(listener.name.as_str()), names(chain)))
    });
    plugin_host::Config {
        chain: config.plugins.chain.as_ref().map(names),
        listener_chains: chains.collect(),
        admin_chain: names(&config.admin.chain),
        file_roots: config.plugins.file_roots.clone(),
        require_manifest: config.plugins.require_manifest,
        require_approval: config.plugins.require_approval,
        trust: Arc::clone(&config.plugins.trust),
        password_cache: config.plugins.password_cache,
        sources: config.sources.clone(),
        ..plugin_host::Config::new(&config.plugins.dir.value, &config.data_dir)
    }
}

fn keep_decisions(gate: &Gate, DecisionsConfig { keep, per_second }: DecisionsConfig) {
    gate.decisions().keep(keep);
    gate.decisions().record_per_second(per_second);
}

/// Names of decisions go on where no earlier process can have come to: that made fewer than a million a
/// millisecond.
fn first_decision() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default() << 20
}

fn names(chain: &Chain) -> Vec<String> {
    chain.iter().map(|name| name.value.clone()).collect()
}

fn admin_config(config: &Config) -> admin::Config {
    admin::Config {
        bind: config.admin.bind,
        token_file: config.data_dir.join(TOKEN_FILE),
        folder: config.data_dir.join("admin"),
        audit_folder: config.data_dir.join("audit"),
        audit_keep_days: config.audit_keep_days,
        metrics_open: config.admin.metrics_open,
        allow_remote: config.admin.allow_remote,
        host_names: config.admin.names.clone(),
        roles: config.admin.roles.clone(),
        login_ttl: config.admin.login_ttl,
        login_idle: config.admin.login_idle,
        oidc: config.admin.oidc.clone(),
    }
}

/// Makes the folders that the broker writes.
pub(crate) fn make_folders(config: &Config) -> Result<(), Failure> {
    make_private("data_dir", &config.data_dir)?;
    match config.store.durability {
        Some(_) => make_private("store.path", &config.store.path),
        None => Ok(()),
    }
}

/// Makes a folder for the user that runs the broker alone.
fn make_private(key: &str, folder: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Failure::Refused(format!("{key} {}: cannot be made: {error}", folder.display()))
    })?;
    fs::read_dir(folder).map(drop).map_err(|error| {
        Failure::Refused(format!("{key} {}: cannot be read: {error}", folder.display()))
    })
}

/// An error with everything that caused it.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A clock that never goes back, for measuring.
fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
