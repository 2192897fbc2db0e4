//! The plugins of a chain that are asked about single operations and messages: operation authorizers
//! and transforms, in the order of the chain.
//!
//! Only what they claim reaches them; for everything else a client pays one look at its topic.

use std::{fmt, sync::Arc, time::Duration};

use codec::{QoS, ReasonCode};
use topic::{SubscriptionFilter, TopicFilter};

use crate::{
    Application, Chain, Hook, Hooks, Inbound, LinkState, NotAuthorized, Operation, OperationWord,
    Outbound, OutboundTransform, Patch, PluginFailure, PublishRequest, Publisher, Scope, Source,
    Subject, SubscribeRequest,
    witness::{Witness, heard},
};

/// See the module. `Default` has none: everything is decided by rules.
#[derive(Clone, Default)]
pub struct MessageHooks {
    links: Vec<(Arc<str>, Hooks)>,
    /// Whether one of them has a say about what clients send.
    inbound: bool,
    /// What they work on of what clients get.
    outbound_topics: Arc<[TopicFilter]>,
}

impl fmt::Debug for MessageHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.links.iter().map(|(name, _)| name)).finish()
    }
}

/// What the operation authorizers say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    /// Their word; `Ok(false)` = none of them has one, the rules decide.
    pub word: Result<bool, NotAuthorized>,
    /// How long it may be used again; zero = only this once.
    pub ttl: Duration,
}

/// What became of a message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transformed {
    /// Nothing.
    Unchanged,
    /// It is this now.
    Changed(Box<Application>),
    /// It goes to nobody.
    Swallowed,
}

/// A transform refused a message, or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{plugin} rejected it: {cause}")]
pub struct Rejected {
    /// The link.
    pub plugin: Arc<str>,
    /// Of PUBACK and PUBREC.
    pub reason_code: ReasonCode,
    /// For the operator.
    pub cause: String,
}

/// An outbound transform failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{plugin}: {failure}")]
pub struct OutboundFailed {
    /// The link.
    pub plugin: Arc<str>,
    /// Why.
    pub failure: PluginFailure,
}

type OutboundLink<'a> = (&'a Arc<str>, &'a Arc<dyn OutboundTransform>);

impl MessageHooks {
    pub(crate) fn of(chain: &Chain) -> Arc<Self> {
        let part = |hooks: &Hooks| {
            hooks.operation_authorizer.is_some()
                || hooks.inbound_transform.is_some()
                || hooks.outbound_transform.is_some()
        };
        let links = chain.links.iter().filter_map(|link| match &link.state {
            LinkState::Live(hooks) if part(hooks) => Some((link.name.clone(), (**hooks).clone())),
            LinkState::Live(_) | LinkState::Missing(_) => None,
        });
        let links: Vec<(Arc<str>, Hooks)> = links.collect();
        let has = |is: fn(&Hooks) -> bool| links.iter().any(|(_, hooks)| is(hooks));
        Arc::new(Self {
            inbound: has(|hooks| {
                hooks.operation_authorizer.is_some() || hooks.inbound_transform.is_some()
            }),
            outbound_topics: outbound_topics(&links),
            links,
        })
    }

    /// Whether nobody has a say about what clients send.
    pub fn is_empty(&self) -> bool {
        !self.inbound
    }

    /// Whether somebody works on what clients get.
    pub fn has_outbound(&self) -> bool {
        !self.outbound_topics.is_empty()
    }

    /// What outbound transforms work on.
    pub fn outbound_topics(&self) -> &Arc<[TopicFilter]> {
        &self.outbound_topics
    }

    fn outbound(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<dyn OutboundTransform>)> {
        self.links
            .iter()
            .filter_map(|(name, hooks)| Some((name, hooks.outbound_transform.as_ref()?)))
    }

    /// The outbound transforms that work on this topic: first those whose result is the same for all
    /// subscribers, as far as none before them asks who it is; then the others.
    fn outbound_parts(&self, topic: &str) -> (Vec<OutboundLink<'_>>, Vec<OutboundLink<'_>>) {
        let claims = |(_, hook): &OutboundLink<'_>| hook.topics().iter().any(|f| f.matches(topic));
        let mut shared: Vec<_> = self.outbound().filter(claims).collect();
        let is_own = |(_, hook): &OutboundLink<'_>| hook.scope() == Scope::Subscriber;
        let own = shared.iter().position(is_own).unwrap_or(shared.len());
        let own = shared.split_off(own);
        (shared, own)
    }

    /// Which parts there are of the work on a message of this topic: one for all of its subscribers, and
    /// one for each of them.
    pub fn outbound_scopes(&self, topic: &str) -> (bool, bool) {
        let (shared, own) = self.outbound_parts(topic);
        (!shared.is_empty(), !own.is_empty())
    }

