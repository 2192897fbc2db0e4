//! Session state (section 4.1) and what CONNECT and CONNACK agree on for a connection, over several
//! connections and versions.

use std::time::{Duration, Instant};

use codec::{Connect, ProtocolVersion, QoS, ReasonCode, SubscriptionOptions, Will};
use portcullis_tests::{BOTH, Broker, Setup, packets};

use ProtocolVersion::{V5, V311};

/// A session that was to end with its connection ends with it, also when the next connection of the
/// client is what ends that one and would go on with the session.
/// Covers 5.0 [MQTT-3.1.2-6] [MQTT-3.1.4-3] [MQTT-3.2.2-3] [MQTT-4.1.0-2], 3.1.1
/// [MQTT-3.1.2-6] [MQTT-3.1.4-2] [MQTT-3.2.2-3].
#[tokio::test]
async fn a_takeover_resumes_nothing_that_was_to_end() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut first = broker.client(version, "a").await;
        first.subscribe("t", QoS::AtLeastOnce).await;
        let (mut second, connack) = broker.enter(packets::persistent(version, "a")).await;
        assert!(!connack.session_present);
        first.expect_disconnect(ReasonCode::SessionTakenOver).await;
        second.publish("t", "x").await;
        second.quiet().await;
        let clean = broker.client(version, "a").await;
        second.expect_disconnect(ReasonCode::SessionTakenOver).await;
        clean.leave().await;
    }
}

/// A session belongs to the client, not to a version: what waits is delivered in the words of
/// whichever version comes for it.
/// Covers 5.0 [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.1.3-2] [MQTT-4.5.0-1], 3.1.1
/// [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-4.5.0-1].
#[tokio::test]
async fn a_session_is_resumed_in_another_version() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for (before, after) in [(V311, V5), (V5, V311)] {
        let name = format!("{before:?}-first");
        let mut client = broker.enter(packets::persistent(before, &name)).await.0;
        client.subscribe("t", QoS::ExactlyOnce).await;
        publisher.publish("t", "begun").await;
        let begun = client.message().await;
        client.vanish();
        use server::BrokerHandle;
        broker.until(|broker| broker.client(&name).is_some_and(|client| !client.connected)).await;
        publisher.publish("t", "waits").await;
        let (mut client, connack) = broker.enter(packets::persistent(after, &name)).await;
        assert!(connack.session_present);
        let again = client.take("t", "begun").await;
        assert_eq!((again.packet_id, again.dup), (begun.packet_id, true));
        assert!(!client.take("t", "waits").await.dup);
        client.quiet().await;
        let clean = Connect::new(after, &name);
        broker.enter(clean).await.0.leave().await;
    }
}

/// Server Keep Alive is what is in force when it was told.
/// Covers 5.0 [MQTT-3.1.2-21] [MQTT-3.1.2-22] [MQTT-3.2.2-21].
#[tokio::test]
async fn server_keep_alive_is_in_force() {
    let setup = Setup::with(|live| live.limits.sizes.keep_alive_max = 1);
    let broker = setup.start().await;
    let mut silent = Vec::new();
    for keep_alive in [0, 60] {
        let connect = Connect { keep_alive, ..Connect::new(V5, &format!("a-{keep_alive}")) };
        let (client, connack) = broker.enter(connect).await;
        assert_eq!(connack.server_keep_alive, Some(1));
        silent.push(client);
    }
    let since = Instant::now();
    for mut client in silent {
        client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        assert!(since.elapsed() >= Duration::from_millis(1400));
    }
}

/// The broker's aliases end with their connection: on the next one each topic is said again.
/// Covers 5.0 [MQTT-3.3.2-7].
#[tokio::test]
async fn the_brokers_aliases_end_with_the_connection() {
    let broker = Broker::start().await;
    let connect = Connect { topic_alias_maximum: 5, ..packets::persistent(V5, "sub") };
    let mut publisher = broker.client(V5, "pub").await;
    let mut subscriber = broker.enter(connect.clone()).await.0;
    subscriber.subscribe("some/topic", QoS::AtLeastOnce).await;
    for _ in 0..3 {
        let mut used = false;
        for _ in 0..5 {
            publisher.publish("some/topic", "x").await;
            let message = subscriber.message().await;
            subscriber.acknowledge(&message).await;
            let said = message.topic == "some/topic";
            assert!(said || used, "an alias that was not set on this connection");
            used |= said && message.topic_alias.is_some();
        }
        assert!(used, "no alias at all");
        publisher.publish("some/topic", "unanswered").await;
        subscriber.message().await;
        subscriber.vanish();
        subscriber = broker.enter(connect.clone()).await.0;
        let again = subscriber.message().await;
        assert_eq!((again.text(), again.dup), (("some/topic", "unanswered"), true));
        subscriber.acknowledge(&again).await;
        // What set the alias in vain may have been that: the next connection begins anew.
        subscriber.vanish();
        subscriber = broker.enter(connect.clone()).await.0;
    }
}

