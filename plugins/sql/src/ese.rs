//! The schema of HiveMQ's Enterprise Security Extension, read as it is.

use portcullis_plugin::{Activity, Condition, Error, QosSet, Rule};

use crate::{parameter::Parameter, rows::Row, settings::Statement};

/// What the extension's own examples cost.
pub(crate) const EXAMPLE_HASH: &str = "$ese-sha512$100$bm9ib2R5J3Mgc2FsdA==\
     $BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==";

/// The costliest of the users.
pub(crate) const EXAMPLE: &str = "\
    SELECT username, password, password_iterations, password_salt, algorithm FROM users \
    WHERE algorithm IN ('SHA512', 'PKCS5S2') ORDER BY algorithm, password_iterations DESC LIMIT 1";

const USERS: &str = "\
    SELECT username, password, password_iterations, password_salt, algorithm FROM users \
    WHERE username = ?";

const ROLES: &str = "\
    SELECT users.username, roles.name FROM users \
    JOIN user_roles ON user_roles.user_id = users.id \
    JOIN roles ON roles.id = user_roles.role_id \
    WHERE users.username = ?";

/// Those of the user, and those of its roles.
const PERMISSIONS: &str = "\
    SELECT users.username, permissions.topic, permissions.publish_allowed, \
    permissions.subscribe_allowed, permissions.qos_0_allowed, permissions.qos_1_allowed, \
    permissions.qos_2_allowed, permissions.retained_msgs_allowed, permissions.shared_sub_allowed, \
    permissions.shared_group FROM users \
    JOIN user_permissions ON user_permissions.user_id = users.id \
    JOIN permissions ON permissions.id = user_permissions.permission \
    WHERE users.username = ? \
    UNION \
    SELECT users.username, permissions.topic, permissions.publish_allowed, \
    permissions.subscribe_allowed, permissions.qos_0_allowed, permissions.qos_1_allowed, \
    permissions.qos_2_allowed, permissions.retained_msgs_allowed, permissions.shared_sub_allowed, \
    permissions.shared_group FROM users \
    JOIN user_roles ON user_roles.user_id = users.id \
    JOIN role_permissions ON role_permissions.role = user_roles.role_id \
    JOIN permissions ON permissions.id = role_permissions.permission \
    WHERE users.username = ?";

pub(crate) fn users() -> Statement {
    Statement { query: USERS.to_owned(), parameters: vec![Parameter::Username] }
}

pub(crate) fn roles() -> Statement {
    Statement { query: ROLES.to_owned(), parameters: vec![Parameter::Principal] }
}

pub(crate) fn permissions() -> Statement {
    let parameters = vec![Parameter::Principal, Parameter::Principal];
    Statement { query: PERMISSIONS.to_owned(), parameters }
}

/// All of them permit, so that their order does not matter.
pub(crate) fn rules(rows: Vec<Row<'_>>) -> Result<Vec<Rule>, Error> {
    let mut rules = Vec::new();
    for row in rows {
        permitted(row, &mut rules)?;
    }
    Ok(rules)
}

fn permitted(row: Row<'_>, rules: &mut Vec<Rule>) -> Result<(), Error> {
    let topic = topic(row)?;
    let mut qos = QosSet::empty();
    for (column, level) in [
        ("qos_0_allowed", QosSet::AT_MOST_ONCE),
        ("qos_1_allowed", QosSet::AT_LEAST_ONCE),
        ("qos_2_allowed", QosSet::EXACTLY_ONCE),
    ] {
        if row.needed_boolean(column)? {
            qos |= level;
        }
    }
    if row.needed_boolean("publish_allowed")? {
        let retained = row.needed_boolean("retained_msgs_allowed")?;
        let retain = if retained { Condition::Any } else { Condition::No };
        rules.push(Rule::allow(Activity::PUBLISH, &*topic).qos(qos).retain(retain));
    }
    if row.needed_boolean("subscribe_allowed")? {
        let rule = Rule::allow(Activity::SUBSCRIBE, &*topic).qos(qos);
        if row.needed_boolean("shared_sub_allowed")? {
            // Nothing and # are every group.
            let group = row.text("shared_group")?.filter(|group| !matches!(*group, "" | "#"));
            rules.push(match group {
                Some(group) => rule.clone().share_name(group),
                None => rule.clone().shared(Condition::Yes),
            });
        }
        rules.push(rule.shared(Condition::No));
    }
    Ok(())
}

/// With the broker's own variables. One with a value that has more than one level permits nothing.
fn topic(row: Row<'_>) -> Result<String, Error> {
    let mut topic = row.needed_text("topic")?.to_owned();
    for (theirs, ours) in VARIABLES {
        topic = topic.replace(&format!("${{{{{theirs}}}}}"), ours);
        topic = topic.replace(&format!("${{{theirs}}}"), ours);
    }
    let rest = topic.replace("${clientid}", "").replace("${username}", "");
    match rest.contains("${") {
        true => Err(row.wrong("topic", "has a variable that is not known here")),
        false => Ok(topic),
    }
}

const VARIABLES: [(&str, &str); 6] = [
    ("mqtt-clientid", "${clientid}"),
    ("mqtt-username", "${username}"),
    ("authentication-key", "${username}"),
    ("authorization-key", "${username}"),
    ("clientid", "${clientid}"),
    ("username", "${username}"),
];

#[cfg(test)]
mod tests;
