//! PUBLISH: QoS flows in both directions, repetitions, refusals.

use access::{Activity, Condition, QoSSet, Rule};
use codec::{Packet, ProtocolVersion, Publish, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, Setup, User, allow, deny, packets};
use server::PublishDenied;

use ProtocolVersion::{V5, V311};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Every QoS published, every QoS subscribed, every pair of versions: the lower QoS is delivered.
/// Covers 5.0 [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-3.8.4-8] [MQTT-4.3.1-1] [MQTT-4.3.2-2]
/// [MQTT-4.3.2-4] [MQTT-4.3.3-2] [MQTT-4.3.3-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11], 3.1.1
/// [MQTT-2.3.1-6] [MQTT-3.3.4-1] [MQTT-3.8.4-6] [MQTT-4.3.1-1].
#[tokio::test]
async fn lower_qos_of_both_sides() {
    let broker = Broker::start().await;
    for from in BOTH {
        let mut publisher = broker.client(from, &format!("from-{from:?}")).await;
        for to in BOTH {
            for maximum in LEVELS {
                let name = format!("to-{to:?}-{maximum:?}");
                let mut subscriber = broker.client(to, &name).await;
                subscriber.subscribe("t/+", maximum).await;
                for (number, qos) in LEVELS.into_iter().enumerate() {
                    let payload = format!("{number}");
                    match qos {
                        QoS::AtMostOnce => publisher.send(packets::qos0("t/a", &payload)).await,
                        QoS::AtLeastOnce => {
                            publisher.send(packets::qos1(7, "t/a", &payload)).await;
                            publisher.expect(packets::puback(7, ReasonCode::Success)).await;
                        }
                        QoS::ExactlyOnce => {
                            publisher.send(packets::qos2(8, "t/a", &payload)).await;
                            publisher.expect(packets::pubrec(8, ReasonCode::Success)).await;
                            publisher.send(packets::pubrel(8, ReasonCode::Success)).await;
                            publisher.expect(packets::pubcomp(8, ReasonCode::Success)).await;
                        }
                    }
                    let message = subscriber.take("t/a", &payload).await;
                    assert_eq!(message.qos, qos.min(maximum));
                    assert!(!message.dup && !message.retain);
                }
                subscriber.leave().await;
            }
        }
    }
}

/// Covers 5.0 [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20].
#[tokio::test]
async fn properties_travel_unaltered() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    let mut old = broker.client(V311, "old").await;
    old.subscribe("t", QoS::AtMostOnce).await;
    // The properties of a PUBLISH, as another publisher would encode them.
    let mut bytes = vec![0x30, 0];
    bytes.extend_from_slice(b"\0\x01t");
    let mut section = vec![0x01, 1, 0x03, 0, 4];
    section.extend_from_slice(b"text");
    section.extend_from_slice(&[0x09, 0, 2, 0xFF, 0x00]);
    section.extend_from_slice(b"\x26\0\x01k\0\x01v\x26\0\x01k\0\x01w");
    section.extend_from_slice(&[0x02, 0, 0, 0, 100]);
    bytes.push(u8::try_from(section.len()).unwrap());
    bytes.append(&mut section);
    bytes.extend_from_slice(b"payload");
    bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send_bytes(&bytes).await;
    let message = subscriber.message().await;
    assert_eq!(message.text(), ("t", "payload"));
    assert_eq!(message.content_type.as_deref(), Some("text"));
    assert_eq!(message.correlation_data.as_deref(), Some(&[0xFF, 0x00][..]));
    let pair = |value: &str| ("k".to_owned(), value.to_owned());
    assert_eq!(message.user_properties, [pair("v"), pair("w")]);
    assert_eq!(message.message_expiry_interval, Some(100));
    old.take("t", "payload").await;
}

/// Covers 5.0 [MQTT-3.4.2-1] [MQTT-3.5.2-1].
#[tokio::test]
async fn without_subscribers_the_publisher_is_told() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.send(packets::qos1(1, "nobody", "x")).await;
    client.expect(packets::puback(1, ReasonCode::NoMatchingSubscribers)).await;
    client.send(packets::qos2(2, "nobody", "x")).await;
    client.expect(packets::pubrec(2, ReasonCode::NoMatchingSubscribers)).await;
    client.send(packets::pubrel(2, ReasonCode::Success)).await;
    client.expect(packets::pubcomp(2, ReasonCode::Success)).await;
}

