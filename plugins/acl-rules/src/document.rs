//! A whole file, and which of its rules are about a client.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{Effect, Rule, Who, template};

/// All that a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The rules in their order.
    pub rules: Vec<Rule>,
    /// Groups of this file, by name, with the principals that are in them.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Whether a client whose Client Identifier or principal holds `+` or `#` may do nothing.
    pub deny_wildcard_names: bool,
}

/// What a file says about one client.
#[derive(Debug, PartialEq)]
pub enum Selected<'r> {
    /// These rules, each with its topic, attributes filled in; the first that matches decides. None
    /// at all leaves the client to the other links.
    Rules(Vec<(&'r Rule, Cow<'r, str>)>),
    /// Nothing is permitted, and why.
    DenyAll(String),
}

/// Which part of a client the selection depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depends {
    /// On nothing but its listener.
    Listener,
    /// On its principal, groups, attributes and authenticating link as well.
    Principal,
    /// On everything.
    Client,
}

impl Document {
    /// The rules about a client.
    #[must_use]
    pub fn select(&self, who: &Who<'_>) -> Selected<'_> {
        if self.rules.is_empty() {
            return Selected::DenyAll("the file has no rules".to_owned());
        }
        let has_wildcard = |name: &str| name.contains(['+', '#']);
        if self.deny_wildcard_names && (has_wildcard(who.client_id) || has_wildcard(who.principal))
        {
            let why = "the client identifier or the principal holds + or #".to_owned();
            return Selected::DenyAll(why);
        }
        let is_member = |group: &str| self.is_member(who, group);
        let mut selected = Vec::new();
        for rule in &self.rules {
            if !rule.scope.holds(who, rule.effect, is_member) {
                continue;
            }
            match template::fill(&rule.topic, &who.attributes) {
                template::Filled::Topic(topic) => selected.push((rule, topic)),
                template::Filled::Unsafe(_) if rule.effect == Effect::Allow => {}
                template::Filled::Unsafe(name) => {
                    return Selected::DenyAll(format!(
                        "the rule of line {} denies, and the attribute {name:?} is missing or \
                         holds +, #, /, $, {{, }} or a control character",
                        rule.line
                    ));
                }
            }
        }
        Selected::Rules(selected)
    }

    /// What a selection depends on.
    #[must_use]
    pub fn depends(&self) -> Depends {
        let of_rules = self.rules.iter().map(depends).max();
        let of_names = if self.deny_wildcard_names { Depends::Client } else { Depends::Listener };
        of_rules.unwrap_or(Depends::Listener).max(of_names)
    }

    fn is_member(&self, who: &Who<'_>, group: &str) -> bool {
        who.groups.iter().any(|name| name == group)
            || self
                .groups
                .get(group)
                .is_some_and(|members| members.iter().any(|name| name == who.principal))
    }
}

fn depends(rule: &Rule) -> Depends {
    let scope = &rule.scope;
    let of_client =
        !scope.client_ids.is_empty() || !scope.addresses.is_empty() || scope.certificate.is_some();
    let of_principal = !scope.users.is_empty()
        || !scope.groups.is_empty()
        || !scope.authenticated_by.is_empty()
        || !scope.attributes.is_empty()
        || rule.topic.contains(template::OPENING);
    match (of_client, of_principal) {
        (true, _) => Depends::Client,
        (false, true) => Depends::Principal,
        (false, false) => Depends::Listener,
    }
}

#[cfg(test)]
mod tests;
