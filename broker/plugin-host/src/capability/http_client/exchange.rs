//! One request and its whole response over a connection of its own, to an address that was checked.
//! Knows nothing of grants.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::BODY_BYTES_MAX;

/// Status line and headers of a response.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What is sent.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What came back.
pub(super) struct Incoming {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why nothing did.
#[derive(Debug)]
pub(super) enum Failed {
    /// Response larger than it may be.
    TooLarge(String),
    /// Everything else.
    Connection(String),
}

impl Failed {
    fn connection(what: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self::Connection(text)
    }
}

/// Certificates of servers are judged by the authorities that the operating system trusts, read
/// when the first `https:` request is made.
#[derive(Debug, Default)]
pub(super) struct Tls(Arc<OnceLock<Arc<ClientConfig>>>);

impl Tls {
    #[cfg(test)]
    pub(super) fn trust(&self, roots: RootCertStore) {
        assert!(self.0.set(configure(roots).unwrap()).is_ok());
    }

    /// Reads files until that succeeded once: off the async threads.
    async fn config(&self) -> Result<Arc<ClientConfig>, Failed> {
        if let Some(known) = self.0.get() {
            return Ok(Arc::clone(known));
        }
        let tls = Arc::clone(&self.0);
        let load = move || {
            let config = configure(roots_of_the_system())?;
            Ok(Arc::clone(tls.get_or_init(|| config)))
        };
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|error| Err(error.to_string())).map_err(Failed::Connection)
    }
}

fn roots_of_the_system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be used");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn configure(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    if roots.is_empty() {
        return Err("the system trusts no certificate authority".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Sends to the first of `addresses` that takes a connection.
pub(super) async fn exchange(
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
    let connector = TlsConnector::from(tls.config().await?);
    let stream = connector.connect(name, stream).await;
    converse(stream.map_err(|error| Failed::connection("TLS", &error))?, outgoing).await
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, Failed> {
    let mut last = Failed::Connection("the name has no address".to_owned());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Failed::connection("no connection", &error),
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
    let request = request(outgoing)?;
    let conversation = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        if head.headers.iter().map(bytes).sum::<usize>() > HEAD_BYTES_MAX {
            return Err(Failed::TooLarge(format!("its headers have over {HEAD_BYTES_MAX} bytes")));
        }
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return Failed::TooLarge(format!("the response has over {BODY_BYTES_MAX} bytes"));
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
    let Outgoing { method, url, headers, body } = outgoing;
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
