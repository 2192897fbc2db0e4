//! Metrics that plugins make up themselves: counters, gauges and histograms by plugin and name.
//!
//! Owns the bound on names, so that no plugin fills the memory of the broker or of whoever scrapes
//! it. Knows nothing of what a plugin is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::AtomicU64},
};

use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
};

use crate::{
    Caches, Metrics, PluginCallRecord, Traced,
    hook_times::{self, HookTimes, Times, times},
};

/// Names of one plugin.
const NAMES_MAX: usize = 200;
/// Letters of a name.
const NAME_BYTES_MAX: usize = 64;
/// From a tenth of a millisecond, if it is seconds, to ten thousand of anything.
const BUCKETS: [f64; 17] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0,
    1_000.0, 5_000.0, 10_000.0,
];

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of all plugins. A clone is the same.
#[derive(Clone)]
pub struct PluginMetrics {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    pub(crate) histograms: Histograms,
    /// By plugin: uses of metrics that were not taken.
    pub(crate) dropped: Counters,
    /// Of calls.
    pub(crate) times: Times,
    /// Looks into what is kept for plugins.
    pub caches: Caches,
    plugins: Arc<Mutex<HashMap<String, HashMap<String, Kind>>>>,
    /// Whose traces hear of calls that are about no client.
    traced: Arc<OnceLock<Weak<Metrics>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Default for PluginMetrics {
    fn default() -> Self {
        Self {
            counters: Family::default(),
            gauges: Family::default(),
            histograms: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            dropped: Family::default(),
            times: times(),
            caches: Caches::default(),
            plugins: Arc::default(),
            traced: Arc::default(),
        }
    }
}

impl PluginMetrics {
    /// Adds to a counter.
    pub fn add(&self, plugin: &str, name: &str, amount: u64) {
        if self.takes(plugin, name, Kind::Counter) {
            self.counters.get_or_create(&labels(plugin, name)).inc_by(amount);
        }
    }

    /// Sets a gauge. A value that is no number is dropped.
    pub fn set(&self, plugin: &str, name: &str, value: f64) {
        if self.is_number(plugin, value) && self.takes(plugin, name, Kind::Gauge) {
            self.gauges.get_or_create(&labels(plugin, name)).set(value);
        }
    }

    /// Notes a value in a histogram. A value that is no number is dropped.
    pub fn observe(&self, plugin: &str, name: &str, value: f64) {
        if self.is_number(plugin, value) && self.takes(plugin, name, Kind::Histogram) {
            self.histograms.get_or_create(&labels(plugin, name)).observe(value);
        }
    }

    /// Calls that are about no client are told to the traces of these from now on.
    pub(crate) fn trace_with(&self, metrics: &Arc<Metrics>) {
        // The first ones: there are no others in a process that traces.
        let _ = self.traced.set(Arc::downgrade(metrics));
    }

    /// A call that is about no client: of a timer, or with a batch of events.
    pub fn note_call(&self, call: &PluginCallRecord<'_>) {
        if let Some(metrics) = self.traced.get().and_then(Weak::upgrade) {
            metrics.traces.note_call(&Traced::default(), call);
        }
    }

    /// Everything of a plugin goes.
    pub fn forget(&self, plugin: &str) {
        let names = self.lock().remove(plugin).unwrap_or_default();
        for (name, kind) in names {
            let labels = labels(plugin, &name);
            match kind {
                Kind::Counter => self.counters.remove(&labels),
                Kind::Gauge => self.gauges.remove(&labels),
                Kind::Histogram => self.histograms.remove(&labels),
            };
        }
        self.dropped.remove(&of_plugin(plugin));
        hook_times::forget(&self.times, plugin);
    }

    /// Where calls of a plugin that exports these hooks are noted.
    pub fn hook_times(&self, plugin: &str, hooks: &[String]) -> HookTimes {
        HookTimes::of(&self.times, plugin, hooks)
    }

    fn is_number(&self, plugin: &str, value: f64) -> bool {
        if !value.is_finite() {
            self.drop_one(plugin);
        }
        value.is_finite()
    }

    /// Whether this name may be used for this kind.
    fn takes(&self, plugin: &str, name: &str, kind: Kind) -> bool {
        let mut plugins = self.lock();
        if let Some(known) = plugins.get(plugin).and_then(|names| names.get(name)) {
            let same = *known == kind;
            drop(plugins);
            if !same {
                self.drop_one(plugin);
            }
            return same;
        }
        let names = plugins.entry(plugin.to_owned()).or_default();
        let taken = names.len() < NAMES_MAX && is_name(name);
        if taken {
            names.insert(name.to_owned(), kind);
        }
        drop(plugins);
        if !taken {
            self.drop_one(plugin);
        }
        taken
    }

    fn drop_one(&self, plugin: &str) {
        self.dropped.get_or_create(&of_plugin(plugin)).inc();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, Kind>>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn labels(plugin: &str, name: &str) -> Labels {
    vec![("plugin", plugin.to_owned()), ("name", name.to_owned())]
}

fn of_plugin(plugin: &str) -> Labels {
    vec![("plugin", plugin.to_owned())]
}

impl std::fmt::Debug for PluginMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plugins = self.lock().len();
        f.debug_struct("PluginMetrics").field("plugins", &plugins).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn what_plugins_count_is_told() {
        let metrics = Metrics::new();
        let plugins = &metrics.plugins;
        plugins.add("gate", "logins", 2);
        plugins.add("gate", "logins", 3);
        plugins.set("gate", "users", 1.5);
        plugins.observe("gate", "seconds", 0.02);
        let text = metrics.encode();
        for line in [
            "portcullis_plugin_custom_counter_total{plugin=\"gate\",name=\"logins\"} 5",
            "portcullis_plugin_custom_gauge{plugin=\"gate\",name=\"users\"} 1.5",
            "portcullis_plugin_custom_histogram_count{plugin=\"gate\",name=\"seconds\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        plugins.forget("gate");
        assert!(!metrics.encode().contains("gate"));
    }

    #[test]
    fn what_is_over_or_wrong_is_dropped_and_counted() {
        let metrics = Metrics::new();
        let plugins = &metrics.plugins;
        for number in 0..NAMES_MAX + 7 {
            plugins.add("p", &format!("n{number}"), 1);
        }
        plugins.add("p", "n0", 1);
        for name in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            plugins.add("p", name, 1);
        }
        plugins.set("p", "n0", 1.0);
        plugins.set("p", "n1", f64::NAN);
        let text = metrics.encode();
        let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("portcullis_plugin_custom_counter_total{"), NAMES_MAX);
        assert!(text.contains("{plugin=\"p\",name=\"n0\"} 2"));
        let dropped = "portcullis_plugin_custom_dropped_total{plugin=\"p\"} 14";
        assert!(text.lines().any(|line| line == dropped), "{text}");
        plugins.add("q", "n", 1);
        assert!(metrics.encode().contains("{plugin=\"q\",name=\"n\"} 1"), "others have their own");
    }
}
