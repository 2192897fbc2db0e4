//! Permissions compiled for one client: what a PUBLISH, a SUBSCRIBE and a delivery are checked
//! against, without a plugin call.
//!
//! `compile.rs` turns the plugins' answers into rules, `rules.rs` finds the first that matches,
//! `explain.rs` says why, `sharing.rs` keeps equal sets only once. Knows nothing of chains and
//! time.

use std::{sync::Arc, time::Duration};

use codec::{QoS, ReasonCode};
use topic::SubscriptionFilter;

use crate::{
    Answer, Denial, Effect, MessageHooks, PluginFailure, Refusal, Ruled, Subject,
    answered::Answered, hook::TTL_DEFAULT, message_hooks::Rulings,
};

mod compile;
mod explain;
mod index;
mod listed;
mod rules;
mod sharing;

pub use explain::LinkWord;
pub use listed::{AnswerInForce, LinkInForce, RuleInForce};
pub(crate) use rules::LinkRules;
use rules::{PublishConditions, SubscribeConditions};
pub(crate) use sharing::SharedPermissions;

/// The compiled permissions of one client over all links. `Default` is empty = everything refused.
///
/// Within a link the first rule that matches decides; over the links any deny wins, else any allow,
/// else the operation is refused. Cloning shares the rules.
#[derive(Clone, Debug)]
pub struct Permissions {
    links: Arc<[Arc<LinkRules>]>,
    ttl: Duration,
    /// A rule holds the client's own name: another client will hardly have the same set.
    personal: bool,
    /// What is asked of operation authorizers beside the rules; `None` = nothing.
    operations: Option<Arc<Operations>>,
}

/// The part of operation authorizers in the permissions of one client.
#[derive(Clone, Debug)]
struct Operations {
    hooks: Arc<MessageHooks>,
    /// What they said on its subscriptions.
    rulings: Rulings,
}

/// A PUBLISH to be judged.
#[derive(Clone, Copy, Debug)]
pub struct PublishRequest<'a> {
    /// A valid Topic Name.
    pub topic: &'a str,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
}

/// A SUBSCRIBE to be judged.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeRequest<'a> {
    /// Filter with share name.
    pub filter: &'a SubscriptionFilter,
    /// Maximum QoS asked for.
    pub qos: QoS,
}

/// Whether a judgement counts as a use of the rules that make it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Used {
    InEarnest,
    NotAtAll,
}

/// Proof that a PUBLISH was permitted; later steps take it as an argument.
#[derive(Clone, Copy, Debug)]
pub struct PublishPermit(());

/// Proof that a subscription was permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscribePermit {
    /// A deny rule overlaps the filter without covering it: each delivery must ask
    /// [`Permissions::permit_delivery`]. Never false when a delivery could be denied; may be true
    /// although none is.
    pub check_each_delivery: bool,
}

/// The operation is not permitted: 0x87. Cheap to make, because clients can cause it at the rate of
/// their messages: the sentence is only written when somebody displays it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthorized {
    /// No rule of any link allows it.
    #[error("not authorized: no rule allows it")]
    NoRule,
    /// Nobody but the broker publishes to `$SYS/...`, whatever the rules say.
    #[error("not authorized: only the broker publishes to $SYS")]
    OfBroker,
    /// A rule denies it.
    #[error("not authorized: rule {rule} of {plugin} denies it")]
    Rule {
        /// The link.
        plugin: Arc<str>,
        /// Its rule, counted from 1 in the order of the plugin's answer.
        rule: u32,
    },
    /// A link denies everything.
    #[error("not authorized: {plugin} denies everything")]
    Everything {
        /// The link.
        plugin: Arc<str>,
    },
    /// An operation authorizer denies it.
    #[error("not authorized: {plugin} denies this operation{}", said(.denial))]
    Ruling {
        /// The link.
        plugin: Arc<str>,
        /// What it said.
        denial: Box<Denial>,
    },
    /// An operation authorizer came to no decision.
    #[error("not authorized: {plugin} failed: {failure}")]
    Failed {
        /// The link.
        plugin: Arc<str>,
        /// How.
        failure: Box<PluginFailure>,
    },
    /// An operation authorizer claims it and was not asked yet.
    #[error("not authorized: a plugin has to be asked first")]
    NotAsked,
}

fn said(denial: &Denial) -> String {
    denial.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

impl NotAuthorized {
    /// The link that refused, where it was one.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Rule { plugin, .. }
            | Self::Everything { plugin }
            | Self::Ruling { plugin, .. }
            | Self::Failed { plugin, .. } => Some(plugin),
            Self::NoRule | Self::OfBroker | Self::NotAsked => None,
        }
    }

    /// Of PUBACK, PUBREC and SUBACK.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Ruling { denial, .. } => match denial.reason_code {
                code @ (ReasonCode::UnspecifiedError
                | ReasonCode::ImplementationSpecificError
                | ReasonCode::QuotaExceeded) => code,
                _ => ReasonCode::NotAuthorized,
            },
            Self::Failed { .. } => ReasonCode::ImplementationSpecificError,
            Self::NoRule
            | Self::OfBroker
            | Self::Rule { .. }
            | Self::Everything { .. }
            | Self::NotAsked => ReasonCode::NotAuthorized,
        }
    }
}

