//! Clients that we did not write: paho-mqtt from PyPI and mqtt from npm, in both protocol versions,
//! over TCP and over WebSocket.
//!
//! The dialogues are scripts in `tests/clients`, one for each library, with the same scenarios.
//! They print what they find; what should be found stands here, once for both.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

use super::{
    folder::{ALICE, Folder},
    process::{Program, root, run},
};

/// A library and the script that drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    Paho,
    Npm,
}

/// A protocol version as the scripts know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V311,
    V5,
}

/// What packets come over, by the name of the listener.
const TCP: &str = "mqtt";
const WEBSOCKET: &str = "ws";

use Library::{Npm, Paho};
use Version::{V5, V311};

#[tokio::test]
async fn paho_speaks_3_1_1() {
    hold(Paho, V311, TCP).await;
}

#[tokio::test]
async fn paho_speaks_5_0() {
    hold(Paho, V5, TCP).await;
}

#[tokio::test]
async fn npm_speaks_3_1_1() {
    hold(Npm, V311, TCP).await;
}

#[tokio::test]
async fn npm_speaks_5_0() {
    hold(Npm, V5, TCP).await;
}

#[tokio::test]
async fn paho_speaks_3_1_1_over_websocket() {
    hold(Paho, V311, WEBSOCKET).await;
}

#[tokio::test]
async fn paho_speaks_5_0_over_websocket() {
    hold(Paho, V5, WEBSOCKET).await;
}

#[tokio::test]
async fn npm_speaks_3_1_1_over_websocket() {
    hold(Npm, V311, WEBSOCKET).await;
}

#[tokio::test]
async fn npm_speaks_5_0_over_websocket() {
    hold(Npm, V5, WEBSOCKET).await;
}

/// Holds every dialogue with a broker of its own and compares what was found.
async fn hold(library: Library, version: Version, listener: &str) {
    let folder = Folder::bundled();
    let websocket = "[[listeners]]\nname = \"ws\"\nbind = \"127.0.0.1:0\"\ntransport = \"ws\"\n";
    folder.configure_more(websocket);
    // Four failed logins of the same user are more than the default lets pass without a wait.
    folder.configure_more("[limits.login_backoff]\nfree_failures = 100\n");
    let broker = Program::start(&folder.config()).await;
    let expected = expected(library, version);
    let mut command = library.command();
    command.arg(if listener == WEBSOCKET { "ws" } else { "tcp" });
    command.arg(broker.listener(listener).port().to_string());
    command.args([if version == V5 { "5" } else { "311" }, ALICE.0, ALICE.1]);
    command.args(expected.iter().map(|(scenario, _)| scenario));
    let ended = run(command, b"").await.expect_code(0);
    let found = by_scenario(&ended.stdout);
    let wrong: Vec<_> = expected.iter().zip(&found).filter(|(one, other)| one != other).collect();
    assert!(wrong.is_empty(), "expected and found differ in {wrong:#?}");
    assert_eq!(found.len(), expected.len(), "{}", ended.stdout);
}

impl Library {
    fn command(self) -> Command {
        let tools = root().join("target/test-tools");
        let scripts = root().join("tests/clients");
        match self {
            Paho => {
                let mut command = Command::new(installed(tools.join("python/bin/python")));
                command.arg(scripts.join("paho_dialogues.py"));
                command
            }
            Npm => {
                let tools = tools.join("node");
                installed(tools.join("node_modules/mqtt/package.json"));
                let mut command = Command::new(found_in_path("node"));
                command.arg(scripts.join("mqtt_dialogues.mjs")).arg(tools);
                command
            }
        }
    }
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is not there; install it with: tests/setup", path.display());
    path
}

fn found_in_path(program: &str) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(program));
    let found = places.find(|place| place.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed; install it with: tests/setup"))
}

/// Findings, scenario by scenario.
type Findings = Vec<(String, Vec<Value>)>;

fn by_scenario(output: &str) -> Findings {
    let mut all = Findings::new();
    for line in output.lines() {
        let finding: Value = serde_json::from_str(line).expect("one JSON object a line");
        match finding["scenario"].as_str() {
            Some(scenario) => all.push((scenario.to_owned(), Vec::new())),
            None => all.last_mut().expect("a scenario comes first").1.push(finding),
        }
    }
    all
}

fn expected(library: Library, version: Version) -> Findings {
    let mut all = vec![
        ("every_qos", every_qos()),
        ("burst", burst()),
        ("retained", retained()),
        ("will", will()),
        ("farewell", vec![json!({ "wills": 0 })]),
        ("session", session()),
        ("refused", refused(library, version)),
        ("takeover", takeover(library, version)),
        ("shared", vec![json!({ "each_once": true, "idle": [] })]),
        ("shared_away", vec![json!({ "came": [0, 1, 2, 3, 4, 5] })]),
    ];
    if version == V5 {
        all.extend([
            ("all_properties", all_properties()),
            ("topic_alias", topic_alias()),
            ("expiry", expiry()),
            ("options", vec![json!({ "payload": "flagged", "retain": true })]),
            ("retain_handling", retain_handling()),
            ("delayed_will", delayed_will()),
            ("assigned_client_id", vec![json!({ "code": 0, "assigned": true })]),
        ]);
    }
    all.into_iter().map(|(scenario, findings)| (scenario.to_owned(), findings)).collect()
}

