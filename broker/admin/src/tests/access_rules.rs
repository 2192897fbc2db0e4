//! Who gets in: every route against every kind of stranger.

use axum::{
    body::Body,
    http::{Request, StatusCode, Version, header},
};

use super::{TOKEN, ask, fakes::Fakes, request, router, send};
use crate::{
    guard::Hosts,
    route::{Access, Route},
    routes::{self, ROUTES},
};

pub(super) fn path_of(route: &Route) -> String {
    let path = route.path.replace("{client_id}", "a").replace("{name}", "acl-file");
    path.replace("{ring}", "devices")
        .replace("{key}", "1")
        .replace("{user}", "alice")
        .replace("{role}", "viewer")
        .replace("{topic}", "open%2Ft")
}

#[tokio::test]
async fn every_route_but_the_health_checks_needs_the_token() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    let mut open = Vec::new();
    for route in ROUTES {
        for authorization in [
            None,
            Some("Bearer wrong".to_owned()),
            Some("Bearer ".to_owned()),
            Some(format!("Bearer {TOKEN}x")),
            Some(format!("Bearer {}", &TOKEN[1..])),
            Some(format!("Basic {TOKEN}")),
            Some(TOKEN.to_owned()),
        ] {
            let mut request = Request::builder()
                .method(route.verb.name())
                .uri(path_of(route))
                .header(header::HOST, "localhost");
            if let Some(authorization) = &authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let reply = send(&router, request.body(Body::empty()).unwrap()).await;
            if matches!(route.access, Access::Open) {
                // A login without a body.
                let expect = match route.path {
                    "/api/v1/login" => 415,
                    path if path.starts_with("/api/v1/login/oidc") => 404,
                    _ => 200,
                };
                assert_eq!(reply.status, expect, "{}", route.path);
                open.push(route.path);
                continue;
            }
            reply.problem(401, "unauthorized");
            let challenge = &reply.headers[header::WWW_AUTHENTICATE];
            assert_eq!(challenge, "Bearer realm=\"portcullis\"");
        }
    }
    open.dedup();
    let oidc = ["/api/v1/login/oidc", "/api/v1/login/oidc/callback"];
    assert_eq!(open, [&["/livez", "/readyz", "/api/v1/login"][..], &oidc].concat());
    assert!(fakes.asked().is_empty(), "a stranger reached a handler: {:?}", fakes.asked());
    assert!(fakes.broker.disconnected.lock().unwrap().is_empty());
    assert!(fakes.broker.asked.lock().unwrap().is_empty());
    assert!(fakes.keys.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_route_answers_its_token() {
    let fakes = Fakes::new();
    for route in ROUTES {
        if route.path == "/api/v1/events" {
            // Its answer has no end.
            continue;
        }
        let reply = ask(&fakes, route.verb.name(), &path_of(route)).await;
        assert_ne!(reply.status, StatusCode::UNAUTHORIZED, "{}", route.path);
        assert!(!reply.text.contains("there is no route"), "{}", route.path);
        assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{}", route.path);
    }
}

#[test]
fn no_line_of_the_table_is_there_twice() {
    let mut lines: Vec<_> = ROUTES.iter().map(|route| (route.path, route.verb.name())).collect();
    let routes = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), routes);
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let request = request("GET", "/api/v1/status")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .unwrap();
    send(&router(&Fakes::new()), request).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn the_scheme_is_not_case_sensitive() {
    let request = Request::get("/api/v1/status")
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("bEARER  {TOKEN}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&router(&Fakes::new()), request).await.status, StatusCode::OK);
}

/// The status that a request to the open `/livez` gets with these headers.
async fn with(hosts: &[&str], origin: Option<&str>) -> u16 {
    let mut request = Request::get("/livez");
    for host in hosts {
        request = request.header(header::HOST, *host);
    }
    if let Some(origin) = origin {
        request = request.header(header::ORIGIN, origin);
    }
    let reply = send(&router(&Fakes::new()), request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    reply.status.as_u16()
}

#[tokio::test]
async fn only_names_of_this_server_are_answered() {
    for host in [
        "localhost",
        "LOCALHOST:1",
        "localhost.:9883",
        "127.0.0.1:9883",
        "127.8.8.8",
        "[::1]:9883",
        "broker.example:80",
        "Broker.Example",
    ] {
        assert_eq!(with(&[host], None).await, 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "broker.example.evil",
        "[::2]",
    ] {
        assert_eq!(with(&[host], None).await, 421, "{host}");
    }
    for hosts in [&[][..], &["localhost", "localhost"], &[""], &["user@localhost"], &["a b"]] {
        assert_eq!(with(hosts, None).await, 400, "{hosts:?}");
    }
}

#[tokio::test]
async fn a_whole_address_in_the_request_line_is_checked_too() {
    let request = Request::get("http://evil.example/livez")
        .header(header::HOST, "localhost")
        .body(Body::empty())
        .unwrap();
    send(&router(&Fakes::new()), request).await.problem(421, "unknown_host");
}

#[tokio::test]
async fn http_1_0_may_leave_the_host_out() {
    let request = Request::get("/livez").version(Version::HTTP_10).body(Body::empty()).unwrap();
    assert_eq!(send(&router(&Fakes::new()), request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let host = &["localhost:9883"][..];
    assert_eq!(with(host, Some("http://localhost:9883")).await, 200);
    assert_eq!(with(host, Some("https://LOCALHOST:9883")).await, 200);
    for origin in [
        "http://localhost:8080",
        "http://localhost",
        "http://evil.example",
        "null",
        "",
        "localhost:9883",
        "file://",
    ] {
        assert_eq!(with(host, Some(origin)).await, 403, "{origin}");
    }
}

#[tokio::test]
async fn an_address_that_others_reach_is_no_reason_to_answer_to_any_name() {
    let mut shared = super::shared(&Fakes::new());
    shared.hosts = Hosts::new([192, 0, 2, 1].into(), &["broker.example".to_owned()]);
    let router = routes::router(shared.into());
    for (host, status) in [
        ("evil.example", 421),
        ("192.0.2.2", 421),
        ("192.0.2.1:9883", 200),
        ("Broker.Example", 200),
        ("localhost", 200),
    ] {
        let request = Request::get("/livez").header(header::HOST, host).body(Body::empty());
        let reply = send(&router, request.unwrap()).await;
        assert_eq!(reply.status, status, "{host}");
        assert!(status == 200 || reply.text.contains("one of [admin] names"), "{}", reply.text);
    }
}

#[tokio::test]
async fn metrics_are_open_only_if_configured() {
    let fakes = Fakes::new();
    let ask = || Request::get("/metrics").header(header::HOST, "localhost").body(Body::empty());
    send(&router(&fakes), ask().unwrap()).await.problem(401, "unauthorized");
    let mut shared = super::shared(&fakes);
    shared.metrics_open = true;
    let open = routes::router(shared.into());
    assert_eq!(send(&open, ask().unwrap()).await.status, StatusCode::OK);
}
