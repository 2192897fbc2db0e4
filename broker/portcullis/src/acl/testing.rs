//! Rules of a file as the broker compiles them: for tests that compare files by what they permit.

use std::{net::Ipv4Addr, sync::Arc};

use access::{
    Activity, Answer, ClientLimits, Condition, HoldsFor, Identity, PermissionSet, Permissions,
    QoSSet, Refusal, Subject,
};
use acl_rules::{Document, Effect, Rule, Selected, Who};

/// What a file permits a client, as the plugin and the broker make it.
pub(crate) fn permissions(
    document: &Document,
    principal: &str,
    client_id: &str,
) -> Result<Permissions, Refusal> {
    let who = Who { principal, client_id, remote_address: "127.0.0.1", ..Who::default() };
    match document.select(&who) {
        Selected::Rules(rules) => {
            compile(rules.iter().map(|(rule, topic)| (*rule, &**topic)), principal, client_id)
        }
        Selected::DenyAll(_) => compile([], principal, client_id),
    }
}

/// These rules with these topics, compiled.
pub(crate) fn compile<'r>(
    rules: impl IntoIterator<Item = (&'r Rule, &'r str)>,
    principal: &str,
    client_id: &str,
) -> Result<Permissions, Refusal> {
    let rules = rules.into_iter().map(|(rule, topic)| access::Rule {
        effect: match rule.effect {
            Effect::Allow => access::Effect::Allow,
            Effect::Deny => access::Effect::Deny,
        },
        activity: Activity { publish: rule.publish, subscribe: rule.subscribe },
        filter: topic.to_owned(),
        qos: QoSSet((0..3).filter(|level| rule.qos[*level]).map(|level| 1 << level).sum()),
        retain: condition(rule.retain),
        shared: condition(rule.shared),
        share_name: rule.share_name.clone(),
    });
    let holds_for = HoldsFor::Client;
    let set = PermissionSet { rules: rules.collect(), ttl_seconds: None, holds_for };
    let answers = [(Arc::from("acl-file"), Answer::Permissions(set))];
    Permissions::compile(&subject(principal, client_id), &answers)
}

fn subject(principal: &str, client_id: &str) -> Subject {
    let identity = Identity {
        principal: principal.into(),
        authenticated_by: "password-file".into(),
        groups: Vec::new(),
        attributes: Vec::new(),
        permissions: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        limits: ClientLimits::default(),
        user_properties: Vec::new(),
    };
    Subject {
        identity: Arc::new(identity),
        client_id: client_id.into(),
        listener: "mqtt".into(),
        remote: Ipv4Addr::LOCALHOST.into(),
        protocol: codec::ProtocolVersion::V5,
        certificate: None,
    }
}

fn condition(value: Option<bool>) -> Condition {
    match value {
        None => Condition::Any,
        Some(true) => Condition::Yes,
        Some(false) => Condition::No,
    }
}
