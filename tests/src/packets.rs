//! Short names for packets.

use codec::{
    Acknowledgement, ConnAck, Connect, Disconnect, Packet, PacketId, ProtocolVersion, Publish, QoS,
    ReasonCode, SubAck, Subscribe, SubscriptionOptions, SubscriptionRequest, UnsubAck, Unsubscribe,
    Will,
};
use topic::SubscriptionFilter;

/// Both protocol levels: most of what the broker does is the same in both.
pub const BOTH: [ProtocolVersion; 2] = [ProtocolVersion::V311, ProtocolVersion::V5];

/// A packet byte by byte: its first byte, then what follows the Remaining Length, in parts.
pub fn framed(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u8::try_from(body.len()).expect("a short packet");
    let low = [length | 0x80, 1];
    let length = if length < 0x80 { &[length][..] } else { &low };
    [&[first], length, &body].concat()
}

/// A string or binary field: its length in two bytes, then the bytes.
pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let length = u16::try_from(bytes.len()).expect("a field has at most 65,535 bytes");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The protocol level in CONNECT.
pub fn level(version: ProtocolVersion) -> u8 {
    match version {
        ProtocolVersion::V311 => 4,
        ProtocolVersion::V5 => 5,
    }
}

/// The bytes of a packet.
pub fn encoded(version: ProtocolVersion, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes);
    bytes
}

/// A Packet Identifier.
pub fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("a Packet Identifier is not 0")
}

/// A CONNECT that resumes its session and keeps it for an hour (3.1.1: for as long as allowed).
pub fn persistent(version: ProtocolVersion, client_id: &str) -> Connect {
    let session_expiry_interval = if version == ProtocolVersion::V5 { 3600 } else { u32::MAX };
    Connect { clean_start: false, session_expiry_interval, ..Connect::new(version, client_id) }
}

/// A CONNECT with User Name and Password.
pub fn login(version: ProtocolVersion, client_id: &str, (user, password): (&str, &str)) -> Connect {
    Connect {
        username: Some(user.to_owned()),
        password: Some(password.as_bytes().to_owned()),
        ..Connect::new(version, client_id)
    }
}

/// A CONNECT with a Will Message.
pub fn with_will(connect: Connect, will: Will) -> Connect {
    Connect { will: Some(Box::new(will)), ..connect }
}

/// A refusing CONNACK.
pub fn refusal(reason_code: ReasonCode) -> Packet<'static> {
    Packet::ConnAck(Box::new(ConnAck::new(reason_code)))
}

/// A refusing CONNACK with the reason that [`crate::Doorman`] gives.
pub fn refusal_with_reason(reason_code: ReasonCode) -> Packet<'static> {
    let reason_string = Some(crate::doorman::REASON.to_owned());
    Packet::ConnAck(Box::new(ConnAck { reason_string, ..ConnAck::new(reason_code) }))
}

/// PUBLISH with QoS 0.
pub fn qos0<'a>(topic: &'a str, payload: &'a str) -> Packet<'a> {
    Packet::Publish(Publish::new(topic, payload.as_bytes()))
}

/// PUBLISH with QoS 1.
pub fn qos1<'a>(packet_id: u16, topic: &'a str, payload: &'a str) -> Packet<'a> {
    publish(packet_id, QoS::AtLeastOnce, Publish::new(topic, payload.as_bytes()))
}

/// PUBLISH with QoS 2.
pub fn qos2<'a>(packet_id: u16, topic: &'a str, payload: &'a str) -> Packet<'a> {
    publish(packet_id, QoS::ExactlyOnce, Publish::new(topic, payload.as_bytes()))
}

