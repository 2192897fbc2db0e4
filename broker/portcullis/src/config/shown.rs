//! The configuration file as others may see it: secrets masked, every setting with its place and default. And the way
//! back: a text in which a mask stands for what was there.
//!
//! Knows tables, not keys: whole tables are secret, or not to be changed from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What stands in the place of a secret, as TOML.
pub(crate) const MASK: &str = "\"***\"";

/// Tables whose texts may be secrets.
const SECRET: [&str; 7] = ["secrets", "sql", "ldap", "jwt", "keys", "otlp", "admin"];
/// Keys in them that are none.
const CLEAR: [&str; 14] = [
    "algorithm",
    "algorithms",
    "issuer",
    "audience",
    "bind",
    "names",
    "chain",
    "base_dn",
    "permissions",
    "roles",
    "fields",
    "managed",
    "login_ttl",
    "protocol",
];
/// Tables and keys that only who can write the file may change: they say who may do what, and what plugins are lent.
const GUARDED: [&str; 14] = [
    "data_dir",
    "audit",
    "access_log",
    "admin",
    "plugins",
    "process",
    "store",
    "trust",
    "secrets",
    "sql",
    "ldap",
    "jwt",
    "keys",
    "otlp",
];
/// What of them may be changed all the same.
const UNGUARDED: [&str; 1] = ["plugins.chain"];
/// Keys whose plain paths are read while the text is judged: those of `files`.
const READ_AT_ONCE: [&str; 2] = ["otlp.ca", "plugins.trusted_keys"];
/// What only a restart changes, and what of it a reload does.
const RESTART: [&str; 9] = [
    "data_dir",
    "listeners",
    "plugins",
    "admin",
    "audit",
    "process",
    "store",
    "otlp",
    "access_log",
];
const LIVE: [&str; 5] = ["chain", "tls", "allow", "deny", "connections"];

/// A value of a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Key with its tables; `[0]` names the first of several.
    pub(crate) key: String,
    /// Where its value stands, bytes.
    pub(crate) span: Range<usize>,
    /// What it says, if it is a text, or a list of texts: without quotes and escapes.
    texts: Vec<String>,
}

/// All values of a text, in the order of the file; `None` = it is no TOML.
pub(crate) fn leaves(text: &str) -> Option<Vec<Leaf>> {
    let table = DeTable::parse(text).ok()?;
    let mut found = Vec::new();
    walk_table("", table.get_ref(), &mut found);
    found.sort_by_key(|leaf| leaf.span.start);
    Some(found)
}

fn walk_table(prefix: &str, table: &DeTable<'_>, found: &mut Vec<Leaf>) {
    for (key, value) in table {
        let key = key.get_ref();
        let name = if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
        walk(&name, value, found);
    }
}

/// Depth is bounded by the parser.
fn walk(name: &str, value: &Spanned<DeValue<'_>>, found: &mut Vec<Leaf>) {
    let leaf = |texts: Vec<String>| Leaf { key: name.to_owned(), span: value.span(), texts };
    match value.get_ref() {
        DeValue::Table(table) => walk_table(name, table, found),
        // Texts in a list of secrets are masked one by one.
        DeValue::Array(items)
            if is_secret(name) || items.iter().any(|item| holds_more(item.get_ref())) =>
        {
            for (at, item) in items.iter().enumerate() {
                walk(&format!("{name}[{at}]"), item, found);
            }
        }
        DeValue::Array(items) => {
            let texts = items.iter().filter_map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            });
            found.push(leaf(texts.collect()));
        }
        DeValue::String(text) => found.push(leaf(vec![text.to_string()])),
        _ => found.push(leaf(Vec::new())),
    }
}

fn holds_more(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_) | DeValue::Array(_))
}

fn top(key: &str) -> &str {
    key.split(['.', '[']).next().unwrap_or(key)
}

fn last(key: &str) -> &str {
    let key = key.split('[').next().unwrap_or(key);
    key.rsplit('.').next().unwrap_or(key)
}

fn is_secret(key: &str) -> bool {
    SECRET.contains(&top(key)) && !CLEAR.contains(&last(key))
}

