//! What a listener is told about TLS, as data: files, policies, who must show a certificate.
//!
//! Knows nothing of the configuration file it came from, and nothing of what is in the files it names.

use std::{path::PathBuf, time::Duration};

use super::identity::IdentityFrom;

/// TLS of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// At least one. The first is for clients that name no server, or one that no certificate is for.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// The authorities that sign those, in PEM; there unless `client_auth` is [`ClientAuth::None`].
    pub client_ca: Option<PathBuf>,
    /// Revocation lists; empty = none are looked at.
    pub crl: Vec<CrlSource>,
    /// What URLs of distribution points that certificates of clients name must begin with; empty = none
    /// is fetched.
    pub crl_points: Vec<String>,
    /// How often lists at a URL are fetched.
    pub crl_refresh: Duration,
    /// Whether the responder of a client's authority is asked.
    pub ocsp: OcspPolicy,
    /// The responder to ask; `None` = the one that certificates name, if `ocsp_allow` permits it.
    pub ocsp_url: Option<String>,
    /// What URLs of responders that certificates name must begin with.
    pub ocsp_allow: Vec<String>,
    /// Whether answers about our own certificates are fetched and handed out.
    pub stapling: bool,
    /// Where fetched answers and lists outlive the process; `None` = nowhere.
    pub cache: Option<PathBuf>,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
    /// Names out of [`cipher_suites`]; empty = all.
    pub cipher_suites: Vec<String>,
    /// Names out of [`groups`], most wanted first; empty = all.
    pub groups: Vec<String>,
    /// Which name in the certificate of a client is its identity.
    pub identity: IdentityFrom,
}

impl TlsConfig {
    /// One certificate, nothing asked of clients, and the defaults.
    pub fn new(cert: PathBuf, key: PathBuf) -> Self {
        Self {
            certificates: vec![CertificateFiles { cert, key }],
            client_auth: ClientAuth::None,
            client_ca: None,
            crl: Vec::new(),
            crl_points: Vec::new(),
            crl_refresh: CRL_REFRESH,
            ocsp: OcspPolicy::Off,
            ocsp_url: None,
            ocsp_allow: Vec::new(),
            stapling: false,
            cache: None,
            min_version: TlsVersion::V1_2,
            cipher_suites: Vec::new(),
            groups: Vec::new(),
            identity: IdentityFrom::Off,
        }
    }
}

/// How often lists at a URL are fetched when nothing is said.
pub const CRL_REFRESH: Duration = Duration::from_secs(15 * 60);

/// A certificate of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and those up to its authority, in PEM, ours first.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    None,
    /// They are asked; who has none comes without.
    Optional,
    /// There is no connection without one.
    Required,
}

/// Where a revocation list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlSource {
    /// In a file, PEM or DER.
    File(PathBuf),
    /// At `http://...`.
    Url(String),
}

/// What follows from a responder that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspPolicy {
    /// It is not asked.
    Off,
    /// The client comes in unless it is known to be revoked.
    Soft,
    /// Nobody comes in whose certificate is not known to be good.
    Hard,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2.
    V1_2,
    /// 1.3.
    V1_3,
}
