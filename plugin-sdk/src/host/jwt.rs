//! JSON Web Tokens, judged by the broker.

use crate::bindings::portcullis::plugin::jwt;
/// Why a token does not hold.
pub use crate::bindings::portcullis::plugin::jwt::Error;

/// The claims, as JSON, of a token that a `[jwt.NAME]` of `[grants] jwt` accepts: signature,
/// algorithm, `exp`, `nbf`, `iss` and `aud` are checked.
///
/// # Errors
/// There is no such verifier, it has no keys at the moment, or the token is refused.
pub fn verify(verifier: &str, token: &str) -> Result<String, Error> {
    jwt::verify(verifier, token)
}
