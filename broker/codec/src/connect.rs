//! CONNECT: the first packet of a connection (section 3.1).
//!
//! The only packet that says its own protocol version. Its Will is in `will`.

use crate::properties::{PropertyWalk, encode_section, push_user_property};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::{
    Error, ErrorKind, PacketType, ProtocolVersion, QoS, UserPropertiesBuf, Will, fixed_header,
    writer,
};

/// A decoded CONNECT. 3.1.1's *clean session* is translated: `clean_start` with a
/// `session_expiry_interval` of 0 when set, `u32::MAX` when not.
#[derive(Clone, PartialEq)]
pub struct Connect {
    /// Protocol level.
    pub version: ProtocolVersion,
    /// MQTT 3.1, the forerunner of 3.1.1: protocol name `MQIsdp`, level 3. Its `version` is 3.1.1, as
    /// its packets are; what else it says differently is for the server to know.
    pub mqtt_3_1: bool,
    /// Client Identifier; empty = the server assigns one.
    pub client_id: String,
    /// Clean Start.
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 = off.
    pub keep_alive: u16,
    /// User Name.
    pub username: Option<String>,
    /// Password: any bytes. Wiped by the owner after authentication.
    pub password: Option<Vec<u8>>,
    /// Will Message.
    pub will: Option<Box<Will>>,
    /// Session Expiry Interval in seconds; `u32::MAX` = never.
    pub session_expiry_interval: u32,
    /// Receive Maximum of the client, 1 to 65,535 (default 65,535).
    pub receive_maximum: u16,
    /// Maximum Packet Size that the client accepts, in bytes; never 0.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum of the client (default 0).
    pub topic_alias_maximum: u16,
    /// Request Response Information (default false).
    pub request_response_information: bool,
    /// Request Problem Information (default true).
    pub request_problem_information: bool,
    /// Authentication Method: present = enhanced authentication.
    pub authentication_method: Option<String>,
    /// Authentication Data.
    pub authentication_data: Option<Vec<u8>>,
    /// User Properties.
    pub user_properties: UserPropertiesBuf,
}

