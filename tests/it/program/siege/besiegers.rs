//! The broker, the good client, and those who lay siege to it. Knows no single attack.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    time::{Duration, Instant},
};

use codec::{Packet, ProtocolVersion::V5, ReasonCode};
use portcullis_tests::{Authority, Client, forgetful, packets};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tokio::{net::TcpSocket, task::JoinSet};
use tokio_rustls::TlsConnector;

use super::super::{
    folder::{ALICE, Folder, guest},
    knock::{enter, login},
    process::Program,
    proof,
    round_trips::{RoundTrips, p99},
};

/// For the good client's 99th percentile.
const NEIGHBOUR_MAX: Duration = Duration::from_millis(250);
/// In the sample, where other tests and compilers share the machine.
const SAMPLE_SLACK: u32 = 10;

const GATE: &str = "[config]\nusers = { alice = \"open sesame\" }\nanswer = \"rules\"\n\
                    [[config.rules]]\nallow = true\nactivity = [\"publish\", \"subscribe\"]\n\
                    filter = \"round-trips\"\n\
                    [[config.rules]]\nallow = true\nactivity = [\"publish\"]\nfilter = \"flood\"\n";

const LISTENERS: &str = "[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n\
                         [[listeners]]\nname = \"ws\"\nbind = \"127.0.0.1:0\"\ntransport = \"ws\"\n\
                         [[listeners]]\nname = \"lb\"\nbind = \"127.0.0.1:0\"\n\
                         [listeners.proxy_protocol]\ntrusted = [\"127.0.0.0/8\"]\n\
                         [[listeners]]\nname = \"tls\"\nbind = \"127.0.0.1:0\"\n\
                         transport = \"tls\"\n[listeners.tls]\n\
                         cert = \"server.pem\"\nkey = \"server.key\"\n";

/// How somebody comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Tcp,
    WebSocket,
    Proxy,
    /// Before the handshake is done.
    Handshake,
    /// Behind it.
    Tls,
}

impl Way {
    fn listener(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::WebSocket => "ws",
            Self::Proxy => "lb",
            Self::Handshake | Self::Tls => "tls",
        }
    }

    /// What is said first there, and is long enough for nobody to see its end at a byte a second.
    fn opening(self) -> &'static [u8] {
        match self {
            Self::Tcp | Self::Tls => {
                b"\x10\xFF\x7F\x00\x04MQTT\x05\x02\x00\x3C\x00\x01\x00aaaaaaaaaaaaaaa"
            }
            Self::WebSocket => b"GET /mqtt HTTP/1.1\r\nHost: broker\r\n",
            Self::Proxy => b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 1883",
            Self::Handshake => b"\x16\x03\x01\x01\x00\x01\x00\x00\xFC\x03\x03abcdefghijklmnopqrst",
        }
    }
}

/// Says one byte of its opening each second until it is closed; how long that took.
pub(super) async fn until_closed(mut client: Client, way: Way) -> Duration {
    let began = Instant::now();
    for byte in way.opening() {
        if !client.try_send_bytes(&[*byte]).await {
            break;
        }
        let second = Duration::from_secs(1);
        // Nothing is answered but with the end.
        if tokio::time::timeout(second, client.next(|packet| panic!("{packet:?}"))).await.is_ok() {
            return began.elapsed();
        }
    }
    began.elapsed()
}

/// A broker under siege, with a good client at work.
pub(super) struct Siege {
    pub(super) program: Program,
    good: RoundTrips,
    connector: TlsConnector,
    _folder: Folder,
}

impl Siege {
    /// With further lines of `[limits]`.
    pub(super) async fn start(limits: &str) -> Self {
        let (folder, connector) = folder(limits);
        let program = Program::start(&folder.config()).await;
        Self::with(program, folder, connector).await
    }

    /// With no more open files than this.
    pub(super) async fn start_with_descriptors(most: u32) -> Self {
        let (folder, connector) = folder("");
        let program = Program::start_with_descriptors(&folder.config(), most).await;
        Self::with(program, folder, connector).await
    }

    async fn with(program: Program, folder: Folder, connector: TlsConnector) -> Self {
        // Thousands of sockets are ours too.
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        setrlimit(Resource::Nofile, raised).expect("the soft limit can be raised to the hard one");
        let good = RoundTrips::start(program.mqtt(), login("good", ALICE)).await;
        Self { program, good, connector, _folder: folder }
    }

