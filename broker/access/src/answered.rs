//! An authorizer's answer on its way from the plugin to the clients that use it: how long it may be
//! used, and its rules once they were compiled. Knows nothing of who it is for.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::{Answer, HoldsFor, permissions::LinkRules};

/// An answer and when it came.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The word of the link.
    pub(crate) answer: Answer,
    /// The rules compiled, once that was done, if they are the same for every client.
    pub(crate) compiled: OnceLock<Arc<LinkRules>>,
    asked_at: Duration,
    answered_at: Duration,
}

impl Answered {
    /// `answered_at` = of a clock that never goes back.
    pub(crate) fn new(answer: Answer, answered_at: Duration) -> Arc<Self> {
        Self::asked(answered_at, answer, answered_at)
    }

    /// As [`Self::new`] with the time of the question.
    pub(crate) fn asked(asked_at: Duration, answer: Answer, answered_at: Duration) -> Arc<Self> {
        Arc::new(Self { answer, compiled: OnceLock::new(), asked_at, answered_at })
    }

    /// Whether the plugin was asked after that time.
    pub(crate) fn was_asked_after(&self, time: Duration) -> bool {
        self.asked_at > time
    }

    /// How much longer it may be used.
    pub(crate) fn remains(&self, now: Duration) -> Duration {
        self.answer.ttl().saturating_sub(now.saturating_sub(self.answered_at))
    }

    /// Whether another client may begin with it. Not in the second half of its time: a client that
    /// is given it then would have to ask again soon, and by then somebody else has.
    pub(crate) fn is_young(&self, now: Duration) -> bool {
        self.remains(now) > self.answer.ttl() / 2
    }

    pub(crate) fn holds_for(&self) -> HoldsFor {
        match &self.answer {
            Answer::Permissions(set) => set.holds_for,
            Answer::DenyAll | Answer::Next => HoldsFor::Client,
        }
    }

    /// Bytes, roughly: the rules as they came, and compiled with their index.
    pub(crate) fn weight(&self) -> usize {
        let Answer::Permissions(set) = &self.answer else { return 0 };
        let rule = |rule: &crate::Rule| {
            400 + 3 * (rule.filter.len() + rule.share_name.as_ref().map_or(0, String::len))
        };
        set.rules.iter().map(rule).sum()
    }
}
