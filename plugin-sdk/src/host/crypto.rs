//! Work with secrets, which the host does without the plugin's CPU budget.

use crate::bindings::portcullis::plugin::crypto;
/// Why a password could not be verified. Never a reason to allow.
pub use crate::bindings::portcullis::plugin::crypto::Error;

/// Verifies a password against a stored hash, in constant time.
///
/// Formats: PHC strings `$argon2id$`, `$scrypt$`, `$pbkdf2-sha256$`, `$pbkdf2-sha512$`; bcrypt
/// `$2a$`, `$2b$`, `$2y$`; mosquitto `$6$salt$hash` and `$7$iterations$salt$hash`;
/// `$ese-sha512$iterations$salt$hash` as HiveMQ's Enterprise Security Extension stores it, and one
/// SHA-2 of salt and password, `$salted-sha256$prefix$salt$hash` (or `sha512`, or `suffix`).
///
/// # Errors
/// The stored hash is not one that can be verified, or too many verifications wait already.
pub fn verify_password(stored: &str, password: &[u8]) -> Result<bool, Error> {
    crypto::verify_password(stored, password)
}

/// Checks a stored hash without a password: its format, its parameters, the length of its parts,
/// the broker's caps.
///
/// # Errors
/// What [`verify_password`] would say to it, for any password.
pub fn check_hash(stored: &str) -> Result<(), Error> {
    crypto::check_hash(stored)
}

/// Whether two byte strings are equal, in constant time for equal lengths.
#[must_use]
pub fn constant_time_equal(a: &[u8], b: &[u8]) -> bool {
    crypto::constant_time_equal(a, b)
}

/// SHA-256, 32 bytes.
#[must_use]
pub fn sha256(data: &[u8]) -> Vec<u8> {
    crypto::sha256(data)
}

/// For an operator: a sentence on what is wrong with a stored hash.
impl Error {
    /// The text to put behind "this hash ...".
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Malformed(text) => format!("is malformed: {text}"),
            Self::Unsupported(text) => format!("has an unsupported format: {text}"),
            Self::TooCostly(text) => format!("is too costly to verify: {text}"),
            Self::Busy => "was not verified: too many verifications wait already".to_owned(),
        }
    }
}
