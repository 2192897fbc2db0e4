//! The stream of events: what it carries, for whom, and how it ends.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::Value;
use telemetry::events::{AdminRefused, AlarmRaised, Client, Denied, SubscribeDenied};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{
    fakes::Fakes,
    holdings::{blind_token, login_as},
    request, router, send, shared,
};
use crate::{events::STREAMS_MAX, routes, shares::STREAMS_OF_USER};

/// An open stream.
struct Stream(Body, String);

/// One event: id, type, data.
type Event = (String, String, Value);

impl Stream {
    async fn open(router: &axum::Router, query: &str, last: Option<&str>) -> Self {
        let mut asking = request("GET", &format!("/api/v1/events{query}"));
        if let Some(last) = last {
            asking = asking.header("Last-Event-ID", last);
        }
        let response = router.clone().oneshot(asking.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut stream = Self(response.into_body(), String::new());
        stream.piece().await.unwrap();
        assert!(stream.1.starts_with("retry: 2000\n\n"), "{}", stream.1);
        stream
    }

    /// Reads on; `None` = it has ended.
    async fn piece(&mut self) -> Option<()> {
        let frame = self.0.frame().await?.unwrap().into_data().unwrap();
        self.1.push_str(std::str::from_utf8(&frame).unwrap());
        Some(())
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.1.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.1 = rest;
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
                };
                if !field("event: ").is_empty() {
                    let data = serde_json::from_str(field("data: ")).unwrap();
                    return Some((field("id: ").to_owned(), field("event: ").to_owned(), data));
                }
            }
            self.piece().await?;
        }
    }
}

fn deny(fakes: &Fakes, filter: &str) {
    let client = Client { id: "evil\n\ndata: x", ..Client::default() };
    let denied = Denied {
        decision: None,
        plugin: Some("acl"),
        reason: codec::ReasonCode::NotAuthorized,
        cause: &"rule 1 denies it",
    };
    SubscribeDenied { client, filter, denied }.emit(&fakes.metrics);
}

#[tokio::test]
async fn events_arrive_and_those_who_come_back_miss_nothing() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    deny(&fakes, "before");
    let mut stream = Stream::open(&router, "?types=subscribe_denied", None).await;
    AlarmRaised { id: "x", severity: "warning", what: "w" }.emit(&fakes.metrics);
    deny(&fakes, "one");
    let (id, kind, data) = stream.next().await.unwrap();
    assert_eq!(kind, "subscribe_denied");
    assert_eq!((&data["topic"], &data["client_id"]), (&"one".into(), &"evil\n\ndata: x".into()));
    drop(stream);
    deny(&fakes, "two");
    let mut back = Stream::open(&router, "", Some(&id)).await;
    let (_, kind, data) = back.next().await.unwrap();
    assert_eq!((kind.as_str(), &data["topic"]), ("subscribe_denied", &"two".into()));
    let mut lost = Stream::open(&router, "", Some("17-3")).await;
    let (id, kind, _) = lost.next().await.unwrap();
    assert_eq!((id.as_str(), kind.as_str()), ("", "gap"));
}

/// Who sends a component knows its events by the name that it gave the upload.
#[tokio::test]
async fn an_upload_is_seen_going() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    let mut stream = Stream::open(&router, "?types=plugin_upload", None).await;
    let upload = async |method: &str, path: &str, id: Option<&str>| {
        let mut asking = request(method, path).header(header::CONTENT_TYPE, "application/wasm");
        if let Some(id) = id {
            asking = asking.header("Portcullis-Upload", id);
        }
        send(&router, asking.body(Body::from("wasm")).unwrap()).await
    };
    let mut seen = async |stages: &[&str]| {
        let mut last = Value::Null;
        for stage in stages {
            let (_, kind, data) = stream.next().await.unwrap();
            assert_eq!((kind.as_str(), &data["reason"]), ("plugin_upload", &(*stage).into()));
            last = data;
        }
        last
    };
    upload("PUT", "/api/v1/plugins/p", Some("mine-1")).await;
    let last = seen(&["received", "checking", "live_old"]).await;
    assert_eq!((&last["plugin"], &last["target"]), (&"p".into(), &"mine-1".into()));
    upload("POST", "/api/v1/plugins/p/shadow", Some("mine-2")).await;
    assert_eq!(seen(&["received", "testing", "shadow"]).await["target"], "mine-2");
    upload("PUT", "/api/v1/plugins/rejected", None).await.problem(422, "plugin_rejected");
    let last = seen(&["received", "checking", "refused"]).await;
    assert_eq!(last["cause"], "imports too much");
    assert_eq!(last["target"].as_str().unwrap().len(), 16, "it has a name all the same");
    let nothing = request("PUT", "/api/v1/plugins/p").header("Portcullis-Upload", "mine-3");
    send(&router, nothing.body(Body::empty()).unwrap())
        .await
        .problem(415, "unsupported_media_type");
    assert_eq!(seen(&["refused"]).await["target"], "mine-3");
    for bad in ["", "a b", "x\"", &"x".repeat(65)] {
        let problem = upload("PUT", "/api/v1/plugins/p", Some(bad)).await;
        assert_eq!(problem.problem(400, "invalid_request")["parameter"], "Portcullis-Upload");
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_lost() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    let mut stream = Stream::open(&router, "", None).await;
    for number in 0..2_000 {
        deny(&fakes, &number.to_string());
    }
    let mut seen = 0;
    let lost = loop {
        let (_, kind, data) = stream.next().await.unwrap();
        if kind == "gap" {
            break data["lost"].as_u64().unwrap();
        }
        seen += 1;
    };
    let (_, _, next) = stream.next().await.unwrap();
    assert_eq!(next["topic"], (seen + lost).to_string(), "after {seen} and a gap of {lost}");
}

