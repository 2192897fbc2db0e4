//! The keys of one rule. No key has a default that would widen an allow by a spelling mistake:
//! unknown keys are errors, and so are lists that are empty.

use toml::de::DeValue;

use crate::{
    Block, CertificateScope, Effect, Rule, Scope, topic,
    value::{self, Located, Value, Wrong},
};

/// Reads one rule, which begins on this line.
pub(super) fn read_rule(rule: &Value<'_>, line: u32) -> Result<Rule, Wrong> {
    let start = rule.span().start;
    let DeValue::Table(table) = rule.get_ref() else {
        return Err(Wrong::at(start, "`rules` are tables: write [[rules]]"));
    };
    let mut found = FoundKeys::default();
    for (key, value) in table {
        found.read(key, value)?;
    }
    found.into_rule(line).map_err(|text| Wrong::at(start, text))
}

/// The keys of one rule, each checked by itself.
#[derive(Default)]
struct FoundKeys {
    allow: Option<Activity>,
    deny: Option<Activity>,
    topic: Option<String>,
    qos: Option<[bool; 3]>,
    retain: Option<bool>,
    shared: Option<bool>,
    share_name: Option<String>,
    scope: Scope,
}

#[derive(Clone, Copy)]
struct Activity {
    publish: bool,
    subscribe: bool,
}

impl FoundKeys {
    fn read(&mut self, key: &Located<'_>, value: &Value<'_>) -> Result<(), Wrong> {
        let scope = &mut self.scope;
        match key.get_ref().as_ref() {
            "allow" => self.allow = Some(activity(key, value)?),
            "deny" => self.deny = Some(activity(key, value)?),
            "topic" => {
                let filter = value::text(key, value)?;
                topic::check(filter).map_err(|text| Wrong::at(value.span().start, text))?;
                self.topic = Some(filter.to_owned());
            }
            "user" => scope.users = value::names(key, value)?,
            "group" => scope.groups = value::names(key, value)?,
            "client_id" => scope.client_ids = value::names(key, value)?,
            "listener" => scope.listeners = value::names(key, value)?,
            "authenticated_by" => scope.authenticated_by = value::names(key, value)?,
            "address" => scope.addresses = blocks(key, value)?,
            "attributes" => scope.attributes = attributes(key, value)?,
            "certificate" => scope.certificate = Some(Box::new(certificate(key, value)?)),
            "qos" => self.qos = Some(qos_set(key, value)?),
            "retain" => self.retain = Some(value::flag(key, value)?),
            "shared" => (self.shared, self.share_name) = shared(key, value)?,
            _ => return Err(value::unknown_key(key, &KEYS)),
        }
        Ok(())
    }

    fn into_rule(self, line: u32) -> Result<Rule, &'static str> {
        let topic = self.topic.ok_or("a rule has a `topic`")?;
        let (effect, activity) = match (self.allow, self.deny) {
            (Some(activity), None) => (Effect::Allow, activity),
            (None, Some(activity)) => (Effect::Deny, activity),
            _ => return Err("a rule has either `allow` or `deny`"),
        };
        Ok(Rule {
            line,
            effect,
            publish: activity.publish,
            subscribe: activity.subscribe,
            topic,
            qos: self.qos.unwrap_or([true; 3]),
            retain: self.retain,
            shared: self.shared,
            share_name: self.share_name,
            scope: self.scope,
        })
    }
}

fn activity(key: &Located<'_>, value: &Value<'_>) -> Result<Activity, Wrong> {
    match value::text(key, value)? {
        "publish" => Ok(Activity { publish: true, subscribe: false }),
        "subscribe" => Ok(Activity { publish: false, subscribe: true }),
        "all" => Ok(Activity { publish: true, subscribe: true }),
        _ => Err(value::wrong_type(key, value, "\"publish\", \"subscribe\" or \"all\"")),
    }
}

