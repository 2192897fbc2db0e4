//! Listing and changing plugins.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use telemetry::events;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::{Reply, ask, fakes::Fakes, log::Lines, request, router, send, shared};
use crate::{plugins::upload::WASM_BYTES_MAX, routes};

fn put(name: &str, content_type: &str, body: Body) -> Request<Body> {
    request("PUT", &format!("/api/v1/plugins/{name}"))
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .unwrap()
}

async fn upload(fakes: &Fakes, name: &str, content_type: &str, bytes: usize) -> Reply {
    send(&router(fakes), put(name, content_type, Body::from(vec![0; bytes]))).await
}

#[tokio::test]
async fn one_and_all() {
    let fakes = Fakes::new();
    let one = ask(&fakes, "GET", "/api/v1/plugins/acl-file").await.json();
    assert_eq!(
        one,
        serde_json::json!({
            "name": "acl-file", "state": "live_old", "generation": "0123abcd", "generations": 2,
            "described": { "name": "ACL", "version": "1.0" }, "hooks": ["authorizer"],
            "imports": ["log"], "order": 100, "control": "sufficient",
            "error": "the newest file is no component",
            "calls": 10, "failures": 1, "call_microseconds": 2500000,
            "breaker": { "open": false, "open_addresses": 1, "opened": 2, "refused": 3 },
            "hook_calls": [{ "hook": "authorizer", "calls": 10, "mean_seconds": 0.0025 }],
            "pool": { "places": 8, "in_use": 2, "idle": 3, "waiting": 1, "made": 5 },
            "memory_peak_bytes": 131_072,
            "memory_max_bytes": 1_048_576,
            "grants": [{ "key": "secrets", "values": ["db"] }],
            "version": "89ab", "on_probation": false,
            "waiting": { "version": "cdef", "asks": ["state"] },
            "held": { "version": "89ab", "because": "probation" },
            "kept": [{ "version": "89ab", "proven": true, "since_unix": 1_700_000_000,
                       "described": { "name": "ACL", "version": "1.0" } }],
        })
    );
    let all = ask(&fakes, "GET", "/api/v1/plugins").await.json();
    assert_eq!(all, serde_json::json!({ "plugins": [one] }));
    ask(&fakes, "GET", "/api/v1/plugins/nothing").await.problem(404, "not_found");
}

#[tokio::test]
async fn changes_reach_the_manager() {
    let fakes = Fakes::new();
    let verbs = ["reload", "rollback", "approve", "approve?version=ab", "disable", "enable"];
    for verb in verbs {
        let reply = ask(&fakes, "POST", &format!("/api/v1/plugins/x_1/{verb}")).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.json()["name"], "x_1");
    }
    let reply = ask(&fakes, "DELETE", "/api/v1/plugins/x_1").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let reply = upload(&fakes, "x_1", "application/wasm", 7).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        fakes.asked(),
        [
            "reload x_1",
            "rollback x_1",
            "approve x_1",
            "approve ab of x_1",
            "disable x_1",
            "enable x_1",
            "forget x_1",
            "upload 7 bytes as x_1"
        ]
    );
}

#[tokio::test]
async fn a_component_brings_its_signature() {
    let fakes = Fakes::new();
    let upload = async |signature: String| {
        let put = request("PUT", "/api/v1/plugins/x")
            .header(header::CONTENT_TYPE, "application/wasm")
            .header("Portcullis-Signature", signature)
            .body(Body::from("wasm"))
            .unwrap();
        send(&router(&fakes), put).await
    };
    let reply = upload(BASE64_STANDARD.encode("ed25519 a b\n")).await;
    assert_eq!(reply.status, StatusCode::OK);
    let large = BASE64_STANDARD.encode("x".repeat(16 * 1024 + 1));
    for bad in ["no base64", &BASE64_STANDARD.encode([0xff]), &large] {
        let problem = upload(bad.to_owned()).await.problem(400, "invalid_request");
        assert!(problem["detail"].as_str().unwrap().starts_with("Portcullis-Signature: "));
    }
    assert_eq!(fakes.asked(), ["upload 4 bytes signed \"ed25519 a b\\n\" as x"]);
}

#[tokio::test]
async fn candidates() {
    let fakes = Fakes::new();
    let path = "/api/v1/plugins/x/shadow";
    let report = ask(&fakes, "GET", path).await.json();
    assert_eq!((&report["calls"], &report["by_hook"]["authenticate"]), (&9.into(), &1.into()));
    assert_eq!(report["last"][0]["lines"][0], "x");
    ask(&fakes, "GET", "/api/v1/plugins/missing/shadow").await.problem(404, "not_found");
    let post = request("POST", path)
        .header(header::CONTENT_TYPE, "application/wasm")
        .body(Body::from("wasm"))
        .unwrap();
    assert_eq!(send(&router(&fakes), post).await.status, StatusCode::OK);
    ask(&fakes, "POST", "/api/v1/plugins/x/promote").await.json();
    assert_eq!(ask(&fakes, "DELETE", path).await.status, StatusCode::NO_CONTENT);
    let expected = ["shadow of 4 bytes for x", "promote x", "drop the shadow of x"];
    assert_eq!(fakes.asked(), expected);
}

