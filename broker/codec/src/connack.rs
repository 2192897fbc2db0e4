//! CONNACK: the server's answer to CONNECT (section 3.2).

use crate::properties::{PropertyWalk, encode_section, push_user_property};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::{
    Error, PacketType, ProtocolVersion, QoS, ReasonCode, UserPropertiesBuf, fixed_header,
    reason_code, writer,
};

/// CONNACK. For 3.1.1 the reason code is translated to a return code (0x86 -> 4, 0x87 and
/// 0x8A -> 5, 0x84 -> 1, 0x85 -> 2, every other failure -> 3) and the properties are dropped.
/// `Default` is success with no property.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnAck {
    /// Session Present; false with any failure [MQTT-3.2.2-6].
    pub session_present: bool,
    /// Connect Reason Code.
    pub reason_code: ReasonCode,
    /// Session Expiry Interval in seconds, when the server changed it.
    pub session_expiry_interval: Option<u32>,
    /// Receive Maximum of the server.
    pub receive_maximum: Option<u16>,
    /// Maximum QoS, when less than 2.
    pub maximum_qos: Option<QoS>,
    /// Retain Available.
    pub retain_available: Option<bool>,
    /// Maximum Packet Size that the server accepts, bytes.
    pub maximum_packet_size: Option<u32>,
    /// Assigned Client Identifier.
    pub assigned_client_identifier: Option<String>,
    /// Topic Alias Maximum of the server.
    pub topic_alias_maximum: Option<u16>,
    /// Reason String.
    pub reason_string: Option<String>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
    /// Wildcard Subscription Available.
    pub wildcard_subscription_available: Option<bool>,
    /// Subscription Identifiers Available.
    pub subscription_identifiers_available: Option<bool>,
    /// Shared Subscription Available.
    pub shared_subscription_available: Option<bool>,
    /// Server Keep Alive, seconds.
    pub server_keep_alive: Option<u16>,
    /// Response Information.
    pub response_information: Option<String>,
    /// Server Reference.
    pub server_reference: Option<String>,
    /// Authentication Method.
    pub authentication_method: Option<String>,
    /// Authentication Data.
    pub authentication_data: Option<Vec<u8>>,
}

impl Default for ConnAck {
    fn default() -> Self {
        Self::new(ReasonCode::Success)
    }
}