/// Password and authentication data never reach a log.
impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Connect {
    /// A 3.1.1 or 5.0 CONNECT with defaults: clean start, keep alive 60, no credentials.
    pub fn new(version: ProtocolVersion, client_id: &str) -> Self {
        Self {
            version,
            mqtt_3_1: false,
            client_id: client_id.to_owned(),
            clean_start: true,
            keep_alive: 60,
            username: None,
            password: None,
            will: None,
            session_expiry_interval: 0,
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user_properties: Vec::new(),
        }
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let (version, mqtt_3_1) = decode_version(&mut reader)?;
        let flags = Flags::decode(reader.u8()?, version)?;
        let mut connect = Self {
            mqtt_3_1,
            clean_start: flags.clean_start,
            keep_alive: reader.u16()?,
            ..Self::new(version, "")
        };
        match version {
            ProtocolVersion::V311 if !flags.clean_start => {
                connect.session_expiry_interval = u32::MAX;
            }
            ProtocolVersion::V311 => {}
            ProtocolVersion::V5 => connect.decode_properties(reader.property_section()?)?,
        }
        connect.client_id = reader.utf8()?.to_owned();
        if version == ProtocolVersion::V311 && connect.client_id.is_empty() && !flags.clean_start {
            return Err(NO_CLIENT_ID);
        }
        if mqtt_3_1 && !(1..=CLIENT_ID_3_1_MAX).contains(&connect.client_id.chars().count()) {
            return Err(CLIENT_ID_3_1);
        }
        if let Some((qos, retain)) = flags.will {
            connect.will = Some(Box::new(Will::decode(&mut reader, version, qos, retain)?));
        }
        if flags.username {
            connect.username = Some(reader.utf8()?.to_owned());
        }
        if flags.password {
            connect.password = Some(reader.binary()?.to_owned());
        }
        reader.finish()?;
        Ok(connect)
    }

    fn decode_properties(&mut self, section: &[u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            use Property as P;
            match property {
                P::SessionExpiryInterval(value) => self.session_expiry_interval = value,
                P::ReceiveMaximum(value) => self.receive_maximum = value,
                P::MaximumPacketSize(value) => self.maximum_packet_size = Some(value),
                P::TopicAliasMaximum(value) => self.topic_alias_maximum = value,
                P::RequestResponseInformation(value) => self.request_response_information = value,
                P::RequestProblemInformation(value) => self.request_problem_information = value,
                P::AuthenticationMethod(text) => self.authentication_method = Some(text.to_owned()),
                P::AuthenticationData(data) => self.authentication_data = Some(data.to_owned()),
                P::User(name, value) => {
                    push_user_property(&mut self.user_properties, name, value);
                }
                _ => return Err(NOT_ALLOWED),
            }
        }
        if self.authentication_data.is_some() && self.authentication_method.is_none() {
            return Err(DATA_WITHOUT_METHOD);
        }
        Ok(())
    }

    /// A password without a username is left out for 3.1.1, which cannot say that: 3.1.1
    /// [MQTT-3.1.2-22].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let v311 = self.version == ProtocolVersion::V311;
        let password = self.password.as_ref().filter(|_| !v311 || self.username.is_some());
        let flags = Flags {
            username: self.username.is_some(),
            password: password.is_some(),
            will: self.will.as_ref().map(|will| (will.qos, will.retain)),
            clean_start: self.clean_start,
        };
        let mut body = Vec::new();
        let (name, level) = match (self.version, self.mqtt_3_1) {
            (ProtocolVersion::V311, true) => (PROTOCOL_NAME_3_1, LEVEL_3_1),
            (ProtocolVersion::V311, false) => (PROTOCOL_NAME, LEVEL_3_1_1),
            (ProtocolVersion::V5, _) => (PROTOCOL_NAME, LEVEL_5_0),
        };
        writer::utf8(name, &mut body);
        body.push(level);
        body.push(flags.encode());
        writer::u16(self.keep_alive, &mut body);
        if !v311 {
            self.encode_properties(&mut body);
        }
        writer::utf8(&self.client_id, &mut body);
        if let Some(will) = &self.will {
            will.encode(self.version, &mut body);
        }
        if let Some(username) = &self.username {
            writer::utf8(username, &mut body);
        }
        if let Some(password) = password {
            writer::binary(password, &mut body);
        }
        writer::packet(fixed_header::first_byte(PacketType::Connect), &body, out);
    }

    /// Values that are the default of an absent property are left out.
    fn encode_properties(&self, body: &mut Vec<u8>) {
        use Property as P;
        let list = [
            Some(self.session_expiry_interval).filter(|&v| v != 0).map(P::SessionExpiryInterval),
            Some(self.receive_maximum).filter(|&v| v != u16::MAX).map(P::ReceiveMaximum),
            self.maximum_packet_size.map(P::MaximumPacketSize),
            Some(self.topic_alias_maximum).filter(|&v| v != 0).map(P::TopicAliasMaximum),
            self.request_response_information.then_some(P::RequestResponseInformation(true)),
            (!self.request_problem_information).then_some(P::RequestProblemInformation(false)),
            self.authentication_method.as_deref().map(P::AuthenticationMethod),
            self.authentication_data.as_deref().map(P::AuthenticationData),
        ];
        encode_section(&list, &self.user_properties, body);
    }
}

/// Protocol Name and Protocol Version (sections 3.1.2.1 and 3.1.2.2), and whether it is MQTT 3.1.
fn decode_version(reader: &mut Reader<'_>) -> Result<(ProtocolVersion, bool), Error> {
    let name = reader.binary()?;
    let is_3_1 = name == PROTOCOL_NAME_3_1.as_bytes();
    if !is_3_1 && name != PROTOCOL_NAME.as_bytes() {
        return Err(unsupported("protocol name is neither `MQTT` nor `MQIsdp`", "MQTT-3.1.2-1"));
    }
    match (is_3_1, reader.u8()?) {
        (true, LEVEL_3_1) => Ok((ProtocolVersion::V311, true)),
        (false, LEVEL_3_1_1) => Ok((ProtocolVersion::V311, false)),
        (false, LEVEL_5_0) => Ok((ProtocolVersion::V5, false)),
        (true, _) => Err(unsupported("protocol level of `MQIsdp` is not 3", "MQTT-3.1.2-2")),
        (false, _) => Err(unsupported("protocol level is neither 4 nor 5", "MQTT-3.1.2-2")),
    }
}

