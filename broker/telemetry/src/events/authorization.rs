//! Events of permissions: a PUBLISH or a SUBSCRIBE that was not permitted.
//!
//! Knows nothing of rules; called from the stories of `server`. Level warn as every refusal, at a
//! bounded rate, because a client that is simply configured wrongly repeats itself for ever; the
//! counters show each one.

use std::fmt::Display;

use super::Client;
use crate::{Escaped, EscapedDisplay, Happening, HappeningKind, Metrics};

/// A PUBLISH was not permitted.
#[derive(Clone, Copy)]
pub struct PublishDenied<'a> {
    /// Whose it was.
    pub client: Client<'a>,
    /// Topic Name.
    pub topic: &'a str,
    /// Names the decision in the admin API, where one was noted: at most one a second.
    pub decision: Option<&'a dyn Display>,
    /// Which rule refused, for the operator.
    pub cause: &'a dyn Display,
}

impl PublishDenied<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.publish_denied.inc();
        metrics.observers.tell(HappeningKind::PublishDenied, || Happening {
            topic: Some(self.topic),
            decision: self.decision,
            cause: Some(self.cause),
            ..self.client.happening(HappeningKind::PublishDenied)
        });
        let throttle = &metrics.throttles.publish_denied;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "publish_denied",
            client_id = %Escaped(self.client.id),
            topic = %Escaped(self.topic),
            suppressed,
            decision = self.decision.map(tracing::field::display),
            cause = %EscapedDisplay(self.cause),
            "publish denied"
        );
    }
}

/// A topic filter of a SUBSCRIBE was not permitted.
#[derive(Clone, Copy)]
pub struct SubscribeDenied<'a> {
    /// Whose it was.
    pub client: Client<'a>,
    /// Topic Filter as sent, with share name.
    pub filter: &'a str,
    /// Names the decision in the admin API, where one was noted: at most one a second.
    pub decision: Option<&'a dyn Display>,
    /// Which rule refused, for the operator.
    pub cause: &'a dyn Display,
}

impl SubscribeDenied<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.subscribe_denied.inc();
        metrics.observers.tell(HappeningKind::SubscribeDenied, || Happening {
            topic: Some(self.filter),
            decision: self.decision,
            cause: Some(self.cause),
            ..self.client.happening(HappeningKind::SubscribeDenied)
        });
        let throttle = &metrics.throttles.subscribe_denied;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "subscribe_denied",
            client_id = %Escaped(self.client.id),
            filter = %Escaped(self.filter),
            suppressed,
            decision = self.decision.map(tracing::field::display),
            cause = %EscapedDisplay(self.cause),
            "subscribe denied"
        );
    }
}
