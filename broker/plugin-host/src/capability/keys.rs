//! Interface `keys`: HMAC with a secret, and authenticated encryption with keys that never enter a
//! guest.
//!
//! What `seal` makes, byte by byte:
//!
//! ```text
//! 0       1            version, 1
//! 1       4            number of the key, big endian
//! 5       12           nonce, random
//! 17      n            ciphertext, as long as the plaintext
//! 17 + n  16           tag over bytes 0 to 4, the associated data and the ciphertext
//! ```

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use hmac::{KeyInit, Mac};
use zeroize::Zeroizing;

use crate::{
    bindings::portcullis::plugin::keys::{Error, Hash, Host},
    instance::State,
    sources::Secret,
};

/// Plaintext, associated data, and data of an HMAC.
const INPUT_BYTES_MAX: usize = 1 << 20;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The keys of one `[keys.NAME]`, newest first.
#[derive(Clone, PartialEq)]
pub struct KeyRing(Arc<Vec<Key>>);

#[derive(PartialEq)]
struct Key {
    id: u32,
    algorithm: Aead,
    bytes: Secret,
}

/// How a key ring encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aead {
    /// AES-256-GCM.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

impl Aead {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| key.id)).finish()
    }
}

impl KeyRing {
    /// Bytes of a key.
    pub const KEY_BYTES: usize = 32;

    /// Numbers and keys, newest first. The error is a sentence.
    pub fn new(algorithm: Aead, keys: Vec<(u32, Vec<u8>)>) -> Result<Self, String> {
        let mut ring: Vec<Key> = Vec::with_capacity(keys.len());
        for (id, bytes) in keys {
            let bytes = Secret::new(bytes);
            if bytes.expose().len() != Self::KEY_BYTES {
                let length = bytes.expose().len();
                return Err(format!("key {id} has {length} bytes, allowed: {}", Self::KEY_BYTES));
            }
            if ring.iter().any(|key| key.id == id) {
                return Err(format!("key {id} is there twice"));
            }
            ring.push(Key { id, algorithm, bytes });
        }
        if ring.is_empty() {
            return Err("has no key".to_owned());
        }
        Ok(Self(Arc::new(ring)))
    }

    fn seal(&self, plaintext: Vec<u8>, associated_data: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError)?;
        self.seal_with(nonce, plaintext, associated_data)
    }

    fn seal_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        plaintext: Vec<u8>,
        associated_data: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError)?;
        let header = header(key.id);
        // In the place where it stays: no copy of it is left behind.
        let mut text = Zeroizing::new(plaintext);
        let tag = key
            .cipher()?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from([&header, associated_data].concat()),
                &mut text,
            )
            .map_err(|_| SealError)?;
        Ok([&header, &nonce[..], &text, tag.as_ref()].concat())
    }

    /// `None` = not authentic, for whatever reason.
    fn open(&self, sealed: &[u8], associated_data: &[u8]) -> Option<Vec<u8>> {
        let (header, rest) = sealed.split_first_chunk::<HEADER_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (version, id) = header.split_first()?;
        let id = u32::from_be_bytes(id.try_into().ok()?);
        if *version != VERSION {
            return None;
        }
        let key = self.0.iter().find(|key| key.id == id)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from([header, associated_data].concat());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plaintext = key.cipher().ok()?.open_in_place(nonce, aad, &mut text).ok()?;
        Some(plaintext.to_vec())
    }
}

/// No random numbers, or the cipher refuses: neither is the plugin's fault.
#[derive(Debug)]
struct SealError;

impl Key {
    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(self.algorithm.algorithm(), self.bytes.expose());
        key.map(LessSafeKey::new).map_err(|_| SealError)
    }
}

fn header(id: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = id.to_be_bytes();
    [VERSION, a, b, c, d]
}

fn too_long(what: &str, bytes: usize) -> Option<Error> {
    (bytes > INPUT_BYTES_MAX)
        .then(|| Error::Unsuitable(format!("{what} has {bytes} bytes, allowed: {INPUT_BYTES_MAX}")))
}

impl Host for State {
    fn hmac(
        &mut self,
        hash: Hash,
        secret: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let Some(key) = self.lent.granted.secrets.get(&secret) else {
            return Ok(Err(Error::Unknown(secret)));
        };
        if let Some(error) = too_long("data", data.len()) {
            return Ok(Err(error));
        }
        Ok(Ok(match hash {
            Hash::Sha256 => mac::<hmac::Hmac<sha2::Sha256>>(key.expose(), &data)?,
            Hash::Sha512 => mac::<hmac::Hmac<sha2::Sha512>>(key.expose(), &data)?,
        }))
    }