/// Connect Flags (section 3.1.2.3).
struct Flags {
    username: bool,
    password: bool,
    /// Will QoS and Will Retain.
    will: Option<(QoS, bool)>,
    clean_start: bool,
}

impl Flags {
    fn decode(value: u8, version: ProtocolVersion) -> Result<Self, Error> {
        if value & 1 != 0 {
            return Err(RESERVED_FLAG);
        }
        let username = value & 0x80 != 0;
        let password = value & 0x40 != 0;
        if password && !username && version == ProtocolVersion::V311 {
            return Err(PASSWORD_ALONE);
        }
        let qos = QoS::from_value((value >> 3) & 0b11).ok_or(WILL_QOS_3)?;
        let retain = value & 0x20 != 0;
        let will = match value & 0x04 != 0 {
            true => Some((qos, retain)),
            false if qos != QoS::AtMostOnce => return Err(WILL_QOS_WITHOUT_WILL),
            false if retain => return Err(WILL_RETAIN_WITHOUT_WILL),
            false => None,
        };
        Ok(Self { username, password, will, clean_start: value & 0x02 != 0 })
    }

    fn encode(&self) -> u8 {
        let will = self
            .will
            .map_or(0, |(qos, retain)| 0x04 | (qos.value() << 3) | (u8::from(retain) << 5));
        (u8::from(self.username) << 7)
            | (u8::from(self.password) << 6)
            | will
            | (u8::from(self.clean_start) << 1)
    }
}

const PROTOCOL_NAME: &str = "MQTT";
const PROTOCOL_NAME_3_1: &str = "MQIsdp";
const LEVEL_3_1: u8 = 3;
const LEVEL_3_1_1: u8 = 4;
const LEVEL_5_0: u8 = 5;

const fn unsupported(what: &'static str, statement: &'static str) -> Error {
    Error { kind: ErrorKind::UnsupportedProtocolVersion, what, statement }
}

const RESERVED_FLAG: Error =
    Error::malformed("the reserved bit of the Connect Flags is set", "MQTT-3.1.2-3");
const WILL_QOS_WITHOUT_WILL: Error =
    Error::malformed("Will QoS is not 0 without a Will", "MQTT-3.1.2-11");
const WILL_QOS_3: Error = Error::malformed("Will QoS is 3, allowed are 0 to 2", "MQTT-3.1.2-12");
const WILL_RETAIN_WITHOUT_WILL: Error =
    Error::malformed("Will Retain is set without a Will", "MQTT-3.1.2-13");
const PASSWORD_ALONE: Error =
    Error::protocol("Password without User Name in 3.1.1", "3.1.1 MQTT-3.1.2-22");
const DATA_WITHOUT_METHOD: Error =
    Error::protocol("Authentication Data without Authentication Method", "section 3.1.2.11.10");
const NO_CLIENT_ID: Error = Error {
    kind: ErrorKind::ClientIdentifierNotValid,
    what: "Client Identifier is empty without Clean Session in 3.1.1",
    statement: "3.1.1 MQTT-3.1.3-8",
};
/// Most characters that a Client Identifier has in MQTT 3.1.
const CLIENT_ID_3_1_MAX: usize = 23;
const CLIENT_ID_3_1: Error = Error {
    kind: ErrorKind::ClientIdentifierNotValid,
    what: "Client Identifier of MQTT 3.1 has not 1 to 23 characters",
    statement: "MQTT 3.1, section 3.1",
};

#[cfg(test)]
mod tests;
