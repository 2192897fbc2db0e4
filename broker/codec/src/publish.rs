//! PUBLISH: the packet that carries an Application Message (section 3.3).
//!
//! Decoding borrows everything; encoding takes ready pieces. Topic aliases are resolved by
//! `session`.

use crate::properties::{PropertyWalk, encode_list};
use crate::property::{NOT_ALLOWED, Property, SUBSCRIPTION_IDENTIFIER};
use crate::reader::Reader;
use crate::{
    Error, ErrorKind, PacketId, PacketType, ProtocolVersion, QoS, UserProperties, topic_name, utf8,
    variable_byte_integer,
};

/// A decoded PUBLISH. Everything borrows from the read buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish<'a> {
    /// DUP flag.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name; valid, without wildcards; empty only when `topic_alias` is set.
    pub topic: &'a str,
    /// Present exactly when QoS > 0.
    pub packet_id: Option<PacketId>,
    /// Payload Format Indicator: `Some(true)` = UTF-8.
    pub payload_format_indicator: Option<bool>,
    /// Message Expiry Interval in seconds.
    pub message_expiry_interval: Option<u32>,
    /// Topic Alias; never 0.
    pub topic_alias: Option<u16>,
    /// Response Topic; valid, without wildcards.
    pub response_topic: Option<&'a str>,
    /// Correlation Data.
    pub correlation_data: Option<&'a [u8]>,
    /// Content Type.
    pub content_type: Option<&'a str>,
    /// Subscription Identifiers: only from server to client.
    pub subscription_identifiers: Vec<u32>,
    /// User Properties, in order.
    pub user_properties: UserProperties<'a>,
    /// The Application Message.
    pub payload: &'a [u8],
}

/// Decodes what follows the fixed header of a PUBLISH.
#[inline]
pub(crate) fn decode<'a>(
    flags: u8,
    body: &'a [u8],
    version: ProtocolVersion,
) -> Result<Publish<'a>, Error> {
    let qos = QoS::from_value((flags >> 1) & 0b11).ok_or(QOS_3)?;
    let dup = flags & 0b1000 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(DUP_QOS_0);
    }
    let mut reader = Reader::new(body);
    let topic = topic_name::decode(reader.binary()?)?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce | QoS::ExactlyOnce => Some(reader.packet_id()?),
    };
    let mut publish =
        Publish { dup, qos, retain: flags & 1 != 0, packet_id, ..Publish::new(topic, &[]) };
    if version == ProtocolVersion::V5 {
        let section = reader.property_section()?;
        if !section.is_empty() {
            publish.decode_properties(section)?;
        }
    }
    if topic.is_empty() && publish.topic_alias.is_none() {
        return Err(no_topic(version));
    }
    publish.payload = reader.rest();
    Ok(publish)
}

impl<'a> Publish<'a> {
    /// A QoS 0 message without properties.
    #[inline]
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            payload_format_indicator: None,
            message_expiry_interval: None,
            topic_alias: None,
            response_topic: None,
            correlation_data: None,
            content_type: None,
            subscription_identifiers: Vec::new(),
            user_properties: UserProperties::default(),
            payload,
        }
    }

    fn decode_properties(&mut self, section: &'a [u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            match property {
                Property::PayloadFormatIndicator(value) => {
                    self.payload_format_indicator = Some(value);
                }
                Property::MessageExpiryInterval(value) => {
                    self.message_expiry_interval = Some(value)
                }
                Property::TopicAlias(0) => return Err(TOPIC_ALIAS_ZERO),
                Property::TopicAlias(value) => self.topic_alias = Some(value),
                Property::ResponseTopic(value) => self.response_topic = Some(value),
                Property::CorrelationData(value) => self.correlation_data = Some(value),
                Property::ContentType(value) => self.content_type = Some(value),
                Property::SubscriptionIdentifier(value) => {
                    self.subscription_identifiers.push(value);
                    walk.allow_subscription_identifier_again();
                }
                Property::User(..) => self.user_properties.count += 1,
                _ => return Err(NOT_ALLOWED),
            }
        }
        self.user_properties.section = section;
        Ok(())
    }

    /// Appends, in MQTT 5.0 encoding, the properties that a server must pass on unaltered
    /// (payload format, response topic, correlation data, content type, user properties):
    /// what [`PublishHead::forwarded`] takes. Appends nothing when there are none.
    pub fn encode_forwarded(&self, out: &mut Vec<u8>) {
        let list = [
            self.payload_format_indicator.map(Property::PayloadFormatIndicator),
            self.response_topic.map(Property::ResponseTopic),
            self.correlation_data.map(Property::CorrelationData),
            self.content_type.map(Property::ContentType),
        ];
        encode_list(&list, out);
        for (name, value) in self.user_properties.iter() {
            Property::User(name, value).encode(out);
        }
    }

    /// The parsed form of a message kept in encoded pieces (inverse of [`Self::encode_forwarded`]);
    /// `None` when `forwarded` is not such an encoding.
    pub fn from_parts(topic: &'a str, forwarded: &'a [u8], payload: &'a [u8]) -> Option<Self> {
        let mut publish = Self::new(topic, payload);
        publish.decode_properties(forwarded).ok()?;
        let only_forwarded = publish.message_expiry_interval.is_none()
            && publish.topic_alias.is_none()
            && publish.subscription_identifiers.is_empty();
        only_forwarded.then_some(publish)
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut forwarded = Vec::new();
        if version == ProtocolVersion::V5 {
            self.encode_forwarded(&mut forwarded);
        }
        let head = PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic,
            packet_id: self.packet_id,
            topic_alias: self.topic_alias,
            message_expiry_interval: self.message_expiry_interval,
            subscription_identifiers: &self.subscription_identifiers,
            forwarded: &forwarded,
            payload: self.payload,
        };
        head.encode(version, out);
    }
}

