//! Why bytes were refused, by blame, each with its place and its Reason Code.

use crate::ReasonCode;

/// A packet that cannot be accepted. `Display` says what, where and the specification's statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({statement})")]
pub struct Error {
    /// Malformed, protocol error, too large, ...
    pub kind: ErrorKind,
    /// A sentence: packet, field, value, allowed range.
    pub what: &'static str,
    /// The statement of 5.0 that was broken, e.g. `MQTT-2.2.1-2`, one of 3.1.1 with its version in
    /// front, or a section number.
    pub statement: &'static str,
}

/// Who broke which kind of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes do not follow the format: 0x81.
    Malformed,
    /// Well-formed but forbidden: 0x82.
    ProtocolError,
    /// Longer than allowed: 0x95.
    PacketTooLarge,
    /// CONNECT with a protocol name or level we do not speak: 0x84.
    UnsupportedProtocolVersion,
    /// CONNECT with a client identifier that is not allowed: 0x85.
    ClientIdentifierNotValid,
    /// Topic Name with wildcards and the like: 0x90.
    TopicNameInvalid,
    /// Topic Alias 0: 0x94.
    TopicAliasInvalid,
    /// QoS above what is supported: 0x9B.
    QoSNotSupported,
}

impl Error {
    pub(crate) const fn malformed(what: &'static str, statement: &'static str) -> Self {
        Self { kind: ErrorKind::Malformed, what, statement }
    }

    pub(crate) const fn protocol(what: &'static str, statement: &'static str) -> Self {
        Self { kind: ErrorKind::ProtocolError, what, statement }
    }

    /// The Reason Code for CONNACK or DISCONNECT.
    pub fn reason_code(&self) -> ReasonCode {
        match self.kind {
            ErrorKind::Malformed => ReasonCode::MalformedPacket,
            ErrorKind::ProtocolError => ReasonCode::ProtocolError,
            ErrorKind::PacketTooLarge => ReasonCode::PacketTooLarge,
            ErrorKind::UnsupportedProtocolVersion => ReasonCode::UnsupportedProtocolVersion,
            ErrorKind::ClientIdentifierNotValid => ReasonCode::ClientIdentifierNotValid,
            ErrorKind::TopicNameInvalid => ReasonCode::TopicNameInvalid,
            ErrorKind::TopicAliasInvalid => ReasonCode::TopicAliasInvalid,
            ErrorKind::QoSNotSupported => ReasonCode::QoSNotSupported,
        }
    }
}
