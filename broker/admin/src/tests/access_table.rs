//! Every route against every kind of caller, as a table in the repository: `access_table.txt`. What
//! is in it is also what the access rule of the route asks for; a route without a line fails.

use std::{fs, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{TOKEN, access_rules::path_of, fakes::Fakes, shared};
use crate::{
    Roles,
    administrators::{Administrators, Lasts, Opening, Source},
    call::{Shared, unix_now},
    directory::{ApiToken, Directory, Owner, token_hash},
    guard::Offered,
    pages::PAGES,
    route::{Access, Route, Verb},
    routes::{self, ROUTES},
    token::TokenHash,
};

const HOST: &str = "localhost:9883";
const BUILT_IN: [&str; 4] = ["administrator", "operator", "viewer", "auditor"];

/// The columns, in their order.
const CALLERS: [&str; 14] = [
    "none",
    "wrong",
    "ended login",
    "ended token",
    "revoked token",
    "administrator",
    "operator",
    "viewer",
    "auditor",
    "cookie",
    "other csrf",
    "other origin",
    "other host",
    "cookie csrf",
];

/// Everybody who is in a column.
struct Callers {
    router: Router,
    roles: Vec<String>,
    ended_login: String,
    ended_token: String,
    revoked_token: String,
    cookie: (String, String),
    other_csrf: String,
}

fn open(shared: &Shared, role: &str, ends: Option<u64>, cookie: bool) -> (String, Option<String>) {
    let (roles, permissions) = shared.directory.permitted(&[role.to_owned()]);
    let opening = Opening {
        user: Some(role.to_owned()),
        roles,
        permissions,
        expires_at_unix: ends,
        cookie,
        source: Source::Chain,
    };
    let now = (std::time::Instant::now(), unix_now());
    let (token, who) = shared.administrators.open(opening, now).unwrap().unwrap();
    (token.to_string(), who.csrf.clone())
}

impl Callers {
    fn new() -> Self {
        let directory = Arc::new(Directory::empty(Roles::default()));
        let lasts = Lasts { ttl: Duration::from_secs(3_600), idle: Duration::from_secs(3_600) };
        let hash = TokenHash::of(TOKEN.as_bytes());
        let mut shared = shared(&Fakes::new());
        shared.administrators = Administrators::new(hash, Arc::clone(&directory), lasts);
        shared.directory = Arc::clone(&directory);
        let roles = BUILT_IN.map(|role| open(&shared, role, None, false).0).to_vec();
        let ended_login = open(&shared, "administrator", Some(unix_now()), false).0;
        let (token, csrf) = open(&shared, "administrator", None, true);
        let other_csrf = open(&shared, "administrator", None, true).1.unwrap();
        let ended_token = "pct_ended".to_owned();
        let token_of = |text: &str, expires_unix| ApiToken {
            name: "t".to_owned(),
            hash: token_hash(text.as_bytes()),
            owner: Owner::TokenFile,
            permissions: vec!["*".to_owned()],
            created_unix: 1,
            expires_unix,
        };
        let revoked_token = "pct_revoked".to_owned();
        let keep = |id: &str, token: Option<ApiToken>| {
            directory
                .change(|kept| {
                    match token {
                        Some(token) => kept.tokens.insert(id.to_owned(), token),
                        None => kept.tokens.remove(id),
                    };
                    Ok(())
                })
                .unwrap();
        };
        keep("1", Some(token_of(&ended_token, Some(unix_now()))));
        keep("2", Some(token_of(&revoked_token, None)));
        let bearer = Offered::Bearer(revoked_token.as_bytes());
        let now = (std::time::Instant::now(), unix_now());
        assert!(shared.administrators.find(bearer, now).is_some(), "before it is revoked");
        keep("2", None);
        let cookie = (format!("portcullis_session={token}"), csrf.unwrap());
        let router = routes::router(Arc::new(shared));
        Self { router, roles, ended_login, ended_token, revoked_token, cookie, other_csrf }
    }

    fn headers(&self, caller: &str) -> Vec<(&'static str, String)> {
        let bearer = |token: &str| vec![("authorization", format!("Bearer {token}"))];
        let cookie = |csrf: &str, origin: &str| {
            let (cookie, csrf, origin) =
                (self.cookie.0.clone(), csrf.to_owned(), origin.to_owned());
            vec![("cookie", cookie), ("x-csrf-token", csrf), ("origin", origin)]
        };
        let ours = format!("http://{HOST}");
        match caller {
            "none" => Vec::new(),
            "wrong" => bearer("wrong"),
            "ended login" => bearer(&self.ended_login),
            "ended token" => bearer(&self.ended_token),
            "revoked token" => bearer(&self.revoked_token),
            "cookie" => vec![("cookie", self.cookie.0.clone()), ("origin", ours)],
            "cookie csrf" => cookie(&self.cookie.1, &ours),
            "other csrf" => cookie(&self.other_csrf, &ours),
            "other origin" => cookie(&self.cookie.1, "http://evil.example"),
            "other host" => bearer(TOKEN),
            role => {
                let at = BUILT_IN.iter().position(|known| *known == role).unwrap();
                bearer(&self.roles[at])
            }
        }
    }

    /// `in` = the request came to its handler, otherwise the status with which it was turned away.
    async fn ask(&self, route: &Route, caller: &str) -> String {
        let host = if caller == "other host" { "evil.example" } else { HOST };
        let mut request = Request::builder().method(route.verb.name()).uri(path_of(route));
        request = request.header(header::HOST, host);
        for (name, value) in self.headers(caller) {
            request = request.header(name, value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
        let response = response.unwrap();
        let status = response.status().as_u16();
        let elsewhere = response.headers().get(header::LOCATION);
        if route.page
            && elsewhere.is_some_and(|it| it.to_str().is_ok_and(|it| it.starts_with("/login")))
        {
            return "login".to_owned();
        }
        if ![401, 403, 421].contains(&status) {
            return "in".to_owned();
        }
        // A handler may say 403 as well, and the login 401.
        let body = response.into_body().collect().await.unwrap().to_bytes();
        if route.page && status == 403 {
            // A page says it in a sentence.
            let text = String::from_utf8_lossy(&body).into_owned();
            let by_guard = ["this route needs the permission", "names another site"];
            let by_guard = by_guard.iter().any(|sentence| text.contains(sentence));
            return if by_guard { "403" } else { "in" }.to_owned();
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        let by_guard = status != 403
            || problem["type"] != "urn:portcullis:problem:forbidden"
            || detail.starts_with("this route needs the permission");
        if by_guard { status.to_string() } else { "in".to_owned() }
    }
}

/// What the access rule of a route asks for.
fn expected(route: &Route, caller: &str) -> &'static str {
    let permission = match route.access {
        Access::Open => None,
        Access::LoggedIn => Some(None),
        Access::OpenIfConfigured(needed) | Access::OneselfOr(needed) | Access::Needs(needed) => {
            Some(Some(needed))
        }
    };
    let changes = route.verb != Verb::Get;
    match (caller, permission) {
        ("other host", _) => "421",
        ("other origin", _) => "403",
        (_, None) => "in",
        ("none" | "wrong" | "ended login" | "ended token" | "revoked token", _) if route.page => {
            "login"
        }
        ("none" | "wrong" | "ended login" | "ended token" | "revoked token", _) => "401",
        ("cookie" | "other csrf", _) if changes => "403",
        ("cookie" | "other csrf" | "cookie csrf", _) | (_, Some(None)) => "in",
        (role, Some(Some(needed))) => {
            let (_, may) = Directory::empty(Roles::default()).role(role).unwrap();
            if may.has(needed) { "in" } else { "403" }
        }
    }
}

#[tokio::test]
async fn every_route_turns_away_whom_it_should() {
    let mut table = String::from(
        "# Every route of the admin API against every kind of caller. `in` = the request comes to \
         its\n# handler, a number = the status with which it is turned away, `login` = sent to the \
         page that logs in. UPDATE_GOLDEN=1 writes it anew.\n",
    );
    table.push_str(&format!("# route | permission | {}\n", CALLERS.join(" | ")));
    for route in ROUTES.iter().chain(PAGES) {
        // For each route anew: the handler of one of them ends a login.
        let callers = Callers::new();
        let name = format!("{} {}", route.verb.name(), route.path);
        let needs = match route.access {
            Access::Open => "-".to_owned(),
            Access::LoggedIn => "a login".to_owned(),
            Access::OneselfOr(needed) => format!("oneself or {}", needed.name()),
            Access::OpenIfConfigured(needed) | Access::Needs(needed) => needed.name().to_owned(),
        };
        let mut cells = vec![name.clone(), needs];
        for caller in CALLERS {
            let cell = callers.ask(route, caller).await;
            assert_eq!(cell, expected(route, caller), "{name}, {caller}");
            cells.push(cell);
        }
        table.push_str(&cells.join(" | "));
        table.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/access_table.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    for line in table.lines() {
        assert!(committed.lines().any(|known| known == line), "no such line in the table: {line}");
    }
    assert!(table == committed, "access_table.txt has lines of routes that are gone");
}
