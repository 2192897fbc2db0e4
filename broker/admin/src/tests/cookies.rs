//! Logins of browsers: the cookie, what a change needs beside it, and pages.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use serde_json::json;

use super::{Reply, TOKEN, fakes::Fakes, request, router, send, shared};
use crate::{
    call::json as json_answer,
    guard,
    openapi::Content,
    route::{Access, Permission, Route},
    routes,
};

const ORIGIN: (&str, &str) = ("origin", "http://localhost:9883");

async fn log_in(router: &Router, body: serde_json::Value, more: &[(&str, &str)]) -> Reply {
    let mut request = Request::post("/api/v1/login")
        .header(header::HOST, "localhost:9883")
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

/// The cookie that an answer sets, as the browser sends it back, and what is said of it.
fn cookie(headers: &HeaderMap) -> (String, String) {
    let text = headers[header::SET_COOKIE].to_str().unwrap();
    let (pair, attributes) = text.split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned())
}

/// A browser's login of the holder: its cookie and its csrf.
async fn browser(router: &Router) -> (String, String) {
    let reply = log_in(router, json!({ "token": TOKEN, "cookie": true }), &[ORIGIN]).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let csrf = reply.json()["csrf"].as_str().unwrap().to_owned();
    (cookie(&reply.headers).0, csrf)
}

