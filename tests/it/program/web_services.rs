//! The plugin `http` with a web service behind it: what it is asked, what its replies do, and what
//! happens while it gives none. The configuration is the documentation's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use codec::{ProtocolVersion::V5, ReasonCode};
use portcullis_tests::packets;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    eventually::eventually,
    folder::{ALICE, Folder, bundled},
    knock::{enter, knock, login},
    process::Program,
    proof,
    round_trips::{RoundTrips, p99},
    servers::{Request, Says, WebService, documented},
};

const LOGIN: &str = "/mqtt/login";
const ACL: &str = "/mqtt/acl";

/// As the issue says, or as long as every run can afford.
fn of_issue<T>(proven: T, sample: T) -> T {
    if proof() { proven } else { sample }
}

/// The page's broker, `password-file` behind it, and a topic for everybody.
async fn started() -> (WebService, Folder, Program) {
    let service = WebService::start().await;
    let folder = Folder::bundled();
    folder.write("acl.toml", "[[rules]]\nallow = \"all\"\ntopic = \"round-trips\"\n");
    let [sources, manifest] = &documented("secure/http.md")[..] else {
        panic!("the page has two configurations")
    };
    let secret = "file:/etc/portcullis/secrets/webhook";
    folder.configure_more(&sources.replace(secret, "hush-hush-webhook"));
    // Here some fail, and come back, more often than anybody should.
    folder.configure_more(
        "[limits.login_backoff]\nfirst_delay = \"1ms\"\ndelay_max = \"1ms\"\n\
         [limits.flapping]\nconnects = 100\nwindow = \"1s\"\n",
    );
    let url = format!("http://{}", service.address);
    let manifest = manifest.replace("https://auth.example", &url);
    folder.install_with("http", &bundled("http"), &manifest);
    let program = Program::start(&folder.config()).await;
    (service, folder, program)
}

const PUMP: (&str, &str) = ("pump", "open sesame");

async fn code(program: &Program, credentials: (&str, &str)) -> ReasonCode {
    knock(program.mqtt(), login("pump-7", credentials)).await.0
}

