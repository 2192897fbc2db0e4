//! The admin API of a running broker as commands ask it: where it is, how to be let in, one request and its answer,
//! whole or piece by piece.
//!
//! Owns the connection and the token; knows nothing of single routes. The token is a secret and HTTP here is not
//! encrypted, so only this machine is spoken to.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{
    Request as HttpRequest, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::AbortHandle, time::Instant};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// A token is 43 characters; a file that is longer is another one.
const TOKEN_BYTES_MAX: u64 = 1024;
/// Of an answer that is taken as a whole: what it says of some thousand plugins.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// The broker compiles what is uploaded, and gives up on that after two minutes.
const ANSWER_WITHIN: Duration = Duration::from_secs(130);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a body that are sent with one write.
const PIECE_BYTES: usize = 64 << 10;

/// Where the API is when nothing else is said.
const URL: &str = "http://127.0.0.1:9883";
/// Where its token is when nothing else is said.
const TOKEN_FILE: &str = "/var/lib/portcullis/admin.token";
/// Variables of the environment that say both.
const URL_VARIABLE: &str = "PORTCULLIS_URL";
const TOKEN_VARIABLE: &str = "PORTCULLIS_TOKEN";

/// Which broker, and how to be let in.
#[derive(Debug)]
pub(crate) struct Broker {
    url: String,
    token: Token,
}

#[derive(Debug)]
enum Token {
    File(PathBuf),
    /// From the environment.
    Given(Secret),
}

struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A request.
#[derive(Default)]
pub(crate) struct Request {
    /// `GET` and so on.
    pub(crate) method: String,
    /// Path and query, encoded.
    pub(crate) path: String,
    /// Headers beside the token and those of the content.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// What goes with it.
    pub(crate) content: Option<Content>,
    /// Counts the bytes of the content that were sent.
    pub(crate) sent: Arc<AtomicU64>,
}

/// What goes with a request.
#[derive(Clone)]
pub(crate) struct Content {
    /// Its type.
    pub(crate) media_type: &'static str,
    /// Its bytes.
    pub(crate) bytes: Bytes,
}

impl Content {
    /// JSON.
    pub(crate) fn json(text: impl Into<String>) -> Self {
        Self { media_type: "application/json", bytes: Bytes::from(text.into()) }
    }
}

impl Request {
    /// One without content.
    pub(crate) fn new(method: &str, path: impl Into<String>) -> Self {
        Self { method: method.to_owned(), path: path.into(), ..Self::default() }
    }

    /// The same with content.
    #[must_use]
    pub(crate) fn with(mut self, content: Option<Content>) -> Self {
        self.content = content;
        self
    }
}

