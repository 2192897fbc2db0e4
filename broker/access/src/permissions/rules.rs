//! The rules of one link for one client, and which of them comes first for an operation.
//!
//! Knows nothing of variables (`compile.rs`) and of other links (`permissions.rs`).

use std::{
    cell::Cell,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use codec::QoS;
use topic::TopicFilter;

use super::{PublishRequest, SubscribeRequest, index::RuleIndex};
use crate::{Condition, Effect, QoSSet, Rule};

/// One rule with its variables filled in and its conditions folded into two sets of bits: a bit for
/// each QoS with the flag (RETAIN of a PUBLISH, shared of a SUBSCRIBE) off and on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CompiledRule {
    /// Its place in the plugin's answer, from 1.
    pub(super) number: u32,
    pub(super) effect: Effect,
    pub(super) filter: TopicFilter,
    /// Where the part behind the last wildcard of the filter begins: every topic that the filter
    /// selects ends with this part.
    tail_at: usize,
    pub(super) publish: u8,
    pub(super) subscribe: u8,
    pub(super) share_name: Option<Arc<str>>,
    used: Used,
}

/// Whether a rule ever decided. No part of what it says: with and without, it is the same rule.
#[derive(Debug, Default)]
struct Used(AtomicBool);

impl Clone for Used {
    fn clone(&self) -> Self {
        Self(AtomicBool::new(self.0.load(Ordering::Relaxed)))
    }
}

impl PartialEq for Used {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Used {}

impl Hash for Used {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What a rule must agree to for one PUBLISH.
#[derive(Clone, Copy)]
pub(super) struct PublishConditions {
    bit: u8,
}

/// What a rule must agree to for one subscription and what is delivered through it.
#[derive(Clone, Copy)]
pub(super) struct SubscribeConditions<'a> {
    bit: u8,
    share_name: Option<&'a str>,
}

/// What one link answered, compiled.
#[derive(Debug)]
pub(crate) struct LinkRules {
    name: Arc<str>,
    answer: LinkAnswer,
    rules: Vec<CompiledRule>,
    /// Made from `rules`.
    index: RuleIndex,
    /// Allow rules that fell away, by number, because a variable's value was unsafe.
    dropped: Vec<u32>,
    /// Of the content, by the hasher that asked first.
    hash: OnceLock<u64>,
    /// When they came in force, on the clock of the gate.
    since: OnceLock<Duration>,
}

/// All that tells the rules of two links apart.
pub(super) type LinkContent<'a> = (&'a str, LinkAnswer, &'a [CompiledRule], &'a [u32]);

/// The kind of answer that a link gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum LinkAnswer {
    Rules,
    DenyAll,
    Next,
}

impl CompiledRule {
    /// None for a rule that can match nothing.
    pub(super) fn new(number: u32, rule: &Rule, filter: TopicFilter) -> Option<Self> {
        let publish = if rule.activity.publish { condition_bits(rule.qos, rule.retain) } else { 0 };
        let subscribe =
            if rule.activity.subscribe { condition_bits(rule.qos, rule.shared) } else { 0 };
        (publish | subscribe != 0).then(|| Self {
            number,
            effect: rule.effect,
            tail_at: filter.as_str().rfind(['+', '#']).map_or(0, |wildcard| wildcard + 1),
            filter,
            publish,
            subscribe,
            share_name: rule.share_name.as_deref().map(Arc::from),
            used: Used::default(),
        })
    }

    /// It decided something. Written once, so that a rule that many use costs them no more than a look.
    pub(super) fn note_use(&self) {
        if !self.is_used() {
            self.used.0.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.0.load(Ordering::Relaxed)
    }

    /// Whether the filter selects this topic. Comparing the ends first spares most rules the walk
    /// along the levels.
    fn selects(&self, topic: &str) -> bool {
        let tail = self.filter.as_bytes().get(self.tail_at..).unwrap_or_default();
        topic.as_bytes().ends_with(tail) && self.filter.matches(topic)
    }

    fn agrees_to_publish(&self, conditions: PublishConditions) -> bool {
        self.publish & conditions.bit != 0
    }

    fn agrees_to_subscribe(&self, conditions: SubscribeConditions<'_>) -> bool {
        self.subscribe & conditions.bit != 0
            && self.share_name.as_deref().is_none_or(|name| conditions.share_name == Some(name))
    }
}

impl PublishConditions {
    pub(super) fn of(request: &PublishRequest<'_>) -> Self {
        Self { bit: condition_bit(request.qos, request.retain) }
    }
}

impl<'a> SubscribeConditions<'a> {
    pub(super) fn of(request: &SubscribeRequest<'a>) -> Self {
        let share_name = request.filter.share.as_ref().map(topic::ShareName::as_str);
        Self { bit: condition_bit(request.qos, share_name.is_some()), share_name }
    }
}

impl LinkRules {
    /// `rules` in order of precedence.
    pub(super) fn new(name: Arc<str>, rules: Vec<CompiledRule>, dropped: Vec<u32>) -> Self {
        let index = RuleIndex::new(&rules);
        let answer = LinkAnswer::Rules;
        let (hash, since) = (OnceLock::new(), OnceLock::new());
        Self { name, answer, rules, index, dropped, hash, since }
    }

