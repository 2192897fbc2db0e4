//! What the program tells of itself: how much can be measured, and what a trace costs the others.

use std::{fs, time::Duration};

use codec::{Packet, Publish, QoS, ReasonCode};
use portcullis_tests::{Authority, Client};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    eventually::eventually,
    folder::{ALICE, Folder, bundled},
    knock::{enter, knock, login},
    process::Program,
    proof,
};

/// Two listeners, one of them TLS, and three plugins.
fn folder() -> Folder {
    let folder = Folder::bundled();
    let authority = Authority::root("root");
    folder.write("ca.pem", authority.pem());
    let server = authority.server();
    folder.write("server.pem", &server.chain);
    folder.write("server.key", &server.key);
    folder.configure_more(
        "[[listeners]]\nname = \"tls\"\nbind = \"127.0.0.1:0\"\ntransport = \"tls\"\n\
         [listeners.tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n",
    );
    folder.install_with("allow-loopback", &bundled("allow-loopback"), "order = 300\n");
    folder
}

async fn metrics(program: &Program) -> String {
    program.api().get("/metrics").await.expect(200).body
}

fn series(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
}

/// HiveMQ's headline figure, and each of them described; the routes of the admin API, which are many
/// and rarely anybody's concern, are not counted.
#[tokio::test]
async fn more_than_1500_series_are_there_and_documented() {
    let folder = folder();
    let program = Program::start(&folder.config()).await;
    let mut client = enter(program.mqtt(), login("a", ALICE)).await;
    client.subscribe("free/x", QoS::AtLeastOnce).await;
    client.publish("free/a", "x").await;
    let text = metrics(&program).await;
    let found = series(&text);
    let of_routes = found.iter().filter(|s| s.starts_with("portcullis_admin_route_")).count();
    let count = found.len() - of_routes;
    println!("{count} series, and {of_routes} of routes");
    assert!(count > 1_500, "{count} series");
    let mut once = found.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), found.len(), "a series is there twice");
    let page = fs::read_to_string(super::process::root().join("docs/reference/metrics.md"));
    let page = page.expect("the page of metrics");
    for series in &found {
        let name = series.split('{').next().unwrap_or_default();
        let parts = ["", "_bucket", "_count", "_sum"];
        let is_documented = parts.iter().any(|part| {
            name.strip_suffix(part).is_some_and(|name| page.contains(&format!("| `{name}` |")))
        });
        assert!(is_documented, "{name} is not in docs/reference/metrics.md");
        // No label holds what a client calls itself.
        assert!(!series.contains("\"a\"") && !series.contains("alice"), "{series}");
    }
    program.stop().await;
}

/// A rule whose metric is not there yet does not see the first event.
#[tokio::test]
async fn every_metric_of_an_alert_is_there_from_the_start() {
    let folder = folder();
    let program = Program::start(&folder.config()).await;
    let text = metrics(&program).await;
    let found = series(&text);
    let rules = fs::read_to_string(super::process::root().join("docs/operate/alerts.yml"));
    let rules = rules.expect("the rules");
    // What is only where somebody configured it: a store, revocation lists.
    let configured = ["portcullis_store_available", "portcullis_tls_crl_next_update_seconds"];
    let rules = rules.lines().filter(|line| !line.trim_start().starts_with("description"));
    let words = rules.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let named = words.filter(|w| w.starts_with("portcullis_") || w.starts_with("process_"));
    let named: std::collections::BTreeSet<_> = named.collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        let is_there = found.iter().any(|series| series.split('{').next() == Some(name));
        assert!(is_there || configured.contains(&name), "{name} is not there");
    }
    program.stop().await;
}

