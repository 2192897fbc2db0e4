//! Takeover as a seam: what an old connection still has to say does not reach the session of its
//! successor, and what waits is judged before it flows.

use codec::{Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode, RetainHandling};
use portcullis_tests::{BOTH, Broker, Setup, User, allow, deny, packets};
use server::BrokerHandle;

/// The old connection's packets lie unread when the new one comes, with fewer rights: whichever is
/// handled first, nothing forbidden flows and the session stays as the new one wants it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_packets_of_the_old_connection() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for round in 0..40 {
        let client_id = format!("c-{round}");
        broker.doorman.set_user(&client_id, User::default());
        let resume = packets::persistent(V5, &client_id);
        let mut old = broker.enter(resume.clone()).await.0;
        broker.doorman.set_user(&client_id, User::with_rules([allow("free/#")]));
        let mut new = broker.open(V5).await;
        let last_words = async {
            old.send(packets::subscribe(1, &[("secret", QoS::AtLeastOnce)])).await;
            if round % 2 == 0 {
                old.send(packets::disconnect_with_expiry(0)).await;
            }
        };
        tokio::join!(last_words, new.send(Packet::Connect(Box::new(resume.clone()))));
        let present = new.connack().await.session_present;
        new.subscribe("free/x", QoS::AtLeastOnce).await;
        assert_eq!(
            publisher.publish("secret", "no").await,
            ReasonCode::NoMatchingSubscribers,
            "round {round}, session present: {present}"
        );
        publisher.publish("free/x", "yes").await;
        new.take("free/x", "yes").await;
        new.quiet().await;
        // The old one's "end with the connection" is not the new one's.
        new.vanish();
        broker.until(|broker| broker.client(&client_id).is_none_or(|c| !c.connected)).await;
        assert!(broker.broker.client(&client_id).is_some(), "round {round}");
    }
}

/// A message that came by a subscription given up meanwhile is judged all the same.
#[tokio::test]
async fn waiting_messages_of_a_filter_given_up() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(V5, "pub").await;
        let resume = packets::persistent(version, "a");
        let mut client = broker.enter(resume.clone()).await.0;
        client.subscribe("secret/#", QoS::AtLeastOnce).await;
        client.subscribe("free", QoS::AtLeastOnce).await;
        // The window is full of what is not acknowledged; the rest waits.
        for number in 0..40 {
            publisher.publish("free", &number.to_string()).await;
        }
        for _ in 0..32 {
            client.message().await;
        }
        publisher.publish("secret/x", "waits").await;
        client.send(packets::unsubscribe(9, &["secret/#"])).await;
        client.expect(packets::unsuback(version, 9, &[ReasonCode::Success])).await;
        let rules = [deny("secret/#"), allow("#")];
        broker.doorman.set_user("a", User::with_rules(rules));
        broker.swap();
        broker.refreshed("a").await;
        client.leave().await;
        let mut client = broker.enter(resume).await.0;
        let mut topics = Vec::new();
        for _ in 0..40 {
            let message = client.message().await;
            client.acknowledge(&message).await;
            topics.push(message.topic);
        }
        client.quiet().await;
        assert!(topics.iter().all(|topic| topic == "free"), "{topics:?}");
    }
}

/// After a swap nothing is handed over before the new rules are known; nothing is lost either.
#[tokio::test]
async fn delivery_waits_for_permissions() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    broker.doorman.authorizer(portcullis_tests::Mood::Hangs);
    broker.swap();
    // Handled before the swap was noticed by anyone, or read after it: it is owed to the client.
    publisher.send(packets::qos1(1, "t/secret", "1")).await;
    publisher.send(packets::qos1(2, "t/free", "2")).await;
    tokio::time::timeout(std::time::Duration::from_millis(300), client.message())
        .await
        .expect_err("handed over although nobody knows whether it may be");
    broker.doorman.set_user("a", User::with_rules([deny("t/secret"), allow("#")]));
    broker.doorman.authorizer(portcullis_tests::Mood::Answers);
    client.take("t/free", "2").await;
    client.quiet().await;
}

/// Answers that the client's Maximum Packet Size has no room for [MQTT-3.1.2-24].
/// Covers 5.0 [MQTT-3.1.2-24].
#[tokio::test]
async fn answers_within_the_maximum_packet_size() {
    let broker = Broker::start().await;
    let connect = Connect { maximum_packet_size: Some(40), ..Connect::new(V5, "small") };
    let filters: Vec<_> = (0..40).map(|number| format!("t/{number}")).collect();
    let filters: Vec<_> = filters.iter().map(|f| (f.as_str(), QoS::AtMostOnce)).collect();
    let mut client = broker.enter(connect).await.0;
    client.send(packets::subscribe(1, &filters[..35])).await;
    client.expect(packets::suback(1, &[ReasonCode::Success; 35])).await;
    client.send(packets::subscribe(2, &filters[..36])).await;
    client.expect_disconnect(ReasonCode::PacketTooLarge).await;
    assert!(broker.broker.client("small").is_none_or(|client| client.subscriptions == 35));
}

