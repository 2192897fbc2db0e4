use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;

use super::*;

fn authority(name: &str) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    Issuer::new(params, KeyPair::generate().unwrap())
}

fn list(
    issuer: &Issuer<'_, KeyPair>,
    serials: &[&[u8]],
    scope: Option<CrlIssuingDistributionPoint>,
) -> Vec<u8> {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2040, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: scope,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().der().to_vec()
}

fn serial(bytes: &[u8]) -> Serial {
    Serial::new(bytes).unwrap()
}

#[test]
fn a_serial_is_its_number() {
    assert_eq!(serial(&[0, 0, 1]), serial(&[1]));
    assert_ne!(serial(&[1, 0]), serial(&[1]));
    assert_eq!(Serial::new(&[1; 21]), None);
    assert_eq!(serial(&[&[0][..], &[9; 20]].concat()), serial(&[9; 20]));
}

#[test]
fn what_a_list_says() {
    let issuer = authority("ca");
    let der = list(&issuer, &[&[7], &[0x80, 1], &[3]], None);
    let read = Unproven::read(&der).unwrap();
    for (number, listed) in [(&[7][..], true), (&[0x80, 1], true), (&[3], true), (&[8], false)] {
        assert_eq!(read.crl.lists(serial(number)), listed, "{number:?}");
    }
    assert_eq!((read.crl.len(), read.crl.next_update), (3, 2_208_988_800));
    assert_eq!(read.crl.scope, Scope::default());
}

#[test]
fn only_the_signature_of_its_authority_counts() {
    let (issuer, other) = (authority("ca"), authority("ca"));
    let algorithms = default_provider().signature_verification_algorithms;
    let key = issuer.key().subject_public_key_info();
    let der = list(&issuer, &[&[7]], None);
    assert!(Unproven::read(&der).unwrap().is_by(&key, algorithms.all));
    let strange = other.key().subject_public_key_info();
    assert!(!Unproven::read(&der).unwrap().is_by(&strange, algorithms.all));
    assert!(!Unproven::read(&der).unwrap().is_by(b"no key", algorithms.all));
    // One bit anywhere: no list, or one that its authority did not sign.
    for at in 0..der.len() {
        let mut broken = der.clone();
        broken[at] ^= 1;
        if let Ok(read) = Unproven::read(&broken) {
            assert!(!read.is_by(&key, algorithms.all), "{at}");
        }
    }
}

#[test]
fn a_list_cut_short_is_none() {
    let der = list(&authority("ca"), &[&[7], &[8]], None);
    for length in 0..der.len() {
        assert!(Unproven::read(&der[..length]).is_err(), "{length}");
    }
    assert!(Unproven::read(&[&der[..], &[0]].concat()).is_err());
}

#[test]
fn some_lists_are_about_some_certificates() {
    let url = "http://crl.example/1".to_owned();
    let point = |scope| CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: vec![url.clone()] },
        scope,
    };
    let named = [url.clone()];
    for (scope, expect) in [
        (None, [true, true]),
        (Some(CrlScope::UserCertsOnly), [true, false]),
        (Some(CrlScope::CaCertsOnly), [false, true]),
    ] {
        let der = list(&authority("ca"), &[&[7]], Some(point(scope)));
        let scope = Unproven::read(&der).unwrap().crl.scope;
        assert_eq!([scope.covers(false, &named), scope.covers(true, &named)], expect);
        assert!(!scope.covers(false, &[]) && !scope.covers(true, &["http://crl.example/2".into()]));
    }
    assert!(Scope::default().covers(false, &[]) && Scope::default().covers(true, &named));
}
