//! How long plugins take for their hooks, by what they say.
//!
//! Owns the verdicts that there are. Every one of a hook is there from the start, at zero, so that
//! an alert on it works before it happened for the first time. Knows nothing of plugins but names.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, family::Family};

use crate::Seconds;

/// From a warm call (microseconds) past the wall deadline of a plugin (2 s).
const BUCKETS: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5];

/// What calls failed of: the words of `access::PluginFailureKind`.
const FAILURES: [&str; 11] = [
    "unavailable",
    "timeout",
    "misconfigured",
    "internal",
    "trap",
    "cpu_budget",
    "deadline",
    "memory",
    "too_large",
    "busy",
    "missing",
];

type Labels = [(&'static str, String); 3];
type OfHookLabels = [(&'static str, String); 2];

/// The families of all plugins. A clone is the same.
#[derive(Clone)]
pub(crate) struct Times {
    /// By plugin, hook and verdict: seconds of calls.
    pub(crate) calls: Family<Labels, Seconds, fn() -> Seconds>,
    /// By plugin and hook: seconds that calls waited for a place.
    pub(crate) waits: Family<OfHookLabels, Seconds, fn() -> Seconds>,
    /// By plugin, hook and kind: calls that came to no decision.
    pub(crate) failures: Family<Labels, Counter>,
}

pub(crate) fn times() -> Times {
    Times {
        calls: Family::new_with_constructor(|| Seconds::new(&BUCKETS)),
        waits: Family::new_with_constructor(|| Seconds::new(&BUCKETS)),
        failures: Family::default(),
    }
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
    verdicts: Vec<(&'static str, Seconds)>,
    waits: Seconds,
    failures: Vec<(&'static str, Counter)>,
    calls: AtomicU64,
    nanoseconds: AtomicU64,
}

impl HookTimes {
    /// Those of a plugin that exports these hooks.
    pub(crate) fn of(times: &Times, plugin: &str, hooks: &[String]) -> Self {
        let exported = VERDICTS.into_iter().filter(|(hook, _)| hooks.iter().any(|h| h == hook));
        let of_hook = |(hook, said): (&'static str, &[&'static str])| OfHook {
            hook,
            verdicts: said.iter().map(|s| (*s, histogram(&times.calls, plugin, hook, s))).collect(),
            waits: times.waits.get_or_create(&of_hook_labels(plugin, hook)).clone(),
            failures: FAILURES
                .into_iter()
                .map(|kind| {
                    let labels = labels(plugin, hook, ("kind", kind));
                    (kind, times.failures.get_or_create(&labels).clone())
                })
                .collect(),
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

    /// Notes that a call waited for a place.
    pub fn waited(&self, hook: &str, wait: Duration) {
        if let Some(of_hook) = self.0.iter().find(|of_hook| of_hook.hook == hook) {
            of_hook.waits.observe(wait.as_secs_f64());
        }
    }

    /// Notes that a call came to no decision. A kind that is none is noted nowhere.
    pub fn failed(&self, hook: &str, kind: &str) {
        let of_hook = self.0.iter().find(|of_hook| of_hook.hook == hook);
        let mut kinds = of_hook.into_iter().flat_map(|of_hook| &of_hook.failures);
        if let Some((_, count)) = kinds.find(|(known, _)| *known == kind) {
            count.inc();
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
            times.calls.remove(&labels(plugin, hook, ("verdict", said)));
        }
        for kind in FAILURES {
            times.failures.remove(&labels(plugin, hook, ("kind", kind)));
        }
        times.waits.remove(&of_hook_labels(plugin, hook));
    }
}

fn histogram(
    calls: &Family<Labels, Seconds, fn() -> Seconds>,
    plugin: &str,
    hook: &str,
    verdict: &str,
) -> Seconds {
    calls.get_or_create(&labels(plugin, hook, ("verdict", verdict))).clone()
}

fn labels(plugin: &str, hook: &str, (name, value): (&'static str, &str)) -> Labels {
    [("plugin", plugin.to_owned()), ("hook", hook.to_owned()), (name, value.to_owned())]
}

fn of_hook_labels(plugin: &str, hook: &str) -> OfHookLabels {
    [("plugin", plugin.to_owned()), ("hook", hook.to_owned())]
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
        times.waited("authorizer", took);
        times.failed("timer", "trap");
        times.failed("timer", "no such");
        let by_hook: Vec<_> = times.by_hook().collect();
        assert_eq!(by_hook, [("authorizer", 1, took), ("timer", 0, Duration::ZERO)]);
        let text = metrics.encode();
        assert!(text.contains(&format!("{count}\"authorizer\",verdict=\"deny\"}} 1\n")), "{text}");
        assert_eq!(text.matches(count).count(), 6, "{text}");
        let labels = "{plugin=\"acl\",hook=\"authorizer\"} 1\n";
        assert!(text.contains(&format!("portcullis_plugin_hook_wait_seconds_count{labels}")));
        let labels = "{plugin=\"acl\",hook=\"timer\",kind=\"trap\"} 1\n";
        assert!(text.contains(&format!("portcullis_plugin_hook_failures_total{labels}")));
        metrics.plugins.forget("acl");
        assert!(!metrics.encode().contains("plugin=\"acl\""));
        assert!(!metrics.encode().contains(count));
    }
}
