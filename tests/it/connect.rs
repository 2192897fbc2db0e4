//! CONNECT and Keep Alive: who gets a CONNACK, which, and when.

use std::time::{Duration, Instant};

use codec::{Connect, Packet, ProtocolVersion, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Setup, packets};

use ProtocolVersion::{V5, V311};

/// Covers 5.0 [MQTT-3.1.4-5] [MQTT-4.2.0-1], 3.1.1 [MQTT-3.1.4-4] [MQTT-7.0.0-2] [MQTT-7.1.1-1].
#[tokio::test]
async fn both_versions_share_a_port() {
    let broker = Broker::start().await;
    let mut old = broker.client(V311, "old").await;
    let mut new = broker.client(V5, "new").await;
    old.quiet().await;
    new.quiet().await;
    old.leave().await;
    new.leave().await;
}

#[tokio::test]
async fn connack_announces_limits() {
    let broker = Broker::start().await;
    let (_, connack) = broker.enter(Connect::new(V5, "a")).await;
    assert_eq!(connack.receive_maximum, Some(32));
    assert_eq!(connack.maximum_packet_size, Some(1 << 20));
    assert_eq!(connack.topic_alias_maximum, Some(10));
    assert_eq!(connack.assigned_client_identifier, None);
    assert_eq!(connack.server_keep_alive, None);
    assert_eq!(connack.session_expiry_interval, None);
}

/// A CONNECT with this protocol name and level, otherwise a valid 3.1.1 or 5.0 one.
fn connect_as(name: &str, level: u8) -> Vec<u8> {
    let mut body = vec![0, u8::try_from(name.len()).unwrap()];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(&[level, 2, 0, 60]);
    if level >= 5 {
        body.push(0);
    }
    body.extend_from_slice(&[0, 1, b'a']);
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
    packet.append(&mut body);
    packet
}

/// Covers 5.0 [MQTT-3.1.2-2], 3.1.1 [MQTT-3.1.2-2].
#[tokio::test]
async fn unknown_protocol_level_is_named() {
    let broker = Broker::start().await;
    // Who speaks a later version understands 5.0's CONNACK, everybody else 3.1.1's.
    for (level, version) in [(3, V311), (0, V311), (6, V5), (255, V5)] {
        let mut client = broker.open(version).await;
        client.send_bytes(&connect_as("MQTT", level)).await;
        client.expect(packets::refusal(ReasonCode::UnsupportedProtocolVersion)).await;
        client.expect_closed().await;
    }
    let mut client = broker.open(V311).await;
    client.send_bytes(&connect_as("MQIsdp", 4)).await;
    client.expect(packets::refusal(ReasonCode::UnsupportedProtocolVersion)).await;
    client.expect_closed().await;
}

/// Covers 5.0 [MQTT-3.1.2-1], 3.1.1 [MQTT-3.1.2-1].
#[tokio::test]
async fn unknown_protocol_name_is_refused() {
    let broker = Broker::start().await;
    for name in ["HTTP", "", "mqtt", "MQTTX"] {
        let mut client = broker.open(V311).await;
        client.send_bytes(&connect_as(name, 4)).await;
        assert!(client.last_words().await.is_none_or(ReasonCode::is_failure), "{name}");
    }
    assert_eq!(broker.counted("portcullis_connections_opened_total"), 0);
}

/// Covers 5.0 [MQTT-3.1.2-3] [MQTT-3.1.4-1], 3.1.1 [MQTT-3.1.2-3] [MQTT-3.1.4-1] [MQTT-3.2.2-6].
#[tokio::test]
async fn malformed_connect() {
    let broker = Broker::start().await;
    // Reserved connect flag [MQTT-3.1.2-3]: no CONNACK in 3.1.1 [MQTT-3.1.4-1], 5.0 may say why.
    for (level, version, word) in [(4, V311, None), (5, V5, Some(ReasonCode::MalformedPacket))] {
        let mut bytes = connect_as("MQTT", level);
        bytes[9] |= 1;
        let mut client = broker.open(version).await;
        client.send_bytes(&bytes).await;
        assert_eq!(client.last_words().await, word);
    }
}

/// Covers 5.0 [MQTT-3.1.0-2] [MQTT-3.2.0-2], 3.1.1 [MQTT-3.1.0-2] [MQTT-4.8.0-1].
#[tokio::test]
async fn second_connect_is_an_error() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        client.send(Packet::Connect(Box::new(Connect::new(version, "a")))).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    }
}

