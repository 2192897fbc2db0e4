//! The table `[config]` of the guest's manifest. Unknown keys are errors, so that a test cannot
//! mean nothing.

use std::collections::HashMap;

use portcullis_plugin::{Activity, ClientLimits, Condition, QosSet, Rule as PluginRule};
use serde::Deserialize;

/// All keys; each may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Username to password.
    pub(crate) users: HashMap<String, String>,
    /// Whether clients whose username is not in `users` (or who send none) are allowed.
    pub(crate) anyone: bool,
    /// What the others get.
    pub(crate) otherwise: Otherwise,
    /// Reason Code of a denial.
    pub(crate) reason_code: u8,
    /// Reason String of a denial.
    pub(crate) reason: String,
    /// Principal of every grant; empty = the grant names nobody; none = username, else client
    /// identifier.
    pub(crate) principal: Option<String>,
    /// Groups of every grant.
    pub(crate) groups: Vec<String>,
    /// Attributes of every grant, as pairs.
    pub(crate) attributes: Vec<(String, String)>,
    /// User Properties of every grant, as pairs.
    pub(crate) user_properties: Vec<(String, String)>,
    /// Expiry of every grant.
    pub(crate) expires_at_unix: Option<u64>,
    /// Bound of the Session Expiry Interval of every grant.
    pub(crate) session_expiry_seconds_max: Option<u32>,
    /// Rules of every grant.
    pub(crate) granted_rules: Vec<Rule>,
    /// Bounds of every grant.
    pub(crate) limits: Option<Limits>,
    /// What kind of answer the authorizer gives.
    pub(crate) answer: AnswerKind,
    /// The rules of the answer `rules`.
    pub(crate) rules: Vec<Rule>,
    /// Time to live of the answer `rules`.
    pub(crate) ttl_seconds: Option<u32>,
}

/// Bounds of a grant.
#[derive(Debug, Deserialize, Clone, Copy, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    messages_per_second: Option<u32>,
    messages_burst: Option<u32>,
    bytes_per_second: Option<u32>,
    receive_maximum: Option<u16>,
    in_flight_max: Option<u16>,
    queue_messages_max: Option<u32>,
    queue_bytes_max: Option<u32>,
    packet_bytes_max: Option<u32>,
    keep_alive_seconds_max: Option<u16>,
    subscriptions_max: Option<u32>,
}

impl From<Limits> for ClientLimits {
    fn from(limits: Limits) -> Self {
        Self {
            messages_per_second: limits.messages_per_second,
            messages_burst: limits.messages_burst,
            bytes_per_second: limits.bytes_per_second,
            receive_maximum: limits.receive_maximum,
            in_flight_max: limits.in_flight_max,
            queue_messages_max: limits.queue_messages_max,
            queue_bytes_max: limits.queue_bytes_max,
            packet_bytes_max: limits.packet_bytes_max,
            keep_alive_seconds_max: limits.keep_alive_seconds_max,
            subscriptions_max: limits.subscriptions_max,
        }
    }
}

/// What clients get that are not allowed.
#[derive(Debug, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Otherwise {
    Next,
    Deny,
}

/// What the authorizer answers.
#[derive(Debug, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AnswerKind {
    Rules,
    DenyAll,
    Next,
}

/// One rule, passed on as it stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Allow, or deny.
    allow: bool,
    /// `publish`, `subscribe` or both.
    activity: Vec<Direction>,
    /// Topic filter.
    filter: String,
    /// QoS levels; none = all.
    qos: Option<Vec<u8>>,
    /// RETAIN flag.
    retain: Option<bool>,
    /// Shared subscription.
    shared: Option<bool>,
    /// Share name.
    share_name: Option<String>,
}

#[derive(Debug, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Direction {
    Publish,
    Subscribe,
}

impl Rule {
    pub(crate) fn compile(&self) -> PluginRule {
        let mut activity = Activity::empty();
        for direction in &self.activity {
            activity |= match direction {
                Direction::Publish => Activity::PUBLISH,
                Direction::Subscribe => Activity::SUBSCRIBE,
            };
        }
        let rule = if self.allow {
            PluginRule::allow(activity, self.filter.as_str())
        } else {
            PluginRule::deny(activity, self.filter.as_str())
        };
        let rule = rule.retain(condition(self.retain)).shared(condition(self.shared));
        let rule = match &self.qos {
            Some(levels) => rule.qos(qos_set(levels)),
            None => rule,
        };
        PluginRule { share_name: self.share_name.clone(), ..rule }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            anyone: false,
            otherwise: Otherwise::Next,
            reason_code: 0x87,
            reason: "not on the list".to_owned(),
            principal: None,
            groups: Vec::new(),
            attributes: Vec::new(),
            user_properties: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            granted_rules: Vec::new(),
            limits: None,
            answer: AnswerKind::Next,
            rules: Vec::new(),
            ttl_seconds: None,
        }
    }
}

fn qos_set(levels: &[u8]) -> QosSet {
    levels.iter().fold(QosSet::empty(), |set, level| set | QosSet::from_bits_truncate(1 << level))
}

const fn condition(value: Option<bool>) -> Condition {
    match value {
        None => Condition::Any,
        Some(true) => Condition::Yes,
        Some(false) => Condition::No,
    }
}
