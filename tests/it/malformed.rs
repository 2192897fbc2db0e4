//! Bytes that break the rules: each closes the connection with the right code, none does harm.

use codec::{
    Acknowledgement, Auth, ConnAck, Connect, Disconnect, Packet, PacketType, ProtocolVersion,
    Publish, QoS, ReasonCode, SubAck, UnsubAck, Will,
};
use portcullis_tests::{BOTH, Broker, packets};

use ProtocolVersion::{V5, V311};

/// A connected client that sends `bytes` is closed with this code (3.1.1: without a word).
async fn check(broker: &Broker, version: ProtocolVersion, bytes: &[u8], code: ReasonCode) {
    let mut client = broker.client(version, "a").await;
    client.name = format!("{version:?} {bytes:02X?}");
    client.send_bytes(bytes).await;
    client.expect_disconnect(code).await;
}

/// Covers 5.0 [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-2.1.3-1] [MQTT-3.3.1-2] [MQTT-3.3.1-4]
/// [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-4.7.0-1]
/// [MQTT-4.7.3-2] [MQTT-4.13.1-1], 3.1.1 [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-2.2.2-1]
/// [MQTT-2.2.2-2] [MQTT-3.3.1-4] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1]
/// [MQTT-3.10.1-1] [MQTT-4.7.1-1] [MQTT-4.7.3-2] [MQTT-4.8.0-1].
#[tokio::test]
async fn rules_of_every_version() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    let table: &[(&[u8], ReasonCode)] = &[
        (&[0x00, 0], malformed),
        (&[0xC1, 0], malformed),
        (&[0xC0, 1, 0], malformed),
        // A length of five bytes, or in more bytes than it needs where 5.0 forbids that.
        (&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], malformed),
        (&[0xC0, 0xFF, 0xFF, 0xFF, 0x80, 0], malformed),
        // PUBLISH: QoS 3, DUP with QoS 0, flags of a topic that is longer than the packet.
        (&[0x36, 6, 0, 1, b'a', 0, 1, 0], malformed),
        (&[0x38, 4, 0, 1, b'a', 0], protocol),
        (&[0x30, 3, 0, 9, b'a'], malformed),
        (&[0x30, 4, 0, 1, 0xFF, 0], malformed),
        (&[0x30, 4, 0, 1, 0, 0], malformed),
        (&[0x30, 6, 0, 3, 0xED, 0xA0, 0x80, 0], malformed),
        (&[0x30, 4, 0, 1, b'#', 0], ReasonCode::TopicNameInvalid),
        (&[0x30, 6, 0, 3, b'a', b'/', b'+', 0], ReasonCode::TopicNameInvalid),
        // Wrong flags of SUBSCRIBE, UNSUBSCRIBE, PUBREL.
        (&[0x80, 7, 0, 1, 0, 0, 1, b'a', 0], malformed),
        (&[0xA0, 6, 0, 1, 0, 0, 1, b'a'], malformed),
        (&[0x60, 2, 0, 1], malformed),
        // Acknowledgements without Packet Identifier.
        (&[0x40, 1, 0], malformed),
        (&[0x50, 0], malformed),
        (&[0x62, 1, 0], malformed),
        (&[0x70, 0], malformed),
        (&[0xE0, 1, 0x03], malformed),
    ];
    for version in BOTH {
        for (bytes, code) in table {
            check(&broker, version, bytes, *code).await;
        }
    }
}

