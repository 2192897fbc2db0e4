//! Who a session belongs to, as the store keeps it: what permissions and queues of a client that is
//! away depend on.

use std::sync::Arc;

use access::{Activity, ClientLimits, Condition, Effect, GrantedRules, Identity, QoSSet, Rule};
use store::{KeptIdentity, KeptRule, KeptRules};

pub(crate) fn to_kept(identity: &Identity) -> KeptIdentity {
    KeptIdentity {
        principal: identity.principal.to_string(),
        authenticated_by: identity.authenticated_by.to_string(),
        groups: identity.groups.clone(),
        attributes: identity.attributes.clone(),
        expires_at_unix: identity.expires_at_unix,
        permissions: identity
            .permissions
            .iter()
            .map(|granted| KeptRules {
                link: granted.link.to_string(),
                rules: granted.rules.iter().map(kept_rule).collect(),
            })
            .collect(),
        queue_messages_max: identity.limits.queue_messages_max,
        queue_bytes_max: identity.limits.queue_bytes_max,
    }
}

pub(crate) fn from_kept(kept: KeptIdentity) -> Identity {
    let granted = |kept: KeptRules| GrantedRules {
        link: Arc::from(kept.link),
        rules: kept.rules.into_iter().map(rule).collect(),
    };
    Identity {
        principal: kept.principal.into(),
        authenticated_by: kept.authenticated_by.into(),
        groups: kept.groups,
        attributes: kept.attributes,
        permissions: kept.permissions.into_iter().map(granted).collect(),
        expires_at_unix: kept.expires_at_unix,
        session_expiry_seconds_max: None,
        limits: ClientLimits {
            queue_messages_max: kept.queue_messages_max,
            queue_bytes_max: kept.queue_bytes_max,
            ..ClientLimits::default()
        },
        user_properties: Vec::new(),
    }
}

fn kept_rule(rule: &Rule) -> KeptRule {
    KeptRule {
        allow: rule.effect == Effect::Allow,
        publish: rule.activity.publish,
        subscribe: rule.activity.subscribe,
        filter: rule.filter.clone(),
        qos: rule.qos.0,
        retain: kept_condition(rule.retain),
        shared: kept_condition(rule.shared),
        share_name: rule.share_name.clone(),
    }
}

fn rule(kept: KeptRule) -> Rule {
    Rule {
        effect: if kept.allow { Effect::Allow } else { Effect::Deny },
        activity: Activity { publish: kept.publish, subscribe: kept.subscribe },
        filter: kept.filter,
        qos: QoSSet(kept.qos),
        retain: condition(kept.retain),
        shared: condition(kept.shared),
        share_name: kept.share_name,
    }
}

fn kept_condition(condition: Condition) -> Option<bool> {
    match condition {
        Condition::Any => None,
        Condition::Yes => Some(true),
        Condition::No => Some(false),
    }
}

fn condition(kept: Option<bool>) -> Condition {
    match kept {
        None => Condition::Any,
        Some(true) => Condition::Yes,
        Some(false) => Condition::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_grant_said_comes_back() {
        let rule = |effect, retain, share_name: Option<&str>| Rule {
            effect,
            activity: Activity { publish: true, subscribe: false },
            filter: "a/${clientid}/#".to_owned(),
            qos: QoSSet(0b101),
            retain,
            shared: Condition::No,
            share_name: share_name.map(str::to_owned),
        };
        let rules = [
            rule(Effect::Allow, Condition::Any, None),
            rule(Effect::Deny, Condition::Yes, Some("group")),
        ];
        let limits = ClientLimits {
            queue_messages_max: Some(3),
            queue_bytes_max: Some(5),
            ..ClientLimits::default()
        };
        let identity = Identity {
            principal: "alice".into(),
            authenticated_by: "jwt".into(),
            groups: vec!["g".to_owned()],
            attributes: vec![("site".to_owned(), "1".to_owned())],
            permissions: vec![GrantedRules { link: "jwt".into(), rules: rules.into() }],
            expires_at_unix: Some(7),
            session_expiry_seconds_max: None,
            limits,
            user_properties: Vec::new(),
        };
        assert_eq!(from_kept(to_kept(&identity)), identity);
    }
}
