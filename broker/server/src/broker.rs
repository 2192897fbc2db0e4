//! The running broker: the state that all connections share, and its start and end.

use std::{
    future::poll_fn,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use access::{
    Authenticated, BrokerForPlugins, Event, EventKinds, Gate, Permissions, Refusal, Whose,
};
use arc_swap::ArcSwap;
use codec::ReasonCode;
use limits::{Ban, ConnectionRate, Flapping, LoginBackoff, NewBan};
use parking_lot::Mutex;
use session::Fanout;
use store::{Recovered, Store, Ticket};
use telemetry::{
    ListenerMetrics, Metrics,
    events::{Client, SessionEnded},
};
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    BanError, BanPage, BrokerHandle, ClientInfo, Config, Fault, LimitInfo, ListenerAddress,
    ListenerCertificates, ListenerConfig, ListenerInfo, LiveConfig, QueueTotals, StoreTotals,
    TlsConfig, TlsStatus, Totals, Transport,
    bans::{self, BanList},
    connect::count_answers,
    counts::Counts,
    inherit::{Ended, Ends},
    keeping::Keeping,
    limit_info,
    listener::{self, Listener},
    overload::{self, Overload},
    pace::TotalRate,
    remember,
    resources::info,
    retained::Retained,
    router::{Route, Router},
    sessions::{SessionHandle, Sessions},
    strangers::Strangers,
    sys::{self, Sys},
    tidying,
    timers::{self, Timers},
    tls::{self, Handshakes, Tls},
    traced::{trace_walk, traced},
};

/// Clients that ask for new permissions at once.
const REFRESHES_AT_ONCE: usize = 32;
/// How often expired retained messages are cleared away.
const SWEEP: Duration = Duration::from_secs(60);

/// What every connection shares.
pub(crate) struct Core {
    /// `None` = nothing outlives the process.
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) live: ArcSwap<LiveConfig>,
    pub(crate) sessions: Sessions,
    pub(crate) ends: Ends,
    pub(crate) router: Router,
    pub(crate) retained: Retained,
    pub(crate) timers: Timers,
    pub(crate) sys: Sys,
    pub(crate) connection_rate: Mutex<ConnectionRate>,
    pub(crate) login_backoff: Mutex<LoginBackoff>,
    pub(crate) flapping: Mutex<Flapping>,
    pub(crate) overload: Overload,
    pub(crate) total_rate: TotalRate,
    pub(crate) handshakes: Handshakes,
    pub(crate) bans: BanList,
    pub(crate) strangers: Strangers,
    refresh_slots: Semaphore,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) connections: AtomicU64,
    /// Notified when the last connection is gone.
    pub(crate) idle: Notify,
    last_connection_id: AtomicU64,
}

