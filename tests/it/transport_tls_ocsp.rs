//! What authorities say when asked: about clients and about ourselves (OCSP, with OpenSSL as the responder), and lists at a URL.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis_tests::{Authority, Broker, Files, Holder, Until, Wish, connector, handshake};
use server::{BrokerHandle, CrlSource, OcspPolicy, TlsConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::transport_tls_openssl::{contains, s_client, start};

/// How the responder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Answers,
    /// With an error of HTTP.
    Fails,
    /// With bytes that are no answer.
    Babbles,
    Hangs,
}

/// OpenSSL behind a front that speaks HTTP: by itself it would listen on every interface.
struct Responder {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    asked: Arc<AtomicU64>,
    /// For how long an answer counts; 0 = an hour.
    seconds: Arc<AtomicU64>,
    files: Arc<Files>,
}

impl Responder {
    async fn start(root: &Authority) -> Self {
        let files = Files::new(&root.server(), root.pem());
        files.write("ca.key", root.key());
        files.write("index.txt", "");
        let files = Arc::new(files);
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(bind).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (mood, asked) = (watch::Sender::new(Mood::Answers), Arc::new(AtomicU64::new(0)));
        let (moods, count, folder) = (mood.subscribe(), Arc::clone(&asked), Arc::clone(&files));
        let seconds = Arc::new(AtomicU64::new(0));
        let until = Arc::clone(&seconds);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::AcqRel);
                let (folder, until) = (Arc::clone(&folder), until.load(Ordering::Acquire));
                tokio::spawn(answer(stream, *moods.borrow(), (folder, number, until)));
            }
        });
        Self { address, mood, asked, seconds, files }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on its answers are over after so many seconds.
    fn until(&self, seconds: u64) {
        self.seconds.store(seconds, Ordering::Release);
    }

    /// What OpenSSL knows: (serial number, revoked).
    fn knows(&self, certificates: &[(u64, bool)]) {
        let line = |(serial, revoked): &(u64, bool)| {
            let digits = format!("{serial:X}");
            let zero = if digits.len() % 2 == 0 { "" } else { "0" };
            let (state, since) = if *revoked { ("R", "200101000000Z") } else { ("V", "") };
            format!("{state}\t490101000000Z\t{since}\t{zero}{digits}\tunknown\t/CN={serial}\n")
        };
        let lines: String = certificates.iter().map(line).collect();
        self.files.write("index.txt", lines);
    }
}

