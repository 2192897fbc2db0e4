//! Events of permissions: a PUBLISH or a SUBSCRIBE that was not permitted.
//!
//! Knows nothing of rules; called from the stories of `server`. Level warn as every refusal, at a
//! bounded rate, because a client that is simply configured wrongly repeats itself for ever; the
//! counters show each one.

use std::fmt::Display;

use crate::{Escaped, EscapedDisplay, Metrics};

/// A PUBLISH was not permitted.
#[derive(Clone, Copy)]
pub struct PublishDenied<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// Topic Name.
    pub topic: &'a str,
    /// Which rule refused, for the operator.
    pub cause: &'a dyn Display,
}

impl PublishDenied<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.publish_denied.inc();
        let throttle = &metrics.throttles.publish_denied;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "publish_denied",
            client_id = %Escaped(self.client_id),
            topic = %Escaped(self.topic),
            suppressed,
            cause = %EscapedDisplay(self.cause),
            "publish denied"
        );
    }
}

/// A topic filter of a SUBSCRIBE was not permitted.
#[derive(Clone, Copy)]
pub struct SubscribeDenied<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// Topic Filter as sent, with share name.
    pub filter: &'a str,
    /// Which rule refused, for the operator.
    pub cause: &'a dyn Display,
}

impl SubscribeDenied<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.subscribe_denied.inc();
        let throttle = &metrics.throttles.subscribe_denied;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "subscribe_denied",
            client_id = %Escaped(self.client_id),
            filter = %Escaped(self.filter),
            suppressed,
            cause = %EscapedDisplay(self.cause),
            "subscribe denied"
        );
    }
}
