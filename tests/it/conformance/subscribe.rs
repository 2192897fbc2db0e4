//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use codec::{Packet, ProtocolVersion, QoS, ReasonCode, SubscriptionOptions};
use portcullis_tests::{BOTH, Broker, packets};

use ProtocolVersion::{V5, V311};

/// Options that are none, no filter, an identifier that is none or stands twice, properties of other
/// packets.
/// Covers 5.0 [MQTT-3.8.3-2] [MQTT-3.8.3-4] [MQTT-3.8.3-5] [MQTT-4.13.1-1], 3.1.1
/// [MQTT-3.8.3-3] [MQTT-3.8.3-4] [MQTT-4.8.0-1].
#[tokio::test]
async fn what_is_refused() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    let t = &*packets::field("t");
    let shared = &*packets::field("$share/g/t");
    let of_5_0: &[(&[&[u8]], ReasonCode)] = &[
        (&[&[0]], protocol),
        (&[&[0], t, &[3]], protocol),
        (&[&[0], t, &[0x30]], protocol),
        (&[&[0], t, &[0x40]], malformed),
        (&[&[0], t, &[0x80]], malformed),
        (&[&[0], t, &[0], t, &[0xC0]], malformed),
        (&[&[0], shared, &[4]], protocol),
        // Without options.
        (&[&[0], t], malformed),
        // A Subscription Identifier of 0, two of them, a Topic Alias.
        (&[&[2, 0x0B, 0], t, &[0]], protocol),
        (&[&[4, 0x0B, 1, 0x0B, 1], t, &[0]], protocol),
        (&[&[3, 0x23, 0, 1], t, &[0]], malformed),
    ];
    let of_3_1_1: &[(&[&[u8]], ReasonCode)] = &[
        (&[], protocol),
        (&[t], malformed),
        (&[t, &[3]], malformed),
        (&[t, &[4]], malformed),
        (&[t, &[0x80]], malformed),
        (&[t, &[0], t, &[0x11]], malformed),
    ];
    for (version, table) in [(V5, of_5_0), (V311, of_3_1_1)] {
        for (parts, code) in table {
            let bytes = packets::framed(0x82, &[&[0, 1], &parts.concat()]);
            let mut client = broker.client(version, "a").await;
            client.name = format!("{version:?} {bytes:02X?}");
            client.send_bytes(&bytes).await;
            client.expect_disconnect(*code).await;
        }
    }
}

/// What breaks the rules of filters ends the connection, in whichever packet, and nothing of the
/// packet is done.
/// Covers 5.0 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
/// [MQTT-4.13.1-1], 3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] [MQTT-4.8.0-1].
#[tokio::test]
async fn filters_that_are_none() {
    let broker = Broker::start().await;
    let filters = [
        "",
        "a#",
        "#/a",
        "a/#/b",
        "a/b#",
        "##",
        "+a",
        "a+",
        "a/+b/c",
        "++",
        "$share",
        "$share/g",
        "$share/g/",
        "$share//t",
        "$share/+/t",
        "$share/#/t",
        "$share/g/a#",
    ];
    for version in BOTH {
        for filter in filters {
            let good = ("good", QoS::AtMostOnce);
            for packet in [
                packets::subscribe(1, &[good, (filter, QoS::AtMostOnce)]),
                packets::unsubscribe(1, &["good", filter]),
            ] {
                let resume = packets::persistent(version, "a");
                let mut client = broker.enter(resume.clone()).await.0;
                client.name = format!("{version:?} {filter}");
                client.send(packet).await;
                client.expect_disconnect(ReasonCode::TopicFilterInvalid).await;
                use server::BrokerHandle;
                assert_eq!(broker.broker.totals().subscriptions, 0, "{filter}");
            }
        }
    }
}

/// Several identifiers on overlapping subscriptions, with and without one, shared and not, and the
/// largest there is.
/// Covers 5.0 [MQTT-3.3.4-3] [MQTT-3.3.4-4].
#[tokio::test]
async fn identifiers_of_overlapping_subscriptions() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "sub").await;
    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
    for (filter, identifier) in [
        ("a/b", Some(268_435_455)),
        ("a/+", None),
        ("a/#", Some(1)),
        ("+/b", Some(1)),
        ("#", Some(128)),
    ] {
        client.send(packets::subscribe_with(1, filter, options, identifier)).await;
        client.expect(packets::suback(1, &[ReasonCode::GrantedQoS1])).await;
    }
    let mut publisher = broker.client(V5, "pub").await;
    publisher.publish("a/b", "x").await;
    let mut identifiers = client.take("a/b", "x").await.subscription_identifiers;
    identifiers.dedup();
    assert_eq!(identifiers, [1, 128, 268_435_455]);
    client.quiet().await;
    publisher.publish("a/c", "x").await;
    let mut identifiers = client.take("a/c", "x").await.subscription_identifiers;
    identifiers.dedup();
    assert_eq!(identifiers, [1, 128]);
    client.quiet().await;
}

/// The answer comes once, with its identifier, whatever else is sent.
/// Covers 5.0 [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.9.3-1],
/// 3.1.1 [MQTT-2.3.1-7] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-4] [MQTT-3.9.3-1].
#[tokio::test]
async fn several_filters_are_several_requests() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        // The same filter twice: the second replaces the first.
        let filters = [("t", QoS::ExactlyOnce), ("u", QoS::AtLeastOnce), ("t", QoS::AtMostOnce)];
        client.send_all([packets::subscribe(65_535, &filters), Packet::PingReq]).await;
        let codes = filters.map(|(_, qos)| packets::granted(qos));
        client.expect(packets::suback(65_535, &codes)).await;
        client.expect(Packet::PingResp).await;
        let mut publisher = broker.client(version, "pub").await;
        publisher.publish("t", "x").await;
        assert_eq!(client.take("t", "x").await.qos, QoS::AtMostOnce);
        client.quiet().await;
        client.leave().await;
    }
}

/// No Local is an option of a subscription: another that overlaps it brings the client's own message,
/// with its identifier alone.
/// Covers 5.0 [MQTT-3.3.4-3] [MQTT-3.8.3-3].
#[tokio::test]
async fn no_local_beside_another_subscription() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    for (filter, no_local, identifier, qos) in
        [("t/+", true, 1, QoS::ExactlyOnce), ("t/#", false, 2, QoS::AtMostOnce)]
    {
        let options = SubscriptionOptions { no_local, ..SubscriptionOptions::new(qos) };
        client.send(packets::subscribe_with(1, filter, options, Some(identifier))).await;
        client.expect(packets::suback(1, &[packets::granted(qos)])).await;
    }
    client.send(packets::qos0("t/own", "x")).await;
    let own = client.take("t/own", "x").await;
    assert_eq!((own.subscription_identifiers, own.qos), (vec![2], QoS::AtMostOnce));
    let mut other = broker.client(V5, "b").await;
    other.publish("t/other", "x").await;
    let other = client.take("t/other", "x").await;
    assert_eq!((other.subscription_identifiers, other.qos), (vec![1, 2], QoS::AtLeastOnce));
    client.send(packets::unsubscribe(1, &["t/#"])).await;
    client.expect(packets::unsuback(V5, 1, &[ReasonCode::Success])).await;
    client.send(packets::qos0("t/own", "x")).await;
    client.quiet().await;
}
