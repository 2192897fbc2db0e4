//! `/api/v1/certificates`: ours, the authorities that clients' certificates come from, revocation lists, and when the
//! certificates of connected clients end.
//!
//! Knows nothing of TLS; asks the broker.

use std::sync::Arc;

use serde::Serialize;
use server::{AuthorityInfo, CertificateInfo, ListenerCertificates, RevocationListInfo};
use utoipa::ToSchema;

use crate::call::{Answer, Call, blocking, now_ms};

/// Certificates of all listeners with TLS.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Certificates {
    /// In the order of the configuration.
    listeners: Vec<OfListener>,
}

/// Certificates of a listener.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfListener {
    /// Its name.
    listener: String,
    /// Ours; which one a client is shown depends on the name that it asks for.
    certificates: Vec<OwnCertificate>,
    /// Authorities that clients' certificates come from, as they stand in the file.
    authorities: Vec<Authority>,
    /// Revocation lists in force.
    revocation_lists: Vec<RevocationList>,
    /// Connected clients by how long their certificate is good.
    clients: ClientsByEnd,
    /// What the last reload could not replace: key and reason.
    failed: Vec<(String, String)>,
}

/// A certificate of ours.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnCertificate {
    /// The file it came from.
    file: String,
    /// Subject distinguished name.
    subject: String,
    /// Issuer distinguished name.
    issuer: String,
    /// Serial number in hex.
    serial: String,
    /// SHA-256 of its DER encoding in hex.
    sha256: String,
    /// Names that it is for.
    names: Vec<String>,
    /// Kind of its key.
    key: String,
    /// Seconds since 1970.
    not_before_unix: u64,
    /// Seconds since 1970.
    not_after_unix: u64,
    /// Clients are handed an answer of its OCSP responder.
    stapled: bool,
}

/// An authority.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Authority {
    /// Subject distinguished name.
    subject: String,
    /// Issuer distinguished name; its own for a root.
    issuer: String,
    /// SHA-256 of its DER encoding in hex.
    sha256: String,
    /// Seconds since 1970.
    not_after_unix: u64,
}

/// A revocation list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevocationList {
    /// Distinguished name of its authority.
    issuer: String,
    /// Certificates on it.
    revoked: u64,
    /// When the next is due, and it goes stale; seconds since 1970.
    next_update_unix: u64,
    /// It is stale: whoever it is about is refused.
    stale: bool,
}

/// Connected clients by how long their certificate is good.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ClientsByEnd {
    /// Over.
    over: u64,
    /// Less than a day.
    within_a_day: u64,
    /// Less than a week, but not less than a day.
    within_a_week: u64,
    /// Less than 30 days.
    within_a_month: u64,
    /// Less than 90 days.
    within_a_quarter: u64,
    /// Less than 365 days.
    within_a_year: u64,
    /// Longer.
    later: u64,
}

/// `GET /api/v1/certificates`
pub(crate) async fn list(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let found = blocking(move || shared.state.broker.certificates()).await?;
    let now = now_ms() / 1_000;
    let listeners = found.into_iter().map(|of| OfListener::of(of, now)).collect();
    call.json_answer(&Certificates { listeners })
}

impl OfListener {
    fn of(found: ListenerCertificates, now: u64) -> Self {
        let failed = found.failed.into_iter().map(|(key, why)| (key.to_owned(), why));
        let lists = found.lists.into_iter();
        Self {
            listener: found.listener.to_string(),
            certificates: found.certificates.into_iter().map(OwnCertificate::from).collect(),
            authorities: found.authorities.into_iter().map(Authority::from).collect(),
            revocation_lists: lists.map(|list| RevocationList::of(list, now)).collect(),
            clients: ClientsByEnd::of(&found.clients_end_unix, now),
            failed: failed.collect(),
        }
    }
}

impl From<CertificateInfo> for OwnCertificate {
    fn from(info: CertificateInfo) -> Self {
        Self {
            file: info.file,
            subject: info.subject,
            issuer: info.issuer,
            serial: info.serial,
            sha256: info.sha256,
            names: info.names,
            key: info.key,
            not_before_unix: info.not_before_unix,
            not_after_unix: info.not_after_unix,
            stapled: info.is_stapled,
        }
    }
}

impl From<AuthorityInfo> for Authority {
    fn from(info: AuthorityInfo) -> Self {
        let AuthorityInfo { subject, issuer, sha256, not_after_unix } = info;
        Self { subject, issuer, sha256, not_after_unix }
    }
}

impl RevocationList {
    fn of(info: RevocationListInfo, now: u64) -> Self {
        Self {
            issuer: info.issuer,
            revoked: info.revoked,
            next_update_unix: info.next_update_unix,
            stale: info.next_update_unix <= now,
        }
    }
}

impl ClientsByEnd {
    fn of(ends: &[u64], now: u64) -> Self {
        let mut by_end = Self::default();
        for end in ends {
            let days = end.saturating_sub(now) / DAY;
            let place = match (end <= &now, days) {
                (true, _) => &mut by_end.over,
                (false, 0) => &mut by_end.within_a_day,
                (false, 1..7) => &mut by_end.within_a_week,
                (false, 7..30) => &mut by_end.within_a_month,
                (false, 30..90) => &mut by_end.within_a_quarter,
                (false, 90..365) => &mut by_end.within_a_year,
                (false, _) => &mut by_end.later,
            };
            *place += 1;
        }
        by_end
    }
}

const DAY: u64 = 86_400;
