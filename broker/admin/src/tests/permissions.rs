//! `permissions/can` and `permissions/invalidate`.

use axum::http::StatusCode;

use super::{Reply, fakes::Fakes, post};

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
    can("c", "publish", "t").await.problem(404, "not_connected");
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