/// Covers 5.0 [MQTT-1.5.5-1] [MQTT-3.4.2-1] [MQTT-3.8.3-2] [MQTT-3.8.3-5] [MQTT-3.10.3-2]
/// [MQTT-3.14.2-1] [MQTT-3.15.2-1] [MQTT-4.12.0-7] [MQTT-4.13.1-1].
#[tokio::test]
async fn rules_of_5_0() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    let table: &[(&[u8], ReasonCode)] = &[
        (&[0xC0, 0x80, 0], malformed),
        // Neither topic nor alias.
        (&[0x30, 3, 0, 0, 0], protocol),
        // Properties: unknown, cut off, twice, of another packet, out of range.
        (&[0x30, 6, 0, 1, b'a', 2, 0x7F, 0], malformed),
        (&[0x30, 5, 0, 1, b'a', 9, 1], malformed),
        (&[0x30, 6, 0, 1, b'a', 2, 0x02, 0], malformed),
        (&[0x30, 8, 0, 1, b'a', 4, 0x01, 1, 0x01, 1], protocol),
        (&[0x30, 9, 0, 1, b'a', 5, 0x11, 0, 0, 0, 1], malformed),
        (&[0x30, 6, 0, 1, b'a', 2, 0x01, 2], protocol),
        // SUBSCRIBE: no filter, QoS 3, reserved bits, Retain Handling 3, identifier 0.
        (&[0x82, 3, 0, 1, 0], protocol),
        (&[0x82, 7, 0, 1, 0, 0, 1, b'a', 3], protocol),
        (&[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x40], malformed),
        (&[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x30], protocol),
        (&[0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, b'a', 0], protocol),
        (&[0xA2, 3, 0, 1, 0], protocol),
        // Reason Codes: unknown, of another packet.
        (&[0x40, 3, 0, 1, 0x03], malformed),
        (&[0x40, 3, 0, 1, 0x92], protocol),
        (&[0xE0, 1, 0x10], protocol),
        // AUTH without authentication.
        (&[0xF0, 0], protocol),
    ];
    for (bytes, code) in table {
        check(&broker, V5, bytes, *code).await;
    }
}

/// A Packet Identifier of 0 is none [MQTT-2.2.1-3].
/// Covers 5.0 [MQTT-2.2.1-3].
#[tokio::test]
async fn packet_identifier_zero() {
    let broker = Broker::start().await;
    let table: &[&[u8]] = &[
        &[0x32, 6, 0, 1, b'a', 0, 0, 0],
        &[0x34, 6, 0, 1, b'a', 0, 0, 0],
        &[0x40, 2, 0, 0],
        &[0x62, 2, 0, 0],
        &[0x82, 7, 0, 0, 0, 0, 1, b'a', 0],
        &[0xA2, 6, 0, 0, 0, 0, 1, b'a'],
    ];
    for bytes in table {
        let mut client = broker.client(V5, "a").await;
        client.send_bytes(bytes).await;
        let code = client.last_words().await;
        let expected = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
        assert!(code.is_some_and(|code| expected.contains(&code)), "{bytes:02X?}: {code:?}");
    }
}

/// Covers 5.0 [MQTT-4.13.1-1], 3.1.1 [MQTT-4.8.0-1].
#[tokio::test]
async fn packets_of_a_server() {
    let broker = Broker::start().await;
    let id = packets::id(1);
    for version in BOTH {
        for packet in [
            Packet::ConnAck(Box::new(ConnAck::new(ReasonCode::Success))),
            Packet::SubAck(SubAck::new(id, vec![ReasonCode::Success])),
            Packet::UnsubAck(UnsubAck::new(
                id,
                match version {
                    V5 => vec![ReasonCode::Success],
                    V311 => Vec::new(),
                },
            )),
            Packet::PingResp,
        ] {
            let mut bytes = Vec::new();
            packet.encode(version, &mut bytes);
            check(&broker, version, &bytes, ReasonCode::ProtocolError).await;
        }
    }
}