    fn seal(
        &mut self,
        key: String,
        plaintext: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let Some(ring) = self.lent.granted.keys.get(&key) else {
            return Ok(Err(Error::Unknown(key)));
        };
        let long = too_long("plaintext", plaintext.len());
        if let Some(error) = long.or_else(|| too_long("associated data", associated_data.len())) {
            return Ok(Err(error));
        }
        let sealed = ring.seal(plaintext, &associated_data);
        Ok(Ok(sealed.map_err(|SealError| wasmtime::Error::msg("keys.seal: the cipher failed"))?))
    }

    fn open(
        &mut self,
        key: String,
        sealed: Vec<u8>,
        associated_data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let Some(ring) = self.lent.granted.keys.get(&key) else {
            return Ok(Err(Error::Unknown(key)));
        };
        let overhead = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;
        let long = too_long("what is sealed", sealed.len().saturating_sub(overhead));
        if let Some(error) = long.or_else(|| too_long("associated data", associated_data.len())) {
            return Ok(Err(error));
        }
        Ok(ring.open(&sealed, &associated_data).ok_or(Error::NotAuthentic))
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut mac = <M as KeyInit>::new_from_slice(key)
        .map_err(|_| wasmtime::Error::msg("keys.hmac: a key of this length is not taken"))?;
    mac.update(data);
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    }

    fn ring(algorithm: Aead, keys: &[(u32, u8)]) -> KeyRing {
        let keys = keys.iter().map(|(id, byte)| (*id, vec![*byte; 32])).collect();
        KeyRing::new(algorithm, keys).unwrap()
    }

    /// Bytes that other programs made with the same inputs must open here, for ever.
    #[test]
    fn the_format_is_fixed() {
        for (algorithm, expected) in
            [(Aead::Aes256Gcm, AES_VECTOR), (Aead::ChaCha20Poly1305, CHACHA_VECTOR)]
        {
            let ring = ring(algorithm, &[(7, 1)]);
            let sealed = ring.seal_with([2; 12], b"plain".to_vec(), b"data").unwrap();
            assert_eq!(sealed, hex(expected), "{algorithm:?}");
            assert_eq!(ring.open(&sealed, b"data").unwrap(), b"plain");
        }
    }

    const AES_VECTOR: &str =
        "010000000702020202020202020202020277baa82024e8f25fdfc3d02017858acdea8466ea89";
    const CHACHA_VECTOR: &str =
        "010000000702020202020202020202020296709347e3df56dd3199beac6b0e40881a7f1c390e";

    #[test]
    fn what_is_not_authentic() {
        let ring = ring(Aead::Aes256Gcm, &[(2, 1), (1, 9)]);
        let sealed = ring.seal(b"plain".to_vec(), b"data").unwrap();
        assert_eq!(ring.open(&sealed, b"data").unwrap(), b"plain");
        assert_eq!(ring.open(&sealed, b"dat"), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(ring.open(&changed, b"data"), None, "byte {at}");
            assert_eq!(ring.open(&sealed[..at], b"data"), None, "cut at {at}");
        }
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(ring.open(&longer, b"data"), None);
        let other = self::ring(Aead::Aes256Gcm, &[(2, 3)]);
        assert_eq!(other.open(&sealed, b"data"), None);
        let other = self::ring(Aead::ChaCha20Poly1305, &[(2, 1)]);
        assert_eq!(other.open(&sealed, b"data"), None);
    }

    #[test]
    fn an_older_key_opens_and_the_newest_seals() {
        let old = ring(Aead::Aes256Gcm, &[(1, 1)]);
        let both = ring(Aead::Aes256Gcm, &[(2, 2), (1, 1)]);
        let sealed = old.seal(Vec::new(), b"").unwrap();
        assert_eq!(both.open(&sealed, b"").unwrap(), b"");
        let sealed = both.seal(Vec::new(), b"").unwrap();
        assert_eq!(sealed[4], 2);
        assert_eq!(old.open(&sealed, b""), None);
        assert_eq!(format!("{both:?}"), "[2, 1]");
    }

    #[test]
    fn a_ring_has_whole_keys_with_numbers_of_their_own() {
        let new = |keys| KeyRing::new(Aead::Aes256Gcm, keys).unwrap_err();
        assert!(new(Vec::new()).contains("no key"));
        assert!(new(vec![(1, vec![0; 31])]).contains("31 bytes"));
        assert!(new(vec![(1, vec![0; 32]), (1, vec![1; 32])]).contains("twice"));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_of_the_rfc() {
        let data = b"what do ya want for nothing?";
        let mac256 = mac::<hmac::Hmac<sha2::Sha256>>(b"Jefe", data).unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(mac256, hex(expected));
    }
}
