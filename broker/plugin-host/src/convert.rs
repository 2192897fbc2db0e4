//! Between the types of `access` and those of the WIT contract, field by field, and what is refused
//! on the way back.

use std::net::IpAddr;

use access::{
    Application, ClientLimits, Connection, Denial, Grant, Patch, PeerCertificate, PluginFailure,
    PluginFailureKind, Publisher, Subject,
};
use codec::{ProtocolVersion, QoS, ReasonCode};

use crate::{
    bindings::portcullis::plugin::{grants, messages, permissions as rules, types},
    failure::{failure, printable},
};

/// What a grant may hold: it is kept as long as the connection, and groups are asked for again with
/// every set of permissions.
const GROUPS_MAX: usize = 256;
const ATTRIBUTES_MAX: usize = 64;
const GRANT_RULES_MAX: usize = 1_000;
const GRANT_RULE_BYTES_MAX: usize = 64 << 10;
const GRANT_BYTES_MAX: usize = 16 << 10;

pub(crate) fn connection(from: &Connection) -> types::Connection {
    types::Connection {
        connection_id: from.connection_id,
        client_id: from.client_id.to_string(),
        username: from.username.clone(),
        listener: from.listener.to_string(),
        remote_address: address(from.remote.ip()),
        remote_port: from.remote.port(),
        protocol: protocol(from.protocol),
        tls: from.tls.as_ref().map(|tls| types::TlsSession {
            version: tls.version.to_owned(),
            server_name: tls.server_name.clone(),
            certificate: tls.certificate.as_deref().map(certificate),
        }),
        attributes: attributes(&from.attributes),
    }
}

pub(crate) fn subject(from: &Subject) -> types::Subject {
    let identity = &from.identity;
    types::Subject {
        principal: identity.principal.to_string(),
        authenticated_by: identity.authenticated_by.to_string(),
        groups: identity.groups.clone(),
        attributes: attributes(&identity.attributes),
        client_id: from.client_id.to_string(),
        listener: from.listener.to_string(),
        remote_address: address(from.remote),
        protocol: protocol(from.protocol),
        certificate: from.certificate.as_deref().map(certificate),
    }
}

/// As it is written everywhere; for the four bytes of IPv4 without the machinery of formatting,
/// which would cost more than all other texts of a question together.
pub(crate) fn address(from: IpAddr) -> String {
    let IpAddr::V4(from) = from else { return from.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for byte in from.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        if byte >= 100 {
            text.push(digit(byte / 100));
        }
        if byte >= 10 {
            text.push(digit(byte / 10 % 10));
        }
        text.push(digit(byte % 10));
    }
    text
}

/// `value` = 0 to 9.
fn digit(value: u8) -> char {
    char::from(b'0' + value)
}

pub(crate) fn protocol(from: ProtocolVersion) -> types::ProtocolVersion {
    match from {
        ProtocolVersion::V311 => types::ProtocolVersion::V311,
        ProtocolVersion::V5 => types::ProtocolVersion::V50,
    }
}

pub(crate) fn qos(from: QoS) -> types::Qos {
    match from {
        QoS::AtMostOnce => types::Qos::AtMostOnce,
        QoS::AtLeastOnce => types::Qos::AtLeastOnce,
        QoS::ExactlyOnce => types::Qos::ExactlyOnce,
    }
}

/// A client as the hooks that see its messages know it.
pub(crate) fn client(from: &Subject) -> types::Client {
    types::Client {
        client_id: from.client_id.to_string(),
        principal: from.identity.principal.to_string(),
        groups: from.identity.groups.clone(),
        attributes: attributes(&from.identity.attributes),
        listener: from.listener.to_string(),
    }
}

pub(crate) fn publisher(from: Publisher<'_>) -> types::Client {
    match from {
        Publisher::Client(subject) => client(subject),
        Publisher::Api(user) => types::Client {
            client_id: String::new(),
            principal: user.to_owned(),
            groups: Vec::new(),
            attributes: Vec::new(),
            listener: String::new(),
        },
    }
}

pub(crate) fn message(from: &Application) -> messages::Message {
    messages::Message {
        topic: from.topic.clone(),
        payload: from.payload.clone(),
        qos: qos(from.qos),
        retain: from.retain,
        payload_is_utf8: from.payload_is_utf8,
        message_expiry_seconds: from.message_expiry_seconds,
        content_type: from.content_type.clone(),
        response_topic: from.response_topic.clone(),
        correlation_data: from.correlation_data.clone(),
        user_properties: attributes(&from.user_properties),
    }
}

