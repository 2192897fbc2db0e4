//! Keys and values of this plugin, shared by its instances and kept over restarts. A change that was
//! answered survives a power cut. `[grants] state = "1 MiB"` bounds them: an entry counts its key, its
//! value and 64 bytes.

use crate::bindings::portcullis::plugin::state;
/// A value with its version, and why there is none.
pub use crate::bindings::portcullis::plugin::state::{Entry, Error};

/// The value of a key.
///
/// # Errors
/// The store does not answer.
pub fn get(key: &str) -> Result<Option<Entry>, Error> {
    state::get(key)
}

/// Sets it, for `ttl_seconds` if given. Returns the new version.
///
/// # Errors
/// Over the quota or a length, or the store does not answer.
pub fn set(key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result<u64, Error> {
    state::set(key, value, ttl_seconds)
}

/// Sets it if its version is still `expected` (none = there is no such key). None = somebody else was
/// faster.
///
/// # Errors
/// Over the quota or a length, or the store does not answer.
pub fn compare_and_set(
    key: &str,
    expected: Option<u64>,
    value: &[u8],
    ttl_seconds: Option<u32>,
) -> Result<Option<u64>, Error> {
    state::compare_and_set(key, expected, value, ttl_seconds)
}

/// Adds to a number, which begins at 0, and returns the sum. `ttl_seconds` counts from its begin.
///
/// # Errors
/// Over the quota or a length, or the store does not answer.
pub fn increment(key: &str, amount: i64, ttl_seconds: Option<u32>) -> Result<i64, Error> {
    state::increment(key, amount, ttl_seconds)
}

/// Removes it; whether it was there.
///
/// # Errors
/// The store does not answer.
pub fn delete(key: &str) -> Result<bool, Error> {
    state::delete(key)
}
