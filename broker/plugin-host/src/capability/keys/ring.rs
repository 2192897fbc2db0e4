//! The keys of one `[keys.NAME]`, and what is sealed with them.
//!
//! What is sealed, byte by byte:
//!
//! ```text
//! 0       1            version, 1
//! 1       4            number of the key, big endian
//! 5       12           nonce, random
//! 17      n            ciphertext, as long as the plaintext
//! 17 + n  16           tag over bytes 0 to 4, the associated data and the ciphertext
//! ```
//!
//! The key is that of the ring, or for a context the one that `context.rs` makes of it. Of a ring that the
//! configuration calls managed the keys change while it is lent; whoever was lent it has the new ones with the next
//! message.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use zeroize::Zeroizing;

use super::context;
use crate::sources::Secret;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// What is sealed is so much longer than what is in it.
pub(super) const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// The keys of one `[keys.NAME]`, newest first.
#[derive(Clone)]
pub struct KeyRing {
    algorithm: Aead,
    keys: Keys,
}

#[derive(Clone)]
enum Keys {
    /// As the configuration has them.
    Fixed(Arc<Vec<Key>>),
    /// As they are now; clones see the same ones.
    Managed(Arc<ArcSwap<Vec<Key>>>),
}

#[derive(PartialEq)]
struct Key {
    id: u32,
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
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// Managed rings are the same if changing one changes the other: what is in them is no difference for who was lent
/// them.
impl PartialEq for KeyRing {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm
            && match (&self.keys, &other.keys) {
                (Keys::Fixed(a), Keys::Fixed(b)) => a == b,
                (Keys::Managed(a), Keys::Managed(b)) => Arc::ptr_eq(a, b),
                _ => false,
            }
    }
}

/// Why nothing was sealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SealError {
    /// A managed ring whose keys nobody has put into it.
    Empty,
    /// No random numbers, or the cipher refuses: neither is the plugin's fault.
    Cipher,
}

impl KeyRing {
    /// Bytes of a key.
    pub const KEY_BYTES: usize = 32;

    /// Numbers and keys, newest first. The error is a sentence.
    pub fn new(algorithm: Aead, keys: Vec<(u32, Vec<u8>)>) -> Result<Self, String> {
        let keys = keys.into_iter().map(|(id, bytes)| (id, Secret::new(bytes))).collect();
        Ok(Self { algorithm, keys: Keys::Fixed(Arc::new(checked(keys)?)) })
    }

    /// A ring whose keys come from elsewhere, and change; none yet.
    pub fn managed(algorithm: Aead) -> Self {
        Self { algorithm, keys: Keys::Managed(Arc::new(ArcSwap::from_pointee(Vec::new()))) }
    }

    /// Whether its keys change.
    pub fn is_managed(&self) -> bool {
        matches!(self.keys, Keys::Managed(_))
    }

    /// How it encrypts.
    pub fn algorithm(&self) -> Aead {
        self.algorithm
    }

    /// Numbers of its keys, the one that seals first.
    pub fn ids(&self) -> Vec<u32> {
        self.current().iter().map(|key| key.id).collect()
    }

    /// Puts other keys into a managed ring, in one step: newest first, one or more. The error is a sentence.
    pub fn replace(&self, keys: Vec<(u32, Secret)>) -> Result<(), String> {
        let Keys::Managed(current) = &self.keys else {
            return Err("the configuration has its keys".to_owned());
        };
        current.store(Arc::new(checked(keys)?));
        Ok(())
    }

    /// The key for `context` that key `id`, or the newest, makes; with its number. For who puts it into a device.
    pub fn key_for(&self, id: Option<u32>, context: &str) -> Option<(u32, Zeroizing<[u8; 32]>)> {
        let keys = self.current();
        let key = match id {
            Some(id) => keys.iter().find(|key| key.id == id)?,
            None => keys.first()?,
        };
        Some((key.id, context::key(key.bytes.expose(), self.algorithm, context)?))
    }

    fn current(&self) -> Arc<Vec<Key>> {
        match &self.keys {
            Keys::Fixed(keys) => Arc::clone(keys),
            Keys::Managed(keys) => keys.load_full(),
        }
    }

    pub(super) fn seal(
        &self,
        context: Option<&str>,
        plaintext: Vec<u8>,
        associated_data: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Cipher)?;
        self.seal_with(nonce, context, plaintext, associated_data)
    }

    fn seal_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        context: Option<&str>,
        plaintext: Vec<u8>,
        associated_data: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let keys = self.current();
        let key = keys.first().ok_or(SealError::Empty)?;
        let header = header(key.id);
        // In the place where it stays: no copy of it is left behind.
        let mut text = Zeroizing::new(plaintext);
        let tag = self
            .cipher(key, context)
            .ok_or(SealError::Cipher)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from([&header, associated_data].concat()),
                &mut text,
            )
            .map_err(|_| SealError::Cipher)?;
        Ok([&header, &nonce[..], &text, tag.as_ref()].concat())
    }

    /// `None` = not authentic, for whatever reason.
    pub(super) fn open(
        &self,
        context: Option<&str>,
        sealed: &[u8],
        associated_data: &[u8],
    ) -> Option<Vec<u8>> {
        let (header, rest) = sealed.split_first_chunk::<HEADER_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (version, id) = header.split_first()?;
        let id = u32::from_be_bytes(id.try_into().ok()?);
        if *version != VERSION {
            return None;
        }
        let keys = self.current();
        let key = keys.iter().find(|key| key.id == id)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from([header, associated_data].concat());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plaintext = self.cipher(key, context)?.open_in_place(nonce, aad, &mut text).ok()?;
        Some(plaintext.to_vec())
    }

    fn cipher(&self, key: &Key, context: Option<&str>) -> Option<LessSafeKey> {
        let algorithm = self.algorithm.algorithm();
        let key = match context {
            None => UnboundKey::new(algorithm, key.bytes.expose()),
            Some(context) => {
                let key = context::key(key.bytes.expose(), self.algorithm, context)?;
                UnboundKey::new(algorithm, key.as_slice())
            }
        };
        key.ok().map(LessSafeKey::new)
    }
}

fn checked(keys: Vec<(u32, Secret)>) -> Result<Vec<Key>, String> {
    let mut ring: Vec<Key> = Vec::with_capacity(keys.len());
    for (id, bytes) in keys {
        let length = bytes.expose().len();
        if length != KeyRing::KEY_BYTES {
            return Err(format!("key {id} has {length} bytes, allowed: {}", KeyRing::KEY_BYTES));
        }
        if ring.iter().any(|key| key.id == id) {
            return Err(format!("key {id} is there twice"));
        }
        ring.push(Key { id, bytes });
    }
    if ring.is_empty() {
        return Err("has no key".to_owned());
    }
    Ok(ring)
}

fn header(id: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = id.to_be_bytes();
    [VERSION, a, b, c, d]
}

#[cfg(test)]
mod tests;
