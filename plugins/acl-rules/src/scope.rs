//! Whom a rule is about. Every key that is given must fit; of the names in one key any does.

use std::net::IpAddr;

use crate::{Block, Effect};

/// Whom a rule is about; what is empty means everyone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Clients that proved to be one of these principals.
    pub users: Vec<String>,
    /// Members of one of these groups.
    pub groups: Vec<String>,
    /// These Client Identifiers.
    pub client_ids: Vec<String>,
    /// Clients of these listeners.
    pub listeners: Vec<String>,
    /// Clients that one of these links authenticated.
    pub authenticated_by: Vec<String>,
    /// Clients at these addresses.
    pub addresses: Vec<Block>,
    /// Clients with these attributes, each with one of these values.
    pub attributes: Vec<(String, Vec<String>)>,
    /// Clients whose certificate fits.
    pub certificate: Option<Box<CertificateScope>>,
}

/// What a certificate must say; what is empty may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CertificateScope {
    /// Common Name of the subject.
    pub common_names: Vec<String>,
    /// Subject alternative names of kind dNSName.
    pub dns_names: Vec<String>,
    /// Those of kind uniformResourceIdentifier.
    pub uris: Vec<String>,
    /// Those of kind rfc822Name.
    pub email_names: Vec<String>,
    /// Subject distinguished name (RFC 4514).
    pub subjects: Vec<String>,
    /// Issuer distinguished name (RFC 4514).
    pub issuers: Vec<String>,
    /// Serial number, lower-case hexadecimal.
    pub serials: Vec<String>,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub sha256: Vec<String>,
}

/// A client, as far as rules look at it.
#[derive(Clone, Debug, Default)]
pub struct Who<'a> {
    /// The authenticated identity.
    pub principal: &'a str,
    /// Name of the link that authenticated it.
    pub authenticated_by: &'a str,
    /// Groups from its grants.
    pub groups: &'a [String],
    /// Attributes from its grants.
    pub attributes: Vec<(&'a str, &'a str)>,
    /// Client Identifier.
    pub client_id: &'a str,
    /// Name of the listener.
    pub listener: &'a str,
    /// IP address.
    pub remote_address: &'a str,
    /// Its certificate.
    pub certificate: Option<Certificate<'a>>,
}

/// The fields of a certificate.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    /// Common Name of the subject.
    pub common_name: Option<&'a str>,
    /// Subject alternative names of kind dNSName.
    pub dns_names: &'a [String],
    /// Those of kind uniformResourceIdentifier.
    pub uris: &'a [String],
    /// Those of kind rfc822Name.
    pub email_names: &'a [String],
    /// Subject distinguished name.
    pub subject: &'a str,
    /// Issuer distinguished name.
    pub issuer: &'a str,
    /// Serial number, lower-case hexadecimal.
    pub serial: &'a str,
    /// SHA-256 of the DER encoding.
    pub sha256: &'a [u8],
}

impl Scope {
    /// Whether a rule of this scope is about a client. `is_member` says who is in a group.
    pub(crate) fn holds(
        &self,
        who: &Who<'_>,
        effect: Effect,
        is_member: impl Fn(&str) -> bool,
    ) -> bool {
        names(&self.users, who.principal)
            && names(&self.client_ids, who.client_id)
            && names(&self.listeners, who.listener)
            && names(&self.authenticated_by, who.authenticated_by)
            && (self.groups.is_empty() || self.groups.iter().any(|group| is_member(group)))
            && self.holds_for_address(who.remote_address, effect)
            && self.attributes.iter().all(|(name, values)| {
                let value = who.attributes.iter().find(|(found, _)| found == name);
                value.is_some_and(|(_, value)| names(values, value))
            })
            && self.certificate.as_ref().is_none_or(|wanted| {
                who.certificate.as_ref().is_some_and(|certificate| wanted.fits(certificate))
            })
    }

    /// Of an address that cannot be read nobody knows where it is: no allow rule is about it, and
    /// every deny rule.
    fn holds_for_address(&self, address: &str, effect: Effect) -> bool {
        if self.addresses.is_empty() {
            return true;
        }
        match address.parse::<IpAddr>() {
            Ok(address) => self.addresses.iter().any(|block| block.contains(address)),
            Err(_) => effect == Effect::Deny,
        }
    }
}

impl CertificateScope {
    fn fits(&self, certificate: &Certificate<'_>) -> bool {
        let common_name = || certificate.common_name.is_some_and(|n| names(&self.common_names, n));
        (self.common_names.is_empty() || common_name())
            && any(&self.dns_names, certificate.dns_names)
            && any(&self.uris, certificate.uris)
            && any(&self.email_names, certificate.email_names)
            && names(&self.subjects, certificate.subject)
            && names(&self.issuers, certificate.issuer)
            && names(&self.serials, certificate.serial)
            && (self.sha256.is_empty() || names(&self.sha256, &hexadecimal(certificate.sha256)))
    }
}

/// Whether a name is wanted.
fn names(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
}

/// Whether one of the names is wanted.
fn any(wanted: &[String], found: &[String]) -> bool {
    wanted.is_empty() || found.iter().any(|name| wanted.contains(name))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

#[cfg(test)]
mod tests;
