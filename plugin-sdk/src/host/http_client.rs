//! HTTP requests to the servers of `[grants] http`.

use std::net::{Ipv4Addr, Ipv6Addr};

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

/// Whether what is sent to this URL is encrypted or stays on the machine: what a plugin should ask
/// of a configuration before it sends passwords there.
#[must_use]
pub fn is_protected(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(behind) = url.strip_prefix("http://") else { return false };
    let server = behind.split(['/', '?', '#']).next().unwrap_or_default();
    // A user before the host, which would pass for it.
    if server.contains('@') {
        return false;
    }
    if let Some(address) = server.strip_prefix('[') {
        let address = address.split(']').next().unwrap_or_default();
        return address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback());
    }
    let host = server.split(':').next().unwrap_or_default();
    host == "localhost" || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for url in [
            "https://auth.example/",
            "http://127.0.0.1:8080/x",
            "http://127.1.2.3",
            "http://localhost/x?y",
            "http://[::1]:80/",
        ] {
            assert!(is_protected(url), "{url}");
        }
        for url in [
            "http://auth.example/",
            "http://127.0.0.1.auth.example/",
            "http://localhost.auth.example/",
            "http://localhost@auth.example/",
            "http://127.0.0.1:x@auth.example/",
            "http://10.0.0.1/",
            "http://[::2]/",
            "ftp://127.0.0.1/",
            "",
        ] {
            assert!(!is_protected(url), "{url}");
        }
    }
}
