//! Events of Will Messages: those that were not sent.
//!
//! Knows nothing of rules: a Will Message that no rule permits is a PUBLISH denied.

use std::fmt::Display;

use crate::{Escaped, EscapedDisplay, Happening, HappeningKind, Metrics};

/// A Will Message was not sent. Level warn, at a bounded rate.
#[derive(Clone, Copy)]
pub struct WillRefused<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// `identity_ended`, `permissions_unknown` or `store_unavailable`; the metric's label.
    pub reason: &'static str,
    /// Why, for the operator.
    pub cause: &'a dyn Display,
}

impl WillRefused<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.wills_refused.of(self.reason).inc();
        metrics.observers.tell(HappeningKind::WillRefused, || Happening {
            client_id: Some(self.client_id),
            reason: Some(self.reason),
            cause: Some(self.cause),
            ..Happening::of(HappeningKind::WillRefused)
        });
        let throttle = &metrics.throttles.will_refused;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "will_refused",
            client_id = %Escaped(self.client_id),
            reason = self.reason,
            suppressed,
            cause = %EscapedDisplay(self.cause),
            "will message not sent"
        );
    }
}
