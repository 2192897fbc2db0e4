//! Packets that no client sends: topics of the broker, deep topics, packets of a server, lengths that lie.

use codec::{Connect, Packet, ProtocolVersion, Publish, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Client, packets};
use rustix::process::Signal;

use super::{
    super::{
        folder::ALICE,
        knock::{enter, login},
        process::Program,
    },
    barrage::barrage,
    start_open, unharmed,
};

use ProtocolVersion::V5;

/// A packet of any length byte by byte.
pub(super) fn long(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut packet = vec![first];
    let mut left = body.len();
    while left > 0x7F {
        packet.push((left & 0x7F) as u8 | 0x80);
        left >>= 7;
    }
    packet.push(left as u8);
    packet.extend_from_slice(&body);
    packet
}

fn connect(version: ProtocolVersion, client_id: &str) -> Vec<u8> {
    let connect = packets::login(version, client_id, ALICE);
    packets::encoded(version, &Packet::Connect(Box::new(connect)))
}

/// No properties, where the version has them.
fn none(version: ProtocolVersion) -> &'static [u8] {
    if version == V5 { &[0] } else { &[] }
}

/// N6: topics that begin with `$` end the broker (CVE-2018-12543, mosquitto).
#[tokio::test]
async fn topics_of_the_broker_do_no_harm() {
    let (_folder, program) = start_open("").await;
    let topics = ["$", "$foo", "$SYS", "$SYS/x", "$share", "$share/x", "$share//x", "$CONTROL/x"];
    for version in BOTH {
        for topic in topics {
            let length = u16::try_from(topic.len()).expect("short").to_be_bytes();
            let retained = packets::encoded(
                version,
                &Packet::Publish(Publish { retain: true, ..Publish::new(topic, b"x") }),
            );
            let subscribe = long(0x82, &[&[0, 1], none(version), &length, topic.as_bytes(), &[0]]);
            let unsubscribe = long(0xA2, &[&[0, 2], none(version), &length, topic.as_bytes()]);
            let with_will = packets::with_will(Connect::new(version, "w"), Will::new(topic, b"x"));
            let with_will = packets::encoded(version, &Packet::Connect(Box::new(with_will)));
            let inputs = [retained, subscribe, unsubscribe]
                .map(|packet| [connect(version, "dollar"), packet].concat());
            barrage(program.mqtt(), inputs.into_iter().chain([with_will])).await;
        }
    }
    unharmed(&program).await;
    // And nothing of it was kept.
    let mut client = enter(program.mqtt(), login("after", ALICE)).await;
    client.send(packets::subscribe(1, &[("$foo", QoS::AtMostOnce)])).await;
    client.next(|_| ()).await.expect("SUBACK");
    client.quiet().await;
}

/// N12: topics with tens of thousands of levels overflow the stack (mosquitto 1.6.5).
#[tokio::test]
async fn deep_topics_are_refused() {
    let (_folder, program) = start_open("[limits]\npacket_bytes_before_connect = \"1MiB\"\n").await;
    let deep = "/".repeat(65_535);
    let deep = packets::field(deep);
    for version in BOTH {
        let level = packets::level(version);
        let publish = long(0x30, &[&deep, none(version), b"x"]);
        let subscribe = long(0x82, &[&[0, 1], none(version), &deep, &[0]]);
        let unsubscribe = long(0xA2, &[&[0, 1], none(version), &deep]);
        for packet in [publish, subscribe, unsubscribe] {
            let mut client = enter(program.mqtt(), packets::login(version, "deep", ALICE)).await;
            client.send_bytes(&packet).await;
            client.send(Packet::PingReq).await;
            // Refused with a code and kept, or ended.
            let mut refused = version != V5;
            while let Some(last) = client
                .next(|packet| {
                    refused |= match packet {
                        Packet::SubAck(suback) => suback.reason_codes[0].is_failure(),
                        Packet::UnsubAck(_) => true,
                        Packet::Disconnect(end) => end.reason_code.is_failure(),
                        _ => false,
                    };
                    matches!(packet, Packet::PingResp)
                })
                .await
            {
                if last {
                    break;
                }
            }
            assert!(refused, "{:02X?}", &packet[..8]);
        }
        // CONNECT with will flag and clean start: protocol name, level, flags, keep alive.
        let head = [&[0, 4][..], b"MQTT", &[level, 0x06, 0, 60], none(version)].concat();
        let will = [packets::field("w").as_slice(), none(version), &deep, &[0, 1, b'x']].concat();
        let mut client = Client::open(program.mqtt(), version).await;
        client.send_bytes(&long(0x10, &[&head, &will])).await;
        let code = client.last_words().await;
        assert!(code.is_none_or(ReasonCode::is_failure), "{code:?}");
    }
    unharmed(&program).await;
}