/// QoS 2 with DUP, before and after PUBREC, also over a new connection, arrives once.
/// Covers 5.0 [MQTT-4.3.3-10] [MQTT-4.3.3-12], 3.1.1 [MQTT-4.3.3-2].
#[tokio::test]
async fn exactly_once_is_once() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut subscriber = broker.client(version, "sub").await;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let connect = packets::persistent(version, "pub");
        let mut publisher = broker.enter(connect.clone()).await.0;
        publisher.send(packets::qos2(9, "t", "once")).await;
        publisher.expect(packets::pubrec(9, ReasonCode::Success)).await;
        publisher.send(packets::again(packets::qos2(9, "t", "once"))).await;
        publisher.expect(packets::pubrec(9, ReasonCode::Success)).await;
        publisher.vanish();
        let (mut publisher, connack) = broker.enter(connect).await;
        assert!(connack.session_present);
        publisher.send(packets::again(packets::qos2(9, "t", "once"))).await;
        publisher.expect(packets::pubrec(9, ReasonCode::Success)).await;
        subscriber.take("t", "once").await;
        subscriber.quiet().await;
        publisher.send(packets::pubrel(9, ReasonCode::Success)).await;
        publisher.expect(packets::pubcomp(9, ReasonCode::Success)).await;
        // The identifier is free: the next message with it is another one.
        publisher.send(packets::qos2(9, "t", "twice")).await;
        publisher.expect(packets::pubrec(9, ReasonCode::Success)).await;
        subscriber.take("t", "twice").await;
    }
}

/// Covers 5.0 [MQTT-3.6.2-1] [MQTT-3.7.2-1].
#[tokio::test]
async fn unknown_packet_identifiers() {
    let broker = Broker::start().await;
    for version in BOTH {
        let not_found = match version {
            V5 => ReasonCode::PacketIdentifierNotFound,
            V311 => ReasonCode::Success,
        };
        let mut client = broker.client(version, "a").await;
        client.send(packets::pubrel(5, ReasonCode::Success)).await;
        client.expect(packets::pubcomp(5, not_found)).await;
        client.send(packets::pubrec(6, ReasonCode::Success)).await;
        client.expect(packets::pubrel(6, not_found)).await;
        client.send(packets::puback(7, ReasonCode::Success)).await;
        client.send(packets::pubcomp(8, ReasonCode::Success)).await;
        client.quiet().await;
    }
}

/// The subscriber may refuse a message with PUBREC: it is then complete [MQTT-4.4.0-2].
#[tokio::test]
async fn subscriber_refuses_with_pubrec() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "b").await;
    publisher.publish("t", "x").await;
    publisher.send(packets::qos2(1, "t", "y")).await;
    publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
    client.take("t", "x").await;
    let message = client.message().await;
    client.send(packets::pubrec(message.packet_id, ReasonCode::QuotaExceeded)).await;
    client.quiet().await;
    use server::BrokerHandle;
    assert_eq!(broker.broker.client("a").unwrap().in_flight, 0);
}

fn restricted() -> User {
    User::with_rules([deny("no/#"), allow("#")])
}

/// Covers 5.0 [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-4.3.3-9].
#[tokio::test]
async fn denied_publish_in_5_0() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::ExactlyOnce).await;
    broker.doorman.set_user("a", restricted());
    let mut client = broker.client(V5, "a").await;
    client.send(packets::qos0("no/x", "0")).await;
    client.send(packets::qos1(1, "no/x", "1")).await;
    client.expect(packets::puback(1, ReasonCode::NotAuthorized)).await;
    client.send(packets::qos2(2, "no/x", "2")).await;
    client.expect(packets::pubrec(2, ReasonCode::NotAuthorized)).await;
    // It is complete with that: the identifier means nothing any more.
    client.send(packets::pubrel(2, ReasonCode::Success)).await;
    client.expect(packets::pubcomp(2, ReasonCode::PacketIdentifierNotFound)).await;
    client.send(packets::retained(packets::qos1(3, "no/x", "3"))).await;
    client.expect(packets::puback(3, ReasonCode::NotAuthorized)).await;
    client.publish("yes", "4").await;
    watcher.take("yes", "4").await;
    watcher.quiet().await;
    let mut late = broker.client(V5, "late").await;
    late.subscribe("no/#", QoS::AtMostOnce).await;
    late.quiet().await;
    assert_eq!(broker.counted("portcullis_publish_denied_total"), 4);
}

/// Covers 3.1.1 [MQTT-3.3.5-2].
#[tokio::test]
async fn denied_publish_in_3_1_1() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::ExactlyOnce).await;
    broker.doorman.set_user("a", restricted());
    let mut client = broker.client(V311, "a").await;
    client.send(packets::qos0("no/x", "0")).await;
    client.send(packets::qos1(1, "no/x", "1")).await;
    client.expect(packets::puback(1, ReasonCode::Success)).await;
    client.send(packets::qos2(2, "no/x", "2")).await;
    client.expect(packets::pubrec(2, ReasonCode::Success)).await;
    client.send(packets::pubrel(2, ReasonCode::Success)).await;
    client.expect(packets::pubcomp(2, ReasonCode::Success)).await;
    client.publish("yes", "3").await;
    watcher.take("yes", "3").await;
    watcher.quiet().await;
}

