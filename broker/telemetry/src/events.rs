//! What happens in the broker, one struct per event. `.emit(&Metrics)` decides level, words and
//! metric.
//!
//! Knows nothing of why it happened; `server` fills the fields. One file per theme.

mod admin;
mod authorization;
mod ban;
mod client;
mod connection;
mod load;
mod message;
mod session;
mod state;
mod will;

pub use admin::{AdminAction, AdminLogin, AdminRefused};
pub use authorization::{Denied, PublishDenied, SubscribeDenied};
pub use ban::{BanEnded, BanMade};
pub use client::Client;
pub use connection::{
    Authenticated, ConnectRefused, Connected, ConnectionRefused, Disconnected, ProtocolViolation,
};
pub use load::{OverloadChanged, ReadingPaused};
pub use message::MessageDropped;
pub use session::{SessionEnded, TakenOver};
pub use state::{AlarmCleared, AlarmRaised, ConfigReloaded, PluginChanged, PluginUpload};
pub use will::WillRefused;

use crate::throttle::Throttle;

/// One throttle per kind of event that a stranger can cause at will.
#[derive(Debug, Default)]
pub(crate) struct Throttles {
    connection_refused: Throttle,
    connect_refused: Throttle,
    protocol_violation: Throttle,
    publish_denied: Throttle,
    subscribe_denied: Throttle,
    message_dropped: Throttle,
    will_refused: Throttle,
    overload_changed: Throttle,
    ban_made: Throttle,
    ban_ended: Throttle,
    reading_paused: Throttle,
    admin_refused: Throttle,
    /// Of its own: requests without any token must not hide guesses of passwords.
    admin_login_refused: Throttle,
}

/// A field that may be missing: `-` then.
fn or_dash(text: Option<&str>) -> crate::Escaped<'_> {
    crate::Escaped(text.unwrap_or("-"))
}

#[cfg(test)]
mod tests;