    /// Lets outbound transforms work on a message, each on what the one before left. `subscriber`: those
    /// of the second part; without, those of the first.
    ///
    /// # Errors
    /// One failed: it is not to be delivered.
    pub async fn transform_outbound(
        &self,
        subscriber: Option<&Subject>,
        message: Application,
        witness: Option<&dyn Witness>,
    ) -> Result<Transformed, OutboundFailed> {
        let (shared, own) = self.outbound_parts(&message.topic);
        let (mut message, mut changed) = (message, false);
        for (plugin, hook) in if subscriber.is_some() { own } else { shared } {
            let who = subscriber.filter(|_| hook.scope() == Scope::Subscriber);
            let about = (&**plugin, Hook::OutboundTransform, &*message.topic);
            let answer = heard(witness, about, hook.transform(who, &message), Outbound::word);
            match answer.await {
                Ok(Outbound::Unchanged) => {}
                Ok(Outbound::Patched(patch)) => {
                    message.apply(Patch { topic: None, ..*patch });
                    changed = true;
                }
                Ok(Outbound::Swallow) => return Ok(Transformed::Swallowed),
                Err(failure) => {
                    return Err(OutboundFailed { plugin: plugin.clone(), failure });
                }
            }
        }
        Ok(match changed {
            true => Transformed::Changed(Box::new(message)),
            false => Transformed::Unchanged,
        })
    }

    /// Whether a PUBLISH to this topic is judged, or worked on, by a plugin.
    pub fn claim_publish(&self, topic: &str) -> bool {
        self.judge_publish(topic) || self.transform(topic)
    }

    /// Whether an operation authorizer judges a PUBLISH to this topic.
    pub fn judge_publish(&self, topic: &str) -> bool {
        self.operations().any(|(_, hook)| hook.topics().iter().any(|filter| filter.matches(topic)))
    }

    /// Whether one judges a subscription: it has a topic in common with what is claimed.
    pub fn judge_subscribe(&self, filter: &TopicFilter) -> bool {
        let judges = |claimed: &TopicFilter| claimed.overlaps(filter);
        self.operations().any(|(_, hook)| hook.topics().iter().any(judges))
    }

    /// Whether an inbound transform works on this topic.
    pub fn transform(&self, topic: &str) -> bool {
        let claims = |(_, hooks): &(Arc<str>, Hooks)| {
            let hook = hooks.inbound_transform.as_ref();
            hook.is_some_and(|hook| hook.topics().iter().any(|filter| filter.matches(topic)))
        };
        self.links.iter().any(claims)
    }

    fn operations(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, &Arc<dyn crate::OperationAuthorizer>)> {
        self.links
            .iter()
            .filter_map(|(name, hooks)| Some((name, hooks.operation_authorizer.as_ref()?)))
    }

    /// Asks every operation authorizer that claims the operation: any deny wins, else any allow. A
    /// failure is a denial that is not kept.
    pub async fn rule(
        &self,
        subject: &Subject,
        operation: &Operation,
        witness: Option<&dyn Witness>,
    ) -> Ruled {
        let topic = match operation {
            Operation::Publish { topic, .. } => &**topic,
            Operation::Subscribe { filter, .. } => &**filter,
        };
        let claimed = |filter: &TopicFilter| match operation {
            Operation::Publish { topic, .. } => filter.matches(topic),
            Operation::Subscribe { filter: asked, .. } => {
                TopicFilter::new(asked).is_ok_and(|asked| filter.overlaps(&asked))
            }
        };
        let mut ruled = Ruled { word: Ok(false), ttl: Duration::MAX };
        for (plugin, hook) in self.operations() {
            if !hook.topics().iter().any(claimed) {
                continue;
            }
            let about = (&**plugin, Hook::OperationAuthorizer, topic);
            let asking = hook.authorize(subject, operation);
            match heard(witness, about, asking, |ruling| ruling.word.word()).await {
                Err(failure) => {
                    let plugin = plugin.clone();
                    let failed = NotAuthorized::Failed { plugin, failure: Box::new(failure) };
                    return Ruled { word: Err(failed), ttl: Duration::ZERO };
                }
                Ok(ruling) => {
                    ruled.ttl = ruled.ttl.min(ruling.ttl);
                    match ruling.word {
                        OperationWord::Allow => ruled.word = Ok(true),
                        OperationWord::Next => {}
                        OperationWord::Deny(denial) => {
                            let plugin = plugin.clone();
                            let word = NotAuthorized::Ruling { plugin, denial: Box::new(denial) };
                            return Ruled { word: Err(word), ..ruled };
                        }
                    }
                }
            }
        }
        ruled
    }

