//! Flow control: Receive Maximum and Maximum Packet Size, both ways.

use codec::{Connect, Packet, ProtocolVersion, Publish, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, Setup, packets};
use server::BrokerHandle;

use ProtocolVersion::{V5, V311};

/// Covers 5.0 [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2].
#[tokio::test]
async fn receive_maximum_of_the_client() {
    let broker = Broker::start().await;
    let connect = Connect { receive_maximum: 2, ..Connect::new(V5, "sub") };
    let mut subscriber = broker.enter(connect).await.0;
    subscriber.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..5 {
        publisher.publish("t", &number.to_string()).await;
    }
    publisher.send(packets::qos0("t", "q0")).await;
    publisher.quiet().await;
    let first = subscriber.message().await;
    let second = subscriber.message().await;
    assert_eq!((first.text().1, second.text().1), ("0", "1"));
    // QoS 0 is not held up by it.
    subscriber.take("t", "q0").await;
    subscriber.quiet().await;
    let client = broker.broker.client("sub").unwrap();
    assert_eq!((client.in_flight, client.queued), (2, 3));
    subscriber.acknowledge(&second).await;
    subscriber.take("t", "2").await;
    subscriber.take("t", "3").await;
    subscriber.take("t", "4").await;
    subscriber.acknowledge(&first).await;
    subscriber.quiet().await;
}

/// The window is our own maximum for a 3.1.1 client, which cannot say one.
#[tokio::test]
async fn window_of_a_3_1_1_client() {
    let broker = Setup::with(|live| live.limits.sizes.receive_maximum = 3).start().await;
    let mut subscriber = broker.client(V311, "sub").await;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..10 {
        publisher.publish("t", &number.to_string()).await;
    }
    let came = subscriber.drain().await;
    assert_eq!(came.len(), 3);
    for message in &came {
        subscriber.acknowledge(message).await;
    }
    for number in 3..10 {
        subscriber.take("t", &number.to_string()).await;
    }
    subscriber.quiet().await;
}

/// Covers 5.0 [MQTT-3.3.4-7].
#[tokio::test]
async fn receive_maximum_of_the_broker() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    for id in 1..=32 {
        client.send(packets::qos2(id, "t", "x")).await;
        client.expect(packets::pubrec(id, ReasonCode::NoMatchingSubscribers)).await;
    }
    // A repetition is no further message, QoS 1 is complete at once.
    client.send(packets::again(packets::qos2(32, "t", "x"))).await;
    client.expect(packets::pubrec(32, ReasonCode::Success)).await;
    client.publish("t", "x").await;
    client.send(packets::pubrel(1, ReasonCode::Success)).await;
    client.expect(packets::pubcomp(1, ReasonCode::Success)).await;
    client.send(packets::qos2(33, "t", "x")).await;
    client.expect(packets::pubrec(33, ReasonCode::NoMatchingSubscribers)).await;
    client.send(packets::qos2(34, "t", "x")).await;
    client.expect_disconnect(ReasonCode::ReceiveMaximumExceeded).await;
}

/// Covers 5.0 [MQTT-3.2.2-15].
#[tokio::test]
async fn maximum_packet_size_of_the_broker() {
    let broker = Setup::with(|live| live.limits.sizes.packet_bytes = 2048).start().await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        client.send(packets::qos0("t", &"x".repeat(2000))).await;
        client.quiet().await;
        client.send(packets::qos0("t", &"x".repeat(2048))).await;
        client.expect_disconnect(ReasonCode::PacketTooLarge).await;
        // The announcement alone is enough.
        let mut client = broker.client(version, "a").await;
        client.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).await;
        client.expect_disconnect(ReasonCode::PacketTooLarge).await;
    }
}

/// What is too large for the client is as if it had been delivered [MQTT-3.1.2-25].
/// Covers 5.0 [MQTT-3.1.2-24] [MQTT-3.1.2-25].
#[tokio::test]
async fn maximum_packet_size_of_the_client() {
    let broker = Broker::start().await;
    let connect = Connect { maximum_packet_size: Some(100), ..Connect::new(V5, "sub") };
    let mut subscriber = broker.enter(connect).await.0;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let large = "x".repeat(100);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        publisher.send(packets::publish(1, qos, Publish::new("t", large.as_bytes()))).await;
        if qos == QoS::AtLeastOnce {
            publisher.expect(packets::puback(1, ReasonCode::Success)).await;
        }
    }
    publisher.publish("t", "small").await;
    subscriber.take("t", "small").await;
    subscriber.quiet().await;
    assert_eq!(broker.broker.client("sub").unwrap().dropped, 2);
    assert_eq!(broker.counted("portcullis_messages_dropped_total{reason=\"too_large\"}"), 2);
}

/// Every packet keeps to the client's Maximum Packet Size [MQTT-3.1.2-24], also CONNACK.
/// Covers 5.0 [MQTT-3.1.2-24] [MQTT-3.2.2-20].
#[tokio::test]
async fn connack_keeps_to_the_maximum_packet_size() {
    let broker = Broker::start().await;
    let long = vec![("name".to_owned(), "value".repeat(100))];
    let grant = access::Grant { user_properties: long, ..access::Grant::default() };
    let user = portcullis_tests::User { grant, ..portcullis_tests::User::default() };
    broker.doorman.set_user("a", user);
    let (_, connack) = broker.enter(Connect::new(V5, "a")).await;
    assert_eq!(connack.user_properties.len(), 1);
    let connect = Connect { maximum_packet_size: Some(100), ..Connect::new(V5, "a") };
    let (mut client, connack) = broker.enter(connect).await;
    assert_eq!(connack.user_properties, []);
    client.quiet().await;
    // Not even a bare CONNACK fits: no connection.
    let connect = Connect { maximum_packet_size: Some(4), ..Connect::new(V5, "b") };
    broker.knock(connect).await.expect_closed().await;
}

/// A large message arrives whole.
#[tokio::test]
async fn a_megabyte() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V311, "pub").await;
    let payload = "m".repeat((1 << 20) - 100);
    let both = async { tokio::join!(publisher.publish("t", &payload), subscriber.message()) };
    let (_, message) = both.await;
    assert_eq!(message.payload.len(), payload.len());
    subscriber.acknowledge(&message).await;
    subscriber.send(Packet::PingReq).await;
    subscriber.expect(Packet::PingResp).await;
}
