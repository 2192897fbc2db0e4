//! The file format: TOML text to checked rules, or a sentence with the line that is wrong. Knows
//! what a file may say; `keys` reads the keys of one rule.

mod keys;

use std::{collections::BTreeMap, fmt};

use toml::de::{DeTable, DeValue};

use crate::{
    Document,
    value::{self, Located, Value, Wrong},
};

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u32,
    /// A sentence for the operator.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong, and where: of several faults the first that was found.
pub fn parse(text: &str) -> Result<Document, Fault> {
    let document = DeTable::parse(text).map_err(|error| {
        // The parser's own display draws the line with a marker under it: too much for one line of
        // a log.
        let at = error.span().map_or(0, |span| span.start);
        Wrong::at(at, error.message().replace('\n', "; ")).fault(text)
    })?;
    read_document(text, document.into_inner()).map_err(|wrong| wrong.fault(text))
}

fn read_document(text: &str, document: DeTable<'_>) -> Result<Document, Wrong> {
    let mut read = Document::default();
    for (key, value) in &document {
        match key.get_ref().as_ref() {
            "rules" => read.rules = rules(text, value)?,
            "groups" => read.groups = groups(key, value)?,
            "names_with_wildcards" => read.deny_wildcard_names = is_deny(key, value)?,
            _ => return Err(value::unknown_key(key, &KEYS)),
        }
    }
    Ok(read)
}

fn rules(text: &str, value: &Value<'_>) -> Result<Vec<crate::Rule>, Wrong> {
    let DeValue::Array(array) = value.get_ref() else {
        return Err(Wrong::at(value.span().start, "`rules` are tables: write [[rules]]"));
    };
    if array.len() > RULES_MAX {
        let text = format!("{} rules; at most {RULES_MAX} are allowed", array.len());
        return Err(Wrong::at(value.span().start, text));
    }
    let mut lines = value::Lines::of(text);
    array.iter().map(|rule| keys::read_rule(rule, lines.number(rule.span().start))).collect()
}

/// `[groups]`, `name = ["user", ...]`. A group without members is one that nobody is in yet.
fn groups(key: &Located<'_>, value: &Value<'_>) -> Result<BTreeMap<String, Vec<String>>, Wrong> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(value::wrong_type(key, value, "a table: write [groups]"));
    };
    let mut groups = BTreeMap::new();
    for (name, members) in table {
        if name.get_ref().is_empty() {
            return Err(Wrong::at(name.span().start, "a group has a name"));
        }
        let DeValue::Array(array) = members.get_ref() else {
            return Err(value::wrong_type(name, members, "a list of users"));
        };
        let members = array.iter().map(|member| value::name(name, member));
        groups.insert(name.get_ref().clone().into_owned(), members.collect::<Result<_, _>>()?);
    }
    Ok(groups)
}

fn is_deny(key: &Located<'_>, value: &Value<'_>) -> Result<bool, Wrong> {
    match value::text(key, value)? {
        "deny" => Ok(true),
        "allow" => Ok(false),
        _ => Err(value::wrong_type(key, value, "\"deny\" or \"allow\"")),
    }
}

/// What the contract allows in one answer.
pub const RULES_MAX: usize = 10_000;
const KEYS: [&str; 3] = ["rules", "groups", "names_with_wildcards"];

#[cfg(test)]
mod tests;