/// What a transform changed; text that MQTT cannot carry is no change but a failure
/// [MQTT-1.5.4-2].
pub(crate) fn patch(from: messages::Patch) -> Result<Patch, PluginFailure> {
    let sendable = |text: &str| text.len() <= usize::from(u16::MAX) && !text.contains('\0');
    let properties = from.user_properties.iter().flatten();
    let texts = properties.flat_map(|item| [&item.name, &item.value]).chain(&from.content_type);
    if !texts.into_iter().all(|text| sendable(text)) {
        let message = "changed a message to what MQTT cannot carry";
        return Err(failure(PluginFailureKind::Internal, message));
    }
    Ok(Patch {
        topic: from.topic,
        payload: from.payload,
        payload_is_utf8: from.payload_is_utf8,
        content_type: from.content_type,
        user_properties: from.user_properties.map(pairs),
    })
}

pub(crate) fn attributes(from: &[(String, String)]) -> Vec<types::Attribute> {
    from.iter()
        .map(|(name, value)| types::Attribute { name: name.clone(), value: value.clone() })
        .collect()
}

fn certificate(from: &PeerCertificate) -> types::PeerCertificate {
    types::PeerCertificate {
        sha256: from.sha256.to_vec(),
        subject: from.subject.clone(),
        issuer: from.issuer.clone(),
        serial: from.serial.clone(),
        common_name: from.common_name.clone(),
        dns_names: from.dns_names.clone(),
        uris: from.uris.clone(),
        email_names: from.email_names.clone(),
        not_after_unix: from.not_after_unix,
        der_chain: from.der_chain.clone(),
    }
}

pub(crate) fn connection_bytes(from: &types::Connection) -> usize {
    from.client_id.len()
        + text(from.username.as_ref())
        + from.listener.len()
        + attribute_bytes(&from.attributes)
        + from.tls.as_ref().map_or(0, |tls| {
            text(tls.server_name.as_ref()) + tls.certificate.as_ref().map_or(0, certificate_bytes)
        })
}

pub(crate) fn subject_bytes(from: &types::Subject) -> usize {
    from.principal.len()
        + from.authenticated_by.len()
        + list(&from.groups)
        + attribute_bytes(&from.attributes)
        + from.client_id.len()
        + from.listener.len()
        + from.certificate.as_ref().map_or(0, certificate_bytes)
}

pub(crate) fn client_bytes(from: &types::Client) -> usize {
    from.client_id.len()
        + from.principal.len()
        + list(&from.groups)
        + attribute_bytes(&from.attributes)
        + from.listener.len()
}

pub(crate) fn message_bytes(from: &messages::Message) -> usize {
    from.topic.len()
        + from.payload.len()
        + text(from.content_type.as_ref())
        + text(from.response_topic.as_ref())
        + from.correlation_data.as_ref().map_or(0, Vec::len)
        + attribute_bytes(&from.user_properties)
}

fn certificate_bytes(from: &types::PeerCertificate) -> usize {
    from.subject.len()
        + from.issuer.len()
        + from.serial.len()
        + text(from.common_name.as_ref())
        + list(&from.dns_names)
        + list(&from.uris)
        + list(&from.email_names)
        + from.der_chain.iter().map(|der| der.len() + 8).sum::<usize>()
}

pub(crate) fn text(from: Option<&String>) -> usize {
    from.map_or(0, String::len)
}

fn list(from: &[String]) -> usize {
    from.iter().map(|item| item.len() + 8).sum()
}

pub(crate) fn attribute_bytes(from: &[types::Attribute]) -> usize {
    from.iter().map(|item| item.name.len() + item.value.len() + 16).sum()
}

