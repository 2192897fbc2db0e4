//! Rules that never act, that are for everybody and everything, or that say what has no effect.

use acl_rules::{Document, Effect, Rule, Scope};

use super::cover::Prepared;

/// Something odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Where, from 1.
    pub(crate) line: u32,
    pub(crate) kind: Kind,
    /// A sentence for the operator.
    pub(crate) text: String,
    /// The line of another rule that is why.
    pub(crate) because: Option<u32>,
}

/// What is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The plugin refuses the whole file.
    Refused,
    /// A rule before it decides whatever it could decide.
    Unreachable,
    /// It is for everybody, and for more than anybody needs.
    Wide,
    /// It says something that changes nothing.
    NoEffect,
}

impl Kind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Wide => "wide",
            Self::NoEffect => "no-effect",
        }
    }
}

/// What everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// Publish to all topics.
    PublishesEverything,
    /// Read all topics.
    ReadsEverything,
    /// Read the topics of the broker.
    ReadsBroker,
    /// Publish to a topic that a `+` makes everybody's.
    PublishesForOthers,
}

/// What is odd about a whole file, by line.
pub(crate) fn of(document: &Document) -> Vec<Finding> {
    let prepared: Vec<_> = document.rules.iter().filter_map(Prepared::new).collect();
    let mut findings = Vec::new();
    for (at, rule) in prepared.iter().enumerate() {
        let before = prepared.iter().take(at);
        findings.extend(unreachable(before, rule, document));
        findings.extend(wide(rule.rule));
        findings.extend(without_effect(rule.rule));
    }
    findings
}

fn unreachable<'p>(
    mut before: impl Iterator<Item = &'p Prepared<'p>>,
    rule: &Prepared<'_>,
    document: &Document,
) -> Option<Finding> {
    let first = before.find(|earlier| earlier.covers(rule, &document.groups))?.rule;
    let same = if first.effect == rule.rule.effect {
        "and says the same"
    } else {
        "and says the opposite"
    };
    let text = format!(
        "never acts: the rule of line {} matches first whenever it would, {same}",
        first.line
    );
    let (line, because) = (rule.rule.line, Some(first.line));
    Some(Finding { line, kind: Kind::Unreachable, text, because })
}

fn wide(rule: &Rule) -> Option<Finding> {
    let what = match width(rule)? {
        Width::PublishesEverything => "may publish to every topic",
        Width::ReadsEverything => "may read every topic",
        Width::ReadsBroker => "may read what the broker tells of itself",
        Width::PublishesForOthers => {
            "may publish in the place of everybody else, because + stands for anybody's name: use \
             ${clientid} or ${username}"
        }
    };
    let text = format!("{:?}: whoever is let in {what}", rule.topic);
    Some(Finding { line: rule.line, kind: Kind::Wide, text, because: None })
}

/// Whether a rule is for everybody and for more than anybody needs.
pub(crate) fn width(rule: &Rule) -> Option<Width> {
    if rule.effect != Effect::Allow || !is_for_everyone(&rule.scope) {
        return None;
    }
    let all = rule.topic.split('/').all(|level| matches!(level, "+" | "#"));
    let names_somebody = rule.topic.contains("${");
    match () {
        () if all && rule.publish => Some(Width::PublishesEverything),
        () if all => Some(Width::ReadsEverything),
        () if rule.subscribe && rule.topic == "$SYS/#" => Some(Width::ReadsBroker),
        () if rule.publish && !names_somebody && rule.topic.split('/').any(|l| l == "+") => {
            Some(Width::PublishesForOthers)
        }
        () => None,
    }
}

/// No key narrows it; the whole of the address space is not narrow.
fn is_for_everyone(scope: &Scope) -> bool {
    let everywhere = scope.addresses.iter().any(acl_rules::Block::is_everywhere);
    let narrowed = Scope { addresses: Vec::new(), ..scope.clone() } != Scope::default();
    !narrowed && (scope.addresses.is_empty() || everywhere)
}

fn without_effect(rule: &Rule) -> Option<Finding> {
    let of_broker = rule.topic == "$SYS" || rule.topic.starts_with("$SYS/");
    let text = if rule.publish && !rule.subscribe && of_broker {
        "nobody but the broker publishes there, whatever the rules say"
    } else if rule.retain.is_some() && !rule.publish {
        "`retain` says nothing of SUBSCRIBE"
    } else if rule.shared.is_some() && !rule.subscribe {
        "`shared` says nothing of PUBLISH"
    } else {
        return None;
    };
    Some(Finding { line: rule.line, kind: Kind::NoEffect, text: text.to_owned(), because: None })
}

#[cfg(test)]
mod tests;
