//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use codec::{ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, packets};

use ProtocolVersion::{V5, V311};

/// No filter, properties that it does not have.
/// Covers 5.0 [MQTT-3.10.3-2] [MQTT-4.13.1-1], 3.1.1 [MQTT-3.10.3-2] [MQTT-4.8.0-1].
#[tokio::test]
async fn what_is_refused() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    for (version, bytes, code) in [
        (V311, &[0xA2, 2, 0, 1][..], protocol),
        (V5, &[0xA2, 3, 0, 1, 0], protocol),
        (V5, &[0xA2, 8, 0, 1, 2, 0x0B, 1, 0, 1, b't'], malformed),
        (V5, &[0xA2, 2, 0, 1], malformed),
        (V311, &[0xA2, 5, 0, 1, 0, 9, b't'], malformed),
    ] {
        let mut client = broker.client(version, "a").await;
        client.name = format!("{version:?} {bytes:02X?}");
        client.send_bytes(bytes).await;
        client.expect_disconnect(code).await;
    }
}

/// A filter is compared with filters, character by character: it matches no other, however alike.
/// Covers 5.0 [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-1]
/// [MQTT-3.11.3-2], 3.1.1 [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5].
#[tokio::test]
async fn filters_are_not_matched() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        client.subscribe("a/+", QoS::AtMostOnce).await;
        client.subscribe("$share/g/s", QoS::AtMostOnce).await;
        let alike = ["a/b", "a/#", "#", "+/+", "A/+", "a/+/", "s", "$share/h/s", "$share/g/+"];
        let none = [ReasonCode::NoSubscriptionExisted; 9];
        client.send(packets::unsubscribe(1, &alike)).await;
        client.expect(packets::unsuback(version, 1, &none)).await;
        for topic in ["a/b", "s"] {
            publisher.publish(topic, "x").await;
            client.take(topic, "x").await;
        }
        client.send(packets::unsubscribe(2, &["a/+", "$share/g/s"])).await;
        client.expect(packets::unsuback(version, 2, &[ReasonCode::Success; 2])).await;
        for topic in ["a/b", "s"] {
            let code = publisher.publish(topic, "x").await;
            assert_eq!(code, ReasonCode::NoMatchingSubscribers);
        }
        client.quiet().await;
    }
}

/// What was begun before UNSUBSCRIBE is completed behind it, also over a new connection.
/// Covers 5.0 [MQTT-3.10.4-2] [MQTT-3.10.4-3], 3.1.1 [MQTT-3.10.4-2] [MQTT-3.10.4-3].
#[tokio::test]
async fn what_was_begun_is_completed() {
    for version in BOTH {
        let broker = Broker::start().await;
        let resume = packets::persistent(version, "sub");
        let mut client = broker.enter(resume.clone()).await.0;
        client.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = broker.client(V5, "pub").await;
        publisher.publish("t", "one").await;
        publisher.send(packets::qos2(1, "t", "two")).await;
        publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
        let one = client.message().await;
        let two = client.message().await;
        client.send(packets::unsubscribe(1, &["t"])).await;
        client.expect(packets::unsuback(version, 1, &[ReasonCode::Success])).await;
        publisher.publish("t", "three").await;
        client.send(packets::pubrec(two.packet_id, ReasonCode::Success)).await;
        client.expect(packets::pubrel(two.packet_id, ReasonCode::Success)).await;
        client.vanish();
        let mut client = broker.enter(resume).await.0;
        client.expect(packets::pubrel(two.packet_id, ReasonCode::Success)).await;
        assert_eq!(client.take("t", "one").await.packet_id, one.packet_id);
        client.send(packets::pubcomp(two.packet_id, ReasonCode::Success)).await;
        client.quiet().await;
    }
}
