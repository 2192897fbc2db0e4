//! SUBSCRIBE and UNSUBSCRIBE: wildcards, overlaps, options, limits, permissions.

use codec::{ProtocolVersion, QoS, ReasonCode, SubscriptionOptions};
use portcullis_tests::{BOTH, Broker, Setup, User, allow, deny, packets};
use server::BrokerHandle;

use ProtocolVersion::{V5, V311};

/// Covers 5.0 [MQTT-3.3.2-3], 3.1.1 [MQTT-3.3.2-3] [MQTT-3.8.3-2].
#[tokio::test]
async fn wildcards() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for (filter, matching, others) in [
        ("a/+/c", &["a/b/c", "a//c"][..], &["a/b", "a/b/c/d", "a/b/d"][..]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"], &["b", "aa/b"]),
        ("+", &["a", "b"], &["a/b", "/a"]),
        ("+/+", &["/", "a/b", "/a"], &["a", "a/b/c"]),
        ("/+", &["/a"], &["a", "a/b"]),
        ("a/b", &["a/b"], &["a/B", "a", "a/b/"]),
    ] {
        for version in BOTH {
            let mut subscriber = broker.client(version, "sub").await;
            subscriber.subscribe(filter, QoS::AtMostOnce).await;
            for topic in matching {
                publisher.publish(topic, "x").await;
                subscriber.take(topic, "x").await;
            }
            for topic in others {
                publisher.publish(topic, "x").await;
            }
            subscriber.quiet().await;
        }
    }
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions::new(qos)
}

/// One message with the highest QoS and all identifiers [MQTT-3.3.4-2, MQTT-3.3.4-3].
/// Covers 5.0 [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.8.4-3].
#[tokio::test]
async fn overlapping_subscriptions_deliver_once() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "sub").await;
    for (number, filter, qos) in
        [(1, "a/#", QoS::AtMostOnce), (2, "a/+", QoS::ExactlyOnce), (3, "+/b", QoS::AtLeastOnce)]
    {
        client.send(packets::subscribe_with(1, filter, options(qos), Some(number))).await;
        client.expect(packets::suback(1, &[packets::granted(qos)])).await;
    }
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(packets::qos2(1, "a/b", "x")).await;
    publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
    let message = client.take("a/b", "x").await;
    assert_eq!(message.subscription_identifiers, [1, 2, 3]);
    assert_eq!(message.qos, QoS::ExactlyOnce);
    client.quiet().await;
    publisher.publish("a/b/c", "y").await;
    assert_eq!(client.take("a/b/c", "y").await.subscription_identifiers, [1]);
    // Subscribing again replaces options and identifier [MQTT-3.8.4-3].
    client.send(packets::subscribe_with(1, "a/#", options(QoS::AtLeastOnce), Some(7))).await;
    client.expect(packets::suback(1, &[ReasonCode::GrantedQoS1])).await;
    publisher.publish("a/b/c", "z").await;
    let message = client.take("a/b/c", "z").await;
    assert_eq!(
        (message.subscription_identifiers.as_slice(), message.qos),
        (&[7][..], QoS::AtLeastOnce)
    );
    client.quiet().await;
}

/// Covers 5.0 [MQTT-3.8.3-3].
#[tokio::test]
async fn no_local() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    let only_others = SubscriptionOptions { no_local: true, ..options(QoS::AtMostOnce) };
    client.send(packets::subscribe_with(1, "t", only_others, None)).await;
    client.expect(packets::suback(1, &[ReasonCode::Success])).await;
    client.send(packets::qos0("t", "own")).await;
    client.quiet().await;
    let mut other = broker.client(V5, "b").await;
    other.publish("t", "other").await;
    client.take("t", "other").await;
    // 3.1.1 knows no such thing: own messages come back.
    let mut old = broker.client(V311, "c").await;
    old.subscribe("t", QoS::AtMostOnce).await;
    old.send(packets::qos0("t", "own")).await;
    old.take("t", "own").await;
}

/// Covers 5.0 [MQTT-3.8.3-4].
#[tokio::test]
async fn no_local_on_a_shared_subscription_is_an_error() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    let only_others = SubscriptionOptions { no_local: true, ..options(QoS::AtMostOnce) };
    client.send(packets::subscribe_with(1, "$share/g/t", only_others, None)).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
}

/// Covers 5.0 [MQTT-2.2.1-6] [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5]
/// [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2], 3.1.1 [MQTT-2.3.1-7] [MQTT-3.10.4-1]
/// [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6].
#[tokio::test]
async fn unsubscribe() {
    let broker = Broker::start().await;
    let mut publisher = broker.client(V5, "pub").await;
    for version in BOTH {
        let mut client = broker.client(version, "sub").await;
        client.subscribe("a", QoS::AtMostOnce).await;
        client.subscribe("$share/g/a", QoS::AtMostOnce).await;
        let filters = ["a", "b", "$share/g/a"];
        client.send(packets::unsubscribe(5, &filters)).await;
        let (success, none) = (ReasonCode::Success, ReasonCode::NoSubscriptionExisted);
        let codes = [success, none, success];
        client.expect(packets::unsuback(version, 5, &codes)).await;
        assert_eq!(publisher.publish("a", "x").await, ReasonCode::NoMatchingSubscribers);
        client.quiet().await;
        assert_eq!(broker.broker.totals().subscriptions, 0);
    }
}

