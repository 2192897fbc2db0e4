//! Fetching what authorities publish: small answers over plain HTTP, which are signed themselves.
//!
//! Owns how long and how large an answer may be. Follows nobody elsewhere: a redirect is an error.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Uri, body::Bytes, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is asked, and what the answer may be.
pub(super) struct Ask<'a> {
    pub(super) url: &'a str,
    /// A question to post, with its type; `None` = the resource itself is wanted.
    pub(super) question: Option<(&'static str, Vec<u8>)>,
    pub(super) bytes_max: usize,
    pub(super) timeout: Duration,
}

/// Fetches an answer. The error is a sentence.
pub(super) async fn fetch(ask: Ask<'_>) -> Result<Vec<u8>, String> {
    let timeout = ask.timeout;
    let answered = tokio::time::timeout(timeout, answer(ask)).await;
    answered.unwrap_or_else(|_| Err(format!("no answer within {} ms", timeout.as_millis())))
}

async fn answer(ask: Ask<'_>) -> Result<Vec<u8>, String> {
    let uri: Uri = ask.url.parse().map_err(|_| "is no URL".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("only http:// is fetched: what comes is signed by its authority".to_owned());
    }
    let host = uri.host().ok_or("names no host")?;
    let port = uri.port_u16().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await.map_err(|error| error.to_string())?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::builder().uri(path).header(header::HOST, authority);
    let request = match ask.question {
        None => request.body(Full::new(Bytes::new())),
        Some((kind, question)) => request
            .method("POST")
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(Bytes::from(question))),
    };
    let request = request.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if response.status() != hyper::StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let body = Limited::new(response.into_body(), ask.bytes_max).collect().await;
    connection.abort();
    let body = body.map_err(|error| format!("the answer cannot be read: {error}"))?;
    Ok(body.to_bytes().to_vec())
}
