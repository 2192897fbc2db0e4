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
    let mut read = Read::default();
    let mut line = 0;
    for piece in pieces(text) {
        read.piece(piece, line).map_err(|wrong| wrong.fault(piece, line))?;
        line += piece.matches('\n').count();
    }
    Ok(read.document)
}

/// The parsed tree of a large file would not fit into a plugin's memory, that of a piece does. A
/// piece ends where `[[rules]]` begins a line: nothing but a text of several lines could hold that
/// and mean something else.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let whole = ["\"\"\"", "'''"].iter().any(|quotes| text.contains(quotes));
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let tail = text.get(text.floor_char_boundary(PIECE_BYTES)..).unwrap_or_default();
        let end = tail.find("\n[[rules]]").map(|at| text.len() - tail.len() + at + 1);
        let (piece, behind) = text.split_at(end.filter(|_| !whole).unwrap_or(text.len()));
        rest = Some(behind).filter(|behind| !behind.is_empty());
        Some(piece)
    })
}

/// What was read so far.
#[derive(Default)]
struct Read {
    document: Document,
    /// Keys of which a file has one.
    seen: Vec<String>,
}

impl Read {
    /// Reads a piece, which follows so many lines.
    fn piece(&mut self, text: &str, line: usize) -> Result<(), Wrong> {
        let table = DeTable::parse(text).map_err(|error| {
            // The parser's own display draws the line with a marker under it: too much for one line
            // of a log.
            let at = error.span().map_or(0, |span| span.start);
            Wrong::at(at, error.message().replace('\n', "; "))
        })?;
        for (key, value) in &table.into_inner() {
            let name = key.get_ref().as_ref();
            match name {
                "rules" => self.rules((text, line), value)?,
                "groups" => self.document.groups = groups(key, value)?,
                "names_with_wildcards" => {
                    self.document.deny_wildcard_names = is_deny(key, value)?;
                }
                _ => return Err(value::unknown_key(key, &KEYS)),
            }
            if name != "rules" {
                if self.seen.iter().any(|seen| seen == name) {
                    return Err(Wrong::at(
                        key.span().start,
                        format!("`{name}` stands there twice"),
                    ));
                }
                self.seen.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn rules(&mut self, (text, before): (&str, usize), value: &Value<'_>) -> Result<(), Wrong> {
        let DeValue::Array(array) = value.get_ref() else {
            return Err(Wrong::at(value.span().start, "`rules` are tables: write [[rules]]"));
        };
        let rules = &mut self.document.rules;
        if array.len() + rules.len() > RULES_MAX {
            let text = format!("more than {RULES_MAX} rules");
            return Err(Wrong::at(value.span().start, text));
        }
        let mut lines = value::Lines::of(text, before);
        for rule in array.iter() {
            rules.push(keys::read_rule(rule, lines.number(rule.span().start))?);
        }
        Ok(())
    }
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
/// Least length of a piece. Its tree takes about ten times as much.
const PIECE_BYTES: usize = 128 << 10;
const KEYS: [&str; 3] = ["rules", "groups", "names_with_wildcards"];

#[cfg(test)]
mod tests;
