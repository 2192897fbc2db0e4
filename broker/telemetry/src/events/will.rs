//! Events of Will Messages: those that were not sent.
//!
//! Knows nothing of rules: a Will Message that no rule permits is a PUBLISH denied.

use std::fmt::Display;

use super::Client;
use crate::{Escaped, EscapedDisplay, Happening, HappeningKind, Metrics};

/// A Will Message was not sent. Level warn, at a bounded rate.
#[derive(Clone, Copy)]
pub struct WillRefused<'a> {
    /// Whose it was.
    pub client: Client<'a>,
    /// `identity_ended`, `permissions_unknown`, `plugin` or `store_unavailable`; the metric's label.
    pub reason: &'static str,
    /// The plugin that refused, where it was one.
    pub plugin: Option<&'a str>,
    /// Why, for the operator.
    pub cause: &'a dyn Display,
}

impl WillRefused<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.wills_refused.inc(self.reason);
        metrics.observers.tell(HappeningKind::WillRefused, || Happening {
            reason: Some(self.reason),
            plugin: self.plugin,
            cause: Some(self.cause),
            ..self.client.happening(HappeningKind::WillRefused)
        });
        let throttle = &metrics.throttles.will_refused;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "will_refused",
            client_id = %Escaped(self.client.id),
            reason = self.reason,
            plugin = self.plugin,
            suppressed,
            cause = %EscapedDisplay(self.cause),
            "will message not sent"
        );
    }
}
