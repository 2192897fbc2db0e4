//! MQTT over WebSocket: the handshake, frames of every shape, and who breaks their rules.

use std::time::{Duration, Instant};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{
    BOTH, Broker, Client, Setup, packets,
    websocket::{
        BINARY, CLOSE, CONTINUE, FIN, PING, PONG, REQUEST, Shape, TEXT, WebSocket, header,
    },
};
use server::{BrokerHandle, LiveConfig, Transport};

use ProtocolVersion::{V5, V311};

fn over_websocket(origins: Option<&[&str]>) -> Transport {
    Transport::WebSocket {
        bind: ([127, 0, 0, 1], 0).into(),
        path: "/mqtt".to_owned(),
        origins: origins.map(|origins| origins.iter().map(|&origin| origin.to_owned()).collect()),
    }
}

async fn broker() -> Broker {
    Setup::default().listening("ws", over_websocket(None)).start().await
}

/// A connected client with packets in frames of this shape.
async fn enter(broker: &Broker, connect: Connect, shape: Shape) -> Client {
    let socket = WebSocket::open(broker.listener("ws")).await;
    let mut client = socket.into_client(connect.version, shape);
    client.name.clone_from(&connect.client_id);
    client.send(Packet::Connect(Box::new(connect))).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    client
}

fn encode(version: ProtocolVersion, packets: &[Packet<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        packet.encode(version, &mut bytes);
    }
    bytes
}

fn connect(version: ProtocolVersion, client_id: &str) -> Packet<'static> {
    Packet::Connect(Box::new(Connect::new(version, client_id)))
}

/// A WebSocket on which a client is connected; CONNACK was taken.
async fn entered(broker: &Broker, client_id: &str) -> WebSocket {
    let mut socket = WebSocket::open(broker.listener("ws")).await;
    socket.send(FIN | BINARY, &encode(V5, &[connect(V5, client_id)])).await;
    let (first, payload) = socket.next().await.expect("a CONNACK");
    assert_eq!((first, payload.first()), (FIN | BINARY, Some(&0x20)));
    socket
}

/// Packets need not begin and end where frames do.
/// Covers 5.0 [MQTT-6.0.0-2] [MQTT-6.0.0-4], 3.1.1 [MQTT-6.0.0-2] [MQTT-6.0.0-4].
#[tokio::test]
async fn frames_of_every_shape_carry_packets() {
    let broker = broker().await;
    let mut plain = broker.client(V5, "plain").await;
    plain.subscribe("t/#", QoS::AtLeastOnce).await;
    for version in BOTH {
        for shape in [Shape::Whole, Shape::Bytes, Shape::Fragments] {
            let name = format!("{version:?}-{shape:?}");
            let mut client = enter(&broker, Connect::new(version, &name), shape).await;
            client.subscribe("back", QoS::ExactlyOnce).await;
            assert_eq!(client.publish("t/x", &name).await, ReasonCode::Success);
            plain.take("t/x", &name).await;
            plain.send(packets::qos2(7, "back", &name)).await;
            plain.pubrec(7).await;
            plain.send(packets::pubrel(7, ReasonCode::Success)).await;
            plain.expect(packets::pubcomp(7, ReasonCode::Success)).await;
            client.take("back", &name).await;
            client.quiet().await;
            let info = broker.broker.client(&name).expect("is connected");
            assert_eq!(&*info.listener, "ws");
            client.leave().await;
        }
    }
}

/// Many packets in one frame, and one packet in many.
/// Covers 5.0 [MQTT-6.0.0-2], 3.1.1 [MQTT-6.0.0-2].
#[tokio::test]
async fn coalesced_and_long() {
    let broker = broker().await;
    let mut socket = WebSocket::open(broker.listener("ws")).await;
    let burst: Vec<_> = (0..50).map(|n| packets::qos1(n + 1, "t", "x")).collect();
    let first = [connect(V311, "burst"), packets::subscribe(1, &[("t", QoS::AtMostOnce)])];
    let all: Vec<_> = first.into_iter().chain(burst).collect();
    socket.send(FIN | BINARY, &encode(V311, &all)).await;
    let mut client = socket.into_client(V311, Shape::Whole);
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    client.expect(packets::suback(1, &[ReasonCode::Success])).await;
    let (mut messages, mut acknowledged) = (0, 0);
    while messages < 50 || acknowledged < 50 {
        let next = client.next(|packet| match packet {
            Packet::Publish(_) => (1, 0),
            Packet::PubAck(_) => (0, 1),
            other => panic!("{other:?}"),
        });
        let (message, ack) = next.await.expect("still open");
        (messages, acknowledged) = (messages + message, acknowledged + ack);
    }
    // Longer than everything that is read or written at once, in both directions.
    let long: String = ('a'..='z').cycle().take(900_000).collect();
    for shape in [Shape::Whole, Shape::Fragments] {
        let mut other = enter(&broker, Connect::new(V5, "long"), shape).await;
        other.subscribe("long", QoS::AtMostOnce).await;
        assert_eq!(other.publish("long", &long).await, ReasonCode::Success);
        let message = other.message().await;
        assert!(message.text() == ("long", &long), "{} bytes", message.payload.len());
    }
}

