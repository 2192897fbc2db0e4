//! Certificates, authorities and lists of a listener for people who look: in words, not for deciding anything.

use std::sync::Arc;

use x509_cert::{der::Decode, name::Name};

use super::{
    Tls, certificate,
    files::{self, AUTHORITIES_BYTES_MAX},
    identity::hex,
};

/// Certificates of a listener.
#[derive(Clone, Debug, Default)]
pub struct ListenerCertificates {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Ours.
    pub certificates: Vec<CertificateInfo>,
    /// Those that clients' certificates come from, as they stand in the file.
    pub authorities: Vec<AuthorityInfo>,
    /// Revocation lists in force.
    pub lists: Vec<RevocationListInfo>,
    /// When the certificate of each connected client is over, seconds since 1970.
    pub clients_end_unix: Vec<u64>,
    /// What the last reload could not replace, with the sentence.
    pub failed: Vec<(&'static str, String)>,
}

/// A certificate of ours.
#[derive(Clone, Debug)]
pub struct CertificateInfo {
    /// The file it came from.
    pub file: String,
    /// Subject distinguished name (RFC 4514).
    pub subject: String,
    /// Issuer distinguished name.
    pub issuer: String,
    /// Serial number in hex.
    pub serial: String,
    /// SHA-256 of the DER encoding in hex.
    pub sha256: String,
    /// Names that it is for.
    pub names: Vec<String>,
    /// Kind of its key.
    pub key: String,
    /// Begin of validity, seconds since 1970.
    pub not_before_unix: u64,
    /// End of validity, seconds since 1970.
    pub not_after_unix: u64,
    /// An answer of its OCSP responder is handed to clients.
    pub is_stapled: bool,
}

/// An authority.
#[derive(Clone, Debug)]
pub struct AuthorityInfo {
    /// Subject distinguished name (RFC 4514).
    pub subject: String,
    /// Issuer distinguished name.
    pub issuer: String,
    /// SHA-256 of the DER encoding in hex.
    pub sha256: String,
    /// End of validity, seconds since 1970.
    pub not_after_unix: u64,
}

/// A revocation list.
#[derive(Clone, Debug)]
pub struct RevocationListInfo {
    /// Distinguished name of its authority (RFC 4514).
    pub issuer: String,
    /// Certificates on it.
    pub revoked: u64,
    /// When it goes stale, seconds since 1970.
    pub next_update_unix: u64,
}

impl Tls {
    /// All there is to see; reads the file of authorities, and so may block.
    pub(crate) fn shown(&self) -> ListenerCertificates {
        let loaded = self.current();
        let certificates = loaded.certificates.all.iter().filter_map(|served| {
            let key = served.key.load();
            let described = certificate::describe(&key.cert).ok()?;
            let names = [described.dns_names, described.uris, described.email_names];
            Some(CertificateInfo {
                file: served.file.clone(),
                subject: described.subject,
                issuer: described.issuer,
                serial: described.serial,
                sha256: hex(&described.sha256),
                names: names.into_iter().flatten().collect(),
                key: format!("{:?}", key.key.algorithm()).to_ascii_lowercase(),
                not_before_unix: served.not_before,
                not_after_unix: served.not_after,
                is_stapled: key.ocsp.is_some(),
            })
        });
        let lists = loaded.trust.iter().flat_map(|trust| trust.revocation.lists());
        let failed = self.failed.lock();
        ListenerCertificates {
            listener: Arc::clone(&self.listener),
            certificates: certificates.collect(),
            authorities: self.authorities(),
            lists: lists
                .map(|list| RevocationListInfo {
                    issuer: name_of(&list.issuer),
                    revoked: list.len() as u64,
                    next_update_unix: list.next_update,
                })
                .collect(),
            clients_end_unix: self.live.all().iter().map(|peer| peer.proven.not_after).collect(),
            failed: failed.iter().map(|(what, why)| (*what, why.clone())).collect(),
        }
    }

    fn authorities(&self) -> Vec<AuthorityInfo> {
        let config = self.config.load();
        let Some(file) = &config.client_ca else { return Vec::new() };
        let read = files::read("client_ca", file, AUTHORITIES_BYTES_MAX)
            .and_then(|bytes| files::certificates("client_ca", file, &bytes));
        let described = read.unwrap_or_default().into_iter().filter_map(|der| {
            let described = certificate::describe(&[der]).ok()?;
            Some(AuthorityInfo {
                subject: described.subject,
                issuer: described.issuer,
                sha256: hex(&described.sha256),
                not_after_unix: described.not_after_unix,
            })
        });
        described.take(AUTHORITIES_MAX).collect()
    }
}

/// A name in words, from its encoding without tag and length.
fn name_of(content: &[u8]) -> String {
    let mut der = vec![SEQUENCE];
    match u16::try_from(content.len()) {
        Ok(length @ 0..128) => der.push(length.to_le_bytes()[0]),
        Ok(length) => {
            der.push(0x82);
            der.extend(length.to_be_bytes());
        }
        Err(_) => return String::new(),
    }
    if content.len() < 256 && content.len() >= 128 {
        // One byte is the shortest form, the only one that DER has.
        der.truncate(1);
        der.push(0x81);
        der.extend(u8::try_from(content.len()));
    }
    der.extend_from_slice(content);
    Name::from_der(&der).map_or_else(|_| String::new(), |name| name.to_string())
}

const SEQUENCE: u8 = 0x30;
/// Authorities that are shown.
const AUTHORITIES_MAX: usize = 1_000;
