//! The first byte of each packet: type and reserved flags.

use codec::{Auth, Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, packets};

use ProtocolVersion::{V5, V311};

/// What a client may send and has reserved flags.
fn with_reserved_flags(version: ProtocolVersion) -> Vec<Packet<'static>> {
    let mut all = vec![
        packets::puback(1, ReasonCode::Success),
        packets::pubrec(1, ReasonCode::Success),
        packets::pubrel(1, ReasonCode::Success),
        packets::pubcomp(1, ReasonCode::Success),
        packets::subscribe(1, &[("a", QoS::AtMostOnce)]),
        packets::unsubscribe(1, &["a"]),
        Packet::PingReq,
        packets::disconnect(ReasonCode::Success),
    ];
    if version == V5 {
        all.push(Packet::Auth(Auth::new(ReasonCode::ReAuthenticate, "m")));
    }
    all
}

/// All flags but the right ones.
fn wrong_flags(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (1..16).map(|change| {
        let mut wrong = bytes.to_vec();
        wrong[0] ^= change;
        wrong
    })
}

/// Covers 5.0 [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
/// [MQTT-3.15.1-1], 3.1.1 [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1]
/// [MQTT-3.10.1-1] [MQTT-3.14.1-1].
#[tokio::test]
async fn reserved_flags() {
    let broker = Broker::start().await;
    for version in BOTH {
        for packet in with_reserved_flags(version) {
            for wrong in wrong_flags(&packets::encoded(version, &packet)) {
                let mut client = broker.client(version, "a").await;
                client.name = format!("{version:?} {wrong:02X?}");
                client.send_bytes(&wrong).await;
                client.expect_disconnect(ReasonCode::MalformedPacket).await;
            }
        }
    }
}

/// Covers 5.0 [MQTT-2.1.3-1] [MQTT-3.1.4-1], 3.1.1 [MQTT-2.2.2-2] [MQTT-3.1.4-1].
#[tokio::test]
async fn reserved_flags_of_connect() {
    let broker = Broker::start().await;
    for (version, word) in [(V311, None), (V5, Some(ReasonCode::MalformedPacket))] {
        let connect = Packet::Connect(Box::new(Connect::new(version, "a")));
        for wrong in wrong_flags(&packets::encoded(version, &connect)) {
            let mut client = broker.open(version).await;
            client.send_bytes(&wrong).await;
            assert_eq!(client.last_words().await, word, "{wrong:02X?}");
        }
    }
    assert_eq!(broker.counted("portcullis_connections_opened_total"), 0);
}

/// Packet type 0 is none, and 15 is none in 3.1.1.
/// Covers 5.0 [MQTT-4.13.1-1], 3.1.1 [MQTT-4.8.0-1].
#[tokio::test]
async fn packet_types_that_are_none() {
    let broker = Broker::start().await;
    for (version, first) in [(V311, 0x00), (V5, 0x00), (V311, 0xF0)] {
        let mut client = broker.client(version, "a").await;
        client.send_bytes(&[first, 0]).await;
        client.expect_disconnect(ReasonCode::MalformedPacket).await;
    }
}

/// A Variable Byte Integer has four bytes at most: the Remaining Length, the Property Length, and a
/// Subscription Identifier. In the shortest form only, where 5.0 is spoken.
/// Covers 5.0 [MQTT-1.5.5-1] [MQTT-4.13.1-1], 3.1.1 [MQTT-4.8.0-1].
#[tokio::test]
async fn variable_byte_integers() {
    let broker = Broker::start().await;
    let endless = &[0x80, 0x80, 0x80, 0x80, 1][..];
    let padded = &[0x80, 0][..];
    for integer in [endless, padded] {
        let remaining = [&[0xC0][..], integer].concat();
        let properties = packets::framed(0x30, &[&packets::field("t"), integer]);
        // A Subscription Identifier of 1, as 0 is none.
        let section = [&[0x0B, integer[0] | 1], &integer[1..]].concat();
        let length = &[u8::try_from(section.len()).unwrap()][..];
        let filter = packets::field("t");
        let identifier = packets::framed(0x82, &[&[0, 1], length, &section, &filter, &[0]]);
        for bytes in [remaining, properties, identifier] {
            let mut client = broker.client(V5, "a").await;
            client.name = format!("{bytes:02X?}");
            client.send_bytes(&bytes).await;
            client.expect_disconnect(ReasonCode::MalformedPacket).await;
        }
    }
    // 3.1.1 says nothing of the shortest form.
    let mut client = broker.client(V311, "a").await;
    client.send_bytes(&[0xC0, 0x80, 0]).await;
    client.expect(Packet::PingResp).await;
    client.send_bytes(&[0xC0, 0x80, 0x80, 0x80, 0x80, 1]).await;
    client.expect_closed().await;
}