impl Core {
    pub(crate) fn next_connection_id(&self) -> u64 {
        self.last_connection_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Network connections since the start.
    pub(crate) fn connections_so_far(&self) -> u64 {
        self.last_connection_id.load(Ordering::Relaxed)
    }

    /// Seconds since 1970.
    pub(crate) fn now_unix(&self) -> u64 {
        unix_now()
    }

    pub(crate) fn store(&self) -> Option<&dyn Store> {
        self.store.as_deref()
    }

    /// Asks for a client's permissions again. In turn: after a swap everybody asks, and no pool may be flooded into
    /// refusing.
    pub(crate) async fn refresh(&self, client: &Authenticated) -> Result<Authenticated, Refusal> {
        let _slot = self.refresh_slots.acquire().await;
        let begun = Instant::now();
        let (refreshed, walk) = self.gate.refresh(client, self.now_unix()).await;
        trace_walk(&self.metrics.traces, &traced(client), &walk);
        count_answers(self, &walk);
        self.metrics.permissions_seconds.observe(begun.elapsed().as_secs_f64());
        refreshed
    }

    /// Waits until everything up to a ticket is durable.
    pub(crate) async fn durable(&self, ticket: Ticket) {
        let Some(store) = self.store() else { return };
        poll_fn(|cx| {
            if store.durable() >= ticket {
                return Poll::Ready(());
            }
            store.wake_when_durable(ticket, cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Whether more may be written down at present.
    pub(crate) fn takes(&self) -> bool {
        self.store().is_none_or(|store| store.check().is_ok())
    }

    /// Delivers a message that no connection publishes. Without a `store` those who are kept do not get it.
    pub(crate) fn deliver(
        &self,
        store: Option<&dyn Store>,
        (route, fanout): (&Route, &mut Fanout<'_>),
        now: Instant,
        counts: &mut Counts,
    ) {
        let mut wakes = Vec::new();
        let mut keeping = Keeping::new(store, None);
        route.deliver(fanout, now, (&mut wakes, &mut keeping), counts);
        if let Some(kept) = keeping.finish() {
            kept.tell(&mut wakes);
        }
        for waker in wakes {
            waker.wake();
        }
        counts.flush();
    }

    /// Takes an ended session out of the map, and its subscriptions out of the router: nobody finds it any more.
    pub(crate) fn end_session(&self, handle: &SessionHandle) -> Ended {
        let event = || Event::SessionExpired(Arc::clone(&handle.client_id));
        self.gate.tell(EventKinds::SESSION_EXPIRED, event);
        let client = Client {
            id: &handle.client_id,
            principal: Some(&handle.principal),
            ..Client::default()
        };
        SessionEnded { client }.emit(&self.metrics);
        self.sessions.remove(handle);
        self.timers.disarm(handle.id);
        let routing = handle.routing.lock();
        let ended = handle.state.lock().discard();
        let filters = ended.subscriptions.iter().map(|subscription| &subscription.filter);
        self.router.unsubscribe_all(handle.id, filters);
        drop(routing);
        Ended { id: handle.id, key: handle.stored, session: ended }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A store, and what an earlier process left in it.
pub struct Kept {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What was in it.
    pub recovered: Recovered,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be bound.
    #[error("listener {name:?} cannot be bound to {address}: {error}")]
    Bind {
        /// Name of the listener.
        name: String,
        /// Where it was to listen.
        address: ListenerAddress,
        /// What the system says.
        error: std::io::Error,
    },
    /// Certificates, keys, authorities or lists of a listener cannot be used.
    #[error("listener {name:?}: {}", sentences(.faults))]
    Tls {
        /// Name of the listener.
        name: String,
        /// All that is wrong.
        faults: Vec<Fault>,
    },
    /// What the store has makes no sense.
    #[error("{0}")]
    Store(String),
}

fn sentences(faults: &[Fault]) -> String {
    let sentences: Vec<_> = faults.iter().map(Fault::to_string).collect();
    sentences.join("; ")
}

/// What a listener counts: there from the start, at zero.
fn counted(metrics: &Metrics, listener: &str, has_tls: bool) -> Arc<ListenerMetrics> {
    drop(metrics.connections_opened.of(listener));
    let counted = metrics.listeners.of(listener);
    if has_tls {
        counted.handshakes();
    }
    counted
}

/// Reads what a listener needs for TLS, on a thread that may take its time.
async fn load_tls(listener: &ListenerConfig) -> Result<Option<Arc<Tls>>, StartError> {
    let Some(config) = listener.tls.clone() else { return Ok(None) };
    let name = listener.name.clone();
    let over_http = matches!(listener.transport, Transport::WebSocket { .. });
    let load = move || Tls::load(&name, &config, over_http);
    let loaded = tokio::task::spawn_blocking(load).await;
    let loaded = loaded.unwrap_or_else(|error| {
        Err(vec![Fault { what: "cert", sentence: format!("cannot be read: {error}") }])
    });
    let name = listener.name.clone();
    Ok(Some(Arc::new(loaded.map_err(|faults| StartError::Tls { name, faults })?)))
}

/// A running broker.
pub struct Broker {
    pub(crate) core: Arc<Core>,
    listeners: OnceLock<Vec<Arc<Listener>>>,
}

impl Broker {
    /// Binds all listeners, puts back what an earlier process left in the store, and begins to accept. Decisions come
    /// from `gate`, whatever is in it at the time. `kept` = `None`: nothing outlives the process.
    pub async fn start(
        config: Config,
        gate: Arc<Gate>,
        metrics: Arc<Metrics>,
        kept: Option<Kept>,
    ) -> Result<Arc<Self>, StartError> {
        let (store, recovered) = kept.map(|kept| (kept.store, kept.recovered)).unzip();
        let limits = config.live.limits.clone();
        let connection_rate = ConnectionRate::new(limits.connection_rate, Instant::now());
        let core = Arc::new(Core {
            gate,
            metrics,
            live: ArcSwap::from_pointee(config.live),
            sessions: Sessions::default(),
            ends: Ends::default(),
            router: Router::default(),
            retained: Retained::new(store.clone()),
            store,
            timers: Timers::default(),
            sys: Sys::default(),
            connection_rate: Mutex::new(connection_rate),
            login_backoff: Mutex::new(LoginBackoff::new(limits.login_backoff)),
            flapping: Mutex::new(Flapping::new(limits.flapping)),
            overload: Overload::new(limits.overload),
            total_rate: TotalRate::new(&limits.rates, Instant::now()),
            handshakes: Handshakes::new(&limits.handshake),
            bans: BanList::new(config.bans),
            strangers: Strangers::default(),
            refresh_slots: Semaphore::new(REFRESHES_AT_ONCE),
            shutdown: watch::Sender::new(false),
            connections: AtomicU64::new(0),
            idle: Notify::new(),
            last_connection_id: AtomicU64::new(0),
        });
        let mut bound = Vec::new();
        for listener in config.listeners {
            let (name, address) = (listener.name.clone(), listener.transport.place());
            let tls = load_tls(&listener).await?;
            let counted = counted(&core.metrics, &name, tls.is_some());
            let (listener, socket) = listener::bind(listener, tls, counted)
                .await
                .map_err(|error| StartError::Bind { name, address, error })?;
            bound.push((Arc::new(listener), socket));
        }
        if let Some(recovered) = recovered {
            // Whoever comes first must find its session.
            let names: Vec<&str> = bound.iter().map(|(listener, _)| &*listener.name).collect();
            let restored = remember::restore(&core, recovered, &core.live.load(), &names);
            restored.map_err(|senseless| StartError::Store(senseless.to_string()))?;
        }
        // Only when every one is bound does the first accept.
        let broker = Arc::new(Self { core: Arc::clone(&core), listeners: OnceLock::new() });
        broker.listeners.get_or_init(|| bound.iter().map(|(l, _)| Arc::clone(l)).collect());
        for (listener, socket) in bound {
            if let Some(tls) = &listener.tls {
                tokio::spawn(tls::keep(Arc::clone(&core), Arc::clone(tls)));
            }
            tokio::spawn(listener::run(Arc::clone(&core), listener, socket));
        }
        tokio::spawn(timers::run(Arc::clone(&core)));
        if let Some(store) = &core.store {
            tokio::spawn(tidying::run(Arc::clone(&core), Arc::clone(store)));
        }
        tokio::spawn(sweep(Arc::clone(&core)));
        tokio::spawn(sys::run(Arc::clone(&core)));
        tokio::spawn(overload::run(Arc::clone(&core)));
        tokio::spawn(bans::run(Arc::clone(&core)));
        watch_gate(&core);
        Ok(broker)
    }

    /// Replaces limits and policies for everything that happens from now on.
    pub fn reconfigure(&self, live: LiveConfig) {
        let limits = live.limits.clone();
        self.core.connection_rate.lock().set_config(limits.connection_rate, Instant::now());
        self.core.login_backoff.lock().set_config(limits.login_backoff);
        self.core.flapping.lock().set_config(limits.flapping);
        self.core.overload.set_config(limits.overload);
        self.core.total_rate.set_config(&limits.rates, Instant::now());
        self.core.handshakes.set_config(&limits.handshake);
        self.core.live.store(Arc::new(live));
        self.core.sys.reconfigured.notify_one();
    }

    /// Reads the files of TLS again, with the configuration of each listener that is named. Returns what is wrong, by
    /// listener: there, what was good before stays in force.
    pub async fn reload_tls(&self, configs: &[(String, Arc<TlsConfig>)]) -> Vec<(String, Fault)> {
        let mut faults = Vec::new();
        for listener in self.listeners.get().into_iter().flatten() {
            let Some(tls) = &listener.tls else { continue };
            if let Some((_, config)) = configs.iter().find(|(name, _)| **name == *listener.name) {
                tls.set_config(config);
            }
            let tls = Arc::clone(tls);
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(found) => {
                    faults.extend(found.into_iter().map(|f| (listener.name.to_string(), f)))
                }
                Err(error) => tracing::error!(event = "tls_reload_failed", %error),
            }
        }
        faults
    }

    /// Stops accepting, tells every client (5.0: DISCONNECT 0x8B) and waits until all are gone or `grace` has passed.
    /// Returns how many connections were left.
    pub async fn shutdown(&self, grace: Duration) -> u64 {
        self.core.shutdown.send_replace(true);
        for listener in self.listeners.get().into_iter().flatten() {
            listener.remove_socket_file();
        }
        let gone = async {
            loop {
                let notified = self.core.idle.notified();
                // Also those that were just being admitted when the signal came.
                for handle in self.core.sessions.all() {
                    handle.close(ReasonCode::ServerShuttingDown);
                }
                if self.core.connections.load(Ordering::Acquire) == 0 {
                    return;
                }
                tokio::select! {
                    () = notified => {}
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        };
        // Whoever does not go within the grace period is cut off when the process ends.
        match tokio::time::timeout(grace, gone).await {
            Ok(()) => 0,
            Err(_) => self.core.connections.load(Ordering::Acquire),
        }
    }
}

/// After a swap of the chain every connection looks at once.
fn watch_gate(core: &Arc<Core>) {
    let (swaps, mut swapped) = watch::channel(0);
    core.gate.on_swap(Box::new(move |generation| {
        swaps.send_replace(generation);
    }));
    let core = Arc::clone(core);
    tokio::spawn(async move {
        while swapped.changed().await.is_ok() {
            for handle in core.sessions.all() {
                handle.poke();
            }
        }
    });
}

async fn sweep(core: Arc<Core>) {
    let mut shutdown = core.shutdown.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        core.retained.sweep(Instant::now()).await;
    }
}

impl BrokerHandle for Broker {
    fn client(&self, client_id: &str) -> Option<ClientInfo> {
        self.core.sessions.get(client_id).map(|handle| info(&handle, &handle.state.lock()))
    }

    fn permissions(&self, client_id: &str) -> Option<Arc<Permissions>> {
        let handle = self.core.sessions.get(client_id)?;
        let state = handle.state.lock();
        state.connection.is_some().then(|| Arc::clone(&state.permissions))
    }

    fn disconnect(&self, client_id: &str, reason: ReasonCode) -> bool {
        self.core.sessions.get(client_id).is_some_and(|handle| handle.close(reason))
    }

    fn take_back(&self, whose: Whose<'_>) {
        BrokerForPlugins::invalidate(self, whose);
    }

    fn bans(&self, after: u64, limit: usize) -> BanPage {
        let (bans, more) = self.core.bans.list(after, limit);
        let next = bans.last().filter(|_| more).map(|ban| ban.id);
        BanPage { bans, next }
    }

    fn find_ban(&self, id: u64) -> Option<Ban> {
        self.core.bans.get(id)
    }

    fn ban(&self, new: NewBan) -> Result<(Ban, u64), BanError> {
        self.core.ban(new)
    }

    fn lift_ban(&self, id: u64) -> Result<Option<Ban>, BanError> {
        self.core.lift_ban(id)
    }

    fn listeners(&self) -> Vec<ListenerInfo> {
        let listeners = self.listeners.get().into_iter().flatten();
        listeners
            .map(|listener| ListenerInfo {
                name: Arc::clone(&listener.name),
                transport: listener.transport.name(listener.tls.is_some()),
                address: listener.address.clone(),
                connections: listener.connections.load(Ordering::Relaxed),
            })
            .collect()
    }

    fn tls(&self) -> Vec<TlsStatus> {
        let listeners = self.listeners.get().into_iter().flatten();
        listeners.filter_map(|listener| Some(listener.tls.as_ref()?.status())).collect()
    }

    fn certificates(&self) -> Vec<ListenerCertificates> {
        let listeners = self.listeners.get().into_iter().flatten();
        listeners.filter_map(|listener| Some(listener.tls.as_ref()?.shown())).collect()
    }

    fn totals(&self) -> Totals {
        Totals {
            connections: self.core.connections.load(Ordering::Relaxed),
            sessions: self.core.sessions.len() as u64,
            subscriptions: self.core.router.len(),
            retained_messages: self.core.retained.len() as u64,
            retained_bytes: self.core.retained.bytes(),
            overload_level: self.core.overload.level(),
        }
    }

    fn queues(&self) -> QueueTotals {
        let mut totals = QueueTotals::default();
        for handle in self.core.sessions.all() {
            let state = handle.state.lock();
            let (session, queued) = (&state.session, state.session.queued() as u64);
            totals.connected += u64::from(state.connection.is_some());
            totals.queued += queued;
            totals.queued_bytes += session.queued_bytes() as u64;
            totals.queued_longest = totals.queued_longest.max(queued);
            totals.in_flight += session.in_flight() as u64;
            totals.waiting_sessions += u64::from(queued > 0);
        }
        totals
    }

    fn limits(&self) -> Vec<LimitInfo> {
        limit_info::limits(&self.core)
    }

    fn store(&self) -> Option<StoreTotals> {
        let usage = self.core.store()?.usage();
        Some(StoreTotals {
            available: self.core.takes(),
            pending_bytes: usage.pending_bytes,
            log_files: usage.files.len() as u64,
            log_bytes: usage.log_bytes,
            commits: usage.commits,
            commit_time: usage.commit_time,
        })
    }
}
