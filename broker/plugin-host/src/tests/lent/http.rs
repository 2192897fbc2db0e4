//! `http-client` against a server of the test on loopback, hostile ones included.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{GRANTS, Lent, build, call};

/// A server that answers what the path says, and tells in the body what it was asked.
struct Server(SocketAddr);

impl Server {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self(address)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0)
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4096];
    while !complete(&asked) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => asked.extend(&buffer[..read]),
        }
    }
    let asked = String::from_utf8_lossy(&asked).replace("\r\n", "|");
    let path = asked.split(' ').nth(1).unwrap();
    let (head, body) = match path.split_once("?to=") {
        Some((status, to)) => {
            let status = &status[1..];
            (format!("HTTP/1.1 {status} Go\r\nlocation: {to}\r\n"), String::new())
        }
        None if path == "/large" => ("HTTP/1.1 200 OK\r\n".to_owned(), "x".repeat((1 << 20) + 1)),
        None if path == "/head" => {
            (format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(100_000)), String::new())
        }
        None if path == "/nothing" => return,
        None if path == "/never" => std::future::pending().await,
        None => ("HTTP/1.1 200 OK\r\n".to_owned(), asked.clone()),
    };
    let head = format!("{head}content-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.flush().await;
}

/// Head and body are there.
fn complete(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// A guest that may go to these.
async fn lent(urls: &[String], more: &str) -> Lent {
    let http = format!("http = {urls:?}\n{more}\n");
    Lent::with(&GRANTS.replace("http = [\"http://127.0.0.1:1/\"]\n", &http), None).await
}

#[tokio::test]
async fn a_request_goes_and_its_response_comes() {
    let server = Server::start().await;
    let lent = lent(&[server.url("/")], "").await;
    let url = server.url("/path?q=1");
    let told = lent
        .call("http", &format!("POST\n{url}\n\nbody\nX-One: 1\nAuthorization: Bearer $used"))
        .await;
    assert!(told.starts_with("ok: 200 "), "{told}");
    for part in [
        "POST /path?q=1 HTTP/1.1|",
        &format!("|host: {}|", server.0),
        "|x-one: 1|",
        "|authorization: Bearer hush|",
        "|user-agent: portcullis/",
        "||body",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    lent.check("http", &format!("HEAD\n{}", server.url("/x")), "ok: 200 0").await;
}

#[tokio::test]
async fn only_what_is_granted_is_asked() {
    let server = Server::start().await;
    let lent = lent(&[server.url("/api/")], "").await;
    lent.check("http", &format!("GET\n{}", server.url("/api/x")), "ok: 200").await;
    for url in [
        server.url("/other"),
        server.url("/api/../other"),
        server.url("/api/%2e%2e/other"),
        server.url("/api/..%2fother"),
        server.url("/apix"),
        format!("http://{}@{}/api/", "user:word", server.0),
        format!("http://127.0.0.1:1{}/api/", server.0.port()),
        format!("https://{}/api/", server.0),
        format!("http://localhost:{}/api/", server.0.port()),
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
    ] {
        lent.check("http", &format!("GET\n{url}"), "Denied(").await;
    }
    lent.check("http", &format!("TRACE\n{}", server.url("/api/")), "Denied(").await;
    lent.check("http", &format!("get\n{}", server.url("/api/")), "Denied(").await;
}

#[tokio::test]
async fn a_name_is_judged_by_where_it_points() {
    let server = Server::start().await;
    let named = format!("http://localhost:{}/", server.0.port());
    let closed = lent(std::slice::from_ref(&named), "").await;
    closed.check("http", &format!("GET\n{named}"), "no public address").await;
    let open = lent(std::slice::from_ref(&named), "http_private = true").await;
    open.check("http", &format!("GET\n{named}"), "ok: 200").await;
}

#[tokio::test]
async fn headers_are_headers_and_the_brokers_stay_its_own() {
    let server = Server::start().await;
    let lent = lent(&[server.url("/")], "").await;
    let url = server.url("/");
    for header in [
        "Host: evil",
        "content-length: 3",
        "Transfer-Encoding: chunked",
        "connection: upgrade",
        "x: a\\r\\nhost: evil",
        "x y: a",
        "x: $other",
    ] {
        lent.check("http", &format!("GET\n{url}\n\n\n{header}"), "Denied(").await;
    }
    let many = "x: y\n".repeat(65);
    lent.check("http", &format!("GET\n{url}\n\n\n{many}"), "TooLarge(").await;
    let long = "y".repeat(33_000);
    lent.check("http", &format!("GET\n{url}\n\n\nx: {long}"), "TooLarge(").await;
}

#[tokio::test]
async fn redirects_are_judged_and_secrets_stay_behind() {
    let (server, other) = (Server::start().await, Server::start().await);
    let lent = lent(&[server.url("/"), other.url("/")], "").await;
    let get = |path: String| format!("GET\n{}\n\n\nx-key: $used\ncookie: c", server.url(&path));
    let here = lent.call("http", &get("/302?to=/here".to_owned())).await;
    assert!(here.contains("GET /here") && here.contains("x-key: hush"), "{here}");
    let there = lent.call("http", &get(format!("/307?to={}", other.url("/there")))).await;
    assert!(there.contains("GET /there"), "{there}");
    assert!(!there.contains("hush") && !there.contains("cookie"), "{there}");
    for to in ["http://127.0.0.2:9/", "file:///etc/passwd", "//evil.example/", "https://[::1"] {
        lent.check("http", &get(format!("/302?to={to}")), "Denied(").await;
    }
    lent.check("http", &get("/302?to=/302?to=/x".to_owned()), "ok: ").await;
    let post = format!("POST\n{}\n\nbody", server.url("/303?to=/after"));
    let told = lent.call("http", &post).await;
    assert!(told.contains("GET /after") && !told.contains("body"), "{told}");
    let post = format!("POST\n{}\n\nbody", server.url("/308?to=/after"));
    lent.check("http", &post, "||body").await;
}

#[tokio::test]
async fn a_server_that_sends_in_circles_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let count = tokio::spawn(async move {
        let mut count = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            count += 1;
            let _ = stream.read(&mut [0; 4096]).await;
            let head = b"HTTP/1.1 302 Go\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(head).await;
            if count == 6 {
                break;
            }
        }
        count
    });
    let lent = lent(std::slice::from_ref(&url), "").await;
    lent.check("http", &format!("GET\n{url}"), "Denied(\"more than 5 redirects\")").await;
    assert_eq!(count.await.unwrap(), 6);
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let server = Server::start().await;
    let lent = lent(&[server.url("/")], "").await;
    lent.check("http", &format!("GET\n{}", server.url("/large")), "TooLarge(").await;
    lent.check("http", &format!("GET\n{}", server.url("/head")), "TooLarge(").await;
    lent.check("http", &format!("GET\n{}", server.url("/nothing")), "Connection(").await;
    lent.check("http", &format!("GET\n{}\n30", server.url("/never")), "Timeout").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lent = self::lent(&[format!("http://{closed}/")], "").await;
    lent.check("http", &format!("GET\nhttp://{closed}/"), "Connection(").await;
}

