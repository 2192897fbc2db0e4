//! Listing, showing and disconnecting clients.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use codec::ReasonCode;

use super::{ask, fakes::Fakes, request, router, send};

fn ids(page: &serde_json::Value) -> Vec<&str> {
    let clients = page["clients"].as_array().unwrap();
    clients.iter().map(|client| client["client_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_follow_each_other() {
    let fakes = Fakes::new();
    let all = ask(&fakes, "GET", "/api/v1/clients").await.json();
    assert_eq!(ids(&all), ["a", "b/1 ä", "c"]);
    assert!(all["next"].is_null());

    let first = ask(&fakes, "GET", "/api/v1/clients?limit=2").await.json();
    assert_eq!(ids(&first), ["a", "b/1 ä"]);
    let next = first["next"].as_str().unwrap();
    let second = ask(&fakes, "GET", &format!("/api/v1/clients?limit=2&after={next}")).await;
    // One router for each request: a cursor is of the process that made it.
    second.problem(400, "invalid_request");
    let router = router(&fakes);
    let page = async |path: &str| {
        send(&router, request("GET", path).body(Body::empty()).unwrap()).await.json()
    };
    let first = page("/api/v1/clients?limit=2").await;
    let next = first["next"].as_str().unwrap();
    let second = page(&format!("/api/v1/clients?limit=2&after={next}")).await;
    assert_eq!(ids(&second), ["c"]);
    assert!(second["next"].is_null());

    let prefixed = ask(&fakes, "GET", "/api/v1/clients?prefix=b%2F").await.json();
    assert_eq!(ids(&prefixed), ["b/1 ä"]);
}

#[tokio::test]
async fn one_client_with_a_slash_in_its_id() {
    let reply = ask(&Fakes::new(), "GET", "/api/v1/clients/b%2F1%20%C3%A4").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers[header::CONTENT_TYPE], "application/json");
    let grant = serde_json::json!({
        "session_expiry_seconds_max": 60, "messages_per_second": 5, "messages_burst": null,
        "bytes_per_second": null, "receive_maximum": null, "in_flight_max": null,
        "queue_messages_max": null, "queue_bytes_max": null, "packet_bytes_max": null,
        "keep_alive_seconds_max": null, "subscriptions_max": null,
    });
    let certificate = serde_json::json!({
        "subject": "CN=device", "issuer": "CN=authority", "serial": "0a",
        "sha256": "ab".repeat(32), "names": ["device.example", "d@device.example"],
        "not_after_unix": 2000000000,
    });
    let rules = serde_json::json!([{
        "plugin": "acl-file", "answer": "rules", "dropped": [], "more": false,
        "rules": [
            {
                "rule": 1, "effect": "deny", "filter": "open/secret",
                "publish": { "qos": [0, 1, 2], "flag": "any" },
                "subscribe": { "qos": [0, 1, 2], "flag": "any" },
                "share_name": null, "used": false, "covered_by": null,
            },
            {
                "rule": 2, "effect": "allow", "filter": "open/#",
                "publish": { "qos": [0, 1, 2], "flag": "any" },
                "subscribe": { "qos": [0, 1, 2], "flag": "any" },
                "share_name": null, "used": false, "covered_by": null,
            },
        ],
    }]);
    assert_eq!(
        reply.json(),
        serde_json::json!({
            "client_id": "b/1 ä", "connected": true, "principal": "user",
            "authenticated_by": "password-file", "groups": ["north-staff"], "username": "User",
            "listener": "mqtt", "remote": "127.0.0.1:5000", "protocol": "5.0",
            "keep_alive_seconds": 60, "clean_start": true, "session_expiry_interval": 4294967295u32,
            "since_unix": 1700000000, "subscription_count": 1, "in_flight": 1, "queued": 2,
            "dropped": 3, "generation": 1, "queued_bytes": 20, "awaiting_release": 1,
            "subscriptions": [{
                "client_id": "b/1 ä", "filter": "$share/g/t/#", "qos": 1, "no_local": false,
                "retain_as_published": true, "retain_handling": 1, "identifier": 7,
                "since_unix": 1700000007,
            }],
            "certificate": certificate, "grant": grant,
            "expires_in_seconds": null, "stored": true, "identity_ends_unix": 1900000000,
            "attributes": [["site", "north"]],
            "will": {
                "topic": "open/will", "payload_base64": "Z29uZQ==", "payload_bytes": 4, "qos": 1,
                "retain": true, "delay_seconds": 5, "expiry_seconds": 6,
            },
            "permissions": rules,
            "decisions": [],
        })
    );
}

#[tokio::test]
async fn an_unchanged_client_is_not_sent_again() {
    let fakes = Fakes::new();
    let etag = ask(&fakes, "GET", "/api/v1/clients/a").await.headers[header::ETAG].clone();
    for (known, status) in [
        (etag.to_str().unwrap().to_owned(), StatusCode::NOT_MODIFIED),
        (format!("\"x\", W/{}", etag.to_str().unwrap()), StatusCode::NOT_MODIFIED),
        ("*".to_owned(), StatusCode::NOT_MODIFIED),
        ("\"x\"".to_owned(), StatusCode::OK),
    ] {
        let request = request("GET", "/api/v1/clients/a")
            .header(header::IF_NONE_MATCH, &known)
            .body(Body::empty())
            .unwrap();
        let reply = send(&router(&fakes), request).await;
        assert_eq!(reply.status, status, "{known}");
        assert_eq!(reply.headers[header::ETAG], etag);
        assert_eq!(reply.text.is_empty(), status == StatusCode::NOT_MODIFIED);
    }
    let other = ask(&fakes, "GET", "/api/v1/clients/c").await;
    assert_ne!(other.headers[header::ETAG], etag);
}

#[tokio::test]
async fn ending_a_connection() {
    let fakes = Fakes::new();
    let path = "/api/v1/clients/b%2F1%20%C3%A4/connection";
    let reply = ask(&fakes, "DELETE", path).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let disconnected = fakes.broker.disconnected.lock().unwrap().clone();
    assert_eq!(disconnected, [("b/1 ä".to_owned(), ReasonCode::AdministrativeAction)]);
}

#[tokio::test]
async fn clients_that_are_not_there() {
    let fakes = Fakes::new();
    ask(&fakes, "GET", "/api/v1/clients/nobody").await.problem(404, "not_found");
    let nobody = ask(&fakes, "DELETE", "/api/v1/clients/nobody/connection").await;
    nobody.problem(404, "not_found");
    let away = ask(&fakes, "DELETE", "/api/v1/clients/c/connection").await;
    away.problem(404, "not_connected");
}
