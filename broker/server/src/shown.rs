//! Clients as events name them.
//!
//! Knows nothing of which event it is.

use access::{Authenticated, DecisionId, NotAuthorized, PeerCertificate};
use telemetry::{
    ShownCertificate,
    events::{Client, Denied},
};

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

/// Why an operation was not permitted.
pub(crate) fn why<'a>(denied: &'a NotAuthorized, decision: &'a Option<DecisionId>) -> Denied<'a> {
    Denied {
        decision: decision.as_ref().map(|id| id as &dyn std::fmt::Display),
        plugin: denied.plugin(),
        reason: denied.reason_code(),
        cause: denied,
    }
}

pub(crate) fn shown_certificate(certificate: &PeerCertificate) -> ShownCertificate<'_> {
    ShownCertificate {
        subject: &certificate.subject,
        serial: &certificate.serial,
        sha256: &certificate.sha256,
    }
}
