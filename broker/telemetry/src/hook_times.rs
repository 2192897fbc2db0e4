//! How long plugins take for their hooks, by what they say.
//!
//! Owns the verdicts that there are. Every one of a hook is there from the start, at zero, so that
//! an alert on it works before it happened for the first time. Knows nothing of plugins but names.

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
#[derive(Clone, Debug, Default)]
pub struct HookTimes(Vec<(&'static str, &'static str, Histogram)>);

impl HookTimes {
    /// Those of a plugin that exports these hooks.
    pub(crate) fn of(times: &Times, plugin: &str, hooks: &[String]) -> Self {
        let exported = VERDICTS.into_iter().filter(|(hook, _)| hooks.iter().any(|h| h == hook));
        let each = exported.flat_map(|(hook, said)| said.iter().map(move |said| (hook, *said)));
        Self(each.map(|(hook, said)| (hook, said, histogram(times, plugin, hook, said))).collect())
    }

    /// Notes a call. A hook or word that is none is noted nowhere.
    pub fn observe(&self, hook: &str, verdict: &str, seconds: f64) {
        let mut known = self.0.iter();
        if let Some((_, _, times)) = known.find(|(h, v, _)| *h == hook && *v == verdict) {
            times.observe(seconds);
        }
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
    use crate::Metrics;

    #[test]
    fn what_a_plugin_may_say_is_there_from_the_start_and_goes_with_it() {
        let metrics = Metrics::new();
        let hooks = ["authorizer".to_owned(), "timer".to_owned()];
        let times = metrics.plugins.hook_times("acl", &hooks);
        let count = "portcullis_plugin_hook_seconds_count{plugin=\"acl\",hook=";
        let text = metrics.encode();
        assert_eq!(text.matches(count).count(), 6, "{text}");
        times.observe("authorizer", "deny", 0.01);
        times.observe("authorizer", "no such", 0.01);
        times.observe("authenticator", "deny", 0.01);
        let text = metrics.encode();
        assert!(text.contains(&format!("{count}\"authorizer\",verdict=\"deny\"}} 1\n")), "{text}");
        assert_eq!(text.matches(count).count(), 6, "{text}");
        metrics.plugins.forget("acl");
        assert!(!metrics.encode().contains(count));
    }
}
