//! Texts with variables, `${username}` and others. A value that is filled in is never looked at for
//! variables.

/// What may be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// `${username}`: User Name of CONNECT before, the authenticated identity after.
    Username,
    /// `${clientid}`.
    ClientId,
    /// `${password}`.
    Password,
    /// `${peerhost}`: address of the client.
    Peerhost,
    /// `${listener}`.
    Listener,
    /// `${proto_ver}`: 4 or 5.
    ProtocolVersion,
    /// `${cert_subject}`.
    CertificateSubject,
    /// `${cert_common_name}`.
    CertificateCommonName,
    /// `${action}`: publish or subscribe.
    Action,
    /// `${topic}`: Topic Name or Topic Filter.
    Topic,
    /// `${qos}`.
    Qos,
    /// `${retain}`: true or false.
    Retain,
    /// `${share_name}` of a shared subscription.
    ShareName,
}

impl Variable {
    /// Those of CONNECT.
    pub(crate) const OF_CONNECT: [Self; 8] = [
        Self::Username,
        Self::ClientId,
        Self::Password,
        Self::Peerhost,
        Self::Listener,
        Self::ProtocolVersion,
        Self::CertificateSubject,
        Self::CertificateCommonName,
    ];
    /// Those of a client that is in.
    pub(crate) const OF_CLIENT: [Self; 7] = [
        Self::Username,
        Self::ClientId,
        Self::Peerhost,
        Self::Listener,
        Self::ProtocolVersion,
        Self::CertificateSubject,
        Self::CertificateCommonName,
    ];
    /// Those of what it wants to do.
    pub(crate) const OF_OPERATION: [Self; 12] = [
        Self::Username,
        Self::ClientId,
        Self::Peerhost,
        Self::Listener,
        Self::ProtocolVersion,
        Self::CertificateSubject,
        Self::CertificateCommonName,
        Self::Action,
        Self::Topic,
        Self::Qos,
        Self::Retain,
        Self::ShareName,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::ClientId => "clientid",
            Self::Password => "password",
            Self::Peerhost => "peerhost",
            Self::Listener => "listener",
            Self::ProtocolVersion => "proto_ver",
            Self::CertificateSubject => "cert_subject",
            Self::CertificateCommonName => "cert_common_name",
            Self::Action => "action",
            Self::Topic => "topic",
            Self::Qos => "qos",
            Self::Retain => "retain",
            Self::ShareName => "share_name",
        }
    }
}

/// A text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Variable),
}

impl Template {
    /// # Errors
    /// A sentence about a variable that there is none of.
    pub(crate) fn parse(text: &str, known: &[Variable]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, behind) =
                behind.split_once('}').ok_or_else(|| "a variable is closed by `}`".to_owned())?;
            let found = known.iter().find(|variable| variable.name() == name);
            let Some(found) = found else {
                let names: Vec<_> = known.iter().map(|it| format!("${{{}}}", it.name())).collect();
                return Err(format!("there is no ${{{name}}} here, only {}", names.join(", ")));
            };
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(Part::Value(*found));
            rest = behind;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        Ok(Self(parts))
    }

    /// Whether a variable is in it.
    pub(crate) fn has(&self, variable: Variable) -> bool {
        self.0.contains(&Part::Value(variable))
    }

    /// With values filled in, each written as `write` writes it.
    pub(crate) fn fill<'a>(
        &self,
        value: impl Fn(Variable) -> &'a str,
        write: impl Fn(&mut String, &str),
    ) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value(variable) => write(&mut text, value(*variable)),
            }
        }
        text
    }
}

/// Writes a value as it is.
pub(crate) fn plain(text: &mut String, value: &str) {
    text.push_str(value);
}

/// Writes a value so that it is one part of a path, one value of a query or of a form.
pub(crate) fn escaped(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests;
