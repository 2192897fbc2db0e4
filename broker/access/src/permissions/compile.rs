//! Turns the answers of the authorizers into [`Permissions`] for one client.
//!
//! Everything that cannot be used is an error of the link as a whole: leaving out one bad rule
//! could leave out the deny that mattered. The only rules that fall away are allow rules whose
//! variable has an unsafe value, because that only ever permits less.

use std::sync::Arc;

use topic::{ShareName, TopicFilter};

use super::{
    Permissions,
    rules::{CompiledRule, LinkAnswer, LinkRules},
};
use crate::{
    Answer, Effect, PermissionSet, Refusal, RefusalKind, Rule, Subject, answered::Answered,
    hook::TTL_DEFAULT,
};

/// See [`Permissions::compile`].
pub(super) fn compile(
    subject: &Subject,
    answers: &[(Arc<str>, Arc<Answered>)],
) -> Result<Permissions, Refusal> {
    let mut personal = false;
    let mut links = Vec::with_capacity(answers.len());
    for (name, answered) in answers {
        links.push(compile_link(subject, name, answered, &mut personal)?);
    }
    let ttl = answers.iter().map(|(_, answered)| answered.answer.ttl()).min();
    let ttl = ttl.unwrap_or(TTL_DEFAULT);
    Ok(Permissions { links: links.into(), ttl, personal, operations: None })
}

/// What one link permits. Rules without a client's name in them are compiled once for all whom the
/// answer is given to.
fn compile_link(
    subject: &Subject,
    name: &Arc<str>,
    answered: &Answered,
    personal: &mut bool,
) -> Result<Arc<LinkRules>, Refusal> {
    if let Some(compiled) = answered.compiled.get() {
        return Ok(Arc::clone(compiled));
    }
    let mut named = false;
    let rules = match &answered.answer {
        Answer::Permissions(set) => compile_set(subject, name, set, &mut named)?,
        Answer::DenyAll => LinkRules::without_rules(name.clone(), LinkAnswer::DenyAll),
        Answer::Next => LinkRules::without_rules(name.clone(), LinkAnswer::Next),
    };
    let rules = Arc::new(rules);
    *personal |= named;
    if named {
        return Ok(rules);
    }
    Ok(Arc::clone(answered.compiled.get_or_init(|| rules)))
}

fn compile_set(
    subject: &Subject,
    plugin: &Arc<str>,
    set: &PermissionSet,
    personal: &mut bool,
) -> Result<LinkRules, Refusal> {
    if set.rules.len() > RULES_MAX {
        let detail = format!("{} rules, at most {RULES_MAX} are allowed", set.rules.len());
        return Err(refusal(RefusalKind::PluginFailure, plugin, detail));
    }
    let mut rules = Vec::with_capacity(set.rules.len());
    let mut dropped = Vec::new();
    for (number, rule) in (1_u32..).zip(&set.rules) {
        let fault = |sentence: String| {
            let detail = format!("rule {number}, filter {}: {sentence}", shown(&rule.filter));
            refusal(RefusalKind::PluginFailure, plugin, detail)
        };
        check_share_name(rule).map_err(fault)?;
        match fill(&rule.filter, subject).map_err(fault)? {
            Filled::Filter { filter, personal: filled } => {
                *personal |= filled;
                rules.extend(CompiledRule::new(number, rule, filter));
            }
            Filled::Unsafe { .. } if rule.effect == Effect::Allow => {
                *personal = true;
                dropped.push(number);
            }
            Filled::Unsafe { variable } => {
                let detail = format!(
                    "rule {number}, filter {}: it denies, and the value of ${{{variable}}} is \
                     empty, begins with $, or holds +, #, / or a control character",
                    shown(&rule.filter),
                );
                return Err(refusal(RefusalKind::UnsafeVariable, plugin, detail));
            }
        }
    }
    rules.shrink_to_fit();
    Ok(LinkRules::new(plugin.clone(), rules, dropped))
}

/// A filter after its variables were filled in.
enum Filled {
    Filter { filter: TopicFilter, personal: bool },
    Unsafe { variable: &'static str },
}

/// Fills in the variables, in one pass: a value that looks like a variable stays text.
fn fill(template: &str, subject: &Subject) -> Result<Filled, String> {
    let mut text = String::with_capacity(template.len());
    let mut personal = false;
    let mut unsafe_variable = None;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let Some((variable, behind)) = after.split_once('}') else {
            return Err("a variable is not closed by }".to_owned());
        };
        let (variable, value): (_, &str) = match variable {
            "clientid" => ("clientid", &subject.client_id),
            "username" => ("username", &subject.identity.principal),
            other => return Err(format!("the variable {} is not known", shown(other))),
        };
        if is_safe(value, text.is_empty()) {
            text.push_str(value);
        } else {
            unsafe_variable = Some(variable);
            // Stands for the value, so that the rest of the template is still checked.
            text.push('x');
        }
        personal = true;
        rest = behind;
    }
    text.push_str(rest);
    let filter = TopicFilter::new(&text).map_err(|error| error.to_string())?;
    if text == "$share" || text.starts_with("$share/") {
        return Err("share names belong into share-name, not into the filter".to_owned());
    }
    Ok(match unsafe_variable {
        Some(variable) => Filled::Unsafe { variable },
        None => Filled::Filter { filter, personal },
    })
}

/// Whether the value stays what the author of the rule meant: one part of one level. At the start
/// of a filter, `$` would reach topics that the broker keeps for itself.
fn is_safe(value: &str, at_start: bool) -> bool {
    let splits = |c: char| matches!(c, '+' | '#' | '/') || c.is_control();
    let reserved = at_start && value.starts_with('$');
    !value.is_empty() && !reserved && !value.contains(splits)
}

/// A share name that no client could ever use would make a deny rule void.
fn check_share_name(rule: &Rule) -> Result<(), String> {
    let Some(name) = &rule.share_name else {
        return Ok(());
    };
    if name.contains("${") {
        return Err(format!("share-name {}: variables are only filled in filters", shown(name)));
    }
    match ShareName::new(name) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("share-name {}: {error}", shown(name))),
    }
}

fn refusal(kind: RefusalKind, plugin: &Arc<str>, detail: String) -> Refusal {
    Refusal::by_plugin(kind, plugin, detail)
}

/// A plugin's text for a log line: escaped, and cut where it would fill the screen.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Most rules that one link may give to one client.
const RULES_MAX: usize = 10_000;

const SHOWN_CHARACTERS_MAX: usize = 128;
