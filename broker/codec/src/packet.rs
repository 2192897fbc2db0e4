//! The sum of all control packets and the one entry for decoding.
//!
//! Called by `server` for each packet that a read brought in, and by test clients.

use std::num::NonZeroU16;

use crate::fixed_header::FixedHeader;
use crate::{
    Acknowledgement, Auth, ConnAck, Connect, Disconnect, Error, ErrorKind, Publish, SubAck,
    Subscribe, UnsubAck, Unsubscribe, pingreq, publish, variable_byte_integer,
};

/// The longest packet that the format can say, fixed header included: 268,435,460 bytes.
pub const PACKET_BYTES_MAX: usize = 1 + 4 + variable_byte_integer::MAX as usize;

/// Protocol level of a connection, fixed by its CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolVersion {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// Delivery guarantee of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0.
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level with this number, `None` above 2.
    #[inline]
    pub fn from_value(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// Its number, 0 to 2.
    #[inline]
    pub fn value(self) -> u8 {
        self as u8
    }
}

/// Packet Identifier, never 0 [MQTT-2.2.1-3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(pub NonZeroU16);

impl PacketId {
    /// The identifier with this value, or `None` for 0.
    #[inline]
    pub fn new(value: u16) -> Option<Self> {
        NonZeroU16::new(value).map(Self)
    }

    /// Its value, 1 to 65,535.
    #[inline]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

/// MQTT Control Packet type, the high nibble of the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// The type with this number, 1 to 15.
    #[inline]
    pub(crate) fn from_value(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }
}

/// One decoded control packet. PUBLISH borrows from the input; the rare ones own what they carry.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Packet<'a> {
    Connect(Box<Connect>),
    ConnAck(Box<ConnAck>),
    Publish(Publish<'a>),
    PubAck(Acknowledgement),
    PubRec(Acknowledgement),
    PubRel(Acknowledgement),
    PubComp(Acknowledgement),
    Subscribe(Subscribe),
    SubAck(SubAck),
    Unsubscribe(Unsubscribe),
    UnsubAck(UnsubAck),
    PingReq,
    PingResp,
    Disconnect(Disconnect),
    Auth(Auth),
}

/// What [`decode`] found at the start of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded<'a> {
    /// A whole packet and how many bytes it took.
    Packet(Packet<'a>, usize),
    /// Not yet a whole packet. `total` is its full length in bytes as soon as the fixed header says
    /// it.
    Incomplete {
        /// Full length of the packet in bytes, when known.
        total: Option<usize>,
    },
}

/// Decodes the packet at the start of `input`.
///
/// `version` is that of the connection; a CONNECT carries its own and ignores it. A packet longer
/// than `packet_bytes_max` (fixed header included) is refused as soon as its fixed header is seen
/// (`ErrorKind::PacketTooLarge`).
#[inline]
pub fn decode(
    input: &[u8],
    version: ProtocolVersion,
    packet_bytes_max: usize,
) -> Result<Decoded<'_>, Error> {
    let Some(header) = FixedHeader::decode(input)? else {
        return Ok(Decoded::Incomplete { total: None });
    };
    let total = header.bytes + header.remaining;
    if total > packet_bytes_max {
        return Err(TOO_LARGE);
    }
    let Some(body) = input.get(header.bytes..total) else {
        return Ok(Decoded::Incomplete { total: Some(total) });
    };
    Ok(Decoded::Packet(decode_body(&header, body, version)?, total))
}

#[inline]
fn decode_body<'a>(
    header: &FixedHeader,
    body: &'a [u8],
    version: ProtocolVersion,
) -> Result<Packet<'a>, Error> {
    if header.packet_type != PacketType::Connect {
        check_shortest(header, version)?;
    }
    let acknowledgement = || Acknowledgement::decode(header.packet_type, body, version);
    Ok(match header.packet_type {
        PacketType::Connect => Packet::Connect(decode_connect(header, body)?),
        PacketType::ConnAck => Packet::ConnAck(Box::new(ConnAck::decode(body, version)?)),
        PacketType::Publish => Packet::Publish(publish::decode(header.flags, body, version)?),
        PacketType::PubAck => Packet::PubAck(acknowledgement()?),
        PacketType::PubRec => Packet::PubRec(acknowledgement()?),
        PacketType::PubRel => Packet::PubRel(acknowledgement()?),
        PacketType::PubComp => Packet::PubComp(acknowledgement()?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(body, version)?),
        PacketType::SubAck => Packet::SubAck(SubAck::decode(body, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(body, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(body, version)?),
        PacketType::PingReq => {
            pingreq::decode(body)?;
            Packet::PingReq
        }
        PacketType::PingResp => {
            pingreq::decode(body)?;
            Packet::PingResp
        }
        PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(body, version)?),
        PacketType::Auth => Packet::Auth(Auth::decode(body, version)?),
    })
}

