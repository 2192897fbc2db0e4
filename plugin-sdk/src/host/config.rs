//! The table `[config]` of the manifest, as raw text. [`Config`](crate::Config) is the comfortable
//! way.

use crate::bindings::portcullis::plugin::config;

/// The whole table as JSON; `{}` when there is none.
#[must_use]
pub fn json() -> String {
    config::json()
}

/// The value of a top-level key: text as it is, anything else as JSON; none when the key does not
/// exist.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    config::get(key)
}
