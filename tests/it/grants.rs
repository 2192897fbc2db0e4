//! What a grant carries beside a name: rules of its own and bounds for one client.

use std::time::{Duration, Instant};

use access::{ClientLimits, Grant, Rule};
use codec::{Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode, Will};
use portcullis_tests::{Broker, Setup, User, allow, deny, packets};
use server::BrokerHandle;

fn granted(limits: ClientLimits) -> User {
    User { grant: Grant { limits, ..Grant::default() }, ..User::default() }
}

fn permitted(rules: &[Rule]) -> Grant {
    Grant { permissions: rules.to_vec(), ..Grant::default() }
}

#[tokio::test]
async fn rules_of_a_grant_stand_beside_those_of_the_authorizers() {
    let broker = Broker::start().await;
    let grant = permitted(&[deny("a/secret"), allow("a/#"), allow("own/${clientid}/#")]);
    let user = User { grant, ..User::with_rules([allow("b/#"), deny("a/closed")]) };
    broker.doorman.set_user("c", user);
    let mut client = broker.client(V5, "c").await;
    let cases = [
        ("a/b", true),
        ("b/b", true),
        ("own/c/x", true),
        ("own/d/x", false),
        ("a/secret", false),
        ("a/closed", false),
        ("c", false),
    ];
    for (id, (topic, may)) in (1..).zip(cases) {
        client.send(packets::qos1(id, topic, "x")).await;
        let code = client.puback(id).await;
        assert_eq!(code == ReasonCode::NotAuthorized, !may, "{topic}: {code:?}");
    }
    // They are not asked for again with the rest, and hold all the same.
    broker.swap();
    broker.refreshed("c").await;
    client.send(packets::qos1(20, "a/b", "x")).await;
    assert_ne!(client.puback(20).await, ReasonCode::NotAuthorized);
}

#[tokio::test]
async fn a_rule_of_a_grant_that_cannot_be_used_lets_nobody_in() {
    let broker = Broker::start().await;
    let grant = permitted(&[allow("a/#/b")]);
    broker.doorman.set_user("c", User { grant, ..User::default() });
    let mut client = broker.knock(Connect::new(V5, "c")).await;
    client.expect(packets::refusal(ReasonCode::ServerUnavailable)).await;
}

/// The Will Message of a client that is away is judged by what it was granted.
#[tokio::test]
async fn rules_of_a_grant_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Setup::default().kept_in(folder.path()).start().await;
    let nothing = || User::with_rules([]);
    let grant = permitted(&[allow("granted")]);
    broker.doorman.set_user("c", User { grant, ..nothing() });
    let will = Will { retain: true, delay_interval: 2, ..Will::new("granted", b"gone") };
    let _client = broker.enter(packets::with_will(packets::persistent(V5, "c"), will)).await;
    broker.crash();
    let broker = Setup::default().kept_in(folder.path()).start().await;
    broker.doorman.set_user("c", nothing());
    let mut reader = broker.client(V5, "reader").await;
    reader.subscribe("granted", QoS::AtMostOnce).await;
    reader.take("granted", "gone").await;
}

#[tokio::test]
async fn connack_says_what_a_grant_allows() {
    let broker = Broker::start().await;
    broker.doorman.set_user(
        "c",
        granted(ClientLimits {
            receive_maximum: Some(3),
            packet_bytes_max: Some(200),
            keep_alive_seconds_max: Some(7),
            subscriptions_max: Some(1),
            ..ClientLimits::default()
        }),
    );
    let connect = Connect { keep_alive: 60, ..Connect::new(V5, "c") };
    let (mut client, connack) = broker.enter(connect).await;
    assert_eq!(connack.receive_maximum, Some(3));
    assert_eq!(connack.maximum_packet_size, Some(200));
    assert_eq!(connack.server_keep_alive, Some(7));
    client.subscribe("a", QoS::AtMostOnce).await;
    client.send(packets::subscribe(2, &[("b", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(2, &[ReasonCode::QuotaExceeded])).await;
    client.send(packets::qos0("t", &"x".repeat(300))).await;
    client.expect_disconnect(ReasonCode::PacketTooLarge).await;
    // What is more than the configuration allows does not count.
    broker.doorman.set_user(
        "d",
        granted(ClientLimits {
            receive_maximum: Some(u16::MAX),
            keep_alive_seconds_max: Some(u16::MAX),
            ..ClientLimits::default()
        }),
    );
    let connack = broker.enter(Connect { keep_alive: 60, ..Connect::new(V5, "d") }).await.1;
    assert_eq!((connack.receive_maximum, connack.server_keep_alive), (Some(32), None));
}

#[tokio::test]
async fn a_grant_bounds_what_waits() {
    let broker = Broker::start().await;
    let limits = ClientLimits { queue_messages_max: Some(2), ..ClientLimits::default() };
    broker.doorman.set_user("c", granted(limits));
    let mut client = broker.enter(packets::persistent(V5, "c")).await.0;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.vanish();
    broker.until(|broker| broker.client("c").is_some_and(|client| !client.connected)).await;
    let mut publisher = broker.client(V5, "p").await;
    for id in 1..=5 {
        publisher.send(packets::qos1(id, "t", &id.to_string())).await;
        publisher.puback(id).await;
    }
    let (mut client, _) = broker.enter(packets::persistent(V5, "c")).await;
    for _ in 0..2 {
        client.message().await;
    }
    client.quiet().await;
}

#[tokio::test]
async fn who_publishes_too_fast_is_read_more_slowly_and_loses_nothing() {
    let broker = Broker::start().await;
    let limits = ClientLimits {
        messages_per_second: Some(100),
        messages_burst: Some(10),
        ..ClientLimits::default()
    };
    broker.doorman.set_user("fast", granted(limits));
    let mut reader = broker.client(V5, "reader").await;
    reader.subscribe("t", QoS::AtMostOnce).await;
    let mut publisher = broker.client(V5, "fast").await;
    let start = Instant::now();
    let messages: Vec<_> = (0..60).map(|number: u32| number.to_string()).collect();
    publisher.send_all(messages.iter().map(|text| packets::qos0("t", text))).await;
    publisher.send(Packet::PingReq).await;
    for text in &messages {
        reader.take("t", text).await;
    }
    publisher.expect(Packet::PingResp).await;
    // 10 at once, 50 at 100 a second. No upper bound: the machine may be slow.
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());
}