#[tokio::test]
async fn whoever_may_not_see_a_field_sees_a_mask() {
    let fakes = Fakes::new();
    let shared = shared(&fakes);
    let token = blind_token(&shared);
    let router = routes::router(Arc::new(shared));
    let mut asking = request("GET", "/api/v1/events");
    let bearer = format!("Bearer {}", token.as_str()).parse().unwrap();
    asking.headers_mut().unwrap().insert(header::AUTHORIZATION, bearer);
    let response = router.oneshot(asking.body(Body::empty()).unwrap()).await.unwrap();
    let mut stream = Stream(response.into_body(), String::new());
    deny(&fakes, "secret");
    let (_, _, data) = stream.next().await.unwrap();
    for field in ["topic", "client_id", "cause"] {
        assert_eq!(data[field], "***", "{data}");
    }
    let refused =
        AdminRefused { path: "/clients/secret", remote: None, status: 403, cause: &"secret" };
    refused.emit(&fakes.metrics);
    let (_, kind, data) = stream.next().await.unwrap();
    assert_eq!((kind.as_str(), &data["target"]), ("admin_refused", &"***".into()), "{data}");
    assert_eq!(data["cause"], "***");
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_the_api() {
    let fakes = Fakes::new();
    let (stop, stopping) = watch::channel(false);
    let shared = crate::call::Shared { stopping, ..shared(&fakes) };
    let shared = Arc::new(shared);
    let router = routes::router(Arc::clone(&shared));
    let one_more = |token: &str| {
        let mut asking = request("GET", "/api/v1/events");
        let bearer = format!("Bearer {token}").parse().unwrap();
        asking.headers_mut().unwrap().insert(header::AUTHORIZATION, bearer);
        asking.body(Body::empty()).unwrap()
    };
    let mut streams = Vec::new();
    for user in 0..STREAMS_MAX / STREAMS_OF_USER {
        let token = login_as(&shared, &format!("u{user}"), "seer");
        for _ in 0..STREAMS_OF_USER {
            let response = router.clone().oneshot(one_more(&token)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            streams.push(Stream(response.into_body(), String::new()));
        }
        let problem = send(&router, one_more(&token)).await.problem(429, "too_many_requests");
        assert!(problem["detail"].as_str().unwrap().contains("of yours"), "{problem}");
    }
    let token = login_as(&shared, "another", "seer");
    send(&router, one_more(&token)).await.problem(429, "too_many_requests");
    let unknown = request("GET", "/api/v1/events?types=nothing").body(Body::empty()).unwrap();
    let problem = send(&router, unknown).await.problem(400, "invalid_request");
    assert!(problem["allowed"].as_str().unwrap().contains("connected"), "{problem}");
    stop.send_replace(true);
    for mut stream in streams {
        while stream.piece().await.is_some() {}
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_login() {
    let fakes = Fakes::new();
    let shared = Arc::new(shared(&fakes));
    let token = blind_token(&shared);
    let router = routes::router(Arc::clone(&shared));
    let mut asking = request("GET", "/api/v1/events");
    let bearer = format!("Bearer {}", token.as_str()).parse().unwrap();
    asking.headers_mut().unwrap().insert(header::AUTHORIZATION, bearer);
    let response = router.oneshot(asking.body(Body::empty()).unwrap()).await.unwrap();
    let mut stream = Stream(response.into_body(), String::new());
    stream.piece().await.unwrap();
    shared.administrators.close(crate::guard::Offered::Bearer(token.as_bytes()));
    while stream.piece().await.is_some() {}
}

#[tokio::test]
async fn with_nobody_watching_nothing_is_seen() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    let wants = || fakes.metrics.observers.wants(telemetry::HappeningKind::AlarmRaised);
    assert!(!wants());
    let stream = Stream::open(&router, "", None).await;
    assert!(wants());
    drop(stream);
    // The task notices the end, and waits a while for somebody to come back.
    while wants() {
        tokio::task::yield_now().await;
    }
}
