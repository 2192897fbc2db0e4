//! Rules as EMQX reads them from a token or a webhook: a list of objects, or its older form of
//! three lists of topics.
//!
//! What EMQX can say and a rule here cannot is an error: a regular expression for the client, an
//! address, and `eq` before a filter with wildcards.

use portcullis_plugin::{Activity, Condition, Effect, QosSet, Rule};
use serde_json::{Map, Value};

use crate::{configured::condition, qos, topic};

/// `[{"permission": "allow", "action": "publish", "topic": "t/${clientid}"}]`.
///
/// # Errors
/// A sentence that fits behind "acl: ".
pub fn from_list(value: &Value) -> Result<Vec<Rule>, String> {
    let Value::Array(list) = value else { return Err("it is no list of rules".to_owned()) };
    let mut rules = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let read = match item {
            Value::Object(fields) => read(fields, &mut rules),
            _ => Err("it is no object".to_owned()),
        };
        read.map_err(|what| format!("rule {}: {what}", index + 1))?;
        if rules.len() > RULES_MAX {
            return Err(format!("it has over {RULES_MAX} rules"));
        }
    }
    Ok(rules)
}

/// The same, or `{"pub": [...], "sub": [...], "all": [...]}`, topics that are permitted.
///
/// # Errors
/// As [`from_list`].
pub fn from_list_or_lists(value: &Value) -> Result<Vec<Rule>, String> {
    let Value::Object(lists) = value else { return from_list(value) };
    let mut rules = Vec::new();
    for (name, topics) in lists {
        let activity = activity(name).ok_or_else(|| format!("{name:?} is not pub, sub or all"))?;
        let Value::Array(topics) = topics else { return Err(format!("{name} is no list")) };
        for topic in topics {
            let filter = filter(topic).map_err(|what| format!("{name}: {what}"))?;
            rules.push(Rule::allow(activity, filter));
        }
    }
    match rules.len() > RULES_MAX {
        true => Err(format!("it has over {RULES_MAX} rules")),
        false => Ok(rules),
    }
}

fn read(fields: &Map<String, Value>, rules: &mut Vec<Rule>) -> Result<(), String> {
    let (mut effect, mut activity, mut topics) = (None, None, Vec::new());
    let (mut levels, mut retain) = (QosSet::all(), Condition::Any);
    for (name, value) in fields {
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            "permission" => {
                effect = Some(self::effect(text).ok_or("its permission is allow or deny")?);
            }
            "action" => {
                let known =
                    self::activity(text).ok_or("its action is publish, subscribe or all")?;
                activity = Some(known);
            }
            "topic" => topics.push(filter(value)?),
            "topics" => {
                let list = value.as_array().ok_or("its topics are no list")?;
                for topic in list {
                    topics.push(filter(topic)?);
                }
            }
            "qos" => levels = self::levels(value).ok_or("its qos is no list of 0, 1 and 2")?,
            "retain" => {
                retain = self::retain(value).ok_or("its retain is true, false or all")?;
            }
            other => return Err(format!("its {other:?} is not known here")),
        }
    }
    let effect = effect.ok_or("it has no permission")?;
    let activity = activity.ok_or("it has no action")?;
    if topics.is_empty() {
        return Err("it has no topic".to_owned());
    }
    rules.extend(topics.into_iter().map(|topic| {
        let rule = match effect {
            Effect::Allow => Rule::allow(activity, topic),
            Effect::Deny => Rule::deny(activity, topic),
        };
        rule.qos(levels).retain(retain)
    }));
    Ok(())
}

fn effect(text: &str) -> Option<Effect> {
    match text {
        "allow" => Some(Effect::Allow),
        "deny" => Some(Effect::Deny),
        _ => None,
    }
}

fn activity(text: &str) -> Option<Activity> {
    match text {
        "pub" | "publish" => Some(Activity::PUBLISH),
        "sub" | "subscribe" => Some(Activity::SUBSCRIBE),
        "all" => Some(Activity::PUBLISH | Activity::SUBSCRIBE),
        _ => None,
    }
}

/// `eq` takes what stands behind it literally; without wildcards and variables that is what any
/// rule does.
fn filter(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or("its topic is no text")?;
    let filter = match text.strip_prefix("eq ") {
        Some(literal) if literal.contains(['+', '#']) || literal.contains("${") => {
            return Err("its topic: `eq` before wildcards or variables has no rule here".to_owned());
        }
        Some(literal) => literal,
        None => text,
    };
    topic::check(filter)?;
    Ok(filter.to_owned())
}

/// A level, a list of levels, or a text with commas between them.
fn levels(value: &Value) -> Option<QosSet> {
    let level = |value: &Value| match value {
        Value::Number(number) => qos(number.as_u64()?),
        Value::String(text) => qos(text.parse().ok()?),
        _ => None,
    };
    let set = match value {
        Value::Null => return Some(QosSet::all()),
        Value::Array(list) => list.iter().map(level).collect::<Option<Vec<_>>>()?,
        Value::String(text) => {
            text.split(',').map(|level| qos(level.parse().ok()?)).collect::<Option<Vec<_>>>()?
        }
        one => vec![level(one)?],
    };
    let set = set.into_iter().fold(QosSet::empty(), |set, level| set | level);
    (!set.is_empty()).then_some(set)
}

fn retain(value: &Value) -> Option<Condition> {
    match value {
        Value::Bool(retain) => Some(condition(*retain)),
        Value::Null => Some(Condition::Any),
        Value::Number(number) => match number.as_u64()? {
            0 => Some(Condition::No),
            1 => Some(Condition::Yes),
            _ => None,
        },
        Value::String(text) => match text.as_str() {
            "all" => Some(Condition::Any),
            "true" | "1" => Some(Condition::Yes),
            "false" | "0" => Some(Condition::No),
            _ => None,
        },
        _ => None,
    }
}

/// What the contract allows in one grant.
const RULES_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
