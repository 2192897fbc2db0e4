//! The program's listeners beside plain TCP: from the configuration file to a client, and to what is left at the end.

use codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{
    Client, packets,
    websocket::{Shape, WebSocket},
};
use rustix::process::Signal;
use tokio::net::{TcpStream, UnixStream};

use super::{
    folder::{ALICE, Folder},
    process::{Program, portcullis, run},
};

use ProtocolVersion::V5;

const LISTENERS: &str = r#"
[[listeners]]
name = "local"
bind = "local.sock"
transport = "unix"
mode = "0600"

[[listeners]]
name = "ws"
bind = "127.0.0.1:0"
transport = "ws"
path = "/devices"

[[listeners]]
name = "lb"
bind = "127.0.0.1:0"
[listeners.proxy_protocol]
trusted = ["127.0.0.0/8"]
"#;

async fn enter(mut client: Client, client_id: &str) -> Client {
    client.name = client_id.to_owned();
    client.send(Packet::Connect(Box::new(packets::login(V5, client_id, ALICE)))).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    client
}

async fn remote(broker: &Program, client_id: &str) -> String {
    let client = broker.api().get(&format!("/api/v1/clients/{client_id}")).await.expect(200).json();
    client["remote"].as_str().expect("an address").to_owned()
}

#[tokio::test]
async fn each_transport_from_its_configuration() {
    let folder = Folder::bundled();
    folder.configure_more(LISTENERS);
    let path = folder.path("local.sock");
    let broker = Program::start(&folder.config()).await;

    let stream = UnixStream::connect(&path).await.expect("the socket file accepts");
    let mut local = enter(Client::over(stream, V5), "local").await;
    assert_eq!(remote(&broker, "local").await, "127.0.0.1:0");
    let request = portcullis_tests::websocket::REQUEST.join("\r\n").replace("/mqtt", "/devices");
    let request = format!("{request}\r\n\r\n");
    let (socket, head) = WebSocket::ask(broker.listener("ws"), &request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut websocket = enter(socket.into_client(V5, Shape::Whole), "websocket").await;
    let stream = TcpStream::connect(broker.listener("lb")).await.expect("accepts");
    let mut behind = Client::over(stream, V5);
    behind.send_bytes(b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 1883\r\n").await;
    let mut behind = enter(behind, "behind").await;
    assert_eq!(remote(&broker, "behind").await, "203.0.113.7:1000");

    local.subscribe("free/t", QoS::AtLeastOnce).await;
    for client in [&mut websocket, &mut behind] {
        let name = client.name.clone();
        assert_eq!(client.publish("free/t", &name).await, ReasonCode::Success);
        local.take("free/t", &name).await;
    }
    let listeners = broker.api().get("/api/v1/listeners").await.expect(200).json();
    let shown: Vec<_> = listeners["listeners"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|l| (l["name"].as_str(), l["transport"].as_str(), l["connections"].as_u64()))
        .collect();
    let expect = [("mqtt", "tcp", 0), ("local", "unix", 1), ("ws", "ws", 1), ("lb", "tcp", 1)];
    assert_eq!(shown, expect.map(|(n, t, c)| (Some(n), Some(t), Some(c))));
    assert_eq!(listeners["listeners"][1]["address"], path.display().to_string());

    let status = broker.stop().await;
    assert!(status.success() && !path.exists(), "{status}, {path:?}");
}

/// A broker that was killed leaves its file, and the next one starts all the same.
#[tokio::test]
async fn a_socket_file_outlives_no_two_brokers() {
    let folder = Folder::bundled();
    folder.configure_more(LISTENERS);
    let path = folder.path("local.sock");
    let mut broker = Program::start(&folder.config()).await;
    broker.signal(Signal::KILL);
    broker.ended().await;
    assert!(path.exists());
    let broker = Program::start(&folder.config()).await;
    let stream = UnixStream::connect(&path).await.expect("the socket file accepts");
    enter(Client::over(stream, V5), "a").await.quiet().await;
    broker.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn check_names_what_is_wrong_with_a_listener() {
    let folder = Folder::bundled();
    folder.configure_more(
        "[[listeners]]\nname = \"ws\"\nbind = \"local.sock\"\ntransport = \"ws\"\n",
    );
    let mut check = portcullis(&["check", "--config"]);
    check.arg(folder.config());
    let ended = run(check, b"").await.expect_code(1);
    let expect = "listeners.bind: \"local.sock\": is not an address, allowed: IP:PORT";
    assert!(ended.stderr.contains(expect), "{}", ended.stderr);
    assert!(ended.stderr.contains("portcullis.toml:"), "{}", ended.stderr);
}
