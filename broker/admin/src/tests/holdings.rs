//! Subscriptions, topics, retained messages, publishing: what the broker holds; and what those see of it who may not see
//! everything.

use std::{sync::Arc, time::Duration};

use access::{
    About, DecisionRecord, Denial, Hook, LinkReport, PluginFailure, PluginFailureKind, Verdict,
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use codec::ReasonCode;
use serde_json::json;

use super::{Reply, ask, fakes::Fakes, post, request, send, shared};
use crate::{
    administrators::{Opening, Source},
    call::Shared,
    routes,
};

/// Somebody whose role may look at everything but has no right to any field.
fn blind(fakes: &Fakes) -> (Router, String) {
    let shared = shared(fakes);
    let token = blind_token(&shared);
    (routes::router(Arc::new(shared)), token)
}

/// Their token.
pub(super) fn blind_token(shared: &Shared) -> String {
    login_as(shared, "b", "blind")
}

/// The token of a login with this role.
pub(super) fn login_as(shared: &Shared, user: &str, role: &str) -> String {
    let now = (std::time::Instant::now(), 0);
    let (roles, permissions) = shared.directory.permitted(&[role.to_owned()]);
    let opening = Opening {
        user: Some(user.to_owned()),
        roles,
        permissions,
        expires_at_unix: None,
        cookie: false,
        source: Source::Chain,
    };
    let opened = shared.administrators.open(opening, now);
    let (token, _) = opened.unwrap().unwrap();
    token.to_string()
}

/// What somebody sees who may see everything.
async fn ask_of(router: &Router, path: &str) -> Reply {
    send(router, request("GET", path).body(Body::empty()).unwrap()).await
}

async fn see(router: &Router, token: &str, path: &str) -> Reply {
    let mut request = request("GET", path);
    let headers = request.headers_mut().unwrap();
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    send(router, request.body(Body::empty()).unwrap()).await
}

/// A client that was let in, and one that was refused, by plugins that say of it what they like.
fn decide(shared: &Shared) {
    let said = || "user User of 127.0.0.1 may not use open".to_owned();
    let failure = PluginFailure { kind: PluginFailureKind::Internal, message: said() };
    let denial = Denial { reason_code: ReasonCode::NotAuthorized, reason: Some(said()) };
    let links = [Verdict::Deny(denial), Verdict::Failure(failure)].map(|verdict| LinkReport {
        plugin: "acl-file".into(),
        generation: "0123".into(),
        hook: Hook::Authorizer,
        verdict,
        cached: false,
        elapsed: Duration::ZERO,
    });
    for (id, refusal) in [("0000000000000001", None), ("0000000000000002", Some(said()))] {
        shared.state.gate.decisions().note(DecisionRecord {
            id: id.parse().unwrap(),
            at_unix: 1,
            about: About::Connect,
            client_id: "b/1 ä".into(),
            principal: Some("user".into()),
            listener: "mqtt".into(),
            remote: [127, 0, 0, 1].into(),
            generation: 1,
            refusal,
            links: links.to_vec(),
            rules: Vec::new(),
            elapsed: Duration::ZERO,
            recordings: Vec::new(),
        });
    }
}

#[tokio::test]
async fn whoever_may_not_see_a_field_sees_a_mask_in_its_place() {
    let fakes = Fakes::new();
    let shared = shared(&fakes);
    decide(&shared);
    let token = blind_token(&shared);
    let router = routes::router(Arc::new(shared));
    let clear = ask_of(&router, "/api/v1/decisions/0000000000000002").await;
    assert_eq!(clear.text.matches("may not use open").count(), 3, "{}", clear.text);
    for path in [
        "/api/v1/decisions",
        "/api/v1/decisions?refused=true",
        "/api/v1/decisions/0000000000000002",
        "/api/v1/clients",
        "/api/v1/clients?connected=true&listener=mqtt",
        "/api/v1/clients/b%2F1%20%C3%A4",
        "/api/v1/clients/b%2F1%20%C3%A4/explain",
        "/api/v1/subscriptions",
        "/api/v1/retained",
        "/api/v1/retained?filter=%23",
        "/api/v1/retained/open%2Ft",
    ] {
        let reply = see(&router, &token, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        assert!(reply.text.contains("***"), "{path}: {}", reply.text);
        for hidden in [
            "b/1",
            "user",
            "User",
            "127.0.0.1",
            "open",
            "t/#",
            "Z29uZQ",
            "aGVsbG8",
            "hello",
            "device",
            "0a\"",
            "abab",
            "north",
            "\"v\"",
            "Yw==",
        ] {
            // Names of fields are not what they hide.
            let text = reply.text.replace("username", "").replace("user_properties", "");
            assert!(!text.contains(hidden), "{path} shows {hidden}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn whoever_may_not_see_a_field_may_not_choose_by_it() {
    let fakes = Fakes::new();
    let (router, token) = blind(&fakes);
    for (path, parameter) in [
        ("/api/v1/clients?prefix=b", "prefix"),
        ("/api/v1/clients?principal=user", "principal"),
        ("/api/v1/clients?address=127.0.0.1", "address"),
        ("/api/v1/subscriptions?prefix=t", "prefix"),
        ("/api/v1/subscriptions?matching=t", "matching"),
        ("/api/v1/subscriptions?client_id=a", "client_id"),
        ("/api/v1/retained?filter=open%2F%23", "filter"),
        ("/api/v1/decisions?client_id=a", "client_id"),
        ("/api/v1/access_log?client_id=a", "client_id"),
        ("/api/v1/access_log?principal=user", "principal"),
        ("/api/v1/access_log?address=127.0.0.1", "address"),
    ] {
        let problem = see(&router, &token, path).await.problem(403, "forbidden");
        assert_eq!(problem["parameter"], parameter, "{path}");
    }
    see(&router, &token, "/api/v1/topics").await.problem(403, "forbidden");
    // A trace that gets records says as much as a list that has lines.
    for (parameter, value) in
        [("client_id", "a*"), ("topic", "t/#"), ("address", "10.0.0.0/8"), ("principal", "user")]
    {
        let body = json!({ "name": "x", parameter: value }).to_string();
        let asking = Request::post("/api/v1/traces")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        let refused = send(&router, asking.body(Body::from(body)).unwrap()).await;
        assert_eq!(refused.problem(403, "forbidden")["parameter"], parameter);
    }
    assert!(fakes.broker.asked.lock().unwrap().is_empty());
}

/// A recording is what plugins were told: masked it could not be replayed.
#[tokio::test]
async fn a_recording_is_for_those_who_may_see_every_field() {
    let fakes = Fakes::new();
    let shared = shared(&fakes);
    decide(&shared);
    let token = blind_token(&shared);
    let router = routes::router(Arc::new(shared));
    let path = "/api/v1/decisions/0000000000000002/recording";
    see(&router, &token, path).await.problem(403, "forbidden");
    assert_eq!(ask_of(&router, path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_cursor_does_not_say_where_it_stands() {
    let fakes = Fakes::new();
    let (router, token) = blind(&fakes);
    for (path, list) in [
        ("/api/v1/clients?limit=1", "clients"),
        ("/api/v1/subscriptions?limit=1", "subscriptions"),
        ("/api/v1/retained?limit=1", "messages"),
    ] {
        let first = see(&router, &token, path).await.json();
        let next = first["next"].as_str().unwrap();
        let second = see(&router, &token, &format!("{path}&after={next}")).await;
        assert_eq!(second.status, StatusCode::OK, "{}", second.text);
        assert!(second.json()[list].is_array());
        // Not of another list.
        let other = if list == "clients" { "subscriptions" } else { "clients" };
        let other = see(&router, &token, &format!("/api/v1/{other}?after={next}")).await;
        assert_eq!(other.problem(400, "invalid_request")["parameter"], "after");
    }
    let asked = fakes.broker.asked.lock().unwrap().join("\n");
    assert!(asked.contains(r#"after: Some("a")"#), "{asked}");
    assert!(asked.contains(r#"after: Some(("b/1 ä", Some("t")))"#), "{asked}");
    assert!(asked.contains(r##"retained # Some(TopicName("open/t")) 1"##), "{asked}");
}

#[tokio::test]
async fn clients_are_chosen_by_what_they_are() {
    let fakes = Fakes::new();
    let path =
        "/api/v1/clients?prefix=b&connected=false&principal=p&listener=tls&address=10.0.0.0/8";
    assert_eq!(ask(&fakes, "GET", path).await.status, StatusCode::OK);
    let asked = fakes.broker.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [concat!(
            r#"ClientQuery { prefix: "b", after: None, limit: 100, connected: Some(false), "#,
            r#"principal: Some("p"), listener: Some("tls"), address: Some(10.0.0.0/8) }"#,
        )]
    );
    for (query, parameter) in [
        ("address=nowhere", Some("address")),
        ("limit=0", Some("limit")),
        ("limit=1001", Some("limit")),
        ("after=a", Some("after")),
        ("connected=perhaps", None),
    ] {
        let reply = ask(&fakes, "GET", &format!("/api/v1/clients?{query}")).await;
        let problem = reply.problem(400, "invalid_request");
        assert_eq!(problem["parameter"].as_str(), parameter, "{query}");
    }
}

#[tokio::test]
async fn a_session_ends_at_an_administrators_word() {
    let fakes = Fakes::new();
    let ended = ask(&fakes, "DELETE", "/api/v1/clients/a/session").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    ask(&fakes, "DELETE", "/api/v1/clients/x/session").await.problem(404, "not_found");
    assert_eq!(*fakes.broker.asked.lock().unwrap(), ["end a", "end x"]);
}

#[tokio::test]
async fn subscribing_for_a_client() {
    let fakes = Fakes::new();
    let path = "/api/v1/clients/a/subscriptions";
    let body = r#"{"filter":"$share/g/t/#","qos":2,"retain_handling":1,"identifier":5}"#;
    let reply = post(&fakes, path, body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(
        reply.json(),
        json!({
            "client_id": "a", "filter": "$share/g/t/#", "qos": 2, "no_local": false,
            "retain_as_published": false, "retain_handling": 1, "identifier": 5,
            "since_unix": 1700000008,
        })
    );
    let refused = post(&fakes, path, r#"{"filter":"closed"}"#).await.problem(422, "refused");
    assert_eq!(refused["detail"], "not_authorized: no rule allows it");
    post(&fakes, "/api/v1/clients/x/subscriptions", r#"{"filter":"t"}"#)
        .await
        .problem(404, "not_found");
    for (body, parameter) in [
        (r#"{"filter":"a/#/b"}"#, "filter"),
        (r#"{"filter":"t","qos":3}"#, "qos"),
        (r#"{"filter":"t","retain_handling":3}"#, "retain_handling"),
        (r#"{"filter":"t","identifier":0}"#, "identifier"),
        (r#"{"filter":"$share/g/t","no_local":true}"#, "no_local"),
    ] {
        let problem = post(&fakes, path, body).await.problem(400, "invalid_request");
        assert_eq!(problem["parameter"], parameter, "{body}");
    }
    let ended = ask(&fakes, "DELETE", &format!("{path}?filter=%24share%2Fg%2Ft%2F%23")).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let asked = fakes.broker.asked.lock().unwrap().clone();
    assert_eq!(asked.first().unwrap(), "subscribe a $share/g/t/# 2");
    assert_eq!(asked.last().unwrap(), "unsubscribe a $share/g/t/#");
}

#[tokio::test]
async fn the_tree_of_topics() {
    let fakes = Fakes::new();
    let level = ask(&fakes, "GET", "/api/v1/topics?prefix=open&after=a&limit=5").await.json();
    assert_eq!(level["topics"][0]["topic"], "open/t");
    assert_eq!(level["topics"][0]["retained"], true);
    assert_eq!(level["complete"], true);
    assert_eq!(*fakes.broker.asked.lock().unwrap(), [r#"topics Some("open") Some("a") 5"#]);
    ask(&fakes, "GET", "/api/v1/topics?prefix=a%2F%23%2Fb").await.problem(400, "invalid_request");
}

#[tokio::test]
async fn retained_messages() {
    let fakes = Fakes::new();
    let one = ask(&fakes, "GET", "/api/v1/retained/open%2Ft").await.json();
    assert_eq!(
        one,
        json!({
            "topic": "open/t", "payload_bytes": 5, "qos": 1, "publisher": "b/1 ä",
            "withheld": false, "payload_base64": "aGVsbG8=", "payload": "hello",
            "message_expiry_seconds": 9, "payload_is_utf8": false, "content_type": null,
            "response_topic": "open/answer", "correlation_data_base64": "Yw==",
            "user_properties": [["n", "v"]],
        })
    );
    ask(&fakes, "GET", "/api/v1/retained/other").await.problem(404, "not_found");
    let removed = ask(&fakes, "DELETE", "/api/v1/retained/open%2Ft").await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    ask(&fakes, "DELETE", "/api/v1/retained/other").await.problem(404, "not_found");
    ask(&fakes, "DELETE", "/api/v1/retained/%24SYS%2Fx").await.problem(400, "invalid_request");
    ask(&fakes, "GET", "/api/v1/retained?filter=a%23").await.problem(400, "invalid_request");
}

#[tokio::test]
async fn publishing() {
    let fakes = Fakes::new();
    let path = "/api/v1/publish";
    let reply = post(&fakes, path, r#"{"topic":"t","payload":"hä","listener":"mqtt"}"#).await;
    assert_eq!(
        reply.json(),
        json!({ "receivers": 3, "topic": "t", "swallowed": false, "transformed": true })
    );
    post(&fakes, path, r#"{"topic":"t","payload_base64":"aGk=","qos":1,"retain":true}"#).await;
    post(&fakes, path, r#"{"topic":"full"}"#).await.problem(503, "busy");
    let rejected = post(&fakes, path, r#"{"topic":"rejected"}"#).await.problem(422, "refused");
    assert_eq!(rejected["detail"], "payload_format_invalid: schema: is no JSON");
    post(&fakes, path, r#"{"topic":"large"}"#).await.problem(400, "invalid_request");
    for body in [
        r#"{"topic":"a/#"}"#,
        r#"{"topic":"t","payload":"a","payload_base64":"YQ=="}"#,
        r#"{"topic":"t","payload_base64":"?"}"#,
        r#"{"topic":"t","qos":3}"#,
        r#"{"topic":"t","listener":"none"}"#,
        r#"{"topic":"t","correlation_data_base64":"?"}"#,
        r#"{"topic":"t","unknown":1}"#,
    ] {
        post(&fakes, path, body).await.problem(400, "invalid_request");
    }
    let asked = fakes.broker.asked.lock().unwrap().clone();
    assert_eq!(asked[0], r#"publish t "hä" by admin.token on Some("mqtt")"#);
    assert_eq!(asked[1], r#"publish t "hi" by admin.token on None"#);
    let large = format!(r#"{{"topic":"t","payload":"{}"}}"#, "x".repeat(2 * 1024 * 1024));
    post(&fakes, path, &large).await.problem(413, "body_too_large");
}
