//! CONNECT and CONNACK (sections 3.1 and 3.2), byte by byte where the format is at stake.

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Mood, User, allow, deny, packets};
use server::BrokerHandle;

use ProtocolVersion::{V5, V311};

/// A CONNECT with these flags, properties (with their length) and payload.
fn connect(version: ProtocolVersion, flags: u8, properties: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    let flags = [packets::level(version), flags, 0, 60];
    let properties = if version == V5 { properties } else { &[] };
    packets::framed(0x10, &[b"\0\x04MQTT", &flags, properties, &payload.concat()])
}

/// Each field is there exactly when its flag says so: a field less is a packet too short, one more is
/// a packet too long.
/// Covers 5.0 [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-16] [MQTT-3.1.2-17]
/// [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.4-1], 3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.2-11]
/// [MQTT-3.1.2-13] [MQTT-3.1.2-15] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20]
/// [MQTT-3.1.2-21] [MQTT-3.1.4-1].
#[tokio::test]
async fn flags_and_fields() {
    let broker = Broker::start().await;
    for (version, word) in [(V311, None), (V5, Some(ReasonCode::MalformedPacket))] {
        let will_properties: &[u8] = if version == V5 { &[0] } else { &[] };
        let x = &*packets::field("x");
        for (flags, payload) in [
            // A field more than the flags say: user name, password, the will.
            (0x02, &[x, x][..]),
            (0x82, &[x, x, x]),
            (0x02, &[x, will_properties, x, x]),
            // A field less: user name, password, the will or a part of it.
            (0x82, &[x]),
            (0xC2, &[x, x]),
            (0x06, &[x]),
            (0x06, &[x, will_properties, x]),
            (0x86, &[x, will_properties, x, x]),
            // Will QoS and Will Retain without a will.
            (0x0A, &[x]),
            (0x12, &[x]),
            (0x22, &[x]),
            // Will QoS 3.
            (0x1E, &[x, will_properties, x, x]),
            // Not even a Client Identifier.
            (0x02, &[]),
        ] {
            let mut client = broker.open(version).await;
            client.send_bytes(&connect(version, flags, &[0], payload)).await;
            assert_eq!(client.last_words().await, word, "{version:?} {flags:#04x} {payload:?}");
        }
    }
    assert_eq!(broker.counted("portcullis_connections_opened_total"), 0);
}

/// All fields at once: each arrives where it belongs.
/// Covers 5.0 [MQTT-3.1.2-7] [MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT-3.1.3-1]
/// [MQTT-3.1.3-3], 3.1.1 [MQTT-3.1.2-9] [MQTT-3.1.2-19] [MQTT-3.1.2-21] [MQTT-3.1.3-1]
/// [MQTT-3.1.3-3].
#[tokio::test]
async fn fields_in_order() {
    let broker = Broker::start().await;
    let user = User { password: Some("secret".to_owned()), ..User::default() };
    broker.doorman.set_user("ann", user);
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will/topic", QoS::AtMostOnce).await;
    for version in BOTH {
        let will_properties: &[u8] = if version == V5 { &[0] } else { &[] };
        let [id, topic, payload, user, password] =
            ["device", "will/topic", "will payload", "ann", "secret"].map(packets::field);
        let fields: &[&[u8]] = &[&id, will_properties, &topic, &payload, &user, &password];
        let mut client = broker.open(version).await;
        client.send_bytes(&connect(version, 0xC6, &[0], fields)).await;
        assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
        assert!(broker.broker.client("device").is_some());
        client.vanish();
        watcher.take("will/topic", "will payload").await;
    }
}

/// A password without a user name: 5.0 lets it be, 3.1.1 does not.
/// Covers 3.1.1 [MQTT-3.1.2-22].
#[tokio::test]
async fn a_password_alone() {
    let broker = Broker::start().await;
    let [id, password] = ["a", "p"].map(packets::field);
    for version in BOTH {
        let mut client = broker.open(version).await;
        client.send_bytes(&connect(version, 0x42, &[0], &[&id, &password])).await;
        match version {
            V5 => assert_eq!(client.connack().await.reason_code, ReasonCode::Success),
            V311 => client.expect_closed().await,
        }
    }
}

