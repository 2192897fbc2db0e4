//! What plugins may ask of the broker. Implemented by `server`, called by `plugin-host`, which
//! judges before whether the plugin was granted it.

use codec::{QoS, ReasonCode};
use topic::TopicName;

/// The broker as plugins reach it. No method waits.
pub trait BrokerForPlugins: Send + Sync {
    /// Takes back what is kept of these clients' permissions: they are asked for again, and until
    /// the answer is there those who are connected are neither read nor written to.
    fn invalidate(&self, whose: Whose<'_>);
    /// Publishes a message that no connection published. Returns how many sessions it went to.
    fn publish(&self, message: Publication) -> Result<u32, PublishRefused>;
    /// Ends the client's connection; whether it was connected.
    fn disconnect(&self, client_id: &str, reason: ReasonCode) -> bool;
    /// Topic Filters, with `$share/NAME/`, and granted QoS of a session; `None` = there is none.
    fn subscriptions(&self, client_id: &str) -> Option<Vec<(String, QoS)>>;
}

/// Whose permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Of one client.
    Client(&'a str),
    /// Of all clients of a principal.
    Principal(&'a str),
    /// Of everybody.
    Everybody,
}

/// A message of a plugin. Its parts are within the bounds of MQTT; whether they are within those of
/// this broker is for the broker to say.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Name of the plugin.
    pub plugin: String,
    /// Topic Name.
    pub topic: TopicName,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Properties that go with it.
    pub properties: PublicationProperties,
}

/// Properties of a [`Publication`].
#[derive(Clone, Debug, Default)]
pub struct PublicationProperties {
    /// Payload Format Indicator: the payload is UTF-8.
    pub payload_is_utf8: bool,
    /// Message Expiry Interval.
    pub message_expiry_seconds: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    pub correlation_data: Option<Vec<u8>>,
    /// User Properties.
    pub user_properties: Vec<(String, String)>,
}

/// Why a message of a plugin was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    /// It is over a limit of the broker; the sentence says which.
    #[error("{0}")]
    Invalid(String),
    /// The store does not take it, or retained messages are full.
    #[error("the broker has no room for it")]
    Busy,
}