/// One of each packet, with about everything that it can carry.
fn golden(version: ProtocolVersion) -> Vec<Packet<'static>> {
    let id = packets::id(258);
    let user_properties = vec![("name".to_owned(), "value".to_owned())];
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        delay_interval: 5,
        content_type: Some("text".to_owned()),
        response_topic: Some("answer".to_owned()),
        correlation_data: Some(vec![1, 2]),
        user_properties: user_properties.clone(),
        ..Will::new("will/topic", b"payload")
    };
    let connect = Connect {
        username: Some("user".to_owned()),
        password: Some(b"password".to_vec()),
        will: Some(Box::new(will)),
        session_expiry_interval: if version == V5 { 10 } else { 0 },
        receive_maximum: 10,
        maximum_packet_size: Some(1000),
        topic_alias_maximum: 3,
        user_properties: user_properties.clone(),
        ..Connect::new(version, "golden")
    };
    let publish = Publish {
        payload_format_indicator: Some(true),
        message_expiry_interval: Some(9),
        topic_alias: Some(2),
        response_topic: Some("answer"),
        correlation_data: Some(b"12"),
        content_type: Some("text"),
        ..Publish::new("some/topic", b"payload")
    };
    let remark = |reason_code| Acknowledgement {
        reason_string: Some("why".to_owned()),
        user_properties: user_properties.clone(),
        ..Acknowledgement::new(id, reason_code)
    };
    let filters = [("a/+/b", QoS::AtLeastOnce), ("$share/g/c/#", QoS::ExactlyOnce)];
    let mut all = vec![
        Packet::Connect(Box::new(connect)),
        Packet::Publish(publish.clone()),
        packets::publish(7, QoS::AtLeastOnce, publish.clone()),
        packets::retained(packets::publish(8, QoS::ExactlyOnce, publish)),
        Packet::PubAck(remark(ReasonCode::Success)),
        Packet::PubRec(remark(ReasonCode::UnspecifiedError)),
        Packet::PubRel(remark(ReasonCode::Success)),
        Packet::PubComp(remark(ReasonCode::PacketIdentifierNotFound)),
        packets::subscribe(258, &filters),
        packets::unsubscribe(258, &["a/+/b", "$share/g/c/#"]),
        Packet::PingReq,
        Packet::Disconnect(Disconnect {
            session_expiry_interval: Some(0),
            user_properties: user_properties.clone(),
            ..Disconnect::new(ReasonCode::DisconnectWithWillMessage)
        }),
    ];
    if version == V5 {
        all.push(Packet::Auth(Auth::new(ReasonCode::ReAuthenticate, "method")));
    }
    all
}

/// Each packet, cut at each byte: with its old length it is waited for and forgotten with its
/// connection, with the matching length it is taken or refused with a code.
#[tokio::test]
async fn every_packet_truncated() {
    let broker = Broker::start().await;
    for version in BOTH {
        for packet in golden(version) {
            let mut whole = Vec::new();
            packet.encode(version, &mut whole);
            let header = if whole[1] < 0x80 { 2 } else { 3 };
            for cut in 1..whole.len() {
                let first = whole[0] >> 4 == PacketType::Connect as u8;
                let name = format!("{version:?} {:02X?}", &whole[..cut]);
                truncated(&broker, version, (first, &name), &whole[..cut], true).await;
                if cut >= header {
                    let mut fitted = vec![whole[0]];
                    let length = cut - header;
                    if length >= 0x80 {
                        let low = u8::try_from(length & 0x7F).unwrap() | 0x80;
                        fitted.extend_from_slice(&[low, u8::try_from(length >> 7).unwrap()]);
                    } else {
                        fitted.push(u8::try_from(length).unwrap());
                    }
                    fitted.extend_from_slice(&whole[header..cut]);
                    truncated(&broker, version, (first, &name), &fitted, false).await;
                }
            }
        }
    }
    broker.until(|broker| server::BrokerHandle::totals(broker).connections == 0).await;
    broker.client(V5, "after").await.quiet().await;
}

async fn truncated(
    broker: &Broker,
    version: ProtocolVersion,
    (first, name): (bool, &str),
    bytes: &[u8],
    incomplete: bool,
) {
    let mut client = match first {
        true => broker.open(version).await,
        false => broker.client(version, "truncated").await,
    };
    client.name = name.to_owned();
    client.send_bytes(bytes).await;
    if incomplete {
        return client.vanish();
    }
    // Either the packet was acceptable and the connection goes on to this, or it has ended.
    client.try_send_bytes(&[0, 0]).await;
    let code = client.last_words().await;
    let ended_by_client = bytes[0] >> 4 == PacketType::Disconnect as u8;
    match version {
        V5 if !first && !ended_by_client => {
            assert!(code.is_some_and(ReasonCode::is_failure), "{name}: {code:?}");
        }
        _ => assert!(code.is_none_or(ReasonCode::is_failure), "{name}: {code:?}"),
    }
}
