//! Errors: always a problem document, always with the security headers.

use axum::{
    body::Body,
    http::{StatusCode, header},
};

use super::{ask, fakes::Fakes, post, request, router, send};

#[tokio::test]
async fn unknown_paths() {
    let fakes = Fakes::new();
    for path in ["/api", "/api/v1/", "/api/v1/clients/", "/api/v1/clients/a/b", "/livez/"] {
        ask(&fakes, "GET", path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn unknown_methods_name_the_known_ones() {
    let fakes = Fakes::new();
    for (method, path, allowed) in [
        ("POST", "/livez", "GET"),
        ("PATCH", "/api/v1/plugins/x", "GET, PUT, DELETE"),
        ("OPTIONS", "/api/v1/permissions/can", "POST"),
        ("DELETE", "/api/v1/clients/a%2Fb", "GET"),
    ] {
        let reply = ask(&fakes, method, path).await;
        let problem = reply.problem(405, "method_not_allowed");
        assert_eq!(problem["allowed"], allowed);
        assert_eq!(reply.headers.get_all(header::ALLOW).iter().count(), 1);
        assert_eq!(reply.headers[header::ALLOW], allowed);
    }
}

#[tokio::test]
async fn bad_queries() {
    let fakes = Fakes::new();
    for query in ["limit=0", "limit=1001"] {
        let reply = ask(&fakes, "GET", &format!("/api/v1/clients?{query}")).await;
        let problem = reply.problem(400, "invalid_request");
        assert_eq!(problem["parameter"], "limit");
        assert_eq!(problem["allowed"], "1 to 1000");
    }
    for query in ["limit=-1", "limit=x", "limit=", "colour=red", "limit=1&limit=2"] {
        let reply = ask(&fakes, "GET", &format!("/api/v1/clients?{query}")).await;
        reply.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn bad_bodies() {
    let fakes = Fakes::new();
    let nested = "[".repeat(10_000);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"client_id\":\"a\"}",
        "{\"client_id\":\"a\",\"action\":\"fly\",\"topic\":\"t\"}",
        "{\"client_id\":\"a\",\"action\":\"publish\",\"topic\":\"t\",\"x\":1}",
        "{\"client_id\":\"a\",\"action\":\"publish\",\"topic\":\"t\",\"qos\":300}",
        nested.as_str(),
    ] {
        let reply = post(&fakes, "/api/v1/permissions/can", body).await;
        reply.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn bodies_of_another_type() {
    for content_type in [None, Some("text/plain"), Some("application/jsonx"), Some("")] {
        let mut request = request("POST", "/api/v1/permissions/can");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let reply = send(&router(&Fakes::new()), request.body(Body::from("{}")).unwrap()).await;
        let problem = reply.problem(415, "unsupported_media_type");
        assert_eq!(problem["allowed"], "application/json");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let fakes = Fakes::new();
    let large = "x".repeat(65 * 1024);
    let reply = post(&fakes, "/api/v1/permissions/can", &large).await;
    let problem = reply.problem(413, "body_too_large");
    assert_eq!(problem["allowed"], "at most 65536 bytes");
    // Announced, never sent: refused without waiting for it.
    let request = request("POST", "/api/v1/permissions/can")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, "99999999999")
        .body(Body::empty())
        .unwrap();
    send(&router(&fakes), request).await.problem(413, "body_too_large");
}

#[tokio::test]
async fn paths_that_are_not_utf_8() {
    ask(&Fakes::new(), "GET", "/api/v1/clients/%ff").await.problem(400, "invalid_request");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let fakes = Fakes::new();
    for path in ["/livez", "/nowhere", "/api/v1/clients", "/api/v1/clients/nobody", "/metrics"] {
        let reply = ask(&fakes, "GET", path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.headers[name], value, "{path}");
        }
    }
}

#[tokio::test]
async fn head_answers_without_a_body() {
    let reply = ask(&Fakes::new(), "HEAD", "/api/v1/status").await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, ""));
}
