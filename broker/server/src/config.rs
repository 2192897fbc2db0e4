//! What the server is told: listeners, limits, policies. Already checked by whoever reads the configuration file.

use std::net::SocketAddr;

use access::ClientIdFrom;
use codec::{Connect, ProtocolVersion};
use session::{QueueFull, QueueLimits, SessionLimits};

/// Configuration of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listeners, at least one; names are unique.
    pub listeners: Vec<ListenerConfig>,
    /// What can be changed while the broker runs.
    pub live: LiveConfig,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Name, the key of the listener's chain.
    pub name: String,
    /// Address; port 0 = any free port.
    pub bind: SocketAddr,
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
    /// Where the client identifier comes from.
    pub client_id_from: ClientIdFrom,
    /// Who is served.
    pub protocol_versions: ProtocolVersions,
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
    pub(crate) fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            queue: QueueLimits {
                messages: self.limits.sizes.queue_messages,
                bytes: self.limits.sizes.queue_bytes,
                when_full: self.queue_full,
            },
            window_max: self.limits.sizes.receive_maximum,
            receive_maximum: self.limits.sizes.receive_maximum,
            topic_alias_maximum: self.limits.sizes.topic_alias_maximum,
        }
    }
}
