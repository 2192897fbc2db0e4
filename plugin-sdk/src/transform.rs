//! Hooks *inbound-transform* and *outbound-transform*: what happens to messages on their way. The
//! types come from the contract; the constructors are ours.

pub use crate::bindings::inbound_transform::hook::{Outcome as Inbound, Source};
pub use crate::bindings::outbound_transform::hook::{Claim, Outcome as Outbound, Scope};
pub use crate::bindings::portcullis::plugin::{
    messages::{Message, Patch},
    types::Client,
};
use crate::{Denial, Error, Plugin, Qos};

/// Works on what clients publish.
pub trait InboundTransform: Plugin {
    /// Topic Filters of what it works on.
    fn topics(&self) -> Vec<String>;

    /// Works on one message.
    ///
    /// # Errors
    /// What becomes of the message is the operator's choice, `[transform] on_error`: refused unless
    /// it says otherwise.
    fn transform(
        &self,
        source: Source,
        publisher: &Client,
        message: Message,
    ) -> Result<Inbound, Error>;
}

/// Works on what subscribers get.
pub trait OutboundTransform: Plugin {
    /// What it works on.
    fn claims(&self) -> Claim;

    /// Works on one message; `subscriber` is there where the claim says [`Scope::Subscriber`].
    ///
    /// # Errors
    /// What becomes of the message is the operator's choice, `[transform] on_error`: it is not
    /// delivered unless it says otherwise.
    fn transform(&self, subscriber: Option<&Client>, message: Message) -> Result<Outbound, Error>;
}

impl Inbound {
    /// Another payload.
    #[must_use]
    pub fn payload(payload: Vec<u8>) -> Self {
        Self::Patched(Patch { payload: Some(payload), ..Patch::default() })
    }

    /// Refused with this Reason Code.
    #[must_use]
    pub const fn reject(reason_code: u8, reason: Option<String>) -> Self {
        Self::Reject(Denial { reason_code, reason })
    }
}

impl Outbound {
    /// Another payload.
    #[must_use]
    pub fn payload(payload: Vec<u8>) -> Self {
        Self::Patched(Patch { payload: Some(payload), ..Patch::default() })
    }
}

/// Changes nothing.
impl Default for Patch {
    fn default() -> Self {
        Self {
            topic: None,
            payload: None,
            payload_is_utf8: None,
            content_type: None,
            user_properties: None,
        }
    }
}

/// An empty message on `topic`, QoS 0: the start of a unit test.
impl Default for Message {
    fn default() -> Self {
        Self {
            topic: "topic".to_owned(),
            payload: Vec::new(),
            qos: Qos::AtMostOnce,
            retain: false,
            payload_is_utf8: false,
            message_expiry_seconds: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }
    }
}

/// A client without groups and attributes.
impl Default for Client {
    fn default() -> Self {
        Self {
            client_id: "client".to_owned(),
            principal: "principal".to_owned(),
            groups: Vec::new(),
            attributes: Vec::new(),
            listener: "mqtt".to_owned(),
        }
    }
}
