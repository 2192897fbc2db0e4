//! What stands in a certificate: names, validity, where its status can be asked.
//!
//! Knows nothing of whether it can be believed.

use access::PeerCertificate;
use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    attr::AttributeTypeAndValue,
    der::{
        Decode, Tag, Tagged,
        asn1::{Any, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef},
        oid::db::rfc4519::CN,
    },
    ext::pkix::{
        AuthorityInfoAccessSyntax, CrlDistributionPoints, KeyUsage, SubjectAltName,
        name::{DistributionPointName, GeneralName},
    },
};

use super::{identity::hex, signature::sha256};

/// Why a certificate is not taken although its signatures are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is not what X.509 says.
    #[error("the certificate cannot be read")]
    Malformed,
    /// Who cuts a name at such a character would take it for another.
    #[error("a name in the certificate has a control character")]
    ControlCharacter,
    /// A name that is no text.
    #[error("a name in the certificate is not UTF-8")]
    NotText,
}

/// Reads the certificate that comes first in `chain`.
pub(super) fn describe(chain: &[CertificateDer<'_>]) -> Result<PeerCertificate, Unreadable> {
    let leaf = chain.first().ok_or(Unreadable::Malformed)?;
    let certificate = read(leaf)?;
    let tbs = &certificate.tbs_certificate;
    let mut names = Names::default();
    if let Some((_, found)) = tbs.get::<SubjectAltName>().map_err(|_| Unreadable::Malformed)? {
        for name in &found.0 {
            names.add(name)?;
        }
    }
    let common_names = common_names(&certificate)?;
    let (first, several) = (common_names.first(), common_names.len() > 1);
    // DER puts a zero before a number that would else be negative.
    let serial = tbs.serial_number.as_bytes();
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    let serial = hex(serial.get(zeros..).unwrap_or_default());
    Ok(PeerCertificate {
        sha256: sha256(leaf),
        subject: tbs.subject.to_string(),
        issuer: tbs.issuer.to_string(),
        serial,
        // Of two, none: which one counts would be a guess.
        common_name: first.filter(|_| !several).cloned(),
        dns_names: names.dns,
        uris: names.uris,
        email_names: names.emails,
        not_after_unix: tbs.validity.not_after.to_unix_duration().as_secs(),
        der_chain: chain.iter().map(|der| der.to_vec()).collect(),
    })
}

#[derive(Default)]
struct Names {
    dns: Vec<String>,
    uris: Vec<String>,
    emails: Vec<String>,
}

impl Names {
    fn add(&mut self, name: &GeneralName) -> Result<(), Unreadable> {
        let (list, text) = match name {
            GeneralName::DnsName(text) => (&mut self.dns, text.as_str()),
            GeneralName::UniformResourceIdentifier(text) => (&mut self.uris, text.as_str()),
            GeneralName::Rfc822Name(text) => (&mut self.emails, text.as_str()),
            _ => return Ok(()),
        };
        list.push(without_controls(text)?);
        Ok(())
    }
}

fn without_controls(text: &str) -> Result<String, Unreadable> {
    if text.contains(char::is_control) {
        return Err(Unreadable::ControlCharacter);
    }
    Ok(text.to_owned())
}

fn common_names(certificate: &Certificate) -> Result<Vec<String>, Unreadable> {
    let subject = &certificate.tbs_certificate.subject;
    let parts = subject.0.iter().flat_map(|part| part.0.iter());
    let named = parts.filter(|part: &&AttributeTypeAndValue| part.oid == CN);
    named.map(|part| without_controls(&text(&part.value).ok_or(Unreadable::NotText)?)).collect()
}

fn text(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::PrintableString => {
            value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned()
        }
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.as_str().to_owned(),
        _ => return None,
    };
    Some(text)
}

/// A certificate, whole.
pub(super) fn read(der: &[u8]) -> Result<Certificate, Unreadable> {
    Certificate::from_der(der).map_err(|_| Unreadable::Malformed)
}

/// Begin and end of validity, seconds since 1970.
pub(super) fn validity(certificate: &Certificate) -> (u64, u64) {
    let validity = &certificate.tbs_certificate.validity;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    (seconds(validity.not_before), seconds(validity.not_after))
}

/// Names of the server that a certificate is for, in lower case.
pub(super) fn server_names(certificate: &Certificate) -> Vec<String> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    let names = found.iter().flat_map(|(_, names)| &names.0).filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return common_names(certificate).unwrap_or_default();
    }
    names
}

/// Where its revocation list is, as the certificate says: URLs.
pub(super) fn distribution_points(certificate: &Certificate) -> Vec<String> {
    let points = certificate.tbs_certificate.get::<CrlDistributionPoints>().ok().flatten();
    let points = points.into_iter().flat_map(|(_, points)| points.0);
    points.filter_map(|point| point.distribution_point).flat_map(|point| urls_of(&point)).collect()
}

/// The URLs of a distribution point.
pub(super) fn urls_of(point: &DistributionPointName) -> Vec<String> {
    match point {
        DistributionPointName::FullName(names) => names.iter().filter_map(url).collect(),
        DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
    }
}

/// Where the authority answers about it (OCSP).
pub(super) fn responders(certificate: &Certificate) -> Vec<String> {
    /// id-ad-ocsp
    const ID_AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
    let access = certificate.tbs_certificate.get::<AuthorityInfoAccessSyntax>().ok().flatten();
    let access = access.into_iter().flat_map(|(_, access)| access.0);
    let of_ocsp = access.filter(|access| access.access_method == ID_AD_OCSP);
    of_ocsp.filter_map(|access| url(&access.access_location)).collect()
}

fn url(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(url) => Some(url.as_str().to_owned()),
        _ => None,
    }
}

/// Whether an authority may sign revocation lists: unless its key is for other uses only.
pub(super) fn may_sign_lists(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<KeyUsage>() {
        Ok(Some((_, usage))) => usage.crl_sign(),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Whether the holder of a certificate may sign answers in the name of its authority.
pub(super) fn may_answer(certificate: &Certificate) -> bool {
    use x509_cert::ext::pkix::ExtendedKeyUsage;
    const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>().ok().flatten();
    usage.is_some_and(|(_, usage)| usage.0.contains(&OCSP_SIGNING))
}
