//! What is stored of a password, as PostgreSQL writes it too:
//! `SCRAM-SHA-256$ITERATIONS:SALT$STORED-KEY:SERVER-KEY`, in base64.

use crate::{base64, method::Method};

/// Least and most iterations. Below is what RFC 7677 forbids, above no device computes in time.
pub(crate) const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// It.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: Vec<u8>,
    pub(crate) server_key: Vec<u8>,
}

/// The method that a text is for, before it is read.
pub(crate) fn method(text: &str) -> Option<Method> {
    Method::named(text.split('$').next().unwrap_or_default())
}

impl Credential {
    /// # Errors
    /// What is wrong with it; nothing of it is shown.
    pub(crate) fn parse(method: Method, text: &str) -> Result<Self, &'static str> {
        let fields: Vec<&str> = text.split('$').collect();
        let [name, parameters, keys] = *fields.as_slice() else {
            return Err("is not METHOD$ITERATIONS:SALT$STORED-KEY:SERVER-KEY");
        };
        if name != method.name() {
            return Err("is for another method");
        }
        let (iterations, salt) = parameters.split_once(':').ok_or("has no salt")?;
        let (stored_key, server_key) = keys.split_once(':').ok_or("has only one key")?;
        let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| digits).ok_or("has no iterations")?;
        if !ITERATIONS.contains(&iterations) {
            return Err("has fewer than 4,096 or more than 1,000,000 iterations");
        }
        let salt = base64::decode(salt).filter(|salt| SALT_BYTES.contains(&salt.len()));
        let key = |text| base64::decode(text).filter(|key| key.len() == method.bytes());
        Ok(Self {
            iterations,
            salt: salt.ok_or("has no salt of 8 to 64 bytes in base64")?,
            stored_key: key(stored_key).ok_or("has no stored key of its length in base64")?,
            server_key: key(server_key).ok_or("has no server key of its length in base64")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_or_weak_is_refused() {
        let key = base64::encode(&[7; 32]);
        let good = format!("SCRAM-SHA-256$4096:MDEyMzQ1Njc=${key}:{key}");
        let read = |text: &str| Credential::parse(Method::Sha256, text);
        assert_eq!(read(&good).unwrap().salt, b"01234567");
        assert_eq!(method(&good), Some(Method::Sha256));
        assert!(Credential::parse(Method::Sha512, &good).is_err());
        for cut in 0..good.len() {
            assert!(read(&good[..cut]).is_err(), "{cut}");
        }
        for (from, to, what) in [
            ("4096", "4095", "fewer than"),
            ("4096", "1000001", "more than"),
            ("4096", "+4096", "no iterations"),
            ("4096", "99999999999", "no iterations"),
            ("MDEyMzQ1Njc=", "MDEyMzQ1", "no salt"),
            ("MDEyMzQ1Njc=", "MDEyMzQ1Njc", "no salt"),
            ("$4096", "$$4096", "is not METHOD"),
        ] {
            let said = read(&good.replace(from, to)).unwrap_err();
            assert!(said.contains(what), "{to}: {said}");
        }
    }
}
