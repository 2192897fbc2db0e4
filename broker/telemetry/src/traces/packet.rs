//! Packets in words: what a record of a trace says of one.
//!
//! Never holds a password or Authentication Data; payloads only as far as a trace asks for them.
//! Knows nothing of connections.

use codec::{Packet, PacketType, Publish, ReasonCode};
use serde_json::{Map, Value, json};

use super::{TraceSpec, Traced};
use crate::{calendar::timestamp, entry::hex, shown_username};

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Received,
    /// To the client.
    Sent,
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
pub struct PacketRecord<'a> {
    /// Whose it is.
    pub traced: Traced<'a>,
    /// Which way it went.
    pub direction: Direction,
    /// The packet.
    pub packet: &'a Packet<'a>,
    /// Its length, fixed header included.
    pub bytes: usize,
    /// The topic that its alias stands for.
    pub topic: Option<&'a str>,
}

impl PacketRecord<'_> {
    fn publish_topic(&self, publish: &Publish<'_>) -> Option<String> {
        let sent = (!publish.topic.is_empty()).then_some(publish.topic);
        sent.or(self.topic).map(str::to_owned)
    }

    /// Whether a trace records it: one with a topic filter only what names a topic.
    pub(super) fn is_wanted(&self, spec: &TraceSpec) -> bool {
        match self.packet {
            Packet::Publish(publish) => spec.wants_topic(self.publish_topic(publish).as_deref()),
            Packet::Subscribe(subscribe) => subscribe.requests.iter().any(|request| {
                let filter = request.filter.as_ref().map(|filter| filter.filter.as_str());
                spec.wants_topic(filter.ok())
            }),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().any(|filter| {
                let filter = filter.as_ref().map(|filter| filter.filter.as_str());
                spec.wants_topic(filter.ok())
            }),
            Packet::Connect(connect) => {
                spec.wants_topic(connect.will.as_ref().map(|will| will.topic.as_str()))
            }
            _ => spec.wants_topic(None),
        }
    }

    pub(super) fn line(&self, now_unix_ms: u64, payload_bytes: Option<usize>) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
        put("time", timestamp(now_unix_ms).into());
        let received = self.direction == Direction::Received;
        put("type", "packet".into());
        put("direction", if received { "received" } else { "sent" }.into());
        put("client_id", self.traced.client_id.into());
        put("packet", name(self.packet).into());
        put("bytes", self.bytes.into());
        self.put_fields(&mut put, payload_bytes);
        Value::Object(line)
    }

    fn put_fields(&self, put: &mut impl FnMut(&str, Value), payload_bytes: Option<usize>) {
        match self.packet {
            Packet::Publish(publish) => self.put_publish(publish, put, payload_bytes),
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => {
                put("packet_id", ack.packet_id.get().into());
                put("reason", ack.reason_code.name().into());
                put_text(put, "reason_string", ack.reason_string.as_deref());
            }
            Packet::Subscribe(subscribe) => {
                put("packet_id", subscribe.packet_id.get().into());
                let of = |request: &codec::SubscriptionRequest| match &request.filter {
                    Ok(filter) => filter.to_string(),
                    Err(text) => text.clone(),
                };
                let filters = subscribe.requests.iter().map(|request| {
                    let options = &request.options;
                    json!({ "topic": of(request), "qos": options.maximum_qos.value() })
                });
                put("filters", filters.collect());
            }
            Packet::Unsubscribe(unsubscribe) => {
                put("packet_id", unsubscribe.packet_id.get().into());
                let filters = unsubscribe.filters.iter().map(|filter| match filter {
                    Ok(filter) => json!({ "topic": filter.to_string() }),
                    Err(text) => json!({ "topic": text }),
                });
                put("filters", filters.collect());
            }
            Packet::SubAck(ack) => {
                put("packet_id", ack.packet_id.get().into());
                put("reasons", reasons(&ack.reason_codes));
            }
            Packet::UnsubAck(ack) => {
                put("packet_id", ack.packet_id.get().into());
                put("reasons", reasons(&ack.reason_codes));
            }
            Packet::ConnAck(ack) => {
                put("reason", ack.reason_code.name().into());
                put("session_present", ack.session_present.into());
                put_text(put, "reason_string", ack.reason_string.as_deref());
                put_number(put, "session_expiry_interval", ack.session_expiry_interval);
                put_number(put, "server_keep_alive", ack.server_keep_alive.map(u32::from));
            }
            Packet::Disconnect(disconnect) => {
                put("reason", disconnect.reason_code.name().into());
                put_text(put, "reason_string", disconnect.reason_string.as_deref());
                let expiry = disconnect.session_expiry_interval;
                put_number(put, "session_expiry_interval", expiry);
            }
            Packet::Auth(auth) => {
                put("reason", auth.reason_code.name().into());
                put_text(put, "authentication_method", auth.authentication_method.as_deref());
            }
            Packet::Connect(connect) => {
                put("username", json!(connect.username.as_deref().map(shown_username)));
                put("clean_start", connect.clean_start.into());
                put("keep_alive", connect.keep_alive.into());
                put("session_expiry_interval", connect.session_expiry_interval.into());
                put("will_topic", json!(connect.will.as_ref().map(|will| &will.topic)));
                put_text(put, "authentication_method", connect.authentication_method.as_deref());
            }
            Packet::PingReq | Packet::PingResp => {}
        }
    }

    fn put_publish(
        &self,
        publish: &Publish<'_>,
        put: &mut impl FnMut(&str, Value),
        payload_bytes: Option<usize>,
    ) {
        put("topic", json!(self.publish_topic(publish)));
        put("qos", publish.qos.value().into());
        put("retain", publish.retain.into());
        put("dup", publish.dup.into());
        put_number(put, "packet_id", publish.packet_id.map(|id| id.get().into()));
        put_number(put, "topic_alias", publish.topic_alias.map(u32::from));
        put_number(put, "message_expiry_interval", publish.message_expiry_interval);
        put_text(put, "content_type", publish.content_type);
        put_text(put, "response_topic", publish.response_topic);
        let properties = publish.user_properties.iter().count();
        if properties > 0 {
            put("user_properties", properties.into());
        }
        put("payload_bytes", publish.payload.len().into());
        if let Some(most) = payload_bytes {
            let head = publish.payload.get(..most.min(publish.payload.len())).unwrap_or_default();
            put("payload_hex", hex(head).into());
        }
    }
}

