//! MQTT over TLS: who gets in with which certificate, what plugins see of it, and what a reload changes.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use access::{
    Authenticator, BoxFuture, Chain, Connection, Control, Credentials, Grant, Hooks, Link,
    LinkState, OnError, Outcome, PluginFailure,
};
use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{
    Authority, Broker, Client, Files, Holder, Setup, Until, Wish, connector, forgetful, handshake,
};
use rustls::HandshakeKind;
use server::{
    BrokerHandle, CertificateFiles, ClientAuth, IdentityFrom, TlsConfig, TlsVersion, Transport,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use ProtocolVersion::{V5, V311};

use crate::program::proof;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn websocket() -> Transport {
    Transport::WebSocket { bind: ANY, path: "/mqtt".to_owned(), origins: None }
}

async fn start(tls: TlsConfig) -> Broker {
    let setup = Setup::default().listening("tls", Transport::Tcp { bind: ANY });
    setup.encrypted(tls).start().await
}

/// Connects and says CONNECT; `None` = there was no CONNACK.
async fn try_enter(
    broker: &Broker,
    connector: &TlsConnector,
    client_id: &str,
) -> Option<(Client, HandshakeKind)> {
    let mut stream = handshake(connector, broker.listener("tls")).await.ok()?;
    let mut bytes = Vec::new();
    let connect = Packet::Connect(Box::new(Connect::new(V5, client_id)));
    connect.encode(V5, &mut bytes);
    stream.write_all(&bytes).await.ok()?;
    // The alert about a certificate comes only now in TLS 1.3.
    let mut first = [0];
    let read = tokio::time::timeout(portcullis_tests::WAIT, stream.read(&mut first)).await;
    if read.expect("an answer or an end").ok()? == 0 {
        return None;
    }
    let kind = stream.get_ref().1.handshake_kind().expect("a handshake");
    let wire = Preceded { first: Some(first[0]), stream };
    let mut client = Client::over(wire, V5);
    client.name = client_id.to_owned();
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    Some((client, kind))
}

async fn enter(broker: &Broker, connector: &TlsConnector, client_id: &str) -> Client {
    try_enter(broker, connector, client_id).await.expect("is let in").0
}

/// A stream of which one byte was read.
struct Preceded {
    first: Option<u8>,
    stream: tokio_rustls::client::TlsStream<TcpStream>,
}

impl tokio::io::AsyncRead for Preceded {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        if let Some(first) = self.first.take() {
            buffer.put_slice(&[first]);
            return std::task::Poll::Ready(Ok(()));
        }
        std::pin::Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl tokio::io::AsyncWrite for Preceded {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn packets_over_tls() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let broker = start(files.config()).await;
    let mut config = portcullis_tests::client_config(&root, None);
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let mut client = enter(&broker, &connector, "a").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    assert_eq!(client.publish("t", "hello").await, ReasonCode::Success);
    client.take("t", "hello").await;
    // Larger than a record, and than what TLS keeps for a socket that is full.
    let large = "x".repeat(900_000);
    assert_eq!(client.publish("t", &large).await, ReasonCode::Success);
    client.take("t", &large).await;
    let stream = handshake(&connector, broker.listener("tls")).await.expect("a handshake");
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"mqtt"[..]));
    let group = session.negotiated_key_exchange_group().expect("a group").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let listeners = broker.broker.listeners();
    assert_eq!(listeners[1].transport, "tls");
}

#[tokio::test]
async fn another_protocol_and_an_old_version_are_refused() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let tls = TlsConfig { min_version: TlsVersion::V1_3, ..files.config() };
    let broker = start(tls).await;
    let mut config = portcullis_tests::client_config(&root, None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let refused = handshake(&TlsConnector::from(Arc::new(config)), broker.listener("tls")).await;
    let refused = refused.expect_err("no such protocol").to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("a version")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let refused = handshake(&TlsConnector::from(Arc::new(old)), broker.listener("tls")).await;
    assert!(refused.expect_err("too old").to_string().contains("ProtocolVersion"));
    broker
        .until(|_| broker.counted("portcullis_tls_handshakes_total{result=\"protocol\"}") == 2)
        .await;
}

