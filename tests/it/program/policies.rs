//! The plugins `rate-policy`, `quarantine` and `allow-loopback` in the real program, configured as their pages say.

use std::time::{Duration, Instant};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Client, packets};
use serde_json::Value;

use super::{
    eventually::eventually,
    folder::{ALICE, BOB, Folder, bundled, guest},
    knock::{enter, knock, login},
    pages::block,
    process::Program,
};

/// Authenticates the user `monitor`, who is an operator.
const OPERATORS: &str = "order = 20\n[config]\nusers = { monitor = \"sees all\" }\n\
                         groups = [\"operators\"]\n";
const MONITOR: (&str, &str) = ("monitor", "sees all");

fn bounded(client_id: &str, user: (&str, &str)) -> Connect {
    Connect { keep_alive: 2_000, session_expiry_interval: 50_000, ..login(client_id, user) }
}

/// Keep Alive, Session Expiry Interval and Receive Maximum that a client is told.
async fn told(program: &Program, connect: Connect) -> (Option<u16>, Option<u32>, Option<u16>) {
    let mut client = Client::open(program.mqtt(), connect.version).await;
    client.send(Packet::Connect(Box::new(connect))).await;
    let connack = client.connack().await;
    assert_eq!(connack.reason_code, ReasonCode::Success, "{connack:?}");
    (connack.server_keep_alive, connack.session_expiry_interval, connack.receive_maximum)
}

#[tokio::test]
async fn bounds_follow_the_groups_that_others_grant() {
    let folder = Folder::bundled();
    folder
        .write("plugins/password-file.toml", "order = 30\n[files]\npasswords = \"../passwords\"\n");
    folder.install_with("operators", &guest("good"), OPERATORS);
    let manifest = block("secure/rate-policy.md", "# plugins/rate-policy.toml");
    folder.install_with("rate-policy", &bundled("rate-policy"), &manifest);
    let program = Program::start(&folder.config()).await;
    let of_alice = told(&program, bounded("a", ALICE)).await;
    assert_eq!(of_alice, (Some(300), Some(3_600), Some(10)));
    let (keep_alive, expiry, receive) = told(&program, bounded("m", MONITOR)).await;
    assert_eq!((keep_alive, expiry), (Some(1_200), None), "an operator, in a class of its own");
    assert_ne!(receive, Some(10));
    // Bounds let nobody in.
    let (code, _) = knock(program.mqtt(), login("a", (ALICE.0, BOB.1))).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    let mut nobody = login("n", ALICE);
    (nobody.username, nobody.password) = (None, None);
    assert_eq!(knock(program.mqtt(), nobody).await.0, ReasonCode::NotAuthorized);
    // A rate: two at once, and then one after each half a second.
    let slow = "order = 300\ncontrol = \"required\"\n[config.default]\nmessages_per_second = 2\n";
    folder.write("plugins/rate-policy.toml", slow);
    program.plugin("rate-policy", |plugin| plugin["generations"] == 2).await;
    let mut alice = enter(program.mqtt(), login("slow", ALICE)).await;
    let began = Instant::now();
    for _ in 0..5 {
        alice.publish("free/x", "x").await;
    }
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
}

/// The rules that stand beside it: everybody below `free/`, and bob sees the jail.
const RULES: &str = "[[rules]]\nallow = \"all\"\ntopic = \"free/#\"\n\
                     [[rules]]\nallow = \"subscribe\"\ntopic = \"quarantine/#\"\nuser = \"bob\"\n";

