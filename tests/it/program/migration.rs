//! From other brokers to ours with the commands that the pages show: what is imported decides as it did there, and
//! mosquitto itself is asked.

use std::{fs, net::SocketAddr, path::Path};

use codec::{Packet, QoS, ReasonCode};
use portcullis_tests::packets;
use serde_json::Value;

use super::{
    folder::{Folder, bundled},
    knock::{enter, knock, login},
    pages::block,
    process::{Ended, Program, portcullis, root, run},
    servers::MosquittoFiles,
};

const USERS: [(&str, &str); 4] =
    [("alice", "alice's own"), ("bob", "bob's own"), ("d1", "d1's own"), ("monitor", "sees all")];

/// May do everything: sees what others publish, and publishes what they may read.
const MONITOR: &str = "user monitor\ntopic #\ntopic $x/#\n";

/// Denials behind what they take from, on both sides of the patterns; users on several places; `%c` and `%u` alone
/// and within a level; a topic with spaces; topics with `$`.
const FILES: [&str; 3] = [
    "# A bit of everything.\nuser alice\ntopic a/#\ntopic deny a/b\ntopic read b/+\n\
     pattern write %u/%c/#\npattern read x%c\nuser bob\ntopic write a/+\ntopic readwrite a b/c d\n\
     user alice\ntopic deny a/secret/#\npattern deny d1/secret/#\n",
    "user alice\ntopic read d1/secret/x\ntopic deny +/b\npattern deny +/secret/#\n\
     pattern readwrite #\nuser d1\ntopic deny #\nuser bob\ntopic $x/+\n",
    "user bob\ntopic deny a/b\ntopic deny deny\ntopic a/b\ntopic write +\npattern %c\n\
     pattern deny alice\npattern read alice\n",
];

const TOPICS: [&str; 14] = [
    "a",
    "a/b",
    "a/c",
    "a/secret/x",
    "b/c",
    "a b/c d",
    "alice/d1/x",
    "bob/d1",
    "d1/secret/x",
    "xd1",
    "d1",
    "deny",
    "$x/a",
    "$x/a/b",
];

