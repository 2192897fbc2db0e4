//! What is kept of events: the access log and the history of clients.

use std::net::SocketAddr;

use codec::ReasonCode;
use telemetry::{
    AccessLog, AccessLogConfig, Traces,
    events::{Client, ConnectRefused, Denied, PublishDenied},
};

use super::{ask, fakes::Fakes};

pub(super) fn refuse(fakes: &Fakes, client_id: &str) {
    let remote: SocketAddr = "192.0.2.7:5000".parse().unwrap();
    ConnectRefused {
        client_id: Some(client_id),
        username: Some("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"),
        listener: "mqtt",
        remote,
        reason: ReasonCode::NotAuthorized,
        protocol: Some("5.0"),
        certificate: None,
        decision: Some(&"0123456789abcdef"),
        plugin: Some("password-file"),
        cause: &"denied by password-file",
    }
    .emit(&fakes.metrics);
}

#[tokio::test]
async fn the_history_of_a_client_has_the_latest_first() {
    let fakes = Fakes::new();
    refuse(&fakes, "a");
    let client =
        Client { id: "a", remote: Some("192.0.2.7:5000".parse().unwrap()), ..Client::default() };
    for _ in 0..3 {
        let denied = Denied {
            decision: None,
            plugin: Some("acl"),
            reason: ReasonCode::NotAuthorized,
            cause: &"no rule",
        };
        PublishDenied { client, topic: "t/1", denied }.emit(&fakes.metrics);
    }
    let reply = ask(&fakes, "GET", "/api/v1/clients/a/history").await.json();
    let events = reply["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{reply}");
    assert_eq!((&events[0]["type"], &events[0]["times"]), (&"publish_denied".into(), &3.into()));
    assert_eq!(events[0]["topic"], "t/1");
    assert_eq!(events[1]["type"], "connect_refused");
    assert_eq!(events[1]["decision"], "0123456789abcdef");
    assert_eq!(events[1]["plugin"], "password-file");
    // Who never came has no history, which is an answer.
    let nobody = ask(&fakes, "GET", "/api/v1/clients/nobody/history").await.json();
    assert_eq!(nobody["events"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn the_access_log_is_searched() {
    let mut fakes = Fakes::new();
    refuse(&fakes, "a\n\u{1b}[2J{\"type\":\"connected\"}");
    refuse(&fakes, "b");
    // On the disk by now.
    fakes.records.access_log.as_ref().unwrap().close();
    let all = ask(&fakes, "GET", "/api/v1/access_log?type=connect_refused").await.json();
    let lines = all["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "{all}");
    assert_eq!((&lines[0]["client_id"], &lines[0]["username"]), (&"b".into(), &"(a token)".into()));
    assert_eq!(lines[1]["client_id"], "a\n\u{1b}[2J{\"type\":\"connected\"}");
    assert!(all["next"].is_null());
    let latest = ask(&fakes, "GET", "/api/v1/access_log?limit=1").await.json();
    assert_eq!(latest["lines"][0]["client_id"], "b");
    let next = latest["next"].as_u64().unwrap();
    let rest =
        ask(&fakes, "GET", &format!("/api/v1/access_log?limit=1&before={next}")).await.json();
    assert_eq!(rest["lines"][0]["client_id"], lines[1]["client_id"], "{rest}");
    let of_b = ask(&fakes, "GET", "/api/v1/access_log?client_id=b&address=192.0.2.7").await.json();
    assert_eq!(of_b["lines"].as_array().unwrap().len(), 1);
    for bad in ["limit=0", "limit=1001", "day=yesterday", "day=../../etc", "before=-1", "what=x"] {
        let path = format!("/api/v1/access_log?{bad}");
        ask(&fakes, "GET", &path).await.problem(400, "invalid_request");
    }
    fakes.records.access_log = None;
    ask(&fakes, "GET", "/api/v1/access_log").await.problem(404, "not_found");
}

/// An access log and traces in a folder of its own, which goes with the last who has it.
pub(super) struct TemporaryLog(pub(super) std::sync::Arc<AccessLog>, std::path::PathBuf);

impl TemporaryLog {
    pub(super) fn new(metrics: &std::sync::Arc<telemetry::Metrics>) -> Self {
        static LAST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("portcullis-admin-access-{}-{n}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let config =
            AccessLogConfig { folder: folder.clone(), keep_days: 1, day_bytes_max: 1 << 20 };
        Traces::open(metrics, folder.join("traces")).unwrap();
        Self(AccessLog::start(config, metrics).unwrap(), folder)
    }
}

impl Drop for TemporaryLog {
    fn drop(&mut self) {
        self.0.close();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}
