//! Logging in through a chain, and what the token of a login is good for.

use std::sync::Arc;

use access::{
    AdminAuthenticator, BoxFuture, Chain, Control, Denial, Grant, Hooks, Link, LinkState, Login,
    OnError, Outcome, PluginFailure, PluginFailureKind,
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use codec::ReasonCode;
use serde_json::json;

use super::{Reply, TOKEN, fakes::Fakes, request, send, shared, traces::records};
use crate::routes;

/// Knows `root` with the password `secret`, in a role of the same name as the password behind `role-`.
struct Judge;

impl AdminAuthenticator for Judge {
    fn authenticate_admin<'a>(
        &'a self,
        login: &'a Login,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move {
            let password = std::str::from_utf8(login.password.expose()).unwrap();
            let denied =
                Denial { reason_code: ReasonCode::NotAuthorized, reason: Some("no".to_owned()) };
            match (&*login.username, password.strip_prefix("role-")) {
                (_, Some(role)) => Ok(Outcome::Allow(Grant {
                    principal: Some(login.username.clone()),
                    groups: vec![role.to_owned()],
                    ..Grant::default()
                })),
                ("broken", None) => {
                    let message = "down".to_owned();
                    Err(PluginFailure { kind: PluginFailureKind::Unavailable, message })
                }
                (_, None) => Ok(Outcome::Deny(denied)),
            }
        })
    }
}

/// A router whose chain has this link.
fn with(state: Option<LinkState>) -> Router {
    with_fakes(&Fakes::new(), state)
}

fn with_fakes(fakes: &Fakes, state: Option<LinkState>) -> Router {
    let shared = shared(fakes);
    let links = state.map(|state| Link {
        name: "judge".into(),
        generation: "1".into(),
        control: Control::Sufficient,
        on_error: OnError::Deny,
        state,
    });
    shared.state.gate.set_admin_chain(Chain { links: links.into_iter().collect() });
    routes::router(Arc::new(shared))
}

fn judged() -> Router {
    with(judge())
}

fn judge() -> Option<LinkState> {
    let hooks = Hooks { admin_authenticator: Some(Arc::new(Judge)), ..Hooks::default() };
    Some(LinkState::Live(Box::new(hooks)))
}

/// Its trace has what a plugin said of whoever logs in here; that of a device of the same name has not.
#[tokio::test]
async fn the_trace_of_a_plugin_has_its_logins() {
    let fakes = Fakes::new();
    let router = with_fakes(&fakes, judge());
    let mut traces = Vec::new();
    for about in ["plugin", "principal"] {
        let value = if about == "plugin" { "judge" } else { "root" };
        let body = json!({ "name": about, about: value }).to_string();
        let made = super::post(&fakes, "/api/v1/traces", &body).await.json();
        traces.push(made["id"].as_u64().unwrap());
    }
    log_in(&router, "root", "role-viewer").await;
    log_in(&router, "root", "wrong").await;
    let found = records(&fakes, traces[0], 2).await;
    let verdicts: Vec<_> = found.iter().map(|record| record["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["allow", "deny"]);
    assert!(found.iter().all(|record| record["hook"] == "admin-authenticator"), "{found:?}");
    let path = format!("/api/v1/traces/{}", traces[1]);
    let other = super::ask(&fakes, "GET", &path).await.json();
    assert_eq!(other["records"], 0, "{other}");
}

async fn log_in(router: &Router, username: &str, password: &str) -> Reply {
    let body = json!({ "username": username, "password": password }).to_string();
    let request = Request::builder()
        .method("POST")
        .uri("/api/v1/login")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    send(router, request.body(Body::from(body)).unwrap()).await
}

async fn ask(router: &Router, method: &str, path: &str, token: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    send(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_login_may_what_its_role_says_until_it_logs_out() {
    let router = judged();
    let reply = log_in(&router, "root", "role-viewer").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let login = reply.json();
    assert_eq!((&login["user"], &login["roles"]), (&json!("root"), &json!(["viewer"])));
    assert_eq!(login["permissions"], json!(["clients:read"]));
    let token = login["token"].as_str().unwrap();
    let me = ask(&router, "GET", "/api/v1/login", token).await.json();
    assert_eq!((&me["user"], &me["token"]), (&json!("root"), &json!(null)));
    assert_eq!(ask(&router, "GET", "/api/v1/clients", token).await.status, StatusCode::OK);
    for (method, path) in [
        ("GET", "/api/v1/plugins"),
        ("DELETE", "/api/v1/clients/a/connection"),
        ("POST", "/api/v1/plugins/acl-file/disable"),
        ("GET", "/metrics"),
    ] {
        let problem = ask(&router, method, path, token).await.problem(403, "forbidden");
        assert!(problem["detail"].as_str().unwrap().contains("needs the permission"), "{problem}");
    }
    let out = ask(&router, "DELETE", "/api/v1/login", token).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    ask(&router, "GET", "/api/v1/clients", token).await.problem(401, "unauthorized");
    ask(&router, "DELETE", "/api/v1/login", TOKEN).await.problem(403, "forbidden");
    let holder = send(&router, request("GET", "/api/v1/login").body(Body::empty()).unwrap()).await;
    assert_eq!(holder.json()["user"], json!(null));
}

#[tokio::test]
async fn who_is_refused_gets_no_token_and_no_reason() {
    let router = judged();
    for (user, password, status, kind) in [
        ("root", "wrong", 401, "unauthorized"),
        ("broken", "x", 503, "busy"),
        ("root", "role-unknown", 403, "forbidden"),
        ("root", "", 400, "invalid_request"),
        ("", "x", 400, "invalid_request"),
        ("root", &"x".repeat(1_025), 400, "invalid_request"),
    ] {
        let problem = log_in(&router, user, password).await.problem(status, kind);
        let text = problem.to_string();
        assert!(!text.contains("\"no\"") && !text.contains("down"), "{text}");
    }
}

/// Nobody is let in by a chain that cannot judge.
#[tokio::test]
async fn a_chain_that_cannot_judge_refuses() {
    log_in(&with(None), "root", "role-viewer").await.problem(403, "forbidden");
    let missing = LinkState::Missing("gone".to_owned());
    log_in(&with(Some(missing)), "root", "role-viewer").await.problem(503, "busy");
    let other = LinkState::Live(Box::default());
    log_in(&with(Some(other)), "root", "role-viewer").await.problem(503, "busy");
}

#[tokio::test]
async fn wrong_passwords_are_heard_ever_more_slowly() {
    let router = judged();
    let mut heard = 0;
    for _ in 0..10 {
        let reply = log_in(&router, "root", "wrong").await;
        if reply.status == StatusCode::UNAUTHORIZED {
            heard += 1;
        } else {
            reply.problem(429, "too_many_requests");
        }
    }
    assert_eq!(heard, 4, "three are free, and one more");
    // Also the right one waits; another user does not.
    log_in(&router, "root", "role-viewer").await.problem(429, "too_many_requests");
    assert_eq!(log_in(&router, "other", "role-viewer").await.status, StatusCode::OK);
}
