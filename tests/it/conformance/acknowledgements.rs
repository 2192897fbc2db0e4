//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7, 4.3, 4.4): each step of the QoS flows in
//! both directions, their order, and what a failure ends.

use std::time::Duration;

use codec::{Connect, Packet, ProtocolVersion, ProtocolVersion::V5, Publish, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, Client, Message, packets};

const SUCCESS: ReasonCode = ReasonCode::Success;

/// PUBACK and PUBREC come in the order of PUBLISH, PUBCOMP in that of PUBREL, PUBREL in that of
/// PUBREC.
/// Covers 5.0 [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-4] [MQTT-4.3.3-8]
/// [MQTT-4.3.3-11], 3.1.1 [MQTT-2.3.1-6] [MQTT-3.3.4-1] [MQTT-4.6.0-2] [MQTT-4.6.0-3]
/// [MQTT-4.6.0-4].
#[tokio::test]
async fn answers_keep_the_order() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut subscriber = broker.client(version, "sub").await;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = broker.client(version, "pub").await;
        let flow = |id: u16| match id % 2 {
            0 => packets::qos2(id, "t", "x"),
            _ => packets::qos1(id, "t", "x"),
        };
        let ids = [65_535, 4, 3, 1, 2, 300];
        publisher.send_all(ids.map(flow)).await;
        for id in ids {
            match id % 2 {
                0 => publisher.expect(packets::pubrec(id, SUCCESS)).await,
                _ => publisher.expect(packets::puback(id, SUCCESS)).await,
            }
        }
        publisher.send_all([2, 300, 4].map(|id| packets::pubrel(id, SUCCESS))).await;
        for id in [2, 300, 4] {
            publisher.expect(packets::pubcomp(id, SUCCESS)).await;
        }
        let mut begun = Vec::new();
        for _ in ids {
            begun.push(subscriber.message().await);
        }
        begun.retain(|message| message.qos == QoS::ExactlyOnce);
        begun.rotate_left(1);
        let ids: Vec<_> = begun.iter().map(|message| message.packet_id).collect();
        subscriber.send_all(ids.iter().map(|id| packets::pubrec(*id, SUCCESS))).await;
        for id in ids {
            subscriber.expect(packets::pubrel(id, SUCCESS)).await;
        }
    }
}

/// A subscriber with one message of QoS 1 and one of QoS 2 in flight, neither answered.
async fn with_two_in_flight(
    broker: &Broker,
    version: ProtocolVersion,
) -> (Client, Connect, Message, Message) {
    let resume = packets::persistent(version, "sub");
    let mut subscriber = broker.enter(resume.clone()).await.0;
    subscriber.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(version, "pub").await;
    publisher.send(packets::qos1(1, "t", "one")).await;
    publisher.expect(packets::puback(1, SUCCESS)).await;
    publisher.send(packets::qos2(2, "t", "two")).await;
    publisher.expect(packets::pubrec(2, SUCCESS)).await;
    let one = subscriber.message().await;
    let two = subscriber.message().await;
    assert!(!one.dup && !two.dup && one.packet_id != two.packet_id);
    (subscriber, resume, one, two)
}

/// What a failure answered is done, also for the next connection.
/// Covers 5.0 [MQTT-4.4.0-2].
#[tokio::test]
async fn what_was_refused_is_not_sent_again() {
    let broker = Broker::start().await;
    let (mut subscriber, resume, one, two) = with_two_in_flight(&broker, V5).await;
    subscriber.send(packets::puback(one.packet_id, ReasonCode::UnspecifiedError)).await;
    subscriber.send(packets::pubrec(two.packet_id, ReasonCode::NotAuthorized)).await;
    subscriber.quiet().await;
    subscriber.vanish();
    let (mut subscriber, connack) = broker.enter(resume).await;
    assert!(connack.session_present);
    subscriber.quiet().await;
}

/// Nothing is sent again while the connection lasts, and everything is on the next, again and again,
/// until it is answered; after PUBREC it is PUBREL that is.
/// Covers 5.0 [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6]
/// [MQTT-4.4.0-1], 3.1.1 [MQTT-3.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1]
/// [MQTT-4.6.0-1].
#[tokio::test]
async fn sent_again_until_answered() {
    for version in BOTH {
        let broker = Broker::start().await;
        let (mut subscriber, resume, one, two) = with_two_in_flight(&broker, version).await;
        for _ in 0..3 {
            subscriber.quiet().await;
            subscriber.vanish();
            subscriber = broker.enter(resume.clone()).await.0;
            for before in [&one, &two] {
                let again = subscriber.message().await;
                assert_eq!(again, Message { dup: true, ..before.clone() });
            }
        }
        subscriber.send(packets::puback(one.packet_id, SUCCESS)).await;
        subscriber.send(packets::pubrec(two.packet_id, SUCCESS)).await;
        subscriber.expect(packets::pubrel(two.packet_id, SUCCESS)).await;
        for _ in 0..3 {
            subscriber.quiet().await;
            subscriber.vanish();
            subscriber = broker.enter(resume.clone()).await.0;
            subscriber.expect(packets::pubrel(two.packet_id, SUCCESS)).await;
        }
        subscriber.send(packets::pubcomp(two.packet_id, SUCCESS)).await;
        subscriber.quiet().await;
        subscriber.vanish();
        broker.enter(resume).await.0.quiet().await;
    }
}

