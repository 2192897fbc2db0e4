//! What operators see and use: logs, the admin API, its tokens and its port.

use std::{fs, time::Duration};

use codec::ReasonCode;
use portcullis_tests::{Client, packets};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    super::{
        admin_api::{filled, routes},
        eventually::eventually,
        folder::{ALICE, Folder, guest},
        knock::{enter, login},
        process::{Program, portcullis, root, start},
    },
    memory::versions,
    start_open, unharmed,
};

/// N24: names of clients are markup where operators look at them (CVE-2020-13821, HiveMQ). There are no pages yet: what
/// the API says of them is JSON, and says so in a way that no browser takes for something else.
#[tokio::test]
async fn names_are_no_markup() {
    let (folder, program) = start_open("").await;
    let name = "<img src=x onerror=alert(1)>\"'</script>";
    let mut client = enter(program.mqtt(), login(name, (name, "x"))).await;
    let filter = format!("t/{name}");
    client.subscribe(&filter, codec::QoS::AtMostOnce).await;
    let token = fs::read_to_string(folder.path("data/admin.token")).expect("the token");
    for path in ["/api/v1/clients", "/api/v1/decisions", "/api/v1/nowhere/%3Cscript%3E"] {
        let mut stream = TcpStream::connect(program.api().address).await.expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\n\r\n",
            program.api().address,
            token.trim()
        );
        stream.write_all(request.as_bytes()).await.expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/") && head.contains("json"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        if path.ends_with("clients") {
            assert_eq!(body["clients"][0]["client_id"], name, "{body}");
        }
    }
    assert!(program.log_text().lines().all(|line| line.starts_with('{')), "one object a line");
}

/// N29: a key of the API may what its holder may not (EMQX 5.8 and later).
#[tokio::test]
async fn each_role_may_what_it_names_and_nothing_else() {
    let folder = Folder::bundled();
    folder.install("meddler", &guest("meddler"));
    let document = fs::read_to_string(root().join("docs/reference/admin-api.json"));
    let document: serde_json::Value =
        serde_json::from_str(&document.expect("the document")).expect("JSON");
    let mut permissions: Vec<String> = Vec::new();
    for (_, verbs) in document["paths"].as_object().expect("paths") {
        let verbs = verbs.as_object().expect("verbs");
        permissions.extend(verbs.values().filter_map(|v| Some(v["x-permission"].as_str()?.into())));
    }
    permissions.sort_unstable();
    permissions.dedup();
    assert!(permissions.len() > 8, "{permissions:?}");
    let role = |permission: &str| permission.replace(':', "-");
    let mut more = "chain = [\"meddler\"]\n".to_owned();
    for permission in &permissions {
        // Who makes backups must see every field.
        let fields = ["payload", "topic", "address", "username", "client_id", "will"];
        let fields = fields.map(|field| format!(", \"field:{field}\"")).concat();
        let name = role(permission);
        more += &format!("[admin.roles.{name}]\npermissions = [{permission:?}{fields}]\n");
    }
    folder.configure_more(&more);
    let program = Program::start(&folder.config()).await;
    let routes = routes(program.api()).await;
    for permission in &permissions {
        let credentials =
            json!({ "username": "who", "password": format!("role-{}", role(permission)) });
        let answer = program.api().post_json("/api/v1/login", &credentials).await.expect(200);
        let token = answer.json()["token"].as_str().expect("a token").to_owned();
        let api = program.api().with_token(&token);
        for (verb, path, needed) in needed(&document) {
            assert!(routes.contains(&(verb.clone(), path.clone())), "{verb} {path}");
            let status = api.status(&verb, &path).await;
            let may = needed == *permission;
            assert_eq!(status != 403, may, "{permission}: {verb} {path}: {status}");
        }
    }
}

/// Verb, path and permission of every route that needs one.
fn needed(document: &serde_json::Value) -> Vec<(String, String, String)> {
    let mut rows = Vec::new();
    for (path, verbs) in document["paths"].as_object().expect("paths") {
        let path = filled(path);
        for (verb, operation) in verbs.as_object().expect("verbs") {
            if let Some(permission) = operation["x-permission"].as_str() {
                rows.push((verb.to_uppercase(), path.clone(), permission.to_owned()));
            }
        }
    }
    rows
}

/// N34: text of clients is a command to the terminal of who reads the log (RUSTSEC-2025-0055, tracing-subscriber).
#[tokio::test]
async fn text_of_clients_is_escaped_in_the_log() {
    let folder = Folder::bundled();
    let config = folder.config();
    let config = config.to_str().expect("a path of text");
    let level = "info,telemetry=debug";
    let arguments = ["run", "--log-format", "human", "--log-level", level, "--config", config];
    let running = start(portcullis(&arguments), b"");
    let address = eventually("the broker serves", async || {
        let log = running.complained();
        let found = log.lines().find(|line| line.contains("ready"));
        let found = found.and_then(|line| line.split_once("mqtt=127.0.0.1:"));
        let port = found.and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
        port.and_then(|port| port.parse::<u16>().ok()).ok_or(log)
    })
    .await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], address));
    let evil = "\u{1b}[31m\u{1b}]0;owned\u{7}\r\nready listeners=forged\u{9b}\u{202e}\u{2028}";
    for credentials in [("mallory", "x"), (evil, "x"), ALICE] {
        let version = codec::ProtocolVersion::V5;
        let mut client = Client::open(address, version).await;
        let connect = packets::login(version, &format!("{evil}{}", credentials.1), credentials);
        client.send(codec::Packet::Connect(Box::new(connect))).await;
        let code = client.connack().await.reason_code;
        assert_eq!(code == ReasonCode::Success, credentials == ALICE, "{code:?}");
        if code == ReasonCode::Success {
            client.publish(&format!("no/{evil}"), evil).await;
            client.leave().await;
        }
    }
    eventually("each is logged", async || {
        let log = running.complained();
        if log.matches("owned").count() >= 4 { Ok(()) } else { Err(log) }
    })
    .await;
    let log = running.complained();
    let bad = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
    for line in log.lines() {
        assert!(!line.contains(bad), "{line:?}");
        assert!(line.starts_with(|c: char| c.is_ascii_digit()), "{line:?}");
    }
}

/// N39: empty frames of HTTP/2 cost time on the admin port (RUSTSEC-2026-0258, h2).
#[tokio::test]
async fn the_admin_port_speaks_no_http_2() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    for version in versions(&lock, "h2") {
        assert!(version >= (0, 4, 16), "h2 {version:?}");
    }
    let (_folder, program) = start_open("").await;
    let before = program.cpu();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(program.api().address).await.expect("it listens");
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for _ in 0..10_000 {
            // DATA of no length on stream 1.
            bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
        // It may be closed before all is sent.
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        assert!(tokio::time::timeout(Duration::from_secs(5), end).await.is_ok(), "still open");
        assert!(!answer.starts_with(b"\0\0"), "frames of HTTP/2: {answer:?}");
    }
    // Strangers that only hold connections open do not keep the operator out.
    let mut strangers = Vec::new();
    for _ in 0..200 {
        strangers.push(TcpStream::connect(program.api().address).await.expect("it listens"));
    }
    program.api().get("/api/v1/status").await.expect(200);
    let cpu = program.cpu() - before;
    assert!(cpu < Duration::from_secs(2), "{cpu:?}");
    unharmed(&program).await;
}