/// An answer whose status was good, before its body is read.
pub(crate) struct Answer {
    /// Its headers.
    pub(crate) headers: HeaderMap,
    body: Incoming,
    connection: AbortHandle,
    url: String,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke before the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => {
                    let url = &self.url;
                    return Err(Failure::Refused(format!("{url}: the answer broke off: {error}")));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, at most 8 MiB.
    ///
    /// # Errors
    /// It is larger, late, or breaks off.
    pub(crate) async fn whole(mut self) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        let deadline = Instant::now() + ANSWER_WITHIN;
        let late = |_| Failure::Refused("the answer did not end in time".to_owned());
        while let Some(piece) =
            tokio::time::timeout_at(deadline, self.piece()).await.map_err(late)??
        {
            if whole.len() + piece.len() > ANSWER_BYTES_MAX {
                let most = ANSWER_BYTES_MAX >> 20;
                return Err(Failure::Refused(format!(
                    "the answer is larger than {most} MiB: ask for less of it"
                )));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// What the answer to anything else than this API lacks.
pub(crate) fn strange(what: &str) -> Failure {
    Failure::Refused(format!("the answer has no {what}: is this the admin API of portcullis?"))
}

impl Broker {
    /// What was said on the command line counts first, then the environment, then the usual places.
    pub(crate) fn new(url: Option<String>, token_file: Option<PathBuf>) -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let token = match token_file {
            Some(path) => Token::File(path),
            None => match variable(TOKEN_VARIABLE) {
                Some(token) => Token::Given(Secret(Zeroizing::new(token))),
                None => Token::File(PathBuf::from(TOKEN_FILE)),
            },
        };
        let url = url.or_else(|| variable(URL_VARIABLE)).unwrap_or_else(|| URL.to_owned());
        Self { url, token }
    }

    /// A broker whose token is in this file.
    pub(crate) fn with_token_file(url: impl Into<String>, token_file: &Path) -> Self {
        Self { url: url.into(), token: Token::File(token_file.to_owned()) }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The JSON of an answer; anything but success is what the broker says is wrong.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        content: Option<Content>,
    ) -> Result<Value, Failure> {
        let answer = self.send(Request::new(method, path).with(content)).await?;
        let body = answer.whole().await?;
        serde_json::from_slice(&body).map_err(|_| strange("JSON"))
    }

    /// The text behind a path.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.send(Request::new("GET", path)).await?;
        String::from_utf8(answer.whole().await?).map_err(|_| strange("text"))
    }

    /// Sends a request and waits for the beginning of a good answer.
    ///
    /// # Errors
    /// Nobody is there, the token is not good, or the broker says what is wrong.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let authority = self.authority()?;
        let token = self.token()?;
        let at = |error: &dyn std::fmt::Display| Failure::Refused(format!("{}: {error}", self.url));
        let connecting = TcpStream::connect(&*authority);
        let stream = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
        let stream = stream.map_err(|_| self.nobody(&"does not answer"))?;
        let stream = stream.map_err(|error| self.nobody(&error))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", &*token))
            .map_err(|_| self.no_token("holds what is no token"))?;
        value.set_sensitive(true);
        let mut built = HttpRequest::builder()
            .method(&*request.method)
            .uri(&*request.path)
            .header(HOST, &*authority)
            .header(AUTHORIZATION, value);
        for (name, value) in &request.headers {
            built = built.header(*name, value);
        }
        let mut bytes = Bytes::new();
        if let Some(content) = request.content {
            built = built.header(CONTENT_TYPE, content.media_type);
            bytes = content.bytes;
        }
        let counted = Counted { bytes, sent: request.sent };
        let built = built.body(counted).map_err(|error| at(&error))?;
        let asking = exchange(stream, built);
        let answer = tokio::time::timeout(ANSWER_WITHIN, asking).await;
        let (answer, connection) =
            answer.map_err(|_| at(&"no answer in time"))?.map_err(|it| at(&it))?;
        let (parts, body) = answer.into_parts();
        let (status, headers, url) = (parts.status, parts.headers, self.url.clone());
        let answer = Answer { headers, body, connection, url };
        if status.is_success() {
            return Ok(answer);
        }
        Err(self.problem(status, &answer.whole().await?))
    }

    /// What the broker says is wrong, on one line, and what might mend it.
    fn problem(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(problem) = serde_json::from_slice::<Value>(body) else {
            return strange(&format!("JSON (status {status})"));
        };
        let text = |key: &str| problem.get(key).and_then(Value::as_str).map(printable);
        let mut line = format!("{status}: ");
        line.push_str(&text("detail").unwrap_or_else(|| "no reason is told".to_owned()));
        let more = [
            text("parameter").map(|it| format!("parameter {it}")),
            text("allowed").map(|it| format!("allowed: {it}")),
        ];
        let more: Vec<String> = more.into_iter().flatten().collect();
        if !more.is_empty() {
            line.push_str(&format!(" ({})", more.join("; ")));
        }
        if status == StatusCode::UNAUTHORIZED {
            line.push_str(&match &self.token {
                Token::File(path) => format!("; the token of {} was sent", path.display()),
                Token::Given(_) => format!("; the token of {TOKEN_VARIABLE} was sent"),
            });
        }
        Failure::Refused(line)
    }

    fn nobody(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::Refused(format!(
            "{}: {error}: is the broker running? --url or {URL_VARIABLE} names [admin] bind of its \
             configuration",
            self.url
        ))
    }

    /// Host and port. The token is a secret, so that only this machine may be spoken to in the
    /// clear.
    fn authority(&self) -> Result<String, Failure> {
        let usage = |what: &str| {
            let allowed = "allowed: http://127.0.0.1:PORT or another loopback address; a broker on \
                           another machine is reached through a tunnel, as of ssh -L";
            Failure::Usage(format!("--url {}: {what}, {allowed}", self.url))
        };
        let uri: Uri = self.url.parse().map_err(|_| usage("is no URL"))?;
        let host = uri.host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = |address: &str| {
            address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(usage("is not the admin API"));
        }
        if host != "localhost" && !is_loopback(address) {
            return Err(usage("is another machine"));
        }
        Ok(format!("{host}:{}", uri.port_u16().unwrap_or(9883)))
    }

    fn token(&self) -> Result<Zeroizing<String>, Failure> {
        let path = match &self.token {
            Token::Given(token) => return Ok(Zeroizing::new(token.0.trim().to_owned())),
            Token::File(path) => path,
        };
        let mut text = Zeroizing::new(String::new());
        let read = fs::File::open(path)
            .and_then(|file| file.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text));
        read.map_err(|error| self.no_token(&error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || text.len() as u64 > TOKEN_BYTES_MAX {
            return Err(self.no_token("holds no token"));
        }
        Ok(Zeroizing::new(token.to_owned()))
    }

    fn no_token(&self, what: &str) -> Failure {
        let Token::File(path) = &self.token else {
            return Failure::Refused(format!("{TOKEN_VARIABLE} {what}"));
        };
        Failure::Refused(format!(
            "{}: {what}; --token-file names DATA_DIR/admin.token of the broker, {TOKEN_VARIABLE} \
             holds a token",
            path.display()
        ))
    }
}

/// Text of others as a terminal may be given it: one line, no commands.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_harmless(c) {
            true => out.push(c),
            false => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// Not a control, a line separator, or what is invisible or turns the direction of writing.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        && !matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

type Asked =
    Result<(hyper::Response<Incoming>, AbortHandle), Box<dyn std::error::Error + Send + Sync>>;

async fn exchange(stream: TcpStream, request: HttpRequest<Counted>) -> Asked {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The connection moves beside its answer, and ends with it.
    let connection = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the admin API ended");
        }
    });
    match sender.send_request(request).await {
        Ok(answer) => Ok((answer, connection.abort_handle())),
        Err(error) => {
            connection.abort();
            Err(error.into())
        }
    }
}

