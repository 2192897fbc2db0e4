//! Latencies, counted in buckets whose width is below one percent of their value.

/// Buckets for each power of two, and those below [`STEPS`] exactly.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Nothing above 2^42 ns, more than an hour, is told apart.
const POWERS: usize = 42;

/// A histogram of nanoseconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = STEPS as usize * (POWERS - STEP_BITS as usize + 1);
        Self { counts: vec![0; buckets], total: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        let bucket = bucket(nanoseconds).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// Microseconds that this part, 0 to 1, did not exceed; 0 if there is nothing.
    pub(crate) fn microseconds_at(&self, part: f64) -> f64 {
        let wanted = (part * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return middle(bucket) / 1e3;
            }
        }
        0.0
    }
}

fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = 63 - value.leading_zeros();
    let step = value >> (power - STEP_BITS) & (STEPS - 1);
    (u64::from(power - STEP_BITS + 1) * STEPS + step) as usize
}

/// The middle of what falls into a bucket.
fn middle(bucket: usize) -> f64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    if row == 0 {
        return step as f64;
    }
    let width = 1_u64 << (row - 1);
    ((STEPS + step) * width) as f64 + (width - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut last = 0;
        for value in (0..4_000).chain((0..40).flat_map(|n| [1_u64 << n, (1 << n) + (1 << n) / 3])) {
            let near = middle(bucket(value));
            assert!((near - value as f64).abs() <= value as f64 / 128.0, "{value}: {near}");
        }
        for value in 0..100_000 {
            assert!(bucket(value) >= last, "{value}");
            last = bucket(value);
        }
    }

    #[test]
    fn parts_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        for microseconds in 1..=1_000 {
            histogram.record(microseconds * 1_000);
        }
        for (part, expected) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1_000.0)] {
            let found = histogram.microseconds_at(part);
            assert!((found - expected).abs() < expected / 100.0, "{part}: {found}");
        }
        histogram.clear();
        assert!(histogram.microseconds_at(0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_beyond_all_buckets_is_counted_in_the_last() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        assert!(histogram.microseconds_at(0.5) > 4e9);
    }
}