#[tokio::test]
async fn each_server_name_has_its_certificate() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let wish = Wish { names: &["*.plant.example"], serial: 77, ..Wish::default() };
    let other = root.certify(&wish);
    let mut tls = files.config();
    tls.certificates.push(CertificateFiles {
        cert: files.write("other.pem", &other.chain),
        key: files.write("other.key", &other.key),
    });
    let broker = start(tls).await;
    let connector = forgetful(&root, None);
    for (name, good) in
        [("localhost", true), ("a.plant.example", true), ("b.a.plant.example", false)]
    {
        let stream = TcpStream::connect(broker.listener("tls")).await.expect("accepts");
        let name = rustls::pki_types::ServerName::try_from(name).expect("a name");
        assert_eq!(connector.connect(name, stream).await.is_ok(), good);
    }
}

/// What an authenticator was told of TLS.
#[derive(Default)]
struct Witness {
    seen: Mutex<Vec<Connection>>,
}

impl Authenticator for Witness {
    fn authenticate<'a>(
        &'a self,
        connection: &'a Connection,
        _: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        self.seen.lock().expect("no panic").push(connection.clone());
        let principal = connection.username.clone().or_else(|| Some("nobody".to_owned()));
        Box::pin(async move { Ok(Outcome::Allow(Grant { principal, ..Grant::default() })) })
    }
}

fn chain(witness: &Arc<Witness>) -> Chain {
    let link = Link {
        name: "witness".into(),
        generation: "1".into(),
        control: Control::Sufficient,
        on_error: OnError::Deny,
        state: LinkState::Live(Box::new(Hooks {
            authenticator: Some(Arc::clone(witness) as _),
            ..Hooks::default()
        })),
    };
    Chain { links: vec![link] }
}

#[tokio::test]
async fn plugins_see_the_whole_certificate_and_the_name_it_gives() {
    let root = Authority::root("root");
    let between = root.below("between", 5);
    let files = Files::new(&root.server(), root.pem());
    let tls = TlsConfig { identity: IdentityFrom::CommonName, ..files.mutual() };
    let broker = start(tls).await;
    let witness = Arc::new(Witness::default());
    broker.swap_to(chain(&witness));
    let wish = Wish {
        common_names: &["thermostat-7"],
        names: &["t7.plant.example"],
        serial: 0xAB_CDEF,
        ..Wish::default()
    };
    let holder = between.certify(&wish);
    let mut stream = handshake(&connector(&root, Some(&holder)), broker.listener("tls"))
        .await
        .expect("a handshake");
    // It says that it is somebody else.
    let mut connect = Connect::new(V5, "c");
    connect.username = Some("admin".to_owned());
    let mut bytes = Vec::new();
    Packet::Connect(Box::new(connect)).encode(V5, &mut bytes);
    stream.write_all(&bytes).await.expect("written");
    let mut client = Client::over(stream, V5);
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);

    let seen = witness.seen.lock().expect("no panic")[0].clone();
    assert_eq!(seen.username.as_deref(), Some("thermostat-7"));
    let identity = ("certificate-identity".to_owned(), "thermostat-7".to_owned());
    assert_eq!(seen.attributes, [identity]);
    let tls = seen.tls.expect("TLS");
    assert_eq!((tls.version, tls.server_name.as_deref()), ("1.3", Some("localhost")));
    let certificate = tls.certificate.expect("a certificate");
    assert_eq!(certificate.subject, "CN=thermostat-7");
    assert_eq!(certificate.issuer, "CN=between");
    assert_eq!(certificate.serial, "abcdef");
    assert_eq!(certificate.common_name.as_deref(), Some("thermostat-7"));
    assert_eq!(certificate.dns_names, ["t7.plant.example"]);
    assert_eq!(certificate.not_after_unix, 2_493_072_000);
    assert_eq!(certificate.der_chain.len(), 2);
    let shown = broker.broker.client("c").expect("is there");
    assert_eq!(&*shown.principal, "thermostat-7");
}