    /// Lets every inbound transform work on a message that claims its topic, each on what the one
    /// before left.
    ///
    /// # Errors
    /// One rejected it, or failed.
    pub async fn transform_inbound(
        &self,
        source: Source,
        publisher: Publisher<'_>,
        message: Application,
        witness: Option<&dyn Witness>,
    ) -> Result<Transformed, Rejected> {
        let mut message = message;
        let mut changed = false;
        for (plugin, hooks) in &self.links {
            let Some(hook) = &hooks.inbound_transform else { continue };
            if !hook.topics().iter().any(|filter| filter.matches(&message.topic)) {
                continue;
            }
            let rejected =
                |reason_code, cause| Err(Rejected { plugin: plugin.clone(), reason_code, cause });
            let about = (&**plugin, Hook::InboundTransform, &*message.topic);
            let asking = hook.transform(source, publisher, &message);
            match heard(witness, about, asking, Inbound::word).await {
                Ok(Inbound::Unchanged) => {}
                Ok(Inbound::Patched(patch)) => {
                    message.apply(*patch);
                    changed = true;
                }
                Ok(Inbound::Swallow) => return Ok(Transformed::Swallowed),
                Ok(Inbound::Reject(denial)) => {
                    return rejected(denial.reason_code, denial.reason.unwrap_or_default());
                }
                Err(failure) => {
                    let code = ReasonCode::ImplementationSpecificError;
                    return rejected(code, failure.to_string());
                }
            }
        }
        Ok(match changed {
            true => Transformed::Changed(Box::new(message)),
            false => Transformed::Unchanged,
        })
    }
}

fn outbound_topics(links: &[(Arc<str>, Hooks)]) -> Arc<[TopicFilter]> {
    let hooks = links.iter().filter_map(|(_, hooks)| hooks.outbound_transform.as_ref());
    hooks.flat_map(|hook| hook.topics()).cloned().collect()
}

impl Operation {
    /// A PUBLISH.
    pub fn publish(request: &PublishRequest<'_>, payload_bytes: usize) -> Self {
        Self::Publish {
            topic: request.topic.to_owned(),
            qos: request.qos,
            retain: request.retain,
            payload_bytes_max: Self::size_class(payload_bytes),
        }
    }

    /// One filter of a SUBSCRIBE.
    pub fn subscribe(filter: &SubscriptionFilter, qos: QoS) -> Self {
        Self::Subscribe {
            filter: filter.filter.as_str().to_owned(),
            qos,
            share_name: filter.share.as_ref().map(|share| share.as_str().to_owned()),
        }
    }
}

/// Subscriptions of one client whose words are kept.
const RULINGS_MAX: usize = 1_024;

/// Words of operation authorizers on the subscriptions of one client, by what was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rulings {
    words: Vec<(SubscriptionFilter, QoS, Result<bool, NotAuthorized>)>,
}

impl Rulings {
    pub(crate) fn set(
        &mut self,
        filter: SubscriptionFilter,
        qos: QoS,
        word: Result<bool, NotAuthorized>,
    ) {
        self.words.retain(|(known, known_qos, _)| (known, known_qos) != (&filter, &qos));
        if self.words.len() >= RULINGS_MAX {
            // A client chooses what is asked. What is forgotten counts as not asked: it is refused.
            drop(self.words.remove(0));
        }
        self.words.push((filter, qos, word));
    }

    pub(crate) fn get(
        &self,
        request: &SubscribeRequest<'_>,
    ) -> Option<&Result<bool, NotAuthorized>> {
        let is = |(filter, qos, _): &&(SubscriptionFilter, QoS, _)| {
            (filter, *qos) == (request.filter, request.qos)
        };
        self.words.iter().find(is).map(|(_, _, word)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_make_them_grow() {
        let filter = |number: usize| SubscriptionFilter::parse(&format!("t/{number}")).unwrap();
        let mut rulings = Rulings::default();
        for number in 0..RULINGS_MAX + 10 {
            rulings.set(filter(number), QoS::AtMostOnce, Ok(true));
        }
        // The same again is one and the same.
        rulings.set(filter(RULINGS_MAX), QoS::AtMostOnce, Ok(false));
        assert_eq!(rulings.words.len(), RULINGS_MAX);
        let word = |number: usize| {
            let filter = &filter(number);
            rulings.get(&SubscribeRequest { filter, qos: QoS::AtMostOnce }).cloned()
        };
        assert_eq!(word(0), None);
        assert_eq!(word(RULINGS_MAX), Some(Ok(false)));
        assert_eq!(word(RULINGS_MAX + 9), Some(Ok(true)));
    }
}