/// A body that tells how much of it was taken.
struct Counted {
    bytes: Bytes,
    sent: Arc<AtomicU64>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.bytes.len().min(PIECE_BYTES);
        let piece = self.bytes.split_to(length);
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token would be read by everybody on the way.
    #[test]
    fn another_machine_is_not_spoken_to() {
        let here = |url: &str| Broker::with_token_file(url, Path::new("x")).authority();
        assert_eq!(here("http://127.0.0.1:9000").unwrap(), "127.0.0.1:9000");
        assert_eq!(here("http://[::1]").unwrap(), "[::1]:9883");
        assert_eq!(here("http://localhost/").unwrap(), "localhost:9883");
        for url in [
            "http://192.0.2.1:9883",
            "http://broker.example:9883",
            "https://127.0.0.1:9883",
            "127.0.0.1:9883",
            "http://127.0.0.1:9883/api",
            "http://127.0.0.1.example",
        ] {
            let failure = here(url).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{url}");
        }
    }

    #[test]
    fn tokens_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = || Broker::with_token_file("http://127.0.0.1", &path).token();
        assert!(token().unwrap_err().to_string().contains("--token-file names"));
        fs::write(&path, "abc\n").unwrap();
        assert_eq!(&**token().unwrap(), "abc");
        for none in [String::new(), " \n".to_owned(), "x".repeat(1025)] {
            fs::write(&path, none).unwrap();
            assert!(token().unwrap_err().to_string().contains("holds no token"));
        }
    }

    #[test]
    fn problems_are_one_line_with_parameter_and_range() {
        let broker = Broker::with_token_file("http://127.0.0.1", Path::new("/x/admin.token"));
        let body = r#"{"detail":"bad \u001b[31m","parameter":"limit","allowed":"1 to 1000"}"#;
        let failure = broker.problem(StatusCode::BAD_REQUEST, body.as_bytes());
        let expect = "400 Bad Request: bad \\u{1b}[31m (parameter limit; allowed: 1 to 1000)";
        assert_eq!(failure.to_string(), expect);
        let failure = broker.problem(StatusCode::UNAUTHORIZED, br#"{"detail":"no"}"#).to_string();
        assert_eq!(failure, "401 Unauthorized: no; the token of /x/admin.token was sent");
        let strange = broker.problem(StatusCode::BAD_GATEWAY, b"<html>").to_string();
        assert!(strange.contains("502") && strange.contains("is this the admin API"), "{strange}");
    }

    #[test]
    fn nothing_of_others_reaches_the_terminal_raw() {
        assert_eq!(printable("a\r\n\u{1b}]0;x\u{7}"), "a\\u{d}\\u{a}\\u{1b}]0;x\\u{7}");
        assert_eq!(printable("\u{9b}31m\u{202e}b\u{2028}"), "\\u{9b}31m\\u{202e}b\\u{2028}");
        assert_eq!(printable("größe 温度"), "größe 温度");
    }
}
