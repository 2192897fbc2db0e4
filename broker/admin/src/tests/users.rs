//! Users, roles and tokens that the broker keeps: who may change what, and what ends with it.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};

use super::{Reply, TOKEN, fakes::Fakes, send, shared};
use crate::{
    administrators::{Opening, Source},
    call::Shared,
    routes,
};

/// A password, long enough.
const PASSWORD: &str = "correct horse battery";

struct House {
    router: Router,
    shared: Arc<Shared>,
}

impl House {
    fn new() -> Self {
        let shared = Arc::new(shared(&Fakes::new()));
        Self { router: routes::router(Arc::clone(&shared)), shared }
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
        self.with(method, path, token, body, None).await
    }

    async fn with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
        etag: Option<&str>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(etag) = etag {
            request = request.header(header::IF_MATCH, etag);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        send(&self.router, request.body(body).unwrap()).await
    }

    async fn try_login(&self, body: Value) -> Reply {
        let request = Request::post("/api/v1/login")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json");
        send(&self.router, request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// The token of a login.
    async fn log_in(&self, user: &str) -> String {
        let reply = self.try_login(json!({ "username": user, "password": PASSWORD })).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    async fn make(&self, user: &str, roles: &[&str]) {
        let body = json!({ "name": user, "password": PASSWORD, "roles": roles });
        let reply = self.ask("POST", "/api/v1/users", TOKEN, Some(body)).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert_eq!(reply.headers[header::LOCATION], format!("/api/v1/users/{user}"));
    }

    async fn works(&self, token: &str) -> bool {
        let reply = self.ask("GET", "/api/v1/login", token, None).await;
        assert!([200, 401].contains(&reply.status.as_u16()), "{}", reply.text);
        reply.status == StatusCode::OK
    }
}

#[tokio::test]
async fn a_user_logs_in_with_its_roles_and_is_never_shown_with_its_password() {
    let house = House::new();
    house.make("alice@example.com", &["viewer", "auditor"]).await;
    let token = house.log_in("alice@example.com").await;
    let me = house.ask("GET", "/api/v1/login", &token, None).await.json();
    assert_eq!(me["roles"], json!(["auditor", "viewer"]));
    let permissions = me["permissions"].as_array().unwrap();
    assert!(permissions.contains(&json!("audit:read")));
    assert!(!permissions.contains(&json!("bans:write")));
    let list = house.ask("GET", "/api/v1/users", &token, None).await;
    let user = &list.json()["users"][0];
    assert_eq!((&user["name"], &user["totp"]), (&json!("alice@example.com"), &json!(false)));
    assert!(!list.text.contains("argon2"), "{}", list.text);
    house
        .ask("DELETE", "/api/v1/users/alice@example.com", &token, None)
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn wrong_unknown_and_disabled_look_the_same_and_never_reach_the_chain() {
    let house = House::new();
    house.make("alice", &["viewer"]).await;
    house.make("bob", &["viewer"]).await;
    let body = json!({ "roles": ["viewer"], "disabled": true });
    let disabled = house.ask("PUT", "/api/v1/users/bob", TOKEN, Some(body)).await;
    assert_eq!(disabled.status, StatusCode::OK, "{}", disabled.text);
    let mut texts = Vec::new();
    for (user, password) in [("alice", "not the password"), ("bob", PASSWORD), ("eve", PASSWORD)] {
        let reply = house.try_login(json!({ "username": user, "password": password })).await;
        reply.problem(401, "unauthorized");
        texts.push(reply.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

/// Whoever is kept out is let in again by saying that alone.
#[tokio::test]
async fn what_a_change_leaves_out_stays() {
    let house = House::new();
    house.make("bob", &["viewer", "operator"]).await;
    for (body, roles, disabled) in [
        (json!({ "disabled": true }), json!(["operator", "viewer"]), true),
        (json!({ "roles": ["viewer"] }), json!(["viewer"]), true),
        (json!({ "disabled": false }), json!(["viewer"]), false),
        (json!({ "roles": [], "disabled": null }), json!([]), false),
    ] {
        let reply = house.ask("PUT", "/api/v1/users/bob", TOKEN, Some(body.clone())).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}: {}", reply.text);
        let user = reply.json();
        assert_eq!((&user["roles"], &user["disabled"]), (&roles, &json!(disabled)), "{body}");
    }
    let nothing = house.ask("PUT", "/api/v1/users/bob", TOKEN, Some(json!({}))).await;
    nothing.problem(400, "invalid_request");
    let new = json!({ "name": "eve", "password": PASSWORD });
    let made = house.ask("POST", "/api/v1/users", TOKEN, Some(new)).await;
    assert_eq!((made.status, &made.json()["roles"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn what_changes_a_user_ends_its_logins() {
    let house = House::new();
    house.make("alice", &["viewer"]).await;
    house.make("bob", &["viewer"]).await;
    let stays = house.log_in("bob").await;
    let path = "/api/v1/users/alice";
    for (method, path, body) in [
        ("PUT", path, Some(json!({ "roles": ["operator"], "disabled": false }))),
        ("PUT", "/api/v1/users/alice/password", Some(json!({ "password": PASSWORD }))),
        ("DELETE", "/api/v1/users/alice/totp", None),
        ("DELETE", path, None),
    ] {
        let token = house.log_in("alice").await;
        let reply = house.ask(method, path, TOKEN, body).await;
        assert!(reply.status.is_success(), "{}", reply.text);
        assert!(!house.works(&token).await, "{method} {path}");
    }
    assert!(house.works(&stays).await);
    house.ask("GET", path, TOKEN, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn nobody_gives_or_touches_rights_that_he_does_not_have() {
    let house = House::new();
    let role = json!({ "name": "clerk", "permissions": ["users:read", "users:write"] });
    let reply = house.ask("POST", "/api/v1/roles", TOKEN, Some(role)).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    house.make("clerk", &["clerk"]).await;
    house.make("root", &["administrator"]).await;
    let clerk = house.log_in("clerk").await;
    let user = |roles: &[&str]| json!({ "name": "eve", "password": PASSWORD, "roles": roles });
    let role = |may: &[&str]| json!({ "name": "more", "permissions": may });
    for (method, path, body) in [
        ("POST", "/api/v1/users", Some(user(&["administrator"]))),
        ("POST", "/api/v1/users", Some(user(&["clerk", "viewer"]))),
        ("POST", "/api/v1/roles", Some(role(&["*"]))),
        ("POST", "/api/v1/roles", Some(role(&["field:payload"]))),
        ("PUT", "/api/v1/roles/clerk", Some(json!({ "permissions": ["bans:write"] }))),
        ("PUT", "/api/v1/users/clerk", Some(json!({ "roles": ["viewer"], "disabled": false }))),
        ("PUT", "/api/v1/users/root", Some(json!({ "roles": [], "disabled": false }))),
        ("PUT", "/api/v1/users/root/password", Some(json!({ "password": PASSWORD }))),
        ("POST", "/api/v1/users/root/totp", Some(json!({}))),
        ("DELETE", "/api/v1/users/root/totp", None),
        ("DELETE", "/api/v1/users/root", None),
    ] {
        let problem = house.ask(method, path, &clerk, body).await.problem(403, "forbidden");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("rights that you do not have"), "{method} {path}: {detail}");
    }
    let reply = house.ask("POST", "/api/v1/users", &clerk, Some(user(&["clerk"]))).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
}

#[tokio::test]
async fn the_last_who_may_everything_stays_unless_the_token_file_says_so() {
    let house = House::new();
    house.make("root", &["administrator"]).await;
    let root = house.log_in("root").await;
    let lesser = || Some(json!({ "roles": ["viewer"], "disabled": false }));
    let disabled = || Some(json!({ "roles": ["administrator"], "disabled": true }));
    let path = "/api/v1/users/root";
    house.ask("PUT", path, &root, lesser()).await.problem(409, "conflict");
    house.ask("PUT", path, &root, disabled()).await.problem(409, "conflict");
    house.ask("DELETE", path, &root, None).await.problem(409, "conflict");
    assert!(house.works(&root).await);
    house.make("other", &["administrator"]).await;
    assert_eq!(house.ask("PUT", path, &root, lesser()).await.status, StatusCode::OK);
    let other = house.ask("DELETE", "/api/v1/users/other", TOKEN, None).await;
    assert_eq!(other.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn oneself_changes_the_own_password_with_the_old_one() {
    let house = House::new();
    house.make("alice", &["viewer"]).await;
    house.make("bob", &["viewer"]).await;
    let token = house.log_in("alice").await;
    let path = "/api/v1/users/alice/password";
    let body =
        |current: Option<&str>| json!({ "password": "another password", "current": current });
    house.ask("PUT", path, &token, Some(body(None))).await.problem(400, "invalid_request");
    house.ask("PUT", path, &token, Some(body(Some("wrong")))).await.problem(403, "forbidden");
    let of_bob = house.ask("PUT", "/api/v1/users/bob/password", &token, Some(body(None))).await;
    of_bob.problem(403, "forbidden");
    let escaped = "/api/v1/users/%61lice/password";
    house.ask("PUT", escaped, &token, Some(body(None))).await.problem(403, "forbidden");
    let short = json!({ "password": "short", "current": PASSWORD });
    house.ask("PUT", path, &token, Some(short)).await.problem(400, "invalid_request");
    let done = house.ask("PUT", path, &token, Some(body(Some(PASSWORD)))).await;
    assert_eq!(done.status, StatusCode::NO_CONTENT, "{}", done.text);
    assert!(!house.works(&token).await);
    let old = house.try_login(json!({ "username": "alice", "password": PASSWORD })).await;
    old.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_change_says_what_it_was_made_of() {
    let house = House::new();
    house.make("alice", &["viewer"]).await;
    let path = "/api/v1/users/alice";
    let seen = house.ask("GET", path, TOKEN, None).await;
    let etag = seen.headers[header::ETAG].to_str().unwrap().to_owned();
    let body = || Some(json!({ "roles": ["operator"], "disabled": false }));
    let first = house.with("PUT", path, TOKEN, body(), Some(&etag)).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    house.with("PUT", path, TOKEN, body(), Some(&etag)).await.problem(412, "changed");
    house.with("DELETE", path, TOKEN, None, Some(&etag)).await.problem(412, "changed");
    let etag = first.headers[header::ETAG].to_str().unwrap();
    let gone = house.with("DELETE", path, TOKEN, None, Some(etag)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_no_user_or_role_is_refused() {
    let house = House::new();
    house.make("alice", &["viewer"]).await;
    let user = |name: &str, password: &str, role: &str| {
        let roles = [role];
        json!({ "name": name, "password": password, "roles": roles })
    };
    for (body, status, kind) in [
        (user("alice", PASSWORD, "viewer"), 409, "conflict"),
        (user("a/b", PASSWORD, "viewer"), 400, "invalid_request"),
        (user("", PASSWORD, "viewer"), 400, "invalid_request"),
        (user("..", PASSWORD, "viewer"), 400, "invalid_request"),
        (user("bob", "too short", "viewer"), 400, "invalid_request"),
        (user("bob", PASSWORD, "nobody"), 400, "invalid_request"),
        (json!({ "name": "bob", "roles": [] }), 400, "invalid_request"),
    ] {
        house.ask("POST", "/api/v1/users", TOKEN, Some(body)).await.problem(status, kind);
    }
    let role = |name: &str, may: &[&str]| json!({ "name": name, "permissions": may });
    for (body, status, kind) in [
        (role("viewer", &["bans:read"]), 409, "conflict"),
        (role("administrator", &["bans:read"]), 409, "conflict"),
        (role("r", &["bans:reed"]), 400, "invalid_request"),
        (role("r", &[]), 400, "invalid_request"),
    ] {
        house.ask("POST", "/api/v1/roles", TOKEN, Some(body)).await.problem(status, kind);
    }
    let change = || Some(json!({ "permissions": ["bans:read"] }));
    for (role, status) in [("viewer", 409), ("operator", 409), ("nobody", 404)] {
        let path = format!("/api/v1/roles/{role}");
        assert_eq!(house.ask("PUT", &path, TOKEN, change()).await.status, status, "{role}");
        assert_eq!(house.ask("DELETE", &path, TOKEN, None).await.status, status, "{role}");
    }
}

#[tokio::test]
async fn a_role_changes_for_those_who_have_it() {
    let house = House::new();
    let role = json!({ "name": "keeper", "permissions": ["bans:read", "field:topic"] });
    house.ask("POST", "/api/v1/roles", TOKEN, Some(role)).await;
    house.make("alice", &["keeper"]).await;
    let token = house.log_in("alice").await;
    house.ask("DELETE", "/api/v1/roles/keeper", TOKEN, None).await.problem(409, "conflict");
    let body = json!({ "permissions": ["clients:read"] });
    let changed = house.ask("PUT", "/api/v1/roles/keeper", TOKEN, Some(body)).await;
    assert_eq!(changed.json()["permissions"], json!(["clients:read"]));
    assert!(!house.works(&token).await);
    let token = house.log_in("alice").await;
    assert_eq!(house.ask("GET", "/api/v1/clients", &token, None).await.status, StatusCode::OK);
    house.ask("GET", "/api/v1/bans", &token, None).await.problem(403, "forbidden");
    let roles = house.ask("GET", "/api/v1/roles", TOKEN, None).await.json();
    let origins: Vec<_> = roles["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| format!("{} {}", role["name"], role["origin"]).replace('"', ""))
        .collect();
    assert_eq!(
        origins,
        [
            "administrator built_in",
            "auditor built_in",
            "blind configuration",
            "keeper made",
            "operator built_in",
            "seer configuration",
            "viewer configuration",
        ]
    );
}

#[tokio::test]
async fn one_time_codes_are_good_once() {
    let house = House::new();
    house.make("alice", &["viewer"]).await;
    let token = house.log_in("alice").await;
    let enrol = |current: Option<&str>| Some(json!({ "current": current }));
    let path = "/api/v1/users/alice/totp";
    house.ask("POST", path, &token, enrol(None)).await.problem(400, "invalid_request");
    house.ask("POST", path, &token, enrol(Some("wrong"))).await.problem(403, "forbidden");
    assert!(house.shared.directory.kept().users["alice"].totp.is_none());
    let enrolment = house.ask("POST", path, &token, enrol(Some(PASSWORD))).await.json();
    let secret = enrolment["secret"].as_str().unwrap();
    let uri = format!("otpauth://totp/Portcullis:alice?secret={secret}&issuer=Portcullis");
    assert_eq!(enrolment["uri"], uri);
    let rows = enrolment["qr_code"].as_array().unwrap();
    let square = |row: &Value| row.as_str().unwrap().len() == rows.len();
    assert!(rows.len() >= 21 && rows.iter().all(square), "{rows:?}");
    // The mark in three of its corners that readers look for.
    assert!(rows[0].as_str().unwrap().starts_with("11111110"), "{rows:?}");
    assert!(rows[0].as_str().unwrap().ends_with("01111111"), "{rows:?}");
    // Nothing is asked for before the first code.
    house.log_in("alice").await;
    let path = "/api/v1/users/alice/totp/confirm";
    let code = |text: &str| Some(json!({ "code": text }));
    house.ask("POST", path, &token, code("000000x")).await.problem(400, "invalid_request");
    let kept = house.shared.directory.kept();
    let totp = kept.users["alice"].totp.clone().unwrap();
    let now = crate::call::unix_now();
    let confirmed = house.ask("POST", path, &token, code(&totp.code(now - 30))).await;
    assert_eq!(confirmed.json()["totp"], true, "{}", confirmed.text);
    house.ask("POST", path, &token, code(&totp.code(now))).await.problem(409, "conflict");
    let again = house.ask("POST", "/api/v1/users/alice/totp", &token, enrol(Some(PASSWORD))).await;
    again.problem(409, "conflict");
    let login =
        |code: Option<String>| json!({ "username": "alice", "password": PASSWORD, "code": code });
    house.try_login(login(None)).await.problem(401, "code_needed");
    let used = house.try_login(login(Some(totp.code(now - 30)))).await;
    used.problem(401, "unauthorized");
    let good = house.try_login(login(Some(totp.code(now)))).await;
    assert_eq!(good.status, StatusCode::OK, "{}", good.text);
    house.try_login(login(Some(totp.code(now)))).await.problem(401, "unauthorized");
    let wrong = json!({ "username": "alice", "password": "wrong password", "code": "123456" });
    house.try_login(wrong).await.problem(401, "unauthorized");
    // Codes are guessed as slowly as passwords.
    for _ in 0..2 {
        house.try_login(login(Some("0".repeat(6)))).await.problem(401, "unauthorized");
    }
    house.try_login(login(Some(totp.code(now + 30)))).await.problem(429, "too_many_requests");
    assert_eq!(
        house.ask("DELETE", "/api/v1/users/alice/totp", TOKEN, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(house.shared.directory.kept().users["alice"].totp.is_none());
}

#[tokio::test]
async fn a_token_may_a_part_of_its_owner_until_it_ends() {
    let house = House::new();
    let role = json!({ "name": "robots", "permissions":
        ["clients:read", "bans:read", "tokens:read", "tokens:write"] });
    house.ask("POST", "/api/v1/roles", TOKEN, Some(role)).await;
    house.make("alice", &["robots"]).await;
    let login = house.log_in("alice").await;
    let new = |may: &[&str]| Some(json!({ "name": "night job", "permissions": may }));
    house
        .ask("POST", "/api/v1/tokens", &login, new(&["bans:write"]))
        .await
        .problem(403, "forbidden");
    house.ask("POST", "/api/v1/tokens", &login, new(&[])).await.problem(400, "invalid_request");
    let made = house.ask("POST", "/api/v1/tokens", &login, new(&["bans:read"])).await.json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(token.starts_with("pct_") && token.len() == 47, "{token}");
    let lasts = made["expires_at"].as_u64().unwrap() - made["created_unix"].as_u64().unwrap();
    assert_eq!(lasts, 90 * 24 * 3_600);
    assert_eq!(house.ask("GET", "/api/v1/bans", token, None).await.status, StatusCode::OK);
    house.ask("GET", "/api/v1/clients", token, None).await.problem(403, "forbidden");
    house.ask("DELETE", "/api/v1/login", token, None).await.problem(403, "forbidden");
    let list = house.ask("GET", "/api/v1/tokens", &login, None).await;
    assert!(!list.text.contains(token) && !list.text.contains("hash"), "{}", list.text);
    let entry = &list.json()["tokens"][0];
    assert_eq!((&entry["id"], &entry["owner"]), (&json!(id), &json!("alice")));
    assert!(entry["last_used_unix"].as_u64().unwrap().is_multiple_of(60));
    // Its owner may less now.
    let body = json!({ "permissions": ["clients:read", "tokens:write"] });
    house.ask("PUT", "/api/v1/roles/robots", TOKEN, Some(body)).await;
    house.ask("GET", "/api/v1/bans", token, None).await.problem(403, "forbidden");
    let login = house.log_in("alice").await;
    let path = format!("/api/v1/tokens/{id}");
    let revoked = house.ask("DELETE", &path, &login, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT, "{}", revoked.text);
    assert!(!house.works(token).await);
    house.ask("DELETE", &path, &login, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_token_goes_with_its_owner_and_makes_no_other() {
    let house = House::new();
    house.make("root", &["administrator"]).await;
    let login = house.log_in("root").await;
    let new = json!({ "name": "all", "permissions": ["*"], "never_expires": true });
    let made = house.ask("POST", "/api/v1/tokens", &login, Some(new.clone())).await.json();
    assert_eq!(made["expires_at"], json!(null));
    let token = made["token"].as_str().unwrap();
    house.ask("POST", "/api/v1/tokens", token, Some(new)).await.problem(403, "forbidden");
    // It is no login of its owner: it cannot do what only that may.
    let body = json!({ "password": "another password" });
    let set = house.ask("PUT", "/api/v1/users/root/password", token, Some(body)).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "with users:write: {}", set.text);
    let body = json!({ "roles": ["administrator"], "disabled": true });
    house.ask("PUT", "/api/v1/users/root", TOKEN, Some(body)).await;
    assert!(!house.works(token).await, "its owner is disabled");
    house.ask("DELETE", "/api/v1/users/root", TOKEN, None).await;
    assert!(house.shared.directory.kept().tokens.is_empty());
    // Whom a plugin vouches for may be gone without the broker being told.
    let (roles, permissions) = house.shared.directory.permitted(&["administrator".to_owned()]);
    let opening = Opening {
        user: Some("elsewhere".to_owned()),
        roles,
        permissions,
        expires_at_unix: None,
        cookie: false,
        source: Source::Chain,
    };
    let now = (std::time::Instant::now(), crate::call::unix_now());
    let (login, _) = house.shared.administrators.open(opening, now).unwrap().unwrap();
    let new = json!({ "name": "n", "permissions": ["*"], "never_expires": true });
    let refused = house.ask("POST", "/api/v1/tokens", &login, Some(new)).await;
    assert_eq!(refused.problem(403, "forbidden")["parameter"], "never_expires");
    for expires in [59, 31_536_001] {
        let new = json!({ "name": "n", "permissions": ["*"], "expires_in": expires });
        house.ask("POST", "/api/v1/tokens", TOKEN, Some(new)).await.problem(400, "invalid_request");
    }
    let new = json!({ "name": "n", "roles": ["viewer"], "expires_in": 60 });
    let made = house.ask("POST", "/api/v1/tokens", TOKEN, Some(new)).await.json();
    assert_eq!((&made["permissions"], &made["owner"]), (&json!(["clients:read"]), &json!(null)));
    let token = made["token"].as_str().unwrap().as_bytes();
    let ends = made["expires_at"].as_u64().unwrap();
    let directory = &house.shared.directory;
    assert!(directory.find_token(token, ends - 1).is_some());
    assert!(directory.find_token(token, ends).is_none());
}
