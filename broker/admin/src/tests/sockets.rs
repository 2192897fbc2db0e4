//! The API over real sockets on loopback.

use std::{io::ErrorKind, net::SocketAddr, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{TOKEN, fakes::Fakes, router};
use crate::{
    Config, Error,
    listener::{Bounds, accept},
    start,
};

/// A token file of its own for one test, removed at its end.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str) -> Self {
        let file = format!("admin-socket-{name}-{}.token", std::process::id());
        Self(std::env::temp_dir().join(file))
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }
}

fn get(path: &str, token: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    )
}

/// Sends it and reads to the end of the connection, which every test here must reach.
async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    match read.await.expect("the server ends the connection") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn from_the_token_file_to_the_answer() {
    let token_file = TokenFile::new("whole");
    let fakes = Fakes::new();
    let config = || Config::new("127.0.0.1:0".parse().unwrap(), token_file.0.clone());
    let server = start(config(), fakes.state()).await.unwrap();
    assert!(server.token_created && server.address.port() != 0);
    let address = server.address;
    let token = std::fs::read_to_string(&token_file.0).unwrap();

    let answer = talk(address, get("/api/v1/status", token.trim()).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"chain_generation\":1"), "{answer}");
    let answer = talk(address, get("/api/v1/status", "wrong").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
    let answer = talk(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.contains(" 200 "), "{answer}");
    let many = "x: y\r\n".repeat(200);
    let answer = talk(address, format!("GET /livez HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    // An idle connection does not hold up the end.
    let mut idle = TcpStream::connect(address).await.unwrap();
    server.shutdown(Duration::from_secs(10)).await;
    read_to_end(&mut idle).await;
    assert!(TcpStream::connect(address).await.is_err());

    let again = start(config(), fakes.state()).await.unwrap();
    assert!(!again.token_created);
    let answer = talk(again.address, get("/api/v1/status", token.trim()).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    again.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn beyond_loopback_only_on_request() {
    let token_file = TokenFile::new("remote");
    for bind in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[::ffff:192.0.2.1]:0"] {
        let config = Config::new(bind.parse().unwrap(), token_file.0.clone());
        let error = start(config, Fakes::new().state()).await.unwrap_err();
        assert!(matches!(error, Error::RemoteNotAllowed { .. }), "{error}");
        assert!(error.to_string().contains("allow_remote = true"), "{error}");
        assert!(!token_file.0.exists());
    }
    let mut config = Config::new("0.0.0.0:0".parse().unwrap(), token_file.0.clone());
    config.allow_remote = true;
    let error = start(config.clone(), Fakes::new().state()).await.unwrap_err();
    assert!(error.to_string().starts_with("[admin] names is empty"), "{error}");
    config.host_names = vec!["broker.example".to_owned()];
    let server = start(config, Fakes::new().state()).await.unwrap();
    server.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let token_file = TokenFile::new("taken");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bind = taken.local_addr().unwrap();
    let config = Config::new(bind, token_file.0.clone());
    let error = start(config, Fakes::new().state()).await.unwrap_err();
    assert!(error.to_string().contains(&bind.to_string()), "{error}");
}

/// A server with short bounds; ends when the sender is dropped.
async fn bounded(bounds: Bounds) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(accept(listener, router(&Fakes::new()), bounds, stopped));
    (address, stop)
}

#[tokio::test]
async fn half_a_request_and_silence_are_cut_off() {
    let header_read = Duration::from_millis(50);
    let (address, _stop) = bounded(Bounds { header_read, ..Bounds::default() }).await;
    assert!(!talk(address, b"").await.contains("200"));
    assert!(!talk(address, b"GET /livez HTTP/1.1\r\nHost: local").await.contains("200"));
    // Silence after a good request as well.
    let answer = talk(address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.contains("{\"live\":true}"), "{answer}");
}

#[tokio::test]
async fn connections_end_of_age() {
    let age = Duration::from_millis(50);
    let bounds = Bounds { age, stranger_age: age, ..Bounds::default() };
    let (address, _stop) = bounded(bounds).await;
    read_to_end(&mut with_token(address).await).await;
}

/// A connection that has shown the token and stays open.
async fn with_token(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn a_full_house_makes_others_wait() {
    let (address, _stop) = bounded(Bounds { connections: 1, ..Bounds::default() }).await;
    let first = with_token(address).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(get("/livez", TOKEN).as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.peek(&mut byte));
    assert!(early.await.is_err(), "the second connection was served beside the first");
    drop(first);
    assert!(read_to_end(&mut second).await.contains("{\"live\":true}"));
}

/// Nobody without the token keeps others out, however many connections he holds.
#[tokio::test]
async fn strangers_give_way() {
    let livez = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (connections, strangers_per_address) in [(4, 16), (64, 4)] {
        let bounds = Bounds { connections, strangers_per_address, ..Bounds::default() };
        let (address, _stop) = bounded(bounds).await;
        let mut known = with_token(address).await;
        let mut strangers = Vec::new();
        for _ in 0..20 {
            let mut stranger = TcpStream::connect(address).await.unwrap();
            stranger.write_all(b"GET /livez HT").await.unwrap();
            strangers.push(stranger);
        }
        assert!(talk(address, livez).await.contains("{\"live\":true}"));
        assert!(!read_to_end(&mut strangers[0]).await.contains("200"));
        // The one with the token is still served.
        known.write_all(get("/livez", TOKEN).as_bytes()).await.unwrap();
        assert!(read_to_end(&mut known).await.contains("{\"live\":true}"));
    }
}

#[tokio::test]
async fn a_stranger_has_less_time() {
    let stranger_age = Duration::from_millis(50);
    let (address, _stop) = bounded(Bounds { stranger_age, ..Bounds::default() }).await;
    let mut known = with_token(address).await;
    let answer = talk(address, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.contains("{\"live\":true}"), "{answer}");
    known.write_all(get("/livez", TOKEN).as_bytes()).await.unwrap();
    assert!(read_to_end(&mut known).await.contains("{\"live\":true}"));
}