/// This PUBLISH with a Packet Identifier and QoS.
pub fn publish(packet_id: u16, qos: QoS, publish: Publish<'_>) -> Packet<'_> {
    Packet::Publish(Publish { qos, packet_id: Some(id(packet_id)), ..publish })
}

/// PUBLISH with RETAIN.
pub fn retained(packet: Packet<'_>) -> Packet<'_> {
    match packet {
        Packet::Publish(publish) => Packet::Publish(Publish { retain: true, ..publish }),
        other => other,
    }
}

/// PUBLISH with DUP.
pub fn again(packet: Packet<'_>) -> Packet<'_> {
    match packet {
        Packet::Publish(publish) => Packet::Publish(Publish { dup: true, ..publish }),
        other => other,
    }
}

/// PUBACK.
pub fn puback(packet_id: u16, reason_code: ReasonCode) -> Packet<'static> {
    Packet::PubAck(Acknowledgement::new(id(packet_id), reason_code))
}

/// PUBREC.
pub fn pubrec(packet_id: u16, reason_code: ReasonCode) -> Packet<'static> {
    Packet::PubRec(Acknowledgement::new(id(packet_id), reason_code))
}

/// PUBREL.
pub fn pubrel(packet_id: u16, reason_code: ReasonCode) -> Packet<'static> {
    Packet::PubRel(Acknowledgement::new(id(packet_id), reason_code))
}

/// PUBCOMP.
pub fn pubcomp(packet_id: u16, reason_code: ReasonCode) -> Packet<'static> {
    Packet::PubComp(Acknowledgement::new(id(packet_id), reason_code))
}

/// A filter as it stands in SUBSCRIBE, valid or not.
pub fn filter(text: &str) -> Result<SubscriptionFilter, String> {
    SubscriptionFilter::parse(text).map_err(|_| text.to_owned())
}

/// SUBSCRIBE with these filters and maximum QoS.
pub fn subscribe(packet_id: u16, filters: &[(&str, QoS)]) -> Packet<'static> {
    let options = |qos| SubscriptionOptions::new(qos);
    let requests = filters.iter().map(|(text, qos)| request(text, options(*qos))).collect();
    Packet::Subscribe(Subscribe::new(id(packet_id), requests))
}

/// SUBSCRIBE with one filter, all options and a Subscription Identifier.
pub fn subscribe_with(
    packet_id: u16,
    text: &str,
    options: SubscriptionOptions,
    subscription_identifier: Option<u32>,
) -> Packet<'static> {
    let requests = vec![request(text, options)];
    Packet::Subscribe(Subscribe {
        subscription_identifier,
        ..Subscribe::new(id(packet_id), requests)
    })
}

fn request(text: &str, options: SubscriptionOptions) -> SubscriptionRequest {
    SubscriptionRequest { filter: filter(text), options }
}

/// SUBACK.
pub fn suback(packet_id: u16, reason_codes: &[ReasonCode]) -> Packet<'static> {
    Packet::SubAck(SubAck::new(id(packet_id), reason_codes.to_owned()))
}

/// The code of SUBACK that grants this QoS.
pub fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}

/// UNSUBSCRIBE.
pub fn unsubscribe(packet_id: u16, filters: &[&str]) -> Packet<'static> {
    let filters = filters.iter().map(|text| filter(text)).collect();
    Packet::Unsubscribe(Unsubscribe::new(id(packet_id), filters))
}

/// UNSUBACK; 3.1.1 has no codes.
pub fn unsuback(
    version: ProtocolVersion,
    packet_id: u16,
    reason_codes: &[ReasonCode],
) -> Packet<'static> {
    let reason_codes = match version {
        ProtocolVersion::V311 => Vec::new(),
        ProtocolVersion::V5 => reason_codes.to_owned(),
    };
    Packet::UnsubAck(UnsubAck { reason_codes, ..UnsubAck::new(id(packet_id), Vec::new()) })
}

/// DISCONNECT.
pub fn disconnect(reason_code: ReasonCode) -> Packet<'static> {
    Packet::Disconnect(Disconnect::new(reason_code))
}

/// DISCONNECT that changes the Session Expiry Interval.
pub fn disconnect_with_expiry(seconds: u32) -> Packet<'static> {
    let disconnect = Disconnect::new(ReasonCode::Success);
    Packet::Disconnect(Disconnect { session_expiry_interval: Some(seconds), ..disconnect })
}
