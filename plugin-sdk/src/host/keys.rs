//! Work with keys that stay in the broker: HMAC with a secret, authenticated encryption.

use crate::bindings::portcullis::plugin::keys;
/// Why an operation failed, and hash functions. A failure is never a reason to allow.
pub use crate::bindings::portcullis::plugin::keys::{Error, Hash};

/// HMAC with a secret of `[grants] secrets`. At most 1 MiB of data.
///
/// # Errors
/// There is no such secret, or the data are too long.
pub fn hmac(hash: Hash, secret: &str, data: &[u8]) -> Result<Vec<u8>, Error> {
    keys::hmac(hash, secret, data)
}

/// Encrypts with the newest key of a `[keys.NAME]` of `[grants] keys`; `associated_data` is bound to
/// the result and not in it. 33 bytes longer than `plaintext`, which has at most 1 MiB.
///
/// # Errors
/// There is no such key, or something is too long.
pub fn seal(key: &str, plaintext: &[u8], associated_data: &[u8]) -> Result<Vec<u8>, Error> {
    keys::seal(key, plaintext, associated_data)
}

/// Decrypts what [`seal`] made, also with an older key.
///
/// # Errors
/// There is no such key, or what was given is not authentic.
pub fn open(key: &str, sealed: &[u8], associated_data: &[u8]) -> Result<Vec<u8>, Error> {
    keys::open(key, sealed, associated_data)
}

/// As [`seal`], with a key of its own for each `context`, such as the name of a device: 1 to 1,024
/// bytes.
///
/// # Errors
/// There is no such key, or something is too long.
pub fn seal_for(
    key: &str,
    context: &str,
    plaintext: &[u8],
    associated_data: &[u8],
) -> Result<Vec<u8>, Error> {
    keys::seal_for(key, context, plaintext, associated_data)
}

/// Decrypts what [`seal_for`] made for the same `context`, also with an older key.
///
/// # Errors
/// There is no such key, or what was given is not authentic.
pub fn open_for(
    key: &str,
    context: &str,
    sealed: &[u8],
    associated_data: &[u8],
) -> Result<Vec<u8>, Error> {
    keys::open_for(key, context, sealed, associated_data)
}
