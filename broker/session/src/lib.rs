//! Owns what a client is owed: QoS flows both ways, in-flight windows, the queue, subscriptions, topic aliases, the
//! will and the timers of a session.
//!
//! Knows nothing of sockets, tasks, locks or the clock: `now` is an argument, bytes are appended to buffers that the
//! caller writes out, and errors come back as values. It does not decide who may do what.
//!
//! Start reading at [`Session`]: `deliver` (a message for this client), `handle_puback` and its sisters (the
//! client's acknowledgements), `attach` and `detach` (a connection comes and goes).
//!
//! Invariants: at most `window` PUBLISH packets with QoS > 0 are unacknowledged [MQTT-3.3.4-9]; they are sent again in
//! their first order [MQTT-4.6.0-1]; the queue never exceeds its limits; a message is never sent twice with QoS 2.

#![forbid(unsafe_code)]

mod error;
mod fanout;
mod inbound;
mod inflight;
mod keep_alive;
mod message;
mod outbound;
mod packet_id;
mod queue;
mod session;
mod subscriptions;
mod topic_alias;
mod will;

pub use error::Error;
pub use fanout::{Fanout, Frames};
pub use inbound::Inbound;
pub use keep_alive::KeepAlive;
pub use message::Message;
pub use outbound::{Delivered, DeliveryOptions, DropReason};
pub use queue::{QueueFull, QueueLimits};
pub use session::{Attachment, Session, SessionLimits};
pub use subscriptions::{Subscription, Subscriptions};
pub use topic_alias::InboundAliases;
pub use will::WillMessage;
