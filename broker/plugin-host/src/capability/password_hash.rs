//! Stored password hashes: which formats, which costs, and whether a password fits. Pure
//! computation.
//!
//! A hash that was cut must never verify by its rest, nor be taken for a whole one: PBKDF2 and scrypt
//! outputs are prefixes of longer ones, so each scheme has exactly one length here.

use base64::{
    Engine,
    alphabet::BCRYPT,
    engine::{
        GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD, STANDARD_NO_PAD},
    },
};
use sha2::{Digest, Sha256, Sha512, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why a stored hash is not used. Mirrors the WIT variant `crypto.error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HashError {
    /// It does not follow its format.
    Malformed(String),
    /// Its format is not known.
    Unsupported(String),
    /// Its cost is over a cap.
    TooCostly(String),
}

/// A stored hash that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredHash {
    scheme: Scheme,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Argon2id {
        version: argon2::Version,
        params: argon2::Params,
    },
    Bcrypt {
        cost: u32,
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
    },
    Pbkdf2Sha256 {
        iterations: u32,
    },
    Pbkdf2Sha512 {
        iterations: u32,
    },
    /// HiveMQ's Enterprise Security Extension: SHA-512 over salt and password, then over its own
    /// result.
    EseSha512 {
        iterations: u32,
    },
    /// One hash over salt and password, as EMQX does it, or over password and salt, as EMQX and
    /// mosquitto (`$6$`) do it.
    Salted {
        salt_first: bool,
    },
}

/// Whether a password file may hold this hash: what [`StoredHash::parse`] says, as a sentence that fits
/// behind "the hash ".
///
/// # Errors
/// Why it would never verify.
pub fn check_stored_hash(stored: &str) -> Result<(), String> {
    StoredHash::parse(stored).map(drop).map_err(|error| match error {
        HashError::Malformed(what) => format!("is malformed: {what}"),
        HashError::Unsupported(what) => format!("is of a format that is not known: {what}"),
        HashError::TooCostly(what) => format!("costs too much: {what}"),
    })
}

/// Memory of one verification, in KiB: a guest names stored hashes as well as the operator does.
/// How much is filled at once is the business of `password_threads`.
pub(crate) const KIB_MAX: u32 = 64 << 10;

/// Caps on stored costs: whoever writes the stored hashes must not be able to stop the broker with
/// them. All passes over all memory fill 1 GiB, which is about a second.
const ARGON2_PASSES_MAX: u32 = 16;
const ARGON2_LANES_MAX: u32 = 16;
const BCRYPT_COST_MAX: u32 = 14;
const SCRYPT_LOG_N_MAX: u32 = 17;
const SCRYPT_R_MAX: u32 = 16;
const SCRYPT_P_MAX: u32 = 4;
const PBKDF2_ITERATIONS_MAX: u32 = 2_000_000;

/// Longest stored text that is looked at.
const STORED_BYTES_MAX: usize = 1024;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=128;
/// bcrypt looks at 72 bytes of a password.
const BCRYPT_PASSWORD_BYTES: usize = 72;

impl StoredHash {
    /// Parses and checks a stored hash.
    pub(crate) fn parse(stored: &str) -> Result<Self, HashError> {
        if stored.len() > STORED_BYTES_MAX {
            return Err(malformed(&format!("longer than {STORED_BYTES_MAX} bytes")));
        }
        let Some(rest) = stored.strip_prefix('$') else {
            return Err(HashError::Unsupported("a stored hash starts with '$'".to_owned()));
        };
        let fields: Vec<&str> = rest.split('$').collect();
        match fields.as_slice() {
            ["argon2id", fields @ ..] => argon2id(fields),
            ["2a" | "2b" | "2y", fields @ ..] => bcrypt(fields),
            ["scrypt", fields @ ..] => scrypt(fields),
            ["pbkdf2-sha256", fields @ ..] => pbkdf2(fields, 32, pbkdf2_sha256),
            ["pbkdf2-sha512", fields @ ..] => pbkdf2(fields, 64, pbkdf2_sha512),
            ["ese-sha512", fields @ ..] => ese_sha512(fields),
            ["salted-sha256", fields @ ..] => salted(fields, 32),
            ["salted-sha512", fields @ ..] => salted(fields, 64),
            ["6", fields @ ..] => mosquitto_sha512(fields),
            ["7", fields @ ..] => mosquitto_pbkdf2(fields),
            [scheme, ..] => Err(unsupported(scheme)),
            [] => Err(unsupported("")),
        }
    }

    /// Memory that one verification fills, at least 1.
    pub(crate) fn kib(&self) -> u32 {
        match &self.scheme {
            Scheme::Argon2id { params, .. } => params.m_cost(),
            Scheme::Scrypt { log_n, r, .. } => scrypt_kib(u32::from(*log_n), *r),
            // bcrypt's tables.
            Scheme::Bcrypt { .. } => 4,
            Scheme::Pbkdf2Sha256 { .. }
            | Scheme::Pbkdf2Sha512 { .. }
            | Scheme::EseSha512 { .. }
            | Scheme::Salted { .. } => 1,
        }
    }

    /// Whether `password` is the one. Takes as long as the stored cost says; never returns early on
    /// a difference.
    pub(crate) fn verify(&self, password: &[u8]) -> Result<bool, HashError> {
        let mut found = Zeroizing::new(vec![0_u8; self.hash.len()]);
        let mut possible = true;
        match &self.scheme {
            Scheme::Argon2id { version, params } => {
                argon2::Argon2::new(argon2::Algorithm::Argon2id, *version, params.clone())
                    .hash_password_into(password, &self.salt, &mut found)
                    .map_err(|error| malformed(&error.to_string()))?;
            }
            Scheme::Bcrypt { cost } => {
                // Longer ones would be cut, and those with NUL are cut by other implementations:
                // neither verifies, after the same work.
                possible = password.len() <= BCRYPT_PASSWORD_BYTES && !password.contains(&0);
                let mut key = Zeroizing::new(password.to_vec());
                key.push(0);
                key.truncate(BCRYPT_PASSWORD_BYTES);
                let salt = <[u8; 16]>::try_from(self.salt.as_slice())
                    .map_err(|_| malformed("the salt is not 16 bytes"))?;
                let output = Zeroizing::new(bcrypt::bcrypt(*cost, salt, &key));
                for (to, from) in found.iter_mut().zip(output.iter()) {
                    *to = *from;
                }
            }
            Scheme::Scrypt { log_n, r, p } => {
                let params = scrypt::Params::new(*log_n, *r, *p)
                    .map_err(|error| malformed(&error.to_string()))?;
                scrypt::scrypt(password, &self.salt, &params, &mut found)
                    .map_err(|error| malformed(&error.to_string()))?;
            }
            Scheme::Pbkdf2Sha256 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &self.salt, *iterations, &mut found);
            }
            Scheme::Pbkdf2Sha512 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, &self.salt, *iterations, &mut found);
            }
            Scheme::EseSha512 { iterations } => {
                let mut digest = self.salted::<Sha512>(true, password);
                for _ in 1..*iterations {
                    digest = Sha512::digest(digest);
                }
                found.copy_from_slice(&digest);
            }
            Scheme::Salted { salt_first } if self.hash.len() == 32 => {
                found.copy_from_slice(&self.salted::<Sha256>(*salt_first, password));
            }
            Scheme::Salted { salt_first } => {
                found.copy_from_slice(&self.salted::<Sha512>(*salt_first, password));
            }
        }
        let equal: bool = found.as_slice().ct_eq(&self.hash).into();
        Ok(equal & possible)
    }

    fn salted<D: Digest>(&self, salt_first: bool, password: &[u8]) -> digest::Output<D> {
        let (first, then) = match salt_first {
            true => (self.salt.as_slice(), password),
            false => (password, self.salt.as_slice()),
        };
        D::new().chain_update(first).chain_update(then).finalize()
    }
}

fn argon2id(fields: &[&str]) -> Result<StoredHash, HashError> {
    let (version, fields) = match fields {
        ["v=19", fields @ ..] => (argon2::Version::V0x13, fields),
        ["v=16", fields @ ..] => (argon2::Version::V0x10, fields),
        [version, ..] if version.starts_with("v=") => {
            return Err(HashError::Unsupported(format!("argon2 version {version:?}")));
        }
        _ => return Err(malformed("argon2id wants v=19")),
    };
    let [costs, salt, hash] = fields else {
        return Err(malformed("argon2id wants $v=19$m=..,t=..,p=..$salt$hash"));
    };
    let [memory, passes, lanes] = parameters(costs, ["m", "t", "p"])?;
    capped("argon2 m (KiB)", memory, KIB_MAX)?;
    capped("argon2 t", passes, ARGON2_PASSES_MAX)?;
    capped("argon2 p", lanes, ARGON2_LANES_MAX)?;
    let (salt, hash) = (phc_salt(salt)?, phc_hash(hash, 32)?);
    let params = argon2::Params::new(memory, passes, lanes, Some(hash.len()))
        .map_err(|error| malformed(&error.to_string()))?;
    Ok(StoredHash { scheme: Scheme::Argon2id { version, params }, salt, hash })
}

fn bcrypt(fields: &[&str]) -> Result<StoredHash, HashError> {
    let [cost, rest] = fields else {
        return Err(malformed("bcrypt wants $2b$cost$ and 53 characters"));
    };
    let digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost: u32 = cost.parse().ok().filter(|_| digits).ok_or_else(|| malformed("bcrypt cost"))?;
    if cost < 4 {
        return Err(malformed("bcrypt cost below 4"));
    }
    capped("bcrypt cost", cost, BCRYPT_COST_MAX)?;
    let parts = rest.split_at_checked(22).filter(|(_, hash)| hash.len() == 31);
    let Some((salt, hash)) = parts else {
        return Err(malformed("bcrypt salt and hash are 53 characters"));
    };
    // Some implementations leave bits in the last character that carry nothing.
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    let alphabet = GeneralPurpose::new(&BCRYPT, config);
    let decode = |text| alphabet.decode(text).map_err(|_| malformed("bcrypt base64"));
    Ok(StoredHash { scheme: Scheme::Bcrypt { cost }, salt: decode(salt)?, hash: decode(hash)? })
}

fn scrypt(fields: &[&str]) -> Result<StoredHash, HashError> {
    let [costs, salt, hash] = fields else {
        return Err(malformed("scrypt wants $ln=..,r=..,p=..$salt$hash"));
    };
    let [log_n, r, p] = parameters(costs, ["ln", "r", "p"])?;
    capped("scrypt ln", log_n, SCRYPT_LOG_N_MAX)?;
    capped("scrypt r", r, SCRYPT_R_MAX)?;
    capped("scrypt p", p, SCRYPT_P_MAX)?;
    capped("scrypt memory (KiB, from ln and r)", scrypt_kib(log_n, r), KIB_MAX)?;
    let log_n = u8::try_from(log_n).map_err(|_| malformed("scrypt ln"))?;
    scrypt::Params::new(log_n, r, p).map_err(|error| malformed(&error.to_string()))?;
    let scheme = Scheme::Scrypt { log_n, r, p };
    Ok(StoredHash { scheme, salt: phc_salt(salt)?, hash: phc_hash(hash, 32)? })
}

/// 128 * N * r bytes are filled. Both are under their caps.
fn scrypt_kib(log_n: u32, r: u32) -> u32 {
    (r << log_n).div_ceil(8)
}

fn pbkdf2_sha256(iterations: u32) -> Scheme {
    Scheme::Pbkdf2Sha256 { iterations }
}

fn pbkdf2_sha512(iterations: u32) -> Scheme {
    Scheme::Pbkdf2Sha512 { iterations }
}

fn pbkdf2(
    fields: &[&str],
    hash_bytes: usize,
    scheme: fn(u32) -> Scheme,
) -> Result<StoredHash, HashError> {
    let [costs, salt, hash] = fields else {
        return Err(malformed("pbkdf2 wants $i=..$salt$hash"));
    };
    // Some writers add the output length, which must then be true.
    let (iterations, length) = match costs.split_once(',') {
        None => (parameters(costs, ["i"])?, None),
        Some((iterations, length)) => {
            (parameters(iterations, ["i"])?, Some(parameters(length, ["l"])?))
        }
    };
    let ([iterations], hash) = (iterations, phc_hash(hash, hash_bytes)?);
    if length.is_some_and(|[length]| length as usize != hash.len()) {
        return Err(malformed("l= is not the length of the hash"));
    }
    checked_iterations(iterations)?;
    Ok(StoredHash { scheme: scheme(iterations), salt: phc_salt(salt)?, hash })
}

fn mosquitto_sha512(fields: &[&str]) -> Result<StoredHash, HashError> {
    let [salt, hash] = fields else {
        return Err(malformed("mosquitto wants $6$salt$hash"));
    };
    let (salt, hash) = mosquitto_parts(salt, hash)?;
    Ok(StoredHash { scheme: Scheme::Salted { salt_first: false }, salt, hash })
}

/// Iterations, salt and hash as the columns of HiveMQ's Enterprise Security Extension have them.
fn ese_sha512(fields: &[&str]) -> Result<StoredHash, HashError> {
    let [iterations, salt, hash] = fields else {
        return Err(malformed("ese-sha512 wants $iterations$salt$hash"));
    };
    let iterations = number(iterations).ok_or_else(|| malformed("iterations"))?;
    checked_iterations(iterations)?;
    let (salt, hash) = mosquitto_parts(salt, hash)?;
    Ok(StoredHash { scheme: Scheme::EseSha512 { iterations }, salt, hash })
}

/// One hash, which an attacker computes as fast as anything: what EMQX stores when nobody told it
/// better.
fn salted(fields: &[&str], hash_bytes: usize) -> Result<StoredHash, HashError> {
    let [position, salt, hash] = fields else {
        return Err(malformed("a salted hash wants $prefix$salt$hash or $suffix$salt$hash"));
    };
    let salt_first = match *position {
        "prefix" => true,
        "suffix" => false,
        _ => return Err(malformed("the salt is neither prefix nor suffix")),
    };
    let (salt, hash) = (phc_salt(salt)?, phc_hash(hash, hash_bytes)?);
    Ok(StoredHash { scheme: Scheme::Salted { salt_first }, salt, hash })
}

fn mosquitto_pbkdf2(fields: &[&str]) -> Result<StoredHash, HashError> {
    let [iterations, salt, hash] = fields else {
        return Err(malformed("mosquitto wants $7$iterations$salt$hash"));
    };
    let iterations = number(iterations).ok_or_else(|| malformed("iterations"))?;
    checked_iterations(iterations)?;
    let (salt, hash) = mosquitto_parts(salt, hash)?;
    Ok(StoredHash { scheme: Scheme::Pbkdf2Sha512 { iterations }, salt, hash })
}

/// mosquitto writes padded base64, and its hashes are always 64 bytes.
fn mosquitto_parts(salt: &str, hash: &str) -> Result<(Vec<u8>, Vec<u8>), HashError> {
    let salt = STANDARD.decode(salt).map_err(|_| malformed("the salt is not base64"))?;
    let hash = STANDARD.decode(hash).map_err(|_| malformed("the hash is not base64"))?;
    if !SALT_BYTES.contains(&salt.len()) {
        return Err(malformed("the salt is shorter than 8 or longer than 128 bytes"));
    }
    if hash.len() != 64 {
        return Err(malformed("the hash is not 64 bytes"));
    }
    Ok((salt, hash))
}

fn phc_salt(text: &str) -> Result<Vec<u8>, HashError> {
    let salt = STANDARD_NO_PAD.decode(text).map_err(|_| malformed("the salt is not base64"))?;
    if !SALT_BYTES.contains(&salt.len()) {
        return Err(malformed("the salt is shorter than 8 or longer than 128 bytes"));
    }
    Ok(salt)
}

fn phc_hash(text: &str, bytes: usize) -> Result<Vec<u8>, HashError> {
    let hash = STANDARD_NO_PAD.decode(text).map_err(|_| malformed("the hash is not base64"))?;
    if hash.len() != bytes {
        return Err(malformed(&format!("the hash is {} bytes, not {bytes}", hash.len())));
    }
    Ok(hash)
}

/// `m=1,t=2,p=3` with exactly these names in this order.
fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Result<[u32; N], HashError> {
    let mut values = [0; N];
    let mut parts = text.split(',');
    for (name, value) in names.into_iter().zip(&mut values) {
        let part = parts.next().and_then(|part| part.strip_prefix(name)?.strip_prefix('='));
        *value = part
            .and_then(number)
            .ok_or_else(|| malformed(&format!("{name}= is missing or not a number")))?;
    }
    match parts.next() {
        None => Ok(values),
        Some(extra) => Err(malformed(&format!("unknown parameter {extra:?}"))),
    }
}

/// Decimal digits only: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

fn checked_iterations(iterations: u32) -> Result<(), HashError> {
    if iterations == 0 {
        return Err(malformed("0 iterations"));
    }
    capped("pbkdf2 iterations", iterations, PBKDF2_ITERATIONS_MAX)
}

fn capped(what: &str, value: u32, cap: u32) -> Result<(), HashError> {
    if value > cap {
        return Err(HashError::TooCostly(format!("{what} = {value}: at most {cap}")));
    }
    Ok(())
}

fn malformed(what: &str) -> HashError {
    HashError::Malformed(what.to_owned())
}

fn unsupported(scheme: &str) -> HashError {
    let shown: String = scheme.chars().take(32).collect();
    HashError::Unsupported(format!("scheme {shown:?}"))
}

#[cfg(test)]
mod tests;