/// A message comes with the lower of the two: that of its PUBLISH, that of the subscription.
fn every_qos() -> Vec<Value> {
    let mut all = vec![json!({ "granted": [0, 1, 2] })];
    for sent in 0..3 {
        for granted in 0..3 {
            let topic = format!("free/granted/{granted}");
            let payload = format!("sent {sent}");
            all.push(json!({ "topic": topic, "payload": payload, "came": sent.min(granted) }));
        }
    }
    all.push(json!({ "large_is_the_same": true }));
    all
}

fn burst() -> Vec<Value> {
    vec![
        json!({ "qos": 1, "in_order": true, "codes": [0] }),
        json!({ "qos": 2, "in_order": true, "codes": [0] }),
        json!({ "too_many": 0 }),
    ]
}

/// The flag is for those who subscribe later; who was there gets an ordinary message.
fn retained() -> Vec<Value> {
    vec![
        json!({ "topic": "free/retained/stays", "payload": "stays", "retain": false }),
        json!({ "topic": "free/retained/goes", "payload": "goes", "retain": false }),
        json!({ "topic": "free/retained/stays", "payload": "stays", "retain": true, "qos": 1 }),
    ]
}

fn will() -> Vec<Value> {
    let came = |retain| {
        let (topic, payload) = ("free/will/mortal", "gone");
        json!({ "topic": topic, "payload": payload, "qos": 2, "retain": retain })
    };
    vec![came(false), came(true)]
}

fn session() -> Vec<Value> {
    vec![
        json!({ "session_present": false }),
        json!({ "session_present": true }),
        json!({ "payload": "queued 2", "qos": 1 }),
        json!({ "payload": "queued 4", "qos": 1 }),
        json!({ "payload": "queued 1", "qos": 2 }),
        json!({ "payload": "queued 3", "qos": 2 }),
        json!({ "session_present": true, "payload": "queued 5" }),
        json!({ "session_present": false }),
    ]
}

fn refused(library: Library, version: Version) -> Vec<Value> {
    let (bad_credentials, not_authorized) = match (library, version) {
        (Npm, V311) => (4, 5),
        // paho shows the 3.1.1 return codes 4 and 5 as these.
        (Paho, V311) | (_, V5) => (0x86, 0x87),
    };
    // 3.1.1 has no code for a PUBLISH that is not permitted.
    let publish = if version == V5 { 0x87 } else { 0 };
    let publish_qos2 = match (library, version) {
        // paho does not look at the code of PUBREC and goes on with PUBREL: what it shows is the
        // answer to that, Packet Identifier not found.
        (Paho, V5) => 0x92,
        _ => publish,
    };
    let subscribe = if version == V5 { 0x87 } else { 0x80 };
    vec![
        json!({ "who": "wrong password", "code": bad_credentials }),
        json!({ "who": "no password", "code": bad_credentials }),
        json!({ "who": "unknown user", "code": bad_credentials }),
        json!({ "who": "nobody", "code": not_authorized }),
        json!({ "publish": publish }),
        json!({ "publish": publish_qos2 }),
        json!({ "subscribe": [subscribe, 1] }),
        json!({ "payload": "still here" }),
    ]
}

fn takeover(library: Library, version: Version) -> Vec<Value> {
    let told = match (library, version) {
        // paho only shows that there was a DISCONNECT.
        (Paho, version) => json!(version == V5),
        (Npm, V5) => json!(0x8E),
        (Npm, V311) => Value::Null,
    };
    vec![json!({ "told": told }), json!({ "payload": "alive" })]
}

fn all_properties() -> Vec<Value> {
    vec![json!({
        "user_properties": [["a", "1"], ["a", "3"], ["b", "2"]],
        "content_type": "application/json",
        "response_topic": "free/answer",
        "correlation_data": "00ff",
        "payload_format": 1,
        "subscription_identifiers": [7],
        "expires_within_100": true,
    })]
}

fn topic_alias() -> Vec<Value> {
    let came = |topic, payload| json!({ "topic": topic, "payload": payload });
    vec![
        json!({ "topic_alias_maximum": 10 }),
        came("free/alias/a", "1"),
        came("free/alias/a", "2"),
        came("free/alias/b", "3"),
        came("free/alias/b", "4"),
    ]
}

/// What waited longer than it was good for does not come; what comes says how long it is good for
/// from now on.
fn expiry() -> Vec<Value> {
    vec![
        json!({ "payload": "long", "time_has_passed": true }),
        json!({ "payload": "endless", "time_has_passed": null }),
    ]
}

/// 2: never. 1: only when the subscription is new. 0: each time.
fn retain_handling() -> Vec<Value> {
    let kept = json!([["kept", true]]);
    vec![
        json!({ "handling": 2, "came": [] }),
        json!({ "handling": 1, "came": [] }),
        json!({ "handling": 0, "came": kept }),
        json!({ "handling": 0, "came": kept }),
        json!({ "handling": 1, "came": kept }),
        json!({ "payload": "flagged", "retain": false }),
    ]
}

/// Who is back in time has none.
fn delayed_will() -> Vec<Value> {
    vec![json!({ "payload": "stays away", "after_delay": true }), json!({ "others": 0 })]
}
