//! How long plugins take for their hooks, by what they say.
//!
//! Owns the verdicts that there are. Every one of a hook is there from the start, at zero, so that
//! an alert on it works before it happened for the first time. Knows nothing of plugins but names.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::metrics::{family::Family, histogram::Histogram};

/// From a warm call (microseconds) past the wall deadline of a plugin (2 s).
const BUCKETS: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5];

type Labels = [(&'static str, String); 3];
pub(crate) type Times = Family<Labels, Histogram, fn() -> Histogram>;

pub(crate) fn times() -> Times {
    Times::new_with_constructor(|| Histogram::new(BUCKETS))
}

/// The hooks of the contract, and what a plugin may say to each.
const VERDICTS: [(&str, &[&str]); 9] = [
    ("authenticator", &["allow", "deny", "next", "failure"]),
    ("enhanced-authenticator", &["allow", "challenge", "deny", "next", "failure"]),
    ("authorizer", &["allow", "deny", "next", "failure"]),
    ("operation-authorizer", &["allow", "deny", "next", "failure"]),
    ("inbound-transform", &["unchanged", "patched", "swallow", "deny", "failure"]),
    ("outbound-transform", &["unchanged", "patched", "swallow", "failure"]),
    ("admin-authenticator", &["allow", "deny", "next", "failure"]),
    ("events", &["done", "failure"]),
    ("timer", &["done", "failure"]),
];

/// The histograms of one generation of a plugin.
#[derive(Debug, Default)]
pub struct HookTimes(Vec<OfHook>);

#[derive(Debug)]
struct OfHook {
    hook: &'static str,
    verdicts: Vec<(&'static str, Histogram)>,
    calls: AtomicU64,
    nanoseconds: AtomicU64,
}

impl HookTimes {
    /// Those of a plugin that exports these hooks.
    pub(crate) fn of(times: &Times, plugin: &str, hooks: &[String]) -> Self {
        let exported = VERDICTS.into_iter().filter(|(hook, _)| hooks.iter().any(|h| h == hook));
        let of_hook = |(hook, said): (&'static str, &[&'static str])| OfHook {
            hook,
            verdicts: said.iter().map(|s| (*s, histogram(times, plugin, hook, s))).collect(),
            calls: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        };
        Self(exported.map(of_hook).collect())
    }

    /// Notes a call. A hook or word that is none is noted nowhere.
    pub fn observe(&self, hook: &str, verdict: &str, took: Duration) {
        let Some(of_hook) = self.0.iter().find(|of_hook| of_hook.hook == hook) else { return };
        let mut verdicts = of_hook.verdicts.iter();
        if let Some((_, times)) = verdicts.find(|(known, _)| *known == verdict) {
            times.observe(took.as_secs_f64());
            of_hook.calls.fetch_add(1, Ordering::Relaxed);
            let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            of_hook.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }

    /// Hook, calls and their time, of this generation alone.
    pub fn by_hook(&self) -> impl Iterator<Item = (&'static str, u64, Duration)> + '_ {
        self.0.iter().map(|of_hook| {
            let nanoseconds = of_hook.nanoseconds.load(Ordering::Relaxed);
            let calls = of_hook.calls.load(Ordering::Relaxed);
            (of_hook.hook, calls, Duration::from_nanos(nanoseconds))
        })
    }
}

/// Everything of a plugin goes.
pub(crate) fn forget(times: &Times, plugin: &str) {
    for (hook, said) in VERDICTS {
        for said in said {
            times.remove(&labels(plugin, hook, said));
        }
    }
}

fn histogram(times: &Times, plugin: &str, hook: &str, verdict: &str) -> Histogram {
    times.get_or_create(&labels(plugin, hook, verdict)).clone()
}

fn labels(plugin: &str, hook: &str, verdict: &str) -> Labels {
    [("plugin", plugin.to_owned()), ("hook", hook.to_owned()), ("verdict", verdict.to_owned())]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Metrics;

    #[test]
    fn what_a_plugin_may_say_is_there_from_the_start_and_goes_with_it() {
        let metrics = Metrics::new();
        let hooks = ["authorizer".to_owned(), "timer".to_owned()];
        let times = metrics.plugins.hook_times("acl", &hooks);
        let count = "portcullis_plugin_hook_seconds_count{plugin=\"acl\",hook=";
        let text = metrics.encode();
        assert_eq!(text.matches(count).count(), 6, "{text}");
        let took = Duration::from_millis(10);
        times.observe("authorizer", "deny", took);
        times.observe("authorizer", "no such", took);
        times.observe("authenticator", "deny", took);
        let by_hook: Vec<_> = times.by_hook().collect();
        assert_eq!(by_hook, [("authorizer", 1, took), ("timer", 0, Duration::ZERO)]);
        let text = metrics.encode();
        assert!(text.contains(&format!("{count}\"authorizer\",verdict=\"deny\"}} 1\n")), "{text}");
        assert_eq!(text.matches(count).count(), 6, "{text}");
        metrics.plugins.forget("acl");
        assert!(!metrics.encode().contains(count));
    }
}
