//! Which certificates of clients are believed: signed by our authorities, in force, not revoked.
//!
//! Owns that every check costs the same whatever the lists hold, and that it is made anew for each handshake, resumed or
//! not: only that signatures are good is remembered, for a chain as it was shown and the authorities as they are.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, spki_for_anchor};

use super::{
    authorities::Authorities,
    certificate,
    crl::Serial,
    points::Points,
    revocation::{Distrusted, Revocation},
    signature::{AuthorityId, sha256},
};

/// A certificate of a client's chain as revocation sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) by: AuthorityId,
    pub(super) serial: Serial,
    pub(super) is_authority: bool,
    /// Where its authority publishes lists about it.
    pub(super) points: Vec<String>,
}

/// A chain whose signatures are good.
#[derive(Debug)]
pub(super) struct Proven {
    /// Every certificate below the authority that is trusted, the client's first.
    pub(super) path: Vec<Issued>,
    /// The earliest end of validity in it, seconds since 1970.
    pub(super) not_after: u64,
    /// Name and key of who signed the client's certificate, for questions about it.
    pub(super) issuer: Issuer,
}

/// Name, without tag and length, and key, as SubjectPublicKeyInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    pub(super) name: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// What certificates of clients are measured by. Never changed: a reload makes another.
pub(super) struct Trust {
    pub(super) authorities: Authorities,
    pub(super) revocation: Revocation,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    is_mandatory: bool,
    /// Where lists are fetched from, and what of it is permitted.
    points: (Arc<Points>, Vec<String>),
    lately: Mutex<Lately>,
}

/// Why a client's certificate is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTrusted {
    /// Signatures, validity or purpose.
    #[error("the client certificate is not trusted: {0}")]
    Chain(webpki::Error),
    /// What its authority says about it.
    #[error("{0}")]
    Revocation(Distrusted),
    /// Something in it that cannot be read.
    #[error("{0}")]
    Unreadable(certificate::Unreadable),
}

impl Trust {
    pub(super) fn new(
        authorities: Authorities,
        revocation: Revocation,
        provider: &CryptoProvider,
        is_mandatory: bool,
        points: (Arc<Points>, Vec<String>),
    ) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        let lately = Mutex::default();
        Self { authorities, revocation, algorithms, is_mandatory, points, lately }
    }

    /// Judges a chain as a client shows it, its own certificate first.
    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Arc<Proven>, NotTrusted> {
        let fingerprint = fingerprint(chain);
        let known = self.lately.lock().get(&fingerprint, now.as_secs());
        if let Some(proven) = known {
            let revocation = self.check_revocation(&proven.path, now.as_secs());
            return revocation.map(|()| proven).map_err(NotTrusted::Revocation);
        }
        let proven = Arc::new(self.prove(chain, now)?);
        self.lately.lock().put(fingerprint, &proven);
        Ok(proven)
    }

    /// What lists say of a chain whose signatures are good. Where none says anything, those that its
    /// certificates name are fetched: who comes again finds them.
    fn check_revocation(&self, path: &[Issued], now: u64) -> Result<(), Distrusted> {
        let checked = self.revocation.check(path, now);
        if checked == Err(Distrusted::Unknown) {
            let (points, permitted) = &self.points;
            path.iter().for_each(|issued| points.learn(permitted, &issued.points));
        }
        checked
    }

    fn prove(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Proven, NotTrusted> {
        let unknown = NotTrusted::Chain(webpki::Error::BadDer);
        let (leaf, shown) = chain.split_first().ok_or(unknown)?;
        let leaf = EndEntityCert::try_from(leaf).map_err(NotTrusted::Chain)?;
        let known = self.authorities.intermediates.iter();
        let between: Vec<_> =
            shown.iter().chain(known).map(|c| CertificateDer::from(&**c)).collect();
        let distrust = Mutex::new(None);
        let judge_path = |path: &VerifiedPath<'_>| {
            let issued = issued(path).map_err(|_| webpki::Error::BadDer)?;
            self.check_revocation(&issued, now.as_secs()).map_err(|distrusted| {
                let error = distrusted.as_webpki();
                *distrust.lock() = Some(distrusted);
                error
            })
        };
        let path = leaf.verify_for_usage(
            self.algorithms.all,
            &self.authorities.anchors,
            &between,
            now,
            KeyUsage::client_auth(),
            None,
            Some(&judge_path),
        );
        let path = path.map_err(|error| match distrust.lock().take() {
            Some(distrusted) => NotTrusted::Revocation(distrusted),
            None => NotTrusted::Chain(error),
        })?;
        let issued = issued(&path).map_err(NotTrusted::Unreadable)?;
        let not_after = not_after(&path).map_err(NotTrusted::Unreadable)?;
        Ok(Proven { path: issued, not_after, issuer: issuer(&path) })
    }
}

