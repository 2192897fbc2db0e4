//! Generated packets of all kinds, in both versions: what is encoded decodes to the same.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use topic::SubscriptionFilter;

use crate::test_support::{BOTH, check_reads, decode_whole, encoded, version_of, with_length};
use crate::*;

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn topic_name() -> impl Strategy<Value = String> {
    "[^\0#+]{1,30}"
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

fn user_properties() -> impl Strategy<Value = UserPropertiesBuf> {
    vec((text(), text()), 0..3)
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|value| PacketId::new(value).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    (0..=2_u8).prop_map(|value| QoS::from_value(value).unwrap())
}

fn identifier() -> impl Strategy<Value = u32> {
    1..=268_435_455_u32
}

fn reason_code(packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let allowed: Vec<_> =
        (0..=255).filter_map(|value| reason_code::decode(value, packet_type).ok()).collect();
    prop::sample::select(allowed)
}

prop_compose! {
    fn will()(
        (topic, payload, qos, retain) in (topic_name(), bytes(), qos(), any::<bool>()),
        delay_interval in any::<u32>(),
        payload_format_indicator in of(any::<bool>()),
        message_expiry_interval in of(any::<u32>()),
        content_type in of(text()),
        response_topic in of(topic_name()),
        correlation_data in of(bytes()),
        user_properties in user_properties(),
    ) -> Will {
        Will {
            topic, payload, qos, retain, delay_interval, payload_format_indicator,
            message_expiry_interval, content_type, response_topic, correlation_data,
            user_properties,
        }
    }
}

prop_compose! {
    fn connect_v5()(
        (client_id, clean_start, keep_alive) in (text(), any::<bool>(), any::<u16>()),
        (username, password, will) in (of(text()), of(bytes()), of(will())),
        session_expiry_interval in any::<u32>(),
        receive_maximum in 1..=u16::MAX,
        maximum_packet_size in of(1..=u32::MAX),
        topic_alias_maximum in any::<u16>(),
        (request_response_information, request_problem_information) in any::<(bool, bool)>(),
        authentication in of((text(), of(bytes()))),
        user_properties in user_properties(),
    ) -> Connect {
        let (authentication_method, authentication_data) = authentication.unzip();
        Connect {
            version: ProtocolVersion::V5, mqtt_3_1: false, client_id, clean_start, keep_alive,
            username, password, will: will.map(Box::new), session_expiry_interval, receive_maximum,
            maximum_packet_size, topic_alias_maximum, request_response_information,
            request_problem_information, authentication_method,
            authentication_data: authentication_data.flatten(), user_properties,
        }
    }
}

/// What is left of a 5.0 CONNECT in 3.1.1.
fn as_v311(connect: &Connect) -> Connect {
    let mut old = Connect::new(ProtocolVersion::V311, &connect.client_id);
    old.clean_start = connect.clean_start || connect.client_id.is_empty();
    old.session_expiry_interval = if old.clean_start { 0 } else { u32::MAX };
    old.keep_alive = connect.keep_alive;
    old.username = connect.username.clone();
    old.password = connect.password.clone().filter(|_| old.username.is_some());
    old.will = connect.will.as_ref().map(|will| {
        Box::new(Will {
            qos: will.qos,
            retain: will.retain,
            ..Will::new(&will.topic, &will.payload)
        })
    });
    old
}

prop_compose! {
    fn connack()(
        (session_present, reason_code) in (any::<bool>(), reason_code(PacketType::ConnAck)),
        (session_expiry_interval, receive_maximum) in (of(any::<u32>()), of(1..=u16::MAX)),
        maximum_qos in of(prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce])),
        flags in (of(any::<bool>()), of(any::<bool>()), of(any::<bool>()), of(any::<bool>())),
        maximum_packet_size in of(1..=u32::MAX),
        (assigned_client_identifier, reason_string) in (of(text()), of(text())),
        (topic_alias_maximum, server_keep_alive) in (of(any::<u16>()), of(any::<u16>())),
        user_properties in user_properties(),
        (response_information, server_reference) in (of(text()), of(text())),
        (authentication_method, authentication_data) in (of(text()), of(bytes())),
    ) -> ConnAck {
        ConnAck {
            session_present: session_present && reason_code == ReasonCode::Success,
            reason_code, session_expiry_interval, receive_maximum, maximum_qos,
            retain_available: flags.0, maximum_packet_size, assigned_client_identifier,
            topic_alias_maximum, reason_string, user_properties,
            wildcard_subscription_available: flags.1,
            subscription_identifiers_available: flags.2,
            shared_subscription_available: flags.3, server_keep_alive, response_information,
            server_reference, authentication_method, authentication_data,
        }
    }
}

