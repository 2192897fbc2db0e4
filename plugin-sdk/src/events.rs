//! Hook *events*: what happened. The types come from the contract.

pub use crate::bindings::events::hook::{
    AuthFailedEvent, DisconnectedEvent, Event, Kinds, PublishDeniedEvent, Stamped,
    SubscriptionEvent, UnsubscribedEvent, Who,
};
use crate::{Error, Plugin};

/// Is told what happened.
pub trait Events: Plugin {
    /// Which events it wants.
    fn wanted(&self) -> Kinds;

    /// A batch of events, in order; `dropped` = how many were lost before it.
    ///
    /// # Errors
    /// Counted, and of no other consequence.
    fn on_events(&self, batch: &[Stamped], dropped: u64) -> Result<(), Error>;
}
