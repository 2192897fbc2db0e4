//! The text of a file of rules.

use std::{collections::BTreeMap, fmt::Write};

use toml::Value;

use super::{ImportError, Note};

/// One rule to be written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The line that it was made from.
    pub(super) line: usize,
    pub(super) allow: bool,
    /// `publish`, `subscribe` or `all`.
    pub(super) activity: &'static str,
    pub(super) topic: String,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) qos: Option<&'static [i64]>,
    pub(super) retain: Option<bool>,
    /// True, false or a share name.
    pub(super) shared: Option<Value>,
}

impl Written {
    pub(super) fn new(line: usize, allow: bool, activity: &'static str, topic: String) -> Self {
        let (user, group, qos, retain, shared) = (None, None, None, None, None);
        Self { line, allow, activity, topic, user, group, qos, retain, shared }
    }

    fn keys(&self) -> Vec<(&'static str, Value)> {
        let effect = if self.allow { "allow" } else { "deny" };
        let mut keys = vec![(effect, self.activity.into()), ("topic", self.topic.clone().into())];
        keys.extend(self.user.clone().map(|user| ("user", user.into())));
        keys.extend(self.group.clone().map(|group| ("group", group.into())));
        let list = |levels: &[i64]| Value::Array(levels.iter().map(|n| (*n).into()).collect());
        keys.extend(self.qos.map(|levels| ("qos", list(levels))));
        keys.extend(self.retain.map(|retain| ("retain", retain.into())));
        keys.extend(self.shared.clone().map(|shared| ("shared", shared)));
        keys
    }
}

/// A whole file.
pub(super) struct File {
    /// Where it comes from, for its first line.
    pub(super) origin: &'static str,
    /// Whether names with wildcards may do nothing.
    pub(super) deny_wildcard_names: bool,
    pub(super) rules: Vec<Written>,
    pub(super) groups: BTreeMap<String, Vec<String>>,
}

impl File {
    /// The text, which the plugin's own code has read.
    pub(super) fn text(&self) -> Result<String, ImportError> {
        let text = self.lines();
        match acl_rules::parse(&text) {
            Ok(document) if document.rules.len() == self.rules.len() => Ok(text),
            Ok(_) => Err(ImportError::Whole("was not written as it was read".to_owned())),
            Err(fault) => Err(ImportError::Whole(format!("makes no file of rules: {fault}"))),
        }
    }

    fn lines(&self) -> String {
        let mut text = format!("# Made of {} by `portcullis import`.\n", self.origin);
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        if self.deny_wildcard_names {
            line("names_with_wildcards = \"deny\"".to_owned());
        }
        if !self.groups.is_empty() {
            line("\n[groups]".to_owned());
            for (group, users) in &self.groups {
                let users = users.iter().cloned().map(Value::String).collect();
                // Of JSON, because a key is no text of several lines.
                let key = serde_json::Value::String(group.clone());
                line(format!("{key} = {}", Value::Array(users)));
            }
        }
        for rule in &self.rules {
            let mut keys = String::new();
            for (key, value) in rule.keys() {
                // Writing into a text does not fail.
                let _ = writeln!(keys, "{key} = {value}");
            }
            line(format!("\n# line {}\n[[rules]]\n{}", rule.line, keys.trim_end()));
        }
        text
    }
}

/// Most rules that a file holds.
pub(super) fn check_count(rules: &[Written]) -> Result<(), ImportError> {
    match rules.get(acl_rules::RULES_MAX) {
        None => Ok(()),
        Some(rule) => Err(ImportError::Line(Note::new(
            rule.line,
            format!("more rules than a file may hold, {}", acl_rules::RULES_MAX),
        ))),
    }
}
