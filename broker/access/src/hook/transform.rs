//! Hooks `inbound-transform` and `outbound-transform`: what happens to messages on their way.

use codec::QoS;
use topic::TopicFilter;

use crate::{BoxFuture, Denial, PluginFailure, Subject};

/// An Application Message as transforms see it. WIT record `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Payload Format Indicator.
    pub payload_is_utf8: bool,
    /// Message Expiry Interval in seconds.
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

/// What changes; `None` leaves a part as it is. WIT record `patch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Topic Name. Only inbound.
    pub topic: Option<String>,
    /// Payload.
    pub payload: Option<Vec<u8>>,
    /// Payload Format Indicator.
    pub payload_is_utf8: Option<bool>,
    /// Content Type; empty = none.
    pub content_type: Option<String>,
    /// User Properties, all of them.
    pub user_properties: Option<Vec<(String, String)>>,
}

impl Application {
    /// With what a plugin changed.
    pub fn apply(&mut self, patch: Patch) {
        if let Some(topic) = patch.topic {
            self.topic = topic;
        }
        if let Some(payload) = patch.payload {
            self.payload = payload;
        }
        if let Some(is_utf8) = patch.payload_is_utf8 {
            self.payload_is_utf8 = is_utf8;
        }
        if let Some(content_type) = patch.content_type {
            self.content_type = Some(content_type).filter(|text| !text.is_empty());
        }
        if let Some(properties) = patch.user_properties {
            self.user_properties = properties;
        }
    }
}

/// Where a message comes from. WIT enum `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// PUBLISH.
    Publish,
    /// Will Message.
    Will,
    /// The admin API.
    Api,
}

/// Who published. WIT record `client`.
#[derive(Clone, Copy, Debug)]
pub enum Publisher<'a> {
    /// A client.
    Client(&'a Subject),
    /// The admin API, in this user's name.
    Api(&'a str),
}

/// A link's word on a message that comes in. WIT variant `outcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// As it is.
    Unchanged,
    /// With these changes.
    Patched(Box<Patch>),
    /// Acknowledged and passed to nobody.
    Swallow,
    /// Refused.
    Reject(Denial),
}

impl Inbound {
    /// In one word, as records and labels have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Patched(_) => "patched",
            Self::Swallow => "swallow",
            Self::Reject(_) => "deny",
        }
    }
}

/// A link's word on a message that goes out. WIT variant `outcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// As it is.
    Unchanged,
    /// With these changes.
    Patched(Box<Patch>),
    /// Not delivered.
    Swallow,
}

impl Outbound {
    /// In one word, as records and labels have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Patched(_) => "patched",
            Self::Swallow => "swallow",
        }
    }
}

/// What the result of an outbound transform depends on. WIT enum `scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Only on the message.
    Message,
    /// On who gets it.
    Subscriber,
}

/// Hook `inbound-transform`. Must end within its own deadline. What its failure means is its own
/// business: an `Err` refuses the message.
pub trait InboundTransform: Send + Sync {
    /// What it works on.
    fn topics(&self) -> &[TopicFilter];

    /// Works on one message.
    fn transform<'a>(
        &'a self,
        source: Source,
        publisher: Publisher<'a>,
        message: &'a Application,
    ) -> BoxFuture<'a, Result<Inbound, PluginFailure>>;
}

/// Hook `outbound-transform`. Must end within its own deadline. An `Err` keeps the message from being
/// delivered.
pub trait OutboundTransform: Send + Sync {
    /// What it works on.
    fn topics(&self) -> &[TopicFilter];

    /// What its result depends on.
    fn scope(&self) -> Scope;

    /// Works on one message. `subscriber` is there where the scope is that.
    fn transform<'a>(
        &'a self,
        subscriber: Option<&'a Subject>,
        message: &'a Application,
    ) -> BoxFuture<'a, Result<Outbound, PluginFailure>>;
}
