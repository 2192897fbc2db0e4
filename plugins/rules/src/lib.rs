//! Permission rules written as JSON: those of a plugin's configuration, and those that identity
//! systems hand out in the shape that EMQX reads.
//!
//! - *Owns* both shapes (`configured`, `emqx`) and what a topic in them may be (`topic`).
//! - *Knows nothing of* tokens, webhooks and clients: `${clientid}` and `${username}` stay as they
//!   are, the host fills them in.
//! - *Invariant*: a condition that is not understood is an error, never left out: a rule without it
//!   would be about more than was meant.
#![forbid(unsafe_code)]

mod configured;
mod emqx;
mod topic;

pub use configured::ConfiguredRule;
pub use emqx::{from_list, from_list_or_lists};

use portcullis_plugin::QosSet;

/// The QoS level of this number.
fn qos(level: u64) -> Option<QosSet> {
    match level {
        0 => Some(QosSet::AT_MOST_ONCE),
        1 => Some(QosSet::AT_LEAST_ONCE),
        2 => Some(QosSet::EXACTLY_ONCE),
        _ => None,
    }
}