#[tokio::test]
async fn names_that_could_stand_for_others_are_no_identity() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let broker = start(TlsConfig { identity: IdentityFrom::CommonName, ..files.mutual() }).await;
    let refused: [&[&str]; 8] =
        [&["a/b"], &["+"], &["#"], &["*.example"], &["a\0b"], &["a\nb"], &[], &["a", "b"]];
    for (serial, names) in (10..).zip(refused) {
        let holder = root.certify(&Wish { common_names: names, serial, ..Wish::default() });
        let entered = try_enter(&broker, &connector(&root, Some(&holder)), "c").await;
        assert!(entered.is_none(), "{names:?}");
    }
    enter(&broker, &connector(&root, Some(&root.client("a", 9))), "c").await.quiet().await;
}

#[tokio::test]
async fn a_certificate_is_required_optional_or_not_asked_for() {
    let root = Authority::root("root");
    let stranger = Authority::root("stranger");
    let files = Files::new(&root.server(), root.pem());
    let over = Wish { common_names: &["over"], serial: 4, is_over: true, ..Wish::default() };
    let cases = [
        ("nobody", None),
        ("good", Some(root.client("good", 2))),
        ("strange", Some(stranger.client("strange", 3))),
        ("over", Some(root.certify(&over))),
    ];
    for (client_auth, expect) in [
        (ClientAuth::Required, [false, true, false, false]),
        (ClientAuth::Optional, [true, true, false, false]),
        (ClientAuth::None, [true, true, true, true]),
    ] {
        let broker = start(TlsConfig { client_auth, ..files.mutual() }).await;
        for ((name, holder), expect) in cases.iter().zip(expect) {
            let connector = connector(&root, holder.as_ref());
            let entered = try_enter(&broker, &connector, name).await.is_some();
            assert_eq!(entered, expect, "{name} with {client_auth:?}");
        }
    }
}

/// A browser's way in is no way around.
#[tokio::test]
async fn a_certificate_is_required_over_websocket_too() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let setup = Setup::default().listening("wss", websocket()).encrypted(files.mutual());
    let broker = setup.start().await;
    assert_eq!(broker.broker.listeners()[1].transport, "wss");
    let request = portcullis_tests::websocket::REQUEST.join("\r\n") + "\r\n\r\n";
    for (holder, expect) in [(None, false), (Some(root.client("a", 2)), true)] {
        let stream = handshake(&connector(&root, holder.as_ref()), broker.listener("wss")).await;
        let mut head = [0; 12];
        let answered = match stream {
            Err(_) => false,
            Ok(mut stream) => {
                stream.write_all(request.as_bytes()).await.is_ok()
                    && stream.read_exact(&mut head).await.is_ok()
            }
        };
        assert_eq!(answered, expect);
        assert!(!expect || head.starts_with(b"HTTP/1.1 101"), "{head:?}");
    }
}

#[tokio::test]
async fn sessions_are_resumed_until_something_changes() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    files.write("list.pem", root.list([], Until::Later));
    let broker = start(files.listed("list.pem")).await;
    let connector = connector(&root, Some(&root.client("a", 7)));
    let again = async |expect: HandshakeKind| {
        let (mut client, kind) = try_enter(&broker, &connector, "a").await.expect("is let in");
        client.quiet().await;
        assert_eq!(kind, expect);
    };
    again(HandshakeKind::Full).await;
    again(HandshakeKind::Resumed).await;
    // Nothing changed: tickets stay good.
    assert_eq!(broker.broker.reload_tls(&[]).await, []);
    again(HandshakeKind::Resumed).await;
    files.write("list.pem", root.list([1000], Until::Later));
    assert_eq!(broker.broker.reload_tls(&[]).await, []);
    again(HandshakeKind::Full).await;
    again(HandshakeKind::Resumed).await;
    files.write("list.pem", root.list([7], Until::Later));
    assert_eq!(broker.broker.reload_tls(&[]).await, []);
    assert!(try_enter(&broker, &connector, "a").await.is_none());
    let revoked = "portcullis_tls_handshakes_total{result=\"revoked\"}";
    broker.until(|_| broker.counted(revoked) == 1).await;
}

