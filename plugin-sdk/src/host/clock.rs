//! Time.

use std::time::Duration;

use crate::bindings::portcullis::plugin::clock;

/// Milliseconds since 1970-01-01 UTC.
#[must_use]
pub fn now_unix_ms() -> u64 {
    clock::now_unix_ms()
}

/// A clock that never goes back; only differences mean anything.
#[must_use]
pub fn monotonic() -> Duration {
    Duration::from_nanos(clock::monotonic_ns())
}
