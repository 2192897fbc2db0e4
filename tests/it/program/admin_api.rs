//! The admin API of a running broker, with clients connected: what it says is what they see.

use codec::{ProtocolVersion, Publish, QoS, ReasonCode};
use portcullis_tests::{BOTH, Client, packets};
use serde_json::{Value, json};

use super::{
    folder::{ALICE, BOB, Folder, another_build, bundled, guest},
    http::{Answer, Api},
    knock::{enter, knock, login},
    process::Program,
};

async fn broker() -> (Folder, Program) {
    let folder = Folder::bundled();
    let broker = Program::start(&folder.config()).await;
    (folder, broker)
}

/// An error as RFC 9457 wants it, with this status.
#[track_caller]
fn problem(answer: Answer, status: u16) -> Value {
    let problem = answer.expect(status).json();
    assert_eq!(problem["status"], status, "{problem}");
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    problem
}

/// Every route of the API's own description, with parameters filled in.
pub(super) async fn routes(api: &Api) -> Vec<(String, String)> {
    let document = api.get("/api/v1/openapi.json").await.expect(200).json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    let paths = document["paths"].as_object().expect("paths");
    let routes = paths.iter().flat_map(|(path, verbs)| {
        let path = filled(path);
        let verbs = verbs.as_object().expect("verbs").keys();
        let verbs = verbs.filter(|verb| *verb != "parameters");
        verbs.map(move |verb| (verb.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    routes.collect()
}

/// A path of the description with something for each parameter.
pub(super) fn filled(path: &str) -> String {
    let path = path.replace("{client_id}", "x").replace("{name}", "x").replace("{ring}", "x");
    let path = path.replace("{key}", "1").replace("{id}", "0000000000000000");
    let path = path.replace("{user}", "x").replace("{role}", "x");
    let path = path.replace("{topic}", "x");
    assert!(!path.contains('{'), "a parameter that this test does not know: {path}");
    path
}

#[tokio::test]
async fn every_route_but_health_needs_the_token() {
    let (_folder, broker) = broker().await;
    let api = broker.api();
    let routes = routes(api).await;
    for needed in [
        ("GET", "/metrics"),
        ("GET", "/api/v1/clients"),
        ("GET", "/api/v1/clients/x"),
        ("DELETE", "/api/v1/clients/x/connection"),
        ("GET", "/api/v1/plugins"),
        ("GET", "/api/v1/plugins/x"),
        ("PUT", "/api/v1/plugins/x"),
        ("POST", "/api/v1/plugins/x/reload"),
        ("POST", "/api/v1/plugins/x/disable"),
        ("POST", "/api/v1/plugins/x/enable"),
        ("POST", "/api/v1/permissions/can"),
    ] {
        let (verb, path) = needed;
        assert!(routes.iter().any(|(v, p)| (v.as_str(), p.as_str()) == needed), "{verb} {path}");
    }
    for stranger in [api.with_token(""), api.with_token("wrong")] {
        for (verb, path) in &routes {
            let answer = stranger.ask(verb, path, None).await;
            if path == "/livez" || path == "/readyz" {
                answer.expect(200);
            } else if (verb.as_str(), path.as_str()) == ("POST", "/api/v1/login") {
                // Open, and this is no login.
                problem(answer, 415);
            } else if path.starts_with("/api/v1/login/oidc") {
                // Open, and no identity provider is configured.
                problem(answer, 404);
            } else {
                problem(answer, 401);
            }
        }
    }
    // Nothing of that reached a plugin or a client.
    assert_eq!(plugin_names(api).await, ["acl-file", "password-file"]);
}

async fn plugin_names(api: &Api) -> Vec<String> {
    let page = api.get("/api/v1/plugins").await.expect(200).json();
    let plugins = page["plugins"].as_array().expect("a list").iter();
    plugins.map(|plugin| plugin["name"].as_str().expect("a name").to_owned()).collect()
}

/// The value of one line of the metrics.
#[track_caller]
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[tokio::test]
async fn metrics_count_what_clients_do_and_can_be_open() {
    let folder = Folder::bundled();
    folder.configure_more("metrics_open = true\n");
    let broker = Program::start(&folder.config()).await;
    let open = broker.api().with_token("");
    let before = open.get("/metrics").await.expect(200).body;
    assert_eq!(metric(&before, "portcullis_publish_denied_total"), 0.0);
    let mut alice = enter(broker.mqtt(), login("alice", ALICE)).await;
    alice.subscribe("free/#", QoS::AtMostOnce).await;
    alice.publish("free/x", "hello").await;
    alice.take("free/x", "hello").await;
    assert_eq!(alice.publish("elsewhere", "no").await, ReasonCode::NotAuthorized);
    let (code, _) = knock(broker.mqtt(), login("mallory", ("alice", "wrong"))).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    let after = open.get("/metrics").await.expect(200).body;
    assert!(after.ends_with("# EOF\n"), "{after}");
    for (name, count) in [
        ("portcullis_publish_denied_total", 1.0),
        ("portcullis_publish_received_total{qos=\"1\"}", 2.0),
        ("portcullis_publish_sent_total{qos=\"0\"}", 1.0),
        ("portcullis_connections_opened_total{listener=\"mqtt\"}", 1.0),
        ("portcullis_connect_refused_total{reason=\"bad_user_name_or_password\"}", 1.0),
    ] {
        assert_eq!(metric(&after, name), count, "{name}");
    }
    assert!(!after.contains("mallory"), "a client wrote a metric label");
    // Only the metrics are open.
    problem(open.get("/api/v1/clients").await, 401);
}

#[tokio::test]
async fn a_client_is_shown_and_disconnected() {
    let (_folder, broker) = broker().await;
    let api = broker.api();
    for version in BOTH {
        let mut client = enter(broker.mqtt(), packets::login(version, "a/b c", ALICE)).await;
        client.subscribe("free/+/x", QoS::AtLeastOnce).await;
        let shown = api.get("/api/v1/clients/a%2Fb%20c").await.expect(200).json();
        let protocol = if version == ProtocolVersion::V5 { "5.0" } else { "3.1.1" };
        for (member, value) in [
            ("client_id", json!("a/b c")),
            ("connected", json!(true)),
            ("principal", json!("alice")),
            ("authenticated_by", json!("password-file")),
            ("username", json!("alice")),
            ("listener", json!("mqtt")),
            ("protocol", json!(protocol)),
            ("subscription_count", json!(1)),
        ] {
            assert_eq!(shown[member], value, "{member}");
        }
        assert_eq!(shown["subscriptions"].as_array().map(Vec::len), Some(1));
        for (member, value) in [("filter", json!("free/+/x")), ("qos", json!(1))] {
            assert_eq!(shown["subscriptions"][0][member], value, "{member}");
        }
        let listed = api.get("/api/v1/clients").await.expect(200).json();
        assert_eq!(
            (listed["clients"].as_array().map(Vec::len), &listed["next"]),
            (Some(1), &Value::Null)
        );
        for (member, value) in listed["clients"][0].as_object().expect("a client") {
            assert_eq!(shown[member], *value, "{member}");
        }
        api.delete("/api/v1/clients/a%2Fb%20c/connection").await.expect(204);
        client.expect_disconnect(ReasonCode::AdministrativeAction).await;
        broker.logged("administrative_action").await;
        let gone = async || api.get("/api/v1/clients/a%2Fb%20c").await.status == 404;
        super::eventually::until("the session has ended", gone).await;
        problem(api.delete("/api/v1/clients/a%2Fb%20c/connection").await, 404);
    }
}

/// A session that outlives its connection is shown as what it is.
#[tokio::test]
async fn a_session_without_connection_is_shown() {
    let (_folder, broker) = broker().await;
    let api = broker.api();
    let connect = codec::Connect {
        session_expiry_interval: 3600,
        clean_start: false,
        ..login("sleeper", ALICE)
    };
    let mut sleeper = enter(broker.mqtt(), connect).await;
    sleeper.subscribe("free/#", QoS::AtLeastOnce).await;
    sleeper.leave().await;
    let shown = async || {
        let shown = api.get("/api/v1/clients/sleeper").await.expect(200).json();
        if shown["connected"] == false { Ok(shown) } else { Err(shown.to_string()) }
    };
    let shown = super::eventually::eventually("the connection has ended", shown).await;
    assert_eq!(shown["session_expiry_interval"], 3600);
    assert_eq!(shown["queued"], 0);
    let mut sender = enter(broker.mqtt(), login("sender", BOB)).await;
    sender.publish("free/x", "one").await;
    let shown = api.get("/api/v1/clients/sleeper").await.expect(200).json();
    assert_eq!(shown["queued"], 1);
    problem(api.delete("/api/v1/clients/sleeper/connection").await, 404);
    let question = json!({ "client_id": "sleeper", "action": "publish", "topic": "free/x" });
    // Judged as if it came back now.
    let answer = api.post_json("/api/v1/permissions/can", &question).await.expect(200).json();
    assert_eq!((&answer["allowed"], &answer["assumed"]), (&json!(true), &json!(true)), "{answer}");
}

#[tokio::test]
async fn clients_come_page_by_page() {
    let (_folder, broker) = broker().await;
    let api = broker.api();
    let mut clients = Vec::new();
    let mut expected = Vec::new();
    for name in ["b 1", "b&2", "b+3", "b/4", "bä", "a", "c"] {
        clients.push(enter(broker.mqtt(), login(name, ALICE)).await);
        expected.push(name);
    }
    expected.sort_unstable();
    for limit in [1, 3, 7, 100] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("/api/v1/clients?limit={limit}{after}")).await;
            let page = page.expect(200).json();
            let clients = page["clients"].as_array().expect("a list");
            assert!(clients.len() <= limit, "{page}");
            let ids = clients.iter().map(|client| client["client_id"].as_str().expect("an id"));
            seen.extend(ids.map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={}", encoded(next));
        }
        assert_eq!(seen, expected, "limit {limit}");
    }
    let page = api.get("/api/v1/clients?prefix=b%2B").await.expect(200).json();
    assert_eq!(page["clients"][0]["client_id"], "b+3", "{page}");
    assert_eq!(page["clients"].as_array().map(Vec::len), Some(1), "{page}");
    for wrong in ["limit=0", "limit=1001", "limit=x", "limt=3", "limit=1&limit=2"] {
        problem(api.get(&format!("/api/v1/clients?{wrong}")).await, 400);
    }
}

/// Percent-encodes every byte that is no letter or digit.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The connection of before works as before.
async fn undisturbed(client: &mut Client) {
    assert_ne!(client.publish("free/x", "still here").await, ReasonCode::NotAuthorized);
    assert_eq!(client.publish("elsewhere", "no").await, ReasonCode::NotAuthorized);
    client.quiet().await;
}

#[tokio::test]
async fn an_upload_goes_live_or_changes_nothing() {
    let (folder, broker) = broker().await;
    let api = broker.api();
    let acl_file = bundled("acl-file");
    let mut alice = enter(broker.mqtt(), login("alice", ALICE)).await;
    let before = api.get("/api/v1/plugins/acl-file").await.expect(200).json();
    assert_eq!(before["state"], "live");
    assert_eq!(before["hooks"], json!(["authorizer"]));
    assert_eq!(before["order"], 200);

    for rubbish in [
        b"garbage".to_vec(),
        Vec::new(),
        acl_file[..acl_file.len() / 2].to_vec(),
        guest("next-version"),
        guest("unknown-import"),
        guest("lies-in-describe"),
    ] {
        let answer = api.put_wasm("/api/v1/plugins/acl-file", &rubbish).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let status = answer.status;
        problem(answer, status);
        let now = api.get("/api/v1/plugins/acl-file").await.expect(200).json();
        for member in ["generation", "generations"] {
            assert_eq!(now[member], before[member], "{now}");
        }
        // Files that were refused are not what the next start finds.
        let installed = std::fs::read(folder.path("plugins/acl-file.wasm")).expect("a file");
        assert!(installed == acl_file, "a refused upload lies in the folder");
        undisturbed(&mut alice).await;
    }
    api.get("/readyz").await.expect(200);
    problem(api.put_wasm("/api/v1/plugins/a.b", &acl_file).await, 400);
    let as_json = Some(("application/json", &acl_file[..]));
    problem(api.ask("PUT", "/api/v1/plugins/acl-file", as_json).await, 415);

    let build = another_build(&acl_file, 1);
    let after = api.put_wasm("/api/v1/plugins/acl-file", &build).await.expect(200).json();
    assert_eq!(after["state"], "live");
    assert_eq!(after["generations"], 2);
    assert_ne!(after["generation"], before["generation"]);
    assert_eq!(after["order"], 200, "an upload does not touch the manifest");
    undisturbed(&mut alice).await;
    let installed = std::fs::read(folder.path("plugins/acl-file.wasm")).expect("the component");
    assert!(installed == build, "an upload survives a restart");
}

#[tokio::test]
async fn plugins_are_reloaded_disabled_and_enabled() {
    let (_folder, broker) = broker().await;
    let api = broker.api();
    let mut alice = enter(broker.mqtt(), login("alice", ALICE)).await;
    let same = api.post("/api/v1/plugins/password-file/reload").await.expect(200).json();
    assert_eq!(same["state"], "live");
    enter(broker.mqtt(), login("bob", BOB)).await.leave().await;

    let off = api.post("/api/v1/plugins/password-file/disable").await.expect(200).json();
    assert_eq!(off["state"], "disabled");
    assert_eq!(off["generation"], Value::Null);
    let (code, _) = knock(broker.mqtt(), login("bob", BOB)).await;
    assert!(code.is_failure(), "{code:?}");
    undisturbed(&mut alice).await;

    let on = api.post("/api/v1/plugins/password-file/enable").await.expect(200).json();
    assert_eq!(on["state"], "live");
    enter(broker.mqtt(), login("bob", BOB)).await.leave().await;
    undisturbed(&mut alice).await;
    for verb in ["reload", "disable", "enable"] {
        problem(api.post(&format!("/api/v1/plugins/nobody/{verb}")).await, 404);
    }
    problem(api.get("/api/v1/plugins/nobody").await, 404);
}

/// Rules whose answer hangs on everything that a question can say.
const RULES: &str = r##"
[[rules]]
deny = "publish"
topic = "free/secret/#"

[[rules]]
allow = "publish"
topic = "modest/#"
qos = [0, 1]

[[rules]]
allow = "publish"
topic = "fleeting/#"
retain = false

[[rules]]
allow = "all"
topic = "own/${username}/#"

[[rules]]
allow = "subscribe"
topic = "shared/#"
shared = true

[[rules]]
allow = "all"
topic = "free/#"
"##;

/// What `permissions/can` answers is what a PUBLISH and a SUBSCRIBE get.
#[tokio::test]
async fn can_answers_what_the_client_gets() {
    let folder = Folder::bundled();
    folder.write("acl.toml", RULES);
    let broker = Program::start(&folder.config()).await;
    let mut alice = enter(broker.mqtt(), login("alice", ALICE)).await;
    let mut answers = [0, 0];
    let mut packet_id = 0;
    for topic in
        ["free/x", "free/secret/x", "modest/x", "fleeting/x", "own/alice/x", "own/bob/x", "other"]
    {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for retain in [false, true] {
                packet_id += 1;
                let (action, level) = ("publish", qos as u8);
                let question =
                    json!({ "action": action, "topic": topic, "qos": level, "retain": retain });
                let allowed = can(&broker, question).await;
                let publish = Publish { retain, ..Publish::new(topic, b"x") };
                alice.send(packets::publish(packet_id, qos, publish)).await;
                let code = first_answer(&mut alice, packet_id, qos).await;
                assert_eq!(code.is_failure(), !allowed, "{topic} {qos:?} {retain}: {code:?}");
                assert!(allowed || code == ReasonCode::NotAuthorized, "{code:?}");
                answers[usize::from(allowed)] += 1;
            }
        }
    }
    for filter in [
        "free/x",
        "free/#",
        "#",
        "own/alice/#",
        "own/+/x",
        "shared/x",
        "$share/group/shared/x",
        "$share/group/other",
        "modest/#",
    ] {
        packet_id += 1;
        let question = json!({ "action": "subscribe", "topic": filter, "qos": 1 });
        let allowed = can(&broker, question).await;
        alice.send(packets::subscribe(packet_id, &[(filter, QoS::AtLeastOnce)])).await;
        let code = if allowed { ReasonCode::GrantedQoS1 } else { ReasonCode::NotAuthorized };
        alice.name = format!("alice asks for {filter}");
        answers[usize::from(allowed)] += 1;
        // Retained messages come behind it.
        alice.expect(packets::suback(packet_id, &[code])).await;
        alice.drain().await;
    }
    assert!(answers.iter().all(|count| *count > 8), "one-sided: {answers:?}");
    for wrong in [
        json!({ "client_id": "alice", "action": "publish", "topic": "free/+" }),
        json!({ "client_id": "alice", "action": "publish", "topic": "free/x", "qos": 3 }),
        json!({ "client_id": "alice", "action": "dance", "topic": "free/x" }),
        json!({ "client_id": "alice", "action": "publish" }),
        json!({ "client_id": "alice", "action": "publish", "topic": "free/x", "who": "bob" }),
    ] {
        problem(broker.api().post_json("/api/v1/permissions/can", &wrong).await, 400);
    }
}

/// Asks for alice.
async fn can(broker: &Program, mut question: Value) -> bool {
    question["client_id"] = json!("alice");
    let answer = broker.api().post_json("/api/v1/permissions/can", &question).await;
    let verdict = answer.expect(200).json();
    let allowed = verdict["allowed"].as_bool().expect("a word");
    assert!(verdict["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{verdict}");
    let walk = verdict["walk"].as_array().expect("the chain");
    let of_acl_file = walk.iter().find(|word| word["plugin"] == "acl-file").expect("a word");
    assert_eq!(of_acl_file["effect"] == "allow", allowed, "{verdict}");
    allowed
}

/// The code of PUBACK or PUBREC; a QoS 2 message that was taken is released.
async fn first_answer(client: &mut Client, packet_id: u16, qos: QoS) -> ReasonCode {
    if qos == QoS::AtLeastOnce {
        return client.puback(packet_id).await;
    }
    let code = client.pubrec(packet_id).await;
    if !code.is_failure() {
        client.send(packets::pubrel(packet_id, ReasonCode::Success)).await;
        client.expect(packets::pubcomp(packet_id, ReasonCode::Success)).await;
    }
    code
}