/// A reference says where a secret is, not what it is.
fn is_reference(text: &str) -> bool {
    let variable = text.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}'));
    text.starts_with("file:") && !text.contains("${")
        || variable.is_some_and(|name| !name.contains(['$', '{', '}']))
}

impl Leaf {
    /// Whether others may not see what it says.
    pub(crate) fn is_masked(&self) -> bool {
        is_secret(&self.key) && self.texts.iter().any(|text| !is_reference(text))
    }

    /// As it stands in the file, or the mask.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> &'a str {
        if self.is_masked() { MASK } else { self.source(text) }
    }

    fn source<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.span.clone()).unwrap_or_default()
    }

    /// Whether a reload puts a change of it in force.
    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.key)
    }

    /// Whether it has a default whatever else stands in the file: not in one of several tables.
    pub(crate) fn has_default(&self) -> bool {
        !self.key.contains('[')
            && !SECRET
                .iter()
                .any(|table| *table != "admin" && *table != "otlp" && top(&self.key) == *table)
            && self.key != "data_dir"
            && !self.key.starts_with("admin.roles")
    }
}

pub(crate) fn is_live(key: &str) -> bool {
    if !RESTART.contains(&top(key)) {
        return true;
    }
    let behind = key.split('.').nth(1).unwrap_or_default();
    let behind = behind.split('[').next().unwrap_or_default();
    LIVE.contains(&behind)
}

/// The text with a mask in the place of every secret. What is no TOML is not shown at all.
pub(crate) fn masked(text: &str) -> Option<String> {
    let leaves = leaves(text)?;
    Some(spliced(
        text,
        leaves.iter().filter(|leaf| leaf.is_masked()).map(|leaf| (&leaf.span, MASK)),
    ))
}

/// `new` with what stands in `old` in the place of each mask.
///
/// # Errors
/// The key of a mask that stands for nothing.
pub(crate) fn unmasked(new: &str, old: &str) -> Result<String, String> {
    let (Some(found), Some(before)) = (leaves(new), leaves(old)) else {
        // What is wrong with it is said by who reads it.
        return Ok(new.to_owned());
    };
    let before: BTreeMap<&str, &Leaf> =
        before.iter().map(|leaf| (leaf.key.as_str(), leaf)).collect();
    let masks = found.iter().filter(|leaf| leaf.source(new) == MASK && is_secret(&leaf.key));
    let mut parts = Vec::new();
    for mask in masks {
        let known = before.get(mask.key.as_str()).ok_or_else(|| mask.key.clone())?;
        parts.push((&mask.span, known.source(old)));
    }
    Ok(spliced(new, parts.into_iter()))
}

fn spliced<'a>(text: &str, parts: impl Iterator<Item = (&'a Range<usize>, &'a str)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, part) in parts {
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(part);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Whether a fault of this key may quote a secret.
pub(crate) fn quotes_secret(key: &str) -> bool {
    is_secret(key)
}

/// Keys that differ between two texts and that the API may not change.
pub(crate) fn guarded_changes(new: &str, old: &str) -> Vec<String> {
    changes(new, old, |key, value| {
        let is_guarded = GUARDED.contains(&top(key)) && !UNGUARDED.contains(&key);
        // A new reference would have the broker read what the caller may not.
        is_guarded || value.is_some_and(Leaf::refers)
    })
}

/// Keys that have a file or a variable read and did not, or another.
pub(crate) fn new_references(new: &str, old: &str) -> Vec<String> {
    changes(new, old, |key, value| {
        value.is_some_and(|leaf| leaf.refers() || READ_AT_ONCE.contains(&key))
    })
}

/// What keeps a text from being TOML, with the line.
pub(crate) fn syntax_faults(text: &str) -> Vec<(usize, String)> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let line = |at: usize| {
        text.as_bytes().get(..at).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
    };
    errors
        .into_iter()
        .map(|error| {
            let at = error.span().unwrap_or_default().start;
            (line(at) + 1, format!("is not TOML: {}", error.message()))
        })
        .collect()
}

impl Leaf {
    /// Judged by what it says, not by how that is written.
    fn refers(&self) -> bool {
        self.texts.iter().any(|text| text.contains("${") || text.starts_with("file:"))
    }
}

