//! Events of load: the level changed, somebody is held back.
//!
//! Knows nothing of how load is measured; called from `server`.

use std::time::Duration;

use super::Client;
use crate::{Escaped, Happening, HappeningKind, Metrics};

/// The load has another level. Warn when it rose, info when it fell; at a bounded rate.
#[derive(Clone, Copy, Debug)]
pub struct OverloadChanged {
    /// Level before.
    pub before: u8,
    /// Level now, 0 to 10.
    pub level: u8,
    /// How late a task was woken last.
    pub delay: Duration,
    /// Memory of the process in RAM.
    pub memory_bytes: Option<u64>,
    /// Share of the processors in use, 1 = all of all.
    pub processors: Option<f64>,
}

impl OverloadChanged {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        let rose = self.level > self.before;
        let direction = if rose { "up" } else { "down" };
        metrics.overload_changes.inc(direction);
        metrics.observers.tell(HappeningKind::OverloadChanged, || Happening {
            reason: Some(direction),
            count: Some(self.level.into()),
            ..Happening::of(HappeningKind::OverloadChanged)
        });
        let throttle = &metrics.throttles.overload_changed;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        let delay_ms = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
        let Self { before, level, memory_bytes, processors, .. } = self;
        let event = "overload_level";
        if rose {
            tracing::warn!(
                event,
                level,
                before,
                delay_ms,
                memory_bytes,
                processors,
                suppressed,
                "load rose"
            );
        } else {
            tracing::info!(
                event,
                level,
                before,
                delay_ms,
                memory_bytes,
                processors,
                suppressed,
                "load fell"
            );
        }
    }
}

/// A client is not read for a while, because it, or all clients together, send too much. Level debug, at a bounded rate:
/// where a rate is set this is what happens all the time.
#[derive(Clone, Copy, Debug)]
pub struct ReadingPaused<'a> {
    /// The client.
    pub client: Client<'a>,
    /// `client_rate`, `total_rate` or `overload`; the metric's label.
    pub by: &'static str,
}

impl ReadingPaused<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.reading_paused.inc(self.by);
        metrics.observers.tell(HappeningKind::ReadingPaused, || Happening {
            reason: Some(self.by),
            ..self.client.happening(HappeningKind::ReadingPaused)
        });
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let throttle = &metrics.throttles.reading_paused;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::debug!(
            event = "reading_paused",
            client_id = %Escaped(self.client.id),
            by = self.by,
            suppressed,
            "client is not read for a while"
        );
    }
}
