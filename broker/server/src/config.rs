//! What the server is told: listeners, limits, policies. Already checked by whoever reads the configuration file.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use access::{ClientIdFrom, ClientLimits};
use codec::{Connect, ProtocolVersion};
use ipnet::IpNet;
use session::{QueueFull, QueueLimits, SessionLimits};

use crate::{KeptBans, SysConfig, TlsConfig};

/// Configuration of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listeners, at least one; names are unique.
    pub listeners: Vec<ListenerConfig>,
    /// What can be changed while the broker runs.
    pub live: LiveConfig,
    /// Bans of an earlier process; `None` = none, and those of this one are forgotten with it.
    pub bans: Option<KeptBans>,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Name, the key of the listener's chain.
    pub name: String,
    /// What it speaks below MQTT, and where.
    pub transport: Transport,
    /// Whose connections begin with a PROXY header; `None` = nobody's.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS below `transport`; `None` = not encrypted. Not for socket files.
    pub tls: Option<Arc<TlsConfig>>,
}

impl ListenerConfig {
    /// A plain listener.
    pub fn tcp(name: &str, bind: SocketAddr) -> Self {
        Self::plain(name, Transport::Tcp { bind })
    }

    /// A listener without TLS and load balancer.
    pub fn plain(name: &str, transport: Transport) -> Self {
        Self { name: name.to_owned(), transport, proxy_protocol: None, tls: None }
    }
}

/// What a listener speaks below MQTT, and where it does. Addresses with port 0 = any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Packets as they are.
    Tcp {
        /// Address.
        bind: SocketAddr,
    },
    /// Binary frames of WebSocket.
    WebSocket {
        /// Address.
        bind: SocketAddr,
        /// Path of the requests, from its `/` on.
        path: String,
        /// Origins that may connect; `None` = every one. Who names none is no browser and may.
        origins: Option<Vec<String>>,
    },
    /// Packets as they are, between processes of one machine. Its clients count as `127.0.0.1`, port 0.
    Unix {
        /// The socket file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl Transport {
    /// As the configuration names it, over TLS or not.
    pub fn name(&self, over_tls: bool) -> &'static str {
        match (self, over_tls) {
            (Self::Tcp { .. }, false) => "tcp",
            (Self::Tcp { .. }, true) => "tls",
            (Self::WebSocket { .. }, false) => "ws",
            (Self::WebSocket { .. }, true) => "wss",
            (Self::Unix { .. }, _) => "unix",
        }
    }

    /// Where it listens.
    pub fn place(&self) -> ListenerAddress {
        match self {
            Self::Tcp { bind } | Self::WebSocket { bind, .. } => ListenerAddress::Socket(*bind),
            Self::Unix { path, .. } => ListenerAddress::Path(path.clone()),
        }
    }

    /// Its address, to change it; a file has none.
    pub fn bind_mut(&mut self) -> Option<&mut SocketAddr> {
        match self {
            Self::Tcp { bind } | Self::WebSocket { bind, .. } => Some(bind),
            Self::Unix { .. } => None,
        }
    }
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenerAddress {
    /// An address of the network.
    Socket(SocketAddr),
    /// A socket file.
    Path(PathBuf),
}

impl ListenerAddress {
    /// The address of the network, if it is one.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) => Some(*address),
            Self::Path(_) => None,
        }
    }

    /// The socket file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Socket(_) => None,
            Self::Path(path) => Some(path),
        }
    }
}

impl fmt::Display for ListenerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Load balancers in front of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Their addresses, at least one range. Every connection from there begins with a header; others are closed.
    pub trusted: Vec<IpNet>,
}

/// The part of the configuration that [`crate::Broker::reconfigure`] replaces.
#[derive(Clone, Debug, Default)]
pub struct LiveConfig {
    /// Lengths, counts, rates and times.
    pub limits: limits::Config,
    /// What happens to a 3.1.1 client that publishes what it may not.
    pub publish_denied: PublishDenied,
    /// What gives way when a client's queue is full.
    pub queue_full: QueueFull,
    /// Whether retained messages are handed out although their publisher might no longer publish them.
    pub retained_outlives_rights: bool,
    /// Where the client identifier comes from.
    pub client_id_from: ClientIdFrom,
    /// Who is served.
    pub protocol_versions: ProtocolVersions,
    /// `$SYS/...`.
    pub sys: SysConfig,
    /// Who may come in by a listener, by its name; none = everybody.
    pub listeners: HashMap<String, ListenerRules>,
    /// Percent of the usual credits that members of a group have while the broker is overloaded; more than 10,000 = they
    /// are never held back for it.
    pub overload_weights: Vec<(String, u32)>,
}