    /// What `count` strangers at once make of their connections, each from one of many addresses.
    pub(super) async fn strangers<T: Send + 'static, F>(
        &self,
        count: usize,
        way: Way,
        deed: impl Fn(Client, Way) -> F,
    ) -> Vec<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let address = self.program.listener(way.listener());
        let mut strangers = JoinSet::new();
        for number in 0..count {
            let client = match way {
                Way::Tls => self.behind_a_handshake(source(number), address).await,
                _ => Client::open_from(source(number), address, V5).await,
            };
            strangers.spawn(deed(client, way));
        }
        strangers.join_all().await
    }

    async fn behind_a_handshake(&self, source: Ipv4Addr, address: SocketAddr) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("every address of 127.0.0.0/8 is there");
        let stream = socket.connect(address).await.expect("the listener accepts");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = self.connector.connect(name, stream).await.expect("a handshake");
        Client::over(stream, V5)
    }

    /// The most memory that the program had while something was done.
    pub(super) async fn watched<T>(&self, deed: impl Future<Output = T>) -> (T, u64) {
        let mut deed = pin!(deed);
        let mut look = tokio::time::interval(Duration::from_millis(10));
        let mut most = 0;
        loop {
            tokio::select! {
                done = &mut deed => return (done, most.max(self.program.resident_bytes())),
                _ = look.tick() => most = most.max(self.program.resident_bytes()),
            }
        }
    }

    /// Many connect as often as they can, and go at once.
    pub(super) async fn knock_for(&self, time: Duration) {
        let (address, end) = (self.program.mqtt(), Instant::now() + time);
        let mut knocks = JoinSet::new();
        for number in 0..32 {
            knocks.spawn(async move {
                while Instant::now() < end {
                    let mut client = Client::open_from(source(number), address, V5).await;
                    let name = format!("knock-{number}");
                    let connect = Packet::Connect(Box::new(login(&name, ALICE)));
                    client.try_send_bytes(&packets::encoded(V5, &connect)).await;
                    let code = client.next(|packet| match packet {
                        Packet::ConnAck(connack) => connack.reason_code,
                        other => panic!("{other:?}"),
                    });
                    // Those that wait in the backlog are not waited for beyond the end.
                    let code = tokio::time::timeout_at(end.into(), code).await;
                    if let Ok(Some(code)) = code {
                        assert_eq!(code, ReasonCode::Success);
                    }
                }
            });
        }
        knocks.join_all().await;
    }

    /// Clients that publish messages of so many bytes as fast as they can, until this is dropped.
    pub(super) async fn flood(&self, clients: usize, payload_bytes: usize) -> JoinSet<()> {
        let payload = "x".repeat(payload_bytes);
        let message = packets::encoded(V5, &packets::qos0("flood", &payload));
        let messages = message.repeat((64 << 10) / message.len());
        let mut flood = JoinSet::new();
        for number in 0..clients {
            let connect = login(&format!("flood-{number}"), ALICE);
            let mut client = enter(self.program.mqtt(), connect).await;
            let messages = messages.clone();
            flood.spawn(async move { client.send_without_end(&messages).await });
        }
        flood
    }

    /// The good client has no say.
    pub(super) async fn leave(self) {
        let took = self.good.finish().await;
        println!("{} round trips, at most {:?}", took.len(), took.last());
    }

    /// What the good client noticed: nothing.
    pub(super) async fn end(self) {
        self.program.api().get("/livez").await.expect(200);
        let took = self.good.finish().await;
        let neighbour = p99(&took);
        println!(
            "{} round trips, 99 % within {neighbour:?}, at most {:?}",
            took.len(),
            took.last()
        );
        let bound = if proof() { NEIGHBOUR_MAX } else { NEIGHBOUR_MAX * SAMPLE_SLACK };
        assert!(neighbour < bound, "99 % of round trips in {neighbour:?}");
    }
}

fn folder(limits: &str) -> (Folder, TlsConnector) {
    let folder = Folder::new();
    let authority = Authority::root("root");
    let server = authority.server();
    folder.write("server.pem", &server.chain);
    folder.write("server.key", &server.key);
    folder.install_with("gate", &guest("good"), GATE);
    // One client identifier that comes back often is not what is looked at.
    let flapping = "[limits.flapping]\nconnects = 100\nwindow = 1\nban = 1\n";
    folder.configure(&format!("{LISTENERS}[limits]\n{limits}{flapping}"));
    (folder, forgetful(&authority, None))
}

/// One of many addresses of this machine.
fn source(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number / 4).expect("not that many").to_be_bytes();
    Ipv4Addr::new(127, 2, high, low)
}

/// A counter of the program, summed over its labels.
pub(super) async fn counted(program: &Program, line_start: &str) -> f64 {
    let metrics = program.api().get("/metrics").await.expect(200).body;
    let values = metrics.lines().filter(|line| line.starts_with(line_start));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
