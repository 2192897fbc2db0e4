//! What a client may do after its rights changed, and with filters that reach further than its rights.

use codec::{Connect, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Client, Setup, User, allow, deny, packets};
use server::BrokerHandle;

use ProtocolVersion::V5;

/// N7: a retained message outlives its publisher's right (CVE-2018-12546, mosquitto).
#[tokio::test]
async fn a_retained_message_goes_with_the_right() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(version, "a").await;
        let mut other = broker.client(version, "b").await;
        retain(&mut publisher, "t/a").await;
        retain(&mut publisher, "u").await;
        retain(&mut other, "t/b").await;
        assert_eq!(retained(&broker, version).await, ["t/a", "t/b", "u"]);
        // Taken back while it is connected; nobody else loses anything by it.
        broker.doorman.set_user("a", User::with_rules([deny("t/#"), allow("#")]));
        broker.swap();
        broker.refreshed("a").await;
        assert_eq!(retained(&broker, version).await, ["t/b", "u"]);
        // It stays so when the publisher is gone, and is known of one that comes back without the right.
        publisher.leave().await;
        assert_eq!(retained(&broker, version).await, ["t/b", "u"]);
        other.leave().await;
        broker.until(|broker| broker.totals().connections == 0).await;
        broker.doorman.set_user("b", User::with_rules([allow("u")]));
        let other = broker.client(version, "b").await;
        assert_eq!(retained(&broker, version).await, ["u"]);
        // Somebody else by the same client identifier has no say in it.
        other.leave().await;
        broker.doorman.set_user("b", User::default());
        let again = broker.client(version, "b").await;
        assert_eq!(retained(&broker, version).await, ["t/b", "u"]);
        again.leave().await;
        broker.doorman.set_user("c", User::with_rules([allow("x")]));
        let username = Some("c".to_owned());
        broker.enter(Connect { username, ..Connect::new(version, "b") }).await.0.leave().await;
        assert_eq!(retained(&broker, version).await, ["t/b", "u"]);
    }
    // Where the operator wants it so, they do outlive it.
    let broker = Setup::with(|live| live.retained_outlives_rights = true).start().await;
    let mut publisher = broker.client(V5, "a").await;
    retain(&mut publisher, "t").await;
    broker.doorman.set_user("a", User::with_rules([deny("#")]));
    broker.swap();
    broker.refreshed("a").await;
    assert_eq!(retained(&broker, V5).await, ["t"]);
}

async fn retain(client: &mut Client, topic: &str) {
    client.send(packets::retained(packets::qos1(1, topic, topic))).await;
    assert!(!client.puback(1).await.is_failure(), "{topic}");
}

/// The topics that somebody new gets.
async fn retained(broker: &Broker, version: ProtocolVersion) -> Vec<String> {
    let mut watcher = broker.client(version, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    let mut topics: Vec<_> = watcher.drain().await.into_iter().map(|it| it.topic).collect();
    watcher.leave().await;
    topics.sort_unstable();
    topics
}

/// N15: a right is taken back, and the durable subscription goes on (CVE-2021-34434, mosquitto).
#[tokio::test]
async fn a_subscription_ends_with_its_right() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(V5, "pub").await;
        let mut client = broker.enter(packets::persistent(version, "a")).await.0;
        client.subscribe("t/#", QoS::AtLeastOnce).await;
        publisher.publish("t/x", "1").await;
        client.take("t/x", "1").await;
        broker.doorman.set_user("a", User::with_rules([deny("t/#"), allow("#")]));
        broker.swap();
        broker.refreshed("a").await;
        assert_eq!(publisher.publish("t/x", "2").await, ReasonCode::NoMatchingSubscribers);
        client.quiet().await;
        client.leave().await;
        publisher.publish("t/x", "3").await;
        let (mut client, connack) = broker.enter(packets::persistent(version, "a")).await;
        assert!(connack.session_present);
        publisher.publish("t/x", "4").await;
        client.quiet().await;
    }
}

/// N16: an unfinished QoS 2 message is not judged again after a reconnect (mosquitto 2.0.12).
#[tokio::test]
async fn an_unfinished_message_is_judged_again() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut watcher = broker.client(V5, "watcher").await;
        watcher.subscribe("t", QoS::AtMostOnce).await;
        let mut client = broker.enter(packets::persistent(version, "a")).await.0;
        client.send(packets::qos2(1, "t", "while it might")).await;
        assert!(!client.pubrec(1).await.is_failure());
        watcher.take("t", "while it might").await;
        client.vanish();
        broker.until(|broker| broker.totals().connections == 1).await;
        broker.doorman.set_user("a", User::with_rules([deny("t"), allow("#")]));
        broker.swap();
        let mut client = broker.enter(packets::persistent(version, "a")).await.0;
        // The one that was taken is finished and comes no second time; one that was not is refused.
        client.send(packets::again(packets::qos2(1, "t", "while it might"))).await;
        client.pubrec(1).await;
        client.send(packets::again(packets::qos2(2, "t", "when it might not"))).await;
        let code = client.pubrec(2).await;
        assert!(version != V5 || code == ReasonCode::NotAuthorized, "{code:?}");
        for id in [1, 2] {
            client.send(packets::pubrel(id, ReasonCode::Success)).await;
        }
        for _ in [1, 2] {
            client.next(|_| ()).await.expect("PUBCOMP");
        }
        client.quiet().await;
        watcher.quiet().await;
    }
}

