//! The file format: TOML text to checked rules, or a sentence with the line that is wrong. Knows
//! what a rule may say; what a topic may be is `topic`'s.

use portcullis_plugin::{Activity, Condition, QosSet, Rule};
use toml::de::{DeTable, DeValue};

use crate::{
    list::ScopedRule,
    topic,
    value::{self, Located, Value, Wrong},
};

/// Reads the whole file.
///
/// # Errors
/// A sentence with the number of the line, for the operator.
pub(crate) fn parse(text: &str) -> Result<Vec<ScopedRule>, String> {
    let document = DeTable::parse(text).map_err(|error| {
        // The parser's own display draws the line with a marker under it: too much for one line of
        // a log.
        let at = error.span().map_or(0, |span| span.start);
        Wrong::at(at, error.message().replace('\n', "; ")).sentence(text)
    })?;
    read_document(document.into_inner()).map_err(|wrong| wrong.sentence(text))
}

fn read_document(document: DeTable<'_>) -> Result<Vec<ScopedRule>, Wrong> {
    let mut rules = Vec::new();
    for (key, value) in document {
        if key.get_ref() != "rules" {
            return Err(value::unknown_key(&key, &["rules"]));
        }
        let DeValue::Array(array) = value.get_ref() else {
            return Err(Wrong::at(value.span().start, "`rules` are tables: write [[rules]]"));
        };
        if array.len() > RULES_MAX {
            let text = format!("{} rules; at most {RULES_MAX} are allowed", array.len());
            return Err(Wrong::at(value.span().start, text));
        }
        for rule in array.iter() {
            rules.push(read_rule(rule)?);
        }
    }
    Ok(rules)
}

/// No key has a default that would widen an allow by a spelling mistake: unknown keys are errors.
fn read_rule(rule: &Value<'_>) -> Result<ScopedRule, Wrong> {
    let start = rule.span().start;
    let DeValue::Table(table) = rule.get_ref() else {
        return Err(Wrong::at(start, "`rules` are tables: write [[rules]]"));
    };
    let mut found = FoundKeys::default();
    for (key, value) in table {
        found.read(key, value)?;
    }
    found.into_rule().map_err(|text| Wrong::at(start, text))
}

/// The keys of one rule, each checked by itself.
#[derive(Default)]
struct FoundKeys {
    allow: Option<Activity>,
    deny: Option<Activity>,
    topic: Option<String>,
    user: Option<String>,
    group: Option<String>,
    client_id: Option<String>,
    qos: Option<QosSet>,
    retain: Option<Condition>,
    shared: Option<Shared>,
}

enum Shared {
    Any(Condition),
    Named(String),
}

impl FoundKeys {
    fn read(&mut self, key: &Located<'_>, value: &Value<'_>) -> Result<(), Wrong> {
        let wrong = |text| Wrong::at(value.span().start, text);
        match key.get_ref().as_ref() {
            "allow" => self.allow = Some(activity(key, value)?),
            "deny" => self.deny = Some(activity(key, value)?),
            "topic" => {
                let filter = value::text(key, value)?;
                topic::check(filter).map_err(wrong)?;
                self.topic = Some(filter.to_owned());
            }
            "user" => self.user = Some(value::name(key, value)?),
            "group" => self.group = Some(value::name(key, value)?),
            "client_id" => self.client_id = Some(value::name(key, value)?),
            "qos" => self.qos = Some(qos_set(key, value)?),
            "retain" => self.retain = Some(condition(value::flag(key, value)?)),
            "shared" => self.shared = Some(shared(key, value)?),
            _ => return Err(value::unknown_key(key, &KEYS)),
        }
        Ok(())
    }

    fn into_rule(self) -> Result<ScopedRule, &'static str> {
        let topic = self.topic.ok_or("a rule has a `topic`")?;
        let rule = match (self.allow, self.deny) {
            (Some(activity), None) => Rule::allow(activity, topic),
            (None, Some(activity)) => Rule::deny(activity, topic),
            _ => return Err("a rule has either `allow` or `deny`"),
        };
        let rule = rule
            .qos(self.qos.unwrap_or(QosSet::all()))
            .retain(self.retain.unwrap_or(Condition::Any));
        let rule = match self.shared {
            None => rule,
            Some(Shared::Any(condition)) => rule.shared(condition),
            Some(Shared::Named(name)) => rule.share_name(name),
        };
        Ok(ScopedRule { rule, user: self.user, group: self.group, client_id: self.client_id })
    }
}

fn activity(key: &Located<'_>, value: &Value<'_>) -> Result<Activity, Wrong> {
    match value::text(key, value)? {
        "publish" => Ok(Activity::PUBLISH),
        "subscribe" => Ok(Activity::SUBSCRIBE),
        "all" => Ok(Activity::PUBLISH | Activity::SUBSCRIBE),
        _ => Err(value::wrong_type(key, value, "\"publish\", \"subscribe\" or \"all\"")),
    }
}

fn qos_set(key: &Located<'_>, value: &Value<'_>) -> Result<QosSet, Wrong> {
    const EXPECTED: &str = "a list of the levels 0, 1 and 2, not empty";
    let DeValue::Array(levels) = value.get_ref() else {
        return Err(value::wrong_type(key, value, EXPECTED));
    };
    let mut set = QosSet::empty();
    for level in levels.iter() {
        set |= match level.get_ref() {
            DeValue::Integer(number) if number.as_str() == "0" => QosSet::AT_MOST_ONCE,
            DeValue::Integer(number) if number.as_str() == "1" => QosSet::AT_LEAST_ONCE,
            DeValue::Integer(number) if number.as_str() == "2" => QosSet::EXACTLY_ONCE,
            _ => return Err(value::wrong_type(key, value, EXPECTED)),
        };
    }
    if set.is_empty() {
        return Err(value::wrong_type(key, value, EXPECTED));
    }
    Ok(set)
}

fn shared(key: &Located<'_>, value: &Value<'_>) -> Result<Shared, Wrong> {
    match value.get_ref() {
        DeValue::Boolean(shared) => Ok(Shared::Any(condition(*shared))),
        DeValue::String(name) if topic::is_share_name(name) => Ok(Shared::Named(name.to_string())),
        _ => Err(value::wrong_type(key, value, "true, false or a share name")),
    }
}

const fn condition(value: bool) -> Condition {
    if value { Condition::Yes } else { Condition::No }
}

/// What the contract allows in one answer.
const RULES_MAX: usize = 10_000;
const KEYS: [&str; 9] =
    ["allow", "deny", "topic", "user", "group", "client_id", "qos", "retain", "shared"];

#[cfg(test)]
mod tests;
