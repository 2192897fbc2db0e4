//! Topic aliases, both ways (section 3.3.2.3.4).

use codec::{Connect, Packet, ProtocolVersion::V5, Publish, QoS, ReasonCode};
use portcullis_tests::{Broker, Setup, User, allow, packets};

fn aliased<'a>(topic: &'a str, alias: u16, payload: &'a str) -> Packet<'a> {
    let publish = Publish::new(topic, payload.as_bytes());
    Packet::Publish(Publish { topic_alias: Some(alias), ..publish })
}

/// Covers 5.0 [MQTT-3.3.2-12].
#[tokio::test]
async fn client_sets_and_uses_aliases() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("#", QoS::AtMostOnce).await;
    let mut client = broker.client(V5, "pub").await;
    for packet in [
        aliased("a", 1, "1"),
        aliased("b", 10, "2"),
        aliased("", 1, "3"),
        aliased("", 10, "4"),
        aliased("c", 1, "5"),
        aliased("", 1, "6"),
    ] {
        client.send(packet).await;
    }
    for (topic, payload) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("c", "5"), ("c", "6")]
    {
        let message = subscriber.take(topic, payload).await;
        assert_eq!(message.topic_alias, None, "an alias is not passed on");
    }
}

/// More topics than a connection remembers: an alias outlives what is remembered of its topic.
#[tokio::test]
async fn alias_survives_many_topics() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("first", QoS::AtMostOnce).await;
    let mut client = broker.client(V5, "pub").await;
    client.send(aliased("first", 1, "1")).await;
    for number in 0..1100 {
        client.send(packets::qos0(&format!("t/{number}"), "x")).await;
    }
    client.send(aliased("", 1, "2")).await;
    subscriber.take("first", "1").await;
    subscriber.take("first", "2").await;
}

/// Covers 5.0 [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8] [MQTT-3.3.2-9].
#[tokio::test]
async fn invalid_aliases() {
    let broker = Broker::start().await;
    for packet in [
        aliased("t", 11, "above our maximum"),
        aliased("t", u16::MAX, "above our maximum"),
        aliased("t", 0, "zero"),
    ] {
        let mut client = broker.client(V5, "a").await;
        client.send(packet).await;
        client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
    }
    let mut client = broker.client(V5, "a").await;
    client.send(aliased("", 1, "never set")).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
    let broker = Setup::with(|live| live.limits.sizes.topic_alias_maximum = 0).start().await;
    let mut client = broker.client(V5, "a").await;
    client.send(aliased("t", 1, "there are none")).await;
    client.expect_disconnect(ReasonCode::TopicAliasInvalid).await;
}

/// Covers 5.0 [MQTT-3.3.2-7].
#[tokio::test]
async fn aliases_end_with_the_connection() {
    let broker = Broker::start().await;
    let connect = packets::persistent(V5, "a");
    let mut client = broker.enter(connect.clone()).await.0;
    client.send(aliased("t", 1, "x")).await;
    client.quiet().await;
    client.vanish();
    let mut client = broker.enter(connect).await.0;
    client.send(aliased("", 1, "x")).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
}

#[tokio::test]
async fn alias_is_no_way_around_permissions() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([allow("yes")]));
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    let mut client = broker.client(V5, "a").await;
    client.send(aliased("no", 1, "x")).await;
    client.send(aliased("", 1, "x")).await;
    client.send(aliased("yes", 1, "y")).await;
    client.send(aliased("", 1, "y")).await;
    client.quiet().await;
    watcher.take("yes", "y").await;
    watcher.take("yes", "y").await;
    watcher.quiet().await;
}

/// The broker sets no more aliases than the client offers, and says each topic first.
/// Covers 5.0 [MQTT-3.1.2-26] [MQTT-3.3.2-11].
#[tokio::test]
async fn broker_uses_the_aliases_of_the_client() {
    let broker = Broker::start().await;
    let connect = Connect { topic_alias_maximum: 2, ..Connect::new(V5, "sub") };
    let mut subscriber = broker.enter(connect).await.0;
    subscriber.subscribe("#", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let mut known = std::collections::HashMap::new();
    for topic in ["topic/a", "topic/b", "topic/c", "topic/a", "topic/b", "topic/c", "topic/a"] {
        publisher.publish(topic, "x").await;
        let message = subscriber.message().await;
        subscriber.acknowledge(&message).await;
        let came = match (message.topic.as_str(), message.topic_alias) {
            ("", Some(alias)) => known.get(&alias).cloned().expect("an alias that was set"),
            (topic, None) => topic.to_owned(),
            (topic, Some(alias)) => {
                assert!((1..=2).contains(&alias));
                known.insert(alias, topic.to_owned());
                topic.to_owned()
            }
        };
        assert_eq!(came, topic);
    }
    assert_eq!(known.len(), 2);
}
