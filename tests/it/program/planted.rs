//! Nothing secret is told: secrets of clients and of administrators are planted wherever they can be shown, and looked for in
//! the log, in every answer of the API that only reads, and in every file that the broker writes and that is not there to
//! keep them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use codec::{ReasonCode, Will};
use serde_json::{Value, json};

use super::{
    eventually::until,
    folder::{ALICE, Folder},
    http::{Answer, Api},
    knock::{enter, knock, login},
    process::Program,
};

/// Everything secret that a client can show and a configuration can hold.
const SECRETS: [&str; 9] = [
    "PLANTED-password",
    "UExBTlRFRC1wYXlsb2Fk",
    "PLANTED-will-payload",
    "PLANTED-authentication-data",
    "PLANTED-key-of-a-secret",
    "PLANTED-payload",
    "UExBTlRFRC1zaWduYXR1cmU",
    "PLANTED-administrator",
    ALICE.1,
];
/// A token in place of a user name.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.UExBTlRFRC1wYXlsb2Fk.UExBTlRFRC1zaWduYXR1cmU";
/// An administrator.
const CAROL: (&str, &str) = ("carol", "PLANTED-administrator");
/// A password of the wrong type.
const NUMBER: u64 = 918_273_645_546;

/// Below `data`: what is there to hold secrets. Messages and sessions, keys, the token of the first start, and users with
/// what their codes are made of.
const KEEPS_SECRETS: [&str; 4] = ["store", "keys", "admin.token", "admin/directory.json"];

/// Routes that have no end.
const ENDLESS: [&str; 2] = ["/api/v1/events", "/api/v1/traces/{id}/live"];

/// What was told, by its place.
type Told = BTreeMap<String, String>;

#[tokio::test]
async fn planted_secrets_are_found_nowhere() {
    let folder = Folder::bundled();
    folder.configure_more(
        "[secrets.planted]\nvalue = \"PLANTED-key-of-a-secret\"\n[keys.ring]\nmanaged = true\n",
    );
    let program = Program::start(&folder.config()).await;
    let api = program.api();
    let trace = api.post_json("/api/v1/traces", &json!({ "name": "all", "client_id": "*" })).await;
    let trace = trace.expect(200).json()["id"].to_string();
    clients(&program).await;
    let secrets = administrators(&folder, api).await;
    let mut told = Told::from([("the log".to_owned(), program.log_text())]);
    answers(api, &trace, &mut told).await;
    files(&folder.path("data"), &mut told);
    assert!(told.keys().any(|place| place.contains("access/")), "{:?}", told.keys());
    assert!(told.keys().any(|place| place.contains("audit/")), "{:?}", told.keys());
    let records = &told[&format!("/api/v1/traces/{trace}/download")];
    assert!(records.contains("\"packet\":\"connect\""), "{records}");
    assert!(told.values().any(|text| text.contains("(a token)")));
    let planted = SECRETS.iter().map(|secret| (*secret).to_owned());
    let planted: Vec<_> = planted.chain(secrets).chain([NUMBER.to_string()]).collect();
    for (place, text) in &told {
        for secret in &planted {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(&hex), "{secret} in hexadecimal is in {place}: {text}");
        }
    }
    modes_are_private(&folder.path("data/access"));
    modes_are_private(&folder.path("data/traces"));
    program.stop().await;
}

/// Those that are refused show secrets, and one that is let in.
async fn clients(program: &Program) {
    // Refused: a wrong password, a token as user name, a will with a secret.
    let mut connect = login("wrong", ("alice", "PLANTED-password"));
    connect.will = Some(Box::new(will()));
    assert_eq!(knock(program.mqtt(), connect).await.0, ReasonCode::BadUserNameOrPassword);
    knock(program.mqtt(), login("token", (TOKEN, "PLANTED-password"))).await;
    let mut enhanced = login("enhanced", ALICE);
    enhanced.authentication_method = Some("SCRAM-SHA-256".to_owned());
    enhanced.authentication_data = Some(b"PLANTED-authentication-data".to_vec());
    knock(program.mqtt(), enhanced).await;
    // Let in, with a will that is sent at the end.
    let mut connect = login("good", ALICE);
    connect.will = Some(Box::new(will()));
    let mut client = enter(program.mqtt(), connect).await;
    client.publish("free/a", "PLANTED-payload").await;
    client.publish("forbidden", "PLANTED-payload").await;
    client.vanish();
    until("the end is in the access log", async || {
        let found = program.api().get("/api/v1/access_log?client_id=good&type=disconnected").await;
        found.expect(200).json()["lines"] != json!([])
    })
    .await;
}

fn will() -> Will {
    Will::new("free/will", b"PLANTED-will-payload")
}