/// Covers 5.0 [MQTT-3.1.0-1] [MQTT-3.2.0-1] [MQTT-3.14.0-1], 3.1.1 [MQTT-3.1.0-1].
#[tokio::test]
async fn first_packet_must_be_connect() {
    let broker = Broker::start().await;
    for version in BOTH {
        for first in [
            Packet::PingReq,
            packets::qos0("a", "b"),
            packets::disconnect(ReasonCode::Success),
            packets::refusal(ReasonCode::Success),
        ] {
            let mut client = broker.open(version).await;
            client.send(first).await;
            client.expect_closed().await;
        }
    }
}

/// What a client sends without waiting for CONNACK is handled after it.
/// Covers 5.0 [MQTT-3.2.0-1], 3.1.1 [MQTT-3.2.0-1].
#[tokio::test]
async fn packets_behind_connect_are_not_lost() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.open(version).await;
        client
            .send_all([
                Packet::Connect(Box::new(Connect::new(version, "eager"))),
                packets::subscribe(1, &[("a", codec::QoS::AtMostOnce)]),
                packets::qos0("a", "x"),
                Packet::PingReq,
            ])
            .await;
        assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
        client.expect(packets::suback(1, &[ReasonCode::Success])).await;
        client.expect(Packet::PingResp).await;
        client.take("a", "x").await;
    }
}

fn impatient(milliseconds: u64) -> Setup {
    Setup::with(|live| {
        live.limits.sizes.connect_timeout = Duration::from_millis(milliseconds);
    })
}

#[tokio::test]
async fn connect_must_come_in_time() {
    let broker = impatient(150).start().await;
    let begun = Instant::now();
    let mut silent = broker.open(V5).await;
    let mut slow = broker.open(V5).await;
    slow.send_bytes(&connect_as("MQTT", 5)[..5]).await;
    silent.expect_closed().await;
    slow.expect_closed().await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
    broker.client(V5, "quick").await.quiet().await;
}

/// A byte now and then does not prolong the deadline.
#[tokio::test]
async fn dripping_connect_is_cut_off() {
    let broker = impatient(200).start().await;
    let mut client = broker.open(V5).await;
    let mut connect = vec![0x10, 0xFF, 0x7F];
    connect.extend_from_slice(&connect_as("MQTT", 5)[2..]);
    let dripping = async {
        for byte in connect.iter().chain(std::iter::repeat(&b'a')) {
            if !client.try_send_bytes(&[*byte]).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dripping).await.expect("cut off");
}

#[tokio::test]
async fn connect_may_not_be_larger_than_for_strangers() {
    let broker = Broker::start().await;
    // 256 MiB announced: closed at the fixed header, nothing is waited for.
    let mut client = broker.open(V5).await;
    client.send_bytes(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]).await;
    assert!(client.last_words().await.is_none_or(ReasonCode::is_failure));

    let with_password = |bytes: usize| Connect {
        username: Some("u".to_owned()),
        password: Some(vec![b'x'; bytes]),
        ..Connect::new(V5, "a")
    };
    broker.enter(with_password(65_000)).await.0.quiet().await;
    let setup = Setup::with(|live| live.limits.sizes.packet_bytes_before_connect = 1024);
    let broker = setup.start().await;
    broker.enter(with_password(900)).await.0.quiet().await;
    let mut client = broker.knock(with_password(1024)).await;
    assert_eq!(client.last_words().await, Some(ReasonCode::PacketTooLarge));
}

/// Covers 5.0 [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16], 3.1.1 [MQTT-3.1.3-6] [MQTT-3.1.3-7]
/// [MQTT-3.1.3-8].
#[tokio::test]
async fn empty_client_id_is_assigned() {
    let broker = Broker::start().await;
    let (mut first, one) = broker.enter(Connect::new(V5, "")).await;
    let (_second, other) = broker.enter(Connect::new(V5, "")).await;
    let one = one.assigned_client_identifier.expect("assigned");
    let other = other.assigned_client_identifier.expect("assigned");
    assert_ne!(one, other);
    assert!(
        one.len() >= 22 && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "{one}"
    );
    first.quiet().await;
    broker.enter(Connect::new(V311, "")).await.0.quiet().await;
    let refused = Connect { clean_start: false, ..Connect::new(V311, "") };
    let mut client = broker.knock(refused).await;
    client.expect(packets::refusal(ReasonCode::ClientIdentifierNotValid)).await;
    client.expect_closed().await;
}

/// Covers 5.0 [MQTT-3.1.3-8], 3.1.1 [MQTT-3.1.3-9].
#[tokio::test]
async fn client_id_has_a_limit() {
    let broker = Broker::start().await;
    for version in BOTH {
        broker.client(version, &"i".repeat(256)).await.quiet().await;
        let mut client = broker.knock(Connect::new(version, &"i".repeat(257))).await;
        client.expect(packets::refusal(ReasonCode::ClientIdentifierNotValid)).await;
        client.expect_closed().await;
    }
}