/// Each filter has its own answer; the valid ones are subscribed.
/// Covers 5.0 [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6]
/// [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2], 3.1.1 [MQTT-2.3.1-7] [MQTT-3.8.4-1] [MQTT-3.8.4-2]
/// [MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2].
#[tokio::test]
async fn suback_per_filter() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([deny("no/#"), allow("#")]));
    let long = "f".repeat(1025);
    let filters = [
        ("t/#", QoS::ExactlyOnce),
        (&long, QoS::AtMostOnce),
        ("no/x", QoS::AtMostOnce),
        ("yes", QoS::AtLeastOnce),
    ];
    let codes = [
        ReasonCode::GrantedQoS2,
        ReasonCode::TopicFilterInvalid,
        ReasonCode::NotAuthorized,
        ReasonCode::GrantedQoS1,
    ];
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        client.send(packets::subscribe(3, &filters)).await;
        let codes = codes.map(|code| match version {
            V311 if code.is_failure() => ReasonCode::UnspecifiedError,
            _ => code,
        });
        client.expect(packets::suback(3, &codes)).await;
        client.publish("t/x", "1").await;
        client.take("t/x", "1").await;
        assert_eq!(broker.broker.client("a").unwrap().subscriptions, 2);
    }
}

#[tokio::test]
async fn quotas() {
    let setup = Setup::with(|live| {
        live.limits.sizes.subscriptions_per_client = 4;
        live.limits.sizes.wildcard_subscriptions_per_client = 2;
    });
    let broker = setup.start().await;
    let mut client = broker.client(V5, "a").await;
    let q = QoS::AtMostOnce;
    let (granted, full) = (ReasonCode::Success, ReasonCode::QuotaExceeded);
    let filters = [("a/#", q), ("$share/g/+", q), ("c/#", q), ("d", q)];
    client.send(packets::subscribe(1, &filters)).await;
    client.expect(packets::suback(1, &[granted, granted, full, granted])).await;
    client.send(packets::subscribe(1, &[("e", q), ("f", q), ("d", q)])).await;
    client.expect(packets::suback(1, &[granted, full, granted])).await;
    assert_eq!(broker.broker.totals().subscriptions, 4);
    client.send(packets::unsubscribe(2, &["a/#"])).await;
    client.expect(packets::unsuback(V5, 2, &[granted])).await;
    client.subscribe("c/#", q).await;
}

/// More filters in one packet than a session may have: the rest is not even judged.
#[tokio::test]
async fn filters_of_one_packet_have_a_limit() {
    let setup = Setup::with(|live| live.limits.sizes.subscriptions_per_client = 2);
    let broker = setup.start().await;
    broker.doorman.set_user("a", User::with_rules([deny("no"), allow("#")]));
    let (q, granted, full) = (QoS::AtMostOnce, ReasonCode::Success, ReasonCode::QuotaExceeded);
    let mut client = broker.client(V5, "a").await;
    client.send(packets::subscribe(1, &[("no", q), ("a", q), ("no", q), ("a", q)])).await;
    let denied = ReasonCode::NotAuthorized;
    client.expect(packets::suback(1, &[denied, granted, full, full])).await;
    assert_eq!(broker.counted("portcullis_subscribe_denied_total"), 1);
}

#[tokio::test]
async fn filters_have_limits() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    let (long, deep) = ("f".repeat(1025), vec!["l"; 65].join("/"));
    let filters = [(long.as_str(), QoS::AtMostOnce), (&deep, QoS::AtMostOnce)];
    client.send(packets::subscribe(1, &filters)).await;
    client.expect(packets::suback(1, &[ReasonCode::TopicFilterInvalid; 2])).await;
}

/// Deny rules that only overlap a filter do not refuse it, but hold at each delivery.
#[tokio::test]
async fn overlapping_deny_rule_holds_at_delivery() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([deny("t/+/secret"), allow("t/#")]));
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        client.subscribe("t/#", QoS::AtLeastOnce).await;
        client.subscribe("$share/g/t/#", QoS::AtLeastOnce).await;
        let mut publisher = broker.client(V5, "pub").await;
        for topic in ["t/1/secret", "t/1/open", "t/2/secret", "t/secret"] {
            publisher.publish(topic, "x").await;
        }
        for topic in ["t/1/open", "t/1/open", "t/secret", "t/secret"] {
            client.take(topic, "x").await;
        }
        client.quiet().await;
    }
}

/// A filter that is only partly allowed is refused: what no rule allows is not permitted.
#[tokio::test]
async fn filter_must_be_covered() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([allow("t/+")]));
    let mut client = broker.client(V5, "a").await;
    let q = QoS::AtMostOnce;
    client.send(packets::subscribe(1, &[("t/#", q), ("#", q), ("t/+", q), ("t/x", q)])).await;
    let (no, yes) = (ReasonCode::NotAuthorized, ReasonCode::Success);
    client.expect(packets::suback(1, &[no, no, yes, yes])).await;
    assert_eq!(broker.counted("portcullis_subscribe_denied_total"), 2);
}
