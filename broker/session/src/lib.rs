//! Owns what a client is owed: QoS flows both ways, in-flight windows, the queue, subscriptions,
//! topic aliases, the will and the timers of a session.
//!
//! Knows nothing of sockets, tasks, locks or the clock: `now` is an argument, bytes are appended to
//! buffers that the caller writes out, and errors come back as values. It does not decide who may
//! do what.
//!
//! Start reading at [`Session`]: `deliver` (a message for this client), `handle_puback` and its
//! sisters (the client's acknowledgements), `attach` and `detach` (a connection comes and goes).
//!
//! Invariants: at most `window` PUBLISH packets with QoS > 0 are unacknowledged [MQTT-3.3.4-9];
//! they are sent again in their first order [MQTT-4.6.0-1]; the queue never exceeds its limits; a
//! QoS 2 identifier is given out again only after both sides have let it go; a kept session (see `kept`) sends no QoS 2 message before the store has it for good; a topic alias is used
//! only after the packet that sets it is in the output. `tests/pair` plays them against a client
//! over a link that breaks.

#![forbid(unsafe_code)]

mod delivery;
mod error;
mod fanout;
mod inbound;
mod inflight;
mod keep_alive;
mod kept;
mod link;
mod message;
mod outbound;
mod packet_id;
mod queue;
mod session;
mod stored;
mod subscriptions;
mod topic_alias;
mod transform;
mod will;

pub use delivery::{Delivered, DeliveryOptions, DropReason};
pub use error::Error;
pub use fanout::{Fanout, Frames};
pub use inbound::Inbound;
pub use keep_alive::KeepAlive;
pub use kept::{Found, Moved};
pub use message::Message;
pub use queue::{QueueFull, QueueLimits};
pub use session::{Attachment, Session, SessionLimits};
pub use stored::{Claim, Waiting};
pub use subscriptions::{Subscription, Subscriptions};
pub use topic_alias::InboundAliases;
pub use transform::{OutboundClaims, Outcome};
pub use will::WillMessage;
