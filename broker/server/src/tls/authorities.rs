//! The authorities that sign certificates of clients: those that are trusted, and those between.
//!
//! Owns which is which: a certificate whose issuer stands in the same file is one between, as OpenSSL has it; every other is
//! trusted by itself.

use rustls::{
    DistinguishedName,
    pki_types::{CertificateDer, TrustAnchor},
};
use webpki::{EndEntityCert, anchor_from_trusted_cert, spki_for_anchor};

use super::{certificate, signature::AuthorityId};

/// What was in the file of authorities.
pub(super) struct Authorities {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    /// Those that may sign revocation lists.
    pub(super) signers: Vec<Signer>,
    /// What clients are told that we trust.
    pub(super) hints: Vec<DistinguishedName>,
    /// The earliest end of validity, seconds since 1970.
    pub(super) not_after: u64,
}

/// An authority that signs.
pub(super) struct Signer {
    pub(super) id: AuthorityId,
    /// Name, without tag and length.
    pub(super) name: Vec<u8>,
    /// Key, as SubjectPublicKeyInfo.
    pub(super) key: Vec<u8>,
    pub(super) may_sign_lists: bool,
}

impl Authorities {
    /// Sorts the certificates of a file.
    pub(super) fn new(certificates: &[CertificateDer<'static>]) -> Result<Self, String> {
        let mut signers = Vec::new();
        let mut not_after = u64::MAX;
        for (number, der) in (1..).zip(certificates) {
            let bad = |error: &dyn std::fmt::Display| format!("certificate {number}: {error}");
            let anchor = anchor_from_trusted_cert(der).map_err(|error| bad(&error))?;
            let read = certificate::read(der).map_err(|error| bad(&error))?;
            not_after = not_after.min(certificate::validity(&read).1);
            let (name, key) = (anchor.subject.to_vec(), spki_for_anchor(&anchor).to_vec());
            signers.push(Signer {
                id: AuthorityId::new(&name, &key),
                may_sign_lists: certificate::may_sign_lists(&read),
                name,
                key,
            });
        }
        let (mut anchors, mut intermediates) = (Vec::new(), Vec::new());
        for (der, signer) in certificates.iter().zip(&signers) {
            // Those of the first version of X.509 cannot be anything but an anchor.
            let issuer = EndEntityCert::try_from(der).map(|read| read.issuer().to_vec()).ok();
            let is_between = issuer.is_some_and(|issuer| {
                issuer != signer.name && signers.iter().any(|other| other.name == issuer)
            });
            if is_between {
                intermediates.push(der.clone());
            } else {
                let anchor = anchor_from_trusted_cert(der).map_err(|error| error.to_string())?;
                anchors.push(anchor.to_owned());
            }
        }
        if anchors.is_empty() {
            return Err("holds no authority that could be trusted".to_owned());
        }
        let hints = anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject));
        Ok(Self { hints: hints.collect(), anchors, intermediates, signers, not_after })
    }
}
