//! Why an operation is permitted or not, link by link: for `permissions/can` of the admin API.
//!
//! Asks the same functions as the decision itself, so that the two cannot drift apart.

use std::sync::Arc;

use super::{
    Permissions, PublishRequest, SubscribeRequest,
    rules::{CompiledRule, LinkAnswer, LinkRules, PublishConditions, SubscribeConditions},
};
use crate::Effect;

/// What one link says on one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkWord {
    /// Name of the link.
    pub plugin: Arc<str>,
    /// Its word; `None` = no word from this link.
    pub effect: Option<Effect>,
    /// The rule that decided, counted from 1 in the order of the plugin's answer.
    pub rule: Option<u32>,
    /// The same as a sentence for the operator.
    pub detail: String,
}

impl Permissions {
    /// What each link says on a PUBLISH, in order.
    pub fn explain_publish(&self, request: PublishRequest<'_>) -> Vec<LinkWord> {
        let conditions = PublishConditions::of(&request);
        self.links
            .iter()
            .map(|link| word(link, link.publish_rule(request.topic, conditions)))
            .collect()
    }

    /// What each link says on a subscription, in order, and where deliveries will be checked.
    pub fn explain_subscribe(&self, request: SubscribeRequest<'_>) -> Vec<LinkWord> {
        let filter = &request.filter.filter;
        let conditions = SubscribeConditions::of(&request);
        let explain = |link: &Arc<LinkRules>| {
            let mut word = word(link, link.covering_rule(filter, conditions));
            if word.effect != Some(Effect::Deny)
                && let Some(deny) = link.partial_deny(filter, conditions)
            {
                append(
                    &mut word.detail,
                    &format!(
                        "rule {} denies {} and is checked on each delivery",
                        deny.number, deny.filter,
                    ),
                );
            }
            word
        };
        self.links.iter().map(explain).collect()
    }
}

fn word(link: &LinkRules, decisive: Option<&CompiledRule>) -> LinkWord {
    let (effect, rule, mut detail) = match (link.answer(), decisive) {
        (LinkAnswer::DenyAll, _) => (Some(Effect::Deny), None, "denies everything".to_owned()),
        (LinkAnswer::Next, _) => (None, None, "has no rules for this client".to_owned()),
        (LinkAnswer::Rules, None) => (None, None, "no rule matches".to_owned()),
        (LinkAnswer::Rules, Some(rule)) => {
            let verb = match rule.effect {
                Effect::Allow => "allows",
                Effect::Deny => "denies",
            };
            let detail = format!("rule {} {verb} {}", rule.number, rule.filter);
            (Some(rule.effect), Some(rule.number), detail)
        }
    };
    if let Some(first) = link.dropped().first() {
        append(
            &mut detail,
            &format!(
                "{} allow rules fell away, the first is rule {first}, because the client id \
                 or principal cannot be filled in safely",
                link.dropped().len(),
            ),
        );
    }
    LinkWord { plugin: link.name().clone(), effect, rule, detail }
}

fn append(detail: &mut String, sentence: &str) {
    detail.push_str("; ");
    detail.push_str(sentence);
}
