//! The HTTP request that asks for MQTT over WebSocket, and its answer (RFC 6455, section 4.2).
//!
//! Owns what is asked of the request: path, subprotocol, origin, version. A request that is refused gets an HTTP status and
//! a sentence. Knows nothing of frames; the request is read by `httparse`.

use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};
use httparse::{EMPTY_HEADER, Request, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tungstenite::{handshake::derive_accept_key, http::Uri};

/// What a listener asks of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Path of the request target.
    pub(crate) path: &'a str,
    /// Origins that may ask; `None` = every one. Who names none is no browser and may.
    pub(crate) origins: Option<&'a [String]>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("connection ended before the WebSocket handshake was complete: {0}")]
    Network(io::ErrorKind),
    #[error("not an HTTP request: {0}")]
    NotHttp(httparse::Error),
    #[error("the request has more than {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} header fields")]
    TooLarge,
    #[error("the path {0:?} is not served")]
    Path(String),
    #[error("the method is not GET")]
    Method,
    #[error("not a request to upgrade to WebSocket: HTTP/1.1 with `Upgrade: websocket`")]
    NotUpgrade,
    #[error("the version of WebSocket is not 13")]
    Version,
    #[error("the field {0} is missing, repeated or malformed")]
    Field(&'static str),
    #[error("the origin {0:?} is not allowed")]
    Origin(String),
    #[error("the subprotocol `mqtt` is not offered [MQTT-6.0.0-3]")]
    Subprotocol,
}

impl Refused {
    /// Status line and fields of the answer.
    fn status(&self) -> &'static str {
        match self {
            Self::NotHttp(_) | Self::Field(_) | Self::Subprotocol | Self::Network(_) => {
                "400 Bad Request"
            }
            Self::Origin(_) => "403 Forbidden",
            Self::Path(_) => "404 Not Found",
            Self::Method => "405 Method Not Allowed\r\nAllow: GET",
            Self::NotUpgrade => "426 Upgrade Required\r\nUpgrade: websocket",
            Self::Version => {
                "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
            }
            Self::TooLarge => "431 Request Header Fields Too Large",
        }
    }

    /// The answer, whole. What the client sent is not repeated in it.
    pub(crate) fn response(&self) -> String {
        let body = match self {
            Self::Path(_) => "the path is not served".to_owned(),
            Self::Origin(_) => "the origin is not allowed".to_owned(),
            other => other.to_string(),
        };
        let (status, length) = (self.status(), body.len() + 1);
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{body}\n"
        )
    }
}

/// Reads the request behind what is in `early` already and agrees to it. What came behind it is then in `early`.
pub(crate) async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    early: &mut Vec<u8>,
    rules: Rules<'_>,
) -> Result<(), Refused> {
    loop {
        if let Some((length, response)) = parse(early, rules)? {
            early.drain(..length);
            let written = stream.write_all(response.as_bytes()).await;
            return written.map_err(|error| Refused::Network(error.kind()));
        }
        let count = stream.read_buf(early).await.map_err(|error| Refused::Network(error.kind()))?;
        if count == 0 {
            return Err(Refused::Network(io::ErrorKind::UnexpectedEof));
        }
    }
}

/// The length of the request and its answer, if it has come whole.
pub(crate) fn parse(bytes: &[u8], rules: Rules<'_>) -> Result<Option<(usize, String)>, Refused> {
    let mut fields = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) if length <= HEAD_BYTES_MAX => {
            Ok(Some((length, accept(&request, rules)?)))
        }
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Refused::TooLarge),
        Err(error) => Err(Refused::NotHttp(error)),
    }
}

/// The answer that agrees.
fn accept(request: &Request<'_, '_>, rules: Rules<'_>) -> Result<String, Refused> {
    let target: &str = request.path.unwrap_or_default();
    let uri: Uri = target.parse().map_err(|_| Refused::Field("request target"))?;
    if uri.path() != rules.path {
        return Err(Refused::Path(uri.path().to_owned()));
    }
    if request.method != Some("GET") {
        return Err(Refused::Method);
    }
    let fields = Fields(request);
    let upgrades = fields.list_has("Upgrade", |token| token.eq_ignore_ascii_case("websocket"))
        && fields.list_has("Connection", |token| token.eq_ignore_ascii_case("upgrade"));
    if request.version != Some(1) || !upgrades {
        return Err(Refused::NotUpgrade);
    }
    fields.single("Host")?.ok_or(Refused::Field("Host"))?;
    if fields.single("Sec-WebSocket-Version")? != Some("13") {
        return Err(Refused::Version);
    }
    // A body would be taken for frames.
    if fields.single("Content-Length")?.is_some_and(|length| length != "0") {
        return Err(Refused::Field("Content-Length"));
    }
    if fields.single("Transfer-Encoding")?.is_some() {
        return Err(Refused::Field("Transfer-Encoding"));
    }
    if let (Some(allowed), Some(origin)) = (rules.origins, fields.single("Origin")?)
        && !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    {
        return Err(Refused::Origin(origin.to_owned()));
    }
    if !fields.list_has("Sec-WebSocket-Protocol", |offered| offered == SUBPROTOCOL) {
        return Err(Refused::Subprotocol);
    }
    let key = fields.single("Sec-WebSocket-Key")?.filter(|key| is_key(key));
    let key = key.ok_or(Refused::Field("Sec-WebSocket-Key"))?;
    let accept = derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ))
}

/// 16 bytes in base64.
fn is_key(key: &str) -> bool {
    BASE64_STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The header fields of a request, by name.
struct Fields<'r, 'h, 'b>(&'r Request<'h, 'b>);

impl<'b> Fields<'_, '_, 'b> {
    /// Every field of this name; one that is no text is empty.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'b str> {
        let fields = self.0.headers.iter();
        fields
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| std::str::from_utf8(field.value).unwrap_or_default().trim())
    }

    /// The field of this name, which must not stand there twice.
    fn single(&self, name: &'static str) -> Result<Option<&'b str>, Refused> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() { Err(Refused::Field(name)) } else { Ok(first) }
    }

    /// Whether a field that is a list has such an item.
    fn list_has(&self, name: &'static str, is_it: impl Fn(&str) -> bool) -> bool {
        self.all(name).flat_map(|list| list.split(',')).any(|item| is_it(item.trim()))
    }
}

/// The name of MQTT among subprotocols [MQTT-6.0.0-3].
const SUBPROTOCOL: &str = "mqtt";
/// Of a request, up to its empty line: cookies of the site may be among its fields.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request.
const HEADERS_MAX: usize = 64;

#[cfg(test)]
mod tests;
