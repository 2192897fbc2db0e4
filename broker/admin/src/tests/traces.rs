//! Traces through the API.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use codec::{Packet, Publish};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use telemetry::{Direction, PacketRecord, Traced};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{ask, fakes::Fakes, holdings::login_as, post, request, router, send, shared};
use crate::{call::Shared, guard::Offered, routes};

fn publish(fakes: &Fakes) {
    let packet = Packet::Publish(Publish::new("a/b", b"secret"));
    let traced = Traced { client_id: "d1", principal: Some("ann"), address: None };
    let (direction, packet) = (Direction::Received, &packet);
    let record = PacketRecord { traced, direction, packet, bytes: 13, topic: None };
    let traces = &fakes.metrics.traces;
    traces.note_packet(&traces.about(&traced), &record);
}

/// The records in the file once there are so many.
pub(super) async fn records(fakes: &Fakes, id: u64, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/traces/{id}/download");
    let begun = std::time::Instant::now();
    loop {
        let reply = ask(fakes, "GET", &path).await;
        assert_eq!(reply.headers["content-type"], "application/x-ndjson");
        let found: Vec<_> =
            reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if found.len() >= count {
            return found;
        }
        assert!(begun.elapsed().as_secs() < 10, "the records never came");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_trace_is_made_read_stopped_and_removed() {
    let fakes = Fakes::new();
    let body = json!({ "name": "why", "client_id": "d*", "payload_bytes": 3 }).to_string();
    let made = post(&fakes, "/api/v1/traces", &body).await.json();
    let id = made["id"].as_u64().unwrap();
    assert_eq!((&made["state"], &made["payload_bytes"]), (&"running".into(), &3.into()));
    publish(&fakes);
    let found = records(&fakes, id, 1).await;
    assert_eq!((&found[0]["topic"], &found[0]["payload_hex"]), (&"a/b".into(), &"736563".into()));
    let one = format!("/api/v1/traces/{id}");
    assert_eq!(ask(&fakes, "GET", &one).await.json()["records"], 1);
    let stopped = ask(&fakes, "PUT", &format!("{one}/stop")).await.json();
    assert_eq!(stopped["state"], "stopped");
    // Of an ended trace the stream ends too.
    let live = ask(&fakes, "GET", &format!("{one}/live")).await;
    assert_eq!(live.headers["content-type"], "text/event-stream");
    let (event, end) = live.text.split_once("\n\nevent: end\n").unwrap();
    assert_eq!(end, "data: {}\n\n");
    let event = event.strip_prefix("retry: 2000\n\n").unwrap();
    let (id, data) = event.split_once("\ndata: {").unwrap();
    assert!(data.ends_with('}'), "{data}");
    // Whoever comes back has what it had.
    let last = id.strip_prefix("id: ").unwrap();
    let back = |last: &str| {
        request("GET", &format!("{one}/live")).header("Last-Event-ID", last).body(Body::empty())
    };
    let rest = send(&router(&fakes), back(last).unwrap()).await;
    assert_eq!(rest.text, "retry: 2000\n\nevent: end\ndata: {}\n\n");
    send(&router(&fakes), back("no number").unwrap()).await.problem(400, "invalid_request");
    assert_eq!(ask(&fakes, "DELETE", &one).await.status, 204);
    ask(&fakes, "GET", &one).await.problem(404, "not_found");
    let rest = ask(&fakes, "GET", "/api/v1/traces").await.json();
    assert_eq!(rest["traces"].as_array().unwrap().len(), 0, "{rest}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let fakes = Fakes::new();
    for (body, field) in [
        (json!({ "name": "x" }), "client_id"),
        (json!({ "name": "", "client_id": "a" }), "name"),
        (json!({ "name": "x", "address": "10.0.0.0/99" }), "address"),
        (json!({ "name": "x", "topic": "a/#/b" }), "topic"),
        (json!({ "name": "x", "client_id": "a", "duration_seconds": 0 }), "end"),
        (json!({ "name": "x", "client_id": "a", "duration_seconds": 86_401 }), "end"),
        (json!({ "name": "x", "client_id": "a", "max_bytes": 1 }), "max_bytes"),
        (json!({ "name": "x", "client_id": "a", "payload_bytes": 65_537 }), "payload_bytes"),
    ] {
        let problem = post(&fakes, "/api/v1/traces", &body.to_string()).await;
        let problem = problem.problem(400, "invalid_request");
        assert!(problem.to_string().contains(field), "{problem}");
    }
    let good = json!({ "name": "x", "address": "192.0.2.1" }).to_string();
    let made = post(&fakes, "/api/v1/traces", &good).await.json();
    assert_eq!(made["address"], "192.0.2.1/32");
    for _ in 0..15 {
        assert_eq!(post(&fakes, "/api/v1/traces", &good).await.status, 200);
    }
    post(&fakes, "/api/v1/traces", &good).await.problem(429, "too_many_requests");
}

/// A live view of a trace that goes on, by somebody who is logged in.
async fn follow(shared: &Arc<Shared>, token: &str, id: u64) -> Body {
    let mut asking = request("GET", &format!("/api/v1/traces/{id}/live"));
    let bearer = format!("Bearer {token}").parse().unwrap();
    asking.headers_mut().unwrap().insert(header::AUTHORIZATION, bearer);
    let router = routes::router(Arc::clone(shared));
    let response = router.oneshot(asking.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body()
}

#[tokio::test]
async fn a_live_view_ends_with_the_login_and_with_the_api() {
    let fakes = Fakes::new();
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared { stopping, ..shared(&fakes) });
    let body = json!({ "name": "why", "client_id": "d*" }).to_string();
    let id = post(&fakes, "/api/v1/traces", &body).await.json()["id"].as_u64().unwrap();
    let (one, two) = (login_as(&shared, "one", "seer"), login_as(&shared, "two", "seer"));
    let (mut ended, mut stopped) =
        (follow(&shared, &one, id).await, follow(&shared, &two, id).await);
    for body in [&mut ended, &mut stopped] {
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "retry: 2000\n\n");
    }
    shared.administrators.close(Offered::Bearer(one.as_bytes()));
    while ended.frame().await.is_some() {}
    assert!(stopped.frame().await.is_some(), "a sign of life");
    stop.send_replace(true);
    while stopped.frame().await.is_some() {}
}
