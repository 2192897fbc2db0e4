//! One MQTT 5.0 property: identifier, type and range of its value (table 2-4).
//!
//! Which packet may carry it is said where the packet is decoded: a property that a packet's match
//! does not name ends in [`NOT_ALLOWED`].

use crate::reader::Reader;
use crate::{Error, QoS, topic_name, writer};

/// A property with its value, borrowed from the packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Property<'a> {
    PayloadFormatIndicator(bool),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    /// 0 is let through: PUBLISH answers it with a Reason Code of its own.
    TopicAlias(u16),
    MaximumQoS(QoS),
    RetainAvailable(bool),
    /// User Property: name and value.
    User(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifiersAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
pub(crate) const USER_PROPERTY: u8 = 0x26;

impl<'a> Property<'a> {
    /// The value of the property whose identifier was read already.
    #[inline]
    pub(crate) fn decode(identifier: u8, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(match identifier {
            0x01 => Self::PayloadFormatIndicator(flag(reader)?),
            0x02 => Self::MessageExpiryInterval(reader.u32()?),
            0x03 => Self::ContentType(reader.utf8()?),
            0x08 => Self::ResponseTopic(topic_name::decode_response(reader.binary()?)?),
            0x09 => Self::CorrelationData(reader.binary()?),
            SUBSCRIPTION_IDENTIFIER => {
                let value = reader.variable_byte_integer()?;
                Self::SubscriptionIdentifier(not_zero(value, SUBSCRIPTION_IDENTIFIER_ZERO)?)
            }
            0x11 => Self::SessionExpiryInterval(reader.u32()?),
            0x12 => Self::AssignedClientIdentifier(reader.utf8()?),
            0x13 => Self::ServerKeepAlive(reader.u16()?),
            0x15 => Self::AuthenticationMethod(reader.utf8()?),
            0x16 => Self::AuthenticationData(reader.binary()?),
            0x17 => Self::RequestProblemInformation(flag(reader)?),
            0x18 => Self::WillDelayInterval(reader.u32()?),
            0x19 => Self::RequestResponseInformation(flag(reader)?),
            0x1A => Self::ResponseInformation(reader.utf8()?),
            0x1C => Self::ServerReference(reader.utf8()?),
            0x1F => Self::ReasonString(reader.utf8()?),
            0x21 => Self::ReceiveMaximum(not_zero(reader.u16()?, RECEIVE_MAXIMUM_ZERO)?),
            0x22 => Self::TopicAliasMaximum(reader.u16()?),
            0x23 => Self::TopicAlias(reader.u16()?),
            0x24 => Self::MaximumQoS(maximum_qos(reader)?),
            0x25 => Self::RetainAvailable(flag(reader)?),
            USER_PROPERTY => Self::User(reader.utf8()?, reader.utf8()?),
            0x27 => Self::MaximumPacketSize(not_zero(reader.u32()?, MAXIMUM_PACKET_SIZE_ZERO)?),
            0x28 => Self::WildcardSubscriptionAvailable(flag(reader)?),
            0x29 => Self::SubscriptionIdentifiersAvailable(flag(reader)?),
            0x2A => Self::SharedSubscriptionAvailable(flag(reader)?),
            _ => return Err(UNKNOWN),
        })
    }

    /// Appends identifier and value.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::PayloadFormatIndicator(value) => byte(0x01, value.into(), out),
            Self::MessageExpiryInterval(value) => four_bytes(0x02, value, out),
            Self::ContentType(value) => text(0x03, value, out),
            Self::ResponseTopic(value) => text(0x08, value, out),
            Self::CorrelationData(value) => binary(0x09, value, out),
            Self::SubscriptionIdentifier(value) => {
                out.push(SUBSCRIPTION_IDENTIFIER);
                crate::variable_byte_integer::encode(value as usize, out);
            }
            Self::SessionExpiryInterval(value) => four_bytes(0x11, value, out),
            Self::AssignedClientIdentifier(value) => text(0x12, value, out),
            Self::ServerKeepAlive(value) => two_bytes(0x13, value, out),
            Self::AuthenticationMethod(value) => text(0x15, value, out),
            Self::AuthenticationData(value) => binary(0x16, value, out),
            Self::RequestProblemInformation(value) => byte(0x17, value.into(), out),
            Self::WillDelayInterval(value) => four_bytes(0x18, value, out),
            Self::RequestResponseInformation(value) => byte(0x19, value.into(), out),
            Self::ResponseInformation(value) => text(0x1A, value, out),
            Self::ServerReference(value) => text(0x1C, value, out),
            Self::ReasonString(value) => text(0x1F, value, out),
            Self::ReceiveMaximum(value) => two_bytes(0x21, value, out),
            Self::TopicAliasMaximum(value) => two_bytes(0x22, value, out),
            Self::TopicAlias(value) => two_bytes(0x23, value, out),
            Self::MaximumQoS(value) => byte(0x24, value.value(), out),
            Self::RetainAvailable(value) => byte(0x25, value.into(), out),
            Self::User(name, value) => {
                text(USER_PROPERTY, name, out);
                writer::utf8(value, out);
            }
            Self::MaximumPacketSize(value) => four_bytes(0x27, value, out),
            Self::WildcardSubscriptionAvailable(value) => byte(0x28, value.into(), out),
            Self::SubscriptionIdentifiersAvailable(value) => byte(0x29, value.into(), out),
            Self::SharedSubscriptionAvailable(value) => byte(0x2A, value.into(), out),
        }
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Error> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(NOT_A_FLAG),
    }
}

fn maximum_qos(reader: &mut Reader<'_>) -> Result<QoS, Error> {
    match reader.u8()? {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        _ => Err(MAXIMUM_QOS),
    }
}

fn not_zero<T: Default + PartialEq>(value: T, refusal: Error) -> Result<T, Error> {
    if value == T::default() { Err(refusal) } else { Ok(value) }
}

fn byte(identifier: u8, value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[identifier, value]);
}

fn two_bytes(identifier: u8, value: u16, out: &mut Vec<u8>) {
    out.push(identifier);
    writer::u16(value, out);
}

fn four_bytes(identifier: u8, value: u32, out: &mut Vec<u8>) {
    out.push(identifier);
    out.extend_from_slice(&value.to_be_bytes());
}

fn text(identifier: u8, value: &str, out: &mut Vec<u8>) {
    out.push(identifier);
    writer::utf8(value, out);
}

fn binary(identifier: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(identifier);
    writer::binary(value, out);
}

/// A property in a packet that may not carry it.
pub(crate) const NOT_ALLOWED: Error =
    Error::malformed("a property stands in a packet that may not carry it", "section 2.2.2.2");
const UNKNOWN: Error =
    Error::malformed("a property identifier is none of MQTT 5.0", "section 2.2.2.2");
const NOT_A_FLAG: Error = Error::protocol("a yes-or-no property is neither 0 nor 1", "section 2.2");
const MAXIMUM_QOS: Error = Error::protocol("Maximum QoS is neither 0 nor 1", "section 3.2.2.3.4");
const RECEIVE_MAXIMUM_ZERO: Error =
    Error::protocol("Receive Maximum is 0, allowed are 1 to 65,535", "section 3.1.2.11.3");
const MAXIMUM_PACKET_SIZE_ZERO: Error =
    Error::protocol("Maximum Packet Size is 0, allowed is 1 and more", "section 3.1.2.11.4");
const SUBSCRIPTION_IDENTIFIER_ZERO: Error = Error::protocol(
    "Subscription Identifier is 0, allowed is 1 to 268,435,455",
    "section 3.8.2.1.2",
);
