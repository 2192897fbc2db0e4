//! A whole broker inside the test, on a port of its own, behind a [`Doorman`].

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use access::Gate;
use codec::{ConnAck, Connect, Packet, ProtocolVersion, ReasonCode};
use server::{
    BrokerHandle, Config, Kept, KeptBans, ListenerConfig, LiveConfig, ProxyProtocol, TlsConfig,
    Transport,
};
use store::{Durability, FileStore, Options, Store};
use telemetry::Metrics;
use tempfile::TempDir;

use crate::{Client, Disk, Doorman};

/// What a test wants different from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Limits and policies.
    pub live: LiveConfig,
    /// Listeners beside `mqtt`.
    pub listeners: Vec<ListenerConfig>,
    /// Where it is kept what outlives it; `None` = nothing does.
    pub store: Option<PathBuf>,
    /// Bytes that the disk must have left for it.
    pub free_bytes_min: u64,
    /// Bytes of one file of its log; `None` = the default.
    pub segment_bytes: Option<u64>,
    /// Bans of an earlier process, and who keeps those of this one.
    pub bans: Option<KeptBans>,
}

impl Setup {
    /// The defaults, changed by `change`.
    pub fn with(change: impl FnOnce(&mut LiveConfig)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.live);
        setup
    }

    /// With one more listener.
    pub fn listening(mut self, name: &str, transport: Transport) -> Self {
        self.listeners.push(ListenerConfig::plain(name, transport));
        self
    }

    /// With TLS below the last listener.
    pub fn encrypted(mut self, tls: TlsConfig) -> Self {
        let last = self.listeners.last_mut().expect("a listener");
        last.tls = Some(Arc::new(tls));
        self
    }

    /// With the PROXY protocol in front of the last listener.
    pub fn behind(mut self, trusted: &str) -> Self {
        let trusted = vec![trusted.parse().expect("a range of addresses")];
        let last = self.listeners.last_mut().expect("a listener");
        last.proxy_protocol = Some(ProxyProtocol { trusted });
        self
    }

    /// With a store in this folder.
    pub fn kept_in(mut self, folder: &Path) -> Self {
        self.store = Some(folder.to_owned());
        self
    }

    /// Starts the broker.
    pub async fn start(self) -> Broker {
        let doorman = Arc::new(Doorman::default());
        let gate = Arc::new(Gate::new(since_start));
        gate.swap(doorman.chain(), HashMap::new());
        let metrics = Metrics::new();
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listeners = vec![ListenerConfig::tcp("mqtt", bind)];
        listeners.extend(self.listeners);
        let mut live = self.live;
        let default = LiveConfig::default().limits.overload.delay;
        if live.limits.overload.delay == default {
            // How busy the machine is, is not what these tests are about.
            live.limits.overload.delay = LATE;
        }
        let config = Config { listeners, live, bans: self.bans };
        let temporary = temporary(self.store.is_none());
        let folder = temporary.as_ref().map(|folder| folder.path().to_owned()).or(self.store);
        let (free_bytes_min, segment_bytes) = (self.free_bytes_min, self.segment_bytes);
        let opened = folder.map(|folder| open(folder, free_bytes_min, segment_bytes));
        let (store, kept) = opened.unzip();
        let (store, disk) = store.unzip();
        let broker = server::Broker::start(config, Arc::clone(&gate), Arc::clone(&metrics), kept);
        let broker = broker.await.expect("the broker starts");
        let address = broker.listeners()[0].address.socket().expect("an address");
        Broker { broker, gate, metrics, doorman, address, store, disk, _temporary: temporary }
    }
}

/// A task has to be woken so late for the broker to count as loaded.
const LATE: Duration = Duration::from_secs(10);

/// A running broker and all its handles.
pub struct Broker {
    /// The broker.
    pub broker: Arc<server::Broker>,
    /// What it asks.
    pub gate: Arc<Gate>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Who answers.
    pub doorman: Arc<Doorman>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What outlives it.
    pub store: Option<Arc<FileStore>>,
    /// The same with its disk, which may be slow.
    pub disk: Option<Arc<Disk>>,
    /// Of a store that no test asked for; see [`temporary`].
    _temporary: Option<TempDir>,
}