/// N19: a Will Message goes where its client may not publish, `$CONTROL` for instance (mosquitto 2.0.16).
#[tokio::test]
async fn a_will_may_no_more_than_its_client() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([deny("no/#"), allow("#")]));
    for version in BOTH {
        for topic in ["$CONTROL/dynamic-security/v1", "$SYS/broker/uptime", "no/x", "$share/g/x"] {
            let connect = Connect::new(version, "a");
            let mut client =
                broker.knock(packets::with_will(connect, Will::new(topic, b"x"))).await;
            let code = client.last_words().await;
            assert!(code.is_some_and(ReasonCode::is_failure), "{version:?} {topic}: {code:?}");
        }
        // And judged again when it is sent.
        let mut watcher = broker.client(V5, "watcher").await;
        watcher.subscribe("later", QoS::AtMostOnce).await;
        let refused = broker.counted("portcullis_publish_denied_total");
        let connect = packets::with_will(Connect::new(version, "b"), Will::new("later", b"x"));
        broker.doorman.set_user("b", User::default());
        let client = broker.enter(connect).await.0;
        broker.doorman.set_user("b", User::with_rules([deny("later"), allow("#")]));
        broker.swap();
        client.vanish();
        broker.until(|_| broker.counted("portcullis_publish_denied_total") > refused).await;
        watcher.quiet().await;
    }
}

/// N20: unsubscribing `t` ends `$share/g/t`, or the other way round; SUBSCRIBE leaks (mosquitto 2.0.19, 2.0.21).
#[tokio::test]
async fn shared_and_plain_subscriptions_are_two() {
    for version in BOTH {
        let broker = Broker::start().await;
        let mut publisher = broker.client(V5, "pub").await;
        for (kept, other) in [("$share/g/t", "t"), ("t", "$share/g/t"), ("t", "$share/h/t")] {
            let mut client = broker.client(version, "a").await;
            client.subscribe(kept, QoS::AtMostOnce).await;
            client.send(packets::unsubscribe(1, &[other])).await;
            let none = [ReasonCode::NoSubscriptionExisted];
            client.expect(packets::unsuback(version, 1, &none)).await;
            publisher.publish("t", "x").await;
            client.take("t", "x").await;
            client.quiet().await;
            for _ in 0..200 {
                client.subscribe(kept, QoS::AtLeastOnce).await;
            }
            assert_eq!(broker.broker.totals().subscriptions, 1, "{kept}");
            client.send(packets::unsubscribe(1, &[kept])).await;
            client.expect(packets::unsuback(version, 1, &[ReasonCode::Success])).await;
            assert_eq!(broker.broker.totals().subscriptions, 0, "{kept}");
            client.leave().await;
        }
    }
}

/// N37: a filter with a wildcard is not held against the rules (CVE-2026-49186, a local broker).
#[tokio::test]
async fn a_wildcard_reaches_no_further_than_the_rules() {
    let broker = Broker::start().await;
    let rules = [deny("a/secret/#"), allow("a/#"), allow("b/x")];
    broker.doorman.set_user("a", User::with_rules(rules));
    let mut publisher = broker.client(V5, "pub").await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        let refused = match version {
            V5 => ReasonCode::NotAuthorized,
            ProtocolVersion::V311 => ReasonCode::UnspecifiedError,
        };
        for filter in ["#", "+/#", "+/x", "b/+", "b/#", "$share/g/#", "$share/g/+/x", "a/secret/+"]
        {
            client.send(packets::subscribe(1, &[(filter, QoS::AtMostOnce)])).await;
            client.expect(packets::suback(1, &[refused])).await;
        }
        // A denial within what is permitted holds for each message.
        for filter in ["a/#", "a/+/x", "$share/g/a/#"] {
            client.subscribe(filter, QoS::AtMostOnce).await;
            publisher.publish("a/secret/x", "no").await;
            publisher.publish("b/x", "no").await;
            publisher.publish("a/open/x", "yes").await;
            client.take("a/open/x", "yes").await;
            client.quiet().await;
            client.send(packets::unsubscribe(2, &[filter])).await;
            client.expect(packets::unsuback(version, 2, &[ReasonCode::Success])).await;
        }
        client.leave().await;
    }
}
