//! What every metric means, in the words of `docs/reference/metrics.md`.
//!
//! Knows nothing of values; `Metrics` and `Snapshot` write down here what they register.

/// What kind of numbers a metric holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process (or, where the description says so, something smaller) starts
    /// anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution in buckets, with sum and count.
    Histogram,
}

impl Kind {
    /// Its word in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Name on the wire, with `_total` where a counter has it.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Names of the labels, in order.
    pub labels: Vec<&'static str>,
    /// One sentence without a full stop.
    pub help: &'static str,
}
