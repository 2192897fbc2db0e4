//! SUBSCRIBE (section 3.8): which topics a client wants and how.

use topic::SubscriptionFilter;

use crate::properties::{PropertyWalk, encode_section, push_user_property};
use crate::property::{NOT_ALLOWED, Property};
use crate::reader::Reader;
use crate::{
    Error, PacketId, PacketType, ProtocolVersion, QoS, UserPropertiesBuf, fixed_header, writer,
};

/// SUBSCRIBE: one or more filters with their options.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Packet Identifier.
    pub packet_id: PacketId,
    /// Subscription Identifier, 1 to 268,435,455 (5.0).
    pub subscription_identifier: Option<u32>,
    /// User Properties (5.0).
    pub user_properties: UserPropertiesBuf,
    /// At least one.
    pub requests: Vec<SubscriptionRequest>,
}

impl Subscribe {
    /// A SUBSCRIBE without properties.
    pub fn new(packet_id: PacketId, requests: Vec<SubscriptionRequest>) -> Self {
        Self { packet_id, subscription_identifier: None, user_properties: Vec::new(), requests }
    }

    pub(crate) fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let mut subscribe = Self::new(reader.packet_id()?, Vec::new());
        if version == ProtocolVersion::V5 {
            subscribe.decode_properties(reader.property_section()?)?;
        }
        if reader.is_empty() {
            return Err(NO_FILTER);
        }
        while !reader.is_empty() {
            subscribe.requests.push(SubscriptionRequest::decode(&mut reader, version)?);
        }
        Ok(subscribe)
    }

    fn decode_properties(&mut self, section: &[u8]) -> Result<(), Error> {
        let mut walk = PropertyWalk::new(section);
        while let Some(property) = walk.next_property()? {
            match property {
                Property::SubscriptionIdentifier(value) => {
                    self.subscription_identifier = Some(value);
                }
                Property::User(name, value) => {
                    push_user_property(&mut self.user_properties, name, value);
                }
                _ => return Err(NOT_ALLOWED),
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        writer::u16(self.packet_id.get(), &mut body);
        if version == ProtocolVersion::V5 {
            let identifier = self.subscription_identifier.map(Property::SubscriptionIdentifier);
            encode_section(&[identifier], &self.user_properties, &mut body);
        }
        for request in &self.requests {
            encode_filter(&request.filter, &mut body);
            body.push(request.options.encode(version));
        }
        writer::packet(fixed_header::first_byte(PacketType::Subscribe), &body, out);
    }
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionRequest {
    /// Topic Filter with its share name. `Err` when it is well-formed UTF-8 but no valid filter, which
    /// ends the connection: the text as it came.
    pub filter: Result<SubscriptionFilter, String>,
    /// Its options.
    pub options: SubscriptionOptions,
}

impl SubscriptionRequest {
    fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, Error> {
        let filter = decode_filter(reader)?;
        let options = SubscriptionOptions::decode(reader.u8()?, version)?;
        let shared = filter.as_ref().is_ok_and(|filter| filter.share.is_some());
        if options.no_local && shared {
            return Err(NO_LOCAL_SHARED);
        }
        Ok(Self { filter, options })
    }
}

/// The next Topic Filter; only text that is no UTF-8 string refuses the whole packet.
pub(crate) fn decode_filter(
    reader: &mut Reader<'_>,
) -> Result<Result<SubscriptionFilter, String>, Error> {
    let text = reader.utf8()?;
    Ok(SubscriptionFilter::parse(text).map_err(|_| text.to_owned()))
}

pub(crate) fn encode_filter(filter: &Result<SubscriptionFilter, String>, out: &mut Vec<u8>) {
    match filter {
        Ok(filter) if filter.share.is_none() => writer::utf8(filter.filter.as_str(), out),
        Ok(filter) => writer::utf8(&filter.to_string(), out),
        Err(text) => writer::utf8(text, out),
    }
}

/// Subscription Options (section 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// Maximum QoS at which the server may send.
    pub maximum_qos: QoS,
    /// No Local. `true` with a share name is a Protocol Error [MQTT-3.8.3-4], raised by decode.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// What 3.1.1 can say: a QoS, everything else off, retained messages at each SUBSCRIBE.
    pub fn new(maximum_qos: QoS) -> Self {
        Self {
            maximum_qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAtSubscribe,
        }
    }

    /// From the options byte of SUBSCRIBE.
    ///
    /// # Errors
    /// Reserved bits are set or a field has a value that it cannot have.
    pub fn decode(value: u8, version: ProtocolVersion) -> Result<Self, Error> {
        let qos = QoS::from_value(value & 0b11);
        if version == ProtocolVersion::V311 {
            return if value > 2 { Err(REQUESTED_QOS) } else { qos.map(Self::new).ok_or(QOS_3) };
        }
        if value & 0b1100_0000 != 0 {
            return Err(RESERVED_BITS);
        }
        Ok(Self {
            maximum_qos: qos.ok_or(QOS_3)?,
            no_local: value & 0b0100 != 0,
            retain_as_published: value & 0b1000 != 0,
            retain_handling: match value >> 4 {
                0 => RetainHandling::SendAtSubscribe,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(RETAIN_HANDLING),
            },
        })
    }

    /// The options byte of SUBSCRIBE.
    pub fn encode(self, version: ProtocolVersion) -> u8 {
        let qos = self.maximum_qos.value();
        match version {
            ProtocolVersion::V311 => qos,
            ProtocolVersion::V5 => {
                qos | (u8::from(self.no_local) << 2)
                    | (u8::from(self.retain_as_published) << 3)
                    | ((self.retain_handling as u8) << 4)
            }
        }
    }
}

/// When retained messages are sent at subscribing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// At each SUBSCRIBE.
    SendAtSubscribe = 0,
    /// Only if the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

const NO_FILTER: Error = Error::protocol("SUBSCRIBE carries no Topic Filter", "MQTT-3.8.3-2");
const NO_LOCAL_SHARED: Error =
    Error::protocol("No Local is set on a Shared Subscription", "MQTT-3.8.3-4");
const RESERVED_BITS: Error =
    Error::malformed("reserved bits of the Subscription Options are set", "MQTT-3.8.3-5");
const REQUESTED_QOS: Error =
    Error::malformed("Requested QoS is above 2 or its reserved bits are set", "3.1.1 MQTT-3.8.3-4");
const QOS_3: Error =
    Error::protocol("Maximum QoS of a subscription is 3, allowed are 0 to 2", "section 3.8.3.1");
const RETAIN_HANDLING: Error =
    Error::protocol("Retain Handling is 3, allowed are 0 to 2", "section 3.8.3.1");

#[cfg(test)]
mod tests;
