//! RETAIN (section 3.3.1.3), as far as the dialogues of retained messages do not show it.

use codec::{ProtocolVersion::V5, QoS, RetainHandling, SubscriptionOptions};
use portcullis_tests::{BOTH, Broker, packets};

/// A message without RETAIN leaves what is retained alone, an empty one too.
/// Covers 5.0 [MQTT-3.3.1-8], 3.1.1 [MQTT-3.3.1-12].
#[tokio::test]
async fn without_retain_nothing_changes() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(version, "pub").await;
        publisher.send(packets::qos0("never", "x")).await;
        publisher.send(packets::retained(packets::qos0("t", "kept"))).await;
        publisher.send(packets::qos0("t", "passing")).await;
        publisher.send(packets::qos0("t", "")).await;
        publisher.quiet().await;
        let mut late = broker.client(version, "late").await;
        late.subscribe("#", QoS::AtMostOnce).await;
        assert!(late.take("t", "kept").await.retain);
        late.quiet().await;
    }
}

/// A QoS 0 message takes the place of what was retained with a higher QoS.
/// Covers 5.0 [MQTT-3.3.1-5], 3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-7].
#[tokio::test]
async fn qos_0_replaces() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(version, "pub").await;
        publisher.send(packets::retained(packets::qos2(1, "t", "old"))).await;
        publisher.pubrec(1).await;
        publisher.send(packets::retained(packets::qos0("t", "new"))).await;
        publisher.quiet().await;
        let mut late = broker.client(version, "late").await;
        late.subscribe("t", QoS::ExactlyOnce).await;
        assert_eq!(late.take("t", "new").await.qos, QoS::AtMostOnce);
        late.quiet().await;
    }
}

/// The session that published it has ended, and it is still there.
/// Covers 3.1.1 [MQTT-3.1.2-7].
#[tokio::test]
async fn retained_messages_outlive_sessions() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(version, "pub").await;
        publisher.send(packets::retained(packets::qos1(1, "t", "kept"))).await;
        publisher.puback(1).await;
        publisher.leave().await;
        use server::BrokerHandle;
        broker.until(|broker| broker.totals().sessions == 0).await;
        let mut late = broker.client(version, "late").await;
        late.subscribe("t", QoS::AtMostOnce).await;
        late.take("t", "kept").await;
    }
}

/// An existing subscription that is made again brings retained messages again and replaces its QoS;
/// what is published meanwhile comes all the same, each message once.
/// Covers 5.0 [MQTT-3.8.4-3] [MQTT-3.8.4-4], 3.1.1 [MQTT-3.8.4-3].
#[tokio::test]
async fn subscribing_again_loses_nothing() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(version, "pub").await;
        publisher.send(packets::retained(packets::qos1(1, "t/kept", "kept"))).await;
        publisher.puback(1).await;
        let mut client = broker.client(version, "sub").await;
        client.subscribe("t/+", QoS::AtMostOnce).await;
        client.take("t/kept", "kept").await;
        for round in 0..50 {
            let text = format!("{round}");
            publisher.send(packets::qos1(1, "t/live", &text)).await;
            client.send(packets::subscribe(1, &[("t/+", QoS::AtLeastOnce)])).await;
            publisher.puback(1).await;
            // Three things come, in whichever order: the answer, the retained message, the new one.
            let (mut answered, mut kept, mut live) = (0, 0, 0);
            while (answered, kept, live) != (1, 1, 1) {
                let next = client.next(|packet| match packet {
                    codec::Packet::SubAck(_) => None,
                    codec::Packet::Publish(publish) => {
                        let id = publish.packet_id.map(codec::PacketId::get);
                        Some((publish.topic.to_owned(), publish.retain, id))
                    }
                    other => panic!("{other:?}"),
                });
                match tokio::time::timeout(portcullis_tests::WAIT, next).await.expect("in time") {
                    Some(None) => answered += 1,
                    Some(Some((topic, retain, id))) => {
                        assert_eq!(retain, topic == "t/kept");
                        if topic == "t/kept" {
                            kept += 1
                        } else {
                            live += 1
                        }
                        if let Some(id) = id {
                            client.send(packets::puback(id, codec::ReasonCode::Success)).await;
                        }
                    }
                    None => panic!("closed"),
                }
                assert!(answered <= 1 && kept <= 1 && live <= 1);
            }
        }
        client.quiet().await;
    }
}

/// Each Retain Handling with each state of the subscription; Retain As Published says nothing about
/// what is retained.
/// Covers 5.0 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11].
#[tokio::test]
async fn retain_handling_by_retain_as_published() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(packets::retained(packets::qos0("t", "kept"))).await;
    publisher.quiet().await;
    for retain_as_published in [false, true] {
        for (retain_handling, when_new, when_known) in [
            (RetainHandling::SendAtSubscribe, true, true),
            (RetainHandling::SendIfNew, true, false),
            (RetainHandling::DoNotSend, false, false),
        ] {
            let mut client = broker.client(V5, "sub").await;
            let options = SubscriptionOptions {
                retain_as_published,
                retain_handling,
                ..SubscriptionOptions::new(QoS::AtMostOnce)
            };
            for comes in [when_new, when_known] {
                client.send(packets::subscribe_with(1, "t", options, None)).await;
                client.expect(packets::suback(1, &[codec::ReasonCode::Success])).await;
                if comes {
                    assert!(client.take("t", "kept").await.retain);
                }
                client.quiet().await;
            }
            client.leave().await;
        }
    }
}
