//! One request and its whole response over a connection of its own, to an address that was checked.
//! Knows nothing of grants.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::capability::tls::Tls;

/// Status line and headers of a response.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What is sent.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Body of the response, at most.
    pub(crate) response_bytes_max: usize,
}

/// What came back.
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why nothing did.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Response larger than it may be.
    TooLarge(String),
    /// There was no connection, so nothing was asked.
    Unreached(String),
    /// Everything else.
    Connection(String),
}

impl Failed {
    fn connection(what: &str, error: &dyn std::error::Error) -> Self {
        Self::Connection(chain(what, error))
    }
}

/// An error and what caused it, in a line.
fn chain(what: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Sends to the first of `addresses` that takes a connection.
pub(crate) async fn exchange(
    tls: &Tls,
    addresses: &[SocketAddr],
    outgoing: Outgoing,
) -> Result<Incoming, Failed> {
    let stream = connect(addresses).await?;
    if outgoing.url.scheme() != "https" {
        return converse(stream, outgoing).await;
    }
    let host = outgoing.url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host)
        .map_err(|error| Failed::connection("the name of the server", &error))?;
    let connector = TlsConnector::from(tls.config().await.map_err(Failed::Connection)?);
    let stream = connector.connect(name, stream).await;
    converse(stream.map_err(|error| Failed::connection("TLS", &error))?, outgoing).await
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Failed> {
    let mut last = Failed::Unreached("the name has no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Failed::Unreached(chain("no connection", &error)),
        }
    }
    Err(last)
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    outgoing: Outgoing,
) -> Result<Incoming, Failed> {
    let failed = |error: hyper::Error| Failed::connection("the connection broke", &error);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let bytes_max = outgoing.response_bytes_max;
    let request = request(outgoing)?;
    let conversation = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        if head.headers.iter().map(bytes).sum::<usize>() > HEAD_BYTES_MAX {
            return Err(Failed::TooLarge(format!("its headers have over {HEAD_BYTES_MAX} bytes")));
        }
        let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return Failed::TooLarge(format!("the response has over {bytes_max} bytes"));
            }
            Failed::connection("the connection broke", &*error)
        })?;
        Ok(Incoming { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    // The connection moves while the conversation waits, and ends with it.
    tokio::pin!(conversation, connection);
    tokio::select! {
        done = &mut conversation => done,
        _ = &mut connection => conversation.await,
    }
}

fn request(outgoing: Outgoing) -> Result<Request<Full<Bytes>>, Failed> {
    let Outgoing { method, url, headers, body, .. } = outgoing;
    let host = url.host_str().unwrap_or_default();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let unfit = |error: &dyn std::error::Error| Failed::connection("the URL", error);
    let host = HeaderValue::try_from(authority).map_err(|error| unfit(&error))?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(Full::new(body))
        .map_err(|error| unfit(&error))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}
