//! Sessions: what outlives a connection, for how long, and who may have it.

use std::time::Duration;

use codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, Setup, User, packets};
use server::{BrokerHandle, QueueFull};

use ProtocolVersion::{V5, V311};

/// Covers 5.0 [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.1.3-2]
/// [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT-3.2.2-3], 3.1.1 [MQTT-3.1.2-4] [MQTT-3.1.2-6] [MQTT-3.1.3-2]
/// [MQTT-3.1.4-3] [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-4.1.0-1] [MQTT-4.1.0-2].
#[tokio::test]
async fn clean_start_and_resumption() {
    for version in BOTH {
        let broker = Broker::start().await;
        let resume = packets::persistent(version, "a");
        let (mut client, connack) = broker.enter(resume.clone()).await;
        assert!(!connack.session_present);
        client.subscribe("t", QoS::AtLeastOnce).await;
        client.leave().await;
        let (mut client, connack) = broker.enter(resume.clone()).await;
        assert!(connack.session_present);
        broker.client(V5, "pub").await.publish("t", "x").await;
        client.take("t", "x").await;
        client.leave().await;
        let clean = Connect { clean_start: true, ..resume.clone() };
        let (mut client, connack) = broker.enter(clean).await;
        assert!(!connack.session_present);
        client.publish("t", "x").await;
        client.quiet().await;
        client.leave().await;
        assert_eq!(broker.broker.totals().subscriptions, 0);
    }
}

/// A session without expiry interval ends with its connection.
/// Covers 5.0 [MQTT-4.1.0-2], 3.1.1 [MQTT-3.1.2-6].
#[tokio::test]
async fn session_ends_with_its_connection() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut client = broker.client(version, "a").await;
        client.subscribe("t", QoS::AtLeastOnce).await;
        client.vanish();
        broker.until(|broker| broker.totals().sessions == 0).await;
        assert_eq!(broker.broker.totals().subscriptions, 0);
        let resume = packets::persistent(version, "a");
        assert!(!broker.enter(resume).await.1.session_present);
    }
}

/// Covers 5.0 [MQTT-3.1.2-23] [MQTT-4.5.0-1], 3.1.1 [MQTT-3.1.2-5] [MQTT-4.5.0-1].
#[tokio::test]
async fn messages_wait_for_the_client() {
    for version in BOTH {
        let broker = Broker::start().await;
        let resume = packets::persistent(version, "sub");
        let mut subscriber = broker.enter(resume.clone()).await.0;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        subscriber.leave().await;
        let mut publisher = broker.client(V5, "pub").await;
        publisher.send(packets::qos0("t", "lost")).await;
        assert_eq!(publisher.publish("t", "1").await, ReasonCode::Success);
        publisher.send(packets::qos2(2, "t", "2")).await;
        publisher.expect(packets::pubrec(2, ReasonCode::Success)).await;
        assert_eq!(broker.broker.client("sub").unwrap().queued, 2);
        let mut subscriber = broker.enter(resume).await.0;
        let first = subscriber.take("t", "1").await;
        assert!(!first.dup && first.qos == QoS::AtLeastOnce);
        assert_eq!(subscriber.take("t", "2").await.qos, QoS::ExactlyOnce);
        subscriber.quiet().await;
    }
}

/// What was sent and not completed comes again, in order, with DUP [MQTT-4.4.0-1].
/// Covers 5.0 [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6]
/// [MQTT-4.4.0-1], 3.1.1 [MQTT-2.3.1-4] [MQTT-3.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1]
/// [MQTT-4.6.0-1].
#[tokio::test]
async fn unacknowledged_messages_come_again() {
    for version in BOTH {
        let broker = Broker::start().await;
        let resume = packets::persistent(version, "sub");
        let mut subscriber = broker.enter(resume.clone()).await.0;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = broker.client(V5, "pub").await;
        publisher.publish("t", "q1").await;
        for id in [1, 2] {
            publisher.send(packets::qos2(id, "t", &format!("q2-{id}"))).await;
            publisher.expect(packets::pubrec(id, ReasonCode::Success)).await;
        }
        let one = subscriber.message().await;
        let two = subscriber.message().await;
        let three = subscriber.message().await;
        subscriber.send(packets::pubrec(three.packet_id, ReasonCode::Success)).await;
        subscriber.expect(packets::pubrel(three.packet_id, ReasonCode::Success)).await;
        subscriber.vanish();
        let mut subscriber = broker.enter(resume).await.0;
        // The third is the client's already: only its PUBREL comes again.
        subscriber.expect(packets::pubrel(three.packet_id, ReasonCode::Success)).await;
        for before in [&one, &two] {
            let again = subscriber.message().await;
            assert!(again.dup);
            assert_eq!((again.text(), again.packet_id), (before.text(), before.packet_id));
        }
        subscriber.send(packets::pubcomp(three.packet_id, ReasonCode::Success)).await;
        subscriber.acknowledge(&one).await;
        subscriber.acknowledge(&two).await;
        subscriber.quiet().await;
        assert_eq!(broker.broker.client("sub").unwrap().in_flight, 0);
    }
}

