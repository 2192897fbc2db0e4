//! Events of messages: those that were dropped.
//!
//! Knows nothing of queues; called where a message is given up.

use crate::{Happening, HappeningKind, Metrics};

/// Messages did not reach a session or a subscriber. Level debug, at a bounded rate.
#[derive(Clone, Copy, Debug)]
pub struct MessageDropped {
    /// `queue_full`, `expired`, `too_large`, `slow_consumer` and the like; the metric's label.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

impl MessageDropped {
    /// Counts them, and logs it unless too many lines came before.
    pub fn emit(&self, metrics: &Metrics) {
        if self.count == 0 {
            return;
        }
        metrics.messages_dropped.inc_by(self.reason, self.count);
        metrics.observers.tell(HappeningKind::MessageDropped, || Happening {
            reason: Some(self.reason),
            count: Some(self.count),
            ..Happening::of(HappeningKind::MessageDropped)
        });
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let throttle = &metrics.throttles.message_dropped;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::debug!(
            event = "message_dropped",
            reason = self.reason,
            count = self.count,
            suppressed,
            "messages dropped"
        );
    }
}