/// Who a client turns out to be decides whether its login is traced; a plugin's trace has whatever it
/// is asked.
#[tokio::test]
async fn a_login_is_in_the_traces_of_its_principal_and_of_its_plugins() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let api = program.api();
    let mut ids = Vec::new();
    for (field, value) in [("principal", "alice"), ("plugin", "acl-file"), ("client_id", "dev")] {
        let spec = json!({ "name": "one", field: value });
        let made = api.post_json("/api/v1/traces", &spec).await.expect(200).json();
        ids.push(made["id"].clone());
    }
    let wrong = login("dev", ("alice", "wrong"));
    assert_eq!(knock(program.mqtt(), wrong).await.0, ReasonCode::BadUserNameOrPassword);
    let mut client = enter(program.mqtt(), login("dev", ALICE)).await;
    assert_eq!(client.publish("free/secret/a", "x").await, ReasonCode::NotAuthorized);
    client.leave().await;
    let records = async |id: &Value, until: &str| {
        let path = format!("/api/v1/traces/{id}/download");
        eventually("the trace has its end", async || {
            let text = api.get(&path).await.expect(200).body;
            let records: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
            let ended = records.iter().any(|record| record["type"] == until);
            if ended { Ok(records) } else { Err(text) }
        })
        .await
    };
    let has = |records: &[Value], name: &str, value: &str| {
        records.iter().filter(|record| record[name] == value).count()
    };
    let of_alice = records(&ids[0], "disconnected").await;
    // The refused one proved nothing, and is nobody's.
    assert_eq!(has(&of_alice, "packet", "connect"), 1, "{of_alice:#?}");
    assert_eq!(has(&of_alice, "packet", "connack"), 1, "{of_alice:#?}");
    assert_eq!(has(&of_alice, "hook", "authenticator"), 1, "{of_alice:#?}");
    let of_acl = records(&ids[1], "publish_denied").await;
    assert_eq!(has(&of_acl, "hook", "authorizer"), 1, "{of_acl:#?}");
    assert!(of_acl.iter().all(|record| record["plugin"] == "acl-file"), "{of_acl:#?}");
    let of_dev = records(&ids[2], "disconnected").await;
    assert_eq!(has(&of_dev, "packet", "connect"), 2, "{of_dev:#?}");
    assert_eq!(has(&of_dev, "reason", "bad_user_name_or_password"), 2, "{of_dev:#?}");
    program.stop().await;
}

/// The last words of a client are those of its history, its trace and the access log.
#[tokio::test]
async fn a_client_is_followed_in_history_trace_and_access_log() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let api = program.api();
    let spec = json!({ "name": "one", "client_id": "dev-*", "payload_bytes": 8 });
    let made = api.post_json("/api/v1/traces", &spec).await.expect(200).json();
    let mut client = enter(program.mqtt(), login("dev-1", ALICE)).await;
    let mut other = enter(program.mqtt(), login("other", ALICE)).await;
    client.subscribe("free/x", QoS::AtMostOnce).await;
    client.publish("free/a", "hello").await;
    assert_eq!(client.publish("forbidden", "x").await, ReasonCode::NotAuthorized);
    assert_eq!(client.publish("free/secret/a", "x").await, ReasonCode::NotAuthorized);
    other.publish("free/x", "x").await;
    client.message().await;
    client.leave().await;
    let path = format!("/api/v1/traces/{}/download", made["id"]);
    let records = eventually("the trace has the end of the client", async || {
        let text = api.get(&path).await.expect(200).body;
        let records: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
        let ended = records.iter().any(|record| record["type"] == "disconnected");
        if ended { Ok(records) } else { Err(text) }
    })
    .await;
    let seen = |direction: &str, packet: &str| {
        records.iter().any(|r| r["direction"] == direction && r["packet"] == packet)
    };
    for (direction, packet) in [
        ("received", "connect"),
        ("sent", "connack"),
        ("received", "subscribe"),
        ("sent", "suback"),
        ("received", "publish"),
        ("sent", "publish"),
        ("sent", "puback"),
        ("received", "disconnect"),
    ] {
        assert!(seen(direction, packet), "no {packet} {direction} in {records:#?}");
    }
    let of_plugin =
        |plugin: &str| records.iter().any(|r| r["type"] == "plugin_call" && r["plugin"] == plugin);
    assert!(of_plugin("password-file") && of_plugin("acl-file"), "{records:#?}");
    assert!(records.iter().any(|r| r["type"] == "publish_denied" && r["topic"] == "forbidden"));
    assert!(records.iter().any(|r| r["payload_hex"] == "68656c6c6f"), "{records:#?}");
    let foreign = records.iter().filter(|r| r["client_id"] != "dev-1");
    assert_eq!(foreign.count(), 0, "{records:#?}");
    history_is_complete(&program).await;
    let lines = eventually("the access log has the end of the client", async || {
        let found = api.get("/api/v1/access_log?client_id=dev-1").await.expect(200).json();
        let lines = found["lines"].as_array().unwrap().clone();
        let ended = lines.iter().any(|line| line["type"] == "disconnected");
        if ended { Ok(lines) } else { Err(found.to_string()) }
    })
    .await;
    let authenticated = lines.iter().find(|line| line["type"] == "authenticated").unwrap();
    assert_eq!(authenticated["plugin"], "password-file");
    let decision = authenticated["decision"].as_str().expect("a decision");
    api.get(&format!("/api/v1/decisions/{decision}")).await.expect(200);
    denials_are_explained(&lines, &program).await;
    let ended = lines.iter().find(|line| line["type"] == "disconnected").unwrap();
    assert_eq!(ended["reason"], "normal_disconnection");
    assert!(ended["bytes_received"].as_u64() > Some(0) && ended["bytes_sent"].as_u64() > Some(0));
    program.stop().await;
}