/// Values out of range, properties twice and of other packets.
/// Covers 5.0 [MQTT-3.1.4-1].
#[tokio::test]
async fn properties_that_are_refused() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    let table: &[(&[u8], ReasonCode)] = &[
        // Twice: each that may stand once.
        (b"\x11\0\0\0\x01\x11\0\0\0\x01", protocol),
        (b"\x21\0\x01\x21\0\x01", protocol),
        (b"\x27\0\0\0\x64\x27\0\0\0\x64", protocol),
        (b"\x22\0\x01\x22\0\x01", protocol),
        (b"\x19\0\x19\0", protocol),
        (b"\x17\0\x17\0", protocol),
        (b"\x15\0\x01m\x15\0\x01m", protocol),
        (b"\x15\0\x01m\x16\0\x01d\x16\0\x01d", protocol),
        // Out of range: Receive Maximum 0, Maximum Packet Size 0, flags above 1; data without method.
        (b"\x21\0\0", protocol),
        (b"\x27\0\0\0\0", protocol),
        (b"\x19\x02", protocol),
        (b"\x17\x02", protocol),
        (b"\x16\0\x01d", protocol),
        // Of other packets, or of none: Topic Alias, Reason String, Will Delay Interval.
        (b"\x23\0\x01", malformed),
        (b"\x1F\0\x01r", malformed),
        (b"\x18\0\0\0\x01", malformed),
        (b"\x7F\0", malformed),
        // Cut off.
        (b"\x11\0\0", malformed),
    ];
    let id = packets::field("a");
    for (section, code) in table {
        let length = [u8::try_from(section.len()).unwrap()];
        let section = [&length[..], section].concat();
        let mut client = broker.open(V5).await;
        client.send_bytes(&connect(V5, 0x02, &section, &[&id])).await;
        assert_eq!(client.last_words().await, Some(*code), "{section:02X?}");
    }
    // The same in the properties of a will.
    for (section, code) in [
        (&b"\x18\0\0\0\x01\x18\0\0\0\x01"[..], protocol),
        (b"\x01\x02", protocol),
        (b"\x11\0\0\0\x01", malformed),
    ] {
        let length = [u8::try_from(section.len()).unwrap()];
        let section = [&length[..], section].concat();
        let mut client = broker.open(V5).await;
        client.send_bytes(&connect(V5, 0x06, &[0], &[&id, &section, &id, &id])).await;
        assert_eq!(client.last_words().await, Some(code), "{section:02X?}");
    }
}

/// Every length from 1 to 23, every letter and digit.
/// Covers 5.0 [MQTT-3.1.3-5], 3.1.1 [MQTT-3.1.3-5].
#[tokio::test]
async fn client_ids_that_must_be_accepted() {
    let broker = Broker::start().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for version in BOTH {
        let lengths = (1..=23).map(|length| &all[..length]);
        let letters = (0..all.len()).step_by(23).map(|at| &all[at..(at + 23).min(all.len())]);
        for client_id in lengths.chain(letters) {
            let (client, connack) = broker.enter(Connect::new(version, client_id)).await;
            assert_eq!(connack.assigned_client_identifier, None, "{client_id}");
            assert!(broker.broker.client(client_id).is_some(), "{client_id}");
            client.leave().await;
        }
    }
}

/// The session of an assigned identifier is like any other: it can be resumed by who was told.
/// Covers 5.0 [MQTT-3.1.3-7] [MQTT-3.2.2-16].
#[tokio::test]
async fn an_assigned_client_id_is_a_client_id() {
    let broker = Broker::start().await;
    let connect = Connect { username: Some("ann".to_owned()), ..packets::persistent(V5, "") };
    let (client, connack) = broker.enter(connect.clone()).await;
    let client_id = connack.assigned_client_identifier.expect("told");
    client.leave().await;
    let again = Connect { client_id: client_id.clone(), ..connect };
    let (_client, connack) = broker.enter(again).await;
    assert!(connack.session_present);
    assert_eq!(connack.assigned_client_identifier, None);
}