/// The certificates of a path, each with who issued it.
fn issued(path: &VerifiedPath<'_>) -> Result<Vec<Issued>, certificate::Unreadable> {
    let mut authorities = Vec::new();
    for authority in path.intermediate_certificates() {
        let key = authority.subject_public_key_info();
        authorities.push(AuthorityId::new(authority.subject(), &key));
    }
    let anchor = path.anchor();
    authorities.push(AuthorityId::new(&anchor.subject, &spki_for_anchor(anchor)));
    let certificates = std::iter::once((&**path.end_entity(), false));
    let certificates = certificates.chain(path.intermediate_certificates().map(|c| (c, true)));
    let issued = certificates.zip(authorities).map(|((issued, is_authority), by)| {
        let certificate = certificate::read(&issued.der())?;
        Ok(Issued {
            by,
            serial: Serial::new(issued.serial()).ok_or(certificate::Unreadable::Malformed)?,
            is_authority,
            points: certificate::distribution_points(&certificate),
        })
    });
    issued.collect()
}

fn not_after(path: &VerifiedPath<'_>) -> Result<u64, certificate::Unreadable> {
    let certificates = std::iter::once(&**path.end_entity());
    let mut earliest = u64::MAX;
    for certificate in certificates.chain(path.intermediate_certificates()) {
        let certificate = certificate::read(&certificate.der())?;
        earliest = earliest.min(certificate::validity(&certificate).1);
    }
    Ok(earliest)
}

fn issuer(path: &VerifiedPath<'_>) -> Issuer {
    match path.intermediate_certificates().next() {
        Some(authority) => Issuer {
            name: authority.subject().to_vec(),
            key: authority.subject_public_key_info().to_vec(),
        },
        None => Issuer {
            name: path.anchor().subject.to_vec(),
            key: spki_for_anchor(path.anchor()).to_vec(),
        },
    }
}

fn fingerprint(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let hashes: Vec<_> = chain.iter().flat_map(|der| sha256(der)).collect();
    sha256(&hashes)
}

/// Chains that were proven lately, so that a fleet that comes back need not be proven anew. Full: the oldest goes.
#[derive(Default)]
struct Lately {
    known: HashMap<[u8; 32], Arc<Proven>>,
    order: VecDeque<[u8; 32]>,
}

impl Lately {
    fn get(&self, fingerprint: &[u8; 32], now: u64) -> Option<Arc<Proven>> {
        self.known.get(fingerprint).filter(|proven| now <= proven.not_after).cloned()
    }

    fn put(&mut self, fingerprint: [u8; 32], proven: &Arc<Proven>) {
        if self.known.insert(fingerprint, Arc::clone(proven)).is_some() {
            return;
        }
        self.order.push_back(fingerprint);
        if self.order.len() > CHAINS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

const CHAINS_KEPT: usize = 4_096;

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

/// What `rustls` asks while the handshake lasts, so that a client is told with an alert.
impl ClientCertVerifier for Trust {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain: Vec<_> = chain.map(|der| CertificateDer::from(&**der)).collect();
        let judged = self.judge(&chain, now);
        judged.map(|_| ClientCertVerified::assertion()).map_err(|error| error.alert().into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl NotTrusted {
    /// What the client is told.
    fn alert(&self) -> CertificateError {
        match self {
            Self::Revocation(Distrusted::Revoked) => CertificateError::Revoked,
            Self::Revocation(_) => CertificateError::UnknownRevocationStatus,
            Self::Unreadable(_) => CertificateError::BadEncoding,
            Self::Chain(error) => match error {
                webpki::Error::CertExpired { .. } => CertificateError::Expired,
                webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
                webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
                webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
                _ => CertificateError::ApplicationVerificationFailure,
            },
        }
    }

    /// A word for it, as a label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Chain(webpki::Error::CertExpired { .. }) => "expired",
            Self::Chain(_) => "not_trusted",
            Self::Revocation(Distrusted::Revoked) => "revoked",
            Self::Revocation(_) => "revocation_unknown",
            Self::Unreadable(_) => "unreadable",
        }
    }
}
