use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer, KeyPair,
    PublicKeyData, SigningKey, date_time_ymd,
};
use rustls::{crypto::aws_lc_rs::default_provider, pki_types::CertificateDer};
use x509_cert::{
    Certificate,
    der::{
        DateTime,
        asn1::{BitString, GeneralizedTime},
    },
};
use x509_ocsp::{AsResponseBytes, OcspGeneralizedTime, ResponderId, ResponseData};

use super::*;
use crate::tls::signature::content;

const NOW: u64 = 1_700_000_000;

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

struct Ca {
    signer: Signer<'static, KeyPair>,
    issuer: Issuer,
}

fn authority(name: &str) -> Ca {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let read = Certificate::from_der(certificate.der()).unwrap();
    let name = read.tbs_certificate.subject.to_der().unwrap();
    let issuer = Issuer { name: content(&name).to_vec(), key: key.subject_public_key_info() };
    Ca { signer: Signer::new(params, key), issuer }
}

fn time(seconds: u64) -> OcspGeneralizedTime {
    let time = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).unwrap();
    OcspGeneralizedTime(GeneralizedTime::from_date_time(time))
}

/// What an answer says.
#[derive(Clone, Copy)]
struct Says {
    status: CertStatus,
    this_update: u64,
    next_update: Option<u64>,
}

impl Says {
    fn good() -> Self {
        Self { status: CertStatus::good(), this_update: NOW - 100, next_update: Some(NOW + 100) }
    }
}

/// An answer about what `question` asks, signed by `key`.
fn answer(question: &Question, says: Says, key: &KeyPair, certs: &[CertificateDer<'_>]) -> Vec<u8> {
    let single = SingleResponse {
        cert_id: question.id.clone(),
        cert_status: says.status,
        this_update: says.this_update_time(),
        next_update: says.next_update.map(time),
        single_extensions: None,
    };
    let name = Certificate::from_der(named("r").self_signed(key).unwrap().der()).unwrap();
    let tbs_response_data = ResponseData {
        version: x509_ocsp::Version::default(),
        responder_id: ResponderId::ByName(name.tbs_certificate.subject),
        produced_at: time(NOW),
        responses: vec![single],
        response_extensions: None,
    };
    let signature = key.sign(&tbs_response_data.to_der().unwrap()).unwrap();
    let ecdsa_with_sha256 = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    let certs = certs.iter().map(|der| Certificate::from_der(der).unwrap()).collect();
    let basic = BasicOcspResponse {
        tbs_response_data,
        signature_algorithm: AlgorithmIdentifierOwned { oid: ecdsa_with_sha256, parameters: None },
        signature: BitString::from_bytes(&signature).unwrap(),
        certs: Some(certs),
    };
    let response = OcspResponse {
        response_status: OcspResponseStatus::Successful,
        response_bytes: Some(basic.to_response_bytes().unwrap()),
    };
    response.to_der().unwrap()
}

impl Says {
    fn this_update_time(&self) -> OcspGeneralizedTime {
        time(self.this_update)
    }
}

fn read(question: &Question, der: &[u8]) -> Result<Answer, String> {
    question.read(der, default_provider().signature_verification_algorithms.all, NOW)
}

#[test]
fn a_question_can_be_read_by_others() {
    let ca = authority("ca");
    let question = Question::new(&[7], &ca.issuer).unwrap();
    let der = question.to_der().unwrap();
    let read = OcspRequest::from_der(&der).unwrap();
    assert_eq!(read.tbs_request.request_list[0].req_cert, question.id);
}

#[test]
fn the_authority_itself_answers() {
    let ca = authority("ca");
    let question = Question::new(&[7], &ca.issuer).unwrap();
    let der = answer(&question, Says::good(), ca.signer.key(), &[]);
    let expect =
        Answer { status: Status::Good, this_update: NOW - 100, next_update: Some(NOW + 100) };
    assert_eq!(read(&question, &der), Ok(expect));
    let unknown = Says { status: CertStatus::unknown(), ..Says::good() };
    let der = answer(&question, unknown, ca.signer.key(), &[]);
    assert_eq!(read(&question, &der).unwrap().status, Status::Unknown);
}

#[test]
fn answers_that_do_not_count() {
    let (ca, other) = (authority("ca"), authority("other"));
    let question = Question::new(&[7], &ca.issuer).unwrap();
    let key = ca.signer.key();
    let refused = |der: &[u8], expect: &str| {
        let error = read(&question, der).unwrap_err();
        assert!(error.contains(expect), "{error}");
    };
    let good = answer(&question, Says::good(), key, &[]);
    refused(&answer(&question, Says::good(), other.signer.key(), &[]), "nobody who may");
    let about_another = Question::new(&[8], &ca.issuer).unwrap();
    refused(&answer(&about_another, Says::good(), key, &[]), "another certificate");
    let stale = Says { next_update: Some(NOW - 1), ..Says::good() };
    refused(&answer(&question, stale, key, &[]), "stale");
    let endless = Says { next_update: None, this_update: NOW - 601, ..Says::good() };
    refused(&answer(&question, endless, key, &[]), "stale");
    let early = Says { this_update: NOW + 301, ..Says::good() };
    refused(&answer(&question, early, key, &[]), "future");
    refused(&good[..good.len() - 1], "no OCSP response");
    let later =
        OcspResponse { response_status: OcspResponseStatus::TryLater, response_bytes: None };
    refused(&later.to_der().unwrap(), "refuses");
    // One bit anywhere.
    for at in 0..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 1;
        assert!(read(&question, &broken).is_err(), "{at}");
    }
}

#[test]
fn whom_the_authority_gave_the_right_answers_too() {
    let ca = authority("ca");
    let question = Question::new(&[7], &ca.issuer).unwrap();
    let key = KeyPair::generate().unwrap();
    let delegate = |purpose: Option<ExtendedKeyUsagePurpose>, signer: &Signer<'_, KeyPair>| {
        let mut params = named("delegate");
        params.extended_key_usages.extend(purpose);
        params.signed_by(&key, signer).unwrap().der().clone()
    };
    let may = Some(ExtendedKeyUsagePurpose::OcspSigning);
    for (certificate, good) in [
        (delegate(may.clone(), &ca.signer), true),
        (delegate(Some(ExtendedKeyUsagePurpose::ClientAuth), &ca.signer), false),
        (delegate(None, &ca.signer), false),
        (delegate(may, &authority("ca").signer), false),
    ] {
        let der = answer(&question, Says::good(), &key, &[certificate]);
        assert_eq!(read(&question, &der).is_ok(), good);
    }
}
