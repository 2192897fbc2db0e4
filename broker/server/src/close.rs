//! Why a connection ends, and what follows from it: DISCONNECT code, Will Message, label in logs and metrics.

use codec::ReasonCode;

use crate::websocket::{self, Violation};

/// The end of a connection.
#[derive(Debug)]
pub(crate) enum Close {
    /// DISCONNECT from the client with Normal disconnection: its Will Message is forgotten [MQTT-3.1.2-10].
    ByClient,
    /// DISCONNECT from the client with another code: the Will Message is sent.
    ByClientWithWill(ReasonCode),
    /// The bytes were not acceptable.
    Malformed(codec::Error),
    /// A rule that needs state was broken.
    Session(session::Error),
    /// A packet that the client may not send now.
    Protocol(ReasonCode, &'static str),
    /// The frames that packets come in were not acceptable.
    WebSocket(Violation),
    /// We end it: taken over, shut down, administrative, keep alive, expired, not permitted.
    ByServer(ReasonCode),
    /// The network connection failed or was closed without DISCONNECT.
    Network(std::io::ErrorKind),
    /// The client did not read for too long.
    WriteTimeout,
}

impl Close {
    /// What an error of reading means.
    pub(crate) fn by_read_error(error: &std::io::Error) -> Self {
        websocket::violation(error).map_or_else(|| Self::Network(error.kind()), Self::WebSocket)
    }

    /// The code for a DISCONNECT from us; `None` = say nothing.
    pub(crate) fn disconnect_code(&self) -> Option<ReasonCode> {
        match self {
            Self::ByClient | Self::ByClientWithWill(_) | Self::Network(_) | Self::WriteTimeout => {
                None
            }
            // The close frame says it.
            Self::WebSocket(_) => None,
            Self::Malformed(error) => Some(error.reason_code()),
            Self::Session(error) => Some(error.reason_code()),
            Self::Protocol(code, _) | Self::ByServer(code) => Some(*code),
        }
    }

    /// Whether the Will Message is to be published.
    pub(crate) fn sends_will(&self) -> bool {
        !matches!(self, Self::ByClient)
    }

    /// Whether the client ended it.
    pub(crate) fn by_client(&self) -> bool {
        matches!(self, Self::ByClient | Self::ByClientWithWill(_) | Self::Network(_))
    }

    /// For plugins: the Reason Code, and whether the client sent DISCONNECT.
    pub(crate) fn told(&self) -> (ReasonCode, bool) {
        match self {
            Self::ByClient => (ReasonCode::Success, true),
            Self::ByClientWithWill(code) => (*code, true),
            other => (other.disconnect_code().unwrap_or(ReasonCode::UnspecifiedError), false),
        }
    }

    /// Label in logs and metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ByClient => "normal_disconnection",
            Self::Network(_) => "network",
            Self::WriteTimeout => "write_timeout",
            Self::WebSocket(_) => "websocket",
            Self::ByClientWithWill(code) => code.name(),
            _ => self.disconnect_code().map_or("network", ReasonCode::name),
        }
    }

    /// What the network said.
    pub(crate) fn network_error(&self) -> Option<std::io::ErrorKind> {
        match self {
            Self::Network(kind) => Some(*kind),
            _ => None,
        }
    }

    /// The broken rule, when the client broke one.
    pub(crate) fn violation(&self) -> Option<&dyn std::fmt::Display> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Session(error) => Some(error),
            Self::Protocol(_, what) => Some(what),
            Self::WebSocket(violation) => Some(violation),
            _ => None,
        }
    }
}