/// A second CONNECT is a protocol error, whatever is in it [MQTT-3.1.0-2].
/// Covers 5.0 [MQTT-3.1.0-2].
#[tokio::test]
async fn second_connect_is_not_read() {
    let broker = Broker::start().await;
    for level in [3, 4, 5, 9] {
        let mut client = broker.client(V5, "twice").await;
        let connect = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', level, 0, 0, 0, 0, 0];
        client.send_bytes(&connect).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    }
}

/// PUBREC without end, and nothing is read: the broker stops reading instead of growing.
#[tokio::test]
async fn flood_of_pubrec() {
    let broker = Broker::start().await;
    let mut client = portcullis_tests::Client::open_narrow(broker.address, V5).await;
    client.send(Packet::Connect(Box::new(Connect::new(V5, "flood")))).await;
    client.connack().await;
    let pubrec = [0x50, 2, 0, 7].repeat(16 * 1024);
    let taken = client.flood(&pubrec, 64 << 20).await;
    assert!(taken < 32 << 20, "{taken} bytes were read from a client that reads nothing");
}

/// A full retained store keeps nothing from those who are there.
#[tokio::test]
async fn full_retained_store() {
    let setup = Setup::with(|live| live.limits.sizes.retained_messages = 1);
    let broker = setup.start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("#", QoS::AtLeastOnce).await;
    for version in BOTH {
        let mut publisher = broker.client(version, "pub").await;
        for (number, topic) in ["first", "second"].into_iter().enumerate() {
            publisher.send(packets::retained(packets::qos0(topic, "zero"))).await;
            subscriber.take(topic, "zero").await;
            publisher.send(packets::retained(packets::qos1(1, topic, "one"))).await;
            let refused = number == 1 && version == V5;
            let code = publisher.puback(1).await;
            assert_eq!(code.is_failure(), refused, "{topic}, {version:?}: {code:?}");
            if !refused {
                subscriber.take(topic, "one").await;
            }
            subscriber.quiet().await;
        }
        publisher.leave().await;
    }
    assert_eq!(broker.broker.totals().retained_messages, 1);
}

/// What is passed on without being retained leaves nothing older behind it.
#[tokio::test]
async fn what_does_not_fit_leaves_nothing_out_of_date() {
    let setup = Setup::with(|live| live.limits.sizes.retained_bytes = 16);
    let broker = setup.start().await;
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(packets::retained(packets::qos0("t", "old"))).await;
    publisher.quiet().await;
    assert_eq!(broker.broker.totals().retained_messages, 1);
    publisher.send(packets::retained(packets::qos1(1, "t", "new, and much too long"))).await;
    assert_eq!(publisher.puback(1).await, ReasonCode::QuotaExceeded);
    assert_eq!(broker.broker.totals().retained_messages, 1, "refused: nothing happened");
    publisher.send(packets::retained(packets::qos0("t", "new, and much too long"))).await;
    publisher.quiet().await;
    let totals = broker.broker.totals();
    assert_eq!((totals.retained_messages, totals.retained_bytes), (0, 0));
}

/// What is refused with the end of the connection is judged again when it comes again.
#[tokio::test]
async fn refused_with_disconnect_and_sent_again() {
    let setup = Setup::with(|live| live.publish_denied = server::PublishDenied::Disconnect);
    let broker = setup.start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    broker.doorman.set_user("a", User::with_rules([allow("other")]));
    let version = codec::ProtocolVersion::V311;
    let resume = packets::persistent(version, "a");
    let mut client = broker.enter(resume.clone()).await.0;
    client.send(packets::qos2(5, "t", "x")).await;
    client.expect_closed().await;
    broker.doorman.set_user("a", User::default());
    let mut client = broker.enter(resume).await.0;
    client.send(packets::again(packets::qos2(5, "t", "x"))).await;
    client.expect(packets::pubrec(5, ReasonCode::Success)).await;
    watcher.take("t", "x").await;
}

/// No Local is about messages of the same client, also those that were retained.
/// Covers 5.0 [MQTT-3.8.3-3].
#[tokio::test]
async fn no_local_holds_for_retained_messages() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "bridge").await;
    client.send(packets::retained(packets::qos1(1, "own", "x"))).await;
    client.puback(1).await;
    let mut other = broker.client(V5, "other").await;
    other.send(packets::retained(packets::qos1(1, "foreign", "x"))).await;
    other.puback(1).await;
    let options = codec::SubscriptionOptions {
        maximum_qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: RetainHandling::SendAtSubscribe,
    };
    client.send(packets::subscribe_with(2, "#", options, None)).await;
    client.expect(packets::suback(2, &[ReasonCode::GrantedQoS1])).await;
    client.take("foreign", "x").await;
    client.quiet().await;
}