#[tokio::test]
async fn the_deadline_of_the_call_ends_a_request() {
    let server = Server::start().await;
    let url = server.url("/never");
    let manifest = GRANTS.replace("http://127.0.0.1:1/", &server.url("/"));
    let lent = Lent::with(&format!("{manifest}[limits]\ndeadline = \"200 ms\"\n"), None).await;
    lent.check("http", &format!("GET\n{url}\n60000"), "Timeout").await;
}

#[tokio::test]
async fn sixteen_at_once_for_all_generations() {
    let server = Server::start().await;
    let manifest = GRANTS.replace("http://127.0.0.1:1/", &server.url("/"));
    let lent = Lent::with(&format!("{manifest}[limits]\ndeadline = \"30 s\"\n"), None).await;
    let next = build(&lent.runtime, &manifest).await.map_err(|it| it.sentence).unwrap();
    let waiting = (0..16).map(|_| {
        let (generation, url) = (Arc::clone(&lent.generation), server.url("/never"));
        tokio::spawn(async move { call(&generation, "http", &format!("GET\n{url}\n20000")).await })
    });
    let waiting: Vec<_> = waiting.collect();
    let url = server.url("/");
    let mut told = String::new();
    let busy = async {
        while !told.ends_with("Busy") {
            tokio::task::yield_now().await;
            told = call(&next, "http", &format!("GET\n{url}")).await;
        }
    };
    if tokio::time::timeout(std::time::Duration::from_secs(10), busy).await.is_err() {
        let ended = waiting.into_iter().filter(|it| it.is_finished());
        let mut words = Vec::new();
        for ended in ended {
            words.push(ended.await);
        }
        panic!("places are not taken: {told}; {words:?}");
    }
    waiting.iter().for_each(|it| it.abort());
}

/// A certificate authority of the test, and a certificate of it for `localhost`.
const AUTHORITY: &[u8] = include_bytes!("tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/localhost.pem");
const KEY: &[u8] = include_bytes!("tls/localhost-key.pem");

#[tokio::test]
async fn servers_prove_their_name() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let server = Server::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let port = server.0.port();
    let urls = [format!("https://localhost:{port}/"), format!("https://127.0.0.1:{port}/")];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).unwrap()).unwrap();
    let lent = lent(&urls, "http_private = true").await;
    lent.runtime.http.trust(roots);
    lent.check("http", &format!("GET\n{}", urls[0]), "ok: 200").await;
    lent.check("http", &format!("GET\n{}", urls[1]), "Connection(\"TLS: ").await;
    let stranger = self::lent(&urls, "http_private = true").await;
    stranger.check("http", &format!("GET\n{}", urls[0]), "Connection(").await;
}
