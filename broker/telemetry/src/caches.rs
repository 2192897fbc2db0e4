//! How often what is kept saved work: permissions of plugins, verified passwords, machine code.
//!
//! Counting takes no lock. Knows nothing of what is kept.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder},
    metrics::MetricType,
};

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Answers of authorizers.
    Permissions,
    /// Passwords that were verified.
    Passwords,
    /// Machine code of plugins.
    MachineCode,
}

const NAMES: [&str; 3] = ["permissions", "passwords", "machine_code"];
const RESULTS: [&str; 2] = ["hit", "miss"];

/// The counters of all of them. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Caches(Arc<[[AtomicU64; 2]; 3]>);

impl Caches {
    /// Somebody looked, and it was there or not.
    pub fn note(&self, cache: Cache, was_there: bool) {
        let results = self.0.get(cache as usize);
        if let Some(number) = results.and_then(|results| results.get(usize::from(!was_there))) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl EncodeMetric for Caches {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (cache, results) in NAMES.into_iter().zip(self.0.iter()) {
            for (result, number) in RESULTS.into_iter().zip(results) {
                encoder
                    .encode_family(&[("cache", cache), ("result", result)])?
                    .encode_counter::<[(&str, &str); 0], _, u64>(
                        &number.load(Ordering::Relaxed),
                        None,
                    )?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn hits_and_misses_are_told_apart() {
        let metrics = Metrics::new();
        metrics.plugins.caches.note(Cache::Passwords, true);
        metrics.plugins.caches.note(Cache::Passwords, false);
        metrics.plugins.caches.note(Cache::MachineCode, false);
        let text = metrics.encode();
        let name = "portcullis_cache_lookups_total";
        for line in [
            "{cache=\"permissions\",result=\"hit\"} 0",
            "{cache=\"passwords\",result=\"hit\"} 1",
            "{cache=\"passwords\",result=\"miss\"} 1",
            "{cache=\"machine_code\",result=\"miss\"} 1",
        ] {
            assert!(text.contains(&format!("{name}{line}\n")), "no {line} in\n{text}");
        }
    }
}