/// Covers 5.0 [MQTT-4.1.0-1] [MQTT-4.1.0-2].
#[tokio::test]
async fn session_expires() {
    let broker = Broker::start().await;
    let connect = Connect { session_expiry_interval: 1, ..packets::persistent(V5, "a") };
    let mut client = broker.enter(connect.clone()).await.0;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.vanish();
    broker.until(|broker| broker.client("a").is_some_and(|client| !client.connected)).await;
    // Back in time: it goes on.
    let (client, connack) = broker.enter(connect.clone()).await;
    assert!(connack.session_present);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(broker.broker.client("a").is_some(), "a connected session does not expire");
    client.vanish();
    broker.until(|broker| broker.totals().sessions == 0).await;
    assert_eq!(broker.broker.totals().subscriptions, 0);
    assert!(!broker.enter(connect).await.1.session_present);
}

#[tokio::test]
async fn session_expiry_has_a_maximum() {
    let setup = Setup::with(|live| live.limits.sizes.session_expiry_max = 100);
    let broker = setup.start().await;
    for (asked, told) in [(101, Some(100)), (u32::MAX, Some(100)), (100, None), (0, None)] {
        let connect = Connect { session_expiry_interval: asked, ..Connect::new(V5, "a") };
        let (_client, connack) = broker.enter(connect).await;
        assert_eq!(connack.session_expiry_interval, told, "{asked}");
    }
    let _old = broker.enter(packets::persistent(V311, "b")).await;
    assert_eq!(broker.broker.client("b").unwrap().session_expiry_interval, 100);
    // A grant may allow less.
    let grant = access::Grant { session_expiry_seconds_max: Some(0), ..access::Grant::default() };
    broker.doorman.set_user("c", User { grant, ..User::default() });
    let (client, connack) = broker.enter(packets::persistent(V5, "c")).await;
    assert_eq!(connack.session_expiry_interval, Some(0));
    client.vanish();
    broker.until(|broker| broker.client("c").is_none()).await;
}

#[tokio::test]
async fn disconnect_changes_the_expiry() {
    let broker = Broker::start().await;
    let resume = packets::persistent(V5, "a");
    let mut client = broker.enter(resume.clone()).await.0;
    client.send(packets::disconnect_with_expiry(0)).await;
    client.expect_closed().await;
    assert!(broker.broker.client("a").is_none());
    let mut client = broker.enter(resume.clone()).await.0;
    client.send(packets::disconnect_with_expiry(u32::MAX)).await;
    client.expect_closed().await;
    let week = broker.broker.client("a").unwrap().session_expiry_interval;
    assert_eq!(week, 7 * 24 * 3600);
    // From 0 it cannot be raised [section 3.14.2.2.2].
    let mut client = broker.client(V5, "b").await;
    client.send(packets::disconnect_with_expiry(10)).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
    assert!(broker.broker.client("b").is_none());
}

/// Covers 5.0 [MQTT-3.1.4-3], 3.1.1 [MQTT-3.1.4-2].
#[tokio::test]
async fn takeover() {
    let broker = Broker::start().await;
    for version in BOTH {
        let resume = packets::persistent(version, "a");
        let mut old = broker.enter(resume.clone()).await.0;
        old.subscribe("t", QoS::AtLeastOnce).await;
        let (mut new, connack) = broker.enter(resume.clone()).await;
        assert!(connack.session_present);
        old.expect_disconnect(ReasonCode::SessionTakenOver).await;
        broker.client(V5, "pub").await.publish("t", "x").await;
        new.take("t", "x").await;
        // With Clean Start nothing is taken over but the place.
        let clean = Connect { clean_start: true, ..resume };
        let (mut newest, connack) = broker.enter(clean).await;
        assert!(!connack.session_present);
        new.expect_disconnect(ReasonCode::SessionTakenOver).await;
        newest.publish("t", "x").await;
        newest.quiet().await;
        newest.leave().await;
    }
}

