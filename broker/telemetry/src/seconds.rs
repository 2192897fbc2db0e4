//! A histogram of seconds. Noting one takes no lock.
//!
//! Knows nothing of what takes how long.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric},
};

/// A clone is the same.
#[derive(Clone, Debug)]
pub struct Seconds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Upper bounds of all but the last.
    bounds: &'static [f64],
    /// One more than bounds.
    counts: Box<[AtomicU64]>,
    /// The bits of a number with a fraction.
    sum: AtomicU64,
}

impl Seconds {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }))
    }

    /// It took so long.
    pub fn observe(&self, seconds: f64) {
        let Inner { bounds, counts, sum } = &*self.0;
        let bucket = bounds.iter().position(|bound| seconds <= *bound).unwrap_or(bounds.len());
        if let Some(count) = counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let add = |bits| Some((f64::from_bits(bits) + seconds).to_bits());
        // It cannot fail: something is always set.
        let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl TypedMetric for Seconds {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Seconds {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Inner { bounds, counts, sum } = &*self.0;
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = f64::from_bits(sum.load(Ordering::Relaxed));
        encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn each_is_in_its_bucket_and_in_all_above() {
        let metrics = Metrics::new();
        for seconds in [0.000_001, 0.000_005, 0.01, 7.0] {
            metrics.authentication_seconds.observe(seconds);
        }
        let text = metrics.encode();
        let name = "portcullis_authentication_seconds";
        for line in [
            "_count 4",
            "_bucket{le=\"0.005\"} 2",
            "_bucket{le=\"0.01\"} 3",
            "_bucket{le=\"5.0\"} 3",
            "_bucket{le=\"+Inf\"} 4",
        ] {
            assert!(text.contains(&format!("{name}{line}\n")), "no {line} in\n{text}");
        }
    }

    #[test]
    fn none_is_lost_when_many_note_at_once() {
        let seconds = Seconds::new(&[1.0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| seconds.observe(0.5)));
            }
        });
        assert_eq!(f64::from_bits(seconds.0.sum.load(Ordering::Relaxed)), 20_000.0);
        assert_eq!(seconds.0.counts[0].load(Ordering::Relaxed), 40_000);
    }
}
