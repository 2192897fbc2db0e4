//! What plugins may ask of the broker: permissions taken back, messages published, clients looked at
//! and disconnected.

use access::{BrokerForPlugins, Publication, PublicationProperties, PublishRefused, Whose};
use codec::{Packet, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, User, allow, deny, packets};
use topic::TopicName;

fn forbid(broker: &Broker, user: &str) {
    broker.doorman.set_user(user, User::with_rules([deny("t/#"), allow("#")]));
}

/// From then on not one PUBLISH is judged by the old rules, and others are not asked for.
#[tokio::test]
async fn permissions_of_one_client_are_taken_back() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("t/#", QoS::AtMostOnce).await;
    for version in BOTH {
        broker.doorman.set_user("a", User::default());
        broker.doorman.set_user("b", User::default());
        broker.swap();
        let mut client = broker.client(version, "a").await;
        let mut other = broker.client(version, "b").await;
        client.publish("t/x", "before").await;
        watcher.take("t/x", "before").await;
        forbid(&broker, "a");
        forbid(&broker, "b");
        broker.broker.invalidate(Whose::Client("a"));
        client.send_all([packets::qos0("t/x", "after"), packets::qos0("t/x", "after")]).await;
        client.publish("t/x", "after").await;
        watcher.quiet().await;
        other.publish("t/x", "not meant").await;
        watcher.take("t/x", "not meant").await;
        broker.doorman.set_user("a", User::default());
        broker.broker.invalidate(Whose::Principal("a"));
        client.publish("t/x", "again").await;
        watcher.take("t/x", "again").await;
        broker.broker.invalidate(Whose::Everybody);
        other.publish("t/x", "meant now").await;
        watcher.quiet().await;
        client.leave().await;
        other.leave().await;
    }
}

/// What is no longer permitted stops flowing to who is connected, and is not given to who comes.
#[tokio::test]
async fn what_was_taken_back_does_not_flow() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    forbid(&broker, "a");
    broker.broker.invalidate(Whose::Client("a"));
    // Answered only after the new permissions are there.
    client.publish("free", "x").await;
    assert_eq!(publisher.publish("t/x", "1").await, ReasonCode::NoMatchingSubscribers);
    client.leave().await;
    broker.doorman.set_user("a", User::default());
    broker.broker.invalidate(Whose::Client("a"));
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    publisher.publish("t/x", "2").await;
    client.take("t/x", "2").await;
}

fn message(topic: &str, payload: &str) -> Publication {
    Publication {
        plugin: "alarm".to_owned(),
        topic: TopicName::new(topic).expect("a topic"),
        payload: payload.as_bytes().to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: PublicationProperties::default(),
    }
}

#[tokio::test]
async fn a_message_goes_to_its_subscribers() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    let properties = PublicationProperties {
        payload_is_utf8: true,
        content_type: Some("text/plain".to_owned()),
        response_topic: Some("answers".to_owned()),
        correlation_data: Some(vec![1, 2]),
        user_properties: vec![("a".to_owned(), "b".to_owned())],
        message_expiry_seconds: Some(60),
    };
    let sent = Publication { properties, ..message("t/x", "hot") };
    assert_eq!(broker.broker.publish(sent), Ok(1));
    let looked = client.next(|packet| {
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        assert_eq!((publish.topic, publish.payload), ("t/x", &b"hot"[..]));
        assert_eq!(publish.payload_format_indicator, Some(true));
        assert_eq!(publish.content_type, Some("text/plain"));
        assert_eq!(publish.response_topic, Some("answers"));
        assert_eq!(publish.correlation_data, Some(&[1, 2][..]));
        assert_eq!(publish.user_properties.to_buf(), [("a".to_owned(), "b".to_owned())]);
    });
    looked.await.expect("a PUBLISH");
    assert_eq!(broker.broker.publish(message("nobody", "x")), Ok(0));
    let retained = Publication { retain: true, ..message("kept", "x") };
    assert_eq!(broker.broker.publish(retained), Ok(0));
    let mut late = broker.client(V5, "late").await;
    late.subscribe("kept", QoS::AtMostOnce).await;
    late.take("kept", "x").await;
}

#[tokio::test]
async fn limits_hold_for_messages_of_plugins() {
    let broker = Broker::start().await;
    let refused = |message: Publication| match broker.broker.publish(message) {
        Err(PublishRefused::Invalid(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    assert!(refused(message("$SYS/x", "x")).contains("$SYS"));
    assert!(refused(message(&"t/".repeat(1_000), "x")).starts_with("topic: "));
    assert!(refused(message("t", &"x".repeat(2 << 20))).starts_with("it has over "));
    let with = |properties: PublicationProperties| Publication { properties, ..message("t", "x") };
    let user_properties = vec![(String::new(), String::new()); 10_000];
    let many = PublicationProperties { user_properties, ..PublicationProperties::default() };
    assert!(refused(with(many)).starts_with("user properties: "));
    let response_topic = Some("a/+".to_owned());
    let wild = PublicationProperties { response_topic, ..PublicationProperties::default() };
    assert!(refused(with(wild)).starts_with("response topic: "));
    let content_type = Some("x".repeat(70_000));
    let long = PublicationProperties { content_type, ..PublicationProperties::default() };
    assert!(refused(with(long)).contains("65535"));
    let utf8 = PublicationProperties { payload_is_utf8: true, ..PublicationProperties::default() };
    let lie = Publication { payload: vec![0xff], ..with(utf8) };
    assert!(refused(lie).contains("not UTF-8"));
}

#[tokio::test]
async fn clients_are_looked_at_and_disconnected() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    client.subscribe("$share/g/u", QoS::AtMostOnce).await;
    let asked: &dyn BrokerForPlugins = &*broker.broker;
    let mut found = asked.subscriptions("a").expect("a session");
    found.sort();
    let expected =
        [("$share/g/u".to_owned(), QoS::AtMostOnce), ("t/#".to_owned(), QoS::AtLeastOnce)];
    assert_eq!(found, expected);
    assert_eq!(asked.subscriptions("nobody"), None);
    assert!(!asked.disconnect("nobody", ReasonCode::NotAuthorized));
    assert!(asked.disconnect("a", ReasonCode::NotAuthorized));
    assert_eq!(client.last_words().await, Some(ReasonCode::NotAuthorized));
}
