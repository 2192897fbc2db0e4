//! Revocation lists: reading one, and what it says about a certificate.
//!
//! Owns that a list's signature is checked once, when it is loaded, and that a question costs the same however long it
//! is. Knows nothing of files and URLs. What webpki refuses is refused: deltas, lists on behalf of other authorities,
//! critical extensions that nobody knows.

use rustls::pki_types::SignatureVerificationAlgorithm;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_cert::{
    der::{self, Decode, Reader, SliceReader, Tag},
    ext::pkix::IssuingDistributionPoint,
    time::Time,
};

use super::{
    certificate::urls_of,
    signature::{Signed, content, signed},
};

/// A serial number without leading zeros, to the right of 20 bytes: no certificate may have a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Serial([u8; 20]);

impl Serial {
    /// `None` = it is longer than RFC 5280 permits.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let significant = bytes.get(zeros..).unwrap_or_default();
        let mut serial = [0; 20];
        let start = serial.len().checked_sub(significant.len())?;
        serial.get_mut(start..)?.copy_from_slice(significant);
        Some(Self(serial))
    }
}

/// Why a list is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCrl {
    /// Not a list, or one with something that nobody may overlook.
    #[error("is no revocation list that can be used: {0}")]
    Malformed(String),
    /// It says nothing about when it ends.
    #[error("has no nextUpdate, so that nobody would know when it is stale")]
    Endless,
    /// A certificate cannot have such a number.
    #[error("has a serial number of more than 20 bytes")]
    LongSerial,
}

/// A list. It counts only with a signature, see [`Crl::is_by`].
pub(super) struct Crl {
    /// Name of its authority, without tag and length.
    pub(super) issuer: Vec<u8>,
    /// Seconds since 1970.
    pub(super) next_update: u64,
    pub(super) scope: Scope,
    /// Sorted.
    serials: Vec<Serial>,
}

/// Which certificates of its authority a list is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    only_users: bool,
    only_authorities: bool,
    /// Only those that name one of these; empty = all.
    points: Vec<String>,
}

impl Scope {
    /// Whether it speaks about a certificate that is one of an authority, or not, and names these points.
    pub(super) fn covers(&self, is_authority: bool, points: &[String]) -> bool {
        let kind = if is_authority { !self.only_users } else { !self.only_authorities };
        kind && (self.points.is_empty() || self.points.iter().any(|point| points.contains(point)))
    }
}

/// A list whose signature is still to be checked.
pub(super) struct Unproven<'a> {
    pub(super) crl: Crl,
    signed: Signed<'a>,
}

impl<'a> Unproven<'a> {
    /// Reads a list in DER.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, BadCrl> {
        let malformed = |error: &dyn std::fmt::Display| BadCrl::Malformed(error.to_string());
        let list = BorrowedCertRevocationList::from_der(der).map_err(|e| malformed(&e))?;
        let mut serials = Vec::new();
        for revoked in &list {
            let revoked = revoked.map_err(|error| malformed(&error))?;
            serials.push(Serial::new(revoked.serial_number).ok_or(BadCrl::LongSerial)?);
        }
        serials.sort_unstable();
        let list = CertRevocationList::from(list);
        let scope = match list.issuing_distribution_point() {
            None => Scope::default(),
            Some(point) => read_scope(point).map_err(|error| malformed(&error))?,
        };
        let (signed, next_update) = read_frame(der).map_err(|error| malformed(&error))?;
        let next_update = next_update.ok_or(BadCrl::Endless)?;
        let issuer = list.issuer().to_vec();
        Ok(Self { crl: Crl { issuer, next_update, scope, serials }, signed })
    }

    /// Whether the owner of this key signed it.
    pub(super) fn is_by(
        &self,
        key: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        self.signed.is_by(key, algorithms)
    }
}

impl Crl {
    /// Whether it lists this number: some twenty comparisons in a list of a million.
    pub(super) fn lists(&self, serial: Serial) -> bool {
        self.serials.binary_search(&serial).is_ok()
    }

    /// How many certificates are revoked by it.
    pub(super) fn len(&self) -> usize {
        self.serials.len()
    }
}

fn read_scope(der: &[u8]) -> der::Result<Scope> {
    let point = IssuingDistributionPoint::from_der(der)?;
    let points = match &point.distribution_point {
        None => Vec::new(),
        Some(name) => {
            let urls = urls_of(name);
            if urls.is_empty() {
                // It is about some certificates only, and nobody could tell which.
                return Err(Tag::Sequence.value_error());
            }
            urls
        }
    };
    Ok(Scope {
        only_users: point.only_contains_user_certs,
        only_authorities: point.only_contains_ca_certs,
        points,
    })
}

/// What was signed, how, and until when the list is fresh.
fn read_frame(der: &[u8]) -> der::Result<(Signed<'_>, Option<u64>)> {
    let signed = signed(der)?;
    let mut list = SliceReader::new(content(signed.message))?;
    if list.peek_tag()? == Tag::Integer {
        list.tlv_bytes()?;
    }
    // The algorithm and the authority.
    list.tlv_bytes()?;
    list.tlv_bytes()?;
    Time::decode(&mut list)?;
    let next = Option::<Time>::decode(&mut list)?;
    Ok((signed, next.map(|time| time.to_unix_duration().as_secs())))
}

#[cfg(test)]
mod tests;
