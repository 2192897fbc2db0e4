//! Clients as events name them.
//!
//! Knows nothing of which event it is.

use access::{Authenticated, PeerCertificate};
use telemetry::{ShownCertificate, events::Client};

/// A client by what it proved; where it is now, if it is, the caller knows.
pub(crate) fn shown(authenticated: &Authenticated) -> Client<'_> {
    let subject = authenticated.subject();
    Client {
        id: &subject.client_id,
        principal: Some(&subject.identity.principal),
        listener: Some(&subject.listener),
        remote: None,
        certificate: subject.certificate.as_deref().map(shown_certificate),
    }
}

pub(crate) fn shown_certificate(certificate: &PeerCertificate) -> ShownCertificate<'_> {
    ShownCertificate {
        subject: &certificate.subject,
        serial: &certificate.serial,
        sha256: &certificate.sha256,
    }
}
