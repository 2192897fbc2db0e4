//! One rule as the file has it.

use crate::Scope;

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Permit.
    Allow,
    /// Refuse.
    Deny,
}

/// A rule, and whom it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Where it begins in the file, from 1.
    pub line: u32,
    /// Allow or deny.
    pub effect: Effect,
    /// About PUBLISH and Will Messages.
    pub publish: bool,
    /// About SUBSCRIBE and delivery.
    pub subscribe: bool,
    /// Topic Filter, with variables.
    pub topic: String,
    /// About QoS 0, 1 and 2.
    pub qos: [bool; 3],
    /// Only a PUBLISH with, or without, the RETAIN flag.
    pub retain: Option<bool>,
    /// Only shared subscriptions, or only others.
    pub shared: Option<bool>,
    /// Only this share name.
    pub share_name: Option<String>,
    /// Whom it is about.
    pub scope: Scope,
}
