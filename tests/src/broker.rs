//! A whole broker inside the test, on a port of its own, behind a [`Doorman`].

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use access::Gate;
use codec::{ConnAck, Connect, Packet, ProtocolVersion, ReasonCode};
use server::{BrokerHandle, Config, ListenerConfig, LiveConfig, ProxyProtocol, Transport};
use telemetry::Metrics;

use crate::{Client, Doorman};

/// What a test wants different from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Limits and policies.
    pub live: LiveConfig,
    /// Listeners beside `mqtt`.
    pub listeners: Vec<ListenerConfig>,
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
        let name = name.to_owned();
        self.listeners.push(ListenerConfig { name, transport, proxy_protocol: None });
        self
    }

    /// With the PROXY protocol in front of the last listener.
    pub fn behind(mut self, trusted: &str) -> Self {
        let trusted = vec![trusted.parse().expect("a range of addresses")];
        let last = self.listeners.last_mut().expect("a listener");
        last.proxy_protocol = Some(ProxyProtocol { trusted });
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
        let config = Config { listeners, live: self.live };
        let broker = server::Broker::start(config, Arc::clone(&gate), Arc::clone(&metrics));
        let broker = broker.await.expect("the broker starts");
        let address = broker.listeners()[0].address.socket().expect("an address");
        Broker { broker, gate, metrics, doorman, address }
    }
}

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

    /// Puts a new generation of the same chain in force, as a reload does.
    pub fn swap(&self) {
        self.gate.swap(self.doorman.chain(), HashMap::new());
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

/// A clock that never goes back.
fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
