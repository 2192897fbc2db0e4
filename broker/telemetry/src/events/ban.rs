//! Events of bans.
//!
//! Knows nothing of the list; called from `server`.

use crate::{Escaped, Happening, HappeningKind, Metrics};

/// Somebody is banned. Level warn, at a bounded rate.
#[derive(Clone, Copy, Debug)]
pub struct BanMade<'a> {
    /// Names it in the admin API, which says whom it is about.
    pub id: u64,
    /// `administrator` or `flapping`; the metric's label.
    pub origin: &'static str,
    /// Why.
    pub reason: &'a str,
}

impl BanMade<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.bans_made.inc(self.origin);
        metrics.observers.tell(HappeningKind::BanMade, || Happening {
            reason: Some(self.origin),
            cause: Some(&self.reason),
            count: Some(self.id),
            ..Happening::of(HappeningKind::BanMade)
        });
        let throttle = &metrics.throttles.ban_made;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        let (event, ban, origin) = ("ban_made", self.id, self.origin);
        tracing::warn!(event, ban, origin, reason = %Escaped(self.reason), suppressed, "banned");
    }
}

/// A ban is over. Level info, at a bounded rate.
#[derive(Clone, Copy, Debug)]
pub struct BanEnded {
    /// Its name.
    pub id: u64,
    /// Somebody lifted it; otherwise its time ran out.
    pub lifted: bool,
}

impl BanEnded {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        let how = if self.lifted { "lifted" } else { "expired" };
        metrics.bans_ended.inc(how);
        metrics.observers.tell(HappeningKind::BanEnded, || Happening {
            reason: Some(how),
            count: Some(self.id),
            ..Happening::of(HappeningKind::BanEnded)
        });
        let throttle = &metrics.throttles.ban_ended;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        let (event, ban) = ("ban_ended", self.id);
        tracing::info!(event, ban, how, suppressed, "a ban is over");
    }
}