#[tokio::test]
async fn failures_of_the_manager_keep_their_kind() {
    let fakes = Fakes::new();
    for (name, status, kind) in [
        ("missing", 404, "not_found"),
        ("bad", 400, "invalid_request"),
        ("rejected", 422, "plugin_rejected"),
        ("broken", 500, "internal"),
    ] {
        let path = format!("/api/v1/plugins/{name}");
        ask(&fakes, "POST", &format!("{path}/reload")).await.problem(status, kind);
        ask(&fakes, "DELETE", &path).await.problem(status, kind);
        upload(&fakes, name, "application/wasm", 1).await.problem(status, kind);
    }
}

#[tokio::test]
async fn names_that_could_leave_the_folder() {
    let fakes = Fakes::new();
    let long = "x".repeat(65);
    for name in ["..%2Fx", "%2Fetc%2Fx", "x.wasm", "x%00", "%C3%A4", "a%20b", long.as_str()] {
        let problem = upload(&fakes, name, "application/wasm", 1).await;
        let problem = problem.problem(400, "invalid_request");
        assert_eq!(problem["parameter"], "name");
        let reply = ask(&fakes, "POST", &format!("/api/v1/plugins/{name}/enable")).await;
        reply.problem(400, "invalid_request");
    }
    assert!(fakes.asked().is_empty());
}

#[tokio::test]
async fn uploads_have_bounds() {
    let fakes = Fakes::new();
    let reply = upload(&fakes, "x", "application/wasm", WASM_BYTES_MAX + 1).await;
    assert_eq!(reply.problem(413, "body_too_large")["allowed"], "at most 33554432 bytes");
    let reply = upload(&fakes, "x", "application/octet-stream", 1).await;
    assert_eq!(reply.problem(415, "unsupported_media_type")["allowed"], "application/wasm");
    assert!(fakes.asked().is_empty());
    let reply = upload(&fakes, "x", "application/wasm", WASM_BYTES_MAX).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn further_uploads_are_told_to_wait() {
    let fakes = Fakes::new();
    let shared = Arc::new(shared(&fakes));
    let router = routes::router(shared.clone());
    let put = || {
        request("PUT", "/api/v1/plugins/x")
            .header(header::CONTENT_TYPE, "application/wasm")
            .body(Body::from("x"))
            .unwrap()
    };
    let taken = shared.uploads.clone().try_acquire_many_owned(2).unwrap();
    let reply = send(&router, put()).await;
    reply.problem(503, "busy");
    assert_eq!(reply.headers[header::RETRY_AFTER], "5");
    drop(taken);
    for _ in 0..3 {
        assert_eq!(send(&router, put()).await.status, StatusCode::OK);
    }
}

/// Lets other tasks of this test run until it is so: one of them waits for a thread that writes.
async fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never came to that");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_change_has_its_line_though_its_caller_went_away() {
    let lines = Lines::default();
    let fakes = Fakes::new();
    let action =
        events::AdminAction { route: "-", target: None, user: None, remote: None, status: 200 };
    let _guard = lines.listen(|| action.emit(&fakes.metrics));
    let hold = Arc::new(Semaphore::new(0));
    *fakes.plugins.hold.lock().unwrap() = Some(Arc::clone(&hold));
    let upload = router(&fakes).oneshot(put("x", "application/wasm", Body::from("x")));
    tokio::select! {
        answer = upload => panic!("{answer:?} before the change was made"),
        () = until(|| !fakes.asked().is_empty()) => {}
    }
    hold.add_permits(1);
    until(|| !lines.of("admin action").is_empty()).await;
    let [line] = lines.of("admin action").try_into().unwrap();
    for expect in ["route=\"PUT /api/v1/plugins/{name}\"", "target_of=x ", "status=200"] {
        assert!(line.contains(expect), "{expect}: {line}");
    }
}

#[tokio::test]
async fn a_change_of_another_state_is_refused() {
    let fakes = Fakes::new();
    let shown = ask(&fakes, "GET", "/api/v1/plugins/acl-file").await;
    let tag = shown.headers[header::ETAG].clone();
    let change = async |tag: &str| {
        let asking = request("POST", "/api/v1/plugins/acl-file/reload")
            .header(header::IF_MATCH, tag)
            .body(Body::empty());
        send(&router(&fakes), asking.unwrap()).await
    };
    let changed = change(tag.to_str().unwrap()).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.headers[header::ETAG], tag, "good for the next change");
    let asking = put("acl-file", "application/wasm", Body::from("x"));
    assert_eq!(send(&router(&fakes), asking).await.headers[header::ETAG], tag);
    let report = ask(&fakes, "GET", "/api/v1/plugins/acl-file/shadow").await;
    assert_eq!(report.headers[header::ETAG], tag, "whoever read it promotes what it is about");
    change("\"other\"").await.problem(412, "changed_meanwhile");
    change("other").await.problem(400, "invalid_request");
    let mut asking = put("acl-file", "application/wasm", Body::from("x"));
    asking.headers_mut().insert(header::IF_MATCH, "\"other\"".parse().unwrap());
    send(&router(&fakes), asking).await.problem(412, "changed_meanwhile");
    assert_eq!(fakes.asked(), ["reload acl-file", "upload 1 bytes as acl-file"]);
}
