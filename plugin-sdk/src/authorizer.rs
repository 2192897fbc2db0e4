//! Hook *authorizer*: what may this client do? The types come from the contract; the constructors
//! are ours.

pub use crate::bindings::authorizer::hook::{Answer, HoldsFor, PermissionSet};
pub use crate::bindings::portcullis::plugin::{
    permissions::{Activity, Condition, Effect, QosSet, Rule},
    types::Subject,
};
use crate::{Error, Plugin, ProtocolVersion};

/// Tells the permissions of clients.
pub trait Authorizer: Plugin {
    /// Called after authentication, unless an answer that holds for the client is kept; again when
    /// the answer's time to live ends or the plugin is replaced.
    ///
    /// # Errors
    /// The plugin could not come to a decision. The broker denies.
    fn permissions(&self, subject: &Subject) -> Result<Answer, Error>;
}

impl Answer {
    /// These rules, first match wins, for as long as the broker likes to keep them (60 s), for this
    /// client only.
    #[must_use]
    pub const fn rules(rules: Vec<Rule>) -> Self {
        Self::rules_for(HoldsFor::Client, rules)
    }

    /// The same for others too: they are given the answer without a call of the plugin. What it was
    /// made from must be no more than `holds_for` says, else clients get the permissions of others.
    #[must_use]
    pub const fn rules_for(holds_for: HoldsFor, rules: Vec<Rule>) -> Self {
        Self::Permissions(PermissionSet { rules, ttl_seconds: None, holds_for })
    }
}

impl Rule {
    /// Permits `activity` on a topic filter, whatever QoS, retain flag and share name.
    pub fn allow(activity: Activity, filter: impl Into<String>) -> Self {
        Self::new(Effect::Allow, activity, filter.into())
    }

    /// Forbids `activity` on a topic filter, whatever QoS, retain flag and share name.
    pub fn deny(activity: Activity, filter: impl Into<String>) -> Self {
        Self::new(Effect::Deny, activity, filter.into())
    }

    /// Only for these QoS levels.
    #[must_use]
    pub const fn qos(mut self, qos: QosSet) -> Self {
        self.qos = qos;
        self
    }

    /// Only for a PUBLISH with, or without, the RETAIN flag.
    #[must_use]
    pub const fn retain(mut self, retain: Condition) -> Self {
        self.retain = retain;
        self
    }

    /// Only for shared subscriptions, or only for others.
    #[must_use]
    pub const fn shared(mut self, shared: Condition) -> Self {
        self.shared = shared;
        self
    }

    /// Only for shared subscriptions of this share name.
    #[must_use]
    pub fn share_name(mut self, name: impl Into<String>) -> Self {
        self.shared = Condition::Yes;
        self.share_name = Some(name.into());
        self
    }

    const fn new(effect: Effect, activity: Activity, filter: String) -> Self {
        Self {
            effect,
            activity,
            filter,
            qos: QosSet::all(),
            retain: Condition::Any,
            shared: Condition::Any,
            share_name: None,
        }
    }
}

/// A client without groups and attributes, named `principal` in the tests that start from it.
impl Default for Subject {
    fn default() -> Self {
        Self {
            principal: "principal".to_owned(),
            authenticated_by: "test".to_owned(),
            groups: Vec::new(),
            attributes: Vec::new(),
            client_id: "client".to_owned(),
            listener: "mqtt".to_owned(),
            remote_address: "127.0.0.1".to_owned(),
            protocol: ProtocolVersion::V50,
            certificate: None,
        }
    }
}
