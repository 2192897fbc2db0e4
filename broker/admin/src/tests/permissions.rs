//! `permissions/can` and `permissions/invalidate`.

use axum::http::StatusCode;

use super::{Reply, ask, fakes::Fakes, post};

async fn can(client_id: &str, action: &str, topic: &str) -> Reply {
    let question =
        serde_json::json!({ "client_id": client_id, "action": action, "topic": topic, "qos": 1 });
    post(&Fakes::new(), "/api/v1/permissions/can", &question.to_string()).await
}

#[tokio::test]
async fn a_permitted_publish() {
    let verdict = can("a", "publish", "open/door").await.json();
    assert_eq!(verdict["allowed"], true);
    let word = &verdict["walk"][0];
    assert_eq!((&word["plugin"], &word["effect"]), (&"acl-file".into(), &"allow".into()));
    assert_eq!(word["rule"], 2);
}

#[tokio::test]
async fn a_denied_publish() {
    let verdict = can("b/1 ä", "publish", "open/secret").await.json();
    assert_eq!(verdict["allowed"], false);
    assert_eq!(
        (&verdict["walk"][0]["effect"], &verdict["walk"][0]["rule"]),
        (&"deny".into(), &1.into())
    );
    assert!(verdict["reason"].as_str().unwrap().contains("acl-file"), "{verdict}");

    let verdict = can("a", "publish", "closed").await.json();
    assert_eq!(verdict["allowed"], false);
    assert!(verdict["walk"][0]["effect"].is_null(), "{verdict}");
}

#[tokio::test]
async fn subscriptions() {
    let verdict = can("a", "subscribe", "open/#").await.json();
    assert_eq!(
        (&verdict["allowed"], &verdict["check_each_delivery"]),
        (&true.into(), &true.into())
    );
    let verdict = can("a", "subscribe", "$share/g/open/x/+").await.json();
    assert_eq!(
        (&verdict["allowed"], &verdict["check_each_delivery"]),
        (&true.into(), &false.into())
    );
    let verdict = can("a", "subscribe", "#").await.json();
    assert_eq!(verdict["allowed"], false);
}

#[tokio::test]
async fn topics_that_are_none() {
    for (action, topic) in [("publish", "a/#"), ("publish", ""), ("subscribe", "a/#/b")] {
        let problem = can("a", action, topic).await.problem(400, "invalid_request");
        assert_eq!(problem["parameter"], "topic");
    }
}

#[tokio::test]
async fn a_qos_that_is_none() {
    let body = r#"{"client_id":"a","action":"publish","topic":"t","qos":3}"#;
    let reply = post(&Fakes::new(), "/api/v1/permissions/can", body).await;
    let problem = reply.problem(400, "invalid_request");
    assert_eq!((&problem["parameter"], &problem["allowed"]), (&"qos".into(), &"0 to 2".into()));
}

#[tokio::test]
async fn clients_that_are_not_connected() {
    can("nobody", "publish", "t").await.problem(404, "not_found");
    // Its session says who it is: plugins are asked, and the only one is missing.
    let verdict = can("c", "publish", "t").await.json();
    assert_eq!((&verdict["assumed"], &verdict["allowed"]), (&true.into(), &false.into()));
    assert!(verdict["reason"].as_str().unwrap().contains("gone"), "{verdict}");
    let path = "/api/v1/permissions/can";
    let body = r#"{"client_id":"new","principal":"p","action":"publish","topic":"t"}"#;
    let verdict = post(&Fakes::new(), path, body).await.json();
    assert_eq!((&verdict["assumed"], &verdict["allowed"]), (&true.into(), &false.into()));
    let body = r#"{"client_id":"a","principal":"p","action":"publish","topic":"t"}"#;
    let problem = post(&Fakes::new(), path, body).await.problem(400, "invalid_request");
    assert_eq!(problem["parameter"], "principal");
}

#[tokio::test]
async fn who_can_reach_a_topic() {
    let fakes = Fakes::new();
    let reach =
        async |query: &str| ask(&fakes, "GET", &format!("/api/v1/permissions/reach?{query}")).await;
    let clients = reach("topic=open%2Fdoor&activity=publish").await.json();
    assert_eq!((&clients["looked_at"], &clients["next"]), (&2.into(), &serde_json::Value::Null));
    let ids: Vec<_> = clients["clients"].as_array().unwrap().iter().collect();
    assert_eq!(ids.len(), 2);
    assert_eq!((&ids[0]["client_id"], &ids[0]["rule"]), (&"a".into(), &2.into()));
    let none = reach("topic=open%2Fsecret&activity=subscribe").await.json();
    assert_eq!(none["clients"], serde_json::json!([]));
    let first = reach("topic=open%2Fdoor&activity=subscribe&limit=1").await.json();
    assert_eq!(first["clients"].as_array().unwrap().len(), 1);
    assert!(first["next"].is_string());
    reach("topic=a%2F%23&activity=publish").await.problem(400, "invalid_request");
    reach("topic=t&activity=dance").await.problem(400, "invalid_request");
}

#[tokio::test]
async fn rules_without_use_or_effect() {
    let fakes = Fakes::new();
    let unused = ask(&fakes, "GET", "/api/v1/permissions/unused").await.json();
    assert_eq!((&unused["complete"], &unused["looked_at"]), (&true.into(), &2.into()));
    assert_eq!(
        unused["rules"][0],
        serde_json::json!({
            "plugin": "acl-file", "rule": 1, "effect": "deny", "filter": "open/secret",
            "covered_by": null, "clients": 2, "watched_seconds": 0,
        })
    );
    let unreachable = ask(&fakes, "GET", "/api/v1/permissions/unreachable").await.json();
    assert_eq!(unreachable["rules"], serde_json::json!([]));
}

#[tokio::test]
async fn exactly_one_is_meant() {
    let fakes = Fakes::new();
    let path = "/api/v1/permissions/invalidate";
    for body in [r#"{"client_id":"a"}"#, r#"{"principal":"alice"}"#, r#"{"everybody":true}"#] {
        assert_eq!(post(&fakes, path, body).await.status, StatusCode::NO_CONTENT, "{body}");
    }
    let taken_back = fakes.broker.taken_back.lock().unwrap().clone();
    assert_eq!(taken_back, ["Client(\"a\")", "Principal(\"alice\")", "Everybody"]);
    for body in [
        "{}",
        r#"{"everybody":false}"#,
        r#"{"client_id":"a","everybody":true}"#,
        r#"{"client_id":"a","principal":"b"}"#,
        r#"{"clientid":"a"}"#,
    ] {
        post(&fakes, path, body).await.problem(400, "invalid_request");
    }
    assert_eq!(fakes.broker.taken_back.lock().unwrap().len(), 3);
}