async fn answer(
    mut stream: TcpStream,
    mood: Mood,
    (files, number, seconds): (Arc<Files>, u64, u64),
) {
    let mut request = Vec::new();
    let body = loop {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
        let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..at]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
        if request.len() >= at + 4 + length {
            break request[at + 4..].to_vec();
        }
    };
    let (status, body) = match mood {
        Mood::Answers => ("200 OK", responded(&files, (number, seconds), &body).await),
        Mood::Fails => ("503 Service Unavailable", Vec::new()),
        Mood::Babbles => ("200 OK", b"hello".to_vec()),
        Mood::Hangs => {
            // Until the broker has had enough.
            let _ = stream.read(&mut [0]).await;
            return;
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

async fn responded(files: &Files, (number, seconds): (u64, u64), question: &[u8]) -> Vec<u8> {
    let (request, response) = (format!("{number}.req"), format!("{number}.resp"));
    files.write(&request, question);
    let mut command = Command::new(if seconds == 0 { "openssl" } else { "python3" });
    command.current_dir(files.folder()).stdout(Stdio::null()).stderr(Stdio::null());
    if seconds == 0 {
        command.args(["ocsp", "-index", "index.txt", "-CA", "client-ca.pem", "-nmin", "60"]);
        command.args(["-rsigner", "client-ca.pem", "-rkey", "ca.key"]);
        command.args(["-reqin", &request, "-respout", &response]);
    } else {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/servers/ocsp_answer.py");
        command.args([script, ".", &request, &response, &seconds.to_string()]);
    }
    let status = tokio::task::spawn_blocking(move || command.status()).await.expect("no panic");
    let status = status.expect("openssl and python3 run; install them with tests/setup");
    assert!(status.success(), "{seconds}: is python3-cryptography there? tests/setup installs it");
    std::fs::read(files.path(&response)).expect("an answer")
}

/// A client that got in, with its stream.
async fn stay(
    broker: &Broker,
    (root, holder): (&Authority, &Holder),
    client_id: &str,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let stream = handshake(&connector(root, Some(holder)), broker.listener("tls")).await;
    let mut stream = stream.expect("a handshake");
    let connect = codec::Connect::new(codec::ProtocolVersion::V311, client_id);
    let mut bytes = Vec::new();
    codec::Packet::Connect(Box::new(connect)).encode(codec::ProtocolVersion::V311, &mut bytes);
    stream.write_all(&bytes).await.expect("CONNECT");
    stream.read_exact(&mut [0; 4]).await.expect("CONNACK");
    stream
}

/// Whether a client gets in.
async fn enters(broker: &Broker, root: &Authority, holder: &Holder) -> bool {
    let stream = handshake(&connector(root, Some(holder)), broker.listener("tls")).await;
    let Ok(mut stream) = stream else { return false };
    let connect = codec::Connect::new(codec::ProtocolVersion::V311, "c");
    let mut bytes = Vec::new();
    codec::Packet::Connect(Box::new(connect)).encode(codec::ProtocolVersion::V311, &mut bytes);
    let mut connack = [0; 4];
    stream.write_all(&bytes).await.is_ok() && stream.read_exact(&mut connack).await.is_ok()
}

#[tokio::test]
async fn the_authority_is_asked_about_clients() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let responder = Responder::start(&root).await;
    responder.knows(&[(0x10, false), (0x11, true), (0x12, false)]);
    for (policy, unknown) in [(OcspPolicy::Hard, false), (OcspPolicy::Soft, true)] {
        let tls = TlsConfig { ocsp: policy, ocsp_url: Some(responder.url()), ..files.mutual() };
        let broker = start(tls).await;
        for (serial, expect) in [(0x10, true), (0x11, false), (0x99, unknown)] {
            responder.mood.send_replace(Mood::Answers);
            let holder = root.client("a", serial);
            assert_eq!(enters(&broker, &root, &holder).await, expect, "{serial:x} {policy:?}");
        }
        for (serial, mood) in (0x20..).zip([Mood::Fails, Mood::Babbles, Mood::Hangs]) {
            responder.mood.send_replace(mood);
            let holder = root.client("a", serial);
            assert_eq!(enters(&broker, &root, &holder).await, unknown, "{mood:?} {policy:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_kept_until_it_is_over() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let responder = Responder::start(&root).await;
    responder.knows(&[(0x10, false)]);
    let ocsp_url = Some(responder.url());
    let tls = TlsConfig { ocsp: OcspPolicy::Hard, ocsp_url, ..files.mutual() };
    let broker = start(tls).await;
    let holder = root.client("a", 0x10);
    for _ in 0..3 {
        assert!(enters(&broker, &root, &holder).await);
    }
    assert_eq!(responder.asked.load(Ordering::Acquire), 1);
}

/// Whoever its authority revokes while it is connected goes, when the answer before is over; nobody else
/// does.
#[tokio::test]
async fn who_is_revoked_while_it_is_connected_goes() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let responder = Responder::start(&root).await;
    responder.until(2);
    responder.knows(&[(0x10, false), (0x11, false)]);
    let ocsp_url = Some(responder.url());
    let tls = TlsConfig { ocsp: OcspPolicy::Hard, ocsp_url, ..files.mutual() };
    let broker = start(tls).await;
    let [stays, goes] = [0x10, 0x11].map(|serial| root.client("a", serial));
    let mut stays = stay(&broker, (&root, &stays), "stays").await;
    let mut goes = stay(&broker, (&root, &goes), "goes").await;
    responder.knows(&[(0x10, false), (0x11, true)]);
    let end = tokio::time::timeout(Duration::from_secs(30), goes.read(&mut [0])).await;
    assert!(matches!(end.expect("it goes"), Ok(0) | Err(_)));
    // Its answer was over as often, and it is still served.
    stays.write_all(&[0xC0, 0]).await.expect("PINGREQ");
    let mut answer = [0; 2];
    stays.read_exact(&mut answer).await.expect("PINGRESP");
    assert_eq!(answer, [0xD0, 0]);
}

/// Only where the operator allows: a certificate does not send the broker anywhere else.
#[tokio::test]
async fn a_responder_that_a_certificate_names_is_asked_only_if_it_may_be() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let responder = Responder::start(&root).await;
    responder.knows(&[(0x10, false)]);
    let url = responder.url();
    let wish =
        Wish { common_names: &["a"], serial: 0x10, responder: Some(&url), ..Wish::default() };
    let holder = root.certify(&wish);
    for (allowed, expect) in [(url.clone(), 1), ("http://other.example/".to_owned(), 0)] {
        let before = responder.asked.load(Ordering::Acquire);
        let ocsp_allow = vec![allowed];
        let tls = TlsConfig { ocsp: OcspPolicy::Hard, ocsp_allow, ..files.mutual() };
        let broker = start(tls).await;
        let connector = connector(&root, Some(&holder));
        drop(handshake(&connector, broker.listener("tls")).await.expect("a handshake"));
        let label = if expect == 1 { "full" } else { "revocation_unknown" };
        let line = format!("portcullis_tls_handshakes_total{{result=\"{label}\"}}");
        broker.until(|_| broker.counted(&line) == 1).await;
        assert_eq!(responder.asked.load(Ordering::Acquire) - before, expect);
    }
}

/// A server of lists: what is published, and where.
async fn publish() -> (watch::Sender<Vec<u8>>, String, Arc<AtomicU64>) {
    let (published, list) = watch::channel(Vec::new());
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(bind).await.expect("a port");
    let url = format!("http://{}/ca.crl", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let list = list.borrow().clone();
            let _ = stream.read(&mut [0; 1024]).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len());
            let _ = stream.write_all(&[head.as_bytes(), &list].concat()).await;
            count.fetch_add(1, Ordering::AcqRel);
        }
    });
    (published, url, asked)
}