/// Who may come in by a listener, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerRules {
    /// Only these addresses; `None` = all.
    pub allow: Option<Vec<IpNet>>,
    /// Not these, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Connections at a time; `None` = as many as there may be in all.
    pub connections: Option<u64>,
}

impl ListenerRules {
    /// Whether the address of a client may come in.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let holds = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&address));
        !holds(&self.deny) && self.allow.as_deref().is_none_or(holds)
    }
}

/// The protocol versions that are served; the others are told so in CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolVersions {
    /// MQTT 3.1, protocol name `MQIsdp`.
    pub v3_1: bool,
    /// MQTT 3.1.1.
    pub v3_1_1: bool,
    /// MQTT 5.0.
    pub v5_0: bool,
}

/// All.
impl Default for ProtocolVersions {
    fn default() -> Self {
        Self { v3_1: true, v3_1_1: true, v5_0: true }
    }
}

impl ProtocolVersions {
    pub(crate) fn serve(self, connect: &Connect) -> bool {
        match connect.version {
            ProtocolVersion::V311 if connect.mqtt_3_1 => self.v3_1,
            ProtocolVersion::V311 => self.v3_1_1,
            ProtocolVersion::V5 => self.v5_0,
        }
    }
}

/// Answer to a PUBLISH that is not permitted, where the protocol has no code for it (3.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishDenied {
    /// Acknowledge and drop it: 3.1.1 [MQTT-3.3.5-2].
    #[default]
    Acknowledge,
    /// Close the connection.
    Disconnect,
}

impl LiveConfig {
    /// `granted` = what the client's grants allow of it.
    pub(crate) fn session_limits(&self, granted: &ClientLimits) -> SessionLimits {
        let sizes = &self.limits.sizes;
        SessionLimits {
            queue: QueueLimits {
                messages: at_most(sizes.queue_messages, granted.queue_messages_max),
                bytes: at_most(sizes.queue_bytes, granted.queue_bytes_max),
                when_full: self.queue_full,
            },
            window_max: strictest(sizes.receive_maximum, granted.in_flight_max),
            receive_maximum: strictest(sizes.receive_maximum, granted.receive_maximum),
            topic_alias_maximum: sizes.topic_alias_maximum,
        }
    }

    /// Bytes of a packet from a client.
    pub(crate) fn packet_bytes(&self, granted: &ClientLimits) -> usize {
        at_most(self.limits.sizes.packet_bytes, granted.packet_bytes_max)
    }

    /// Keep Alive in force: never off, never above the limit.
    pub(crate) fn keep_alive(&self, connect: &Connect, granted: &ClientLimits) -> u16 {
        let most = strictest(self.limits.sizes.keep_alive_max, granted.keep_alive_seconds_max);
        match connect.keep_alive {
            0 => most,
            seconds => seconds.min(most),
        }
    }

    /// Percent of the usual credits under load: of several groups the best.
    pub(crate) fn credit_percent(&self, groups: &[String]) -> u32 {
        let of_client = self.overload_weights.iter().filter(|(group, _)| groups.contains(group));
        of_client.map(|(_, percent)| *percent).max().unwrap_or(100)
    }

    /// Subscriptions of a client.
    pub(crate) fn subscriptions(&self, granted: &ClientLimits) -> usize {
        at_most(self.limits.sizes.subscriptions_per_client, granted.subscriptions_max)
    }
}

fn at_most(configured: usize, granted: Option<u32>) -> usize {
    granted.map_or(configured, |granted| configured.min(granted as usize))
}

fn strictest(configured: u16, granted: Option<u16>) -> u16 {
    granted.map_or(configured, |granted| configured.min(granted))
}
