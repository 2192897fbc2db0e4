//! What is sealed, changed, cut, opened with other keys.

use super::*;
use crate::capability::keys::tests::hex;

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
        let sealed = ring.seal_with([2; 12], None, b"plain".to_vec(), b"data").unwrap();
        assert_eq!(sealed, hex(expected), "{algorithm:?}");
        assert_eq!(ring.open(None, &sealed, b"data").unwrap(), b"plain");
    }
}

const AES_VECTOR: &str =
    "010000000702020202020202020202020277baa82024e8f25fdfc3d02017858acdea8466ea89";
const CHACHA_VECTOR: &str =
    "010000000702020202020202020202020296709347e3df56dd3199beac6b0e40881a7f1c390e";

/// The same for a context. Both made with Python's `hmac` and `cryptography`.
#[test]
fn the_format_for_a_context_is_fixed() {
    for (algorithm, expected) in
        [(Aead::Aes256Gcm, AES_FOR_VECTOR), (Aead::ChaCha20Poly1305, CHACHA_FOR_VECTOR)]
    {
        let ring = ring(algorithm, &[(7, 1)]);
        let context = Some("press-7");
        let sealed = ring.seal_with([2; 12], context, b"plain".to_vec(), b"data").unwrap();
        assert_eq!(sealed, hex(expected), "{algorithm:?}");
        assert_eq!(ring.open(context, &sealed, b"data").unwrap(), b"plain");
    }
}

const AES_FOR_VECTOR: &str =
    "01000000070202020202020202020202023d8caf093ce9d3443245eaee692dbf2d2541b545d4";
const CHACHA_FOR_VECTOR: &str =
    "0100000007020202020202020202020202511491f6e693b346c102b2737fb3231eb14f0883af";

#[test]
fn what_is_not_authentic() {
    let ring = ring(Aead::Aes256Gcm, &[(2, 1), (1, 9)]);
    for context in [None, Some("press-7")] {
        let sealed = ring.seal(context, b"plain".to_vec(), b"data").unwrap();
        assert_eq!(ring.open(context, &sealed, b"data").unwrap(), b"plain");
        assert_eq!(ring.open(context, &sealed, b"dat"), None);
        assert_eq!(ring.open(Some("press-8"), &sealed, b"data"), None);
        let other = context.is_none().then_some("press-7");
        assert_eq!(ring.open(other, &sealed, b"data"), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(ring.open(context, &changed, b"data"), None, "byte {at}");
            assert_eq!(ring.open(context, &sealed[..at], b"data"), None, "cut at {at}");
        }
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(ring.open(context, &longer, b"data"), None);
        let other = self::ring(Aead::Aes256Gcm, &[(2, 3)]);
        assert_eq!(other.open(context, &sealed, b"data"), None);
        let other = self::ring(Aead::ChaCha20Poly1305, &[(2, 1)]);
        assert_eq!(other.open(context, &sealed, b"data"), None);
    }
}

#[test]
fn an_older_key_opens_and_the_newest_seals() {
    let old = ring(Aead::Aes256Gcm, &[(1, 1)]);
    let both = ring(Aead::Aes256Gcm, &[(2, 2), (1, 1)]);
    let sealed = old.seal(None, Vec::new(), b"").unwrap();
    assert_eq!(both.open(None, &sealed, b"").unwrap(), b"");
    let sealed = both.seal(None, Vec::new(), b"").unwrap();
    assert_eq!(sealed[4], 2);
    assert_eq!(old.open(None, &sealed, b""), None);
    assert_eq!(format!("{both:?}"), "[2, 1]");
}

/// Whoever was lent a managed ring sees what is put into it, and is not told that anything changed.
#[test]
fn a_managed_ring_changes_under_who_was_lent_it() {
    let ring = KeyRing::managed(Aead::Aes256Gcm);
    let lent = ring.clone();
    assert_eq!(lent.seal(None, Vec::new(), b""), Err(SealError::Empty));
    let key = |byte: u8| Secret::new(vec![byte; 32]);
    ring.replace(vec![(1, key(1))]).unwrap();
    let sealed = lent.seal(Some("a"), b"x".to_vec(), b"").unwrap();
    ring.replace(vec![(2, key(2)), (1, key(1))]).unwrap();
    assert_eq!(lent.open(Some("a"), &sealed, b"").unwrap(), b"x");
    assert_eq!(lent.seal(None, Vec::new(), b"").unwrap()[4], 2);
    ring.replace(vec![(2, key(2))]).unwrap();
    assert_eq!(lent.open(Some("a"), &sealed, b""), None, "retired");
    assert!(ring == lent && ring != KeyRing::managed(Aead::Aes256Gcm));
    assert!(ring.replace(Vec::new()).unwrap_err().contains("no key"));
    let fixed = self::ring(Aead::Aes256Gcm, &[(1, 1)]);
    assert!(fixed.replace(vec![(2, key(2))]).is_err());
}

/// The key that a device is given is the one that opens what it seals.
#[test]
fn a_device_is_given_the_key_of_its_context() {
    let ring = ring(Aead::Aes256Gcm, &[(2, 2), (1, 1)]);
    let (id, newest) = ring.key_for(None, "press-7").unwrap();
    let (_, older) = ring.key_for(Some(1), "press-7").unwrap();
    assert!(id == 2 && newest != older);
    let device = KeyRing::new(Aead::Aes256Gcm, vec![(2, newest.to_vec())]).unwrap();
    let sealed = device.seal(None, b"x".to_vec(), b"").unwrap();
    assert_eq!(ring.open(Some("press-7"), &sealed, b"").unwrap(), b"x");
    assert!(ring.key_for(Some(3), "press-7").is_none());
}

#[test]
fn a_ring_has_whole_keys_with_numbers_of_their_own() {
    let new = |keys| KeyRing::new(Aead::Aes256Gcm, keys).unwrap_err();
    assert!(new(Vec::new()).contains("no key"));
    assert!(new(vec![(1, vec![0; 31])]).contains("31 bytes"));
    assert!(new(vec![(1, vec![0; 32]), (1, vec![1; 32])]).contains("twice"));
}
