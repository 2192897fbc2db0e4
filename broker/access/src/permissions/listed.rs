//! The rules in force for one client as a list: what each is about, whether it ever decided, and whether it can.
//!
//! For people who look at permissions; nothing is decided here.

use std::{cell::Cell, sync::Arc, time::Duration};

use codec::QoS;

use super::{
    Permissions,
    rules::{CompiledRule, LinkAnswer, LinkRules, condition_bit},
};
use crate::{Condition, Effect, QoSSet};

/// What one link says for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInForce {
    /// Name of the link.
    pub plugin: Arc<str>,
    /// The kind of its answer.
    pub answer: AnswerInForce,
    /// Allow rules that fell away, counted from 1, because the client id or principal could not be filled in safely.
    pub dropped: Vec<u32>,
    /// In order of precedence, without those that are about nothing.
    pub rules: Vec<RuleInForce>,
    /// Names the very set: the same number for all clients that share it.
    pub set: usize,
    /// When it came in force first, on the clock of the gate; `None` = it never did.
    pub since: Option<Duration>,
}

/// The kind of a link's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerInForce {
    /// It has rules.
    Rules,
    /// It denies everything.
    DenyAll,
    /// It has no word on this client.
    Next,
}

/// One rule with its variables filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInForce {
    /// Its place in the plugin's answer, from 1.
    pub number: u32,
    /// Allow or deny.
    pub effect: Effect,
    /// Topic Filter.
    pub filter: String,
    /// QoS and RETAIN flag of a PUBLISH that it is about; `None` = none.
    pub publish: Option<(QoSSet, Condition)>,
    /// Maximum QoS and whether shared, of a SUBSCRIBE that it is about; `None` = none.
    pub subscribe: Option<(QoSSet, Condition)>,
    /// Only this share name.
    pub share_name: Option<Arc<str>>,
    /// Whether it decided anything since it came in force.
    pub used: bool,
    /// Rules before it cover all that it is about: it never decides. The last of them that is needed for that.
    pub covered_by: Option<u32>,
}

/// Comparisons that one list may spend on finding rules that never decide.
const STEPS_MAX: u32 = 1_000_000;

impl Permissions {
    /// All links in order, with their rules. Those that never decide are found as long as that takes no more than a
    /// million comparisons.
    pub fn in_force(&self) -> Vec<LinkInForce> {
        let steps = Cell::new(0);
        self.links.iter().map(|link| link.listed(&steps)).collect()
    }

    /// Numbers that name the sets of all links, as [`LinkInForce::set`].
    pub fn sets(&self) -> impl Iterator<Item = usize> {
        self.links.iter().map(set)
    }

    /// They are in force from now on, if they were not before.
    pub(crate) fn hold_from(&self, now: Duration) {
        for link in self.links.iter() {
            link.hold_from(now);
        }
    }
}

fn set(link: &Arc<LinkRules>) -> usize {
    Arc::as_ptr(link).addr()
}

impl LinkRules {
    fn listed(self: &Arc<Self>, steps: &Cell<u32>) -> LinkInForce {
        let rules = self.rules().iter().map(|rule| RuleInForce {
            number: rule.number,
            effect: rule.effect,
            filter: rule.filter.to_string(),
            publish: conditions(rule.publish),
            subscribe: conditions(rule.subscribe),
            share_name: rule.share_name.clone(),
            used: rule.is_used(),
            covered_by: self.covering(rule, steps),
        });
        LinkInForce {
            plugin: self.name().clone(),
            answer: match self.answer() {
                LinkAnswer::Rules => AnswerInForce::Rules,
                LinkAnswer::DenyAll => AnswerInForce::DenyAll,
                LinkAnswer::Next => AnswerInForce::Next,
            },
            dropped: self.dropped().to_vec(),
            rules: rules.collect(),
            set: set(self),
            since: self.held_since(),
        }
    }

    /// The rule before `rule` that leaves nothing to it, together with others before.
    fn covering(&self, rule: &CompiledRule, steps: &Cell<u32>) -> Option<u32> {
        let (mut publish, mut subscribe) = (rule.publish, rule.subscribe);
        let covering = self.first(rule.filter.as_str(), |earlier| {
            steps.set(steps.get().saturating_add(1));
            if steps.get() > STEPS_MAX
                || earlier.number >= rule.number
                || !earlier.filter.covers(&rule.filter)
            {
                return false;
            }
            publish &= !earlier.publish;
            if earlier.share_name.is_none() || earlier.share_name == rule.share_name {
                subscribe &= !earlier.subscribe;
            }
            publish | subscribe == 0
        });
        covering.map(|covering| covering.number)
    }
}

