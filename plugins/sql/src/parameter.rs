//! What a `?` in a statement stands for: something that is known of the client.

use portcullis_plugin::{Connection, HoldsFor, PeerCertificate, Subject, host::sql::Value};
use serde::Deserialize;

/// A name under `parameters`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// The User Name of CONNECT; after the login the same as `Principal`.
    #[serde(rename = "username")]
    Username,
    /// Who the client proved to be.
    #[serde(rename = "principal")]
    Principal,
    #[serde(rename = "client_id")]
    ClientId,
    #[serde(rename = "listener")]
    Listener,
    /// IP address of the client.
    #[serde(rename = "remote_address")]
    RemoteAddress,
    #[serde(rename = "certificate.common_name")]
    CommonName,
    #[serde(rename = "certificate.subject")]
    CertificateSubject,
    #[serde(rename = "certificate.issuer")]
    Issuer,
    #[serde(rename = "certificate.serial")]
    Serial,
    /// SHA-256 of the certificate, in hexadecimal.
    #[serde(rename = "certificate.sha256")]
    Fingerprint,
}

/// What is known of a client.
pub(crate) struct Known<'a> {
    pub(crate) username: Option<&'a str>,
    pub(crate) principal: Option<&'a str>,
    client_id: &'a str,
    listener: &'a str,
    remote_address: &'a str,
    certificate: Option<&'a PeerCertificate>,
}

impl<'a> Known<'a> {
    pub(crate) fn of_connection(connection: &'a Connection) -> Self {
        Self {
            username: connection.username.as_deref(),
            principal: None,
            client_id: &connection.client_id,
            listener: &connection.listener,
            remote_address: &connection.remote_address,
            certificate: connection.tls.as_ref().and_then(|tls| tls.certificate.as_ref()),
        }
    }

    /// The User Name is a claim, and no business of permissions.
    pub(crate) fn of_subject(subject: &'a Subject) -> Self {
        Self {
            username: Some(&subject.principal),
            principal: Some(&subject.principal),
            client_id: &subject.client_id,
            listener: &subject.listener,
            remote_address: &subject.remote_address,
            certificate: subject.certificate.as_ref(),
        }
    }

    /// The value of each; none if one of them is not known, or empty: NULL and an empty name would
    /// find what nobody meant.
    pub(crate) fn values(&self, parameters: &[Parameter]) -> Option<Vec<String>> {
        let values = parameters.iter().map(|parameter| self.value(*parameter));
        values.map(|value| value.filter(|value| !value.is_empty())).collect()
    }

    fn value(&self, parameter: Parameter) -> Option<String> {
        let value = match parameter {
            Parameter::Username => self.username,
            Parameter::Principal => self.principal,
            Parameter::ClientId => Some(self.client_id),
            Parameter::Listener => Some(self.listener),
            Parameter::RemoteAddress => Some(self.remote_address),
            Parameter::CommonName => self.certificate?.common_name.as_deref(),
            Parameter::CertificateSubject => Some(&*self.certificate?.subject),
            Parameter::Issuer => Some(&*self.certificate?.issuer),
            Parameter::Serial => Some(&*self.certificate?.serial),
            Parameter::Fingerprint => return Some(hex(&self.certificate?.sha256)),
        };
        value.map(str::to_owned)
    }
}

/// As parameters of a statement.
pub(crate) fn bound(values: &[String]) -> Vec<Value> {
    values.iter().map(|value| Value::Text(value.clone())).collect()
}

/// For whom an answer that depends on these is good as well.
pub(crate) fn holds_for(parameters: &[Parameter]) -> HoldsFor {
    let of_principal = [Parameter::Username, Parameter::Principal];
    match parameters.iter().all(|parameter| of_principal.contains(parameter)) {
        true => HoldsFor::Principal,
        false => HoldsFor::Client,
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_plugin::TlsSession;

    use super::*;

    fn certificate() -> PeerCertificate {
        PeerCertificate {
            sha256: vec![0, 0xab],
            subject: "CN=press-1".to_owned(),
            issuer: "CN=plant".to_owned(),
            serial: "0c".to_owned(),
            common_name: None,
            dns_names: Vec::new(),
            uris: Vec::new(),
            email_names: Vec::new(),
            not_after_unix: 0,
            der_chain: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_known_is_not_asked_for() {
        let plain = Connection { username: Some(String::new()), ..Connection::default() };
        let known = Known::of_connection(&plain);
        let one = |parameter| known.values(&[parameter]);
        assert_eq!(one(Parameter::ClientId), Some(vec!["client".to_owned()]));
        for unknown in [
            Parameter::Username,
            Parameter::Principal,
            Parameter::Serial,
            Parameter::CommonName,
            Parameter::Fingerprint,
        ] {
            assert_eq!(one(unknown), None, "{unknown:?}");
            assert_eq!(known.values(&[Parameter::ClientId, unknown]), None);
        }
        let tls = TlsSession {
            version: "1.3".to_owned(),
            server_name: None,
            certificate: Some(certificate()),
        };
        let with = Connection { tls: Some(tls), ..plain };
        let known = Known::of_connection(&with);
        let asked = [Parameter::Fingerprint, Parameter::Serial, Parameter::CertificateSubject];
        let values = known.values(&asked).unwrap();
        assert_eq!(values, ["00ab", "0c", "CN=press-1"]);
        assert_eq!(known.values(&[Parameter::CommonName]), None);
    }

    #[test]
    fn an_answer_holds_for_no_more_than_was_looked_at() {
        assert_eq!(holds_for(&[Parameter::Principal, Parameter::Username]), HoldsFor::Principal);
        assert_eq!(holds_for(&[]), HoldsFor::Principal);
        assert_eq!(holds_for(&[Parameter::Principal, Parameter::ClientId]), HoldsFor::Client);
    }
}