/// A publisher that lost an answer asks again: nothing is delivered twice, and each PUBREL has its
/// PUBCOMP.
/// Covers 5.0 [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12], 3.1.1 [MQTT-4.3.3-2].
#[tokio::test]
async fn a_publisher_asks_again() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut subscriber = broker.client(version, "sub").await;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let connect = packets::persistent(version, "pub");
        let mut publisher = broker.enter(connect.clone()).await.0;
        publisher.send(packets::qos2(1, "t", "x")).await;
        // Each answer gets lost with its connection.
        for _ in 0..3 {
            publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
            publisher.vanish();
            publisher = broker.enter(connect.clone()).await.0;
            publisher.send(packets::again(packets::qos2(1, "t", "x"))).await;
        }
        publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
        publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
        publisher.expect(packets::pubcomp(1, ReasonCode::Success)).await;
        publisher.vanish();
        let mut publisher = broker.enter(connect).await.0;
        publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
        let unknown = match version {
            V5 => ReasonCode::PacketIdentifierNotFound,
            V311 => ReasonCode::Success,
        };
        publisher.expect(packets::pubcomp(1, unknown)).await;
        subscriber.take("t", "x").await;
        subscriber.quiet().await;
        publisher.send(packets::qos2(1, "t", "another")).await;
        publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
        subscriber.take("t", "another").await;
        subscriber.quiet().await;
    }
}

/// A DISCONNECT that raises the Session Expiry Interval from 0 is a Protocol Error, and so no end in
/// order: the will is sent. From any other value it may be raised and lowered.
/// Covers 5.0 [MQTT-3.1.2-8] [MQTT-4.13.1-1].
#[tokio::test]
async fn session_expiry_at_disconnect() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let with_expiry = |session_expiry_interval| Connect {
        session_expiry_interval,
        ..packets::with_will(Connect::new(V5, "a"), Will::new("will", b"gone"))
    };
    for (first, then, allowed) in
        [(0, 1, false), (0, u32::MAX, false), (0, 0, true), (1, 100, true), (100, 1, true)]
    {
        let mut client = broker.enter(with_expiry(first)).await.0;
        client.name = format!("from {first} to {then}");
        client.send(packets::disconnect_with_expiry(then)).await;
        if allowed {
            client.expect_closed().await;
        } else {
            client.expect_disconnect(ReasonCode::ProtocolError).await;
            watcher.take("will", "gone").await;
        }
        use server::BrokerHandle;
        let left = broker.broker.client("a").map(|client| client.session_expiry_interval);
        assert_eq!(left, (allowed && then > 0).then_some(then), "from {first} to {then}");
    }
    watcher.quiet().await;
}

/// The expiry of a will begins when it is published, not while it is delayed; and RETAIN stays as the
/// will had it where that is wanted.
/// Covers 5.0 [MQTT-3.1.2-15] [MQTT-3.3.1-13] [MQTT-3.3.2-6].
#[tokio::test]
async fn a_will_is_published_as_it_was_said() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    let options = SubscriptionOptions {
        retain_as_published: true,
        ..SubscriptionOptions::new(QoS::AtLeastOnce)
    };
    watcher.send(packets::subscribe_with(1, "will", options, None)).await;
    watcher.expect(packets::suback(1, &[ReasonCode::GrantedQoS1])).await;
    let will = Will {
        retain: true,
        delay_interval: 1,
        message_expiry_interval: Some(2),
        ..Will::new("will", b"gone")
    };
    let connect = packets::with_will(packets::persistent(V5, "a"), will);
    broker.enter(connect).await.0.vanish();
    let message = watcher.take("will", "gone").await;
    assert_eq!((message.retain, message.message_expiry_interval), (true, Some(2)));
}