/// Of a client that connected, was denied something and went; who let it in and why can be followed.
async fn history_is_complete(program: &Program) {
    let api = program.api();
    let history = api.get("/api/v1/clients/dev-1/history").await.expect(200).json();
    let kinds: Vec<_> = history["events"].as_array().unwrap().iter().map(|e| &e["type"]).collect();
    for kind in ["connected", "publish_denied", "disconnected"] {
        assert!(kinds.iter().any(|found| *found == kind), "{kind}: {history}");
    }
    let connected = history["events"].as_array().unwrap().iter().find(|e| e["type"] == "connected");
    let connected = connected.expect("asserted above");
    assert_eq!(connected["plugin"], "password-file", "{history}");
    let decision = connected["decision"].as_str().expect("a decision");
    api.get(&format!("/api/v1/decisions/{decision}")).await.expect(200);
}

/// Metrics under the same names, and spans of decisions, come to a collector; one that is gone is said once.
#[tokio::test]
async fn a_collector_gets_metrics_and_spans() {
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = collector.local_addr().expect("an address");
    let folder = Folder::bundled();
    folder.write("collector-secret", "Bearer PLANTED-collector\n");
    folder.configure_more(&format!(
        "[otlp]\nendpoint = \"http://{address}\"\ninterval = \"1s\"\nsample_percent = 100\n\
         authorization = \"file:collector-secret\"\n"
    ));
    let program = Program::start(&folder.config()).await;
    let client = enter(program.mqtt(), login("not-to-be-sent", ALICE)).await;
    let (mut metrics, mut spans) = (false, false);
    let received = async {
        while !(metrics && spans) {
            let (head, body) = request(&collector).await;
            let has = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(head.contains("Bearer PLANTED-collector"), "{head}");
            assert!(!has("not-to-be-sent") && !has(ALICE.0), "a client is named");
            if head.starts_with("POST /v1/metrics ") {
                metrics |= has("portcullis_connections_opened_total")
                    && has("portcullis_plugin_hook_seconds");
            } else {
                assert!(head.starts_with("POST /v1/traces "), "{head}");
                spans |= has("CONNECT decision") && has("password-file authenticator");
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), received).await.expect("metrics and spans");
    drop(collector);
    program.logged("the collector takes nothing").await;
    assert!(!program.log_text().contains("PLANTED-collector"));
    client.leave().await;
    program.stop().await;
}

/// Who refused what, by whose word, and where that is explained.
async fn denials_are_explained(lines: &[Value], program: &Program) {
    for (topic, plugin) in [("forbidden", Value::Null), ("free/secret/a", json!("acl-file"))] {
        let denied = lines.iter().find(|line| line["topic"] == topic).expect("a denial");
        assert_eq!((&denied["type"], &denied["plugin"]), (&json!("publish_denied"), &plugin));
        assert_eq!(denied["reason"], "not_authorized");
        assert_eq!(denied["principal"], "alice");
        assert!(denied["remote"].is_string(), "{denied}");
        let decision = denied["decision"].as_str().expect("a decision");
        program.api().get(&format!("/api/v1/decisions/{decision}")).await.expect(200);
    }
}

/// What came since the last interval is sent when the program ends.
#[tokio::test]
async fn a_collector_gets_what_came_last() {
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = collector.local_addr().expect("its address");
    let folder = Folder::bundled();
    folder.configure_more(&format!(
        "[otlp]\nendpoint = \"http://{address}\"\ninterval = \"1h\"\nsample_percent = 100\n"
    ));
    let program = Program::start(&folder.config()).await;
    let (head, _) = request(&collector).await;
    assert!(head.starts_with("POST /v1/metrics "), "{head}");
    enter(program.mqtt(), login("a", ALICE)).await.leave().await;
    let received = async { [request(&collector).await.0, request(&collector).await.0] };
    let ended = async { tokio::join!(received, program.stop()).0 };
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the last of it");
    assert!(ended[0].starts_with("POST /v1/traces "), "{ended:?}");
    assert!(ended[1].starts_with("POST /v1/metrics "), "{ended:?}");
}

/// One request with its body, answered with 200.
async fn request(collector: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = collector.accept().await.expect("a connection");
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16_384]);
    loop {
        let read = stream.read(&mut chunk).await.expect("a request");
        assert!(read > 0, "the request ends early");
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if bytes.len() >= end + 4 + length.expect("a length") {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.expect("the answer is taken");
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

/// A trace of one device among busy ones: what the others pay, as CPU time of the broker. The device is
/// there and says nothing, so that whatever is paid is paid by others; what one more as busy as
/// they are costs is printed besides. `PORTCULLIS_PROOF=1` for 1,000 of them, held to 2 %; a few otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_of_one_costs_the_others_next_to_nothing() {
    let (clients, messages, rounds) = if proof() { (1_000, 1_000, 9) } else { (20, 1_000, 3) };
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let mut busy = Vec::new();
    for number in 0..clients {
        let mut client = enter(program.mqtt(), login(&format!("busy-{number}"), ALICE)).await;
        client.subscribe(&format!("free/{number}"), QoS::AtMostOnce).await;
        busy.push(client);
    }
    let _quiet = enter(program.mqtt(), login("quiet", ALICE)).await;
    let (mut without, mut with, mut of_busy) = (Vec::new(), Vec::new(), Vec::new());
    // The first is not counted: everything is cold.
    round(&program, &mut busy, messages).await;
    for _ in 0..rounds {
        without.push(round(&program, &mut busy, messages).await);
        for (client_id, times) in [("quiet", &mut with), ("busy-0", &mut of_busy)] {
            let spec = json!({
                "name": "one", "client_id": client_id, "max_events_per_second": 10_000,
            });
            let made = program.api().post_json("/api/v1/traces", &spec).await.expect(200).json();
            times.push(round(&program, &mut busy, messages).await);
            let path = format!("/api/v1/traces/{}", made["id"]);
            let info = program.api().get(&path).await.expect(200).json();
            let recorded = info["records"].as_u64().unwrap_or_default();
            assert_eq!(recorded > 0, client_id == "busy-0", "{info}");
            program.api().delete(&path).await.expect(204);
        }
    }
    let sum = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
    let more = sum(&with) / sum(&without) - 1.0;
    println!(
        "{clients} busy clients, CPU of {rounds} rounds: {:.2} s without a trace, {:.2} s while \
         one device beside them is traced: {:+.2} %; {:.2} s while one of them is",
        sum(&without),
        sum(&with),
        more * 100.0,
        sum(&of_busy)
    );
    if proof() {
        assert!(more < 0.02, "{more}");
    }
    program.stop().await;
}

/// Everybody publishes so many messages to itself; the CPU time that the broker needed.
async fn round(program: &Program, busy: &mut [Client], messages: usize) -> Duration {
    let before = program.cpu();
    for (number, client) in busy.iter_mut().enumerate() {
        let topic = format!("free/{number}");
        let packet = || Packet::Publish(Publish::new(&topic, b"twenty bytes of news"));
        client.send_all((0..messages).map(|_| packet())).await;
        for _ in 0..messages {
            client.message().await;
        }
    }
    program.cpu() - before
}