/// A list that is published: nobody comes in before it is there, and who is on the next one goes.
#[tokio::test]
async fn a_list_at_a_url_is_fetched_again_and_again() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let (published, url, _) = publish().await;
    let crl = vec![CrlSource::Url(url)];
    let crl_refresh = Duration::from_secs(1);
    let cache = Some(files.path("cache"));
    let tls = TlsConfig { crl, crl_refresh, cache, ..files.mutual() };
    let broker = start(tls.clone()).await;
    let holder = root.client("a", 7);
    assert!(!enters(&broker, &root, &holder).await, "no list is there");
    published.send_replace(root.list_der([8], Until::Later));
    broker.until(|broker| broker.tls()[0].revoked == 1).await;
    assert!(enters(&broker, &root, &holder).await);
    published.send_replace(root.list_der([7, 8], Until::Later));
    broker.until(|broker| broker.tls()[0].revoked == 2).await;
    assert!(!enters(&broker, &root, &holder).await);
    broker.stop().await;
    // What was fetched outlives the process.
    let broker = start(tls).await;
    assert_eq!(broker.broker.tls()[0].revoked, 2);
}

/// A place that never answers holds up no other list.
#[tokio::test]
async fn a_place_that_hangs_holds_up_no_other_list() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let silent = TcpListener::bind(bind).await.expect("a port");
    let hangs = format!("http://{}/a.crl", silent.local_addr().expect("an address"));
    let (published, url, _) = publish().await;
    published.send_replace(root.list_der([8], Until::Later));
    let crl = vec![CrlSource::Url(hangs), CrlSource::Url(url)];
    let crl_refresh = Duration::from_secs(1);
    let broker = start(TlsConfig { crl, crl_refresh, ..files.mutual() }).await;
    broker.until(|broker| broker.tls()[0].revoked == 1).await;
    published.send_replace(root.list_der([7, 8], Until::Later));
    broker.until(|broker| broker.tls()[0].revoked == 2).await;
    drop(silent);
}