/// Covers 5.0 [MQTT-6.0.0-3], 3.1.1 [MQTT-6.0.0-3].
#[tokio::test]
async fn requests_that_are_refused_are_told_why() {
    let broker = broker().await;
    let request = |from: &str, to: &str| {
        let lines: Vec<_> = REQUEST.iter().map(|line| line.replace(from, to)).collect();
        format!("{}\r\n\r\n", lines.join("\r\n"))
    };
    let cases = [
        (request("/mqtt ", "/other "), 404),
        (request("Upgrade: websocket", "Accept: text/html"), 426),
        (request("Version: 13", "Version: 12"), 426),
        (request("Protocol: mqtt", "Protocol: wamp"), 400),
        (request("Sec-WebSocket-Protocol: mqtt", "X-Nothing: mqtt"), 400),
        (request("GET", "POST"), 405),
        (request("Host: ", &format!("Cookie: {}", "x".repeat(17_000))), 431),
        // What comes in without WebSocket.
        (String::from_utf8(encode(V311, &[connect(V311, "a")])).expect("ASCII"), 400),
    ];
    for (request, status) in &cases {
        let (mut socket, head) = WebSocket::ask(broker.listener("ws"), request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        let sentence = socket.rest().await;
        assert!(sentence.ends_with('\n') && sentence.len() > 10, "{sentence:?}");
    }
    let refused = "portcullis_connect_refused_total";
    assert_eq!(broker.counted(refused), cases.len() as u64);
    broker.until(|broker| broker.totals().connections == 0).await;
}

#[tokio::test]
async fn only_listed_origins_may_connect() {
    let listed = over_websocket(Some(&["https://app.example"]));
    let broker = Setup::default().listening("ws", over_websocket(None));
    let broker = broker.listening("listed", listed).start().await;
    for (listener, origin, expect) in [
        ("listed", Some("https://app.example"), "101"),
        ("listed", Some("https://evil.example"), "403"),
        ("listed", Some("null"), "403"),
        ("listed", None, "101"),
        ("ws", Some("https://evil.example"), "101"),
    ] {
        let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
        let request = format!("{}\r\n{origin}\r\n", REQUEST.join("\r\n"));
        let (_socket, head) = WebSocket::ask(broker.listener(listener), &request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expect} ")), "{listener} {origin}: {head}");
    }
}

/// A client that breaks a rule is told with a close frame; its Will Message is sent.
/// Covers 5.0 [MQTT-6.0.0-1], 3.1.1 [MQTT-6.0.0-1].
#[tokio::test]
async fn broken_rules_end_the_connection() {
    let broker = broker().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let mut unmasked = header(FIN | BINARY, 2);
    unmasked[1] = 2;
    let text = portcullis_tests::websocket::frame(FIN | TEXT, b"hello");
    let cases = [
        (text.clone(), 1003),
        (unmasked, 1002),
        (header(FIN | 0x40 | BINARY, 2), 1002),
        (header(FIN | CONTINUE, 2), 1002),
        (header(PING, 2), 1002),
        (header(FIN | PING, 126), 1002),
    ];
    for (bytes, code) in &cases {
        let mut socket = WebSocket::open(broker.listener("ws")).await;
        let will = Will::new("will", b"gone");
        let connect = packets::with_will(Connect::new(V5, "breaks"), will);
        socket.send(FIN | BINARY, &encode(V5, &[Packet::Connect(Box::new(connect))])).await;
        socket.next().await.expect("a CONNACK");
        socket.send_bytes(bytes).await;
        socket.expect_close(*code).await;
        watcher.take("will", "gone").await;
    }
    let closed = "portcullis_connections_closed_total{reason=\"websocket\"}";
    assert_eq!(broker.counted(closed), cases.len() as u64);
    assert_eq!(broker.counted("portcullis_protocol_violations_total"), cases.len() as u64);
    // Before CONNECT as well.
    let mut stranger = WebSocket::open(broker.listener("ws")).await;
    stranger.send_bytes(&text).await;
    stranger.expect_close(1003).await;
    assert_eq!(broker.counted("portcullis_connect_refused_total"), 1);
}

/// A message is as long as a packet may be, before CONNECT as that of a stranger. The header alone tells.
#[tokio::test]
async fn messages_are_as_long_as_packets() {
    let setup = Setup::with(|live: &mut LiveConfig| {
        live.limits.sizes.packet_bytes_before_connect = 1_000;
        live.limits.sizes.packet_bytes = 100_000;
    });
    let broker = setup.listening("ws", over_websocket(None)).start().await;
    let mut stranger = WebSocket::open(broker.listener("ws")).await;
    stranger.send_bytes(&header(FIN | BINARY, 1_001)).await;
    stranger.expect_close(1009).await;
    let mut fragments = WebSocket::open(broker.listener("ws")).await;
    fragments.send(BINARY, &[0x10]).await;
    fragments.send_bytes(&header(CONTINUE, 1_000)).await;
    fragments.expect_close(1009).await;

    let mut client = entered(&broker, "a").await;
    let payload = "x".repeat(90_000);
    client.send(FIN | BINARY, &encode(V5, &[packets::qos1(1, "t", &payload)])).await;
    let (_, puback) = client.next().await.expect("a PUBACK");
    assert_eq!(puback.first(), Some(&0x40));
    client.send_bytes(&header(FIN | BINARY, 100_001)).await;
    client.expect_close(1009).await;
}

/// `connect_timeout` covers handshake and CONNECT together.
#[tokio::test]
async fn a_slow_handshake_is_given_up() {
    let timeout = Duration::from_millis(400);
    let setup = Setup::with(|live| live.limits.sizes.connect_timeout = timeout);
    let broker = setup.listening("ws", over_websocket(None)).start().await;
    let began = Instant::now();
    let mut silent = Client::open(broker.listener("ws"), V5).await;
    silent.send_bytes(b"GET /mqtt HTTP/1.1\r\nHost:").await;
    let mut frames_only = WebSocket::open(broker.listener("ws")).await;
    frames_only.send(FIN | PING, b"here").await;
    assert_eq!(frames_only.next().await, Some((FIN | PONG, b"here".to_vec())));
    silent.expect_closed().await;
    frames_only.expect_close(1000).await;
    let took = began.elapsed();
    assert!(took >= timeout && took < 4 * timeout, "{took:?}");
    assert_eq!(broker.counted("portcullis_connect_refused_total"), 2);
}

/// Either end may close; the other answers, then the broker closes the network connection.
#[tokio::test]
async fn closing() {
    let broker = broker().await;
    let mut leaves = entered(&broker, "leaves").await;
    leaves.send(FIN | CLOSE, &[3, 233, b'b', b'y', b'e']).await;
    leaves.expect_close(1001).await;
    let mut in_order = entered(&broker, "in order").await;
    let goodbye = encode(V5, &[packets::disconnect(ReasonCode::Success)]);
    in_order.send(FIN | BINARY, &goodbye).await;
    in_order.expect_close(1000).await;
    assert_eq!(broker.counted("portcullis_connections_closed_total{reason=\"normal"), 1);

    let mut taken_over = entered(&broker, "twice").await;
    let _other = entered(&broker, "twice").await;
    let (first, packet) = taken_over.next().await.expect("a DISCONNECT");
    let told = encode(V5, &[packets::disconnect(ReasonCode::SessionTakenOver)]);
    assert_eq!((first, packet), (FIN | BINARY, told));
    taken_over.expect_close(1000).await;

    let mut refused = WebSocket::open(broker.listener("ws")).await;
    refused.send(FIN | BINARY, b"\x30\0").await;
    refused.expect_close(1000).await;
}

/// Pings of WebSocket are answered with the latest alone, and keep nobody alive.
#[tokio::test]
async fn pings_do_not_keep_alive() {
    let broker = broker().await;
    let mut socket = WebSocket::open(broker.listener("ws")).await;
    let connect = Connect { keep_alive: 1, ..Connect::new(V5, "a") };
    socket.send(FIN | BINARY, &encode(V5, &[Packet::Connect(Box::new(connect))])).await;
    socket.next().await.expect("a CONNACK");
    let began = Instant::now();
    let mut pongs = 0;
    loop {
        socket.send(FIN | PING, b"?").await;
        match socket.next().await.expect("a close frame comes before the end") {
            (first, payload) if first == FIN | PONG => {
                assert_eq!(payload, b"?");
                pongs += 1;
            }
            (first, payload) => {
                let told = encode(V5, &[packets::disconnect(ReasonCode::KeepAliveTimeout)]);
                assert_eq!((first, payload), (FIN | BINARY, told));
                break;
            }
        }
    }
    assert!(pongs > 10 && began.elapsed() < Duration::from_secs(3), "{pongs} pongs");
}