async fn with(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(header::HOST, "localhost:9883");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_holder_of_the_token_gets_a_cookie_and_no_token() {
    let router = router(&Fakes::new());
    let body = json!({ "token": TOKEN, "cookie": true });
    let reply = log_in(&router, body.clone(), &[ORIGIN]).await;
    let login = reply.json();
    assert_eq!((&login["token"], &login["user"]), (&json!(null), &json!(null)));
    let (pair, attributes) = cookie(&reply.headers);
    assert!(!reply.text.contains(pair.split_once('=').unwrap().1), "{}", reply.text);
    assert_eq!(attributes, "Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
    let https = [("origin", "https://localhost:9883")];
    let (_, attributes) = cookie(&log_in(&router, body, &https).await.headers);
    assert_eq!(attributes, "Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
    let me = with(&router, "GET", "/api/v1/login", &[("cookie", &pair)]).await.json();
    assert_eq!(me["csrf"], login["csrf"]);
    assert!(me["expires_at"].as_u64().is_some());
    let others = format!("a=b; {pair};c=d");
    assert_eq!(with(&router, "GET", "/metrics", &[("cookie", &others)]).await.status, 200);
}

#[tokio::test]
async fn what_is_no_login_is_refused() {
    let router = router(&Fakes::new());
    for body in [
        json!({ "token": TOKEN }),
        json!({ "token": TOKEN, "username": "a", "password": "b", "cookie": true }),
        json!({ "token": "", "cookie": true }),
        json!({ "username": "a", "cookie": true }),
        json!({ "cookie": true }),
        json!({}),
    ] {
        let reply = log_in(&router, body, &[]).await;
        reply.problem(400, "invalid_request");
        assert!(!reply.headers.contains_key(header::SET_COOKIE));
    }
    let mut refused = Vec::new();
    for _ in 0..6 {
        let reply = log_in(&router, json!({ "token": "wrong", "cookie": true }), &[]).await;
        refused.push(reply.status.as_u16());
    }
    assert_eq!(refused, [401, 401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn a_change_needs_the_csrf_and_a_page_of_ours() {
    let fakes = Fakes::new();
    let router = router(&fakes);
    let (cookie, csrf) = browser(&router).await;
    let (_, other) = browser(&router).await;
    let path = "/api/v1/plugins/acl-file/disable";
    let site = ("sec-fetch-site", "same-origin");
    for headers in [
        &[][..],
        &[ORIGIN],
        &[("x-csrf-token", "")],
        &[ORIGIN, ("x-csrf-token", &other)],
        &[ORIGIN, ("x-csrf-token", &csrf[1..])],
        &[ORIGIN, ("x-csrf-token", &csrf), ("x-csrf-token", &csrf)],
        &[("x-csrf-token", &csrf)],
        &[("x-csrf-token", &csrf), ("sec-fetch-site", "none")],
        &[("x-csrf-token", &csrf), ("sec-fetch-site", "same-site"), ORIGIN],
        &[("x-csrf-token", &csrf), ("sec-fetch-site", "cross-site")],
    ] {
        let headers = [headers, &[("cookie", &cookie)]].concat();
        with(&router, "POST", path, &headers).await.problem(403, "csrf");
    }
    assert!(fakes.asked().is_empty(), "{:?}", fakes.asked());
    let foreign =
        [("cookie", &*cookie), ("x-csrf-token", &csrf), ("origin", "http://evil.example")];
    with(&router, "POST", path, &foreign).await.problem(403, "foreign_origin");
    for page in [ORIGIN, site] {
        let headers = [("cookie", &*cookie), ("x-csrf-token", &csrf), page];
        assert_eq!(with(&router, "POST", path, &headers).await.status, 200, "{page:?}");
    }
    assert_eq!(fakes.asked().len(), 2);
}

#[tokio::test]
async fn one_of_cookie_and_header_and_one_cookie() {
    let router = router(&Fakes::new());
    let (cookie, _) = browser(&router).await;
    let both = request("GET", "/api/v1/status").header(header::COOKIE, &cookie);
    send(&router, both.body(Body::empty()).unwrap()).await.problem(400, "invalid_request");
    let two = format!("{cookie}; {cookie}");
    let reply = with(&router, "GET", "/api/v1/status", &[("cookie", &two)]).await;
    reply.problem(400, "invalid_request");
    let token = cookie.split_once('=').unwrap().1;
    let bearer = [("authorization", &*format!("Bearer {token}"))];
    with(&router, "GET", "/api/v1/status", &bearer).await.problem(401, "unauthorized");
    let holder = [("cookie", &*format!("portcullis_session={TOKEN}"))];
    with(&router, "GET", "/api/v1/status", &holder).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_browser_logs_out() {
    let router = router(&Fakes::new());
    let (pair, csrf) = browser(&router).await;
    let headers = [("cookie", &*pair), ("x-csrf-token", &csrf), ORIGIN];
    with(&router, "DELETE", "/api/v1/login", &headers[..1]).await.problem(403, "csrf");
    let reply = with(&router, "DELETE", "/api/v1/login", &headers).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let gone = "portcullis_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict";
    assert_eq!(reply.headers[header::SET_COOKIE], gone);
    with(&router, "GET", "/api/v1/login", &headers).await.problem(401, "unauthorized");
}

static PAGES: &[Route] = &[
    Route::get("/clients", Access::Needs(Permission::ClientsRead), "Clients", |call| {
        Box::pin(async move { json_answer(StatusCode::OK, &call.who()?.csrf) })
    })
    .answers(Content::text("text/html; charset=utf-8"))
    .page(),
    Route::post("/clients", Access::Needs(Permission::ClientsRead), "Form", |_| {
        Box::pin(async { json_answer(StatusCode::OK, &()) })
    })
    .page(),
];

#[tokio::test]
async fn a_stranger_who_wants_a_page_logs_in_and_comes_back() {
    let router = routes::router_of(PAGES, Arc::new(shared(&Fakes::new())));
    let reply = with(&router, "GET", "/clients?prefix=a%2Fb&x='", &[]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
    let next = "/login?next=/clients%3Fprefix%3Da%252Fb%26x%3D%27";
    assert_eq!(reply.headers[header::LOCATION], next);
    let stale = [("cookie", "portcullis_session=gone")];
    let reply = with(&router, "GET", "/clients", &stale).await;
    assert_eq!(reply.headers[header::LOCATION], "/login?next=/clients");
    with(&router, "POST", "/clients", &[]).await.problem(401, "unauthorized");
    let policy = reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert_eq!(
        policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
}

#[tokio::test]
async fn pages_have_their_policy_and_the_api_its_own() {
    let shared = Arc::new(shared(&Fakes::new()));
    let (pages, api) = (routes::router_of(PAGES, Arc::clone(&shared)), routes::router(shared));
    let (cookie, csrf) = browser(&api).await;
    let page = with(&pages, "GET", "/clients", &[("cookie", &cookie)]).await;
    assert_eq!(page.json(), json!(csrf));
    let policy =
        |reply: &Reply| reply.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy(&page).contains("script-src 'self';") && !policy(&page).contains("unsafe"));
    let status = with(&api, "GET", "/api/v1/status", &[("cookie", &cookie)]).await;
    assert_eq!(policy(&status), "default-src 'none'; frame-ancestors 'none'");
    with(&pages, "POST", "/clients", &[("cookie", &cookie)]).await.problem(403, "csrf");
}

#[test]
fn only_paths_of_this_host_are_led_back_to() {
    for path in ["/", "/clients?a=b", "/a//b", "/a/%2e%2e"] {
        assert!(guard::is_own_path(path), "{path}");
    }
    let long = format!("/{}", "a".repeat(2_048));
    for path in [
        "",
        "clients",
        "//evil.example",
        "/\\evil.example",
        "/a\\b",
        "http://evil.example",
        "/a b",
        "/a\nb",
        "/ä",
        "/\t/evil.example",
        &long,
    ] {
        assert!(!guard::is_own_path(path), "{path}");
    }
}
