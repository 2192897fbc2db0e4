//! Retained messages (section 3.3.1.3): store, replace, clear, hand to new subscribers.

use codec::{
    Packet, ProtocolVersion, Publish, QoS, ReasonCode, RetainHandling, SubscriptionOptions,
};
use portcullis_tests::{BOTH, Broker, Client, Setup, User, allow, deny, packets};
use server::BrokerHandle;

use ProtocolVersion::V5;

async fn retain(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.send(packets::retained(packets::qos1(1, topic, payload))).await;
    client.puback(1).await
}

/// Covers 5.0 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-12], 3.1.1 [MQTT-3.3.1-5]
/// [MQTT-3.3.1-6] [MQTT-3.3.1-8] [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11].
#[tokio::test]
async fn stored_replaced_and_cleared() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(version, "pub").await;
        retain(&mut publisher, "t", "old").await;
        retain(&mut publisher, "t", "new").await;
        assert_eq!(broker.broker.totals().retained_messages, 1);
        let mut subscriber = broker.client(version, "sub").await;
        subscriber.subscribe("t", QoS::AtLeastOnce).await;
        let message = subscriber.take("t", "new").await;
        assert!(message.retain && !message.dup);
        assert_eq!(message.qos, QoS::AtLeastOnce);
        subscriber.quiet().await;
        // To an existing subscription it flows as any message, without the flag.
        retain(&mut publisher, "t", "newer").await;
        assert!(!subscriber.take("t", "newer").await.retain);
        retain(&mut publisher, "t", "").await;
        assert!(!subscriber.take("t", "").await.retain);
        let totals = broker.broker.totals();
        assert_eq!((totals.retained_messages, totals.retained_bytes), (0, 0));
        let mut late = broker.client(version, "late").await;
        late.subscribe("#", QoS::AtLeastOnce).await;
        late.quiet().await;
    }
}

/// Covers 5.0 [MQTT-3.3.1-5] [MQTT-3.8.4-8].
#[tokio::test]
async fn qos_is_the_lower_one() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(packets::retained(packets::qos0("q/0", "x"))).await;
    publisher.send(packets::retained(packets::qos1(1, "q/1", "x"))).await;
    publisher.puback(1).await;
    publisher.send(packets::retained(packets::qos2(2, "q/2", "x"))).await;
    publisher.expect(packets::pubrec(2, ReasonCode::NoMatchingSubscribers)).await;
    for (number, maximum) in
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate()
    {
        let mut subscriber = broker.client(V5, &format!("sub-{number}")).await;
        subscriber.subscribe("q/+", maximum).await;
        for (topic, qos) in
            [("q/0", QoS::AtMostOnce), ("q/1", QoS::AtLeastOnce), ("q/2", QoS::ExactlyOnce)]
        {
            let message = subscriber.take(topic, "x").await;
            assert_eq!(message.qos, qos.min(maximum));
            assert!(message.retain);
        }
    }
}

fn options(retain_handling: RetainHandling, retain_as_published: bool) -> SubscriptionOptions {
    SubscriptionOptions {
        retain_handling,
        retain_as_published,
        ..SubscriptionOptions::new(QoS::AtMostOnce)
    }
}

/// Covers 5.0 [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11].
#[tokio::test]
async fn retain_handling() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    retain(&mut publisher, "t", "x").await;
    let mut client = broker.client(V5, "sub").await;
    let granted = || packets::suback(1, &[ReasonCode::Success]);
    for (handling, comes) in [
        (RetainHandling::DoNotSend, false),
        (RetainHandling::SendIfNew, false),
        (RetainHandling::SendAtSubscribe, true),
        (RetainHandling::SendAtSubscribe, true),
    ] {
        client.send(packets::subscribe_with(1, "t", options(handling, false), None)).await;
        client.expect(granted()).await;
        if comes {
            client.take("t", "x").await;
        }
        client.quiet().await;
    }
    client.send(packets::unsubscribe(2, &["t"])).await;
    client.expect(packets::unsuback(V5, 2, &[ReasonCode::Success])).await;
    client
        .send(packets::subscribe_with(1, "t", options(RetainHandling::SendIfNew, false), Some(9)))
        .await;
    client.expect(granted()).await;
    assert_eq!(client.take("t", "x").await.subscription_identifiers, [9]);
}

