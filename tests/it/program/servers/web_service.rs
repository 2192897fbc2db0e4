//! A web service that replies what it was told to, byte by byte where that matters: what real ones
//! do at their worst no library would let it say.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// What it says to one path.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// These bytes, then it hangs up.
    Bytes(Vec<u8>),
    /// The same after a while.
    Late(Duration, Vec<u8>),
    /// Nothing, but it does not hang up either.
    Nothing,
}

impl Says {
    /// Status 200 with this.
    pub(crate) fn json(body: &Value) -> Self {
        Self::Bytes(reply("200 OK", "application/json", &body.to_string()))
    }

    /// A whole reply.
    pub(crate) fn reply(status: &str, content_type: &str, body: &str) -> Self {
        Self::Bytes(reply(status, content_type, body))
    }

    /// What it says, but later.
    pub(crate) fn late(self, time: Duration) -> Self {
        match self {
            Self::Bytes(bytes) | Self::Late(_, bytes) => Self::Late(time, bytes),
            Self::Nothing => Self::Nothing,
        }
    }
}

fn reply(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let headers = format!("content-type: {content_type}\r\ncontent-length: {length}\r\n");
    format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}").into_bytes()
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Request line and headers.
    pub(crate) head: String,
    /// Its body, if that is JSON.
    pub(crate) body: Value,
}

/// What it knows, and what it was asked.
#[derive(Default)]
struct Shared {
    says: Mutex<HashMap<String, Says>>,
    asked: Mutex<Vec<Asked>>,
}

/// A service, until it is dropped.
pub(crate) struct WebService {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

impl WebService {
    /// Replies 404 to every path.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::<Shared>::default();
        let serving = Some(tokio::spawn(serve(listener, Arc::clone(&shared))));
        Self { address, shared, serving }
    }

    /// From now on.
    pub(crate) fn says(&self, path: &str, says: Says) {
        self.shared.says.lock().expect("no panic").insert(path.to_owned(), says);
    }

    /// All requests since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().expect("no panic"))
    }

    /// At once: whoever waits is hung up on.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // When it is over, its listener and all connections are gone.
            let _ = serving.await;
        }
    }

    /// After [`Self::stop`].
    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its port");
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
    }
}

impl Drop for WebService {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    shared.asked.lock().expect("no panic").push(Asked { head, body });
    let says = shared.says.lock().expect("no panic").get(&path).cloned();
    let bytes = match says.unwrap_or_else(|| Says::reply("404 Not Found", "text/plain", "")) {
        Says::Nothing => return std::future::pending().await,
        Says::Bytes(bytes) => bytes,
        Says::Late(time, bytes) => {
            tokio::time::sleep(time).await;
            bytes
        }
    };
    // Who asked may be gone.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}
