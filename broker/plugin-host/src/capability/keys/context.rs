//! A key of its own for each context, such as the name of a device: who has one of them learns nothing of the others, nor
//! of the key that they are made of.
//!
//! ```text
//! key = HKDF-SHA256(ikm = the key of the ring, no salt,
//!                   info = "portcullis-key-1/" ALGORITHM "/" CONTEXT, 32 bytes)
//! ```
//!
//! ALGORITHM is that of the ring as the configuration writes it: one key serves one algorithm.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use super::ring::Aead;

/// Nothing in front of ALGORITHM may change: devices have such keys.
const PURPOSE: &str = "portcullis-key-1/";

/// `None` = the cryptography fails.
pub(super) fn key(of: &[u8], algorithm: Aead, context: &str) -> Option<Zeroizing<[u8; 32]>> {
    let info = [PURPOSE.as_bytes(), algorithm.name().as_bytes(), b"/", context.as_bytes()];
    let mut key = Zeroizing::new([0; 32]);
    let expanded = Salt::new(HKDF_SHA256, &[]).extract(of);
    let expanded = expanded.expand(&info, HKDF_SHA256).ok()?;
    expanded.fill(key.as_mut_slice()).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;

    fn hmac(key: &[u8], data: &[&[u8]]) -> Vec<u8> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
        data.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    }

    /// RFC 5869 written out with other code: one block of output.
    #[test]
    fn it_is_hkdf_as_the_rfc_has_it() {
        for (algorithm, info) in [
            (Aead::Aes256Gcm, "portcullis-key-1/aes-256-gcm/press-7"),
            (Aead::ChaCha20Poly1305, "portcullis-key-1/chacha20-poly1305/press-7"),
        ] {
            let prk = hmac(&[0; 32], &[&[9; 32]]);
            let expected = hmac(&prk, &[info.as_bytes(), &[1]]);
            assert_eq!(key(&[9; 32], algorithm, "press-7").unwrap().as_slice(), expected);
        }
    }

    #[test]
    fn each_context_has_another_key() {
        let of = |context| *key(&[9; 32], Aead::Aes256Gcm, context).unwrap();
        let keys = [of("press-7"), of("press-8"), of("press-7/"), of("Press-7"), [9; 32]];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| other != one), "{at}");
        }
    }
}