/// Inverse of what folded QoS and flag into bits.
fn conditions(bits: u8) -> Option<(QoSSet, Condition)> {
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let with = |flag| {
        let set = levels.into_iter().filter(move |qos| bits & condition_bit(*qos, flag) != 0);
        set.fold(0_u8, |set, qos| set | 1 << qos as u8)
    };
    match (with(false), with(true)) {
        (0, 0) => None,
        (0, set) => Some((QoSSet(set), Condition::Yes)),
        (set, 0) => Some((QoSSet(set), Condition::No)),
        (off, on) => Some((QoSSet(off | on), Condition::Any)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Activity, Answer, HoldsFor, PermissionSet, PublishRequest, Rule, testing::subject,
    };

    fn rule(effect: Effect, filter: &str, qos: u8, retain: Condition) -> Rule {
        Rule {
            effect,
            activity: Activity { publish: true, subscribe: false },
            filter: filter.to_owned(),
            qos: QoSSet(qos),
            retain,
            shared: Condition::Any,
            share_name: None,
        }
    }

    fn compiled(rules: Vec<Rule>) -> Permissions {
        let answer = PermissionSet { rules, ttl_seconds: None, holds_for: HoldsFor::default() };
        Permissions::compile(&subject("c", "p"), &[("acl".into(), Answer::Permissions(answer))])
            .unwrap()
    }

    #[test]
    fn what_folds_into_bits_comes_out_of_them() {
        let permissions = compiled(vec![
            rule(Effect::Allow, "a", 0b111, Condition::Any),
            rule(Effect::Deny, "b", 0b101, Condition::Yes),
            rule(Effect::Allow, "c", 0b010, Condition::No),
        ]);
        let listed = permissions.in_force();
        let publish: Vec<_> =
            listed[0].rules.iter().map(|r| (r.number, r.effect, r.publish, r.subscribe)).collect();
        assert_eq!(
            publish,
            [
                (1, Effect::Allow, Some((QoSSet::ALL, Condition::Any)), None),
                (2, Effect::Deny, Some((QoSSet(0b101), Condition::Yes)), None),
                (3, Effect::Allow, Some((QoSSet(0b010), Condition::No)), None),
            ]
        );
    }

    #[test]
    fn rules_that_earlier_ones_cover_never_decide() {
        let permissions = compiled(vec![
            rule(Effect::Deny, "a/#", 0b011, Condition::Any),
            rule(Effect::Allow, "a/b", 0b001, Condition::Any),
            rule(Effect::Allow, "a/b", 0b111, Condition::Any),
            rule(Effect::Allow, "a/+", 0b100, Condition::Yes),
            rule(Effect::Allow, "a/+", 0b100, Condition::No),
            rule(Effect::Deny, "a/c", 0b111, Condition::Any),
            rule(Effect::Deny, "b/c", 0b111, Condition::Any),
        ]);
        let covered: Vec<_> =
            permissions.in_force()[0].rules.iter().map(|rule| rule.covered_by).collect();
        assert_eq!(covered, [None, Some(1), None, None, None, Some(5), None]);
    }

    #[test]
    fn what_decided_is_known_and_what_only_was_asked_is_not() {
        let permissions = compiled(vec![
            rule(Effect::Deny, "a", 0b111, Condition::Any),
            rule(Effect::Allow, "b", 0b111, Condition::Any),
            rule(Effect::Allow, "c", 0b111, Condition::Any),
        ]);
        let ask = |topic| PublishRequest { topic, qos: QoS::AtMostOnce, retain: false };
        permissions.foresee_publish(ask("c")).unwrap();
        permissions.explain_publish(ask("c"));
        permissions.permit_publish(ask("a")).unwrap_err();
        permissions.permit_publish(ask("b")).unwrap();
        let used =
            || -> Vec<_> { permissions.in_force()[0].rules.iter().map(|rule| rule.used).collect() };
        assert_eq!(used(), [true, true, false]);
        permissions.permit_publish(ask("c")).unwrap();
        assert_eq!(used(), [true, true, true]);
    }
}
