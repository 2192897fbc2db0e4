//! UTF-8 Encoded Strings (section 1.5.4), wherever a client can put one.

use codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, packets};

use ProtocolVersion::{V5, V311};

/// No string: bytes that start no character, an overlong form, surrogates, what is above U+10FFFF, a
/// character cut off, U+0000.
const NO_STRINGS: [&[u8]; 8] = [
    b"\xFF",
    b"\x80",
    b"a\xC0\xAF",
    b"\xED\xA0\x80",
    b"\xED\xBF\xBFz",
    b"\xF4\x90\x80\x80",
    b"a\xE2\x82",
    b"a\0b",
];

/// A property section of one property, with its length.
fn section(parts: &[&[u8]]) -> Vec<u8> {
    let inner = parts.concat();
    [&[u8::try_from(inner.len()).unwrap()][..], &inner[..]].concat()
}

/// PUBLISH in 5.0 with this property section.
fn publish_with(section: &[u8]) -> Vec<u8> {
    packets::framed(0x30, &[&packets::field("t"), section, b"x"])
}

/// Each packet of a connected client that has room for a string, with `string` there.
fn packets_with(version: ProtocolVersion, string: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let field = &*packets::field(string);
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let mut all = vec![
        ("Topic Name", packets::framed(0x30, &[field, none])),
        ("filter of SUBSCRIBE", packets::framed(0x82, &[&[0, 1], none, field, &[0]])),
        ("filter of UNSUBSCRIBE", packets::framed(0xA2, &[&[0, 1], none, field])),
    ];
    if version == V5 {
        let k = &*packets::field("k");
        let reason = section(&[&[0x1F], field]);
        all.extend([
            ("Content Type", publish_with(&section(&[&[0x03], field]))),
            ("Response Topic", publish_with(&section(&[&[0x08], field]))),
            ("name of a User Property", publish_with(&section(&[&[0x26], field, k]))),
            ("value of a User Property", publish_with(&section(&[&[0x26], k, field]))),
            ("Reason String of PUBACK", packets::framed(0x40, &[&[0, 1, 0], &reason])),
            ("Reason String of DISCONNECT", packets::framed(0xE0, &[&[0], &reason])),
            (
                "User Property of UNSUBSCRIBE",
                packets::framed(0xA2, &[&[0, 1], &section(&[&[0x26], k, field]), k]),
            ),
        ]);
    }
    all
}

/// Covers 5.0 [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT-3.3.2-1] [MQTT-3.3.2-13]
/// [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2], 3.1.1 [MQTT-1.5.3-1]
/// [MQTT-1.5.3-2] [MQTT-3.3.2-1] [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2].
#[tokio::test]
async fn what_is_no_string_ends_the_connection() {
    let broker = Broker::start().await;
    for version in BOTH {
        for string in NO_STRINGS {
            for (place, bytes) in packets_with(version, string) {
                let mut client = broker.client(version, "a").await;
                client.name = format!("{version:?} {place} {string:02X?}");
                client.send_bytes(&bytes).await;
                client.expect_disconnect(ReasonCode::MalformedPacket).await;
            }
        }
    }
}

/// Each CONNECT that has room for a string, with `string` there.
fn connects_with(version: ProtocolVersion, string: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let field = &*packets::field(string);
    let (a, level) = (&*packets::field("a"), packets::level(version));
    let none: &[u8] = if version == V5 { &[0] } else { &[] };
    let connect = |flags: u8, properties: &[u8], payload: &[&[u8]]| {
        let head = [b"\0\x04MQTT", &[level, flags, 0, 60][..], properties].concat();
        packets::framed(0x10, &[&head, &payload.concat()])
    };
    let mut all = vec![
        ("Client Identifier", connect(0x02, none, &[field])),
        ("Will Topic", connect(0x06, none, &[a, none, field, a])),
        ("User Name", connect(0x82, none, &[a, field])),
    ];
    if version == V5 {
        let user = section(&[&[0x26], a, field]);
        all.extend([
            ("User Property", connect(0x02, &user, &[a])),
            ("Authentication Method", connect(0x02, &section(&[&[0x15], field]), &[a])),
            ("User Property of the will", connect(0x06, none, &[a, &user, a, a])),
            (
                "Content Type of the will",
                connect(0x06, none, &[a, &section(&[&[0x03], field]), a, a]),
            ),
        ]);
    }
    all
}

/// Covers 5.0 [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
/// [MQTT-3.1.4-1], 3.1.1 [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.1.3-4] [MQTT-3.1.3-10]
/// [MQTT-3.1.3-11] [MQTT-3.1.4-1].
#[tokio::test]
async fn what_is_no_string_ends_a_connect() {
    let broker = Broker::start().await;
    for (version, word) in [(V311, None), (V5, Some(ReasonCode::MalformedPacket))] {
        for string in NO_STRINGS {
            for (place, bytes) in connects_with(version, string) {
                let mut client = broker.open(version).await;
                client.send_bytes(&bytes).await;
                let heard = client.last_words().await;
                assert_eq!(heard, word, "{version:?} {place} {string:02X?}");
            }
        }
        // The same packets are fine with text in the place.
        for (place, bytes) in connects_with(version, b"text") {
            let mut client = broker.open(version).await;
            client.send_bytes(&bytes).await;
            let code = client.connack().await.reason_code;
            let expected = match place {
                "Authentication Method" => ReasonCode::BadAuthenticationMethod,
                _ => ReasonCode::Success,
            };
            assert_eq!(code, expected, "{version:?} {place}");
        }
    }
}

/// U+FEFF, control characters, what Unicode calls non-characters, and letters in composed and
/// decomposed form: all are characters like any other, and none is another.
/// Covers 5.0 [MQTT-1.5.4-3] [MQTT-4.7.3-4], 3.1.1 [MQTT-1.5.3-3] [MQTT-4.7.3-4].
#[tokio::test]
async fn every_character_is_itself() {
    let broker = Broker::start().await;
    let topics = [
        "t",
        "T",
        "\u{FEFF}t",
        "t\u{FEFF}",
        "t\u{1}",
        "t\u{FFFE}",
        "t\u{FFFF}",
        "t\u{10FFFF}",
        "\u{e9}",
        "e\u{301}",
        " t",
        "t ",
        "/t",
        "t/",
    ];
    for version in BOTH {
        let mut publisher = broker.client(version, "pub").await;
        for wanted in topics {
            let mut subscriber = broker.client(version, "sub").await;
            subscriber.subscribe(wanted, QoS::AtMostOnce).await;
            for topic in topics {
                publisher.send(packets::qos0(topic, topic)).await;
            }
            publisher.send(Packet::PingReq).await;
            publisher.expect(Packet::PingResp).await;
            subscriber.take(wanted, wanted).await;
            subscriber.quiet().await;
        }
    }
}