/// The time of a message runs out while it is under way: towards the subscriber it is completed, and
/// so is the exchange with the publisher.
/// Covers 5.0 [MQTT-4.3.3-7] [MQTT-4.3.3-13].
#[tokio::test]
async fn expiry_stops_no_exchange() {
    let broker = Broker::start().await;
    let resume = packets::persistent(V5, "sub");
    let mut subscriber = broker.enter(resume.clone()).await.0;
    subscriber.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for (id, qos) in [(1, QoS::AtLeastOnce), (2, QoS::ExactlyOnce)] {
        let publish = Publish { message_expiry_interval: Some(1), ..Publish::new("t", b"x") };
        publisher.send(packets::publish(id, qos, publish)).await;
    }
    publisher.expect(packets::puback(1, SUCCESS)).await;
    publisher.expect(packets::pubrec(2, SUCCESS)).await;
    let one = subscriber.message().await;
    let two = subscriber.message().await;
    subscriber.vanish();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    publisher.send(packets::again(packets::qos2(2, "t", "x"))).await;
    publisher.expect(packets::pubrec(2, SUCCESS)).await;
    publisher.send(packets::pubrel(2, SUCCESS)).await;
    publisher.expect(packets::pubcomp(2, SUCCESS)).await;
    let mut subscriber = broker.enter(resume).await.0;
    for before in [&one, &two] {
        let again = subscriber.message().await;
        assert_eq!((again.packet_id, again.dup), (before.packet_id, true));
    }
    subscriber.acknowledge(&one).await;
    subscriber.acknowledge(&two).await;
    subscriber.quiet().await;
}

/// A full window holds up PUBLISH above QoS 0 and nothing else.
/// Covers 5.0 [MQTT-3.3.4-8] [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
/// [MQTT-4.9.0-3].
#[tokio::test]
async fn a_full_window_holds_up_nothing_else() {
    let broker = Broker::start().await;
    let connect = Connect { receive_maximum: 1, ..Connect::new(V5, "sub") };
    let mut client = broker.enter(connect).await.0;
    client.subscribe("t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for text in ["first", "second", "third"] {
        publisher.publish("t", text).await;
    }
    let first = client.message().await;
    assert_eq!(first.text().1, "first");
    client.quiet().await;
    client.send(packets::subscribe(1, &[("u", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(1, &[SUCCESS])).await;
    publisher.send(packets::qos0("u", "x")).await;
    client.take("u", "x").await;
    client.send(packets::unsubscribe(2, &["u"])).await;
    client.expect(packets::unsuback(V5, 2, &[SUCCESS])).await;
    client.send(packets::qos2(3, "v", "x")).await;
    client.expect(packets::pubrec(3, ReasonCode::NoMatchingSubscribers)).await;
    client.send(packets::pubrel(3, SUCCESS)).await;
    client.expect(packets::pubcomp(3, SUCCESS)).await;
    client.send(Packet::PingReq).await;
    client.expect(Packet::PingResp).await;
    client.acknowledge(&first).await;
    client.take("t", "second").await;
    client.take("t", "third").await;
    client.quiet().await;
}

/// The client keeps to our Receive Maximum with QoS 2: a PUBREC of 0x80 and above gives a place back
/// as PUBCOMP does.
/// Covers 5.0 [MQTT-3.3.4-7] [MQTT-4.3.3-9].
#[tokio::test]
async fn a_refused_message_takes_no_place() {
    let broker = Broker::start().await;
    let rules = [portcullis_tests::deny("no"), portcullis_tests::allow("#")];
    broker.doorman.set_user("a", portcullis_tests::User::with_rules(rules));
    let mut client = broker.client(V5, "a").await;
    for id in 1..=40 {
        client.send(packets::qos2(id, "no", "x")).await;
        client.expect(packets::pubrec(id, ReasonCode::NotAuthorized)).await;
    }
    client.quiet().await;
}

/// Codes that are none or of other packets, a reserved byte behind 3.1.1's two.
/// Covers 5.0 [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-4.13.1-1],
/// 3.1.1 [MQTT-4.8.0-1].
#[tokio::test]
async fn codes_that_are_none() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    for first in [0x40, 0x50, 0x62, 0x70] {
        let foreign = match first {
            // Packet Identifier not found is for PUBREL and PUBCOMP, Quota exceeded for the others.
            0x40 | 0x50 => 0x92,
            _ => 0x97,
        };
        for (body, code) in [
            (&[0, 1, 0x7F][..], malformed),
            (&[0, 1, foreign], protocol),
            (&[0, 1, 0x8E], protocol),
            (&[0, 1, 0, 0, 0], malformed),
            (&[0, 1, 0, 8, 0x1F, 0, 1, b'a', 0x1F, 0, 1, b'a'], protocol),
            (&[0, 1, 0, 3, 0x23, 0, 1], malformed),
        ] {
            let bytes = packets::framed(first, &[body]);
            let mut client = broker.client(V5, "a").await;
            client.name = format!("{bytes:02X?}");
            client.send_bytes(&bytes).await;
            client.expect_disconnect(code).await;
        }
        let mut client = broker.client(ProtocolVersion::V311, "a").await;
        client.send_bytes(&packets::framed(first, &[&[0, 1, 0]])).await;
        client.expect_closed().await;
    }
}
