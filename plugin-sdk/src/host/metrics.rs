//! Numbers of the plugin, at `/metrics` of the broker. At most 200 names of letters, digits and `_`;
//! what is over is dropped and counted. Never make a name out of what a client sent.

use crate::bindings::portcullis::plugin::metrics;

/// Adds to a counter.
pub fn add(name: &str, amount: u64) {
    metrics::add(name, amount);
}

/// Sets a gauge.
pub fn set(name: &str, value: f64) {
    metrics::set(name, value);
}

/// Notes a value in a histogram.
pub fn observe(name: &str, value: f64) {
    metrics::observe(name, value);
}