impl Broker {
    /// A broker with all defaults.
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    /// The address of a listener.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let listeners = self.broker.listeners();
        let found = listeners.iter().find(|listener| &*listener.name == name);
        found.and_then(|listener| listener.address.socket()).expect("a listener with an address")
    }

    /// A network connection on which nothing was sent yet.
    pub async fn open(&self, version: ProtocolVersion) -> Client {
        Client::open(self.address, version).await
    }

    /// Sends a CONNECT; the answer is still to be expected.
    pub async fn knock(&self, connect: Connect) -> Client {
        let mut client = self.open(connect.version).await;
        client.name.clone_from(&connect.client_id);
        client.send(Packet::Connect(Box::new(connect))).await;
        client
    }

    /// A connected client and its CONNACK.
    pub async fn enter(&self, connect: Connect) -> (Client, ConnAck) {
        let mut client = self.knock(connect).await;
        let connack = client.connack().await;
        assert_eq!(connack.reason_code, ReasonCode::Success, "{}", client.name);
        (client, connack)
    }

    /// A connected client: clean start, keep alive 60.
    pub async fn client(&self, version: ProtocolVersion, client_id: &str) -> Client {
        self.enter(Connect::new(version, client_id)).await.0
    }

    /// Ends it as its operator would.
    pub async fn stop(self) {
        self.broker.shutdown(crate::WAIT).await;
        self.crash();
    }

    /// Ends it, as far as its store can tell, at this moment.
    pub fn crash(self) {
        if let Some(store) = &self.store {
            store.close().expect("the store takes its end");
        }
    }

    /// Its disk.
    pub fn disk(&self) -> &Disk {
        self.disk.as_deref().expect("a store")
    }

    /// Puts a new generation of the same chain in force, as a reload does.
    pub fn swap(&self) {
        self.gate.swap(self.doorman.chain(), HashMap::new());
    }

    /// Puts this chain in force.
    pub fn swap_to(&self, chain: access::Chain) {
        self.gate.swap(chain, HashMap::new());
    }

    /// Waits until a client's permissions come from the generation now in force.
    pub async fn refreshed(&self, client_id: &str) {
        let generation = self.gate.generation();
        self.until(|broker| {
            broker.client(client_id).is_some_and(|client| client.generation == generation)
        })
        .await;
    }

    /// Waits until something that has no packet of its own is so. Looks whenever other tasks had
    /// their turn.
    pub async fn until(&self, mut is_so: impl FnMut(&server::Broker) -> bool) {
        let looking = async {
            while !is_so(&self.broker) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(2 * crate::WAIT, looking).await;
        assert!(waited.is_ok(), "the broker did not come to the expected state");
    }

    /// A counter as Prometheus sees it, summed over the labels; 0 when it is not there.
    pub fn counted(&self, line_start: &str) -> u64 {
        let text = self.metrics.encode();
        let values = text.lines().filter(|line| line.starts_with(line_start));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

/// With `PORTCULLIS_STORE=1` every broker has a store, also where the test is not about one: nobody may see a difference.
fn temporary(wanted: bool) -> Option<TempDir> {
    let always = std::env::var_os("PORTCULLIS_STORE").is_some_and(|value| value == "1");
    (wanted && always).then(|| tempfile::tempdir().expect("a temporary folder"))
}

fn open(
    folder: PathBuf,
    free_bytes_min: u64,
    segment_bytes: Option<u64>,
) -> ((Arc<FileStore>, Arc<Disk>), Kept) {
    let durability = Durability::Os;
    let default = Options::new(folder);
    let segment_bytes = segment_bytes.unwrap_or(default.segment_bytes);
    let options = Options { durability, free_bytes_min, segment_bytes, ..default };
    let (store, recovered) = FileStore::open(options).expect("the store opens");
    let store = Arc::new(store);
    let disk = Arc::new(Disk::new(Arc::clone(&store)));
    let kept = Kept { store: Arc::clone(&disk) as Arc<dyn Store>, recovered };
    ((store, disk), kept)
}

/// A clock that never goes back.
fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