#[tokio::test]
async fn client_id_can_be_the_principal() {
    let setup = Setup::with(|live| live.client_id_from = server::ClientIdFrom::Principal);
    let broker = setup.start().await;
    let connect = Connect { username: Some("ann".to_owned()), ..Connect::new(V5, "whatever") };
    let (_ann, connack) = broker.enter(connect).await;
    assert_eq!(connack.assigned_client_identifier.as_deref(), Some("ann"));
    use server::BrokerHandle;
    assert!(broker.broker.client("ann").is_some());
    assert!(broker.broker.client("whatever").is_none());
}

/// Covers 5.0 [MQTT-4.12.0-1] [MQTT-4.12.0-7] [MQTT-4.12.1-2].
#[tokio::test]
async fn enhanced_authentication_is_refused() {
    let broker = Broker::start().await;
    let connect = Connect {
        authentication_method: Some("SCRAM-SHA-256".to_owned()),
        authentication_data: Some(b"n,,n=a".to_vec()),
        ..Connect::new(V5, "a")
    };
    let mut client = broker.knock(connect).await;
    client.expect(packets::refusal(ReasonCode::BadAuthenticationMethod)).await;
    client.expect_closed().await;
    let mut client = broker.client(V5, "b").await;
    client.send(Packet::Auth(codec::Auth::new(ReasonCode::ReAuthenticate, "SCRAM-SHA-256"))).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
}

#[tokio::test]
async fn user_properties_of_connect_and_will_are_limited() {
    let broker = Broker::start().await;
    let many = |count| vec![("n".to_owned(), "v".to_owned()); count];
    let connect = Connect { user_properties: many(65), ..Connect::new(V5, "a") };
    broker.knock(connect).await.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
    let large = vec![("n".to_owned(), "v".repeat(8 << 10))];
    let connect = Connect { user_properties: large.clone(), ..Connect::new(V5, "a") };
    broker.knock(connect).await.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
    for user_properties in [many(65), large] {
        let will = Will { user_properties, ..Will::new("w", b"") };
        let connect = packets::with_will(Connect::new(V5, "a"), will);
        broker.knock(connect).await.expect(packets::refusal(ReasonCode::QuotaExceeded)).await;
    }
    let connect = Connect { user_properties: many(64), ..Connect::new(V5, "a") };
    broker.enter(connect).await.0.quiet().await;
}

#[tokio::test]
async fn keep_alive_has_a_maximum() {
    let setup = Setup::with(|live| live.limits.sizes.keep_alive_max = 100);
    let broker = setup.start().await;
    for (asked, told) in [(0, Some(100)), (101, Some(100)), (100, None), (99, None)] {
        let connect = Connect { keep_alive: asked, ..Connect::new(V5, "a") };
        let (_client, connack) = broker.enter(connect).await;
        assert_eq!(connack.server_keep_alive, told, "{asked}");
    }
}

/// One and a half times the Keep Alive after the last packet [MQTT-3.1.2-22], with the Will.
/// Covers 5.0 [MQTT-3.1.2-22] [MQTT-3.2.2-22], 3.1.1 [MQTT-3.1.2-24].
#[tokio::test]
async fn silent_client_is_given_up() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("gone/#", codec::QoS::AtMostOnce).await;
    let mut silent = Vec::new();
    for version in BOTH {
        let name = format!("silent-{version:?}");
        let connect = Connect { keep_alive: 1, ..Connect::new(version, &name) };
        let connect = packets::with_will(connect, Will::new("gone/keep-alive", b"will"));
        let mut client = broker.enter(connect).await.0;
        client.quiet().await;
        silent.push((client, Instant::now()));
    }
    for (mut client, since) in silent {
        // Bytes of an unfinished packet do not keep it alive.
        client.send_bytes(&[0x30, 100, 0]).await;
        client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
        let after = since.elapsed();
        assert!(after >= Duration::from_millis(1400), "{after:?}");
        assert!(after < Duration::from_millis(3000), "{after:?}");
        watcher.take("gone/keep-alive", "will").await;
    }
}

#[tokio::test]
async fn pings_keep_alive() {
    let broker = Broker::start().await;
    let connect = Connect { keep_alive: 1, ..Connect::new(V311, "a") };
    let mut client = broker.enter(connect).await.0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2000) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.quiet().await;
    }
}

#[tokio::test]
async fn only_packets_count_for_the_idle_timeout() {
    let setup = Setup::with(|live| {
        live.limits.sizes.idle_timeout = Some(Duration::from_millis(300));
    });
    let broker = setup.start().await;
    let mut client = broker.client(V5, "a").await;
    client.quiet().await;
    client.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
}
