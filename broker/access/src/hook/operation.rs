//! Hook `operation-authorizer`: rules that a topic filter cannot express.

use std::time::Duration;

use codec::QoS;
use topic::TopicFilter;

use crate::{BoxFuture, Denial, PluginFailure, Subject};

/// What is to be judged, reduced to what an answer may depend on. WIT variant `operation`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// PUBLISH or Will Message.
    Publish {
        /// Topic Name.
        topic: String,
        /// QoS.
        qos: QoS,
        /// RETAIN flag.
        retain: bool,
        /// The payload is at most this long: see [`Operation::size_class`].
        payload_bytes_max: u32,
    },
    /// One filter of a SUBSCRIBE.
    Subscribe {
        /// Topic Filter without share name.
        filter: String,
        /// Maximum QoS asked for.
        qos: QoS,
        /// Share name.
        share_name: Option<String>,
    },
}

impl Operation {
    /// The class that a payload of this length belongs to: the next power of two, at least 64.
    pub fn size_class(payload_bytes: usize) -> u32 {
        let bytes = u32::try_from(payload_bytes).unwrap_or(1 << 28);
        bytes.max(64).checked_next_power_of_two().unwrap_or(u32::MAX)
    }
}

/// A link's word on an operation. WIT variant `decision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationWord {
    /// Permit it.
    Allow,
    /// Refuse it.
    Deny(Denial),
    /// No word.
    Next,
}

impl OperationWord {
    /// In one word, as records and labels have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Next => "next",
        }
    }
}

/// The word, and for how long it may be used again. WIT record `ruling`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The word.
    pub word: OperationWord,
    /// Zero = only this once.
    pub ttl: Duration,
}

/// Hook `operation-authorizer`. Must end within its own deadline.
pub trait OperationAuthorizer: Send + Sync {
    /// What it wants to judge.
    fn topics(&self) -> &[TopicFilter];

    /// Judges one operation.
    fn authorize<'a>(
        &'a self,
        subject: &'a Subject,
        operation: &'a Operation,
    ) -> BoxFuture<'a, Result<Ruling, PluginFailure>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_fall_into_classes() {
        let cases =
            [(0, 64), (64, 64), (65, 128), (1_000, 1_024), (1_024, 1_024), (1 << 28, 1 << 28)];
        for (bytes, class) in cases {
            assert_eq!(Operation::size_class(bytes), class, "{bytes}");
        }
    }
}
