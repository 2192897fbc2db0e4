//! The API as its callers see it: a router over fakes, and once over real sockets.

mod access_rules;
mod access_table;
mod audits;
mod backup;
mod bans;
mod clients;
mod configuration;
mod cookies;
mod documents;
mod events;
pub(crate) mod fakes;
mod health;
mod holdings;
mod keys;
mod log;
mod logins;
mod overview;
mod pages;
mod permissions;
mod plugins;
mod problems;
mod records;
mod sockets;
mod traces;
mod users;

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use crate::{
    Roles,
    administrators::{Administrators, Lasts},
    audit::Audit,
    call::Shared,
    cursor::Cursors,
    directory::Directory,
    events::Hub,
    guard::Hosts,
    openapi,
    overview::Samples,
    password::Hashing,
    routes,
    shares::{CONNECTIONS_OF_USER, STREAMS_OF_USER, Shares},
    token::TokenHash,
};
use fakes::Fakes;

const TOKEN: &str = "dGhpcyBpcyBub3QgcmFuZG9tIGJ1dCBsb25nIGVub3VnaA";

/// An answer, read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Checks that this is a complete problem document and returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:portcullis:problem:{kind}"));
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }
}

/// With the role `viewer`, which may only look at clients.
fn directory() -> Arc<Directory> {
    let mut roles = Roles::default();
    roles.add("viewer", &["clients:read".to_owned()]).unwrap();
    let read = [
        "clients:read",
        "subscriptions:read",
        "retained:read",
        "decisions:read",
        "permissions:read",
        "bans:read",
        "events:read",
        "access_log:read",
        "traces:write",
        "decisions:recording",
        "audit:read",
    ];
    roles.add("blind", &read.map(str::to_owned)).unwrap();
    roles.add("seer", &["traces:read".to_owned(), "events:read".to_owned()]).unwrap();
    Arc::new(Directory::empty(roles))
}

fn administrators(directory: &Arc<Directory>) -> Administrators {
    let lasts = Lasts { ttl: Duration::from_secs(60), idle: Duration::from_secs(30) };
    Administrators::new(TokenHash::of(TOKEN.as_bytes()), Arc::clone(directory), lasts)
}

pub(crate) fn shared(fakes: &Fakes) -> Shared {
    let directory = directory();
    Shared {
        state: fakes.state(),
        administrators: administrators(&directory),
        directory,
        hashing: Hashing::default(),
        audit: Audit::nowhere(),
        oidc: None,
        backoff: Mutex::default(),
        metrics_open: false,
        hosts: Hosts::new([127, 0, 0, 1].into(), &["broker.example".to_owned()]),
        alarms: crate::alarms::Alarms::default(),
        events: Hub::new(&fakes.metrics),
        stopping: still_serving(),
        cursors: Cursors::new().unwrap(),
        connections: Shares::new(CONNECTIONS_OF_USER),
        streams: Shares::new(STREAMS_OF_USER),
        uploads: Arc::new(Semaphore::new(2)),
        openapi: openapi::document(),
        samples: Samples::default(),
    }
}

/// What never says that it is to end.
fn still_serving() -> watch::Receiver<bool> {
    static SERVING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));
    SERVING.subscribe()
}

fn router(fakes: &Fakes) -> Router {
    routes::router(Arc::new(shared(fakes)))
}

/// A request with token and host.
fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header(header::HOST, "localhost:9883")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Reply { status: parts.status, headers: parts.headers, text }
}

async fn ask(fakes: &Fakes, method: &str, path: &str) -> Reply {
    send(&router(fakes), request(method, path).body(Body::empty()).unwrap()).await
}

async fn post(fakes: &Fakes, path: &str, body: &str) -> Reply {
    let request = request("POST", path)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(&router(fakes), request).await
}