impl Permissions {
    /// Compiles the answers of all links (name, answer) for one client.
    ///
    /// # Errors
    /// `PluginFailure` when an answer cannot be used as a whole: over 10,000 rules, an invalid
    /// filter or share name, an unknown variable. `UnsafeVariable` when a deny rule holds
    /// `${clientid}` or `${username}` and the value could widen, narrow or void it.
    pub fn compile(subject: &Subject, answers: &[(Arc<str>, Answer)]) -> Result<Self, Refusal> {
        let fresh = |(name, answer): &(Arc<str>, Answer)| {
            (name.clone(), Answered::new(answer.clone(), Duration::ZERO))
        };
        Self::compile_answered(subject, &answers.iter().map(fresh).collect::<Vec<_>>())
    }

    /// The same for answers that may have been compiled before.
    pub(crate) fn compile_answered(
        subject: &Subject,
        answers: &[(Arc<str>, Arc<Answered>)],
    ) -> Result<Self, Refusal> {
        compile::compile(subject, answers)
    }

    /// How long they may be used: the least time to live of the links, 1 s to 1 h. A link that
    /// named none, also by `next` or `deny-all`, counts as 60 s.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// May the client publish this? Under 200 ns for 100 rules, no allocation. To the broker's own
    /// topics (`$SYS/...`) never: PUBLISH, Will Message and the admin API all ask here.
    ///
    /// # Errors
    /// Which rule denies, or that none allows; that the topic is the broker's own.
    pub fn permit_publish(
        &self,
        request: PublishRequest<'_>,
    ) -> Result<PublishPermit, NotAuthorized> {
        self.judge_publish(request, Used::InEarnest)
    }

    /// The same for those who only want to know: no rule counts as used by it.
    ///
    /// # Errors
    /// As [`Permissions::permit_publish`].
    pub fn foresee_publish(&self, request: PublishRequest<'_>) -> Result<(), NotAuthorized> {
        self.judge_publish(request, Used::NotAtAll).map(drop)
    }

    fn judge_publish(
        &self,
        request: PublishRequest<'_>,
        used: Used,
    ) -> Result<PublishPermit, NotAuthorized> {
        if topic::is_of_broker(request.topic) {
            return Err(NotAuthorized::OfBroker);
        }
        let conditions = PublishConditions::of(&request);
        self.combine(used, |link| link.publish_rule(request.topic, conditions))?;
        Ok(PublishPermit(()))
    }

    /// The same where operation authorizers claim the topic: what no rule denies is theirs to judge,
    /// and what they have no word on is the rules'.
    ///
    /// # Errors
    /// Which rule or plugin denies, or that none allows.
    pub fn permit_publish_ruled(
        &self,
        request: PublishRequest<'_>,
        ruled: &Ruled,
    ) -> Result<PublishPermit, NotAuthorized> {
        combine(self.permit_publish(request), &ruled.word, || PublishPermit(()))
    }

    /// May the client subscribe to this? The rules that cover the whole filter decide. Deny rules
    /// that cover a part of it do not refuse, but see [`SubscribePermit::check_each_delivery`].
    ///
    /// # Errors
    /// Which rule denies, or that none allows.
    pub fn permit_subscribe(
        &self,
        request: SubscribeRequest<'_>,
    ) -> Result<SubscribePermit, NotAuthorized> {
        self.judge_subscribe(request, Used::InEarnest)
    }

    /// The same for those who only want to know: no rule counts as used by it.
    ///
    /// # Errors
    /// As [`Permissions::permit_subscribe`].
    pub fn foresee_subscribe(
        &self,
        request: SubscribeRequest<'_>,
    ) -> Result<SubscribePermit, NotAuthorized> {
        self.judge_subscribe(request, Used::NotAtAll)
    }

    fn judge_subscribe(
        &self,
        request: SubscribeRequest<'_>,
        used: Used,
    ) -> Result<SubscribePermit, NotAuthorized> {
        let filter = &request.filter.filter;
        let conditions = SubscribeConditions::of(&request);
        let by_rules = self.combine(used, |link| link.covering_rule(filter, conditions));
        match &self.operations {
            Some(operations) if operations.hooks.judge_subscribe(filter) => {
                let word = operations.rulings.get(&request);
                let word = word.ok_or(NotAuthorized::NotAsked)?;
                combine(by_rules, word, || ())?;
            }
            _ => by_rules?,
        }
        let check_each_delivery =
            self.links.iter().any(|link| link.may_deny_part_of(filter, conditions));
        Ok(SubscribePermit { check_each_delivery })
    }