fn put_text(put: &mut impl FnMut(&str, Value), name: &str, text: Option<&str>) {
    if let Some(text) = text {
        put(name, text.into());
    }
}

fn put_number(put: &mut impl FnMut(&str, Value), name: &str, number: Option<u32>) {
    if let Some(number) = number {
        put(name, number.into());
    }
}

fn reasons(codes: &[ReasonCode]) -> Value {
    codes.iter().map(|code| code.name()).collect()
}

fn name(packet: &Packet<'_>) -> &'static str {
    let packet_type = match packet {
        Packet::Connect(_) => PacketType::Connect,
        Packet::ConnAck(_) => PacketType::ConnAck,
        Packet::Publish(_) => PacketType::Publish,
        Packet::PubAck(_) => PacketType::PubAck,
        Packet::PubRec(_) => PacketType::PubRec,
        Packet::PubRel(_) => PacketType::PubRel,
        Packet::PubComp(_) => PacketType::PubComp,
        Packet::Subscribe(_) => PacketType::Subscribe,
        Packet::SubAck(_) => PacketType::SubAck,
        Packet::Unsubscribe(_) => PacketType::Unsubscribe,
        Packet::UnsubAck(_) => PacketType::UnsubAck,
        Packet::PingReq => PacketType::PingReq,
        Packet::PingResp => PacketType::PingResp,
        Packet::Disconnect(_) => PacketType::Disconnect,
        Packet::Auth(_) => PacketType::Auth,
    };
    crate::label::packet_type_name(packet_type)
}