/// Covers 5.0 [MQTT-3.3.1-13].
#[tokio::test]
async fn retain_as_published() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "sub").await;
    let keep = options(RetainHandling::SendAtSubscribe, true);
    client.send(packets::subscribe_with(1, "t", keep, None)).await;
    client.expect(packets::suback(1, &[ReasonCode::Success])).await;
    let mut publisher = broker.client(V5, "pub").await;
    retain(&mut publisher, "t", "x").await;
    publisher.publish("t", "y").await;
    assert!(client.take("t", "x").await.retain);
    assert!(!client.take("t", "y").await.retain);
}

#[tokio::test]
async fn no_retained_message_for_shared_subscriptions() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    retain(&mut client, "t", "x").await;
    client.subscribe("$share/g/t", QoS::AtMostOnce).await;
    client.quiet().await;
}

/// More than a window, a page and a buffer hold: each topic comes exactly once, at each QoS.
#[tokio::test]
async fn wildcard_over_five_thousand_topics() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    // Together more than the 1 MiB that may wait for a client.
    let payload = "p".repeat(300);
    for number in 0..5000 {
        let topic = format!("many/{}/{number}", number % 7);
        publisher.send(packets::retained(packets::qos1(1, &topic, &payload))).await;
        publisher.puback(1).await;
    }
    for version in BOTH {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let mut subscriber = broker.client(version, "sub").await;
            subscriber.subscribe("many/#", qos).await;
            let mut topics = std::collections::HashSet::new();
            for _ in 0..5000 {
                let message = subscriber.message().await;
                assert!(message.retain && message.qos == qos);
                assert!(topics.insert(message.topic.clone()), "{} came twice", message.topic);
                subscriber.acknowledge(&message).await;
            }
            subscriber.quiet().await;
            assert_eq!(broker.broker.client("sub").unwrap().dropped, 0);
        }
    }
}

#[tokio::test]
async fn budget() {
    let setup = Setup::with(|live| {
        live.limits.sizes.retained_messages = 2;
        live.limits.sizes.retained_bytes = 100;
    });
    let broker = setup.start().await;
    let mut client = broker.client(V5, "a").await;
    retain(&mut client, "a", "1").await;
    retain(&mut client, "b", "1").await;
    assert_eq!(retain(&mut client, "c", "1").await, ReasonCode::QuotaExceeded);
    // One more topic is too many, another message of a known one is not.
    assert_eq!(retain(&mut client, "b", "2").await, ReasonCode::NoMatchingSubscribers);
    assert_eq!(retain(&mut client, "b", &"x".repeat(100)).await, ReasonCode::QuotaExceeded);
    retain(&mut client, "a", "").await;
    assert_eq!(retain(&mut client, "c", "1").await, ReasonCode::NoMatchingSubscribers);
    client.send(packets::retained(packets::qos2(3, "d", "x"))).await;
    client.expect(packets::pubrec(3, ReasonCode::QuotaExceeded)).await;
    let mut old = broker.client(ProtocolVersion::V311, "old").await;
    old.send(packets::retained(packets::qos1(1, "e", "x"))).await;
    old.expect(packets::puback(1, ReasonCode::Success)).await;
    client.subscribe("#", QoS::AtMostOnce).await;
    client.take("b", "2").await;
    client.take("c", "1").await;
    client.quiet().await;
}

#[tokio::test]
async fn expired_retained_message_is_not_delivered() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for (topic, seconds) in [("short", 1), ("long", 100)] {
        let publish =
            Publish { message_expiry_interval: Some(seconds), ..Publish::new(topic, b"x") };
        publisher.send(packets::retained(Packet::Publish(publish))).await;
    }
    publisher.quiet().await;
    tokio::time::sleep(std::time::Duration::from_millis(1050)).await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("#", QoS::AtMostOnce).await;
    let left = subscriber.take("long", "x").await.message_expiry_interval.unwrap();
    assert!((98..=99).contains(&left), "{left}");
    subscriber.quiet().await;
}

/// A deny rule inside a permitted filter holds for retained messages too.
#[tokio::test]
async fn denied_part_of_a_filter() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for topic in ["t/a", "t/secret", "t/z"] {
        retain(&mut publisher, topic, "x").await;
    }
    broker.doorman.set_user("sub", User::with_rules([deny("t/secret"), allow("#")]));
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("t/#", QoS::AtLeastOnce).await;
    subscriber.take("t/a", "x").await;
    subscriber.take("t/z", "x").await;
    subscriber.quiet().await;
}
