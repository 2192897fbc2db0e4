//! Which name in a client's certificate is its identity, and which names are none.
//!
//! Knows nothing of how the certificate was verified, nor of what the chain makes of the name.

use std::fmt;

use access::PeerCertificate;

/// Where the identity of a client is in its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityFrom {
    /// Nowhere: clients are whoever they say in CONNECT and can prove to the chain.
    Off,
    /// Common Name of the subject.
    CommonName,
    /// The whole subject (RFC 4514).
    Subject,
    /// The one alternative name of kind dNSName.
    SanDns,
    /// The one alternative name of kind uniformResourceIdentifier.
    SanUri,
    /// The one alternative name of kind rfc822Name.
    SanEmail,
    /// The serial number, lower-case hexadecimal.
    Serial,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    Fingerprint,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoIdentity {
    /// It has no such name.
    #[error("the certificate has no {0}")]
    Missing(IdentityFrom),
    /// It has several, and which one counts would be a guess.
    #[error("the certificate has more than one {0}")]
    Several(IdentityFrom),
    /// It could stand for more than itself in a topic filter, or is cut short by what reads it.
    #[error("the {0} of the certificate is empty or has one of + # / * or a control character")]
    Unfit(IdentityFrom),
}

impl IdentityFrom {
    /// As the configuration calls it.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("off", Self::Off),
        ("cn", Self::CommonName),
        ("dn", Self::Subject),
        ("san-dns", Self::SanDns),
        ("san-uri", Self::SanUri),
        ("san-email", Self::SanEmail),
        ("serial", Self::Serial),
        ("fingerprint", Self::Fingerprint),
    ];

    /// The identity in a certificate; `None` = none is wanted.
    pub(super) fn of(self, certificate: &PeerCertificate) -> Result<Option<String>, NoIdentity> {
        let one = |names: &[String]| match names {
            [] => Err(NoIdentity::Missing(self)),
            [name] => Ok(name.clone()),
            _ => Err(NoIdentity::Several(self)),
        };
        let name = match self {
            Self::Off => return Ok(None),
            Self::CommonName => match &certificate.common_name {
                Some(name) => name.clone(),
                // Two are shown to nobody as one.
                None if certificate.subject.matches("CN=").count() > 1 => {
                    return Err(NoIdentity::Several(self));
                }
                None => return Err(NoIdentity::Missing(self)),
            },
            Self::Subject => certificate.subject.clone(),
            Self::SanDns => one(&certificate.dns_names)?,
            Self::SanUri => one(&certificate.uris)?,
            Self::SanEmail => one(&certificate.email_names)?,
            Self::Serial => certificate.serial.clone(),
            Self::Fingerprint => hex(&certificate.sha256),
        };
        let unfit = |c: char| c.is_control() || "+#/*".contains(c);
        if name.is_empty() || name.contains(unfit) {
            return Err(NoIdentity::Unfit(self));
        }
        Ok(Some(name))
    }
}

impl fmt::Display for IdentityFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "name",
            Self::CommonName => "Common Name",
            Self::Subject => "subject",
            Self::SanDns => "alternative name of kind dNSName",
            Self::SanUri => "alternative name of kind uniformResourceIdentifier",
            Self::SanEmail => "alternative name of kind rfc822Name",
            Self::Serial => "serial number",
            Self::Fingerprint => "fingerprint",
        })
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(common_name: Option<&str>, subject: &str, dns: &[&str]) -> PeerCertificate {
        PeerCertificate {
            sha256: [0xAB; 32],
            subject: subject.to_owned(),
            issuer: "CN=ca".to_owned(),
            serial: "0a".to_owned(),
            common_name: common_name.map(str::to_owned),
            dns_names: dns.iter().map(|name| (*name).to_owned()).collect(),
            uris: Vec::new(),
            email_names: Vec::new(),
            not_after_unix: 0,
            der_chain: Vec::new(),
        }
    }

    #[test]
    fn each_kind_of_name() {
        let certificate = certificate(Some("alice"), "CN=alice,O=acme", &["a.example"]);
        for (from, expect) in [
            (IdentityFrom::CommonName, "alice"),
            (IdentityFrom::Subject, "CN=alice,O=acme"),
            (IdentityFrom::SanDns, "a.example"),
            (IdentityFrom::Serial, "0a"),
            (IdentityFrom::Fingerprint, &"ab".repeat(32)),
        ] {
            assert_eq!(from.of(&certificate), Ok(Some(expect.to_owned())));
        }
        assert_eq!(IdentityFrom::Off.of(&certificate), Ok(None));
        let missing = IdentityFrom::SanUri.of(&certificate);
        assert_eq!(missing, Err(NoIdentity::Missing(IdentityFrom::SanUri)));
    }

    #[test]
    fn names_that_are_no_identity() {
        let from = IdentityFrom::CommonName;
        for name in ["", "a/b", "a+b", "#", "*.example", "a\0b", "a\u{7f}", "a\u{85}b"] {
            let unfit = from.of(&certificate(Some(name), "CN=x", &[]));
            assert_eq!(unfit, Err(NoIdentity::Unfit(from)), "{name:?}");
        }
        let two = certificate(None, "CN=a,CN=b", &["a", "b"]);
        assert_eq!(from.of(&two), Err(NoIdentity::Several(from)));
        let from = IdentityFrom::SanDns;
        assert_eq!(from.of(&two), Err(NoIdentity::Several(from)));
        let none = certificate(None, "O=acme", &[]);
        let from = IdentityFrom::CommonName;
        assert_eq!(from.of(&none), Err(NoIdentity::Missing(from)));
    }
}