/// The file is replaced, and nobody tells the broker.
#[tokio::test]
async fn whoever_is_revoked_goes_within_five_seconds_and_nobody_else() {
    let root = Authority::root("root");
    let between = root.below("between", 5);
    let files = Files::new(&root.server(), &format!("{}{}", root.pem(), between.pem()));
    let lists = |revoked: &[u64], authorities: &[u64]| {
        let (leaves, above) = (revoked.to_vec(), authorities.to_vec());
        between.list(leaves, Until::Later) + &root.list(above, Until::Later)
    };
    files.write("lists.pem", lists(&[], &[]));
    let mut setup = Setup::default();
    setup.live.limits.connection_rate.connections = 10_000;
    let setup = setup.listening("tls", Transport::Tcp { bind: ANY });
    let broker = setup.encrypted(files.listed("lists.pem")).start().await;
    let count = if proof() { 2_000 } else { 60 };
    let revoked = 100 + count / 2;
    let mut clients = Vec::new();
    for serial in 100..100 + count {
        let issuer = if serial % 2 == 0 { &between } else { &root };
        let holder = issuer.client(&format!("c{serial}"), serial);
        let connector = connector(&root, Some(&holder));
        clients.push((serial, enter(&broker, &connector, &format!("c{serial}")).await));
    }
    let revoked = revoked + revoked % 2;
    files.write("lists.pem", lists(&[revoked], &[]));
    let began = Instant::now();
    let at = clients.iter().position(|(serial, _)| *serial == revoked).expect("is there");
    let (_, mut gone) = clients.swap_remove(at);
    gone.expect_disconnect(ReasonCode::NotAuthorized).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    for (_, client) in &mut clients {
        client.quiet().await;
    }
    // With the authority between go all that it signed, and only they.
    files.write("lists.pem", lists(&[revoked], &[5]));
    for (serial, client) in &mut clients {
        match *serial % 2 {
            0 => client.expect_disconnect(ReasonCode::NotAuthorized).await,
            _ => client.quiet().await,
        }
    }
}

#[tokio::test]
async fn an_authority_that_is_taken_away_takes_its_clients_with_it() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let files = Files::new(&root.server(), &format!("{}{}", root.pem(), other.pem()));
    let broker = start(files.mutual()).await;
    let mut stays = enter(&broker, &connector(&root, Some(&root.client("a", 2))), "a").await;
    let mut goes = enter(&broker, &connector(&root, Some(&other.client("b", 3))), "b").await;
    files.write("client-ca.pem", root.pem());
    goes.expect_disconnect(ReasonCode::NotAuthorized).await;
    stays.quiet().await;
}

