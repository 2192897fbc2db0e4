//! Users as they are kept.
//!
//! Knows nothing of HTTP, and of hashing only how a hash looks.

use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret};
use zeroize::Zeroizing;

use crate::password;

/// A user.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// argon2id, as PHC string.
    pub(crate) password: String,
    pub(crate) roles: Vec<String>,
    /// Kept, but never let in.
    pub(crate) disabled: bool,
    pub(crate) totp: Option<Totp>,
    /// Seconds since 1970.
    pub(crate) created_unix: u64,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { roles, disabled, created_unix, .. } = self;
        let mut user = f.debug_struct("User");
        user.field("roles", roles).field("disabled", disabled).field("created", created_unix);
        user.finish_non_exhaustive()
    }
}

/// One-time codes after RFC 6238: six digits of HMAC-SHA-1, a new one every 30 seconds.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Totp {
    /// Base32. It cannot be hashed: every code is computed from it.
    pub(crate) secret: String,
    /// Whether the user has shown a code of it; before that logins need none.
    pub(crate) confirmed: bool,
    /// The 30-second step of the last code that was accepted: codes up to it are used up.
    pub(crate) last_step: u64,
}

impl Totp {
    /// A new one, not confirmed.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut random = Zeroizing::new([0_u8; SECRET_BYTES]);
        getrandom::fill(random.as_mut_slice())?;
        Ok(Self { secret: to_base32(&random), confirmed: false, last_step: 0 })
    }

    /// Takes a code that was not taken before, of this half minute or the one before or behind it.
    pub(crate) fn take(&mut self, code: &str, now_unix: u64) -> bool {
        let Some(secret) = from_base32(&self.secret) else {
            return false;
        };
        let secret = Secret::new_stack(*secret);
        let totp = Builder::new().with_secret(secret).with_skew(1).build_noncompliant();
        match totp.check(code, now_unix) {
            Some(step) if step > self.last_step => {
                self.last_step = step;
                true
            }
            _ => false,
        }
    }

    /// The code of this moment.
    #[cfg(test)]
    pub(crate) fn code(&self, now_unix: u64) -> String {
        let secret = Secret::new_stack(*from_base32(&self.secret).unwrap());
        Builder::new().with_secret(secret).build_noncompliant().generate(now_unix).to_string()
    }

    /// For an authenticator app. Names of users need no escaping but of `@`.
    pub(crate) fn uri(&self, user: &str) -> String {
        let user = user.replace('@', "%40");
        format!("otpauth://totp/Portcullis:{user}?secret={}&issuer=Portcullis", self.secret)
    }
}

pub(super) fn check(user: &User) -> Result<(), String> {
    if !password::is_hash(&user.password) {
        return Err("its password is no argon2id hash of this program".to_owned());
    }
    match &user.totp {
        Some(totp) if from_base32(&totp.secret).is_none() => {
            Err("the secret of its one-time codes is not 32 digits of base32".to_owned())
        }
        _ => Ok(()),
    }
}

/// As RFC 4226 recommends.
const SECRET_BYTES: usize = 20;

/// RFC 4648, without padding: 20 bytes are 32 digits of 5 bits.
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn to_base32(secret: &[u8; SECRET_BYTES]) -> String {
    let groups = secret
        .chunks_exact(5)
        .map(|five| five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)));
    let digits = groups.flat_map(|bits| {
        (0..8).rev().filter_map(move |at| DIGITS.get((bits >> (5 * at) & 31) as usize))
    });
    digits.map(|digit| char::from(*digit)).collect()
}

fn from_base32(text: &str) -> Option<Zeroizing<[u8; SECRET_BYTES]>> {
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
    if text.len() != SECRET_BYTES / 5 * 8 {
        return None;
    }
    let mut secret = Zeroizing::new([0_u8; SECRET_BYTES]);
    for (five, eight) in secret.chunks_exact_mut(5).zip(text.as_bytes().chunks_exact(8)) {
        let mut bits = 0_u64;
        for byte in eight {
            bits = bits << 5 | digit(byte)? as u64;
        }
        five.copy_from_slice(bits.to_be_bytes().get(3..)?);
    }
    Some(secret)
}