/// Covers 5.0 [MQTT-3.1.3-2] [MQTT-3.1.4-2], 3.1.1 [MQTT-3.1.3-2].
#[tokio::test]
async fn takeover_by_another_principal_is_refused() {
    let broker = Broker::start().await;
    let as_user = |user: &str| Connect {
        username: Some(user.to_owned()),
        ..packets::persistent(V5, "device")
    };
    let mut victim = broker.enter(as_user("ann")).await.0;
    victim.subscribe("t", QoS::AtLeastOnce).await;
    for version in BOTH {
        for clean_start in [true, false] {
            let mut thief = Connect { version, clean_start, ..as_user("bob") };
            if version == V311 {
                thief.session_expiry_interval = if clean_start { 0 } else { u32::MAX };
            }
            let mut thief = broker.knock(thief).await;
            thief.expect(packets::refusal(ReasonCode::NotAuthorized)).await;
            thief.expect_closed().await;
        }
    }
    broker.client(V5, "pub").await.publish("t", "still here").await;
    victim.take("t", "still here").await;
    victim.leave().await;
    // Nor is it resumed while nobody is connected.
    let mut thief = broker.knock(as_user("bob")).await;
    thief.expect(packets::refusal(ReasonCode::NotAuthorized)).await;
    let (mut ann, connack) = broker.enter(as_user("ann")).await;
    assert!(connack.session_present);
    broker.client(V5, "pub").await.publish("t", "x").await;
    ann.take("t", "x").await;
}

/// The queue of a client that is away keeps to its limit as the policy says.
#[tokio::test]
async fn full_queue_of_an_absent_client() {
    for (policy, kept) in [
        (QueueFull::DropOldest, ["2", "3"]),
        (QueueFull::DropNewest, ["0", "1"]),
        (QueueFull::Disconnect, ["0", "1"]),
    ] {
        let setup = Setup::with(|live| {
            live.queue_full = policy;
            live.limits.sizes.queue_messages = 2;
        });
        let broker = setup.start().await;
        let resume = packets::persistent(V5, "sub");
        let mut subscriber = broker.enter(resume.clone()).await.0;
        subscriber.subscribe("t", QoS::AtLeastOnce).await;
        subscriber.leave().await;
        let mut publisher = broker.client(V5, "pub").await;
        for number in 0..4 {
            publisher.publish("t", &number.to_string()).await;
        }
        let client = broker.broker.client("sub").unwrap();
        assert_eq!((client.queued, client.dropped), (2, 2), "{policy:?}");
        let full = "portcullis_messages_dropped_total{reason=\"queue_full\"}";
        assert_eq!(broker.counted(full), 2);
        let mut subscriber = broker.enter(resume).await.0;
        for payload in kept {
            subscriber.take("t", payload).await;
        }
        subscriber.quiet().await;
    }
}

/// A connected client whose queue is full is let go when the policy says so.
#[tokio::test]
async fn full_queue_ends_a_connection() {
    let setup = Setup::with(|live| {
        live.queue_full = QueueFull::Disconnect;
        live.limits.sizes.queue_messages = 2;
    });
    let broker = setup.start().await;
    let connect = Connect { receive_maximum: 1, ..packets::persistent(V5, "sub") };
    let mut subscriber = broker.enter(connect).await.0;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..4 {
        publisher.publish("t", &number.to_string()).await;
    }
    subscriber.message().await;
    subscriber.expect_disconnect(ReasonCode::QuotaExceeded).await;
}

/// Messages whose time is over while the client is away are not delivered.
/// Covers 5.0 [MQTT-3.3.2-5] [MQTT-3.3.2-6].
#[tokio::test]
async fn queued_messages_expire() {
    let broker = Broker::start().await;
    let resume = packets::persistent(V5, "sub");
    let mut subscriber = broker.enter(resume.clone()).await.0;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    subscriber.leave().await;
    let mut publisher = broker.client(V5, "pub").await;
    for (payload, seconds) in [("short", 1), ("long", 100)] {
        let publish = codec::Publish {
            message_expiry_interval: Some(seconds),
            ..codec::Publish::new("t", payload.as_bytes())
        };
        publisher.send(packets::publish(1, QoS::AtLeastOnce, publish)).await;
        publisher.puback(1).await;
    }
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let mut subscriber = broker.enter(resume).await.0;
    let left = subscriber.take("t", "long").await.message_expiry_interval.unwrap();
    assert!((98..=99).contains(&left), "{left}");
    subscriber.quiet().await;
    assert_eq!(broker.counted("portcullis_messages_dropped_total{reason=\"expired\"}"), 1);
}

/// A session that many connections fight for belongs to exactly one of them at the end, and
/// nothing is left of the others.
#[tokio::test]
async fn many_takeovers() {
    let broker = Broker::start().await;
    let mut all = Vec::new();
    for number in 0..40 {
        let clean_start = number % 3 == 0;
        let connect = Connect { clean_start, ..packets::persistent(V5, "a") };
        all.push(broker.knock(connect).await);
    }
    let mut left = 0;
    for mut client in all {
        assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
        client.send(packets::subscribe(1, &[("t", QoS::AtMostOnce)])).await;
        client.send(packets::disconnect(ReasonCode::Success)).await;
        left += usize::from(client.last_words().await.is_none());
    }
    assert_eq!(left, 1);
    broker.until(|broker| broker.totals().connections == 0).await;
    assert_eq!(broker.broker.totals().sessions, 1);
    assert!(broker.broker.totals().subscriptions <= 1);
}