/// Covers 3.1.1 [MQTT-3.3.5-2].
#[tokio::test]
async fn denied_publish_can_end_a_3_1_1_connection() {
    let setup = Setup::with(|live| live.publish_denied = PublishDenied::Disconnect);
    let broker = setup.start().await;
    broker.doorman.set_user("a", restricted());
    for (number, packet) in
        [packets::qos0("no/x", "0"), packets::qos1(1, "no/x", "1"), packets::qos2(1, "no/x", "1")]
            .into_iter()
            .enumerate()
    {
        let mut client = broker.client(V311, "a").await;
        client.publish("yes", "x").await;
        client.send(packet).await;
        client.expect_closed().await;
        assert_eq!(broker.counted("portcullis_publish_denied_total"), number as u64 + 1);
    }
    // 5.0 has codes for it and stays.
    let mut client = broker.client(V5, "a").await;
    assert_eq!(client.publish("no/x", "1").await, ReasonCode::NotAuthorized);
    client.quiet().await;
}

/// Rules may depend on QoS and RETAIN; what was permitted once on a topic says nothing of others.
#[tokio::test]
async fn permission_depends_on_qos_and_retain() {
    let broker = Broker::start().await;
    let only = Rule {
        qos: QoSSet(0b001),
        retain: Condition::No,
        activity: Activity { publish: true, subscribe: false },
        ..allow("t")
    };
    broker.doorman.set_user("a", User::with_rules([only]));
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtLeastOnce).await;
    let mut client = broker.client(V5, "a").await;
    client.send(packets::qos0("t", "yes")).await;
    client.send(packets::retained(packets::qos0("t", "no"))).await;
    assert_eq!(client.publish("t", "no").await, ReasonCode::NotAuthorized);
    client.send(packets::qos0("t", "again")).await;
    client.quiet().await;
    watcher.take("t", "yes").await;
    watcher.take("t", "again").await;
    watcher.quiet().await;
    client.send(packets::subscribe(1, &[("t", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(1, &[ReasonCode::NotAuthorized])).await;
}

/// `#` is no permission for `$` topics, and no subscription to them [MQTT-4.7.2-1].
/// Covers 5.0 [MQTT-4.7.2-1].
#[tokio::test]
async fn dollar_topics_stand_apart() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    watcher.subscribe("+/x", QoS::AtMostOnce).await;
    let mut client = broker.client(V5, "a").await;
    for topic in ["$SYS/x", "$SYS/broker/version", "$other/x", "$share/g/t"] {
        assert_eq!(client.publish(topic, "x").await, ReasonCode::NotAuthorized, "{topic}");
    }
    let rules = [allow("#"), allow("$own/#")];
    broker.doorman.set_user("b", User::with_rules(rules));
    let mut permitted = broker.client(V5, "b").await;
    permitted.subscribe("$own/+", QoS::AtMostOnce).await;
    assert_eq!(permitted.publish("$own/x", "x").await, ReasonCode::Success);
    permitted.take("$own/x", "x").await;
    watcher.quiet().await;
}

#[tokio::test]
async fn topics_have_limits() {
    let broker = Broker::start().await;
    for (topic, fits) in [
        ("t".repeat(1024), true),
        ("t".repeat(1025), false),
        (vec!["l"; 64].join("/"), true),
        (vec!["l"; 65].join("/"), false),
    ] {
        let mut client = broker.client(V5, "a").await;
        client.send(packets::qos0(&topic, "x")).await;
        if fits {
            client.quiet().await;
        } else {
            client.expect_disconnect(ReasonCode::TopicNameInvalid).await;
        }
    }
}

#[tokio::test]
async fn user_properties_of_publish_are_limited() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    for (count, code) in [(64, ReasonCode::Success), (65, ReasonCode::QuotaExceeded)] {
        let section: Vec<u8> = b"\x26\0\x01k\0\x01v".repeat(count);
        let publish = Publish::from_parts("t", &section, b"x").unwrap();
        client.send(packets::publish(3, QoS::AtLeastOnce, publish)).await;
        client.expect(packets::puback(3, code)).await;
        if code == ReasonCode::Success {
            assert_eq!(client.take("t", "x").await.user_properties.len(), count);
        }
    }
    client.quiet().await;
}

/// Covers 5.0 [MQTT-3.3.4-6].
#[tokio::test]
async fn subscription_identifier_is_not_for_clients() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    let publish = Publish { subscription_identifiers: vec![1], ..Publish::new("t", b"x") };
    client.send(Packet::Publish(publish)).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
}

/// Many messages in one segment, cut anywhere: each arrives, in order.
#[tokio::test]
async fn packets_cut_anywhere() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V311, "sub").await;
    subscriber.subscribe("t", QoS::AtMostOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let mut bytes = Vec::new();
    let payload = "p".repeat(150);
    for _ in 0..10 {
        packets::qos0("t", &payload).encode(V5, &mut bytes);
    }
    for piece in [1, 2, 3, 7, 100, 159, 160] {
        for part in bytes.chunks(piece) {
            publisher.send_bytes(part).await;
        }
        publisher.quiet().await;
        assert_eq!(subscriber.drain().await.len(), 10, "{piece}");
    }
}
