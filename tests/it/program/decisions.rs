//! Decisions that the program made: why, and made again from what was recorded.

use codec::{Auth, Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Client, packets};
use serde_json::{Value, json};

use super::{
    folder::{ALICE, BOB, Folder, guest},
    http::Api,
    knock::{enter, knock, login},
    process::{Program, portcullis, run},
};

async fn decisions(api: &Api, query: &str) -> Vec<Value> {
    let answer = api.get(&format!("/api/v1/decisions?{query}")).await.expect(200).json();
    answer["decisions"].as_array().expect("decisions").clone()
}

/// Writes what was recorded of a decision into a file, and names it.
async fn save(folder: &Folder, api: &Api, id: &str) -> String {
    let recording = api.get(&format!("/api/v1/decisions/{id}/recording")).await.expect(200).body;
    let name = format!("{id}.json");
    folder.write(&name, &recording);
    folder.path(&name).display().to_string()
}

async fn replay(folder: &Folder, files: &[String]) -> super::process::Ended {
    let config = folder.config().display().to_string();
    let fixed = ["plugin", "replay", "--config", &config];
    let files = files.iter().map(String::as_str);
    run(portcullis(&fixed.into_iter().chain(files).collect::<Vec<_>>()), b"").await
}

/// Of every kind: right and wrong passwords, unknown users, hashed and verified by the host, rules from a file.
#[tokio::test]
async fn a_hundred_recorded_decisions_come_out_the_same() {
    let folder = Folder::bundled();
    // A tenth of them at once, and these come at once.
    folder.configure_more("[decisions]\nper_second = 1000\n");
    let program = Program::start(&folder.config()).await;
    for number in 0..100 {
        let (user, password) = match number % 4 {
            0 => ALICE,
            1 => BOB,
            2 => (ALICE.0, "wrong"),
            _ => ("mallory", "hocus pocus"),
        };
        // A session belongs to its principal.
        let client_id = format!("{user}-{number}");
        // Failed logins wait by user name and address.
        let user = if number % 4 == 3 { format!("mallory-{number}") } else { user.to_owned() };
        knock(program.mqtt(), login(&client_id, (&user, password))).await;
    }
    let found = decisions(program.api(), "limit=500").await;
    let recorded: Vec<_> = found.iter().filter(|decision| decision["recorded"] != 0).collect();
    let refused = recorded.iter().filter(|decision| decision["permitted"] == false).count();
    assert!(refused >= 25 && recorded.len() - refused >= 50, "{} of {}", refused, recorded.len());
    // The log names them.
    let refusal = program.log().into_iter().find(|line| line["event"] == "connect_refused");
    let named = refusal.expect("a refusal in the log")["decision"].clone();
    assert!(found.iter().any(|decision| decision["id"] == named), "{named}");
    let mut files = Vec::new();
    for decision in &recorded {
        files.push(save(&folder, program.api(), decision["id"].as_str().unwrap()).await);
    }
    let ended = replay(&folder, &files).await.expect_code(0);
    let last = ended.stdout.lines().last().unwrap_or_default();
    let calls: u64 = recorded.iter().map(|decision| decision["recorded"].as_u64().unwrap()).sum();
    let count = recorded.len();
    assert_eq!(last, format!("{calls} calls of {count} decisions, {calls} the same"));
    assert!(calls >= 100, "{last}");
    // Nothing of a password is in what anybody may read.
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let said = ["sesame", "pocus", "wrong", "$argon2", "$7$"];
        assert!(!said.iter().any(|said| text.contains(said)), "{text}");
        let bytes = |text: &str| json!(text.as_bytes()).to_string();
        assert!(!text.contains(&bytes(ALICE.1)) && !text.contains(&bytes("wrong")), "{text}");
    }
    // Another component is not taken for the one that was asked.
    folder.install("password-file", &guest("good"));
    program.plugin("password-file", |plugin| plugin["generations"] == 2).await;
    // The one that was is among the versions that are kept.
    replay(&folder, &files[..1]).await.expect_code(0);
    std::fs::remove_dir_all(folder.path("data/plugin-versions")).unwrap();
    let ended = replay(&folder, &files[..1]).await.expect_code(1);
    assert!(ended.stderr.contains("no component with SHA-256"), "{}", ended.stderr);
    program.stop().await;
}

/// The file was changed since: the same answers of the host are another verdict, and that is said.
#[tokio::test]
async fn what_was_tampered_with_is_seen() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    enter(program.mqtt(), login("alice", ALICE)).await;
    let found = decisions(program.api(), "client_id=alice&refused=false").await;
    let id = found[0]["id"].as_str().unwrap();
    let file = save(&folder, program.api(), id).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let mut recording: Value = serde_json::from_str(&text).unwrap();
    let calls = recording["calls"].as_array_mut().unwrap();
    let call = calls.iter_mut().find(|call| call["hook"] == "authenticate").unwrap();
    call["input"][0]["username"] = json!("mallory");
    folder.write("other.json", recording.to_string());
    let other = folder.path("other.json").display().to_string();
    let ended = replay(&folder, &[other]).await.expect_code(1);
    assert!(ended.stdout.contains("otherwise: recorded"), "{}", ended.stdout);
    for (what, with) in [("init", json!("AAAA")), ("call", Value::Null)] {
        let mut recording: Value = serde_json::from_str(&text).unwrap();
        recording["calls"][0][what] = with;
        folder.write("harmed.json", recording.to_string());
        let harmed = folder.path("harmed.json").display().to_string();
        replay(&folder, &[harmed]).await.expect_code(1);
    }
    program.stop().await;
}