fn changes(new: &str, old: &str, counts: impl Fn(&str, Option<&Leaf>) -> bool) -> Vec<String> {
    let by_key = |text: &str| -> BTreeMap<String, (String, Leaf)> {
        let leaves = leaves(text).unwrap_or_default().into_iter();
        leaves.map(|leaf| (leaf.key.clone(), (leaf.source(text).to_owned(), leaf))).collect()
    };
    let (after, before) = (by_key(new), by_key(old));
    let keys: BTreeSet<_> = after.keys().chain(before.keys()).collect();
    let source = |of: &BTreeMap<String, (String, Leaf)>, key: &str| {
        of.get(key).map(|(source, _)| source.clone())
    };
    keys.into_iter()
        .filter(|key| source(&after, key) != source(&before, key))
        .filter(|key| counts(key, after.get(*key).map(|(_, leaf)| leaf)))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "data_dir = \"/d\"\n[[listeners]]\nname = \"a\"\nbind = \"x\"\n\
        [limits]\nqueue_messages = 5\n[secrets.hmac]\nvalue = \"s3cret\" # why\n\
        [sql.db]\nurl = \"postgres://u:pw@h/d\"\npassword = \"file:pw\"\n[jwt.v]\n\
        algorithms = [\"HS256\"]\nkeys = [\"k1\", \"${env:K}\", \"x${env:K}\"]\n";

    #[test]
    fn secrets_are_masked_and_come_back() {
        let shown = masked(OLD).unwrap();
        for secret in ["s3cret", "pw@h", "k1", "x$"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        for clear in ["\"file:pw\"", "HS256", "${env:K}", "# why", "queue_messages = 5"] {
            assert!(shown.contains(clear), "{clear}: {shown}");
        }
        assert_eq!(unmasked(&shown, OLD).unwrap(), OLD);
        let moved = shown.replace("[secrets.hmac]", "[secrets.other]");
        assert_eq!(unmasked(&moved, OLD).unwrap_err(), "secrets.other.value");
        assert_eq!(masked("a = "), None);
    }

    #[test]
    fn what_says_who_may_do_what_is_guarded() {
        let change = |from: &str, to: &str| guarded_changes(&OLD.replace(from, to), OLD);
        assert_eq!(change("= 5", "= 6"), Vec::<String>::new());
        assert_eq!(change("# why", "# so"), Vec::<String>::new());
        assert_eq!(change("\"/d\"", "\"/e\""), ["data_dir"]);
        assert_eq!(change("s3cret", "other"), ["secrets.hmac.value"]);
        assert_eq!(change("= 5\n", "= 5\n[plugins]\nchain = [\"a\"]\n"), Vec::<String>::new());
        assert_eq!(change("= 5\n", "= 5\n[plugins]\ndir = \"/x\"\n"), ["plugins.dir"]);
        assert_eq!(
            change("= 5\n", "= 5\n[admin.roles.r]\npermissions = [\"*\"]\n"),
            ["admin.roles.r.permissions"]
        );
        // However it is written.
        for text in [
            "\"file:/etc/shadow\"",
            "'file:/etc/shadow'",
            "\"\\u0066ile:/etc/shadow\"",
            "\"${env:K}\"",
        ] {
            assert_eq!(change("\"x\"", text), ["listeners[0].bind"], "{text}");
        }
        let listed = "chain = [\"a\", \"f\\u0069le:/etc/shadow\"]\n";
        assert_eq!(
            change("bind = \"x\"\n", &format!("bind = \"x\"\n{listed}")),
            ["listeners[0].chain"]
        );
        assert_eq!(change("= 5\n", "= 5\n[audit]\nkeep_days = 1\n"), ["audit.keep_days"]);
        assert_eq!(
            change("[sql.db]\nurl = \"postgres://u:pw@h/d\"\npassword = \"file:pw\"\n", ""),
            ["sql.db.password", "sql.db.url"]
        );
    }

    #[test]
    fn what_a_reload_changes() {
        for (key, live) in [
            ("limits.queue_messages", true),
            ("listeners[0].bind", false),
            ("listeners[0].chain", true),
            ("listeners[0].tls.cert", true),
            ("plugins.chain", true),
            ("plugins.dir", false),
            ("admin.bind", false),
            ("data_dir", false),
        ] {
            assert_eq!(is_live(key), live, "{key}");
        }
    }
}
