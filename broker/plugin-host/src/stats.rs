//! Counters of the plugin host over all plugins, read by whoever exports metrics. Knows nothing of
//! metric formats.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use access::PluginFailureKind;

/// Counts since the start of the process. All getters are cheap and may be a moment apart from each
/// other.
#[derive(Debug, Default)]
pub struct Stats {
    loads: AtomicU64,
    load_failures: AtomicU64,
    calls: AtomicU64,
    call_nanoseconds: AtomicU64,
    log_bytes_dropped: AtomicU64,
    failures: FailureCounts,
}

/// Failures by kind.
#[derive(Debug, Default)]
pub(crate) struct FailureCounts([AtomicU64; KINDS.len()]);

impl FailureCounts {
    /// One more.
    pub(crate) fn add(&self, failure: PluginFailureKind) {
        for (kind, count) in KINDS.iter().zip(&self.0) {
            if *kind == failure {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// None any more.
    pub(crate) fn reset(&self) {
        for count in &self.0 {
            count.store(0, Ordering::Relaxed);
        }
    }

    /// Every kind, in a fixed order.
    pub(crate) fn by_kind(&self) -> impl Iterator<Item = (PluginFailureKind, u64)> + '_ {
        KINDS.into_iter().zip(&self.0).map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }
}

/// Every kind of failure, in the order in which [`Stats::failures`] tells them.
const KINDS: [PluginFailureKind; 11] = [
    PluginFailureKind::Unavailable,
    PluginFailureKind::Timeout,
    PluginFailureKind::Misconfigured,
    PluginFailureKind::Internal,
    PluginFailureKind::Trap,
    PluginFailureKind::CpuBudget,
    PluginFailureKind::Deadline,
    PluginFailureKind::Memory,
    PluginFailureKind::TooLarge,
    PluginFailureKind::Busy,
    PluginFailureKind::Missing,
];

impl Stats {
    /// Generations that went live.
    pub fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Candidates that did not go live.
    pub fn load_failures(&self) -> u64 {
        self.load_failures.load(Ordering::Relaxed)
    }

    /// Hook calls, failed ones included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Wall time spent in hook calls, waiting for a free instance included.
    pub fn call_time(&self) -> Duration {
        Duration::from_nanos(self.call_nanoseconds.load(Ordering::Relaxed))
    }

    /// Bytes of plugin log lines that were over the rate.
    pub fn log_bytes_dropped(&self) -> u64 {
        self.log_bytes_dropped.load(Ordering::Relaxed)
    }

    /// Calls that came to no decision, by kind.
    pub fn failures(&self) -> impl Iterator<Item = (PluginFailureKind, u64)> + '_ {
        self.failures.by_kind()
    }

    pub(crate) fn loaded(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn load_failed(&self) {
        self.load_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn log_dropped(&self, bytes: usize) {
        self.log_bytes_dropped.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn called(&self, elapsed: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.call_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// A call, counted already, came to no decision; or its answer is not taken.
    pub(crate) fn failed(&self, failure: PluginFailureKind) {
        self.failures.add(failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_kind() {
        let stats = Stats::default();
        stats.called(Duration::from_micros(3));
        stats.called(Duration::from_micros(4));
        stats.failed(PluginFailureKind::Busy);
        stats.failed(PluginFailureKind::TooLarge);
        assert_eq!(stats.calls(), 2);
        assert_eq!(stats.call_time(), Duration::from_micros(7));
        let busy: Vec<_> = stats.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(busy, [(PluginFailureKind::TooLarge, 1), (PluginFailureKind::Busy, 1)]);
    }
}
