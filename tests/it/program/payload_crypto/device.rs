//! A device as its maker would write it from the documentation, with nothing of the broker: HKDF by hand, AES-256-GCM of
//! a library.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, prelude::BASE64_STANDARD};

pub(super) const PUBLISH: u8 = 1;
pub(super) const BROKER: u8 = 2;
pub(super) const WILL: u8 = 3;

pub(super) const NONE: u8 = 0;
pub(super) const COUNTER: u8 = 1;
pub(super) const TIMESTAMP: u8 = 2;

/// A key with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: u32,
    pub(super) bytes: [u8; 32],
}

/// What is bound to a payload.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) kind: u8,
    pub(super) stamp: u8,
    pub(super) topic: &'a str,
    pub(super) name: &'a str,
}

impl Key {
    pub(super) const fn new(id: u32, bytes: [u8; 32]) -> Self {
        Self { id, bytes }
    }

    /// As `portcullis keys derive` prints it.
    pub(super) fn parse(line: &str) -> Self {
        let (id, key) = line.trim().split_once(' ').expect("NUMBER KEY");
        let bytes = BASE64_STANDARD.decode(key).expect("base64");
        Self { id: id.parse().expect("a number"), bytes: bytes.try_into().expect("32 bytes") }
    }

    /// The key of a device, made of that of a ring.
    pub(super) fn of(self, device: &str) -> Self {
        let mac =
            |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
        let prk = mac(&[0; 32], &self.bytes);
        let info = [&b"portcullis-key-1/aes-256-gcm/"[..], device.as_bytes(), &[1]].concat();
        let bytes = mac(prk.as_ref(), &info).as_ref().try_into().expect("32 bytes");
        Self { id: self.id, bytes }
    }

    pub(super) fn seal(self, bound: Bound<'_>, number: u64, payload: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        SystemRandom::new().fill(&mut nonce).expect("random numbers");
        let mut text = if bound.stamp == NONE { Vec::new() } else { number.to_be_bytes().into() };
        text.extend_from_slice(payload);
        let header = self.header();
        let aad = Aad::from([&header[..], &bound.bytes()].concat());
        let nonce_again = Nonce::assume_unique_for_key(nonce);
        self.cipher().seal_in_place_append_tag(nonce_again, aad, &mut text).expect("sealed");
        [&header[..], &nonce, &text].concat()
    }

    /// Stamp and payload; none if it is not authentic.
    pub(super) fn open(self, bound: Bound<'_>, sealed: &[u8]) -> Option<(u64, Vec<u8>)> {
        let (header, rest) = sealed.split_at_checked(5)?;
        let (nonce, text) = rest.split_first_chunk::<12>()?;
        if header != self.header() {
            return None;
        }
        let aad = Aad::from([header, &bound.bytes()].concat());
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.cipher().open_in_place(nonce, aad, &mut text).ok()?.to_vec();
        if bound.stamp == NONE {
            return Some((0, text));
        }
        let (stamp, payload) = text.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*stamp), payload.to_vec()))
    }

    fn header(self) -> [u8; 5] {
        let [a, b, c, d] = self.id.to_be_bytes();
        [1, a, b, c, d]
    }

    fn cipher(self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.bytes).expect("a key"))
    }
}

impl Bound<'_> {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![1, self.kind, self.stamp];
        for text in [self.topic, self.name] {
            bytes.extend_from_slice(&u16::try_from(text.len()).expect("short").to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}
