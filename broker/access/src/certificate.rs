//! The client certificate as decisions see it. Knows nothing of how it was verified.

/// A verified client certificate. Field by field the WIT record `peer-certificate`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerCertificate {
    /// SHA-256 of the DER encoding.
    pub sha256: [u8; 32],
    /// Subject distinguished name (RFC 4514).
    pub subject: String,
    /// Issuer distinguished name (RFC 4514).
    pub issuer: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// Common Name of the subject.
    pub common_name: Option<String>,
    /// Subject alternative names: dNSName.
    pub dns_names: Vec<String>,
    /// Subject alternative names: uniformResourceIdentifier.
    pub uris: Vec<String>,
    /// Subject alternative names: rfc822Name.
    pub email_names: Vec<String>,
    /// End of validity, seconds since 1970.
    pub not_after_unix: u64,
    /// The chain as presented, leaf first, each in DER.
    pub der_chain: Vec<Vec<u8>>,
}
