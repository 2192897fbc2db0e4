//! What a row says of a password, as a text that the host can verify against.

use portcullis_plugin::Error;
use serde::Deserialize;

use crate::rows::Row;

/// How the columns hold a hash.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) enum Form {
    /// `password_hash` names its own format, as `portcullis passwd` and others write it.
    #[default]
    #[serde(rename = "stored")]
    Stored,
    /// `password_hash` in hexadecimal, of `salt` and password.
    #[serde(rename = "sha256-salt-first")]
    Sha256SaltFirst,
    #[serde(rename = "sha256-salt-last")]
    Sha256SaltLast,
    #[serde(rename = "sha512-salt-first")]
    Sha512SaltFirst,
    #[serde(rename = "sha512-salt-last")]
    Sha512SaltLast,
    /// The password itself.
    #[serde(rename = "plain")]
    Plain,
    /// The columns of HiveMQ's Enterprise Security Extension; by `schema`, not by name.
    #[serde(skip)]
    Ese,
}

/// What a password is judged by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A text for the host.
    Hash(String),
    /// The password itself, in base64 where the schema has it so.
    Plain { text: String, is_base64: bool },
}

impl Form {
    /// Columns of a row, beside those that are optional.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Stored | Self::Plain => &["username", "password_hash"],
            Self::Sha256SaltFirst
            | Self::Sha256SaltLast
            | Self::Sha512SaltFirst
            | Self::Sha512SaltLast => &["username", "password_hash", "salt"],
            Self::Ese => {
                &["username", "password", "password_iterations", "password_salt", "algorithm"]
            }
        }
    }

    /// A hash of nobody's password, at the cost that is common for it.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Stored | Self::Plain => {
                "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA\
                 $BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"
            }
            Self::Sha256SaltFirst | Self::Sha256SaltLast => {
                "$salted-sha256$prefix$bm9ib2R5J3Mgc2FsdA\
                 $BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"
            }
            Self::Sha512SaltFirst | Self::Sha512SaltLast => {
                "$salted-sha512$prefix$bm9ib2R5J3Mgc2FsdA\
                 $BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw"
            }
            Self::Ese => crate::ese::EXAMPLE_HASH,
        }
    }

    /// None where the row has no password: nobody logs in with it.
    pub(crate) fn read(self, row: Row<'_>) -> Result<Option<Stored>, Error> {
        if self == Self::Ese {
            return ese(row);
        }
        let Some(hash) = row.text("password_hash")? else {
            return Ok(None);
        };
        let salted = |bits: u32, position: &str| {
            let bytes = unhex(hash).ok_or_else(|| row.wrong("password_hash", "is no hex"))?;
            let salt = base64(row.needed_text("salt")?.as_bytes());
            let hash = base64(&bytes);
            Ok(Stored::Hash(format!("$salted-sha{bits}${position}${salt}${hash}")))
        };
        match self {
            Self::Sha256SaltFirst => salted(256, "prefix"),
            Self::Sha256SaltLast => salted(256, "suffix"),
            Self::Sha512SaltFirst => salted(512, "prefix"),
            Self::Sha512SaltLast => salted(512, "suffix"),
            Self::Plain => Ok(Stored::Plain { text: hash.to_owned(), is_base64: false }),
            Self::Stored | Self::Ese => Ok(Stored::Hash(hash.to_owned())),
        }
        .map(Some)
    }
}

fn ese(row: Row<'_>) -> Result<Option<Stored>, Error> {
    let Some(hash) = row.text("password")? else {
        return Ok(None);
    };
    let iterations = || row.needed_count("password_iterations");
    let salt = || row.needed_text("password_salt");
    Ok(Some(match row.needed_text("algorithm")? {
        "SHA512" => Stored::Hash(format!("$ese-sha512${}${}${hash}", iterations()?, salt()?)),
        "PKCS5S2" => {
            let (salt, hash) = (salt()?.trim_end_matches('='), hash.trim_end_matches('='));
            Stored::Hash(format!("$pbkdf2-sha512$i={}${salt}${hash}", iterations()?))
        }
        "PLAIN" => Stored::Plain { text: hash.to_owned(), is_base64: true },
        // Whole in one column, with everything that the schema has no columns for.
        "BCRYPT" | "ARGON2ID" if hash.starts_with('$') => Stored::Hash(hash.to_owned()),
        "BCRYPT" | "ARGON2ID" => {
            let why = "does not begin with $: what BCRYPT and ARGON2ID need has no other column";
            return Err(row.wrong("password", why));
        }
        "MD5" => return Err(row.wrong("algorithm", "is MD5, which anybody computes backwards")),
        _ => {
            let why = "is none of SHA512, PKCS5S2, BCRYPT, ARGON2ID, PLAIN";
            return Err(row.wrong("algorithm", why));
        }
    }))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// Without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let part = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for at in 0..=chunk.len() {
            let digit = (bits >> (18 - 6 * at)) & 63;
            text.push(char::from(ALPHABET.get(digit as usize).copied().unwrap_or(b'=')));
        }
    }
    text
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests;
