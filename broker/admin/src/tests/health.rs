//! Health checks, status, listeners and metrics.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::Body,
    http::{StatusCode, header},
};

use super::{ask, fakes::Fakes, request, router, send, shared};
use crate::routes;

#[tokio::test]
async fn ready_with_a_warning() {
    let reply = ask(&Fakes::new(), "GET", "/readyz").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        reply.json(),
        serde_json::json!({
            "ready": true, "problems": [], "warnings": ["only deny-all is in the chain"],
        })
    );
}

#[tokio::test]
async fn not_ready_tells_every_problem_while_live() {
    let fakes = Fakes::new();
    fakes.broker.unbound.store(true, Ordering::Relaxed);
    fakes.plugins.not_ready.lock().unwrap().push("acl-file: no file".to_owned());
    let mut shared = shared(&fakes);
    shared.state.ready_checks.push(Box::new(|| vec!["the store is read-only".to_owned()]));
    let router = routes::router(Arc::new(shared));
    let get = |path| request("GET", path).body(Body::empty()).unwrap();
    let reply = send(&router, get("/readyz")).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let problems = ["no listener is bound", "acl-file: no file", "the store is read-only"];
    assert_eq!(reply.json()["problems"], serde_json::json!(problems));
    assert_eq!(reply.json()["ready"], false);
    assert_eq!(send(&router, get("/livez")).await.status, StatusCode::OK);
    assert_eq!(send(&router, get("/api/v1/status")).await.json()["problems"][0], problems[0]);
    assert!(send(&router, get("/metrics")).await.text.contains("\nportcullis_ready 0.0\n"));
}

#[tokio::test]
async fn status_and_listeners() {
    let fakes = Fakes::new();
    let status = ask(&fakes, "GET", "/api/v1/status").await.json();
    for (name, value) in [
        ("connections", 2),
        ("sessions", 3),
        ("subscriptions", 4),
        ("retained_messages", 5),
        ("retained_bytes", 6),
        ("chain_generation", 1),
    ] {
        assert_eq!(status[name], value, "{name}");
    }
    let listeners = ask(&fakes, "GET", "/api/v1/listeners").await.json();
    let link = serde_json::json!({
        "plugin": "acl-file", "generation": "0123abcd", "control": "required", "live": false,
    });
    assert_eq!(
        listeners,
        serde_json::json!({ "listeners": [{
            "name": "mqtt", "transport": "tcp", "address": "127.0.0.1:1883", "connections": 2,
            "chain": [link],
        }], "admin_chain": null })
    );
}

#[tokio::test]
async fn metrics_hold_counters_and_current_numbers() {
    let fakes = Fakes::new();
    fakes.metrics.bytes_received.inc_by(12);
    ask(&fakes, "GET", "/nowhere").await;
    let reply = ask(&fakes, "GET", "/metrics").await;
    for line in [
        "portcullis_bytes_received_total 12",
        "portcullis_admin_requests_total{status=\"404\"} 1",
        "portcullis_sessions 3.0",
        "portcullis_listener_connections{listener=\"mqtt\"} 2.0",
        "portcullis_chain_generation 1.0",
        "portcullis_plugin_calls_total{plugin=\"acl-file\"} 10.0",
        "portcullis_plugin_failures_total{plugin=\"acl-file\"} 1.0",
        "portcullis_plugin_call_seconds_total{plugin=\"acl-file\"} 2.5",
        "portcullis_plugin_generations_total{plugin=\"acl-file\"} 2.0",
        "portcullis_plugin_loads_total{plugin=\"acl-file\"} 5.0",
        "portcullis_plugin_load_failures_total{plugin=\"acl-file\"} 3.0",
        "portcullis_plugin_call_failures_total{plugin=\"acl-file\",kind=\"deadline\"} 1.0",
        "portcullis_plugin_state{plugin=\"acl-file\",state=\"live_old\"} 1.0",
        "portcullis_plugin_state{plugin=\"acl-file\",state=\"live\"} 0.0",
        "portcullis_ready 1.0",
    ] {
        assert!(reply.text.lines().any(|found| found == line), "no {line}\n{}", reply.text);
    }
    assert!(reply.text.contains("\nprocess_resident_memory_bytes "), "{}", reply.text);
    assert!(reply.text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn metrics_are_called_what_the_reader_asked_for() {
    let fakes = Fakes::new();
    for (accept, expected) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let request = request("GET", "/metrics").header(header::ACCEPT, accept);
        let reply = send(&router(&fakes), request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.headers[header::CONTENT_TYPE], expected);
    }
}
