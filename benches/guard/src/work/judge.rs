//! What a client may publish, by rules as an operator writes them.

use std::{hint::black_box, sync::Arc};

use access::{
    Activity, Answer, ClientLimits, Condition, Connection, Effect, HoldsFor, Identity,
    PermissionSet, Permissions, PublishRequest, QoSSet, Rule, Subject,
};
use codec::{ProtocolVersion, QoS};

use super::{Ready, TIMES};

/// Literal topics, subtrees, patterns with the client's name, a few denials.
fn rule(number: usize) -> Rule {
    let filter = match number % 4 {
        0 => format!("plant/{number}/state"),
        1 => format!("line-{number}/#"),
        2 => format!("device/${{clientid}}/{number}/+/value"),
        _ => format!("+/alarm/{number}"),
    };
    Rule {
        effect: if number % 10 == 9 { Effect::Deny } else { Effect::Allow },
        activity: Activity { publish: true, subscribe: true },
        filter,
        qos: QoSSet::ALL,
        retain: Condition::Any,
        shared: Condition::Any,
        share_name: None,
    }
}

fn subject() -> Subject {
    let connection = Connection {
        connection_id: 7,
        client_id: Arc::from("device-7"),
        username: None,
        listener: Arc::from("mqtt"),
        remote: ([127, 0, 0, 1], 40_000).into(),
        protocol: ProtocolVersion::V5,
        tls: None,
        attributes: Vec::new(),
    };
    let identity = Identity {
        principal: Arc::from("hans"),
        authenticated_by: Arc::from("guard"),
        groups: Vec::new(),
        attributes: Vec::new(),
        expires_at_unix: None,
        session_expiry_seconds_max: None,
        permissions: Vec::new(),
        limits: ClientLimits::default(),
        user_properties: Vec::new(),
    };
    Subject::new(&connection, Arc::new(identity))
}

/// By so many rules: a literal, a subtree, a pattern, and nothing that fits, in turn.
pub(super) fn publish(rules: usize) -> Ready {
    let set = PermissionSet {
        rules: (0..rules).map(rule).collect(),
        ttl_seconds: None,
        holds_for: HoldsFor::Client,
    };
    let answers = [(Arc::from("guard"), Answer::Permissions(set))];
    let permissions = Permissions::compile(&subject(), &answers);
    // Of many rules, so that it does not matter where the hash of this process puts one of them.
    let topics: Vec<_> = (0..rules)
        .step_by(20)
        .flat_map(|number| {
            [
                (format!("plant/{number}/state"), true),
                (format!("line-{}/motor/4/speed", number + 1), true),
                (format!("device/device-7/{}/motor/value", number + 2), true),
                (format!("somewhere/else/{number}"), false),
            ]
        })
        .collect();
    Box::new(move || {
        let Ok(permissions) = &permissions else { return 0 };
        let mut judged = 0;
        for (topic, allowed) in topics.iter().cycle().take(TIMES) {
            let request =
                PublishRequest { topic: black_box(topic), qos: QoS::AtLeastOnce, retain: false };
            judged += usize::from(permissions.permit_publish(request).is_ok() == *allowed);
        }
        judged
    })
}
