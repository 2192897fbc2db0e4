//! HTTP requests to the servers of `[grants] http`.

use crate::bindings::portcullis::plugin::http_client;
/// A request and what comes of it.
pub use crate::bindings::portcullis::plugin::http_client::{
    Error, Header, HeaderValue, Request, Response,
};

/// Sends a request and waits for the whole response.
///
/// # Errors
/// No grant allows it, or no response came.
pub fn send(request: &Request) -> Result<Response, Error> {
    http_client::send(request)
}

/// A GET request without headers.
#[must_use]
pub fn get(url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: None,
    }
}
