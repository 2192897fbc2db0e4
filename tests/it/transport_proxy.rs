//! The PROXY protocol: whose address counts, who may say so, and what is refused.

use std::{net::SocketAddr, time::Duration};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use limits::Rate;
use portcullis_tests::{
    Broker, Client, Setup, User, packets,
    websocket::{Shape, WebSocket},
};
use server::{BrokerHandle, LiveConfig, Transport};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
};

use ProtocolVersion::V5;

const ANY_PORT: Transport = Transport::Tcp {
    bind: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0),
};

/// A broker with limits that hold for loopback too, behind a load balancer on loopback.
async fn strict(change: impl FnOnce(&mut LiveConfig)) -> Broker {
    let setup = Setup::with(|live| {
        live.limits.connection_rate.loopback_exempt = false;
        change(live);
    });
    setup.listening("lb", ANY_PORT).behind("127.0.0.0/8").start().await
}

fn v1(source: &str) -> Vec<u8> {
    let source: SocketAddr = source.parse().expect("an address");
    let (family, destination) = match source {
        SocketAddr::V4(_) => ("TCP4", "192.0.2.200"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::200"),
    };
    let (ip, port) = (source.ip(), source.port());
    format!("PROXY {family} {ip} {destination} {port} 1883\r\n").into_bytes()
}

fn v2(command: u8, source: &str, tlvs: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let family = match source.parse().expect("an address") {
        SocketAddr::V4(source) => {
            body.extend(source.ip().octets());
            body.extend([192, 0, 2, 200]);
            body.extend(source.port().to_be_bytes());
            0x11
        }
        SocketAddr::V6(source) => {
            body.extend(source.ip().octets());
            body.extend([0; 16]);
            body.extend(source.port().to_be_bytes());
            0x21
        }
    };
    body.extend(1883_u16.to_be_bytes());
    body.extend(tlvs);
    let length = u16::try_from(body.len()).expect("short").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, family], &length, &body].concat()
}

/// A connection that begins with `header`.
async fn open(broker: &Broker, header: &[u8]) -> Client {
    let mut client = Client::open(broker.listener("lb"), V5).await;
    // The broker may have closed already.
    client.try_send_bytes(header).await;
    client
}

async fn knock(broker: &Broker, header: &[u8], connect: Connect) -> Client {
    let mut client = open(broker, header).await;
    client.send(Packet::Connect(Box::new(connect))).await;
    client
}

async fn enter(broker: &Broker, header: &[u8], client_id: &str) -> Client {
    let mut client = knock(broker, header, Connect::new(V5, client_id)).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success, "{client_id}");
    client
}

fn remote(broker: &Broker, client_id: &str) -> String {
    let info = broker.broker.client(client_id).expect("is connected");
    info.remote.expect("has an address").to_string()
}

#[tokio::test]
async fn the_address_in_the_header_is_the_clients() {
    let broker = strict(|_| {}).await;
    let padding = [&[4, 1, 0][..], &[0; 256]].concat();
    let cases = [
        (v1("203.0.113.7:1000"), "203.0.113.7:1000"),
        (v1("[2001:db8::7]:1000"), "[2001:db8::7]:1000"),
        (v2(1, "203.0.113.8:1001", &[]), "203.0.113.8:1001"),
        (v2(1, "[2001:db8::8]:1001", &[]), "[2001:db8::8]:1001"),
        (v2(1, "203.0.113.9:1002", &padding), "203.0.113.9:1002"),
    ];
    for (number, (header, expect)) in cases.iter().enumerate() {
        let name = number.to_string();
        let mut client = enter(&broker, header, &name).await;
        client.subscribe("t", QoS::AtMostOnce).await;
        client.publish("t", "hello").await;
        assert_eq!(remote(&broker, &name), *expect);
    }
}