/// A CONNECT brings its own version, so that its Remaining Length is judged afterwards.
fn decode_connect(header: &FixedHeader, body: &[u8]) -> Result<Box<Connect>, Error> {
    let connect = Connect::decode(body)?;
    check_shortest(header, connect.version)?;
    Ok(Box::new(connect))
}

/// 5.0 wants the shortest form of the Remaining Length, 3.1.1 says nothing about it.
#[inline]
fn check_shortest(header: &FixedHeader, version: ProtocolVersion) -> Result<(), Error> {
    if header.shortest || version == ProtocolVersion::V311 {
        Ok(())
    } else {
        Err(variable_byte_integer::NOT_SHORTEST)
    }
}

impl Packet<'_> {
    /// Appends the packet's bytes to `out`. Properties are dropped for 3.1.1.
    ///
    /// What a packet cannot say is never written half: strings and binary values are cut at 65,535
    /// bytes; nothing at all is appended for a packet above [`PACKET_BYTES_MAX`], for a PUBLISH
    /// with QoS above 0 and no Packet Identifier, and for an AUTH in 3.1.1, which has none.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Connect(connect) => connect.encode(out),
            Self::ConnAck(connack) => connack.encode(version, out),
            Self::Publish(publish) => publish.encode(version, out),
            Self::PubAck(ack) => ack.encode(PacketType::PubAck, version, out),
            Self::PubRec(ack) => ack.encode(PacketType::PubRec, version, out),
            Self::PubRel(ack) => ack.encode(PacketType::PubRel, version, out),
            Self::PubComp(ack) => ack.encode(PacketType::PubComp, version, out),
            Self::Subscribe(subscribe) => subscribe.encode(version, out),
            Self::SubAck(suback) => suback.encode(version, out),
            Self::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Self::UnsubAck(unsuback) => unsuback.encode(version, out),
            Self::PingReq => pingreq::encode(PacketType::PingReq, out),
            Self::PingResp => pingreq::encode(PacketType::PingResp, out),
            Self::Disconnect(disconnect) => disconnect.encode(version, out),
            Self::Auth(auth) => auth.encode(version, out),
        }
    }

    /// As [`Self::encode`] for a receiver with a Maximum Packet Size: a packet that would be longer
    /// than `packet_bytes_max` loses its Reason String and User Properties (as [MQTT-3.2.2-19],
    /// [MQTT-3.2.2-20] and their like in the other packets demand). Returns whether it was
    /// appended; `out` is unchanged when it is too long even so. Not for PUBLISH and CONNECT, whose
    /// User Properties are part of the message: those are appended whole or not at all.
    #[must_use = "a packet that does not fit was not written"]
    pub fn encode_within(
        &self,
        version: ProtocolVersion,
        packet_bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        let fits = |out: &mut Vec<u8>| (1..=packet_bytes_max).contains(&(out.len() - start));
        self.encode(version, out);
        if fits(out) {
            return true;
        }
        out.truncate(start);
        let Some(shorter) = self.without_remarks() else {
            return false;
        };
        shorter.encode(version, out);
        if fits(out) {
            return true;
        }
        out.truncate(start);
        false
    }

    /// The packet without Reason String and User Properties, if it is one that explains itself so.
    fn without_remarks(&self) -> Option<Packet<'static>> {
        macro_rules! bare {
            ($variant:ident, $packet:expr) => {{
                let mut packet = $packet.clone();
                packet.reason_string = None;
                packet.user_properties = Vec::new();
                Some(Packet::$variant(packet))
            }};
        }
        match self {
            Self::ConnAck(packet) => bare!(ConnAck, packet),
            Self::PubAck(packet) => bare!(PubAck, packet),
            Self::PubRec(packet) => bare!(PubRec, packet),
            Self::PubRel(packet) => bare!(PubRel, packet),
            Self::PubComp(packet) => bare!(PubComp, packet),
            Self::SubAck(packet) => bare!(SubAck, packet),
            Self::UnsubAck(packet) => bare!(UnsubAck, packet),
            Self::Disconnect(packet) => bare!(Disconnect, packet),
            Self::Auth(packet) => bare!(Auth, packet),
            Self::Connect(_)
            | Self::Publish(_)
            | Self::Subscribe(_)
            | Self::Unsubscribe(_)
            | Self::PingReq
            | Self::PingResp => None,
        }
    }
}

const TOO_LARGE: Error = Error {
    kind: ErrorKind::PacketTooLarge,
    what: "packet is longer than the Maximum Packet Size",
    statement: "MQTT-3.2.2-15",
};

#[cfg(test)]
mod tests;
