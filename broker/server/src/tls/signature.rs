//! Whether an authority signed something, and the names under which authorities are looked up.
//!
//! Knows nothing of what was signed: lists, answers.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::SignatureVerificationAlgorithm;
use x509_cert::{
    der::{self, Decode, Encode, Reader, SliceReader, Tag, asn1::BitStringRef},
    spki::SubjectPublicKeyInfoRef,
};

/// An authority with its key: who has the name alone is somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AuthorityId([u8; 32]);

impl AuthorityId {
    /// `subject` without tag and length, `key` as a whole SubjectPublicKeyInfo.
    pub(super) fn new(subject: &[u8], key: &[u8]) -> Self {
        let length = (subject.len() as u64).to_be_bytes();
        Self(sha256(&[&length, subject, key].concat()))
    }
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

/// What stands beside a signature, and it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// The bytes that were signed.
    pub(super) message: &'a [u8],
    /// The AlgorithmIdentifier, without tag and length.
    pub(super) algorithm: &'a [u8],
    /// The signature.
    pub(super) signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the owner of `key`, a SubjectPublicKeyInfo, signed it. Bytes that make no sense are no signature.
    pub(super) fn is_by(
        &self,
        key: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let Ok(key) = SubjectPublicKeyInfoRef::from_der(key) else { return false };
        let Ok(key_algorithm) = key.algorithm.to_der() else { return false };
        let key_algorithm = content(&key_algorithm);
        algorithms
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.algorithm)
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == key_algorithm)
            .any(|algorithm| {
                let key = key.subject_public_key.raw_bytes();
                algorithm.verify_signature(key, self.message, self.signature).is_ok()
            })
    }
}

/// Takes apart what X.509 signs: a SEQUENCE of what is signed, the algorithm, and the signature.
pub(super) fn signed(der: &[u8]) -> der::Result<Signed<'_>> {
    let mut reader = SliceReader::new(der)?;
    let mut frame = SliceReader::new(content(reader.tlv_bytes()?))?;
    let message = frame.tlv_bytes()?;
    let algorithm = content(frame.tlv_bytes()?);
    let signature = BitStringRef::decode(&mut frame)?.as_bytes();
    let signature = signature.ok_or_else(|| Tag::BitString.value_error())?;
    Ok(Signed { message, algorithm, signature })
}

/// A DER value without its tag and length.
pub(super) fn content(der: &[u8]) -> &[u8] {
    let length_bytes = match der.get(1) {
        Some(short) if *short < 0x80 => 0,
        Some(long) => usize::from(long & 0x7F),
        None => return &[],
    };
    der.get(2 + length_bytes..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_behind_tag_and_length() {
        assert_eq!(content(&[0x30, 2, 7, 8]), [7, 8]);
        assert_eq!(content(&[0x30, 0x81, 1, 9]), [9]);
        assert!(content(&[0x30, 0x82]).is_empty());
        assert!(content(&[]).is_empty());
    }

    #[test]
    fn an_authority_is_name_and_key() {
        let id = AuthorityId::new(b"a", b"bc");
        assert_ne!(id, AuthorityId::new(b"ab", b"c"));
        assert_eq!(id, AuthorityId::new(b"a", b"bc"));
    }
}
