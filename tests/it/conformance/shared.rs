//! Shared Subscriptions (section 4.8.2): what becomes of a message that was begun with one member.

use codec::{Connect, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Broker, Client, Message, packets};
use server::BrokerHandle;

const GROUP: &str = "$share/g/t";

/// Each member gets the QoS that it was granted.
/// Covers 5.0 [MQTT-4.8.2-3].
#[tokio::test]
async fn each_member_has_its_qos() {
    let broker = Broker::start().await;
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let mut members = Vec::new();
    for qos in levels {
        let mut member = broker.client(V5, &format!("{qos:?}")).await;
        member.subscribe(GROUP, qos).await;
        members.push((member, qos));
    }
    let mut publisher = broker.client(V5, "pub").await;
    for id in 1..=3 {
        publisher.send(packets::qos2(id, "t", "x")).await;
        publisher.expect(packets::pubrec(id, ReasonCode::Success)).await;
    }
    for (member, qos) in &mut members {
        assert_eq!(member.take("t", "x").await.qos, *qos);
        member.quiet().await;
    }
}

/// A client that is also subscribed without a share gets a copy for each, with the identifiers of that
/// one.
/// Covers 5.0 [MQTT-3.3.4-3] [MQTT-3.3.4-5].
#[tokio::test]
async fn each_copy_has_its_identifiers() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    let options = codec::SubscriptionOptions::new(QoS::AtMostOnce);
    for (filter, identifier) in [(GROUP, 5), ("t", 6), ("#", 7), ("$share/h/+", 8)] {
        client.send(packets::subscribe_with(1, filter, options, Some(identifier))).await;
        client.expect(packets::suback(1, &[ReasonCode::Success])).await;
    }
    let mut publisher = broker.client(V5, "pub").await;
    publisher.publish("t", "x").await;
    let copies = client.drain().await;
    let mut copies: Vec<_> = copies.iter().map(|copy| &copy.subscription_identifiers[..]).collect();
    copies.sort_unstable();
    assert_eq!(copies, [&[5][..], &[6, 7], &[8]]);
}

/// Two members with sessions that stay, and a QoS 2 message begun with the first of them.
async fn begun(broker: &Broker) -> (Client, Client, Message) {
    let mut first = broker.enter(packets::persistent(V5, "first")).await.0;
    first.subscribe(GROUP, QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(packets::qos2(1, "t", "x")).await;
    publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
    let message = first.message().await;
    let mut second = broker.enter(packets::persistent(V5, "second")).await.0;
    second.subscribe(GROUP, QoS::ExactlyOnce).await;
    (first, second, message)
}

/// The member is away and comes back: the message is completed with it, and nobody else gets it.
/// Covers 5.0 [MQTT-4.8.2-4].
#[tokio::test]
async fn completed_with_the_member_that_is_back() {
    let broker = Broker::start().await;
    let (first, mut second, message) = begun(&broker).await;
    first.vanish();
    broker.until(|broker| broker.client("first").is_some_and(|client| !client.connected)).await;
    second.quiet().await;
    let mut first = broker.enter(packets::persistent(V5, "first")).await.0;
    let again = first.message().await;
    assert_eq!(again, Message { dup: true, ..message });
    first.acknowledge(&again).await;
    first.quiet().await;
    second.quiet().await;
}

/// The member's session ends: nobody else gets what it may have received.
/// Covers 5.0 [MQTT-4.8.2-5].
#[tokio::test]
async fn ended_with_the_session_of_the_member() {
    let broker = Broker::start().await;
    let (first, mut second, _) = begun(&broker).await;
    drop(first);
    let mut clean = broker.enter(Connect::new(V5, "first")).await.0;
    second.quiet().await;
    clean.quiet().await;
    clean.leave().await;
    broker.until(|broker| broker.client("first").is_none()).await;
    second.quiet().await;
}

/// The member refuses: nobody else is asked.
/// Covers 5.0 [MQTT-4.8.2-6].
#[tokio::test]
async fn refused_by_the_member() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let broker = Broker::start().await;
        let mut members = Vec::new();
        for name in ["a", "b"] {
            let mut member = broker.client(V5, name).await;
            member.subscribe(GROUP, qos).await;
            members.push(member);
        }
        let mut publisher = broker.client(V5, "pub").await;
        for id in 1..=2 {
            publisher.send(packets::qos2(id, "t", "x")).await;
            publisher.expect(packets::pubrec(id, ReasonCode::Success)).await;
        }
        for member in &mut members {
            let id = member.message().await.packet_id;
            let code = ReasonCode::QuotaExceeded;
            match qos {
                QoS::AtLeastOnce => member.send(packets::puback(id, code)).await,
                _ => member.send(packets::pubrec(id, code)).await,
            }
        }
        for member in &mut members {
            member.quiet().await;
        }
    }
}