fn allow(more: &Value) -> Says {
    let mut reply = json!({"result": "allow"});
    for (key, value) in more.as_object().expect("an object") {
        reply[key] = value.clone();
    }
    Says::json(&reply)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_service_decides() {
    let (service, _folder, program) = started().await;
    let rule =
        json!({"permission": "allow", "action": "publish", "topic": "telemetry/${clientid}/#"});
    service.says(LOGIN, allow(&json!({"acl": [rule], "client_attrs": {"tenant": "north"}})));
    let mut pump = enter(program.mqtt(), login("pump-7", PUMP)).await;
    let [Request { head, body }] = &service.asked()[..] else { panic!("it was asked once") };
    assert!(head.starts_with("POST /mqtt/login HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer hush-hush-webhook\r\n"), "{head}");
    let sent = json!({"clientid": "pump-7", "username": "pump", "password": "open sesame"});
    assert_eq!(*body, sent);
    let told = pump.publish("telemetry/pump-7/x", "x").await;
    assert_eq!(told, ReasonCode::NoMatchingSubscribers);
    assert_eq!(pump.publish("telemetry/pump-8/x", "x").await, ReasonCode::NotAuthorized);
    assert_eq!(service.asked().len(), 0, "rules need no question");

    for (result, topic, expected) in [
        ("allow", "commands/a", ReasonCode::NoMatchingSubscribers),
        ("deny", "commands/b", ReasonCode::NotAuthorized),
        ("ignore", "commands/c", ReasonCode::NotAuthorized),
    ] {
        service.says(ACL, Says::json(&json!({"result": result})));
        for _ in 0..2 {
            assert_eq!(pump.publish(topic, "x").await, expected, "{topic}");
        }
        let [Request { body, .. }] = &service.asked()[..] else { panic!("once for two") };
        let sent = json!({"username": "pump", "action": "publish", "topic": topic, "qos": "1",
                          "retain": "false"});
        assert_eq!(*body, sent);
    }
    service.says(ACL, Says::reply("500 Sorry", "application/json", "{\"result\":\"allow\"}"));
    let told = pump.publish("commands/d", "x").await;
    assert_eq!(told, ReasonCode::ImplementationSpecificError);
    pump.leave().await;
    service.asked();

    // Neither an empty password nor none leaves the broker.
    assert_eq!(code(&program, ("pump", "")).await, ReasonCode::BadUserNameOrPassword);
    let mut nameless = packets::login(V5, "pump-7", PUMP);
    nameless.password = None;
    let (told, _) = knock(program.mqtt(), nameless).await;
    assert_eq!(told, ReasonCode::BadUserNameOrPassword);
    assert_eq!(service.asked().len(), 0);

    service.says(LOGIN, Says::json(&json!({"result": "deny"})));
    assert_eq!(code(&program, ALICE).await, ReasonCode::NotAuthorized);
    service.says(LOGIN, Says::json(&json!({"result": "ignore"})));
    assert_eq!(code(&program, ALICE).await, ReasonCode::Success, "password-file knows her");
    assert_eq!(code(&program, PUMP).await, ReasonCode::BadUserNameOrPassword);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    service.says(LOGIN, allow(&json!({"expire_at": now + 3})));
    let (told, mut pump) = knock(program.mqtt(), login("pump-7", PUMP)).await;
    if told == ReasonCode::Success {
        pump.expect_disconnect(ReasonCode::NotAuthorized).await;
    }
    assert!(!program.log_text().contains("hush-hush-webhook"));
}

/// Replies that are no word, whatever they say.
fn odd_replies() -> Vec<(&'static str, Says)> {
    let allow = "{\"result\":\"allow\"}";
    let json = "application/json";
    let raw = |text: &str| Says::Bytes(text.as_bytes().to_vec());
    vec![
        ("201", Says::reply("201 Created", json, allow)),
        ("204", raw("HTTP/1.1 204 No Content\r\n\r\n")),
        (
            "302",
            raw("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
        ),
        ("401", Says::reply("401 Unauthorized", json, allow)),
        ("500", Says::reply("500 Sorry", json, allow)),
        ("text", Says::reply("200 OK", "text/html", allow)),
        ("no JSON", Says::reply("200 OK", json, "allow")),
        ("no word", Says::reply("200 OK", json, "{}")),
        ("another word", Says::reply("200 OK", json, "{\"result\":\"yes\"}")),
        ("two words", Says::reply("200 OK", json, "{\"result\":\"deny\",\"result\":\"allow\"}")),
        ("an unknown key", Says::reply("200 OK", json, "{\"result\":\"allow\",\"acls\":[]}")),
        (
            "cut",
            raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"),
        ),
        ("no HTTP", raw("allow\r\n\r\n")),
        ("nothing", raw("")),
        ("large", Says::reply("200 OK", json, &format!("{allow}{}", " ".repeat(1 << 20)))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_word_lets_nobody_in() {
    let (service, _folder, program) = started().await;
    for (what, says) in odd_replies() {
        service.says(LOGIN, says);
        // The next plugin would let her in: an error is not "ignore".
        assert_eq!(code(&program, ALICE).await, ReasonCode::ServerUnavailable, "{what}");
    }
    service.says(LOGIN, allow(&json!({})));
    assert_eq!(code(&program, ALICE).await, ReasonCode::Success);
}

async fn until_let_in(program: &Program, what: &str) {
    let began = Instant::now();
    eventually(what, async || match code(program, PUMP).await {
        ReasonCode::Success => Ok(()),
        code => Err(format!("{code:?}")),
    })
    .await;
    let took = began.elapsed();
    println!("{what}: {took:?}");
    // Others share the machine with the sample.
    assert!(took <= Duration::from_secs(of_issue(2, 20)), "{what}: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_lets_nobody_in() {
    let (mut service, _folder, program) = started().await;
    service.says(LOGIN, Says::json(&json!({"result": "ignore"})));
    let good = RoundTrips::start(program.mqtt(), login("alice", ALICE)).await;
    service.says(LOGIN, allow(&json!({})));
    assert_eq!(code(&program, PUMP).await, ReasonCode::Success);

    service.stop().await;
    assert_eq!(code(&program, PUMP).await, ReasonCode::ServerUnavailable);
    service.start_again().await;
    until_let_in(&program, "back after it was killed").await;

    // It stands still, and more ask than may.
    service.says(LOGIN, Says::Nothing);
    let until = Instant::now() + Duration::from_secs(of_issue(10, 3));
    while Instant::now() < until {
        let mut knocks = JoinSet::new();
        for number in 0..40 {
            let connect = login("pump-7", (&format!("user-{number}"), "secret"));
            let address = program.mqtt();
            knocks.spawn(async move { knock(address, connect).await.0 });
        }
        for code in knocks.join_all().await {
            let away = [ReasonCode::ServerUnavailable, ReasonCode::ServerBusy].contains(&code);
            assert!(away, "{code:?}");
        }
    }
    service.says(LOGIN, allow(&json!({})));
    until_let_in(&program, "back after it stood still").await;

    service.says(LOGIN, allow(&json!({})).late(Duration::from_millis(400)));
    until_let_in(&program, "a slow one").await;
    service.says(LOGIN, allow(&json!({})).late(Duration::from_secs(20)));
    assert_eq!(code(&program, PUMP).await, ReasonCode::ServerUnavailable);
    let trips = good.finish().await;
    let slowest = p99(&trips);
    println!("{} round trips, p99 {slowest:?}", trips.len());
    assert!(slowest <= Duration::from_millis(of_issue(250, 2_500)), "{slowest:?}");
}
