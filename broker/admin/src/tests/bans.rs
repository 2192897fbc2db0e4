//! Banning, listing, lifting.

use std::sync::atomic::Ordering;

use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::{ask, fakes::Fakes, post};

const PATH: &str = "/api/v1/bans";

async fn ban(fakes: &Fakes, request: &Value) -> Value {
    let reply = post(fakes, PATH, &request.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let made = reply.json();
    let location = format!("{PATH}/{}", made["ban"]["id"]);
    assert_eq!(reply.headers[header::LOCATION], location.as_str());
    made
}

#[tokio::test]
async fn each_kind_is_made_shown_and_lifted() {
    let fakes = Fakes::new();
    let hash = "00ff".repeat(16);
    let colons = format!("00:FF:{}", "00ff".repeat(15));
    for (request, shown) in [
        (json!({ "client_id": "c" }), json!({ "client_id": "c" })),
        (json!({ "principal": "p" }), json!({ "principal": "p" })),
        (json!({ "address": "192.0.2.7" }), json!({ "address": "192.0.2.7/32" })),
        (json!({ "address": "2001:db8::/32" }), json!({ "address": "2001:db8::/32" })),
        (json!({ "address": "::ffff:10.0.0.0/104" }), json!({ "address": "10.0.0.0/8" })),
        (json!({ "certificate": colons }), json!({ "certificate": hash })),
        (
            json!({ "client_id": "c", "principal": "p" }),
            json!({ "client_id": "c", "principal": "p" }),
        ),
    ] {
        let mut request = request;
        request["reason"] = json!("ü why");
        request["seconds"] = json!(60);
        let made = ban(&fakes, &request).await;
        assert_eq!(made["disconnected"], 2);
        let ban = &made["ban"];
        for key in ["client_id", "principal", "address", "certificate"] {
            assert_eq!(ban[key], shown[key], "{ban}");
        }
        assert_eq!((&ban["reason"], &ban["origin"]), (&json!("ü why"), &json!("administrator")));
        assert!(ban["until_unix"].as_u64().unwrap() > 1_700_000_000, "{ban}");
        let one = format!("{PATH}/{}", ban["id"]);
        assert_eq!(ask(&fakes, "GET", &one).await.json(), *ban);
        assert_eq!(ask(&fakes, "GET", PATH).await.json()["bans"], json!([ban]));
        assert_eq!(ask(&fakes, "DELETE", &one).await.status, StatusCode::NO_CONTENT);
        ask(&fakes, "GET", &one).await.problem(404, "not_found");
        ask(&fakes, "DELETE", &one).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn without_seconds_it_holds_until_it_is_lifted() {
    let made = ban(&Fakes::new(), &json!({ "client_id": "c" })).await;
    assert_eq!((&made["ban"]["until_unix"], &made["ban"]["reason"]), (&Value::Null, &json!("")));
}

#[tokio::test]
async fn pages_follow_each_other() {
    let fakes = Fakes::new();
    for name in ["a", "b", "c"] {
        ban(&fakes, &json!({ "client_id": name })).await;
    }
    let page = ask(&fakes, "GET", &format!("{PATH}?limit=2")).await.json();
    assert_eq!((page["bans"].as_array().unwrap().len(), &page["next"]), (2, &json!(2)));
    let page = ask(&fakes, "GET", &format!("{PATH}?limit=2&after=2")).await.json();
    assert_eq!((&page["bans"][0]["client_id"], &page["next"]), (&json!("c"), &Value::Null));
    for query in ["limit=0", "limit=1001", "limit=x", "other=1"] {
        ask(&fakes, "GET", &format!("{PATH}?{query}")).await.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nobody_is_banned() {
    let fakes = Fakes::new();
    for (request, parameter) in [
        (json!({}), None),
        (json!({ "client_id": "c", "address": "192.0.2.7" }), None),
        (json!({ "client_id": "" }), Some("client_id")),
        (json!({ "principal": "" }), Some("principal")),
        (json!({ "address": "192.0.2.0/33" }), Some("address")),
        (json!({ "address": "192.0.2.7/24" }), Some("address")),
        (json!({ "address": "localhost" }), Some("address")),
        (json!({ "certificate": "00ff" }), Some("certificate")),
        (json!({ "certificate": "gg".repeat(32) }), Some("certificate")),
        (json!({ "certificate": "é".repeat(32) }), Some("certificate")),
        (json!({ "client_id": "c", "seconds": 0 }), Some("seconds")),
        (json!({ "client_id": "c", "seconds": 315_360_001 }), Some("seconds")),
        (json!({ "client_id": "c", "reason": "x".repeat(257) }), Some("reason")),
        (json!({ "client_id": "c", "for": 5 }), None),
    ] {
        let reply = post(&fakes, PATH, &request.to_string()).await;
        let problem = reply.problem(400, "invalid_request");
        assert_eq!(problem["parameter"].as_str(), parameter, "{request}: {problem}");
    }
    assert_eq!(ask(&fakes, "GET", PATH).await.json()["bans"], json!([]));
    ask(&fakes, "GET", &format!("{PATH}/x")).await.problem(400, "invalid_request");
}

/// It holds all the same, and that it will not after a restart is not kept quiet.
#[tokio::test]
async fn a_ban_that_cannot_be_kept_is_an_error_that_says_so() {
    let fakes = Fakes::new();
    fakes.broker.disk_full.store(true, Ordering::Relaxed);
    let problem = post(&fakes, PATH, "{\"client_id\":\"c\"}").await.problem(500, "internal");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("holds now") && detail.contains("the disk is full"), "{detail}");
    assert_eq!(ask(&fakes, "GET", PATH).await.json()["bans"].as_array().unwrap().len(), 1);
}
