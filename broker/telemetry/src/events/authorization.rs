//! Events of permissions: a PUBLISH or a SUBSCRIBE that was not permitted.
//!
//! Knows nothing of rules; called from the stories of `server`. Level warn as every refusal, at a
//! bounded rate, because a client that is simply configured wrongly repeats itself for ever; the
//! counters show each one.

use std::fmt::Display;

use codec::ReasonCode;

use super::Client;
use crate::{Escaped, EscapedDisplay, Happening, HappeningKind, Metrics};

/// Why an operation was not permitted.
#[derive(Clone, Copy)]
pub struct Denied<'a> {
    /// Names the decision in the admin API, where one was noted.
    pub decision: Option<&'a dyn Display>,
    /// The plugin that refused; `None` = nobody allowed it.
    pub plugin: Option<&'a str>,
    /// What the client is told.
    pub reason: ReasonCode,
    /// Which rule refused, for the operator.
    pub cause: &'a dyn Display,
}

impl<'a> Denied<'a> {
    fn happening(self, client: Client<'a>, topic: &'a str, kind: HappeningKind) -> Happening<'a> {
        Happening {
            topic: Some(topic),
            decision: self.decision,
            plugin: self.plugin,
            reason: Some(self.reason.name()),
            cause: Some(self.cause),
            ..client.happening(kind)
        }
    }
}

/// A PUBLISH was not permitted.
#[derive(Clone, Copy)]
pub struct PublishDenied<'a> {
    /// Whose it was.
    pub client: Client<'a>,
    /// Topic Name.
    pub topic: &'a str,
    /// Why.
    pub denied: Denied<'a>,
}

impl PublishDenied<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        let Self { client, topic, denied } = *self;
        metrics.publish_denied.inc();
        let kind = HappeningKind::PublishDenied;
        metrics.observers.tell(kind, || denied.happening(client, topic, kind));
        let throttle = &metrics.throttles.publish_denied;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "publish_denied",
            client_id = %Escaped(client.id),
            topic = %Escaped(topic),
            suppressed,
            decision = denied.decision.map(tracing::field::display),
            plugin = denied.plugin,
            reason = denied.reason.name(),
            cause = %EscapedDisplay(denied.cause),
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
    /// Why.
    pub denied: Denied<'a>,
}

impl SubscribeDenied<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        let Self { client, filter, denied } = *self;
        metrics.subscribe_denied.inc();
        let kind = HappeningKind::SubscribeDenied;
        metrics.observers.tell(kind, || denied.happening(client, filter, kind));
        let throttle = &metrics.throttles.subscribe_denied;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "subscribe_denied",
            client_id = %Escaped(client.id),
            filter = %Escaped(filter),
            suppressed,
            decision = denied.decision.map(tracing::field::display),
            plugin = denied.plugin,
            reason = denied.reason.name(),
            cause = %EscapedDisplay(denied.cause),
            "subscribe denied"
        );
    }
}