/// What is written for a PUBLISH, already in pieces so that nothing is copied twice.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    /// DUP flag; ignored with QoS 0 [MQTT-3.3.1-2].
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name; may be empty when `topic_alias` is set (5.0 only).
    pub topic: &'a str,
    /// Must be present exactly when QoS > 0; ignored with QoS 0.
    pub packet_id: Option<PacketId>,
    /// Topic Alias (5.0 only).
    pub topic_alias: Option<u16>,
    /// Message Expiry Interval in seconds, what is left of it (5.0 only).
    pub message_expiry_interval: Option<u32>,
    /// Subscription Identifiers (5.0 only).
    pub subscription_identifiers: &'a [u32],
    /// Output of [`Publish::encode_forwarded`] (5.0 only).
    pub forwarded: &'a [u8],
    /// The Application Message.
    pub payload: &'a [u8],
}

impl PublishHead<'_> {
    /// Bytes of the packet, fixed header included: what [`Self::encode`] will append. Above
    /// [`crate::PACKET_BYTES_MAX`] there is no such packet and nothing is appended.
    #[inline]
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        let remaining = self.remaining(self.properties_len(version));
        1 + variable_byte_integer::len(remaining) + remaining
    }

    /// Appends the whole packet, payload included, to `out` (reserving once). Appends nothing when
    /// QoS > 0 and the Packet Identifier is missing, or when the packet is too long for the format.
    #[inline]
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let properties = self.properties_len(version);
        let remaining = self.remaining(properties);
        let packet_id = match (self.qos, self.packet_id) {
            (QoS::AtMostOnce, _) => None,
            (_, Some(packet_id)) => Some(packet_id),
            (_, None) => return,
        };
        if remaining > variable_byte_integer::MAX as usize {
            return;
        }
        out.reserve(1 + variable_byte_integer::len(remaining) + remaining);
        out.push(self.first_byte());
        variable_byte_integer::encode(remaining, out);
        let topic = utf8::fit(self.topic);
        // `fit` leaves at most 65,535 bytes.
        out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        out.extend_from_slice(topic.as_bytes());
        if let Some(packet_id) = packet_id {
            out.extend_from_slice(&packet_id.get().to_be_bytes());
        }
        if let Some(properties) = properties {
            variable_byte_integer::encode(properties, out);
            if properties > 0 {
                self.encode_properties(out);
            }
        }
        out.extend_from_slice(self.payload);
    }

    #[inline]
    fn first_byte(&self) -> u8 {
        let dup = self.dup && self.qos != QoS::AtMostOnce;
        ((PacketType::Publish as u8) << 4)
            | (u8::from(dup) << 3)
            | (self.qos.value() << 1)
            | u8::from(self.retain)
    }

    /// The Remaining Length.
    #[inline]
    fn remaining(&self, properties: Option<usize>) -> usize {
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let section = properties.map_or(0, |len| variable_byte_integer::len(len) + len);
        2 + utf8::fit(self.topic).len() + packet_id + section + self.payload.len()
    }

    /// The Property Length; `None` for 3.1.1, which has no properties.
    #[inline]
    fn properties_len(&self, version: ProtocolVersion) -> Option<usize> {
        if version == ProtocolVersion::V311 {
            return None;
        }
        let mut len = self.forwarded.len();
        if self.topic_alias.is_some() {
            len += 3;
        }
        if self.message_expiry_interval.is_some() {
            len += 5;
        }
        for &identifier in self.subscription_identifiers {
            len += 1 + variable_byte_integer::len(identifier as usize);
        }
        Some(len)
    }

    #[inline]
    fn encode_properties(&self, out: &mut Vec<u8>) {
        let list = [
            self.topic_alias.map(Property::TopicAlias),
            self.message_expiry_interval.map(Property::MessageExpiryInterval),
        ];
        encode_list(&list, out);
        for &identifier in self.subscription_identifiers {
            out.push(SUBSCRIPTION_IDENTIFIER);
            variable_byte_integer::encode(identifier as usize, out);
        }
        out.extend_from_slice(self.forwarded);
    }
}

#[cold]
fn no_topic(version: ProtocolVersion) -> Error {
    match version {
        ProtocolVersion::V311 => topic_name::EMPTY,
        ProtocolVersion::V5 => NO_TOPIC_NO_ALIAS,
    }
}

const QOS_3: Error = Error::malformed("PUBLISH has QoS 3, allowed are 0 to 2", "MQTT-3.3.1-4");
const DUP_QOS_0: Error = Error::protocol("PUBLISH has DUP set with QoS 0", "MQTT-3.3.1-2");
const NO_TOPIC_NO_ALIAS: Error =
    Error::protocol("PUBLISH has neither Topic Name nor Topic Alias", "section 3.3.2.1");
const TOPIC_ALIAS_ZERO: Error = Error {
    kind: ErrorKind::TopicAliasInvalid,
    what: "Topic Alias is 0, allowed are 1 to 65,535",
    statement: "MQTT-3.3.2-8",
};

#[cfg(test)]
mod tests;
