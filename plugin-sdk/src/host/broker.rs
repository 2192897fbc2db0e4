//! The broker itself. Each function has its own grant: `[grants] broker = ["publish", "disconnect",
//! "subscriptions"]`.

use crate::bindings::portcullis::plugin::broker;
/// Why not, and a subscription.
pub use crate::bindings::portcullis::plugin::{
    broker::{Error, Message, Subscription},
    types::Qos,
};

/// Publishes to one of the `publish_topics` of `[grants]`. Returns how many sessions it went to.
///
/// # Errors
/// Not granted, not valid, or too much at once.
pub fn publish(message: &Message) -> Result<u32, Error> {
    broker::publish(message)
}

/// Ends a client's connection with this Reason Code (0x80 or above); whether it was connected.
///
/// # Errors
/// Not granted, no such Reason Code, or too much at once.
pub fn disconnect(client_id: &str, reason_code: u8) -> Result<bool, Error> {
    broker::disconnect(client_id, reason_code)
}

/// Subscriptions of a client; none when there is no session.
///
/// # Errors
/// Not granted, or too much at once.
pub fn subscriptions(client_id: &str) -> Result<Option<Vec<Subscription>>, Error> {
    broker::subscriptions(client_id)
}
