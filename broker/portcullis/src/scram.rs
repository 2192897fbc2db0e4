//! What SCRAM (RFC 5802) stores of a password: enough to know it again, not enough to log in with.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What a client with little power computes in some seconds.
pub(crate) const ITERATIONS: u32 = 32_768;

const SALT_BYTES: usize = 16;

/// A method of the plugin `scram`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    #[value(name = "sha-256")]
    Sha256,
    #[value(name = "sha-512")]
    Sha512,
}

impl Method {
    /// What a stored text begins with.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256$",
            Self::Sha512 => "SCRAM-SHA-512$",
        }
    }
}

/// Refuses a name that could be sent in two ways: names are prepared (RFC 4013), which leaves
/// printable ASCII as it is.
pub(crate) fn check_user(user: &str) -> Result<(), Failure> {
    match is_prepared(user.as_bytes()) && user.len() <= 256 {
        true => Ok(()),
        false => Err(Failure::Refused(format!(
            "user {user:?}: for SCRAM a name is 1 to 256 printable ASCII characters"
        ))),
    }
}

/// With a fresh salt.
pub(crate) fn credential(
    method: Method,
    iterations: u32,
    password: &[u8],
) -> Result<String, Failure> {
    if !is_prepared(password) {
        let what = "for SCRAM a password is printable ASCII: others are sent in more than one way";
        return Err(Failure::Refused(what.to_owned()));
    }
    let mut salt = [0; SALT_BYTES];
    let random = getrandom::fill(&mut salt);
    random.map_err(|error| Failure::internal("random bytes for the salt", error))?;
    with_salt(method, iterations, password, &salt)
}

fn with_salt(
    method: Method,
    iterations: u32,
    password: &[u8],
    salt: &[u8],
) -> Result<String, Failure> {
    let (derive, hash, mac) = match method {
        Method::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, &digest::SHA256, hmac::HMAC_SHA256),
        Method::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, &digest::SHA512, hmac::HMAC_SHA512),
    };
    let no_iterations = || Failure::Refused("0 iterations".to_owned());
    let count = std::num::NonZeroU32::new(iterations).ok_or_else(no_iterations)?;
    let mut salted = Zeroizing::new(vec![0; hash.output_len()]);
    pbkdf2::derive(derive, count, salt, password, &mut salted);
    let key = hmac::Key::new(mac, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = STANDARD.encode(digest::digest(hash, client_key.as_ref()));
    let server_key = STANDARD.encode(hmac::sign(&key, b"Server Key"));
    let (name, salt) = (method.name(), STANDARD.encode(salt));
    Ok(format!("{name}{iterations}:{salt}${stored_key}:{server_key}"))
}

fn is_prepared(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| (0x20..=0x7e).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the password of RFC 7677, computed with Python's hashlib.
    #[test]
    fn credentials() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        for (method, expected) in [
            (
                Method::Sha256,
                "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZk\
                 BFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
            ),
            (
                Method::Sha512,
                "SCRAM-SHA-512$4096:W22ZaJ0SNY7soEsUEjb6gQ==$6AAub3065EYRmyFpM2RNwqK+eG\
                 nrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==:jZHbYjC\
                 1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24m\
                 vD5nmE6rA==",
            ),
        ] {
            assert_eq!(with_salt(method, 4_096, b"pencil", &salt).unwrap(), expected);
        }
        let [one, other] = [(), ()].map(|()| credential(Method::Sha256, 4_096, b"x").unwrap());
        assert_ne!(one, other, "a salt for each");
    }

    #[test]
    fn what_cannot_be_prepared_is_refused() {
        for password in ["", "p\u{e4}ssword", "tab\there", "\u{7f}"] {
            assert!(credential(Method::Sha256, 4_096, password.as_bytes()).is_err(), "{password}");
        }
        for user in ["", "\u{e4}", "a\n"] {
            assert!(check_user(user).is_err(), "{user}");
        }
        assert!(check_user("a user, with = and ,").is_ok());
    }
}
