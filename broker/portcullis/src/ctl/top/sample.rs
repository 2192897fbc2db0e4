//! What the broker said of itself at one moment: status, listeners and the metrics that `top` looks at.
//!
//! Answers go in; asks nothing but the clock.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

/// One look at the broker.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The same for people, seconds since 1970.
    pub(super) at_unix: u64,
    pub(super) status: Value,
    pub(super) listeners: Vec<Value>,
    metrics: Vec<Metric>,
}

#[derive(Clone, Debug, PartialEq)]
struct Metric {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Sample {
    pub(super) fn new(at: Instant, status: Value, listeners: &Value, metrics: &str) -> Self {
        let listeners = listeners.get("listeners").and_then(Value::as_array).cloned();
        let metrics = metrics.lines().filter_map(metric).collect();
        let (at_unix, listeners) = (unix_now(), listeners.unwrap_or_default());
        Self { at, at_unix, status, listeners, metrics }
    }

    /// A metric over all its labels; `None` = there is none of that name.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        let mut values = self.of(name).map(|metric| metric.value).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// A metric where a label has this value.
    pub(super) fn where_label(&self, name: &str, label: &str, value: &str) -> f64 {
        let fits = |metric: &&Metric| metric.labels.get(label).is_some_and(|it| it == value);
        self.of(name).filter(fits).map(|metric| metric.value).sum()
    }

    /// All values of a label.
    pub(super) fn labels<'a>(&'a self, name: &'a str, label: &str) -> Vec<&'a str> {
        let mut found: Vec<_> = self
            .of(name)
            .filter_map(|metric| metric.labels.get(label))
            .map(String::as_str)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Metric> {
        self.metrics.iter().filter(move |metric| metric.name == name)
    }
}

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `NAME{LABEL="VALUE",...} NUMBER`; `None` = a comment, or nothing that is known here.
fn metric(line: &str) -> Option<Metric> {
    if line.starts_with('#') {
        return None;
    }
    let (name, rest) = match line.split_once('{') {
        Some((name, rest)) if !name.contains(' ') => (name, Some(rest)),
        _ => (line.split(' ').next()?, None),
    };
    let mut labels = BTreeMap::new();
    let value = match rest {
        None => line.get(name.len()..)?,
        Some(mut rest) => {
            while !rest.starts_with('}') {
                let (label, behind) = rest.trim_start_matches(',').split_once("=\"")?;
                let (value, behind) = quoted(behind)?;
                labels.insert(label.to_owned(), value);
                rest = behind;
            }
            rest.get(1..)?
        }
    };
    let value = value.split_whitespace().next()?.parse().ok()?;
    Some(Metric { name: name.to_owned(), labels, value })
}

/// A text up to its closing quote, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                other => out.push(other),
            },
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_metrics_are_understood() {
        let text = "# HELP a x\na_total{plugin=\"x\\\"}\\\\y\",state=\"live\"} 3.5\n\
                    a_total{plugin=\"z\"} 1 170\n\
                    b 2\nbroken{ 1\nc{l=\"\"} +Inf\n# EOF\n";
        let sample = Sample::new(Instant::now(), Value::Null, &Value::Null, text);
        assert_eq!(sample.sum("a_total"), Some(4.5));
        assert_eq!(sample.where_label("a_total", "plugin", "x\"}\\y"), 3.5);
        assert_eq!(sample.labels("a_total", "plugin"), ["x\"}\\y", "z"]);
        assert_eq!(
            (sample.sum("b"), sample.sum("none"), sample.sum("broken")),
            (Some(2.0), None, None)
        );
        assert!(sample.listeners.is_empty());
    }
}