    /// A link that answered without rules.
    pub(super) fn without_rules(name: Arc<str>, answer: LinkAnswer) -> Self {
        Self { answer, ..Self::new(name, Vec::new(), Vec::new()) }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn answer(&self) -> LinkAnswer {
        self.answer
    }

    pub(super) fn dropped(&self) -> &[u32] {
        &self.dropped
    }

    pub(super) fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    pub(super) fn hold_from(&self, now: Duration) {
        self.since.get_or_init(|| now);
    }

    pub(super) fn held_since(&self) -> Option<Duration> {
        self.since.get().copied()
    }

    pub(super) fn denies_everything(&self) -> bool {
        self.answer == LinkAnswer::DenyAll
    }

    pub(super) fn content(&self) -> LinkContent<'_> {
        (&self.name, self.answer, &self.rules, &self.dropped)
    }

    /// A number for the content, counted out once. Two hashers give two numbers: then equal rules
    /// are not recognised, nothing worse.
    pub(super) fn content_hash(&self, hasher: &RandomState) -> u64 {
        *self.hash.get_or_init(|| hasher.hash_one(self.content()))
    }

    /// The first rule for a PUBLISH to `topic`.
    pub(super) fn publish_rule(
        &self,
        topic: &str,
        conditions: PublishConditions,
    ) -> Option<&CompiledRule> {
        self.first(topic, |rule| rule.agrees_to_publish(conditions) && rule.selects(topic))
    }

    /// The first rule for a message on `topic` that comes through a subscription.
    pub(super) fn delivery_rule(
        &self,
        topic: &str,
        conditions: SubscribeConditions<'_>,
    ) -> Option<&CompiledRule> {
        self.first(topic, |rule| rule.agrees_to_subscribe(conditions) && rule.selects(topic))
    }

    /// The first rule that covers the whole of `filter`.
    pub(super) fn covering_rule(
        &self,
        filter: &TopicFilter,
        conditions: SubscribeConditions<'_>,
    ) -> Option<&CompiledRule> {
        self.first(filter.as_str(), |rule| {
            rule.agrees_to_subscribe(conditions) && rule.filter.covers(filter)
        })
    }

    /// Whether a message that `filter` selects could meet a deny rule first.
    pub(super) fn may_deny_part_of(
        &self,
        filter: &TopicFilter,
        conditions: SubscribeConditions<'_>,
    ) -> bool {
        self.partial_deny(filter, conditions).is_some()
    }

    /// The first deny rule that some, but not every, message that `filter` selects could meet.
    ///
    /// A deny rule never acts behind a rule that covers `filter`, nor behind one that covers the
    /// deny rule itself: that one matches first whenever the deny rule would. Finding the latter is
    /// given up after [`SHADOW_STEPS_MAX`] comparisons, and the deny rule then counts: checking
    /// deliveries for nothing costs time, skipping the check would leak.
    pub(super) fn partial_deny(
        &self,
        filter: &TopicFilter,
        conditions: SubscribeConditions<'_>,
    ) -> Option<&CompiledRule> {
        let end = self.covering_rule(filter, conditions).map_or(u32::MAX, |rule| rule.number);
        let steps = Cell::new(0_u32);
        self.rules
            .iter()
            .take_while(|rule| rule.number < end)
            .filter(|rule| rule.effect == Effect::Deny && rule.agrees_to_subscribe(conditions))
            .filter(|rule| rule.filter.overlaps(filter))
            .find(|deny| {
                let shadow = self.first(deny.filter.as_str(), |rule| {
                    steps.set(steps.get().saturating_add(1));
                    steps.get() <= SHADOW_STEPS_MAX
                        && rule.agrees_to_subscribe(conditions)
                        && rule.filter.covers(&deny.filter)
                });
                shadow.is_none_or(|shadow| shadow.number >= deny.number)
            })
    }

    /// The first rule that is `wanted`. `text` is the topic or filter that a wanted rule selects or
    /// covers: rules that cannot because of their leading levels are not looked at.
    pub(super) fn first(
        &self,
        text: &str,
        mut wanted: impl FnMut(&CompiledRule) -> bool,
    ) -> Option<&CompiledRule> {
        let place = self.index.first(self.rules.len(), text, |place| {
            self.rules.get(place).is_some_and(&mut wanted)
        })?;
        self.rules.get(place)
    }
}

/// One bit of [`condition_bits`].
pub(super) fn condition_bit(qos: QoS, flag: bool) -> u8 {
    1 << (2 * qos as u8 + u8::from(flag))
}

fn condition_bits(qos: QoSSet, flag: Condition) -> u8 {
    let flags = match flag {
        Condition::Any => [false, true].as_slice(),
        Condition::Yes => &[true],
        Condition::No => &[false],
    };
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
        .into_iter()
        .filter(|level| qos.contains(*level))
        .flat_map(|level| flags.iter().map(move |flag| condition_bit(level, *flag)))
        .fold(0, |bits, bit| bits | bit)
}

/// Comparisons that one SUBSCRIBE may spend on proving that deny rules never act.
const SHADOW_STEPS_MAX: u32 = 4_096;