pub(crate) fn grant(from: grants::Grant) -> Result<Grant, PluginFailure> {
    let bytes = text(from.principal.as_ref())
        + list(&from.groups)
        + attribute_bytes(&from.attributes)
        + attribute_bytes(&from.user_properties);
    let counts = [
        (from.groups.len(), GROUPS_MAX, "groups"),
        (from.attributes.len(), ATTRIBUTES_MAX, "attributes"),
        (from.permissions.len(), GRANT_RULES_MAX, "rules"),
        (rule_bytes(&from.permissions), GRANT_RULE_BYTES_MAX, "bytes of rules"),
        (from.user_properties.len(), ATTRIBUTES_MAX, "User Properties"),
        (bytes, GRANT_BYTES_MAX, "bytes"),
    ];
    for (count, most, what) in counts {
        if count > most {
            let message = format!("granted {count} {what}; at most {most} are taken");
            return Err(failure(PluginFailureKind::TooLarge, message));
        }
    }
    if from.principal.as_ref().is_some_and(String::is_empty) {
        return Err(failure(PluginFailureKind::Internal, "named an empty principal"));
    }
    let texts = from
        .principal
        .iter()
        .chain(&from.groups)
        .chain(from.attributes.iter().flat_map(|item| [&item.name, &item.value]));
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(failure(PluginFailureKind::Internal, "granted a text with a NUL character"));
    }
    // These go to the client as they are: only what MQTT lets a string hold [MQTT-1.5.4-2].
    let sendable = |text: &str| text.len() <= usize::from(u16::MAX) && !text.contains('\0');
    if !from.user_properties.iter().all(|item| sendable(&item.name) && sendable(&item.value)) {
        return Err(failure(
            PluginFailureKind::Internal,
            "granted a User Property that MQTT cannot carry",
        ));
    }
    Ok(Grant {
        principal: from.principal,
        groups: from.groups,
        attributes: pairs(from.attributes),
        permissions: from.permissions.into_iter().map(rule).collect(),
        expires_at_unix: from.expires_at_unix,
        session_expiry_seconds_max: from.session_expiry_seconds_max,
        limits: from.limits.map(limits).unwrap_or_default(),
        user_properties: pairs(from.user_properties),
    })
}

/// A bound that would shut the client out, or cannot be kept, is taken as the least that can.
fn limits(from: grants::ClientLimits) -> ClientLimits {
    ClientLimits {
        messages_per_second: from.messages_per_second.map(|count| count.max(1)),
        messages_burst: from.messages_burst.map(|count| count.max(1)),
        bytes_per_second: from.bytes_per_second.map(|bytes| bytes.max(1 << 10)),
        receive_maximum: from.receive_maximum.map(|count| count.max(1)),
        in_flight_max: from.in_flight_max.map(|count| count.max(1)),
        queue_messages_max: from.queue_messages_max,
        queue_bytes_max: from.queue_bytes_max,
        packet_bytes_max: from.packet_bytes_max.map(|bytes| bytes.max(128)),
        keep_alive_seconds_max: from.keep_alive_seconds_max.map(|seconds| seconds.max(1)),
        subscriptions_max: from.subscriptions_max,
    }
}

pub(crate) fn rule_bytes(rules: &[rules::Rule]) -> usize {
    rules.iter().map(|rule| rule.filter.len() + text(rule.share_name.as_ref())).sum()
}

pub(crate) fn pairs(from: Vec<types::Attribute>) -> Vec<(String, String)> {
    from.into_iter().map(|item| (item.name, item.value)).collect()
}

/// A code that is no failure, or none at all, is Not authorized.
pub(crate) fn denial(from: types::Denial) -> Denial {
    let reason_code = ReasonCode::from_value(from.reason_code)
        .filter(|code| code.value() >= 0x80)
        .unwrap_or(ReasonCode::NotAuthorized);
    Denial { reason_code, reason: from.reason.map(|reason| printable(&reason)) }
}

pub(crate) fn rule(from: rules::Rule) -> access::Rule {
    let bit = |flag, bit: u8| if from.qos.contains(flag) { 1 << bit } else { 0 };
    access::Rule {
        effect: match from.effect {
            rules::Effect::Allow => access::Effect::Allow,
            rules::Effect::Deny => access::Effect::Deny,
        },
        activity: access::Activity {
            publish: from.activity.contains(rules::Activity::PUBLISH),
            subscribe: from.activity.contains(rules::Activity::SUBSCRIBE),
        },
        filter: from.filter,
        qos: access::QoSSet(
            bit(rules::QosSet::AT_MOST_ONCE, 0)
                | bit(rules::QosSet::AT_LEAST_ONCE, 1)
                | bit(rules::QosSet::EXACTLY_ONCE, 2),
        ),
        retain: condition(from.retain),
        shared: condition(from.shared),
        share_name: from.share_name,
    }
}

fn condition(from: rules::Condition) -> access::Condition {
    match from {
        rules::Condition::Any => access::Condition::Any,
        rules::Condition::Yes => access::Condition::Yes,
        rules::Condition::No => access::Condition::No,
    }
}

#[cfg(test)]
mod tests;
