//! The rules in their order, and which of them are about a client.

use portcullis_plugin::{Answer, HoldsFor, Rule, Subject};

/// A rule and whom it is about; nothing given means everyone.
#[derive(Debug, PartialEq)]
pub(crate) struct ScopedRule {
    pub(crate) rule: Rule,
    /// Only the client that proved to be this principal.
    pub(crate) user: Option<String>,
    /// Only members of this group.
    pub(crate) group: Option<String>,
    /// Only this Client Identifier.
    pub(crate) client_id: Option<String>,
}

/// All rules of the file.
#[derive(Debug)]
pub(crate) struct List {
    rules: Vec<ScopedRule>,
    /// What any of the rules looks at.
    holds_for: HoldsFor,
}

impl List {
    pub(crate) fn new(rules: Vec<ScopedRule>) -> Self {
        let holds_for = if rules.iter().any(|rule| rule.client_id.is_some()) {
            HoldsFor::Client
        } else if rules.iter().any(|rule| rule.user.is_some() || rule.group.is_some()) {
            HoldsFor::Principal
        } else {
            HoldsFor::Everyone
        };
        Self { rules, holds_for }
    }

    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules about one client, in the order of the file; the host lets the first match decide.
    pub(crate) fn answer(&self, subject: &Subject) -> Answer {
        if self.rules.is_empty() {
            return Answer::DenyAll;
        }
        let rules: Vec<Rule> = self
            .rules
            .iter()
            .filter(|scoped| scoped.is_about(subject))
            .map(|scoped| scoped.rule.clone())
            .collect();
        if rules.is_empty() { Answer::Next } else { Answer::rules_for(self.holds_for, rules) }
    }
}

impl ScopedRule {
    fn is_about(&self, subject: &Subject) -> bool {
        self.user.as_ref().is_none_or(|user| *user == subject.principal)
            && self.group.as_ref().is_none_or(|group| subject.groups.contains(group))
            && self.client_id.as_ref().is_none_or(|client_id| *client_id == subject.client_id)
    }
}

#[cfg(test)]
mod tests;