impl ConnAck {
    /// A CONNACK without properties and without a session.
    pub fn new(reason_code: ReasonCode) -> Self {
        Self {
            session_present: false,
            reason_code,
            session_expiry_interval: None,
            receive_maximum: None,
            maximum_qos: None,
            retain_available: None,
            maximum_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_maximum: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        if flags > 1 {
            return Err(RESERVED_FLAGS);
        }
        let code = reader.u8()?;
        let reason_code = match version {
            ProtocolVersion::V311 => from_return_code(code).ok_or(RETURN_CODE)?,
            ProtocolVersion::V5 => reason_code::decode(code, PacketType::ConnAck)?,
        };
        let mut connack = Self { session_present: flags == 1, ..Self::new(reason_code) };
        if connack.session_present && reason_code != ReasonCode::Success {
            return Err(SESSION_PRESENT);
        }
        if version == ProtocolVersion::V5 {
            connack.decode_properties(reader.property_section()?)?;
        }
        reader.finish()?;
        Ok(connack)
    }

    fn decode_properties(&mut self, section: &[u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            use Property as P;
            match property {
                P::SessionExpiryInterval(value) => self.session_expiry_interval = Some(value),
                P::ReceiveMaximum(value) => self.receive_maximum = Some(value),
                P::MaximumQoS(value) => self.maximum_qos = Some(value),
                P::RetainAvailable(value) => self.retain_available = Some(value),
                P::MaximumPacketSize(value) => self.maximum_packet_size = Some(value),
                P::AssignedClientIdentifier(text) => {
                    self.assigned_client_identifier = Some(text.to_owned());
                }
                P::TopicAliasMaximum(value) => self.topic_alias_maximum = Some(value),
                P::ReasonString(text) => self.reason_string = Some(text.to_owned()),
                P::User(name, value) => {
                    push_user_property(&mut self.user_properties, name, value);
                }
                P::WildcardSubscriptionAvailable(value) => {
                    self.wildcard_subscription_available = Some(value);
                }
                P::SubscriptionIdentifiersAvailable(value) => {
                    self.subscription_identifiers_available = Some(value);
                }
                P::SharedSubscriptionAvailable(value) => {
                    self.shared_subscription_available = Some(value);
                }
                P::ServerKeepAlive(value) => self.server_keep_alive = Some(value),
                P::ResponseInformation(text) => self.response_information = Some(text.to_owned()),
                P::ServerReference(text) => self.server_reference = Some(text.to_owned()),
                P::AuthenticationMethod(text) => self.authentication_method = Some(text.to_owned()),
                P::AuthenticationData(data) => self.authentication_data = Some(data.to_owned()),
                _ => return Err(NOT_ALLOWED),
            }
        }
        Ok(())
    }

    /// Sets Session Present in an encoded CONNACK with Reason Code 0x00: it is known last, when the
    /// rest is written already.
    pub fn mark_session_present(encoded: &mut [u8]) {
        let length_end = encoded.iter().skip(1).position(|byte| byte & 0x80 == 0);
        if let Some(flags) = length_end.and_then(|end| encoded.get_mut(end + 2)) {
            *flags |= 1;
        }
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let session_present = self.session_present && self.reason_code == ReasonCode::Success;
        let (flags, first_byte) =
            (u8::from(session_present), fixed_header::first_byte(PacketType::ConnAck));
        match version {
            ProtocolVersion::V311 => {
                writer::packet(first_byte, &[flags, return_code(self.reason_code)], out);
            }
            ProtocolVersion::V5 => {
                let mut body = vec![flags, self.reason_code.value()];
                self.encode_properties(&mut body);
                writer::packet(first_byte, &body, out);
            }
        }
    }

    fn encode_properties(&self, body: &mut Vec<u8>) {
        use Property as P;
        // The property can only say 0 or 1; absence says 2.
        let maximum_qos = self.maximum_qos.filter(|&qos| qos != QoS::ExactlyOnce);
        let client_id = self.assigned_client_identifier.as_deref();
        let list = [
            self.session_expiry_interval.map(P::SessionExpiryInterval),
            self.receive_maximum.map(P::ReceiveMaximum),
            maximum_qos.map(P::MaximumQoS),
            self.retain_available.map(P::RetainAvailable),
            self.maximum_packet_size.map(P::MaximumPacketSize),
            client_id.map(P::AssignedClientIdentifier),
            self.topic_alias_maximum.map(P::TopicAliasMaximum),
            self.reason_string.as_deref().map(P::ReasonString),
            self.wildcard_subscription_available.map(P::WildcardSubscriptionAvailable),
            self.subscription_identifiers_available.map(P::SubscriptionIdentifiersAvailable),
            self.shared_subscription_available.map(P::SharedSubscriptionAvailable),
            self.server_keep_alive.map(P::ServerKeepAlive),
            self.response_information.as_deref().map(P::ResponseInformation),
            self.server_reference.as_deref().map(P::ServerReference),
            self.authentication_method.as_deref().map(P::AuthenticationMethod),
            self.authentication_data.as_deref().map(P::AuthenticationData),
        ];
        encode_section(&list, &self.user_properties, body);
    }
}

/// The 3.1.1 return code for a Reason Code.
fn return_code(reason_code: ReasonCode) -> u8 {
    match reason_code {
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized | ReasonCode::Banned => 5,
        code if code.is_failure() => 3,
        _ => 0,
    }
}

fn from_return_code(value: u8) -> Option<ReasonCode> {
    Some(match value {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => return None,
    })
}

const RESERVED_FLAGS: Error =
    Error::malformed("reserved Connect Acknowledge Flags are set", "MQTT-3.2.2-1");
const SESSION_PRESENT: Error =
    Error::protocol("Session Present is set with a failure", "MQTT-3.2.2-6");
const RETURN_CODE: Error =
    Error::malformed("CONNACK return code is above 5, which 3.1.1 reserves", "section 3.2.2.3");

#[cfg(test)]
mod tests;