/// N13: packets that only a server sends, and those that nobody sends (CVE-2021-28166, mosquitto).
#[tokio::test]
async fn packets_of_a_server_end_the_connection() {
    let (_folder, program) = start_open("").await;
    let of_server: &[(u8, &[u8])] = &[
        (0x00, &[]),
        (0x0F, &[0, 1]),
        (0x20, &[0, 0]),
        (0x20, &[0, 0, 0]),
        (0x90, &[0, 1, 0]),
        (0x90, &[0, 1, 0, 0]),
        (0xB0, &[0, 1]),
        (0xB0, &[0, 1, 0, 0]),
        (0xD0, &[]),
    ];
    let of_clients: &[(u8, &[u8])] = &[
        (0x30, &[0, 1, b't', 0]),
        (0x40, &[0, 1]),
        (0x50, &[0, 1]),
        (0x62, &[0, 1]),
        (0x70, &[0, 1]),
        (0x82, &[0, 1, 0, 0, 1, b't', 0]),
        (0xA2, &[0, 1, 0, 0, 1, b't']),
        (0xC0, &[]),
        (0xE0, &[]),
        (0xF0, &[0x18, 0]),
    ];
    for version in BOTH {
        for (first, body) in of_server {
            let mut client = enter(program.mqtt(), packets::login(version, "s", ALICE)).await;
            client.name = format!("{version:?} {first:02X}");
            client.send_bytes(&packets::framed(*first, &[body])).await;
            let code = client.last_words().await;
            assert!(version != V5 || code.is_some_and(ReasonCode::is_failure), "{code:?}");
        }
        // Before CONNECT everything else is one of these.
        for (first, body) in of_server.iter().chain(of_clients) {
            let mut client = Client::open(program.mqtt(), version).await;
            client.name = format!("{version:?} {first:02X} before CONNECT");
            client.send_bytes(&packets::framed(*first, &[body])).await;
            let code = client.last_words().await;
            assert!(code.is_none_or(ReasonCode::is_failure), "{first:02X}: {code:?}");
        }
    }
    unharmed(&program).await;
}

/// N17: a topic of no length, and aliases out of range (CVE-2021-34432, mosquitto).
#[tokio::test]
async fn a_topic_of_no_length_ends_the_connection() {
    let (_folder, program) = start_open("").await;
    for qos in 0..3_u8 {
        let id: &[u8] = if qos == 0 { &[] } else { &[0, 1] };
        let first = 0x30 | qos << 1;
        let mut bad = vec![(ProtocolVersion::V311, packets::framed(first, &[&[0, 0], id, b"x"]))];
        // No alias; alias 0; above what CONNACK said; one that was never set.
        for properties in [&[0][..], &[3, 0x23, 0, 0], &[3, 0x23, 0, 11], &[3, 0x23, 0xFF, 0xFF]] {
            bad.push((V5, packets::framed(first, &[&[0, 0], id, properties, b"x"])));
            if properties.len() > 1 {
                bad.push((V5, packets::framed(first, &[&[0, 1, b't'], id, properties, b"x"])));
            }
        }
        bad.push((V5, packets::framed(first, &[&[0, 0], id, &[3, 0x23, 0, 1], b"x"])));
        for (version, bytes) in bad {
            let mut client = enter(program.mqtt(), packets::login(version, "e", ALICE)).await;
            client.name = format!("{version:?} {bytes:02X?}");
            client.send_bytes(&bytes).await;
            let code = client.last_words().await;
            assert!(version != V5 || code.is_some_and(ReasonCode::is_failure), "{bytes:02X?}");
        }
    }
    unharmed(&program).await;
}

/// N30: a variable byte integer of five bytes is read beyond its end (CVE-2026-21888, NanoMQ).
#[tokio::test]
async fn integers_of_five_bytes_end_the_connection() {
    let (_folder, program) = start_open("").await;
    const FIVE: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x01];
    let protocol = [&[0, 4][..], b"MQTT"].concat();
    let frames: Vec<Vec<u8>> = vec![
        [&[0x10], FIVE].concat(),
        packets::framed(0x10, &[&protocol, &[5, 0x02, 0, 60], FIVE, &[0, 1, b'c']]),
        packets::framed(0x10, &[&protocol, &[5, 0x06, 0, 60, 0, 0, 1, b'c'], FIVE]),
    ];
    for bytes in &frames {
        let mut client = Client::open(program.mqtt(), V5).await;
        client.send_bytes(bytes).await;
        let code = client.last_words().await;
        assert!(code.is_none_or(ReasonCode::is_failure), "{bytes:02X?}: {code:?}");
    }
    let after: Vec<Vec<u8>> = vec![
        [&[0x30], FIVE].concat(),
        packets::framed(0x30, &[&[0, 1, b't'], FIVE]),
        packets::framed(0x30, &[&[0, 1, b't', 6, 0x0B], FIVE]),
        packets::framed(0x40, &[&[0, 1, 0], FIVE]),
        packets::framed(0x50, &[&[0, 1, 0], FIVE]),
        packets::framed(0x62, &[&[0, 1, 0], FIVE]),
        packets::framed(0x70, &[&[0, 1, 0], FIVE]),
        packets::framed(0x82, &[&[0, 1], FIVE, &[0, 1, b't', 0]]),
        packets::framed(0x82, &[&[0, 1, 6, 0x0B], FIVE, &[0, 1, b't', 0]]),
        packets::framed(0xA2, &[&[0, 1], FIVE, &[0, 1, b't']]),
        packets::framed(0xE0, &[&[0], FIVE]),
        packets::framed(0xF0, &[&[0x18], FIVE]),
    ];
    for bytes in &after {
        let mut client = enter(program.mqtt(), login("five", ALICE)).await;
        client.name = format!("{bytes:02X?}");
        client.send_bytes(bytes).await;
        let code = client.last_words().await;
        assert!(code.is_some_and(ReasonCode::is_failure), "{bytes:02X?}: {code:?}");
    }
    unharmed(&program).await;
}

