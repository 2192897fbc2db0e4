//! The admin API over a bare socket: one HTTP/1.1 request and its answer, nothing else of HTTP.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// The API of one broker.
pub(super) struct Api {
    /// Where it listens.
    pub(super) address: SocketAddr,
    token: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// With its headers.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless the status is this.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Uploads compile.
const WAIT: Duration = Duration::from_secs(30);

impl Api {
    /// An API and the token for it.
    pub(super) fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned() }
    }

    /// The same API with another token; an empty one is not sent at all.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self::new(self.address, token)
    }

    /// GET.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    /// POST without a body.
    pub(super) async fn post(&self, path: &str) -> Answer {
        self.ask("POST", path, None).await
    }

    /// POST of JSON.
    pub(super) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(("application/json", body.to_string().as_bytes()))).await
    }

    /// PUT of a component.
    pub(super) async fn put_wasm(&self, path: &str, body: &[u8]) -> Answer {
        self.ask("PUT", path, Some(("application/wasm", body))).await
    }

    /// DELETE.
    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, None).await
    }

    /// Any request, with type and bytes of its body.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Answer {
        let exchange = self.exchange(method, path, body);
        let answer = tokio::time::timeout(WAIT, exchange).await;
        answer.unwrap_or_else(|_| panic!("{method} {path}: no answer within {WAIT:?}"))
    }

    /// Only the status of the answer: streams of events have no end.
    pub(super) async fn status(&self, method: &str, path: &str) -> u16 {
        let asked = async {
            let mut lines = BufReader::new(self.begin(method, path, None).await).lines();
            lines.next_line().await.expect("the answer comes").expect("a line")
        };
        let line = tokio::time::timeout(WAIT, asked).await;
        status_of(&line.unwrap_or_else(|_| panic!("{method} {path}: no answer within {WAIT:?}")))
    }

    async fn begin(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("the admin API listens");
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address)
                .into_bytes();
        if !self.token.is_empty() {
            let token = format!("Authorization: Bearer {}\r\n", self.token);
            request.extend_from_slice(token.as_bytes());
        }
        let (kind, content) = body.unzip();
        if let Some(kind) = kind {
            request.extend_from_slice(format!("Content-Type: {kind}\r\n").as_bytes());
        }
        let content = content.unwrap_or_default();
        request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", content.len()).as_bytes());
        request.extend_from_slice(content);
        stream.write_all(&request).await.expect("the request is taken");
        stream
    }

    async fn exchange(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Answer {
        let mut stream = self.begin(method, path, body).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the answer comes");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.expect("an empty line ends the head") + 4);
        let head = String::from_utf8_lossy(head);
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if is_chunked { joined(body) } else { body.to_vec() };
        // An archive is no text; nobody here looks into one.
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: status_of(&head), head: head.into_owned(), body }
    }
}

fn status_of(head: &str) -> u16 {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.expect("a status line")
}

/// A body that came in chunks, which is how long ones come whose length nobody knew before.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n");
        let (length, rest) = chunks.split_at(end.expect("the length of a chunk"));
        let length = std::str::from_utf8(length).expect("a number");
        let length = usize::from_str_radix(length, 16).expect("a number");
        if length == 0 {
            return body;
        }
        let rest = &rest[2..];
        body.extend_from_slice(&rest[..length]);
        chunks = &rest[length + 2..];
    }
}