/// Who is refused has said nothing, however fast.
/// Covers 5.0 [MQTT-3.1.4-6] [MQTT-3.2.2-6] [MQTT-3.2.2-7], 3.1.1 [MQTT-3.1.4-5]
/// [MQTT-3.2.2-4] [MQTT-3.2.2-5].
#[tokio::test]
async fn nothing_counts_behind_a_refused_connect() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    broker.doorman.authenticator(Mood::Denies(ReasonCode::NotAuthorized));
    for version in BOTH {
        let will = Will::new("t", b"will");
        let connect = packets::with_will(Connect::new(version, "a"), will);
        let mut client = broker.open(version).await;
        client
            .send_all([
                Packet::Connect(Box::new(connect)),
                packets::subscribe(1, &[("t", QoS::AtMostOnce)]),
                packets::retained(packets::qos0("t", "x")),
                Packet::PingReq,
            ])
            .await;
        let connack = client.connack().await;
        assert!(connack.reason_code.is_failure() && !connack.session_present);
        client.expect_closed().await;
    }
    watcher.quiet().await;
    let totals = broker.broker.totals();
    assert_eq!((totals.retained_messages, totals.subscriptions, totals.sessions), (0, 1, 1));
}

/// Whether it was requested or not: the broker has no Response Information to give.
/// Covers 5.0 [MQTT-3.1.2-28].
#[tokio::test]
async fn no_response_information() {
    let broker = Broker::start().await;
    for request_response_information in [false, true] {
        let connect = Connect { request_response_information, ..Connect::new(V5, "a") };
        assert_eq!(broker.enter(connect).await.1.response_information, None);
    }
}

/// Without problem information, User Properties may still come in CONNACK, and acknowledgements say
/// their code and nothing else.
/// Covers 5.0 [MQTT-3.1.2-29].
#[tokio::test]
async fn without_problem_information() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([deny("no"), allow("#")]));
    let connect = Connect { request_problem_information: false, ..Connect::new(V5, "a") };
    let mut client = broker.enter(connect).await.0;
    let no = ReasonCode::NotAuthorized;
    client.send(packets::qos1(1, "no", "x")).await;
    client.expect(packets::puback(1, no)).await;
    client.send(packets::qos2(2, "no", "x")).await;
    client.expect(packets::pubrec(2, no)).await;
    client.send(packets::pubrel(3, ReasonCode::Success)).await;
    client.expect(packets::pubcomp(3, ReasonCode::PacketIdentifierNotFound)).await;
    client.send(packets::pubrec(4, ReasonCode::Success)).await;
    client.expect(packets::pubrel(4, ReasonCode::PacketIdentifierNotFound)).await;
    client.send(packets::subscribe(5, &[("no", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(5, &[no])).await;
    client.send(packets::unsubscribe(6, &["no"])).await;
    client.expect(packets::unsuback(V5, 6, &[ReasonCode::NoSubscriptionExisted])).await;
    client.quiet().await;
}

/// Clean Start ends a session that is in use, and nothing of it is left to the next.
/// Covers 5.0 [MQTT-3.1.2-4] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-3.2.2-3], 3.1.1
/// [MQTT-3.1.2-4] [MQTT-3.1.2-6] [MQTT-3.2.2-1] [MQTT-3.2.2-3].
#[tokio::test]
async fn nothing_of_a_clean_session_is_left() {
    let broker = Broker::start().await;
    for version in BOTH {
        let resume = packets::persistent(version, "a");
        let (mut client, connack) = broker.enter(resume.clone()).await;
        assert!(!connack.session_present);
        client.subscribe("t", QoS::ExactlyOnce).await;
        client.send(packets::qos2(1, "t", "unreleased")).await;
        client.expect(packets::pubrec(1, ReasonCode::Success)).await;
        client.message().await;
        // The identifier 1 of the old session means nothing in the new one.
        let (mut client, connack) = broker.enter(Connect::new(version, "a")).await;
        assert!(!connack.session_present);
        client.quiet().await;
        client.subscribe("t", QoS::ExactlyOnce).await;
        client.send(packets::qos2(1, "t", "new")).await;
        client.expect(packets::pubrec(1, ReasonCode::Success)).await;
        client.take("t", "new").await;
        client.vanish();
        broker.until(|broker| broker.totals().sessions == 0).await;
        let (client, connack) = broker.enter(resume).await;
        assert!(!connack.session_present);
        let clean = Connect::new(version, "a");
        client.leave().await;
        broker.enter(clean).await.0.leave().await;
        broker.until(|broker| broker.totals().sessions == 0).await;
    }
}