/// N31: truncated packets are read beyond their end; lists of subscribers are used while they change (NanoMQ #1169, #2110).
#[tokio::test]
async fn truncated_packets_and_races_do_no_harm() {
    let (_folder, program) = start_open("").await;
    let properties = Will {
        content_type: Some("text".to_owned()),
        user_properties: vec![("name".to_owned(), "value".to_owned())],
        ..Will::new("will/topic", b"payload")
    };
    let whole = packets::with_will(packets::login(V5, "truncated", ALICE), properties);
    let whole = packets::encoded(V5, &Packet::Connect(Box::new(whole)));
    let body = &whole[2..];
    let fitted = (0..body.len()).map(|cut| packets::framed(0x10, &[&body[..cut]]));
    let cut = (1..whole.len()).map(|cut| whole[..cut].to_owned());
    barrage(program.mqtt(), cut.chain(fitted)).await;
    let publish = Publish {
        correlation_data: Some(b"1234"),
        response_topic: Some("answer"),
        ..Publish::new("t/x", b"x")
    };
    let publish = packets::encoded(V5, &packets::publish(1, QoS::ExactlyOnce, publish));
    let body = &publish[2..];
    let login = connect(V5, "truncated");
    let fitted = (0..body.len()).map(|cut| packets::framed(publish[0], &[&body[..cut]]));
    barrage(program.mqtt(), fitted.map(|packet| [login.as_slice(), &packet].concat())).await;
    // Subscribers that come and go under publishers that do.
    let subscribe = packets::encoded(V5, &packets::subscribe(1, &[("t/#", QoS::AtLeastOnce)]));
    let publish = packets::encoded(V5, &packets::qos1(1, "t/x", "x"));
    let unsubscribe = packets::encoded(V5, &packets::unsubscribe(2, &["t/#"]));
    let races = (0..600).map(|number: usize| {
        let connect = connect(V5, &format!("race-{}", number % 7));
        let [first, second] = if number.is_multiple_of(2) {
            [&subscribe, &publish]
        } else {
            [&publish, &unsubscribe]
        };
        [connect.as_slice(), first, second, &publish, &subscribe].concat()
    });
    barrage(program.mqtt(), races).await;
    unharmed(&program).await;
}

/// N32: retained messages with unusual properties end the broker (CVE-2024-42644, CVE-2024-42645, FlashMQ).
#[tokio::test]
async fn unusual_retained_messages_do_no_harm() {
    let (folder, mut program) = start_open("").await;
    let longest = ["l"; 64].join("/") + &"x".repeat(1024 - 127);
    assert_eq!(longest.len(), 1024);
    let unusual = |topic: &'static str| Publish { retain: true, ..Publish::new(topic, b"") };
    let section = b"\x26\0\x01n\0\x01v";
    let pairs = Publish::from_parts("empty/pairs", section, b"").expect("properties");
    let mut client = enter(program.mqtt(), login("r", ALICE)).await;
    let messages = [
        Publish { message_expiry_interval: Some(0), payload: b"x", ..unusual("expired") },
        Publish { message_expiry_interval: Some(u32::MAX), payload: b"x", ..unusual("forever") },
        Publish { content_type: Some("text"), correlation_data: Some(b""), ..unusual("empty") },
        Publish { retain: true, ..pairs },
        Publish { topic: &longest, payload: b"x", ..unusual("") },
        Publish { payload_format_indicator: Some(true), payload: b"x", ..unusual("text") },
    ];
    for (number, publish) in (1..).zip(messages) {
        client.send(packets::publish(number, QoS::AtLeastOnce, publish)).await;
        assert!(!client.puback(number).await.is_failure(), "{number}");
    }
    for killed in [false, true] {
        if killed {
            program.signal(Signal::KILL);
            program.ended().await;
            program = Program::start(&folder.config()).await;
        }
        let mut watcher = enter(program.mqtt(), login("watcher", ALICE)).await;
        watcher.subscribe("#", QoS::AtMostOnce).await;
        let mut topics: Vec<_> = watcher.drain().await.into_iter().map(|m| m.topic).collect();
        topics.sort_unstable();
        assert_eq!(topics, ["forever", longest.as_str(), "text"], "killed: {killed}");
        unharmed(&program).await;
    }
}
