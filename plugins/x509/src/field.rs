//! Fields of a certificate, by the names that the configuration has for them. Knows nothing of what a
//! field is used for, nor of whether the certificate can be believed: the broker has verified it.

use portcullis_plugin::{DistinguishedName, PeerCertificate};

/// Where a name stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `cn`, or `subject.KIND`
    Subject(String),
    /// `dn`
    WholeSubject,
    /// `issuer.KIND`
    Issuer(String),
    /// `issuer`
    WholeIssuer,
    /// `san-dns`
    Dns,
    /// `san-uri`
    Uri,
    /// `san-email`
    Email,
    /// `serial`
    Serial,
    /// `fingerprint`
    Fingerprint,
}

/// For errors.
const NAMES: &str = "cn, dn, subject.KIND, issuer, issuer.KIND, san-dns, san-uri, san-email, \
                     serial, fingerprint, where KIND is ou, o, uid, serialnumber, an OID, ...";
/// Longer than any name that people give.
const VALUE_BYTES_MAX: usize = 1_024;

impl Field {
    /// Reads the name of a field.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn parse(key: &str, name: &str) -> Result<Self, String> {
        let kind = |text: &str| {
            let kind = DistinguishedName::kind(text);
            kind.map_err(|_| format!("{key}: {name:?} is no field; allowed: {NAMES}"))
        };
        Ok(match name {
            "cn" => Self::Subject("cn".to_owned()),
            "dn" => Self::WholeSubject,
            "issuer" => Self::WholeIssuer,
            "san-dns" => Self::Dns,
            "san-uri" => Self::Uri,
            "san-email" => Self::Email,
            "serial" => Self::Serial,
            "fingerprint" => Self::Fingerprint,
            other => match other.split_once('.') {
                Some(("subject", part)) => Self::Subject(kind(part)?),
                Some(("issuer", part)) => Self::Issuer(kind(part)?),
                _ => return Err(format!("{key}: {name:?} is no field; allowed: {NAMES}")),
            },
        })
    }

    /// Whether it is about the authority and the same for all of its clients.
    pub(crate) const fn is_of_issuer(&self) -> bool {
        matches!(self, Self::Issuer(_) | Self::WholeIssuer)
    }

    /// All values, in the order of the certificate.
    ///
    /// # Errors
    /// A sentence for the operator. A value that cannot be read is not passed over: it may be the one
    /// that a rule denies.
    pub(crate) fn values(&self, certificate: &PeerCertificate) -> Result<Vec<String>, String> {
        let values = match self {
            Self::Subject(kind) => parts(&certificate.subject, kind)?,
            Self::Issuer(kind) => parts(&certificate.issuer, kind)?,
            Self::WholeSubject => vec![certificate.subject.clone()],
            Self::WholeIssuer => vec![certificate.issuer.clone()],
            // Names of machines have no case.
            Self::Dns => certificate.dns_names.iter().map(|it| it.to_ascii_lowercase()).collect(),
            Self::Uri => certificate.uris.clone(),
            Self::Email => certificate.email_names.clone(),
            Self::Serial => vec![certificate.serial.clone()],
            Self::Fingerprint => vec![hex(&certificate.sha256)],
        };
        for value in &values {
            if value.is_empty() {
                return Err("a name in the certificate is empty".to_owned());
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(format!("a name in the certificate is over {VALUE_BYTES_MAX} bytes"));
            }
            if value.chars().any(char::is_control) {
                return Err("a name in the certificate has a control character".to_owned());
            }
        }
        Ok(values)
    }

    /// A value of the configuration, in the form that [`Self::values`] has.
    ///
    /// # Errors
    /// A sentence for the operator, behind the key.
    pub(crate) fn expected(&self, text: &str) -> Result<String, String> {
        match self {
            Self::Dns => Ok(text.to_ascii_lowercase()),
            Self::Serial | Self::Fingerprint => {
                let digits: String = text.chars().filter(|c| *c != ':').collect();
                if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
                    return Err(format!("{text:?} is no hexadecimal number"));
                }
                Ok(digits.to_ascii_lowercase())
            }
            Self::WholeSubject | Self::WholeIssuer => {
                let parsed = DistinguishedName::parse(text);
                parsed.map_err(|why| format!("{text:?} {why}")).map(|_| text.to_owned())
            }
            _ => Ok(text.to_owned()),
        }
    }

    /// Whether a value is the expected one. Whole names are the same whatever the spelling.
    pub(crate) fn is(&self, value: &str, expected: &str) -> bool {
        match self {
            Self::WholeSubject | Self::WholeIssuer => {
                let (value, expected) =
                    (DistinguishedName::parse(value), DistinguishedName::parse(expected));
                value.is_ok() && value == expected
            }
            _ => value == expected,
        }
    }
}

fn parts(name: &str, kind: &str) -> Result<Vec<String>, String> {
    let name = DistinguishedName::parse(name);
    let name = name.map_err(|why| format!("a name in the certificate {why}"))?;
    let text = |value: Option<&str>| {
        value.map(str::to_owned).ok_or_else(|| format!("{kind} in the certificate is no text"))
    };
    name.values(kind).map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
