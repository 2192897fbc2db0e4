//! PUBLISH (section 3.3), from the client and to it.

use codec::{Connect, Packet, ProtocolVersion, Publish, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, Setup, packets};

use ProtocolVersion::{V5, V311};

/// Everything that must travel on, bytes that look like something else among it.
/// Covers 5.0 [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
/// [MQTT-3.3.2-20].
#[tokio::test]
async fn properties_travel_unaltered() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    let mut away = broker.enter(packets::persistent(V5, "away")).await.0;
    away.subscribe("t", QoS::AtLeastOnce).await;
    away.leave().await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let user =
        [pair("b", "2"), pair("a", "1"), pair("b", "2"), pair("", ""), pair("\u{FEFF}", "ü")];
    let mut section = Vec::new();
    for (name, value) in &user {
        section.extend([&[0x26][..], &packets::field(name), &packets::field(value)].concat());
    }
    let mut publisher = broker.client(V5, "pub").await;
    for (number, indicator) in [(1, Some(false)), (2, Some(true)), (3, None)] {
        let publish = Publish {
            payload_format_indicator: indicator,
            response_topic: Some("answer/$here"),
            correlation_data: Some(&[0, 0xFF, 0x26]),
            content_type: Some("text/plain; charset=\"x\""),
            ..Publish::from_parts("t", &section, b"x").expect("User Properties")
        };
        publisher.send(packets::publish(number, QoS::ExactlyOnce, publish)).await;
        publisher.expect(packets::pubrec(number, ReasonCode::Success)).await;
    }
    let mut away = broker.enter(packets::persistent(V5, "away")).await.0;
    for client in [&mut subscriber, &mut away] {
        for indicator in [Some(false), Some(true), None] {
            let message = client.take("t", "x").await;
            assert_eq!(message.payload_format_indicator, indicator);
            assert_eq!(message.response_topic.as_deref(), Some("answer/$here"));
            assert_eq!(message.correlation_data.as_deref(), Some(&[0, 0xFF, 0x26][..]));
            assert_eq!(message.content_type.as_deref(), Some("text/plain; charset=\"x\""));
            assert_eq!(message.user_properties, user);
        }
    }
}

/// Each property that may stand once, twice; properties of other packets; values out of range; a
/// Response Topic with wildcards; a Property Length that lies.
/// Covers 5.0 [MQTT-3.3.2-8] [MQTT-3.3.2-14] [MQTT-3.3.4-6] [MQTT-4.13.1-1].
#[tokio::test]
async fn properties_that_are_refused() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    let table: &[(&[u8], ReasonCode)] = &[
        (b"\x01\x01\x01\x01", protocol),
        (b"\x02\0\0\0\x01\x02\0\0\0\x01", protocol),
        (b"\x03\0\x01t\x03\0\x01t", protocol),
        (b"\x08\0\x01r\x08\0\x01r", protocol),
        (b"\x09\0\x01d\x09\0\x01d", protocol),
        (b"\x23\0\x01\x23\0\x01", protocol),
        (b"\x01\x02", protocol),
        (b"\x23\0\0", ReasonCode::TopicAliasInvalid),
        (b"\x08\0\x03a/#", protocol),
        (b"\x08\0\x01+", protocol),
        (b"\x0B\x01", protocol),
        (b"\x0B\0", protocol),
        // Session Expiry Interval, Reason String, Will Delay Interval, one that does not exist.
        (b"\x11\0\0\0\x01", malformed),
        (b"\x1F\0\x01r", malformed),
        (b"\x18\0\0\0\x01", malformed),
        (b"\x7E\0", malformed),
        // Cut off: a value, a length, a pair.
        (b"\x02\0\0", malformed),
        (b"\x03\0\x09t", malformed),
        (b"\x26\0\x01k", malformed),
    ];
    for (section, code) in table {
        let length = [u8::try_from(section.len()).unwrap()];
        let bytes = packets::framed(0x30, &[&packets::field("t"), &length, section]);
        let mut client = broker.client(V5, "a").await;
        client.name = format!("{bytes:02X?}");
        client.send_bytes(&bytes).await;
        client.expect_disconnect(*code).await;
    }
}