/// A folder whose plugins are configured as the page says.
fn folder(page: &str) -> Folder {
    let folder = Folder::new();
    for name in ["password-file", "acl-file"] {
        let manifest = block(page, &format!("# plugins/{name}.toml"));
        folder.install_with(name, &bundled(name), &manifest);
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

async fn import(arguments: &[&str]) -> Ended {
    run(portcullis(&[&["import"], arguments].concat()), b"").await
}

/// What a client may write and read of each topic, by trying.
async fn powers(address: SocketAddr, user: (&str, &str), client_id: &str) -> Vec<(bool, bool)> {
    // Two connections of it: one would hear itself.
    let mut voice = enter(address, login("voice", USERS[3])).await;
    let mut monitor = enter(address, login("monitor", USERS[3])).await;
    for filter in ["#", "$x/#"] {
        monitor.subscribe(filter, QoS::AtMostOnce).await;
    }
    let mut client = enter(address, login(client_id, user)).await;
    let mut powers = Vec::new();
    for topic in TOPICS {
        client.send(packets::subscribe(1, &[(topic, QoS::AtMostOnce)])).await;
        client.next(|packet| assert!(matches!(packet, Packet::SubAck(_)), "{packet:?}")).await;
        client.send(packets::qos1(2, topic, "from the client")).await;
        // What it may read of its own comes before or behind the acknowledgement.
        let code = loop {
            let next = client.next(|packet| match packet {
                Packet::PubAck(puback) => Some(puback.reason_code),
                Packet::Publish(_) => None,
                other => panic!("{other:?} came"),
            });
            if let Some(code) = next.await.expect("the connection stays") {
                break code;
            }
        };
        let seen = monitor.drain().await;
        let writes = seen.iter().any(|message| message.text() == (topic, "from the client"));
        assert_eq!(writes, !code.is_failure(), "{topic} {code:?}");
        client.drain().await;
        voice.publish(topic, "from the monitor").await;
        let came = client.drain().await;
        let reads = came.iter().any(|message| message.text() == (topic, "from the monitor"));
        powers.push((writes, reads));
        client.send(packets::unsubscribe(3, &[topic])).await;
        client.next(|packet| assert!(matches!(packet, Packet::UnsubAck(_)), "{packet:?}")).await;
        monitor.drain().await;
    }
    client.leave().await;
    monitor.leave().await;
    voice.leave().await;
    powers
}

/// Users, hashes and permissions: the same from both brokers, for every user and topic.
#[tokio::test]
async fn an_imported_broker_decides_like_mosquitto() {
    let files = MosquittoFiles::new(&USERS);
    let (mut allowed, mut denied) = (0, 0);
    let folder = folder("secure/migrate-from-mosquitto.md");
    let passwords = folder.path("passwords");
    let imported =
        import(&["mosquitto-passwd", text(&files.passwords()), "--output", text(&passwords)]).await;
    assert_eq!(imported.expect_code(0).stderr, "");
    for acl in FILES {
        let acl = format!("{acl}{MONITOR}");
        let mosquitto = files.serve(&acl).await;
        let output = folder.path("acl.toml");
        if output.exists() {
            fs::remove_file(&output).expect("an own file");
        }
        let imported = import(&["mosquitto-acl", text(&files.acl()), "-o", text(&output)]).await;
        imported.expect_code(0);
        let ours = Program::start(&folder.config()).await;
        for (number, user) in USERS.into_iter().take(3).enumerate() {
            let client_id = ["d1", "alice", "c"][number];
            let theirs = powers(mosquitto.address, user, client_id).await;
            let found = powers(ours.mqtt(), user, client_id).await;
            assert_eq!(found, theirs, "{user:?} of\n{acl}");
            for power in theirs.into_iter().flat_map(|(writes, reads)| [writes, reads]) {
                *if power { &mut allowed } else { &mut denied } += 1;
            }
        }
        let wrong = login("d1", ("alice", "bob's own"));
        assert_eq!(knock(ours.mqtt(), wrong).await.0, ReasonCode::BadUserNameOrPassword);
        ours.stop().await;
    }
    assert!(allowed > 50 && denied > 50, "{allowed} {denied}: nothing was asked");
}

/// The example of HiveMQ's own documentation, with the passwords that it names.
#[tokio::test]
async fn users_of_hivemq_log_in_with_their_passwords() {
    let folder = folder("secure/migrate-from-hivemq.md");
    let credentials = root().join("tests/it/program/migration/credentials.xml");
    let (acl, passwords) = (folder.path("acl.toml"), folder.path("passwords"));
    let arguments =
        ["hivemq-rbac", text(&credentials), "--acl", text(&acl), "--passwords", text(&passwords)];
    import(&arguments).await.expect_code(0);
    let broker = Program::start(&folder.config()).await;
    let mut admin = enter(broker.mqtt(), login("a", ("admin-user", "admin-password"))).await;
    admin.subscribe("#", QoS::AtMostOnce).await;
    let mut user = enter(broker.mqtt(), login("c", ("user1", "pass1"))).await;
    for (topic, may) in [("data/c/x", true), ("data/d/x", false), ("outgoing/c", false)] {
        let code = user.publish(topic, "x").await;
        assert_eq!(!code.is_failure(), may, "{topic} {code:?}");
        assert_eq!(admin.drain().await.len(), usize::from(may), "{topic}");
    }
    let wrong = login("c", ("user1", "admin-password"));
    assert_eq!(knock(broker.mqtt(), wrong).await.0, ReasonCode::BadUserNameOrPassword);
    import(&arguments).await.expect_code(1);
}

/// The rules that the page on EMQX shows do what its lines say.
#[tokio::test]
async fn the_rules_of_the_page_on_emqx() {
    let folder = folder("secure/migrate-from-emqx.md");
    folder.write("passwords", super::folder::PASSWORDS.replace("alice:", "press:"));
    folder.write("acl.toml", block("secure/migrate-from-emqx.md", "# acl.toml"));
    let lint = run(portcullis(&["acl", "lint", text(&folder.path("acl.toml"))]), b"").await;
    lint.expect_code(0);
    let broker = Program::start(&folder.config()).await;
    // From this machine, so that everything is permitted; not so what is the broker's.
    let mut press = enter(broker.mqtt(), login("press-1", ("press", super::folder::ALICE.1))).await;
    press.subscribe("#", QoS::AtMostOnce).await;
    press.subscribe("$SYS/#", QoS::AtMostOnce).await;
}

/// Exit codes, sentences, JSON.
#[tokio::test]
async fn lint_says_which_line_is_odd() {
    let folder = Folder::new();
    folder.write("good.toml", block("secure/acl-file.md", "# acl.toml"));
    let odd =
        "[[rules]]\nallow = \"all\"\ntopic = \"#\"\n[[rules]]\ndeny = \"all\"\ntopic = \"a\"\n";
    folder.write("odd.toml", odd);
    folder.write("broken.toml", "[[rules]]\nallow = \"all\"\ntopic = \"a\"\nusr = \"b\"\n");
    let lint = async |name: &str, more: &[&str]| {
        let path = folder.path(name);
        run(portcullis(&[&["acl", "lint", text(&path)], more].concat()), b"").await
    };
    let good = lint("good.toml", &[]).await.expect_code(0);
    assert!(good.stdout.ends_with("good.toml: ok, 5 rules\n"), "{good:?}");
    let found = lint("odd.toml", &[]).await.expect_code(1);
    for words in [
        "odd.toml:1: wide: \"#\": whoever",
        "odd.toml:4: unreachable: never acts: the rule of line 1",
    ] {
        assert!(found.stdout.contains(words), "{found:?}");
    }
    let found = lint("odd.toml", &["--json"]).await.expect_code(1);
    let json: Value = serde_json::from_str(&found.stdout).expect("JSON");
    assert_eq!((&json["rules"], json["findings"].as_array().map(Vec::len)), (&2.into(), Some(2)));
    assert_eq!(json["findings"][1]["because_of_line"], 1, "{json}");
    let broken = lint("broken.toml", &[]).await.expect_code(1);
    assert!(broken.stdout.contains("broken.toml:4: refused: unknown key `usr`"), "{broken:?}");
    lint("absent.toml", &[]).await.expect_code(1);
}
