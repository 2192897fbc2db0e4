//! Secrets that the operator named under `[grants]` in the manifest. Other modules take their names, so
//! most plugins never need to see one.

use crate::bindings::portcullis::plugin::secrets;
/// Why there is none.
pub use crate::bindings::portcullis::plugin::secrets::Error;

/// Names of those that this plugin may use.
#[must_use]
pub fn names() -> Vec<String> {
    secrets::names()
}

/// The secret itself. The manifest must name it under `reveal` as well, and the broker's log says
/// that it was read.
///
/// # Errors
/// There is none of this name, or it may only be used.
pub fn reveal(name: &str) -> Result<Vec<u8>, Error> {
    secrets::reveal(name)
}