/// Each bad file keeps what was good, is told in a gauge, and drops nobody.
#[tokio::test]
async fn a_bad_file_keeps_the_old_one() {
    let root = Authority::root("root");
    let server = root.server();
    let files = Files::new(&server, root.pem());
    files.write("list.pem", root.list([], Until::Later));
    let broker = start(files.listed("list.pem")).await;
    let connector = connector(&root, Some(&root.client("a", 2)));
    let mut client = enter(&broker, &connector, "stays").await;
    let over = Wish {
        common_names: &["b"],
        names: &["localhost"],
        is_over: true,
        serial: 8,
        ..Wish::default()
    };
    let over = root.certify(&over);
    let other_key = root.server().key;
    let der = root.list_der([], Until::Later);
    let stranger = Authority::root("root").list([], Until::Later);
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("server.key", other_key.into_bytes(), "key"),
        ("server.key", b"-----BEGIN PRIVATE KEY-----\nAA\n".to_vec(), "key"),
        ("server.pem", b"nothing".to_vec(), "cert"),
        ("server.pem", over.chain.clone().into_bytes(), "key"),
        (
            "client-ca.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            "client_ca",
        ),
        ("list.pem", der[..der.len() - 1].to_vec(), "crl"),
        ("list.pem", stranger.into_bytes(), "crl"),
        ("list.pem", b"".to_vec(), "crl"),
    ];
    for (file, bad, what) in cases {
        let good = std::fs::read(files.path(file)).expect("a file");
        files.write(file, &bad);
        let faults = broker.broker.reload_tls(&[]).await;
        assert_eq!(faults.first().map(|(_, fault)| fault.what), Some(what), "{file}: {faults:?}");
        let status = broker.broker.tls().remove(0);
        assert_eq!(status.failed.first().map(|(what, _)| *what), Some(what));
        client.quiet().await;
        enter(&broker, &connector, "new").await.quiet().await;
        files.write(file, good);
        assert_eq!(broker.broker.reload_tls(&[]).await, []);
        assert_eq!(broker.broker.tls().remove(0).failed, []);
    }
    // A pair that fits and is over is not better than one that is in force.
    files.write("server.pem", &over.chain);
    files.write("server.key", &over.key);
    let faults = broker.broker.reload_tls(&[]).await;
    assert!(faults[0].1.sentence.contains("expired"), "{faults:?}");
    enter(&broker, &connector, "new").await.quiet().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_without_dropping_anybody() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let files = Files::new(&root.server(), root.pem());
    let broker = start(files.config()).await;
    let mut client = enter(&broker, &connector(&root, None), "a").await;
    let new = other.server();
    files.write("server.key", &new.key);
    files.write("server.pem", &new.chain);
    // Noticed by itself.
    let shown = async || handshake(&forgetful(&other, None), broker.listener("tls")).await.is_ok();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !shown().await {
        assert!(Instant::now() < deadline, "the new certificate is not served");
    }
    client.quiet().await;
}

#[tokio::test]
async fn a_key_that_others_can_read_is_no_start() {
    use std::os::unix::fs::PermissionsExt;
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(files.path("server.key"), mode).expect("a mode");
    let faults = server::check_tls(&files.config());
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    let sentence = fault.to_string();
    assert!(sentence.starts_with("tls.key: ") && sentence.contains("mode 0644"), "{sentence}");
    assert!(sentence.contains("chmod 640"), "{sentence}");
}

/// What no client says: the broker lives, and serves the next one.
#[tokio::test]
async fn garbage_instead_of_a_client_hello() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let broker = start(files.config()).await;
    let address = broker.listener("tls");
    let hello = client_hello(&root).await;
    let mut corpus: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; 70_000],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00".to_vec(),
        b"\x16\x03\x01\xff\xff".to_vec(),
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff".to_vec(),
        b"\x15\x03\x03\x00\x02\x02\x28".to_vec(),
        [hello.clone(), vec![0xFF; 300]].concat(),
    ];
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..150 {
        let mut broken = hello.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..broken.len());
            broken[at] = random.u8(..);
        }
        broken.truncate(random.usize(1..=broken.len()));
        corpus.push(broken);
    }
    for bytes in corpus {
        let mut stream = TcpStream::connect(address).await.expect("accepts");
        // Refused early, the rest is not taken.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(portcullis_tests::WAIT, read).await.expect("an end");
    }
    enter(&broker, &connector(&root, None), "a").await.quiet().await;
}

/// A ClientHello that comes byte by byte is one.
#[tokio::test]
async fn a_client_hello_in_pieces() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let broker = start(files.config()).await;
    let hello = client_hello(&root).await;
    let mut stream = TcpStream::connect(broker.listener("tls")).await.expect("accepts");
    stream.set_nodelay(true).expect("no delay");
    for byte in hello {
        stream.write_all(&[byte]).await.expect("is read");
        tokio::task::yield_now().await;
    }
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.expect("a ServerHello");
    assert_eq!(head[0], 0x16);
}

/// The first flight of a client of ours.
async fn client_hello(root: &Authority) -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind(ANY).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let connector = forgetful(root, None);
    let client = tokio::spawn(async move { handshake(&connector, address).await.is_ok() });
    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.expect("a record");
    let mut hello = head.to_vec();
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut body).await.expect("a record");
    hello.extend_from_slice(&body);
    drop(stream);
    client.abort();
    hello
}

