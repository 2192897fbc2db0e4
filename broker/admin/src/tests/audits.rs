//! What the API writes into the audit log, and what it does when it cannot.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};

use super::{Reply, TOKEN, fakes::Fakes, request, send, shared};
use crate::{
    audit::{self, Audit},
    routes, verify_audit,
};

struct House {
    folder: PathBuf,
    fakes: Fakes,
    audit: Audit,
    router: Router,
}

impl House {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("audits-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let fakes = Fakes::new();
        let audit = Audit::open(&folder, 90, audit::now).unwrap();
        let mut shared = shared(&fakes);
        shared.audit = audit.clone();
        Self { folder, fakes, audit, router: routes::router(Arc::new(shared)) }
    }

    async fn ask(&self, method: &str, path: &str) -> Reply {
        send(&self.router, request(method, path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = request("POST", path).header(header::CONTENT_TYPE, "application/json");
        send(&self.router, request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// The lines of today, the oldest first.
    async fn lines(&self) -> Vec<Value> {
        let page = self.ask("GET", "/api/v1/audit").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let mut lines = page.json()["records"].as_array().unwrap().clone();
        lines.reverse();
        lines
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn changes_logins_and_refusals_are_written_without_their_secrets() {
    let house = House::new("written");
    let password = "a password to be found nowhere";
    let user = json!({ "name": "alice", "password": password, "roles": ["viewer"] });
    assert_eq!(house.post("/api/v1/users", &user).await.status, StatusCode::OK);
    house.post("/api/v1/users", &user).await.problem(409, "conflict");
    // What is of the wrong type is quoted to whoever sent it, and to nobody else.
    let number = json!({ "name": "bob", "password": 123_456_789_012_u64, "roles": [] });
    house.post("/api/v1/users", &number).await.problem(400, "invalid_request");
    assert_eq!(house.ask("GET", "/api/v1/clients").await.status, StatusCode::OK);
    let login = |password: &str| {
        let body = json!({ "username": "alice", "password": password }).to_string();
        let request = Request::post("/api/v1/login")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json");
        request.body(Body::from(body)).unwrap()
    };
    send(&house.router, login("wrong password")).await.problem(401, "unauthorized");
    let opened = send(&house.router, login(password)).await;
    let token = opened.json()["token"].as_str().unwrap().to_owned();
    let as_alice = |method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    };
    let refused = send(&house.router, as_alice("DELETE", "/api/v1/users/alice")).await;
    refused.problem(403, "forbidden");
    send(&house.router, as_alice("DELETE", "/api/v1/login")).await;
    let stranger = Request::get("/api/v1/status").header(header::HOST, "localhost");
    send(&house.router, stranger.body(Body::empty()).unwrap()).await.problem(401, "unauthorized");
    let lines = house.lines().await;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            let words = [text("action"), text("by"), text("user"), text("route")];
            format!("{} {}", words.join(" "), line["status"])
        })
        .collect();
    assert_eq!(
        seen,
        [
            "start - - - null",
            "change token_file - POST /api/v1/users 200",
            "change token_file - POST /api/v1/users 409",
            "change token_file - POST /api/v1/users 400",
            "login - alice - 401",
            "login local alice - 200",
            "refused local alice DELETE /api/v1/users/alice 403",
            "logout local alice - null",
            "refused - - GET /api/v1/status 401",
        ]
    );
    assert_eq!(lines[2]["cause"], "there is a user \"alice\"");
    assert_eq!(lines[4]["cause"], "the password is wrong");
    let text = serde_json::to_string(&lines).unwrap();
    for secret in [password, "wrong password", token.as_str(), TOKEN, "argon2", "123456789012"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(verify_audit(&house.folder).unwrap().lines, 9);
}

#[tokio::test]
async fn nothing_is_changed_that_cannot_be_written_down() {
    let house = House::new("full");
    house.audit.check_writable().await.unwrap();
    house.audit.fill_disk(true);
    // The first change finds out; it was made, and says so.
    let first = house.ask("POST", "/api/v1/plugins/acl-file/reload").await.problem(503, "busy");
    assert!(first["detail"].as_str().unwrap().starts_with("the change was made, but"), "{first}");
    house.ask("POST", "/api/v1/plugins/acl-file/reload").await.problem(503, "busy");
    assert_eq!(house.fakes.asked(), ["reload acl-file"]);
    let login = json!({ "token": TOKEN, "cookie": true });
    let request = Request::post("/api/v1/login")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    let refused = send(&house.router, request.body(Body::from(login.to_string())).unwrap()).await;
    refused.problem(503, "busy");
    assert!(!refused.headers.contains_key(header::SET_COOKIE));
    assert_eq!(house.ask("GET", "/api/v1/clients").await.status, StatusCode::OK);
    house.audit.fill_disk(false);
    let reload = house.ask("POST", "/api/v1/plugins/acl-file/reload").await;
    assert_eq!(reload.status, StatusCode::OK);
    let routes: Vec<_> = house.lines().await.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(routes, [json!(null), json!(200), json!(200), json!(200)], "nothing is lost");
}

#[tokio::test]
async fn a_search_says_what_it_accepts() {
    let house = House::new("search");
    for query in ["day=yesterday", "day=2026-02-30", "limit=0", "limit=1001", "action=x", "x=y"] {
        let path = format!("/api/v1/audit?{query}");
        house.ask("GET", &path).await.problem(400, "invalid_request");
    }
    let page = house.ask("GET", "/api/v1/audit?day=2026-01-01&user=a&action=login").await.json();
    assert_eq!((&page["day"], &page["records"]), (&json!("2026-01-01"), &json!([])));
    assert_eq!(page["head"]["hash"].as_str().unwrap().len(), 64);
}