#[tokio::test]
async fn who_leaves_its_topics_is_moved_and_reads_nothing() {
    let folder = Folder::bundled();
    folder.write("acl.toml", RULES);
    let manifest = block("secure/quarantine.md", "# plugins/quarantine.toml");
    folder.install_with("quarantine", &bundled("quarantine"), &manifest);
    let program = Program::start(&folder.config()).await;
    let mut bob = enter(program.mqtt(), login("b", BOB)).await;
    bob.subscribe("free/#", QoS::AtMostOnce).await;
    bob.subscribe("quarantine/#", QoS::AtMostOnce).await;
    let mut alice = enter(program.mqtt(), login("a", ALICE)).await;
    alice.subscribe("free/#", QoS::AtMostOnce).await;
    alice.send(packets::qos0("free/alice/x", "usual")).await;
    bob.take("free/alice/x", "usual").await;
    alice.take("free/alice/x", "usual").await;
    alice.send(packets::qos0("free/bob/x", "left")).await;
    bob.take("quarantine/alice/free/bob/x", "left").await;
    program.logged("quarantined: published outside its usual topics").await;
    // Everything from now on, from each of its devices, also after a restart.
    refused(&mut alice, "free/#").await;
    bob.publish("free/bob/y", "not for alice").await;
    bob.take("free/bob/y", "not for alice").await;
    alice.quiet().await;
    program.stop().await;
    let program = Program::start(&folder.config()).await;
    let mut bob = enter(program.mqtt(), login("b", BOB)).await;
    bob.subscribe("free/#", QoS::AtMostOnce).await;
    bob.subscribe("quarantine/#", QoS::AtMostOnce).await;
    let mut other = enter(program.mqtt(), login("another", ALICE)).await;
    other.send(packets::qos0("free/alice/x", "moved")).await;
    bob.take("quarantine/alice/free/alice/x", "moved").await;
    refused(&mut other, "free/#").await;
    // The operator releases it.
    folder
        .write("plugins/quarantine.toml", manifest.replace("exempt = []", "exempt = [\"alice\"]"));
    program.plugin("quarantine", |plugin| plugin["generations"] == 2).await;
    other.send(packets::qos0("free/alice/x", "released")).await;
    bob.take("free/alice/x", "released").await;
}

/// Refused publishing is told of after the fact.
#[tokio::test]
async fn who_is_refused_too_often_is_moved() {
    let folder = Folder::bundled();
    folder.write("acl.toml", RULES);
    let manifest = "order = 400\n[config]\nusual = [\"free/#\"]\ndenied_per_minute = 1\n\
                    [grants]\nstate = \"1 MiB\"\ncache_control = true\n";
    folder.install_with("quarantine", &bundled("quarantine"), manifest);
    let program = Program::start(&folder.config()).await;
    let mut bob = enter(program.mqtt(), login("b", BOB)).await;
    bob.subscribe("quarantine/#", QoS::AtMostOnce).await;
    let mut alice = enter(program.mqtt(), login("a", ALICE)).await;
    assert_eq!(alice.publish("elsewhere", "x").await, ReasonCode::NotAuthorized);
    program.logged("quarantined: was refused too often").await;
    alice.publish("free/x", "moved").await;
    bob.take("quarantine/alice/free/x", "moved").await;
}

/// Until a SUBSCRIBE is refused: permissions are asked again in the background.
async fn refused(client: &mut Client, filter: &str) {
    eventually("a subscription is refused", async || {
        client.send(packets::subscribe(7, &[(filter, QoS::AtMostOnce)])).await;
        let codes = client.next(|packet| match packet {
            Packet::SubAck(suback) => suback.reason_codes.clone(),
            other => panic!("{other:?} instead of SUBACK"),
        });
        let codes = codes.await.expect("the connection stays");
        if codes == [ReasonCode::NotAuthorized] { Ok(()) } else { Err(format!("{codes:?}")) }
    })
    .await;
}

const BEHIND_A_PROXY: &str = "[[listeners]]\nname = \"lb\"\nbind = \"127.0.0.1:0\"\n\
                              [listeners.proxy_protocol]\ntrusted = [\"127.0.0.0/8\"]\n";

/// For development: whoever is not of this machine is refused, and the operator is told at each start.
#[tokio::test]
async fn allow_loopback_lets_in_nobody_from_elsewhere() {
    let folder = Folder::new();
    folder.install("allow-loopback", &bundled("allow-loopback"));
    folder.configure_more(BEHIND_A_PROXY);
    let program = Program::start(&folder.config()).await;
    let warning = |line: &Value| {
        let text = line.to_string();
        line["level"] == "WARN" && text.contains("every client of this machine gets in")
    };
    assert!(program.log().iter().any(warning), "no warning");
    enter(program.mqtt(), packets::login(ProtocolVersion::V5, "here", ("any", "thing"))).await;
    for (source, expected) in [
        ("PROXY TCP4 203.0.113.7 192.0.2.1 1000 1883\r\n", ReasonCode::NotAuthorized),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 1000 1883\r\n", ReasonCode::NotAuthorized),
        ("PROXY TCP6 ::ffff:203.0.113.7 ::1 1000 1883\r\n", ReasonCode::NotAuthorized),
        ("PROXY TCP4 127.0.0.1 127.0.0.1 1000 1883\r\n", ReasonCode::Success),
    ] {
        let mut client = Client::open(program.listener("lb"), ProtocolVersion::V5).await;
        client.send_bytes(source.as_bytes()).await;
        client.send(Packet::Connect(Box::new(login("there", ALICE)))).await;
        assert_eq!(client.connack().await.reason_code, expected, "{source}");
    }
}