fn acknowledgement(packet_type: PacketType) -> impl Strategy<Value = Acknowledgement> {
    (packet_id(), reason_code(packet_type), of(text()), user_properties()).prop_map(
        |(packet_id, reason_code, reason_string, user_properties)| Acknowledgement {
            packet_id,
            reason_code,
            reason_string,
            user_properties,
        },
    )
}

fn filter() -> impl Strategy<Value = Result<SubscriptionFilter, String>> {
    prop_oneof![
        "[^\0]{0,10}",
        "(\\$share/[a-z]{1,3}/)?([a-c]{0,2}|\\+)(/([a-c]{0,2}|\\+)){0,3}(/#)?",
    ]
    .prop_map(|text: String| SubscriptionFilter::parse(&text).map_err(|_| text))
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    let handling = prop::sample::select(vec![
        RetainHandling::SendAtSubscribe,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        |(maximum_qos, no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            maximum_qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn request() -> impl Strategy<Value = SubscriptionRequest> {
    (filter(), options()).prop_map(|(filter, mut options)| {
        let shared = filter.as_ref().is_ok_and(|filter| filter.share.is_some());
        options.no_local &= !shared;
        SubscriptionRequest { filter, options }
    })
}

prop_compose! {
    fn subscribe()(
        packet_id in packet_id(),
        subscription_identifier in of(identifier()),
        user_properties in user_properties(),
        requests in vec(request(), 1..4),
    ) -> Subscribe {
        Subscribe { packet_id, subscription_identifier, user_properties, requests }
    }
}

prop_compose! {
    fn suback(packet_type: PacketType)(
        packet_id in packet_id(),
        reason_string in of(text()),
        user_properties in user_properties(),
        reason_codes in vec(reason_code(packet_type), 1..5),
    ) -> SubAck {
        SubAck { packet_id, reason_string, user_properties, reason_codes }
    }
}

fn unsuback() -> impl Strategy<Value = UnsubAck> {
    suback(PacketType::UnsubAck).prop_map(|suback| UnsubAck {
        packet_id: suback.packet_id,
        reason_string: suback.reason_string,
        user_properties: suback.user_properties,
        reason_codes: suback.reason_codes,
    })
}

prop_compose! {
    fn unsubscribe()(
        packet_id in packet_id(),
        user_properties in user_properties(),
        filters in vec(filter(), 1..4),
    ) -> Unsubscribe {
        Unsubscribe { packet_id, user_properties, filters }
    }
}

prop_compose! {
    fn disconnect()(
        reason_code in reason_code(PacketType::Disconnect),
        session_expiry_interval in of(any::<u32>()),
        (reason_string, server_reference) in (of(text()), of(text())),
        user_properties in user_properties(),
    ) -> Disconnect {
        Disconnect {
            reason_code, session_expiry_interval, reason_string, user_properties, server_reference,
        }
    }
}

prop_compose! {
    fn auth()(
        reason_code in reason_code(PacketType::Auth),
        method in text(),
        authentication_data in of(bytes()),
        reason_string in of(text()),
        user_properties in user_properties(),
    ) -> Auth {
        Auth {
            reason_code, authentication_method: Some(method), authentication_data, reason_string,
            user_properties,
        }
    }
}

/// All packets but PUBLISH, which borrows.
fn packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        connect_v5().prop_map(|packet| Packet::Connect(Box::new(packet))),
        connack().prop_map(|packet| Packet::ConnAck(Box::new(packet))),
        acknowledgement(PacketType::PubAck).prop_map(Packet::PubAck),
        acknowledgement(PacketType::PubRec).prop_map(Packet::PubRec),
        acknowledgement(PacketType::PubRel).prop_map(Packet::PubRel),
        acknowledgement(PacketType::PubComp).prop_map(Packet::PubComp),
        subscribe().prop_map(Packet::Subscribe),
        suback(PacketType::SubAck).prop_map(Packet::SubAck),
        unsubscribe().prop_map(Packet::Unsubscribe),
        unsuback().prop_map(Packet::UnsubAck),
        disconnect().prop_map(Packet::Disconnect),
        auth().prop_map(Packet::Auth),
    ]
}

/// The owned pieces of a generated PUBLISH; its message is a Will, which has the same parts.
#[derive(Debug)]
struct Message {
    will: Will,
    packet_id: PacketId,
    dup: bool,
    topic_alias: Option<u16>,
    subscription_identifiers: Vec<u32>,
}

prop_compose! {
    fn message()(
        (will, packet_id, dup) in (will(), packet_id(), any::<bool>()),
        topic_alias in of(1..=u16::MAX),
        subscription_identifiers in vec(identifier(), 0..4),
    ) -> Message {
        Message { will, packet_id, dup, topic_alias, subscription_identifiers }
    }
}

proptest! {
    #[test]
    fn packets_of_5_0(packet in packet()) {
        let bytes = encoded(ProtocolVersion::V5, &packet);
        check_reads(ProtocolVersion::V5, &bytes, &packet);
    }

    #[test]
    fn connect_of_3_1_1(connect in connect_v5()) {
        let packet = Packet::Connect(Box::new(as_v311(&connect)));
        let bytes = encoded(ProtocolVersion::V311, &packet);
        check_reads(ProtocolVersion::V311, &bytes, &packet);
    }

    /// 3.1.1 loses what it cannot say, once: what was decoded encodes to the same bytes.
    #[test]
    fn packets_of_3_1_1(packet in packet()) {
        prop_assume!(!matches!(packet, Packet::Connect(_) | Packet::Auth(_)));
        let bytes = encoded(ProtocolVersion::V311, &packet);
        let decoded = decode_whole(ProtocolVersion::V311, &bytes).unwrap();
        prop_assert_eq!(encoded(ProtocolVersion::V311, &decoded), bytes);
    }

    #[test]
    fn publish_of_both(message in message()) {
        let mut forwarded = Vec::new();
        message.will.encode_forwarded(&mut forwarded);
        let will = &message.will;
        let parts = Publish::from_parts(&will.topic, &forwarded, &will.payload).unwrap();
        let deliverable = will.qos != QoS::AtMostOnce;
        let flags = Publish {
            dup: message.dup && deliverable,
            qos: will.qos,
            retain: will.retain,
            packet_id: Some(message.packet_id).filter(|_| deliverable),
            ..Publish::new(&will.topic, &will.payload)
        };
        let bytes = encoded(ProtocolVersion::V311, &Packet::Publish(flags.clone()));
        check_reads(ProtocolVersion::V311, &bytes, &Packet::Publish(flags.clone()));
        let full = Publish {
            dup: flags.dup,
            qos: flags.qos,
            retain: flags.retain,
            packet_id: flags.packet_id,
            message_expiry_interval: will.message_expiry_interval,
            topic_alias: message.topic_alias,
            subscription_identifiers: message.subscription_identifiers.clone(),
            ..parts
        };
        let bytes = encoded(ProtocolVersion::V5, &Packet::Publish(full.clone()));
        check_reads(ProtocolVersion::V5, &bytes, &Packet::Publish(full.clone()));
        prop_assert_eq!(full.user_properties.to_buf(), will.user_properties.clone());
    }

    /// Any bytes behind any first byte: judged without a panic, and what is a packet stays one.
    #[test]
    fn any_body(first in any::<u8>(), body in vec(any::<u8>(), 0..60)) {
        let bytes = with_length(first, &body);
        for version in BOTH {
            if let Ok(packet) = decode_whole(version, &bytes) {
                let again = encoded(version_of(&packet, version), &packet);
                check_reads(version, &again, &packet);
            }
        }
    }
}
