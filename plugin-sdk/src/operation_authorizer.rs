//! Hook *operation-authorizer*: may this client do that? The types come from the contract; the
//! constructors are ours.

pub use crate::bindings::operation_authorizer::hook::{
    Decision, Operation, PublishOperation, Ruling, SubscribeOperation,
};
use crate::{Denial, Error, Plugin, Subject, reason_code};

/// Judges single operations.
pub trait OperationAuthorizer: Plugin {
    /// Topic Filters of what it wants to judge.
    fn topics(&self) -> Vec<String>;

    /// Judges one operation. The answer is kept for its time to live: it may depend on nothing but
    /// the arguments.
    ///
    /// # Errors
    /// The plugin could not come to a decision. The broker denies.
    fn authorize(&self, subject: &Subject, operation: &Operation) -> Result<Ruling, Error>;
}

impl Ruling {
    /// Permit it, for as long as the broker likes to keep the answer (60 s).
    pub const ALLOW: Self = Self { decision: Decision::Allow, ttl_seconds: None };
    /// No word from this plugin.
    pub const NEXT: Self = Self { decision: Decision::Next, ttl_seconds: None };

    /// Refuse it.
    #[must_use]
    pub const fn deny(reason: Option<String>) -> Self {
        let denial = Denial { reason_code: reason_code::NOT_AUTHORIZED, reason };
        Self { decision: Decision::Deny(denial), ttl_seconds: None }
    }

    /// To be used again for so long; 0 = not at all.
    #[must_use]
    pub const fn for_seconds(mut self, seconds: u32) -> Self {
        self.ttl_seconds = Some(seconds);
        self
    }
}