/// What the load balancer opens for itself, and what it does not know, keeps the address of the network.
#[tokio::test]
async fn local_and_unknown() {
    let broker = strict(|_| {}).await;
    let unknown = b"PROXY UNKNOWN\r\n".to_vec();
    for (name, header) in [("local", v2(0, "203.0.113.7:1000", &[])), ("unknown", unknown)] {
        let client = enter(&broker, &header, name).await;
        assert!(remote(&broker, name).starts_with("127.0.0.1:"), "{name}");
        client.leave().await;
    }
    // A health check: the header and the end.
    let mut check = TcpStream::connect(broker.listener("lb")).await.expect("accepts");
    check.write_all(&v2(0, "203.0.113.7:1000", &[])).await.expect("is read");
    drop(check);
    broker.until(|broker| broker.totals().connections == 0).await;
}

/// In pieces, and with CONNECT right behind.
#[tokio::test]
async fn the_header_ends_anywhere() {
    let broker = strict(|_| {}).await;
    let mut packet = Vec::new();
    Packet::Connect(Box::new(Connect::new(V5, "a"))).encode(V5, &mut packet);
    for header in [v1("203.0.113.7:1000"), v2(1, "203.0.113.7:1000", &[])] {
        let all = [&header[..], &packet].concat();
        for at_once in [1, header.len() - 1, header.len() + 3, all.len()] {
            let mut client = open(&broker, &[]).await;
            for piece in all.chunks(at_once) {
                client.send_bytes(piece).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
            assert_eq!(remote(&broker, "a"), "203.0.113.7:1000");
            client.leave().await;
        }
    }
}

/// Connections and their rate count by the real address, and the load balancer's is not counted at all.
#[tokio::test]
async fn limits_are_those_of_the_real_address() {
    let broker = strict(|live| live.limits.connection_rate.connections_per_address = 1).await;
    let mut clients = Vec::new();
    for number in 1..=20 {
        let header = v1(&format!("203.0.113.{number}:1000"));
        clients.push(enter(&broker, &header, &number.to_string()).await);
    }
    let mut second = open(&broker, &v2(1, "203.0.113.7:2000", &[])).await;
    second.expect_closed().await;
    let refused = "portcullis_connections_refused_total{limit=\"connections_per_address\"}";
    assert_eq!(broker.counted(refused), 1);
    // Neither are those whose header has not come: the load balancer's own first connection is let in.
    let _waiting = [open(&broker, &[]).await, open(&broker, &[]).await];
    enter(&broker, b"PROXY UNKNOWN\r\n", "own").await.leave().await;
    // A place is given back to its address.
    clients.remove(6).leave().await;
    broker.until(|broker| broker.client("7").is_none()).await;
    enter(&broker, &v1("203.0.113.7:2000"), "again").await.quiet().await;

    let slow = Rate::new(1, 2).expect("a rate");
    let broker = strict(|live| live.limits.connection_rate.connect_rate_per_address = slow).await;
    for number in 0..2 {
        enter(&broker, &v1("203.0.113.7:1"), &number.to_string()).await.leave().await;
    }
    open(&broker, &v1("203.0.113.7:1")).await.expect_closed().await;
    enter(&broker, &v1("203.0.113.8:1"), "other").await.quiet().await;
}

/// Without a header a connection is one of all.
#[tokio::test]
async fn connections_in_all_count_from_the_start() {
    let broker = strict(|live| live.limits.connection_rate.connections = 2).await;
    let waiting = open(&broker, &[]).await;
    let _client = enter(&broker, &v1("203.0.113.7:1"), "a").await;
    open(&broker, &v1("203.0.113.8:1")).await.expect_closed().await;
    waiting.vanish();
    broker.until(|broker| broker.totals().connections == 1).await;
    enter(&broker, &v1("203.0.113.8:1"), "b").await.quiet().await;
}

#[tokio::test]
async fn failed_logins_back_off_by_the_real_address() {
    let broker = strict(|live| live.limits.login_backoff.free_failures = 0).await;
    let ann = User { password: Some("secret".to_owned()), ..User::default() };
    broker.doorman.set_user("ann", ann);
    let login = |password| packets::login(V5, "a", ("ann", password));
    let mut guess = knock(&broker, &v1("203.0.113.7:1"), login("wrong")).await;
    guess.expect(packets::refusal_with_reason(ReasonCode::BadUserNameOrPassword)).await;
    let mut again = knock(&broker, &v1("203.0.113.7:2"), login("secret")).await;
    again.expect(packets::refusal(ReasonCode::ConnectionRateExceeded)).await;
    let mut elsewhere = knock(&broker, &v1("203.0.113.8:1"), login("secret")).await;
    assert_eq!(elsewhere.connack().await.reason_code, ReasonCode::Success);
}

/// Who is not in the list is closed, header or not.
#[tokio::test]
async fn others_may_not_say_who_they_are() {
    let setup = Setup::default().listening("lb", ANY_PORT).behind("10.0.0.0/8");
    let broker = setup.start().await;
    for header in [v1("10.1.2.3:1000"), Vec::new()] {
        open(&broker, &header).await.expect_closed().await;
    }
    let refused = "portcullis_connections_refused_total{limit=\"proxy_protocol.trusted\"}";
    assert_eq!(broker.counted(refused), 2);
    // Other listeners have nothing to do with it: there a header is no CONNECT.
    let mut plain = broker.open(V5).await;
    plain.send_bytes(&v1("10.1.2.3:1000")).await;
    plain.expect_closed().await;
    broker.client(V5, "a").await.quiet().await;
}

#[tokio::test]
async fn without_a_good_header_in_time_nobody_comes_in() {
    let timeout = Duration::from_millis(300);
    let broker = strict(|live| live.limits.sizes.connect_timeout = timeout).await;
    let mut connect = Vec::new();
    Packet::Connect(Box::new(Connect::new(V5, "a"))).encode(V5, &mut connect);
    let datagrams = {
        let mut header = v2(1, "203.0.113.7:1", &[]);
        header[13] = 0x12;
        header
    };
    let malformed = [
        connect,
        b"PROXY TCP4 203.0.113.7 192.0.2.1 99999 1\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        v2(3, "203.0.113.7:1", &[]),
        datagrams,
        // A TLV that is cut off, and a wrong checksum.
        v2(1, "203.0.113.7:1", &[4, 0]),
        v2(1, "203.0.113.7:1", &[3, 0, 4, 1, 2, 3, 4]),
        v2(1, "203.0.113.7:1", &[0; 5_000]),
    ];
    for header in &malformed {
        open(&broker, header).await.expect_closed().await;
    }
    let late = [Vec::new(), b"PROXY TCP4 203".to_vec(), v1("203.0.113.7:1")];
    for header in &late {
        open(&broker, header).await.expect_closed().await;
    }
    let refused = (malformed.len() + late.len()) as u64;
    assert_eq!(broker.counted("portcullis_connect_refused_total"), refused);
    assert_eq!(broker.counted("portcullis_connections_opened_total"), 0);
    broker.until(|broker| broker.totals().connections == 0).await;
}

/// In front of the other transports.
#[tokio::test]
async fn websocket_and_socket_files_behind_a_load_balancer() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mqtt.sock");
    let websocket = Transport::WebSocket {
        bind: ([127, 0, 0, 1], 0).into(),
        path: "/mqtt".to_owned(),
        origins: None,
    };
    let setup = Setup::default().listening("ws", websocket).behind("127.0.0.1/32");
    let unix = Transport::Unix { path: path.clone(), mode: 0o600 };
    let broker = setup.listening("local", unix).behind("127.0.0.1/32").start().await;
    let connect = |name| Packet::Connect(Box::new(Connect::new(V5, name)));

    let mut stream = TcpStream::connect(broker.listener("ws")).await.expect("accepts");
    stream.write_all(&v1("203.0.113.7:1")).await.expect("is read");
    let mut client = WebSocket::open_on(stream).await.into_client(V5, Shape::Whole);
    client.send(connect("ws")).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    assert_eq!(remote(&broker, "ws"), "203.0.113.7:1");

    let mut stream = UnixStream::connect(&path).await.expect("accepts");
    stream.write_all(&v2(1, "203.0.113.8:1", &[])).await.expect("is read");
    let mut client = Client::over(stream, V5);
    client.send(connect("local")).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    assert_eq!(remote(&broker, "local"), "203.0.113.8:1");
}