/// Somebody logs in, in each way that there is, and makes what there is to make: what was shown to her alone.
async fn administrators(folder: &Folder, api: &Api) -> Vec<String> {
    let user = json!({ "name": CAROL.0, "password": CAROL.1, "roles": ["operator"] });
    api.post_json("/api/v1/users", &user).await.expect(200);
    let wrong = json!({ "name": "dave", "password": NUMBER, "roles": [] });
    api.post_json("/api/v1/users", &wrong).await.expect(400);
    let stranger = api.with_token("");
    let log_in = async |more: Value| {
        let mut body = json!({ "username": CAROL.0, "password": CAROL.1 });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        stranger.post_json("/api/v1/login", &body).await
    };
    log_in(json!({ "password": "PLANTED-password" })).await.expect(401);
    stranger.with_token("PLANTED-password").get("/api/v1/status").await.expect(401);
    let text = |answer: &Answer, name: &str| {
        let text = answer.json()[name].as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("no {name}: {answer:?}"))
    };
    let browser = log_in(json!({ "cookie": true })).await.expect(200);
    let cookie = browser.head.lines().find_map(|line| line.split_once("portcullis_session="));
    let cookie = cookie.and_then(|(_, rest)| rest.split(';').next()).expect("a cookie");
    let login = text(&log_in(json!({})).await.expect(200), "token");
    let new = json!({ "name": "job", "permissions": ["status:read"] });
    let token = text(&api.post_json("/api/v1/tokens", &new).await.expect(200), "token");
    let own = api.with_token(&login);
    let totp = format!("/api/v1/users/{}/totp", CAROL.0);
    let enrolled = own.post_json(&totp, &json!({ "current": CAROL.1 })).await.expect(200);
    own.post_json(&format!("{totp}/confirm"), &json!({ "code": "000000" })).await;
    api.post_json("/api/v1/keys/ring", &json!({})).await.expect(200);
    let first = fs::read_to_string(folder.path("data/admin.token")).expect("the token");
    let secret = text(&enrolled, "secret");
    let shown = [cookie.to_owned(), text(&browser, "csrf"), login, token, secret];
    shown.into_iter().chain([first.trim().to_owned()]).collect()
}

/// Every answer of the API to a GET, of what is known.
async fn answers(api: &Api, trace: &str, told: &mut Told) {
    let decisions = api.get("/api/v1/decisions").await.expect(200).json();
    let decision = decisions["decisions"][0]["id"].as_str().expect("a decision").to_owned();
    let document = api.get("/api/v1/openapi.json").await.expect(200).json();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if methods.get("get").is_none() || ENDLESS.contains(&path.as_str()) {
            continue;
        }
        for known in known(path, trace, &decision) {
            let answer = api.get(&known).await;
            // Of bans and retained messages there are none; nobody configured an identity provider.
            assert!([200, 404].contains(&answer.status), "{known}: {answer:?}");
            told.insert(known, answer.head + &answer.body);
        }
    }
    for page in ["/", "/account", "/clients", "/clients/good", "/decisions", "/audit", "/config"] {
        told.insert(page.to_owned(), api.get(page).await.expect(200).body);
    }
    assert!(told.len() > 50, "{:?}", told.keys());
}

/// A path with what there is in the place of its parameters.
fn known(path: &str, trace: &str, decision: &str) -> Vec<String> {
    let id = match path {
        path if path.starts_with("/api/v1/traces/") => trace,
        path if path.starts_with("/api/v1/decisions/") => decision,
        _ => "1",
    };
    let path = path
        .replace("{id}", id)
        .replace("{name}", "acl-file")
        .replace("{ring}", "ring")
        .replace("{user}", CAROL.0)
        .replace("{role}", "operator")
        .replace("{topic}", "free%2Fa");
    let path = match path.as_str() {
        "/api/v1/permissions/reach" => format!("{path}?topic=free%2Fa&activity=publish"),
        _ => path,
    };
    let clients = ["good", "wrong", "token", "enhanced"];
    let mut paths: Vec<_> = clients.map(|client| path.replace("{client_id}", client)).into();
    paths.dedup();
    assert!(
        paths.iter().all(|path| !path.contains('{')),
        "{path} has a parameter that is not known"
    );
    paths
}

/// Every file that is not there to keep secrets.
fn files(data: &Path, told: &mut Told) {
    let mut open: Vec<PathBuf> = vec![data.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let below = path.strip_prefix(data).expect("below it");
            if KEEPS_SECRETS.iter().any(|kept| below == Path::new(kept)) {
                continue;
            }
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            told.insert(below.display().to_string(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

fn modes_are_private(folder: &Path) {
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for file in fs::read_dir(folder).expect("a folder") {
        assert_eq!(mode(&file.expect("a file").path()), 0o600);
    }
}
