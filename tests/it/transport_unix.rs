//! MQTT over a Unix socket: the file, its mode and its end, and what its clients count as.

use std::{
    fs,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixDatagram, UnixListener},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use access::Gate;
use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Broker, Client, Setup};
use server::{BrokerHandle, ListenerConfig, StartError, Transport};
use tokio::net::UnixStream;

use ProtocolVersion::V5;

fn at(path: &Path) -> Transport {
    Transport::Unix { path: path.to_owned(), mode: 0o620 }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mqtt.sock");
    (folder, path)
}

async fn enter(path: &Path, client_id: &str) -> Client {
    let stream = UnixStream::connect(path).await.expect("the listener accepts");
    let mut client = Client::over(stream, V5);
    client.send(Packet::Connect(Box::new(Connect::new(V5, client_id)))).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    client
}

/// Why a broker does not start with this socket file.
async fn refused(path: &Path) -> String {
    let transport = at(path);
    let listener = ListenerConfig::plain("local", transport);
    let live = server::LiveConfig::default();
    let config = server::Config { listeners: vec![listener], live, bans: None };
    let gate = Arc::new(Gate::new(|| Duration::ZERO));
    let started = server::Broker::start(config, gate, telemetry::Metrics::new(), None).await;
    let error: StartError = started.err().expect("does not start");
    let sentence = error.to_string();
    let begins = format!("listener \"local\" cannot be bound to {}: ", path.display());
    sentence.strip_prefix(&begins).expect(&sentence).to_owned()
}

#[tokio::test]
async fn packets_over_a_socket_file() {
    let (_folder, path) = folder();
    let broker = Setup::default().listening("local", at(&path)).start().await;
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o620);
    let mut local = enter(&path, "local").await;
    local.subscribe("t", QoS::AtLeastOnce).await;
    let mut remote = broker.client(V5, "remote").await;
    remote.publish("t", "hello").await;
    local.take("t", "hello").await;
    local.quiet().await;

    let info = broker.broker.client("local").expect("is connected");
    assert_eq!(info.remote.map(|remote| remote.to_string()).as_deref(), Some("127.0.0.1:0"));
    let listeners = broker.broker.listeners();
    let shown =
        (listeners[1].transport, listeners[1].address.to_string(), listeners[1].connections);
    assert_eq!(shown, ("unix", path.display().to_string(), 1));

    let (left, ()) = tokio::join!(broker.broker.shutdown(Duration::from_secs(5)), async {
        local.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        remote.expect_disconnect(ReasonCode::ServerShuttingDown).await;
        drop((local, remote));
    });
    assert_eq!(left, 0);
    assert!(!path.exists(), "the file is still there");
}

/// A broker that was killed leaves its file; the next one takes its place.
#[tokio::test]
async fn a_file_on_which_nobody_listens_is_replaced() {
    let (_folder, path) = folder();
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists());
    let _broker: Broker = Setup::default().listening("local", at(&path)).start().await;
    enter(&path, "a").await.quiet().await;
}

#[tokio::test]
async fn what_is_in_use_is_left_alone() {
    let (folder, path) = folder();
    let broker = Setup::default().listening("local", at(&path)).start().await;
    assert_eq!(refused(&path).await, "another process listens there");
    enter(&path, "a").await.quiet().await;
    broker.broker.shutdown(Duration::from_secs(5)).await;

    fs::write(&path, "precious").expect("a file");
    let no_socket = "something is there that is no socket; it is left alone";
    assert_eq!(refused(&path).await, no_socket);
    assert_eq!(fs::read(&path).expect("still there"), b"precious");
    let other_kind = folder.path().join("datagrams.sock");
    let _bound = UnixDatagram::bind(&other_kind).expect("a socket");
    assert_eq!(refused(&other_kind).await, "another process listens there");
    let nowhere = folder.path().join("none/mqtt.sock");
    assert!(refused(&nowhere).await.starts_with("No such file or directory"));
}

/// A file that somebody else put in the place of ours is not ours to take away.
#[tokio::test]
async fn only_its_own_file_is_taken_away() {
    let (_folder, path) = folder();
    let broker = Setup::default().listening("local", at(&path)).start().await;
    // While the old one is still there, so that the new one is another inode.
    let other = path.with_extension("other");
    fs::write(&other, "somebody else's").expect("a file");
    fs::rename(&other, &path).expect("the same folder");
    broker.broker.shutdown(Duration::from_secs(5)).await;
    assert!(path.exists(), "it was taken away");
}

/// When another listener cannot be bound, no file is left.
#[tokio::test]
async fn a_start_that_fails_leaves_no_file() {
    let (_folder, path) = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let local = ListenerConfig::plain("local", at(&path));
    let tcp = ListenerConfig::tcp("tcp", taken.local_addr().expect("an address"));
    let config = server::Config {
        listeners: vec![local, tcp],
        live: server::LiveConfig::default(),
        bans: None,
    };
    let gate = Arc::new(Gate::new(|| Duration::ZERO));
    assert!(server::Broker::start(config, gate, telemetry::Metrics::new(), None).await.is_err());
    assert!(!path.exists(), "the file is still there");
}

/// Clients of the socket count as loopback: free of limits by address, or all together.
#[tokio::test]
async fn they_count_as_loopback() {
    for exempt in [true, false] {
        let (_folder, path) = folder();
        let setup = Setup::with(|live| {
            live.limits.connection_rate.loopback_exempt = exempt;
            live.limits.connection_rate.connections_per_address = 2;
        });
        let broker = setup.listening("local", at(&path)).start().await;
        let _first = enter(&path, "1").await;
        let _second = broker.client(V5, "2").await;
        let stream = UnixStream::connect(&path).await.expect("the listener accepts");
        let mut third = Client::over(stream, V5);
        if exempt {
            third.send(Packet::Connect(Box::new(Connect::new(V5, "3")))).await;
            assert_eq!(third.connack().await.reason_code, ReasonCode::Success);
        } else {
            third.expect_closed().await;
        }
    }
}
