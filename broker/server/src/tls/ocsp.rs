//! Questions to an authority about one certificate (RFC 6960): how they are put, and which answers count.
//!
//! Knows nothing of HTTP and of who asks: [`super::clients`] asks about those who come, [`super::staples`] about ourselves.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::SignatureVerificationAlgorithm;
use x509_cert::{
    der::{
        Decode, Encode, Tag,
        asn1::{Any, Null, ObjectIdentifier, OctetString},
    },
    serial_number::SerialNumber,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoRef},
};
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspRequest, OcspResponse, OcspResponseStatus, Request,
    SingleResponse, TbsRequest,
};

use super::{
    certificate,
    signature::{Signed, signed},
    trust::Issuer,
};

/// Why a certificate is not known to be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotGood {
    /// Its authority says so.
    #[error("the responder of its authority says that the client certificate is revoked")]
    Revoked,
    /// Its authority says nothing.
    #[error("whether the client certificate is revoked cannot be found out: {0}")]
    Unknown(String),
}

impl NotGood {
    /// A word for it, as a label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Unknown(_) => "revocation_unknown",
        }
    }
}

/// What a responder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    Revoked,
    /// It does not know the certificate.
    Unknown,
}

/// An answer whose signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: Status,
    /// Seconds since 1970.
    pub(super) this_update: u64,
    /// `None` = the responder always knows better: it is of no use later.
    pub(super) next_update: Option<u64>,
}

/// A question about one certificate.
pub(super) struct Question {
    id: CertId,
    issuer: Issuer,
}

impl Question {
    /// `serial` as it stands in the certificate.
    pub(super) fn new(serial: &[u8], issuer: &Issuer) -> Result<Self, String> {
        let bad = |_| "the certificate or its authority cannot be named".to_owned();
        let name = Any::new(Tag::Sequence, issuer.name.clone()).and_then(|name| name.to_der());
        let key = SubjectPublicKeyInfoRef::from_der(&issuer.key)
            .map(|key| sha1(key.subject_public_key.raw_bytes()));
        let hash_algorithm =
            AlgorithmIdentifierOwned { oid: SHA_1, parameters: Some(Any::from(Null)) };
        let id = CertId {
            hash_algorithm,
            issuer_name_hash: OctetString::new(sha1(&name.map_err(bad)?)).map_err(bad)?,
            issuer_key_hash: OctetString::new(key.map_err(bad)?).map_err(bad)?,
            serial_number: SerialNumber::new(serial).map_err(bad)?,
        };
        Ok(Self { id, issuer: issuer.clone() })
    }

    /// As it is sent.
    pub(super) fn to_der(&self) -> Result<Vec<u8>, String> {
        let request = Request { req_cert: self.id.clone(), single_request_extensions: None };
        let tbs_request = TbsRequest { request_list: vec![request], ..TbsRequest::default() };
        let request = OcspRequest { tbs_request, optional_signature: None };
        request.to_der().map_err(|error| error.to_string())
    }

    /// Reads an answer, which counts only if it is about this certificate, in time, and of its authority or of whom that
    /// gave the right to answer.
    pub(super) fn read(
        &self,
        der: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        now: u64,
    ) -> Result<Answer, String> {
        let malformed = |_| "the answer is no OCSP response".to_owned();
        let response = OcspResponse::from_der(der).map_err(malformed)?;
        if response.response_status != OcspResponseStatus::Successful {
            return Err(format!("the responder refuses: {:?}", response.response_status));
        }
        let bytes = response.response_bytes.ok_or("the answer is empty")?;
        if bytes.response_type != BASIC {
            return Err("the answer is of an unknown kind".to_owned());
        }
        let basic = bytes.response.as_bytes();
        let read = BasicOcspResponse::from_der(basic).map_err(malformed)?;
        let frame = signed(basic).map_err(malformed)?;
        if !self.is_of_authority(&frame, &read, algorithms, now) {
            return Err("the answer is signed by nobody who may".to_owned());
        }
        let answers = &read.tbs_response_data.responses;
        let about = answers.iter().find(|answer| self.is_about(answer));
        let about = about.ok_or("the answer is about another certificate")?;
        let this_update = about.this_update.0.to_unix_duration().as_secs();
        let next_update = about.next_update.map(|time| time.0.to_unix_duration().as_secs());
        if this_update > now + CLOCKS_DIFFER {
            return Err("the answer is of the future".to_owned());
        }
        let newest = this_update.saturating_add(ENDLESS_FOR);
        if next_update.unwrap_or(newest) <= now {
            return Err("the answer is stale".to_owned());
        }
        let status = match about.cert_status {
            CertStatus::Good(_) => Status::Good,
            CertStatus::Revoked(_) => Status::Revoked,
            CertStatus::Unknown(_) => Status::Unknown,
        };
        Ok(Answer { status, this_update, next_update })
    }

    fn is_about(&self, answer: &SingleResponse) -> bool {
        let (asked, answered) = (&self.id, &answer.cert_id);
        asked.hash_algorithm.oid == answered.hash_algorithm.oid
            && asked.issuer_name_hash == answered.issuer_name_hash
            && asked.issuer_key_hash == answered.issuer_key_hash
            && asked.serial_number == answered.serial_number
    }

    fn is_of_authority(
        &self,
        frame: &Signed<'_>,
        response: &BasicOcspResponse,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        now: u64,
    ) -> bool {
        if frame.is_by(&self.issuer.key, algorithms) {
            return true;
        }
        let delegates = response.certs.iter().flatten().take(DELEGATES_MAX);
        delegates.into_iter().any(|delegate| {
            let (not_before, not_after) = certificate::validity(delegate);
            let in_time = (not_before..=not_after).contains(&now);
            if !in_time || !certificate::may_answer(delegate) {
                return false;
            }
            let Ok(der) = delegate.to_der() else { return false };
            let key = delegate.tbs_certificate.subject_public_key_info.to_der();
            let signed_by_authority =
                signed(&der).is_ok_and(|frame| frame.is_by(&self.issuer.key, algorithms));
            signed_by_authority && key.is_ok_and(|key| frame.is_by(&key, algorithms))
        })
    }
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

/// It names certificates only; what counts is signed with something better.
const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// id-pkix-ocsp-basic
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// How far the clock of a responder may be ahead, in seconds.
const CLOCKS_DIFFER: u64 = 300;
/// For how long an answer without an end counts, in seconds.
const ENDLESS_FOR: u64 = 600;
const DELEGATES_MAX: usize = 4;
/// The type of a question.
pub(super) const QUESTION: &str = "application/ocsp-request";
/// Longest answer.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