/// Who opens connections and says little pushes out his own; a good client does not wait for him.
#[tokio::test]
async fn half_open_handshakes_hold_up_nobody() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let (half_open, good) = if proof() { (3_000, 200) } else { (300, 40) };
    let mut setup = Setup::default();
    let limits = &mut setup.live.limits;
    limits.connection_rate.connections = 10_000;
    limits.handshake.in_flight = 16;
    limits.handshake.waiting = half_open / 3;
    limits.handshake.timeout = Duration::from_secs(30);
    let setup = setup.listening("tls", Transport::Tcp { bind: ANY }).encrypted(files.config());
    let broker = setup.start().await;
    let address = broker.listener("tls");
    let hello = client_hello(&root).await;
    let mut open = Vec::new();
    for number in 0..half_open {
        let mut stream = TcpStream::connect(address).await.expect("accepts");
        // Half say nothing more than a piece, half let the broker answer and then say nothing.
        let piece = if number % 2 == 0 { &hello[..hello.len() / 2] } else { &hello[..] };
        stream.write_all(piece).await.expect("is taken");
        open.push(stream);
    }
    let connector = forgetful(&root, None);
    let mut times = Vec::new();
    for number in 0..good {
        let began = Instant::now();
        let mut client = enter(&broker, &connector, &format!("c{number}")).await;
        times.push(began.elapsed());
        client.quiet().await;
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    eprintln!("{half_open} half-open handshakes: p50 {:?}, p99 {p99:?}", times[times.len() / 2]);
    assert!(p99 < Duration::from_secs(2), "{p99:?}");
    let pushed_out = "portcullis_tls_handshakes_total{result=\"pushed_out\"}";
    broker.until(|_| broker.counted(pushed_out) >= half_open as u64 / 2).await;
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let mut setup = Setup::default();
    setup.live.limits.handshake.timeout = Duration::from_millis(150);
    let setup = setup.listening("tls", Transport::Tcp { bind: ANY }).encrypted(files.config());
    let broker = setup.start().await;
    let mut stream = TcpStream::connect(broker.listener("tls")).await.expect("accepts");
    stream.write_all(b"\x16\x03\x01").await.expect("is taken");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(portcullis_tests::WAIT, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "still open");
    broker
        .until(|_| broker.counted("portcullis_tls_handshakes_total{result=\"timeout\"}") == 1)
        .await;
}

/// A list costs the same whatever is in it: its signature is not checked again, nor is it searched from its beginning.
#[tokio::test]
async fn a_long_list_costs_a_handshake_nothing() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let (entries, rounds, most) = if proof() { (1_000_000, 400, 1.2) } else { (100_000, 60, 2.0) };
    files.write("short.crl", root.list_der(1_000..1_010, Until::Later));
    files.write("long.crl", root.list_der(1_000..1_000 + entries, Until::Later));
    let any = Transport::Tcp { bind: ANY };
    let setup = Setup::default().listening("short", any.clone());
    let setup = setup.encrypted(files.listed("short.crl")).listening("long", any);
    let broker = setup.encrypted(files.listed("long.crl")).start().await;
    let holders: Vec<Holder> = (0..rounds).map(|n| root.client("a", 100 + n)).collect();
    let time = async |listener: &str, holder: &Holder| {
        let connector = forgetful(&root, Some(holder));
        let began = Instant::now();
        let mut stream = handshake(&connector, broker.listener(listener)).await.expect("good");
        let mut bytes = Vec::new();
        Packet::Connect(Box::new(Connect::new(V311, "a"))).encode(V311, &mut bytes);
        stream.write_all(&bytes).await.expect("is taken");
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await.expect("CONNACK");
        began.elapsed()
    };
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for holder in &holders {
        short.push(time("short", holder).await);
        long.push(time("long", holder).await);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (short, long) = (median(&mut short), median(&mut long));
    let ratio = long.as_secs_f64() / short.as_secs_f64();
    eprintln!("median handshake: 10 entries {short:?}, {entries} entries {long:?}: {ratio:.2}");
    assert!(ratio <= most, "{short:?} with 10 entries, {long:?} with {entries}");
}
