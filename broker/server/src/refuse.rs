//! How a refusal leaves: CONNACK (or HTTP status), log line and counter, all at one place, [`refuse`].
//!
//! Knows nothing of why; `connect.rs` says it.

use std::sync::Arc;

use access::{Event, EventKinds, Who};
use codec::{ConnAck, Connect, Decoded, Packet, PacketType, ProtocolVersion, ReasonCode, decode};
use telemetry::{Direction, events::ConnectRefused};

use crate::{
    approach,
    connect::{Arrival, Refused, packet_bytes_max, protocol_name},
    disconnect::farewell,
    listener,
    shown::shown_certificate,
    traced::claimed,
};

/// The one place where a refusal leaves.
pub(crate) async fn refuse(arrival: &mut Arrival, connect: Option<&Connect>, refused: &Refused) {
    if let Refused::Approach(approach::Refused::Limit(refusal)) = refused {
        listener::refused(&arrival.core, &arrival.listener, arrival.remote, refusal);
        return;
    }
    arrival.listener.counted.refused_seconds.observe(arrival.age().as_secs_f64());
    let reason = refused.reason_code();
    let told = reason.unwrap_or(ReasonCode::UnspecifiedError);
    arrival.listener.counted.refused.inc(told.name());
    let secured = arrival.secured.as_deref();
    let certificate = secured.and_then(|secured| secured.session.certificate.as_deref());
    ConnectRefused {
        client_id: connect.map(|connect| connect.client_id.as_str()),
        username: connect.and_then(|connect| connect.username.as_deref()),
        listener: &arrival.listener.name,
        remote: arrival.remote,
        reason: told,
        protocol: connect.map(|connect| protocol_name(connect.version)),
        certificate: certificate.map(shown_certificate),
        plugin: refused.plugin(),
        decision: refused.decision().as_ref().map(|id| id as &dyn std::fmt::Display),
        cause: refused,
    }
    .emit(&arrival.core.metrics);
    tell_refused(arrival, connect, refused);
    let output = match (refused, reason) {
        (Refused::Approach(approach::Refused::Upgrade(refused)), _) => {
            refused.response().into_bytes()
        }
        (_, Some(reason_code)) => {
            let connack = refusal_connack(reason_code, connect, refused).unwrap_or_default();
            let metrics = &arrival.core.metrics;
            metrics.packets_sent.of(PacketType::ConnAck).inc_by(u64::from(!connack.is_empty()));
            metrics.bytes_sent.inc_by(connack.len() as u64);
            if !connack.is_empty() {
                let (sent, of) = (Direction::Sent, PacketType::ConnAck);
                arrival.listener.counted.packets(sent, of, 1, connack.len() as u64);
                arrival.listener.counted.reason(sent, of, reason_code);
                trace_connack(arrival, connect, &connack);
            }
            connack
        }
        (_, None) => Vec::new(),
    };
    if !output.is_empty() || arrival.stream.has_goodbye() {
        farewell(&mut arrival.stream, &output).await;
    }
}

/// For traces of whoever was refused.
fn trace_connack(arrival: &mut Arrival, connect: Option<&Connect>, connack: &[u8]) {
    if let Some(connect) = connect.filter(|_| arrival.traces.is_any())
        && let Ok(Decoded::Packet(packet, bytes)) = decode(connack, connect.version, usize::MAX)
    {
        let core = Arc::clone(&arrival.core);
        let traced = claimed((&connect.client_id, arrival.remote.ip()));
        arrival.traces.packet(&core, traced, (Direction::Sent, &packet, bytes));
    }
}

/// Tells plugins of somebody whom the chain refused.
fn tell_refused(arrival: &Arrival, connect: Option<&Connect>, refused: &Refused) {
    if let (Some(connect), Refused::ByChain(refusal)) = (connect, refused) {
        arrival.core.gate.tell(EventKinds::AUTH_FAILED, || {
            Event::AuthFailed(
                Who {
                    connection_id: arrival.connection_id,
                    client_id: connect.client_id.as_str().into(),
                    principal: "".into(),
                    listener: Arc::clone(&arrival.listener.name),
                    remote: arrival.remote.ip(),
                    protocol: connect.version,
                },
                refusal.reason_code(),
                refusal.kind.to_string(),
            )
        });
    }
}

/// CONNACK of a refusal, if the client can be told.
fn refusal_connack(
    reason_code: ReasonCode,
    connect: Option<&Connect>,
    refused: &Refused,
) -> Option<Vec<u8>> {
    let (version, wants_reason, most) = match (connect, refused) {
        (Some(connect), _) => {
            (connect.version, connect.request_problem_information, packet_bytes_max(connect))
        }
        (None, Refused::Malformed { version: Some(version), .. }) => (*version, false, usize::MAX),
        (None, _) => return None,
    };
    let reason_string = match refused {
        Refused::ByChain(refusal) if wants_reason => refusal.reason.clone(),
        _ => None,
    };
    let connack = ConnAck { reason_code, reason_string, ..ConnAck::default() };
    let mut output = Vec::new();
    Packet::ConnAck(Box::new(connack)).encode_within(version, most, &mut output).then_some(output)
}

/// The version that a CONNECT claims, as far as its bytes say. Who names a level above 5 is taken to read 5.0's CONNACK,
/// everybody else 3.1.1's; the highest bit is Mosquitto's mark of a bridge.
pub(crate) fn claimed_version(bytes: &[u8]) -> Option<ProtocolVersion> {
    let length_end = bytes.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0)? + 2;
    let [0, name_bytes, name @ ..] = bytes.get(length_end..)? else { return None };
    let (name, level) = name.split_at_checked(usize::from(*name_bytes))?;
    match (name, level.first()? & 0x7F) {
        (b"MQTT", 5..) => Some(ProtocolVersion::V5),
        (b"MQTT" | b"MQIsdp", _) => Some(ProtocolVersion::V311),
        _ => None,
    }
}

/// The code for a CONNECT that does not decode. One that breaks its format gets no CONNACK in
/// 3.1.1 [MQTT-3.1.4-1], and who may not speak MQTT at all gets no word.
pub(crate) fn malformed_code(
    error: &codec::Error,
    version: Option<ProtocolVersion>,
) -> Option<ReasonCode> {
    use ReasonCode::{ClientIdentifierNotValid, UnsupportedProtocolVersion};
    let code = error.reason_code();
    let told = match version? {
        ProtocolVersion::V5 => true,
        ProtocolVersion::V311 => {
            matches!(code, ClientIdentifierNotValid | UnsupportedProtocolVersion)
        }
    };
    told.then_some(code)
}

/// The Reason Code for a length or count beyond its limit.
pub(crate) fn limit_code(exceeded: &limits::SizeExceeded) -> ReasonCode {
    match exceeded.limit {
        "client_id_bytes" => ReasonCode::ClientIdentifierNotValid,
        "topic_bytes" | "topic_levels" => ReasonCode::TopicNameInvalid,
        _ => ReasonCode::QuotaExceeded,
    }
}
