//! The answers: who may connect with which certificate, and with which rules. Runs in native tests as
//! it does in the broker: it asks the host nothing.

use portcullis_plugin::{
    Answer, Attribute, Connection, Grant, HoldsFor, Outcome, PeerCertificate, Rule, Subject,
    reason_code,
};

use crate::{
    field::Field,
    settings::{ClientId, Otherwise, Settings},
};

/// Judges clients by their certificates.
#[derive(Debug)]
pub(crate) struct Gate(Settings);

/// An outcome, and why it is a refusal: for the operator.
pub(crate) type Judged = (Outcome, Option<String>);

/// What there is in a certificate that counts.
#[derive(Debug)]
struct Read {
    principal: Option<String>,
    groups: Vec<String>,
    attributes: Vec<Attribute>,
    rules: Vec<Rule>,
}

/// Why a certificate does not count.
#[derive(Debug)]
enum Not {
    /// It is of another authority.
    Ours,
    /// It has what it must not have, or has not what it must; a sentence for the operator.
    Fit(String),
}

impl From<String> for Not {
    fn from(why: String) -> Self {
        Self::Fit(why)
    }
}

/// Longer than any name that people give.
const PRINCIPAL_BYTES_MAX: usize = 256;

impl Gate {
    pub(crate) const fn new(settings: Settings) -> Self {
        Self(settings)
    }

    /// Says who may pass.
    pub(crate) fn judge(&self, connection: &Connection) -> Judged {
        let Some(certificate) = certificate_of(connection) else {
            return otherwise(self.0.no_certificate, "there is no client certificate");
        };
        match self.accept(certificate, &connection.client_id) {
            Ok(grant) => (grant.into(), None),
            Err(Not::Ours) => otherwise(self.0.other_issuer, "its issuer is none of `issuers`"),
            Err(Not::Fit(why)) => refuse(why),
        }
    }

    fn accept(&self, certificate: &PeerCertificate, client_id: &str) -> Result<Grant, Not> {
        let Read { principal, groups, attributes, .. } = self.read(certificate)?;
        self.check_client_id(certificate, principal.as_deref(), client_id)?;
        // The connection ends with the certificate, also where the listener would not see to that.
        let end = Some(certificate.not_after_unix).filter(|end| *end > 0);
        Ok(Grant { principal, groups, attributes, expires_at_unix: end, ..Grant::default() })
    }

    fn check_client_id(
        &self,
        certificate: &PeerCertificate,
        principal: Option<&str>,
        client_id: &str,
    ) -> Result<(), Not> {
        let is_it = match &self.0.client_id {
            None => true,
            Some(ClientId::Principal) => principal == Some(client_id),
            Some(ClientId::Field(field)) => {
                field.values(certificate)?.iter().any(|value| value == client_id)
            }
        };
        match is_it {
            true => Ok(()),
            false => {
                Err(Not::Fit("the client identifier is another than the certificate's".into()))
            }
        }
    }

    /// Says what a client may do.
    pub(crate) fn permissions(&self, subject: &Subject) -> Answer {
        if self.0.permissions.is_empty() {
            return Answer::Next;
        }
        let Some(certificate) = &subject.certificate else { return Answer::Next };
        // Whoever else it is to others has a certificate beside, which is no word on what it may do.
        match self.read(certificate) {
            Ok(read) if read.principal.as_ref().is_none_or(|it| *it == subject.principal) => {
                match read.rules.is_empty() {
                    true => Answer::Next,
                    false => Answer::rules_for(HoldsFor::Client, read.rules),
                }
            }
            _ => Answer::Next,
        }
    }

    fn read(&self, certificate: &PeerCertificate) -> Result<Read, Not> {
        let settings = &self.0;
        let is_issuer = |issuer: &String| Field::WholeIssuer.is(&certificate.issuer, issuer);
        if !settings.issuers.is_empty() && !settings.issuers.iter().any(is_issuer) {
            return Err(Not::Ours);
        }
        let mut groups = Vec::new();
        for field in &settings.groups {
            groups.extend(field.values(certificate)?);
        }
        groups.sort_unstable();
        groups.dedup();
        let mut attributes = Vec::new();
        for (name, field) in &settings.attributes {
            let values = field.values(certificate)?.into_iter();
            attributes.extend(values.map(|value| Attribute::new(name.as_str(), value)));
        }
        let principal = settings.principal.as_ref();
        let principal = principal.map(|field| self.principal(field, certificate)).transpose()?;
        Ok(Read { principal, groups, attributes, rules: self.rules(certificate)? })
    }

    /// The one value that counts. Of two, none: which one it is would be a guess.
    fn principal(&self, field: &Field, certificate: &PeerCertificate) -> Result<String, String> {
        let values = field.values(certificate)?;
        let cut = |value: &String| {
            let value = value.strip_prefix(self.0.prefix.as_str())?;
            value.strip_suffix(self.0.suffix.as_str()).map(str::to_owned)
        };
        let mut values = values.iter().filter_map(cut);
        let principal = match (values.next(), values.next()) {
            (Some(principal), None) => principal,
            (None, _) => return Err("the certificate has no such name as `principal` says".into()),
            (Some(_), Some(_)) => {
                return Err("the certificate has more than one name for `principal`".into());
            }
        };
        if principal.is_empty() || principal.len() > PRINCIPAL_BYTES_MAX {
            return Err(format!("the principal has 0 or over {PRINCIPAL_BYTES_MAX} bytes"));
        }
        // Rules with ${username} make topic filters of it.
        if principal.contains(['+', '#', '/', '*']) {
            return Err("the principal has one of + # / *".to_owned());
        }
        if principal.trim() != principal {
            return Err("the principal has white space around it".to_owned());
        }
        Ok(principal)
    }

    /// In the order of the configuration.
    fn rules(&self, certificate: &PeerCertificate) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        'permissions: for permission in &self.0.permissions {
            for (field, expected) in &permission.conditions {
                let values = field.values(certificate)?;
                let is_one = |value: &String| expected.iter().any(|it| field.is(value, it));
                if !values.iter().any(is_one) {
                    continue 'permissions;
                }
            }
            rules.extend(permission.rules.iter().cloned());
        }
        Ok(rules)
    }
}

fn certificate_of(connection: &Connection) -> Option<&PeerCertificate> {
    connection.tls.as_ref()?.certificate.as_ref()
}

fn otherwise(word: Otherwise, why: &str) -> Judged {
    match word {
        Otherwise::Next => (Outcome::Next, None),
        Otherwise::Deny => refuse(why.to_owned()),
    }
}

fn refuse(why: String) -> Judged {
    let told = "the client certificate is not accepted";
    (Outcome::deny(reason_code::NOT_AUTHORIZED, told), Some(why))
}

#[cfg(test)]
pub(crate) mod tests;
