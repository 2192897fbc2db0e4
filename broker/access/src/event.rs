//! What happened, for plugins that want to know. Knows nothing of how they are told.

use std::{net::IpAddr, sync::Arc};

use codec::{ProtocolVersion, QoS, ReasonCode};

/// Who an event is about. WIT record `who`.
#[derive(Clone, Debug)]
pub struct Who {
    /// Unique for the life of the process.
    pub connection_id: u64,
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// The authenticated identity; empty when there is none.
    pub principal: Arc<str>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Address without port.
    pub remote: IpAddr,
    /// Protocol level.
    pub protocol: ProtocolVersion,
}

/// What happened. WIT variant `event`.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client connected.
    Connected(Who),
    /// Its connection ended: code, and whether the client sent DISCONNECT.
    Disconnected(Who, ReasonCode, bool),
    /// A CONNECT was refused: code, and kind of the refusal.
    AuthFailed(Who, ReasonCode, String),
    /// A subscription was made: Topic Filter with share name, granted QoS.
    Subscribed(Who, String, QoS),
    /// A subscription was ended by the client.
    Unsubscribed(Who, String),
    /// A PUBLISH to this topic was refused.
    PublishDenied(Who, String),
    /// The session of a Client Identifier ended for good.
    SessionExpired(Arc<str>),
    /// The broker's load is at this level now, 0 to 10.
    Overload(u8),
}

/// Kinds of events. WIT flags `kinds`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventKinds(pub u8);

impl EventKinds {
    /// [`Event::Connected`].
    pub const CONNECTED: Self = Self(1);
    /// [`Event::Disconnected`].
    pub const DISCONNECTED: Self = Self(1 << 1);
    /// [`Event::AuthFailed`].
    pub const AUTH_FAILED: Self = Self(1 << 2);
    /// [`Event::Subscribed`].
    pub const SUBSCRIBED: Self = Self(1 << 3);
    /// [`Event::Unsubscribed`].
    pub const UNSUBSCRIBED: Self = Self(1 << 4);
    /// [`Event::PublishDenied`].
    pub const PUBLISH_DENIED: Self = Self(1 << 5);
    /// [`Event::SessionExpired`].
    pub const SESSION_EXPIRED: Self = Self(1 << 6);
    /// [`Event::Overload`].
    pub const OVERLOAD: Self = Self(1 << 7);

    /// Whether one of these kinds is among them.
    pub fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 != 0
    }

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> EventKinds {
        match self {
            Self::Connected(_) => EventKinds::CONNECTED,
            Self::Disconnected(..) => EventKinds::DISCONNECTED,
            Self::AuthFailed(..) => EventKinds::AUTH_FAILED,
            Self::Subscribed(..) => EventKinds::SUBSCRIBED,
            Self::Unsubscribed(..) => EventKinds::UNSUBSCRIBED,
            Self::PublishDenied(..) => EventKinds::PUBLISH_DENIED,
            Self::SessionExpired(_) => EventKinds::SESSION_EXPIRED,
            Self::Overload(_) => EventKinds::OVERLOAD,
        }
    }
}

/// Whoever tells plugins. Must not block: it is told wherever something happens.
pub trait EventSink: Send + Sync {
    /// What somebody wants to know.
    fn wanted(&self) -> EventKinds;

    /// It happened.
    fn tell(&self, event: Event);
}