/// Wildcards, and no topic at all.
/// Covers 5.0 [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.3-1], 3.1.1 [MQTT-3.3.2-2]
/// [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.8.0-1].
#[tokio::test]
async fn topics_that_are_none() {
    let broker = Broker::start().await;
    for version in BOTH {
        for (topic, code) in [
            ("#", ReasonCode::TopicNameInvalid),
            ("+", ReasonCode::TopicNameInvalid),
            ("a/+/b", ReasonCode::TopicNameInvalid),
            ("a#", ReasonCode::TopicNameInvalid),
            ("", ReasonCode::ProtocolError),
        ] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let mut client = broker.client(version, "a").await;
                client.name = format!("{version:?} {topic:?}");
                let publish = Publish::new(topic, b"x");
                let packet = match qos {
                    QoS::AtMostOnce => Packet::Publish(publish),
                    _ => packets::publish(1, qos, publish),
                };
                client.send(packet).await;
                client.expect_disconnect(code).await;
            }
        }
    }
}

/// Covers 5.0 [MQTT-3.3.1-2] [MQTT-3.3.1-4], 3.1.1 [MQTT-2.3.1-1] [MQTT-3.3.1-2]
/// [MQTT-3.3.1-4] [MQTT-4.8.0-1].
#[tokio::test]
async fn flags_and_identifiers_that_are_none() {
    let broker = Broker::start().await;
    for version in BOTH {
        let none: &[u8] = if version == V5 { &[0] } else { &[] };
        let t = &*packets::field("t");
        let table: &[(u8, &[&[u8]], ReasonCode)] = &[
            // QoS 3, without and with DUP and RETAIN.
            (0x36, &[t, &[0, 1], none], ReasonCode::MalformedPacket),
            (0x3F, &[t, &[0, 1], none], ReasonCode::MalformedPacket),
            // DUP with QoS 0.
            (0x38, &[t, none], ReasonCode::ProtocolError),
            // Packet Identifier 0: PUBLISH and its acknowledgements, SUBSCRIBE, UNSUBSCRIBE.
            (0x32, &[t, &[0, 0], none], ReasonCode::ProtocolError),
            (0x34, &[t, &[0, 0], none], ReasonCode::ProtocolError),
            (0x40, &[&[0, 0]], ReasonCode::ProtocolError),
            (0x50, &[&[0, 0]], ReasonCode::ProtocolError),
            (0x62, &[&[0, 0]], ReasonCode::ProtocolError),
            (0x70, &[&[0, 0]], ReasonCode::ProtocolError),
            (0x82, &[&[0, 0], none, t, &[0]], ReasonCode::ProtocolError),
            (0xA2, &[&[0, 0], none, t], ReasonCode::ProtocolError),
            // None at all.
            (0x32, &[t], ReasonCode::MalformedPacket),
        ];
        for (first, parts, code) in table {
            let bytes = packets::framed(*first, parts);
            let mut client = broker.client(version, "a").await;
            client.name = format!("{version:?} {bytes:02X?}");
            client.send_bytes(&bytes).await;
            client.expect_disconnect(*code).await;
        }
    }
}

/// A publisher's DUP says nothing to subscribers, and a QoS 1 message with DUP is a message.
/// Covers 5.0 [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.2-5] [MQTT-4.3.3-2], 3.1.1
/// [MQTT-3.3.1-3] [MQTT-4.3.2-2].
#[tokio::test]
async fn dup_is_between_two() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, "sub").await;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = broker.client(version, "pub").await;
        for (number, packet) in [
            packets::qos1(7, "t", "0"),
            packets::again(packets::qos1(7, "t", "1")),
            packets::qos1(7, "t", "2"),
        ]
        .into_iter()
        .enumerate()
        {
            publisher.send(packet).await;
            publisher.expect(packets::puback(7, ReasonCode::Success)).await;
            assert!(!subscriber.take("t", &number.to_string()).await.dup);
        }
        publisher.send(packets::again(packets::qos2(8, "t", "3"))).await;
        publisher.expect(packets::pubrec(8, ReasonCode::Success)).await;
        assert!(!subscriber.take("t", "3").await.dup);
        subscriber.quiet().await;
    }
}

