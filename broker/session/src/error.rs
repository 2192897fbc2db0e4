//! Rules that need state and were broken by the client, each with its Reason Code. Knows nothing of
//! malformed bytes: those are `codec`'s.

use codec::ReasonCode;

/// The client broke a rule of the session; the connection ends with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// More QoS > 0 messages in flight than our Receive Maximum [MQTT-3.3.4-7].
    ReceiveMaximumExceeded,
    /// A Topic Alias of 0 [MQTT-3.3.2-8] or above our maximum [MQTT-3.3.2-9].
    TopicAliasInvalid,
    /// A Topic Alias alone that was never set on this connection (section 3.3.4).
    TopicAliasUnknown,
    /// Neither Topic Name nor Topic Alias.
    NoTopic,
}

impl Error {
    /// The code for DISCONNECT.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
            Self::TopicAliasInvalid => ReasonCode::TopicAliasInvalid,
            Self::TopicAliasUnknown | Self::NoTopic => ReasonCode::ProtocolError,
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
                "Topic Alias 0, or above the Topic Alias Maximum [MQTT-3.3.2-8, MQTT-3.3.2-9]"
            }
            Self::TopicAliasUnknown => {
                "PUBLISH with a Topic Alias alone that was not set before (section 3.3.4)"
            }
            Self::NoTopic => "PUBLISH with neither Topic Name nor Topic Alias (section 3.3.2.1)",
        })
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
