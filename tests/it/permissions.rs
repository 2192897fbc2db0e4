//! Permissions that change while clients are connected: swaps of the chain, ends of their time to
//! live, authorizers that fail, grants that end.

use std::time::{Duration, Instant, SystemTime};

use access::PluginFailureKind;
use codec::{Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Mood, User, allow, deny, packets};
use server::BrokerHandle;

fn forbid(broker: &Broker, user: &str) {
    broker.doorman.set_user(user, User::with_rules([deny("t/#"), allow("#")]));
}

/// After a swap not one PUBLISH is judged by the old rules.
#[tokio::test]
async fn publish_after_a_swap() {
    let broker = Broker::start().await;
    for version in BOTH {
        broker.doorman.set_user("a", User::default());
        broker.swap();
        let mut watcher = broker.client(V5, "watcher").await;
        watcher.subscribe("t/#", QoS::AtMostOnce).await;
        let mut client = broker.client(version, "a").await;
        client.publish("t/x", "before").await;
        watcher.take("t/x", "before").await;
        forbid(&broker, "a");
        broker.swap();
        client.send_all([packets::qos0("t/x", "after"), packets::qos0("t/x", "after")]).await;
        client.publish("t/x", "after").await;
        watcher.quiet().await;
        broker.doorman.set_user("a", User::default());
        broker.swap();
        client.publish("t/x", "again").await;
        watcher.take("t/x", "again").await;
        client.leave().await;
    }
}

/// What is no longer permitted stops flowing and flows again when it is, without a SUBSCRIBE.
#[tokio::test]
async fn subscription_after_a_swap() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    client.subscribe("$share/g/t/#", QoS::AtLeastOnce).await;
    client.subscribe("free", QoS::AtLeastOnce).await;
    forbid(&broker, "a");
    broker.swap();
    broker.refreshed("a").await;
    assert_eq!(publisher.publish("t/x", "1").await, ReasonCode::NoMatchingSubscribers);
    publisher.publish("free", "2").await;
    client.take("free", "2").await;
    client.quiet().await;
    client.send(packets::subscribe(1, &[("t/#", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(1, &[ReasonCode::NotAuthorized])).await;
    assert_eq!(broker.broker.client("a").unwrap().subscriptions, 3);
    broker.doorman.set_user("a", User::default());
    broker.swap();
    broker.refreshed("a").await;
    publisher.publish("t/x", "3").await;
    client.take("t/x", "3").await;
    client.take("t/x", "3").await;
    client.quiet().await;
}

/// A deny rule that appears inside a permitted filter holds from the swap on.
#[tokio::test]
async fn narrowed_subscription() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("#", QoS::AtLeastOnce).await;
    publisher.publish("t/x", "1").await;
    client.take("t/x", "1").await;
    forbid(&broker, "a");
    broker.swap();
    broker.refreshed("a").await;
    publisher.publish("t/x", "2").await;
    publisher.publish("u", "3").await;
    client.take("u", "3").await;
    client.quiet().await;
}

/// What waits for an absent client is judged by its permissions when it comes back.
#[tokio::test]
async fn queued_messages_are_judged_again() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(V5, "pub").await;
        let resume = packets::persistent(version, "a");
        let mut client = broker.enter(resume.clone()).await.0;
        client.subscribe("t/#", QoS::AtLeastOnce).await;
        client.subscribe("u", QoS::AtLeastOnce).await;
        client.leave().await;
        publisher.publish("t/x", "1").await;
        publisher.publish("u", "2").await;
        forbid(&broker, "a");
        let mut client = broker.enter(resume).await.0;
        client.take("u", "2").await;
        client.quiet().await;
        assert_eq!(publisher.publish("t/x", "3").await, ReasonCode::NoMatchingSubscribers);
    }
}

/// A reload drops nobody, whatever the chain becomes.
#[tokio::test]
async fn no_client_is_dropped_by_swaps() {
    let broker = Broker::start().await;
    let mut clients = Vec::new();
    for number in 0..50 {
        let version = BOTH[number % 2];
        let connect = Connect { keep_alive: 3, ..Connect::new(version, &format!("c-{number}")) };
        let mut client = broker.enter(connect).await.0;
        client.subscribe("t/+", QoS::AtLeastOnce).await;
        clients.push(client);
    }
    let mut publisher = broker.client(V5, "pub").await;
    for round in 0..20 {
        broker.swap();
        let payload = round.to_string();
        publisher.publish("t/x", &payload).await;
        for client in &mut clients {
            client.take("t/x", &payload).await;
        }
    }
    assert_eq!(broker.broker.totals().connections, 51);
    for client in &mut clients {
        client.quiet().await;
    }
}