/// Messages of one client on one topic arrive in their order, at once and from the queue. Exactly
/// once with a window of one, which keeps the answers apart; `session`'s simulation mixes them.
/// Covers 5.0 [MQTT-4.6.0-5] [MQTT-4.6.0-6], 3.1.1 [MQTT-4.6.0-5] [MQTT-4.6.0-6].
#[tokio::test]
async fn topics_are_ordered() {
    for (qos, window) in [(QoS::AtLeastOnce, 32), (QoS::ExactlyOnce, 1)] {
        let setup = Setup::with(|live| live.limits.sizes.receive_maximum = window);
        let broker = setup.start().await;
        for version in BOTH {
            let mut here = broker.client(version, "here").await;
            here.subscribe("#", qos).await;
            let resume = packets::persistent(version, &format!("away-{version:?}"));
            let mut away = broker.enter(resume.clone()).await.0;
            away.subscribe("t/+", qos).await;
            away.leave().await;
            let mut publisher = broker.client(version, "pub").await;
            let texts = (0..100).map(|number| number.to_string()).collect::<Vec<_>>();
            for text in &texts {
                let publish = Publish::new("t/x", text.as_bytes());
                publisher.send(packets::publish(1, qos, publish)).await;
                if qos == QoS::ExactlyOnce {
                    publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
                    publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
                    publisher.expect(packets::pubcomp(1, ReasonCode::Success)).await;
                } else {
                    publisher.expect(packets::puback(1, ReasonCode::Success)).await;
                }
            }
            let mut away = broker.enter(resume).await.0;
            for text in &texts {
                here.take("t/x", text).await;
                away.take("t/x", text).await;
            }
            away.send(packets::unsubscribe(1, &["t/+"])).await;
            away.expect(packets::unsuback(version, 1, &[ReasonCode::Success])).await;
        }
    }
}

/// Without Subscription Identifiers 3.1.1 has overlaps too.
/// Covers 3.1.1 [MQTT-3.3.5-1].
#[tokio::test]
async fn overlapping_subscriptions_of_3_1_1() {
    let broker = Broker::start().await;
    let mut client = broker.client(V311, "sub").await;
    client.subscribe("a/#", QoS::AtMostOnce).await;
    client.subscribe("a/+", QoS::ExactlyOnce).await;
    client.subscribe("+/b", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V311, "pub").await;
    publisher.send(packets::qos2(1, "a/b", "x")).await;
    publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
    assert_eq!(client.take("a/b", "x").await.qos, QoS::ExactlyOnce);
    client.quiet().await;
}

/// A client that allows no alias is sent none, however often a topic comes; nor is a 3.1.1 client.
/// Covers 5.0 [MQTT-3.1.2-27] [MQTT-3.3.2-11].
#[tokio::test]
async fn no_alias_for_who_allows_none() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for version in BOTH {
        let mut subscriber = broker.client(version, "sub").await;
        subscriber.subscribe("#", QoS::AtMostOnce).await;
        for _ in 0..3 {
            publisher.publish("some/long/topic", "x").await;
            assert_eq!(subscriber.take("some/long/topic", "x").await.topic_alias, None);
        }
    }
}

/// Every alias from 1 to what CONNACK said.
/// Covers 5.0 [MQTT-3.3.2-12].
#[tokio::test]
async fn every_alias_within_the_maximum() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("#", QoS::AtMostOnce).await;
    let (mut client, connack) = broker.enter(Connect::new(V5, "pub")).await;
    let most = connack.topic_alias_maximum.expect("said");
    for topic in ["first", ""] {
        for alias in 1..=most {
            let name = if topic.is_empty() { String::new() } else { format!("{topic}/{alias}") };
            let publish = Publish { topic_alias: Some(alias), ..Publish::new(&name, b"x") };
            client.send(Packet::Publish(publish)).await;
            subscriber.take(&format!("first/{alias}"), "x").await;
        }
    }
}

/// A message that lives for no time is delivered to who is there, and kept for nobody.
/// Covers 5.0 [MQTT-3.3.2-5].
#[tokio::test]
async fn an_expiry_of_0_is_now_or_never() {
    let broker = Broker::start().await;
    let mut away = broker.enter(packets::persistent(V5, "away")).await.0;
    away.subscribe("t", QoS::ExactlyOnce).await;
    away.leave().await;
    let mut here = broker.client(V5, "here").await;
    here.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let publish = || Publish { message_expiry_interval: Some(0), ..Publish::new("t", b"x") };
    publisher.send(packets::retained(Packet::Publish(publish()))).await;
    publisher.send(packets::publish(1, QoS::AtLeastOnce, publish())).await;
    publisher.expect(packets::puback(1, ReasonCode::Success)).await;
    publisher.send(packets::publish(2, QoS::ExactlyOnce, publish())).await;
    publisher.expect(packets::pubrec(2, ReasonCode::Success)).await;
    for _ in 0..2 {
        let message = here.message().await;
        assert_eq!(message.message_expiry_interval, Some(0));
        here.send(packets::puback(message.packet_id.max(1), ReasonCode::Success)).await;
    }
    here.take("t", "x").await;
    here.quiet().await;
    broker.enter(packets::persistent(V5, "away")).await.0.quiet().await;
    let mut late = broker.client(V5, "late").await;
    late.subscribe("t", QoS::AtMostOnce).await;
    late.quiet().await;
}
