//! Configuration, alarms and certificates over HTTP.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use serde_json::json;

use super::{Reply, ask, fakes::Fakes, post, request, router, send};

async fn put(fakes: &Fakes, version: Option<&str>, text: &str) -> Reply {
    let mut asking =
        request("PUT", "/api/v1/config").header(header::CONTENT_TYPE, "application/json");
    if let Some(version) = version {
        asking = asking.header(header::IF_MATCH, version);
    }
    let body = Body::from(json!({ "text": text }).to_string());
    send(&router(fakes), asking.body(body).unwrap()).await
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_version() {
    let shown = ask(&Fakes::new(), "GET", "/api/v1/config").await;
    assert_eq!(shown.headers[header::ETAG], "\"v1\"");
    let known = request("GET", "/api/v1/config").header(header::IF_NONE_MATCH, "\"v1\"");
    let known = send(&router(&Fakes::new()), known.body(Body::empty()).unwrap()).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert_eq!(
        shown.json(),
        json!({
            "file": "/etc/p.toml", "text": "a = 1\n", "needs_restart": ["listeners"],
            "settings": [{ "key": "a", "value": "1", "from": "file", "takes_effect": "restart" }],
        })
    );
}

#[tokio::test]
async fn a_text_is_judged() {
    let fakes = Fakes::new();
    let good = post(&fakes, "/api/v1/config/check", r#"{"text":"good"}"#).await.json();
    assert_eq!(good, json!({ "valid": true, "problems": [] }));
    let faulty = post(&fakes, "/api/v1/config/check", r#"{"text":"faulty"}"#).await.json();
    let problem = json!({ "line": 3, "key": "limits.x", "value": "7", "what": "is not known" });
    assert_eq!(faulty, json!({ "valid": false, "problems": [problem] }));
}

#[tokio::test]
async fn it_is_replaced_only_by_those_who_know_what_they_replace() {
    let fakes = Fakes::new();
    let applied = put(&fakes, Some("\"v1\""), "good").await;
    assert_eq!(applied.status, StatusCode::OK, "{}", applied.text);
    assert_eq!(applied.json(), json!({ "needs_restart": ["store"] }));
    assert_eq!(applied.headers[header::ETAG], "\"v2\"", "for the next change");
    put(&fakes, None, "good").await.problem(428, "version_needed");
    put(&fakes, Some("\"v0\""), "good").await.problem(412, "changed_meanwhile");
    for version in ["*", "W/\"v1\"", "v1", "\"v1\", \"v2\"", "\"\""] {
        let problem = put(&fakes, Some(version), "good").await.problem(400, "invalid_request");
        assert_eq!(problem["parameter"], "If-Match", "{version}");
    }
    let faulty = put(&fakes, Some("\"v1\""), "faulty").await.problem(422, "refused");
    assert_eq!(faulty["detail"], "line 3: limits.x: is not known");
    assert_eq!(faulty["parameter"], "limits.x");
    put(&fakes, Some("\"v1\""), "forbidden").await.problem(403, "forbidden");
    put(&fakes, Some("\"v1\""), "failed").await.problem(422, "refused");
    let reloaded = post(&fakes, "/api/v1/config/reload", "").await;
    assert_eq!(reloaded.json(), json!({ "needs_restart": [] }));
    assert_eq!(fakes.config.asked.lock().unwrap().last().unwrap(), "reload");
}

#[tokio::test]
async fn what_is_wrong_is_an_alarm() {
    let fakes = Fakes::new();
    let alarms = ask(&fakes, "GET", "/api/v1/alarms").await.json();
    let alarms = alarms["alarms"].as_array().unwrap();
    let find = |id: &str| alarms.iter().find(|alarm| alarm["id"] == id);
    // The list of the fake broker went stale in 2030, its certificate ends in 2033.
    assert!(find("tls:tls:crl").is_some(), "{alarms:?}");
    let plugin = find("plugin:acl-file").unwrap();
    assert_eq!(plugin["severity"], "warning");
    assert!(plugin["what"].as_str().unwrap().contains("the newest file"), "{plugin}");
    assert!(find("listeners").is_none());
    // Load counts only once it has lasted.
    assert!(find("overload").is_none());
    fakes.broker.unbound.store(true, std::sync::atomic::Ordering::Relaxed);
    let alarms = ask(&fakes, "GET", "/api/v1/alarms").await.json();
    assert_eq!(alarms["alarms"][0]["id"], "listeners");
    assert_eq!(alarms["alarms"][0]["severity"], "critical");
}

/// The chain refuses everybody for as long as it names what is disabled; a default chain goes on without it.
#[tokio::test]
async fn a_plugin_that_is_disabled_in_a_chain_is_an_alarm() {
    let fakes = Fakes::new();
    let alarm = async |disabled| {
        *fakes.plugins.disabled.lock().unwrap() = disabled;
        let alarms = ask(&fakes, "GET", "/api/v1/alarms").await.json();
        let alarms = alarms["alarms"].as_array().unwrap().clone();
        alarms.into_iter().find(|alarm| alarm["id"] == "plugin:acl-file")
    };
    let named = alarm(Some(true)).await.unwrap();
    assert_eq!(named["severity"], "critical");
    let what = "plugin acl-file is disabled, and a chain that names it refuses";
    assert_eq!(named["what"], what);
    assert_eq!(alarm(Some(false)).await, None);
    assert_ne!(alarm(None).await.unwrap()["what"], what);
}

#[test]
fn alarms_are_told_once_and_end() {
    let fakes = Fakes::new();
    let (alarms, state) = (crate::alarms::Alarms::default(), fakes.state());
    let counts = || alarms.counts().map(|(_, count)| count);
    alarms.look(&state, Vec::new(), 1_000);
    assert_eq!(counts(), [0, 2, 0]);
    // No time has passed, and the clock says that 30 s have: that is one more.
    alarms.look(&state, Vec::new(), 1_030);
    assert_eq!(counts(), [0, 3, 0]);
    // The load has lasted a minute.
    alarms.look(&state, Vec::new(), 1_060);
    assert_eq!(counts(), [0, 3, 1]);
    alarms.look(&state, vec!["the audit log cannot be written".to_owned()], 1_061);
    assert_eq!(counts(), [0, 3, 2]);
}

#[tokio::test]
async fn certificates_are_listed() {
    let listed = ask(&Fakes::new(), "GET", "/api/v1/certificates").await.json();
    assert_eq!(listed, json!({ "listeners": [] }));
}
