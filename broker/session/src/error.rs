//! Rules that need state and were broken by the client, each with its Reason Code.

use codec::ReasonCode;

/// The client broke a rule of the session; the connection ends with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More QoS > 0 messages in flight than our Receive Maximum [MQTT-3.3.4-7].
    ReceiveMaximumExceeded,
    /// A Topic Alias of 0, above our maximum [MQTT-3.3.2-9], or never set on this connection.
    TopicAliasInvalid,
    /// Neither Topic Name nor Topic Alias.
    NoTopic,
}

impl Error {
    /// The code for DISCONNECT.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAliasInvalid => ReasonCode::TopicAliasInvalid,
            Self::NoTopic => ReasonCode::ProtocolError,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ReceiveMaximumExceeded => {
                "more QoS 1 and 2 messages in flight than Receive Maximum allows [MQTT-3.3.4-7]"
            }
            Self::TopicAliasInvalid => {
                "Topic Alias above the Topic Alias Maximum, or not yet set [MQTT-3.3.2-9]"
            }
            Self::NoTopic => "PUBLISH with neither Topic Name nor Topic Alias [MQTT-3.3.2-8]",
        })
    }
}

impl std::error::Error for Error {}
