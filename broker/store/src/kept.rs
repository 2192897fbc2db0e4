//! What is kept of sessions and retained messages, apart from what they are owed. JSON in the store:
//! few and seldom written, and a later version must be able to read them.

use serde::{Deserialize, Serialize};

use crate::StoredMessage;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSession {
    /// Client Identifier.
    pub client_id: String,
    /// Who it belongs to.
    pub identity: KeptIdentity,
    /// Name of the listener it was connected to last.
    pub listener: String,
    /// Address and port it was connected from last.
    pub remote: String,
    /// Protocol level: 4 or 5.
    pub protocol: u8,
    /// Session Expiry Interval in force, in seconds.
    pub expiry_seconds: u32,
    /// When its connection ended, seconds since 1970; `None` = connected.
    pub disconnected_at_unix: Option<u64>,
    /// Messages with a smaller number may have been sent before: they are sent with DUP. `None` while
    /// connected: all of them may.
    pub sent_below: Option<u64>,
    /// The Will Message of the connection.
    pub will: Option<KeptWill>,
}

/// Who a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptIdentity {
    /// The principal.
    pub principal: String,
    /// The link that authenticated it.
    pub authenticated_by: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Attributes.
    pub attributes: Vec<(String, String)>,
    /// When the identity ends, seconds since 1970.
    pub expires_at_unix: Option<u64>,
    /// What the grants permitted, in the order of the chain.
    #[serde(default)]
    pub permissions: Vec<KeptRules>,
    /// Most messages that may wait, by the grants.
    #[serde(default)]
    pub queue_messages_max: Option<u32>,
    /// Most bytes that may wait, by the grants.
    #[serde(default)]
    pub queue_bytes_max: Option<u32>,
}

/// The rules of one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRules {
    /// The link that granted them.
    pub link: String,
    /// In order of precedence.
    pub rules: Vec<KeptRule>,
}

/// A rule. Whoever keeps it knows what its parts mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRule {
    /// Allow, or deny.
    pub allow: bool,
    /// About PUBLISH.
    pub publish: bool,
    /// About SUBSCRIBE.
    pub subscribe: bool,
    /// Topic Filter with variables.
    pub filter: String,
    /// Bit n = QoS n.
    pub qos: u8,
    /// Condition on RETAIN.
    pub retain: Option<bool>,
    /// Condition on shared subscriptions.
    pub shared: Option<bool>,
    /// Share name.
    pub share_name: Option<String>,
}

/// A Will Message that is still to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptWill {
    /// Will Delay Interval in seconds.
    pub delay_seconds: u32,
    /// Message Expiry Interval in seconds.
    pub expiry_seconds: Option<u32>,
    /// Topic Name.
    pub topic: String,
    /// Properties that travel on, encoded.
    pub forwarded: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: u8,
    /// RETAIN flag.
    pub retain: bool,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSubscription {
    /// Filter with its share name, as in SUBSCRIBE.
    pub filter: String,
    /// Subscription Identifier.
    pub identifier: Option<u32>,
    /// The options byte of SUBSCRIBE, with the QoS that was granted.
    pub options: u8,
    /// Retained messages are still to be sent for it.
    #[serde(default)]
    pub retained_due: bool,
    /// Since when it exists, in seconds since 1970; absent where nobody knows: in what earlier versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_unix: Option<u64>,
}

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The message.
    pub message: StoredMessage,
    /// Client Identifier of the publisher.
    pub publisher: String,
}