/// Nobody configured the list: the certificate names it, where that is permitted.
#[tokio::test]
async fn a_list_at_a_distribution_point_is_fetched_when_somebody_names_it() {
    let root = Authority::root("root");
    let files = Files::new(&root.server(), root.pem());
    let (published, url, asked) = publish().await;
    let (elsewhere, other, asked_elsewhere) = publish().await;
    for list in [&published, &elsewhere] {
        list.send_replace(root.list_der([8], Until::Later));
    }
    let client = |serial, url: &str| {
        let names = &["a"];
        root.certify(&Wish { common_names: names, serial, list_at: Some(url), ..Wish::default() })
    };
    let crl_points = vec![url.trim_end_matches("ca.crl").to_owned()];
    let (crl_refresh, cache) = (Duration::from_secs(1), Some(files.path("cache")));
    let tls = TlsConfig { crl_points, crl_refresh, cache, ..files.mutual() };
    let broker = start(tls.clone()).await;
    assert!(!enters(&broker, &root, &client(9, &other)).await, "not permitted");
    assert!(!enters(&broker, &root, &root.client("a", 9)).await, "it names none");
    assert_eq!(asked.load(Ordering::Acquire) + asked_elsewhere.load(Ordering::Acquire), 0);
    assert!(!enters(&broker, &root, &client(9, &url)).await, "the first one comes too early");
    broker.until(|broker| broker.tls()[0].revoked == 1).await;
    assert!(enters(&broker, &root, &client(9, &url)).await);
    assert!(!enters(&broker, &root, &client(8, &url)).await, "revoked");
    // One that its authority did not sign counts for nobody, and takes nothing away.
    published.send_replace(Authority::root("root").list_der([9], Until::Later));
    let before = asked.load(Ordering::Acquire);
    broker.until(|_| asked.load(Ordering::Acquire) > before + 2).await;
    assert!(enters(&broker, &root, &client(9, &url)).await);
    published.send_replace(root.list_der([8, 10], Until::Later));
    broker.until(|broker| broker.tls()[0].revoked == 2).await;
    assert!(enters(&broker, &root, &client(9, &url)).await);
    broker.stop().await;
    // The next process knows it without being told.
    let broker = start(tls).await;
    assert!(enters(&broker, &root, &client(9, &url)).await);
}

/// What clients are handed with our certificate, and that it outlives the process.
#[tokio::test]
async fn our_own_certificate_comes_with_an_answer() {
    let root = Authority::root("root");
    let responder = Responder::start(&root).await;
    responder.knows(&[(0x31, false)]);
    let url = responder.url();
    let names = &["localhost"];
    let wish = Wish { names, serial: 0x31, responder: Some(&url), ..Wish::default() };
    let mut server = root.certify(&wish);
    server.chain.push_str(root.pem());
    let files = Files::new(&server, root.pem());
    let cache = Some(files.path("cache"));
    let tls = TlsConfig { stapling: true, cache, ..files.config() };
    let stapled = async |broker: &Broker| {
        let arguments = ["-status", "-tls1_3"];
        let output = s_client(broker.listener("tls"), &arguments).await;
        contains(&output, b"OCSP Response Status: successful")
            && contains(&output, b"Cert Status: good")
    };
    let broker = start(tls.clone()).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !stapled(&broker).await {
        assert!(Instant::now() < deadline, "no answer comes with the certificate");
    }
    broker.stop().await;
    responder.mood.send_replace(Mood::Fails);
    let broker = start(tls.clone()).await;
    assert!(stapled(&broker).await, "the answer did not outlive the process");
    broker.stop().await;
    // Something else in its place is no answer.
    for file in std::fs::read_dir(files.path("cache")).expect("a folder") {
        std::fs::write(file.expect("a file").path(), b"hello").expect("written");
    }
    let broker = start(tls).await;
    assert!(!stapled(&broker).await);
}
