//! Messages on topics that outbound transforms claim: they wait in the queue as they were published, until
//! somebody says what became of each. Knows nothing of plugins: what is claimed are Topic Filters, and what comes
//! back is a message or none.
//!
//! The message that was published stays with what is owed: it is what others inherit, and what the store has.

use std::{collections::VecDeque, sync::Arc};

use topic::{TopicFilter, TopicName};

use crate::{
    Delivered, DeliveryOptions, DropReason, Fanout, Message, Session, inflight::Owed, kept::let_go,
};

/// What outbound transforms of the client's chain work on.
#[derive(Clone, Debug)]
pub struct OutboundClaims(Arc<[TopicFilter]>);

/// What became of a message: the one that was published, and the one that goes out, if any does.
pub type Outcome = (Arc<Message>, Option<Arc<Message>>);

/// Messages that are worked on ahead of their turn.
const AHEAD_MAX: usize = 32;
/// The same in bytes, but for the last message.
const AHEAD_BYTES: usize = 256 << 10;

impl OutboundClaims {
    /// `None` = nothing is claimed. Clients of one chain share the filters.
    pub fn new(filters: &Arc<[TopicFilter]>) -> Option<Self> {
        (!filters.is_empty()).then(|| Self(Arc::clone(filters)))
    }

    /// Whether messages of this topic wait.
    pub(crate) fn claim(&self, topic: &TopicName) -> bool {
        self.0.iter().any(|filter| filter.matches(topic.as_str()))
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Session {
    /// What is claimed from now on. Messages that were worked on stay as they are.
    pub fn set_outbound_claims(&mut self, claims: Option<OutboundClaims>) {
        self.claims = claims;
    }

    /// Whether there may be something to work on.
    pub fn may_have_untransformed(&self) -> bool {
        self.claims.is_some() && self.link.is_some() && !self.queue.is_empty()
    }

    /// Whether messages of this topic are worked on.
    pub fn is_claimed(&self, topic: &TopicName) -> bool {
        self.claims.as_ref().is_some_and(|claims| claims.claim(topic))
    }

    /// Whether a message waits to be worked on.
    pub(crate) fn is_raw(&self, owed: &Owed) -> bool {
        owed.transformed.is_none() && self.is_claimed(owed.message.topic())
    }

    /// The next messages to work on, in their order. Call it again when it was said what became of them.
    pub fn untransformed(&self) -> Vec<Arc<Message>> {
        if !self.may_have_untransformed() {
            return Vec::new();
        }
        let mut bytes = 0;
        let next = self.queue.owed().take(AHEAD_MAX).take_while(|owed| {
            let before = bytes;
            bytes += owed.outgoing().size_bytes();
            before < AHEAD_BYTES
        });
        next.filter(|owed| self.is_raw(owed)).map(|owed| Arc::clone(&owed.message)).collect()
    }

    /// Says what became of messages that [`Self::untransformed`] named, in that order; those that left the queue
    /// meanwhile are skipped. What goes nowhere is over.
    pub fn transformed(&mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        let mut outcomes: VecDeque<_> = outcomes.into_iter().collect();
        let mut swallowed = Vec::new();
        for (at, owed) in self.queue.owed_mut().enumerate() {
            let is_of = |(published, _): &Outcome| Arc::ptr_eq(published, &owed.message);
            let found = outcomes.iter().position(is_of).filter(|_| owed.transformed.is_none());
            let Some((_, outgoing)) = found.and_then(|at| outcomes.drain(..=at).next_back()) else {
                continue;
            };
            if outgoing.is_none() {
                swallowed.push(at);
            }
            owed.transformed = Some(outgoing.unwrap_or_else(|| Arc::clone(&owed.message)));
        }
        if swallowed.is_empty() {
            return;
        }
        let (mut at, mut swallowed) = (0.., swallowed.into_iter().peekable());
        let stays = |_: &Owed| at.next().and_then(|at| swallowed.next_if_eq(&at)).is_none();
        let Self { queue, inflight, kept, .. } = self;
        queue.retain_owed(stays, |claim, qos| let_go((inflight, kept), claim, qos));
        self.send_releases();
    }

    /// A QoS 0 message that has to wait. It gives way to whatever else waits.
    pub(crate) fn enqueue_at_most_once(
        &mut self,
        fanout: &mut Fanout<'_>,
        options: &DeliveryOptions<'_>,
    ) -> Delivered {
        let message = fanout.message();
        if !self.queue.has_room_for(message.size_bytes(), &self.limits.queue) {
            return Delivered::Dropped(DropReason::SlowConsumer);
        }
        let owed = Owed {
            message: Arc::clone(message),
            transformed: None,
            claim: None,
            qos: codec::QoS::AtMostOnce,
            retain: options.retain,
            shared: options.shared,
            subscription_identifiers: options.subscription_identifiers.into(),
        };
        self.queue.push_behind(owed);
        Delivered::Queued
    }
}

#[cfg(test)]
mod tests;
