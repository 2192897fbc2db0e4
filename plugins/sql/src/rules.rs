//! A row of the operator's statement as a rule.

use portcullis_plugin::{Activity, Condition, Effect, Error, QosSet, Rule};

use crate::rows::{Flag, Row, Rows};

pub(crate) fn check_columns(rows: &Rows) -> Result<(), Error> {
    rows.check_columns(&["activity", "topic"], &["username", "effect", "qos", "retain", "shared"])
}

/// # Errors
/// A column that is not understood.
pub(crate) fn read(row: Row<'_>) -> Result<Rule, Error> {
    let activity = match row.needed_text("activity")? {
        "publish" => Activity::PUBLISH,
        "subscribe" => Activity::SUBSCRIBE,
        "all" => Activity::PUBLISH | Activity::SUBSCRIBE,
        _ => return Err(row.wrong("activity", "is none of publish, subscribe, all")),
    };
    let effect = match row.text("effect")? {
        None | Some("allow") => Effect::Allow,
        Some("deny") => Effect::Deny,
        Some(_) => return Err(row.wrong("effect", "is neither allow nor deny")),
    };
    let mut rule = Rule::allow(activity, row.needed_text("topic")?);
    rule.effect = effect;
    rule.qos = qos(row)?;
    rule.retain = condition(row.boolean("retain")?);
    match row.boolean_or_text("shared")? {
        Some(Flag::Text(name)) => rule = rule.share_name(name),
        Some(Flag::Boolean(shared)) => rule.shared = condition(Some(shared)),
        None => {}
    }
    Ok(rule)
}

fn qos(row: Row<'_>) -> Result<QosSet, Error> {
    let Some(numbers) = row.numbers("qos")? else {
        return Ok(QosSet::all());
    };
    let mut set = QosSet::empty();
    for number in numbers {
        set |= match number {
            0 => QosSet::AT_MOST_ONCE,
            1 => QosSet::AT_LEAST_ONCE,
            2 => QosSet::EXACTLY_ONCE,
            _ => return Err(row.wrong("qos", "is none of 0, 1, 2")),
        };
    }
    Ok(set)
}

fn condition(value: Option<bool>) -> Condition {
    match value {
        None => Condition::Any,
        Some(true) => Condition::Yes,
        Some(false) => Condition::No,
    }
}