/// Refreshed ahead of the time to live: the client notices nothing, new rules hold.
#[tokio::test]
async fn time_to_live() {
    let broker = Broker::start().await;
    let short = |user: User| User { ttl_seconds: Some(1), ..user };
    broker.doorman.set_user("a", short(User::default()));
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtMostOnce).await;
    client.publish("t/x", "1").await;
    client.take("t/x", "1").await;
    let rules = [deny("t/#"), allow("#")];
    broker.doorman.set_user("a", short(User::with_rules(rules)));
    let begun = Instant::now();
    while client.publish("other", "x").await.is_failure()
        || broker.broker.permissions("a").is_none_or(|permissions| {
            let topic = "t/x";
            let request = access::PublishRequest { topic, qos: QoS::AtMostOnce, retain: false };
            permissions.permit_publish(request).is_ok()
        })
    {
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.publish("t/x", "2").await, ReasonCode::NotAuthorized);
    client.quiet().await;
}

/// While the authorizer does not answer after a swap, the client is not read; after 5 s it is, and
/// may do nothing; when the authorizer answers again, all is as before. Keep Alive does not run
/// while the silence is ours. The same whether the authorizer fails or hangs.
#[tokio::test]
async fn failing_authorizer() {
    let moods = [Mood::Hangs, Mood::Fails(PluginFailureKind::Unavailable)];
    tokio::join!(without_answer(moods[0]), without_answer(moods[1]));
}

async fn without_answer(mood: Mood) {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    let connect = Connect { keep_alive: 2, ..Connect::new(V5, "a") };
    let mut client = broker.enter(connect).await.0;
    client.subscribe("t/#", QoS::AtLeastOnce).await;
    let will = Will { qos: QoS::AtLeastOnce, ..Will::new("t/will", b"no") };
    let doomed = broker.enter(packets::with_will(Connect::new(V5, "doomed"), will)).await.0;
    broker.doorman.authorizer(mood);
    broker.swap();
    let begun = Instant::now();
    doomed.vanish();
    client.send(packets::qos1(1, "u", "x")).await;
    // The patience of the broker is as long as that of a client here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let code = client.puback(1).await;
    let waited = begun.elapsed();
    assert_eq!(code, ReasonCode::NotAuthorized, "{mood:?}");
    assert!(waited >= Duration::from_millis(4_900), "{mood:?}: read after {waited:?}");
    assert!(waited < Duration::from_millis(6_000), "{mood:?}: read after {waited:?}");
    client.send(packets::subscribe(2, &[("u", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(2, &[ReasonCode::NotAuthorized])).await;
    broker.until(|broker| broker.client("doomed").is_none()).await;
    assert_eq!(broker.counted("portcullis_wills_published_total"), 0);
    broker.doorman.authorizer(Mood::Answers);
    broker.swap();
    broker.refreshed("a").await;
    broker.refreshed("pub").await;
    assert_eq!(publisher.publish("t/x", "back").await, ReasonCode::Success);
    client.take("t/x", "back").await;
    client.send(Packet::PingReq).await;
    client.expect(Packet::PingResp).await;
}

#[tokio::test]
async fn end_of_a_grant_ends_the_connection() {
    let broker = Broker::start().await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let grant = access::Grant { expires_at_unix: Some(now + 2), ..access::Grant::default() };
    let user = User { grant, ..User::default() };
    broker.doorman.set_user("a", user.clone());
    let mut clients = Vec::new();
    for version in BOTH {
        let mut connect = Connect::new(version, &format!("{version:?}"));
        connect.username = Some("a".to_owned());
        let mut client = broker.enter(connect).await.0;
        client.quiet().await;
        clients.push(client);
    }
    for mut client in clients {
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    }
    // And with a grant that is over there is no connection.
    let mut late = broker.knock(Connect::new(V5, "a")).await;
    late.expect(packets::refusal(ReasonCode::NotAuthorized)).await;
    late.expect_closed().await;
}
