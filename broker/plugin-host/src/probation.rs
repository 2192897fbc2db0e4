//! Whether a version that just went live is as good as the one before it. Pure: time and counts are
//! passed in.

use std::time::Instant;

use access::PluginFailureKind;

use crate::{generation::Counters, manifest::Reload};

/// So many failures and not one answer: no share is waited for.
const ALL_FAILED: u64 = 5;

/// Calls, and those of them that broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All.
    pub(crate) calls: u64,
    /// Those that ended in a trap or at a limit. What a plugin says itself, a refusal or that its
    /// database is away, is none of them.
    pub(crate) errors: u64,
}

/// A probation in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probation {
    ends: Instant,
    terms: Reload,
    before: Tally,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It goes on.
    Waits,
    /// It is over.
    Passed,
    /// The version fails too often.
    Failed(String),
}

/// Whether a call broke: the plugin's fault, or what a client made of it.
pub(crate) fn is_error(kind: PluginFailureKind) -> bool {
    matches!(
        kind,
        PluginFailureKind::Trap
            | PluginFailureKind::CpuBudget
            | PluginFailureKind::Deadline
            | PluginFailureKind::Memory
    )
}

impl Tally {
    pub(crate) fn of(counters: &Counters) -> Self {
        let broken = counters.kinds.by_kind().filter(|(kind, _)| is_error(*kind));
        let errors = broken.map(|(_, count)| count).sum();
        // Counted one after the other: never more errors than calls.
        let calls = counters.calls.load(std::sync::atomic::Ordering::Relaxed).max(errors);
        Self { calls, errors }
    }

    fn share(self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.errors as f64 / self.calls as f64 }
    }
}

impl Probation {
    /// Begins `now`; `before` = of the version that is replaced. `None` = there is none.
    pub(crate) fn begin(now: Instant, terms: Reload, before: Tally) -> Option<Self> {
        let ends = now.checked_add(terms.probation)?;
        (!terms.probation.is_zero()).then_some(Self { ends, terms, before })
    }

    /// With what is counted by `now`.
    pub(crate) fn judge(&self, now: Instant, tally: Tally) -> Standing {
        let (share, before) = (tally.share(), self.before.share());
        let Tally { calls, errors } = tally;
        let nobody = errors == calls && errors >= ALL_FAILED;
        let too_many = calls >= self.terms.calls && share > self.terms.error_rate;
        if (nobody || too_many) && share > before {
            return Standing::Failed(format!(
                "{errors} of {calls} calls broke in its probation ({:.1} % before)",
                before * 100.0
            ));
        }
        if now >= self.ends { Standing::Passed } else { Standing::Waits }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tally(errors: u64, calls: u64) -> Tally {
        Tally { calls, errors }
    }

    #[test]
    fn a_version_passes_when_its_time_is_over() {
        let now = Instant::now();
        let probation = Probation::begin(now, Reload::default(), tally(0, 0)).unwrap();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(probation.judge(after(29), tally(0, 1000)), Standing::Waits);
        assert_eq!(probation.judge(after(30), tally(0, 0)), Standing::Passed);
        assert_eq!(probation.judge(after(30), tally(20, 100)), Standing::Passed);
        let off = Reload { probation: Duration::ZERO, ..Reload::default() };
        assert!(Probation::begin(now, off, tally(0, 0)).is_none());
    }

    #[track_caller]
    fn check(before: Tally, tally: Tally, fails: bool) {
        let now = Instant::now();
        let probation = Probation::begin(now, Reload::default(), before).unwrap();
        let standing = probation.judge(now, tally);
        assert_eq!(matches!(standing, Standing::Failed(_)), fails, "{standing:?}");
    }

    #[test]
    fn errors_over_the_bound_that_are_more_than_before_fail() {
        check(tally(0, 0), tally(5, 20), true);
        check(tally(0, 0), tally(4, 20), false);
        check(tally(0, 0), tally(15, 19), false);
        check(tally(1, 100), tally(21, 100), true);
        check(tally(30, 100), tally(25, 100), false);
    }

    #[test]
    fn few_calls_that_all_fail_are_enough() {
        check(tally(0, 0), tally(5, 5), true);
        check(tally(0, 0), tally(4, 4), false);
        check(tally(0, 0), tally(5, 6), false);
        check(tally(7, 7), tally(5, 5), false);
    }
}