fn qos_set(key: &Located<'_>, value: &Value<'_>) -> Result<[bool; 3], Wrong> {
    const EXPECTED: &str = "a list of the levels 0, 1 and 2, not empty";
    let DeValue::Array(levels) = value.get_ref() else {
        return Err(value::wrong_type(key, value, EXPECTED));
    };
    let mut set = [false; 3];
    for level in levels.iter() {
        let chosen = match level.get_ref() {
            DeValue::Integer(number) => {
                set.iter_mut().zip(["0", "1", "2"]).find(|(_, level)| number.as_str() == *level)
            }
            _ => None,
        };
        let Some((chosen, _)) = chosen else {
            return Err(value::wrong_type(key, value, EXPECTED));
        };
        *chosen = true;
    }
    if set == [false; 3] {
        return Err(value::wrong_type(key, value, EXPECTED));
    }
    Ok(set)
}

type Shared = (Option<bool>, Option<String>);

fn shared(key: &Located<'_>, value: &Value<'_>) -> Result<Shared, Wrong> {
    match value.get_ref() {
        DeValue::Boolean(shared) => Ok((Some(*shared), None)),
        DeValue::String(name) if topic::is_share_name(name) => {
            Ok((Some(true), Some(name.to_string())))
        }
        _ => Err(value::wrong_type(key, value, "true, false or a share name")),
    }
}

fn blocks(key: &Located<'_>, value: &Value<'_>) -> Result<Vec<Block>, Wrong> {
    value::each(key, value, |text| {
        Block::parse(&text).map_err(|what| format!("`{}`: {what}", key.get_ref()))
    })
}

fn attributes(key: &Located<'_>, value: &Value<'_>) -> Result<Vec<(String, Vec<String>)>, Wrong> {
    let table = table(key, value)?;
    let attribute = |(name, values): (&Located<'_>, &Value<'_>)| {
        Ok((name.get_ref().clone().into_owned(), value::names(name, values)?))
    };
    table.iter().map(attribute).collect()
}

fn certificate(key: &Located<'_>, value: &Value<'_>) -> Result<CertificateScope, Wrong> {
    let mut scope = CertificateScope::default();
    for (field, value) in table(key, value)? {
        match field.get_ref().as_ref() {
            "common_name" => scope.common_names = value::names(field, value)?,
            "dns_name" => scope.dns_names = value::names(field, value)?,
            "uri" => scope.uris = value::names(field, value)?,
            "email_name" => scope.email_names = value::names(field, value)?,
            "subject" => scope.subjects = value::names(field, value)?,
            "issuer" => scope.issuers = value::names(field, value)?,
            "serial" => scope.serials = value::each(field, value, |text| hexadecimal(&text, None))?,
            "sha256" => {
                scope.sha256 = value::each(field, value, |text| hexadecimal(&text, Some(64)))?;
            }
            _ => return Err(value::unknown_key(field, &CERTIFICATE_KEYS)),
        }
    }
    Ok(scope)
}

/// As the contract writes it: lower case, without the colons that other tools put in.
fn hexadecimal(text: &str, digits: Option<usize>) -> Result<String, String> {
    let text = text.replace(':', "").to_ascii_lowercase();
    let length = digits.is_none_or(|digits| text.len() == digits);
    if text.is_empty() || !length || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let digits = digits.map(|digits| format!("{digits} ")).unwrap_or_default();
        return Err(format!("write {digits}hexadecimal digits"));
    }
    Ok(text)
}

/// A table that says something: an empty one would be for everyone.
fn table<'v>(key: &Located<'_>, value: &'v Value<'_>) -> Result<&'v toml::de::DeTable<'v>, Wrong> {
    match value.get_ref() {
        DeValue::Table(table) if !table.is_empty() => Ok(table),
        _ => Err(value::wrong_type(key, value, "a table, not empty: write { name = \"value\" }")),
    }
}

const KEYS: [&str; 14] = [
    "allow",
    "deny",
    "topic",
    "user",
    "group",
    "client_id",
    "listener",
    "address",
    "certificate",
    "authenticated_by",
    "attributes",
    "qos",
    "retain",
    "shared",
];
const CERTIFICATE_KEYS: [&str; 8] =
    ["common_name", "dns_name", "uri", "email_name", "subject", "issuer", "serial", "sha256"];