/// A client that came in by steps.
async fn step_in(program: &Program) -> Client {
    let mut stepping = Client::open(program.mqtt(), V5).await;
    let connect = Connect {
        authentication_method: Some("reverse".to_owned()),
        authentication_data: Some(b"abc".to_vec()),
        ..Connect::new(V5, "stepping")
    };
    stepping.send(Packet::Connect(Box::new(connect))).await;
    stepping.next(|_| ()).await;
    let data = Some(b"cba".to_vec());
    let auth = Auth::new(ReasonCode::ContinueAuthentication, "reverse");
    stepping.send(Packet::Auth(Auth { authentication_data: data, ..auth })).await;
    assert_eq!(stepping.connack().await.reason_code, ReasonCode::Success);
    stepping
}

/// Steps, operations, logins to the API, traps: explained by name, and asked again.
#[tokio::test]
async fn every_kind_of_decision_is_explained() {
    const GATE: &str = "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\n\
                        allow = true\nactivity = [\"publish\"]\nfilter = \"up/#\"\n";
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), GATE);
    folder.install("meddler", &guest("meddler"));
    let config = std::fs::read_to_string(folder.config()).unwrap();
    folder.write(
        "portcullis.toml",
        config.replace("[admin]", "[admin]\nchain = [\"meddler\"]")
            + "[admin.roles.viewer]\npermissions = [\"decisions:read\", \"field:username\", \
               \"field:address\", \"field:client_id\", \"field:topic\"]\n",
    );
    let program = Program::start(&folder.config()).await;
    let mut stepping = step_in(&program).await;
    for (id, topic) in [(1, "op/deny"), (2, "elsewhere")] {
        stepping.send(packets::qos1(id, topic, "x")).await;
        assert_eq!(stepping.puback(id).await, ReasonCode::NotAuthorized);
    }
    stepping.send(packets::subscribe(3, &[("op/fail", QoS::AtMostOnce)])).await;
    stepping.next(|_| ()).await;
    let body = json!({ "username": "eve", "password": "trap" });
    program.api().with_token("").post_json("/api/v1/login", &body).await.expect(503);
    let body = json!({ "username": "eve", "password": "role-viewer" });
    let login = program.api().with_token("").post_json("/api/v1/login", &body).await.expect(200);
    let eve = program.api().with_token(login.json()["token"].as_str().unwrap());

    let found = decisions(&eve, "limit=500").await;
    let of = |about: &str, permitted: bool| -> Vec<&Value> {
        let is = |it: &&Value| it["about"] == about && it["permitted"] == permitted;
        found.iter().filter(is).collect()
    };
    // A challenge, and the end of it.
    assert_eq!(of("connect", true).len(), 2);
    assert_eq!(of("connect", true)[0]["principal"], "abc");
    let denied = of("publish", false);
    assert!(denied.iter().any(|it| it["topic"] == "op/deny" && it["recorded"] == 1), "{denied:?}");
    let by_rules = denied.iter().find(|it| it["topic"] == "op/deny" && it["recorded"] == 0);
    assert!(by_rules.is_some_and(|it| it["rules"][0]["plugin"] == "gate"), "{denied:?}");
    assert!(of("subscribe", false)[0]["reason"].as_str().unwrap().contains("asked to fail"));
    let logins = of("admin_login", false);
    assert_eq!(
        (&logins[0]["client_id"], &logins[0]["walk"][0]["verdict"]),
        (&json!("eve"), &json!("failure"))
    );
    // Who may look at decisions may not look at recordings.
    let id = logins[0]["id"].as_str().unwrap();
    eve.get(&format!("/api/v1/decisions/{id}")).await.expect(200);
    eve.get(&format!("/api/v1/decisions/{id}/recording")).await.expect(403);
    for unknown in ["0000000000000000", "nonsense"] {
        let status = if unknown == "nonsense" { 400 } else { 404 };
        eve.get(&format!("/api/v1/decisions/{unknown}")).await.expect(status);
    }
    let mut files = Vec::new();
    for decision in found.iter().filter(|decision| decision["recorded"] != 0) {
        files.push(save(&folder, program.api(), decision["id"].as_str().unwrap()).await);
    }
    let ended = replay(&folder, &files).await.expect_code(0);
    for hook in ["begin", "proceed", "authorize", "authenticate-admin", "permissions"] {
        assert!(ended.stdout.contains(&format!(" {hook}: the same")), "{hook}: {}", ended.stdout);
    }
    let log = program.log_text();
    assert!(!log.contains("role-viewer"), "a password is in the log");
    program.stop().await;
}