    /// Whether operation authorizers have to be asked about a subscription, and were not.
    pub fn must_ask(&self, request: SubscribeRequest<'_>) -> bool {
        matches!(self.foresee_subscribe(request), Err(NotAuthorized::NotAsked))
    }

    /// With what they said.
    #[must_use]
    pub fn with_ruling(&self, filter: SubscriptionFilter, qos: QoS, ruled: Ruled) -> Self {
        let mut permissions = self.clone();
        if let Some(operations) = &mut permissions.operations {
            Arc::make_mut(operations).rulings.set(filter, qos, ruled.word);
        }
        permissions
    }

    /// With the operation authorizers of the chain.
    pub(crate) fn with_hooks(self, hooks: &Arc<MessageHooks>) -> Self {
        let operations = (!hooks.is_empty()).then(|| {
            Arc::new(Operations { hooks: Arc::clone(hooks), rulings: Rulings::default() })
        });
        Self { operations, ..self }
    }

    /// May a message on `topic` be delivered through a subscription that was permitted with
    /// `check_each_delivery`? `subscription` is the request that was permitted (the QoS asked for,
    /// not that of the message), and `topic` is one that its filter selects.
    ///
    /// Where these permissions permit the subscription, this only refuses what a deny rule refuses;
    /// where they no longer do, it refuses more.
    pub fn permit_delivery(&self, topic: &str, subscription: SubscribeRequest<'_>) -> bool {
        let conditions = SubscribeConditions::of(&subscription);
        match self.combine(Used::InEarnest, |link| link.delivery_rule(topic, conditions)) {
            Err(NotAuthorized::NoRule) => self.is_ruled_allowed(&subscription),
            by_rules => by_rules.is_ok(),
        }
    }

    /// Whether an operation authorizer permitted the subscription.
    fn is_ruled_allowed(&self, subscription: &SubscribeRequest<'_>) -> bool {
        let word = self.operations.as_ref().and_then(|ops| ops.rulings.get(subscription));
        word == Some(&Ok(true))
    }

    /// Whether both permit the same and say the same when they refuse; the time to live may differ.
    /// What was judged by one need not be judged again by the other.
    pub fn has_same_rules(&self, other: &Self) -> bool {
        self.has_same_links(other) && self.has_same_operations(other)
    }

    fn has_same_links(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&Arc<LinkRules>, &Arc<LinkRules>)| {
            Arc::ptr_eq(one, other) || one.content() == other.content()
        };
        Arc::ptr_eq(&self.links, &other.links)
            || self.links.len() == other.links.len()
                && self.links.iter().zip(other.links.iter()).all(is_same)
    }

    fn has_same_operations(&self, other: &Self) -> bool {
        match (&self.operations, &other.operations) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                Arc::ptr_eq(&one.hooks, &other.hooks) && one.rulings == other.rulings
            }
            _ => false,
        }
    }

    /// The same rules in the memory of `before`, if that holds them already; else as they are.
    pub(crate) fn or_kept(self, before: &Arc<Self>) -> Result<Arc<Self>, Self> {
        if !self.has_same_links(before) {
            return Err(self);
        }
        // What plugins said on single operations was said before.
        if self.ttl == before.ttl && before.operations.is_none() {
            return Ok(Arc::clone(before));
        }
        Ok(Arc::new(Self { links: Arc::clone(&before.links), ..self }))
    }

    /// Over the links: any deny wins, else any allow, else refused.
    fn combine<'a>(
        &'a self,
        used: Used,
        mut decisive: impl FnMut(&'a LinkRules) -> Option<&'a rules::CompiledRule>,
    ) -> Result<(), NotAuthorized> {
        let mut allowed = false;
        for link in self.links.iter() {
            if link.denies_everything() {
                return Err(NotAuthorized::Everything { plugin: link.name().clone() });
            }
            let decisive = decisive(link);
            if used == Used::InEarnest
                && let Some(rule) = decisive
            {
                rule.note_use();
            }
            match decisive {
                Some(rule) if rule.effect == Effect::Deny => {
                    let plugin = link.name().clone();
                    return Err(NotAuthorized::Rule { plugin, rule: rule.number });
                }
                Some(_) => allowed = true,
                None => {}
            }
        }
        if allowed { Ok(()) } else { Err(NotAuthorized::NoRule) }
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Self { links: Arc::default(), ttl: TTL_DEFAULT, personal: false, operations: None }
    }
}

/// A rule that denies is final; else a plugin that denies, then one or the other that allows.
fn combine<T>(
    by_rules: Result<T, NotAuthorized>,
    by_plugins: &Result<bool, NotAuthorized>,
    permit: impl FnOnce() -> T,
) -> Result<T, NotAuthorized> {
    match (by_rules, by_plugins) {
        (Err(denied), _) if denied != NotAuthorized::NoRule => Err(denied),
        (_, Err(denied)) => Err(denied.clone()),
        (Ok(permitted), Ok(_)) => Ok(permitted),
        (Err(_), Ok(true)) => Ok(permit()),
        (Err(no_rule), Ok(false)) => Err(no_rule),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
