//! Rings and their keys: what is told, what is changed, and what never comes back.

use axum::http::StatusCode;
use serde_json::json;
use telemetry::events;

use super::{ask, fakes::Fakes, log::Lines, post};

const PATH: &str = "/api/v1/keys";
/// 32 times `a`.
const KEY: &str = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";

#[tokio::test]
async fn rings_are_told_without_their_keys() {
    let fakes = Fakes::new();
    let ring = ask(&fakes, "GET", &format!("{PATH}/devices")).await.json();
    let key = json!({ "id": 1, "state": "seals", "created_unix": 7, "retired_unix": null });
    let expected = json!({
        "name": "devices", "algorithm": "aes-256-gcm", "managed": true, "keys": [key],
    });
    assert_eq!(ring, expected);
    assert_eq!(ask(&fakes, "GET", PATH).await.json(), json!({ "rings": [ring] }));
    ask(&fakes, "GET", &format!("{PATH}/others")).await.problem(404, "not_found");
}

#[tokio::test]
async fn changes_reach_the_keeper_and_nothing_of_a_key_comes_back() {
    let fakes = Fakes::new();
    let lines = Lines::default();
    let action =
        events::AdminAction { route: "-", target: None, user: None, remote: None, status: 200 };
    let _guard = lines.listen(|| action.emit(&fakes.metrics));
    let ring = format!("{PATH}/devices");
    let given = json!({ "id": 9, "value": KEY }).to_string();
    let reply = post(&fakes, &ring, &given).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(!reply.text.contains("YWFh"), "{}", reply.text);
    post(&fakes, &ring, "{}").await;
    ask(&fakes, "POST", &format!("{ring}/rotate")).await;
    ask(&fakes, "POST", &format!("{ring}/rotate?id=9")).await;
    let reply = ask(&fakes, "DELETE", &format!("{ring}/9")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let asked = fakes.keys.asked.lock().unwrap().clone();
    let expected = [
        "add devices Some(9) 32 bytes",
        "add devices None random",
        "rotate devices None",
        "rotate devices Some(9)",
        "retire devices 9",
    ];
    assert_eq!(asked, expected);
    let audited = lines.of("admin action");
    assert_eq!(audited.len(), 5, "{audited:?}");
    assert!(audited[4].contains("devices/9"), "{audited:?}");
    assert!(lines.of("YWFh").is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_named_and_no_key_is_quoted() {
    let fakes = Fakes::new();
    let ring = format!("{PATH}/devices");
    for (path, body, status, kind) in [
        (&ring, json!({ "value": "YWFh*" }), 400, "invalid_request"),
        (&ring, json!({ "value": ["YWFh"] }), 400, "invalid_request"),
        (&ring, json!({ "value": KEY, "key": 5 }), 400, "invalid_request"),
        (&ring, json!({ "id": "YWFh" }), 400, "invalid_request"),
        (&ring, json!({ "id": 1 }), 400, "invalid_request"),
        (&ring, json!({ "id": 500 }), 500, "internal"),
        (&format!("{PATH}/others"), json!({}), 404, "not_found"),
        (&format!("{ring}/rotate?key=5"), json!({}), 400, "invalid_request"),
        (&format!("{ring}/rotate?id=404"), json!({}), 404, "not_found"),
    ] {
        let reply = post(&fakes, path, &body.to_string()).await;
        let problem = reply.problem(status, kind);
        assert!(body["id"] == "YWFh" || !problem.to_string().contains("YWFh"), "{problem}");
    }
    ask(&fakes, "DELETE", &format!("{ring}/x")).await.problem(400, "invalid_request");
}
