//! The bundled plugins `password-file` and `acl-file` from end to end: who gets in with which code,
//! who may do what, and that a file which is not understood changes nothing.

use codec::{Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{BOTH, Client, packets};
use serde_json::Value;

use super::{
    folder::{ACL, ALICE, BOB, Folder, PASSWORDS, guest},
    knock::{enter, knock, login},
    process::Program,
};

/// Every way to log in, and the code of each: 3.1.1 has 4 and 5 for 0x86 and 0x87.
#[tokio::test]
async fn logins() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let (bad, none) = (ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized);
    let attempts = [
        (Some(ALICE.0), Some(ALICE.1), ReasonCode::Success),
        (Some(BOB.0), Some(BOB.1), ReasonCode::Success),
        (Some(ALICE.0), Some(BOB.1), bad),
        (Some(ALICE.0), Some("open sesam"), bad),
        (Some(ALICE.0), Some("open sesame "), bad),
        (Some(ALICE.0), Some(""), bad),
        (Some(ALICE.0), None, bad),
        (Some("Alice"), Some(ALICE.1), bad),
        (Some("mallory"), Some(ALICE.1), bad),
        (Some("# Two users."), Some("x"), bad),
        (Some(""), Some(ALICE.1), bad),
        (None, None, none),
    ];
    for version in BOTH {
        for (number, (username, password, code)) in attempts.into_iter().enumerate() {
            // A session belongs to its principal, so that each has one of its own.
            let client_id = format!("{version:?}-{number}");
            let mut connect = packets::login(version, &client_id, ("", ""));
            connect.username = username.map(str::to_owned);
            connect.password = password.map(|password| password.as_bytes().to_owned());
            let (came, _) = knock(program.mqtt(), connect).await;
            assert_eq!(came, code, "{version:?} {username:?} {password:?}");
        }
    }
    // 3.1.1 has no password without a user name.
    let mut connect = login("c", ALICE);
    connect.username = None;
    assert_eq!(knock(program.mqtt(), connect).await.0, none);
}

/// Users, client identifiers, groups, variables, QoS, RETAIN and shared subscriptions; the first
/// rule that matches decides.
const RULES: &str = r##"
[[rules]]
allow = "subscribe"
topic = "#"
user = "monitor"
[[rules]]
deny = "publish"
topic = "all/but-publish"
[[rules]]
allow = "all"
topic = "all/#"
[[rules]]
allow = "all"
topic = "of/alice/#"
user = "alice"
[[rules]]
allow = "publish"
topic = "to/bob"
user = "bob"
[[rules]]
allow = "subscribe"
topic = "from/#"
[[rules]]
allow = "all"
topic = "device/${clientid}/#"
[[rules]]
allow = "all"
topic = "user/${username}/#"
[[rules]]
allow = "all"
topic = "thermometer"
client_id = "thermometer"
[[rules]]
allow = "all"
topic = "operators/#"
group = "operators"
[[rules]]
allow = "publish"
topic = "low"
qos = [0, 1]
[[rules]]
allow = "publish"
topic = "kept"
retain = true
[[rules]]
allow = "subscribe"
topic = "jobs/#"
shared = true
[[rules]]
allow = "subscribe"
topic = "team/#"
shared = "workers"
"##;

/// Authenticates the user `monitor`, who is an operator; leaves all others, and all permissions, to
/// the bundled plugins.
const MONITORS: &str = "order = 50\n[config]\nusers = { monitor = \"sees all\" }\n\
                        groups = [\"operators\"]\n";
const MONITOR: (&str, &str) = ("monitor", "sees all");

#[tokio::test]
async fn rules() {
    let folder = Folder::bundled();
    folder.write("acl.toml", RULES);
    folder.install_with("monitors", &guest("good"), MONITORS);
    let program = Program::start(&folder.config()).await;
    let mut monitor = enter(program.mqtt(), login("monitor", MONITOR)).await;
    monitor.subscribe("#", QoS::AtMostOnce).await;
    let users = [("meter-7", ALICE, OF_ALICE), ("meter-7", BOB, OF_BOB)];
    let users = users
        .into_iter()
        .chain([("thermometer", BOB, OF_THERMOMETER), ("operator", MONITOR, OF_OPERATOR)]);
    for (client_id, user, cases) in users {
        for version in BOTH {
            let connect = packets::login(version, client_id, user);
            let mut client = enter(program.mqtt(), connect).await;
            for (topic, expected) in cases {
                let may_publish = may_publish(&mut client, &mut monitor, topic).await;
                let may = (may_publish, may_subscribe(&mut client, topic).await);
                assert_eq!(may, *expected, "{version:?} {client_id} {user:?} {topic}");
            }
            client.leave().await;
        }
    }
    flags(&program, &mut monitor).await;
}

/// Topic, and whether it may be published to and subscribed to.
type Cases = &'static [(&'static str, (bool, bool))];

const BOTH_WAYS: (bool, bool) = (true, true);
const NEITHER: (bool, bool) = (false, false);

const OF_ALICE: Cases = &[
    ("all/but-publish", (false, true)),
    ("all/else", BOTH_WAYS),
    ("of/alice/x", BOTH_WAYS),
    ("to/bob", NEITHER),
    ("from/x", (false, true)),
    ("device/meter-7/x", BOTH_WAYS),
    ("device/meter-8/x", NEITHER),
    ("device/${clientid}/x", NEITHER),
    ("user/alice/x", BOTH_WAYS),
    ("user/bob/x", NEITHER),
    ("user/meter-7/x", NEITHER),
    ("thermometer", NEITHER),
    ("operators/x", NEITHER),
    ("low", (true, false)),
    ("kept", NEITHER),
    ("jobs/x", NEITHER),
    ("$share/g/jobs/x", (false, true)),
    ("team/x", NEITHER),
    ("$share/workers/team/x", (false, true)),
    ("$share/others/team/x", NEITHER),
    ("not/in/the/file", NEITHER),
];

const OF_BOB: Cases = &[
    ("of/alice/x", NEITHER),
    ("to/bob", (true, false)),
    ("user/alice/x", NEITHER),
    ("user/bob/x", BOTH_WAYS),
    ("operators/x", NEITHER),
];

const OF_THERMOMETER: Cases = &[
    ("thermometer", BOTH_WAYS),
    ("device/thermometer/x", BOTH_WAYS),
    ("device/meter-7/x", NEITHER),
    ("#", NEITHER),
];

const OF_OPERATOR: Cases = &[
    ("operators/x", BOTH_WAYS),
    ("user/monitor/x", BOTH_WAYS),
    ("of/alice/x", (false, true)),
    ("#", (false, true)),
];

/// Whether a message (QoS 1, no RETAIN) gets through to one who sees all.
async fn may_publish(client: &mut Client, monitor: &mut Client, topic: &str) -> bool {
    if topic.starts_with("$share/") || topic == "#" {
        return false;
    }
    let code = client.publish(topic, "x").await;
    let came = monitor.drain().await;
    let came = match came.as_slice() {
        [] => false,
        [message] if message.text() == (topic, "x") => true,
        other => panic!("{other:?} came"),
    };
    if client.version() == ProtocolVersion::V5 {
        let expected = if came { ReasonCode::Success } else { ReasonCode::NotAuthorized };
        assert_eq!(code, expected, "{topic}");
    }
    came
}

/// Whether a SUBSCRIBE is granted. Leaves no subscription behind.
async fn may_subscribe(client: &mut Client, topic: &str) -> bool {
    client.send(packets::subscribe(1, &[(topic, QoS::AtLeastOnce)])).await;
    let codes = client.next(|packet| match packet {
        Packet::SubAck(suback) => suback.reason_codes.clone(),
        other => panic!("{other:?} instead of SUBACK"),
    });
    let codes = codes.await.expect("the connection stays");
    let denied = match client.version() {
        ProtocolVersion::V5 => ReasonCode::NotAuthorized,
        ProtocolVersion::V311 => ReasonCode::UnspecifiedError,
    };
    if codes == [denied] {
        return false;
    }
    assert_eq!(codes, [packets::granted(QoS::AtLeastOnce)], "{topic}");
    client.send(packets::unsubscribe(2, &[topic])).await;
    client.expect(packets::unsuback(client.version(), 2, &[ReasonCode::Success])).await;
    true
}

/// QoS and RETAIN of rules.
async fn flags(program: &Program, monitor: &mut Client) {
    for version in BOTH {
        let mut alice = enter(program.mqtt(), packets::login(version, "flags", ALICE)).await;
        let may_not = match version {
            ProtocolVersion::V5 => ReasonCode::NotAuthorized,
            ProtocolVersion::V311 => ReasonCode::Success,
        };
        alice.send(packets::qos0("low", "0")).await;
        alice.send(packets::qos2(1, "low", "2")).await;
        alice.expect(packets::pubrec(1, may_not)).await;
        if version == ProtocolVersion::V311 {
            alice.send(packets::pubrel(1, ReasonCode::Success)).await;
            alice.expect(packets::pubcomp(1, ReasonCode::Success)).await;
        }
        alice.send(packets::retained(packets::qos1(2, "kept", "kept"))).await;
        assert_eq!(alice.puback(2).await, ReasonCode::Success);
        alice.send(packets::retained(packets::qos1(3, "to/bob", "kept"))).await;
        assert_eq!(alice.puback(3).await, may_not);
        let came = monitor.drain().await;
        let came: Vec<_> = came.iter().map(portcullis_tests::Message::text).collect();
        assert_eq!(came, [("low", "0"), ("kept", "kept")], "{version:?}");
        alice.leave().await;
    }
}

/// A value that could be a wildcard or a level of its own drops the allow rule and refuses whom a
/// deny rule is about (DESIGN section 6).
#[tokio::test]
async fn variables_that_are_no_level() {
    let allows = "[[rules]]\nallow = \"all\"\ntopic = \"device/${clientid}/x\"\n";
    let denies = "[[rules]]\ndeny = \"all\"\ntopic = \"device/${clientid}/x\"\n";
    let open = "[[rules]]\nallow = \"all\"\ntopic = \"device/#\"\nuser = \"bob\"\n";
    let folder = Folder::bundled();
    folder.write("acl.toml", allows);
    let program = Program::start(&folder.config()).await;
    for client_id in UNSAFE {
        let mut alice = enter(program.mqtt(), login(client_id, ALICE)).await;
        for topic in ["device/x/x", "device/+/x", "device/#", "device/a/b/x"] {
            assert!(!may_subscribe(&mut alice, topic).await, "{client_id:?} {topic}");
        }
        alice.leave().await;
    }
    folder.write("acl.toml", format!("{denies}{open}"));
    program.plugin("acl-file", |plugin| plugin["generations"] == 2).await;
    for version in BOTH {
        for client_id in UNSAFE {
            let connect = packets::login(version, client_id, BOB);
            let (code, _) = knock(program.mqtt(), connect).await;
            assert_eq!(code, ReasonCode::NotAuthorized, "{version:?} {client_id:?}");
        }
        let connect = packets::login(version, "x", BOB);
        let mut bob = enter(program.mqtt(), connect).await;
        assert!(!may_subscribe(&mut bob, "device/x/x").await);
        assert!(may_subscribe(&mut bob, "device/y/x").await);
        bob.leave().await;
    }
}

const UNSAFE: [&str; 5] = ["+", "#", "a/b", "x+", "line\nend"];

/// CVE-2018-12550: no rule is no permission, not every one.
#[tokio::test]
async fn empty_acl_denies() {
    for empty in ["", "# Nothing but a comment.\n", "rules = []\n"] {
        let folder = Folder::bundled();
        folder.write("acl.toml", empty);
        let program = Program::start(&folder.config()).await;
        for version in BOTH {
            let mut alice = enter(program.mqtt(), packets::login(version, "a", ALICE)).await;
            for topic in ["free/x", "#", "$SYS/#", "alice"] {
                assert!(!may_subscribe(&mut alice, topic).await, "{empty:?} {topic}");
            }
            let code = alice.publish("free/x", "x").await;
            assert!(version == ProtocolVersion::V311 || code == ReasonCode::NotAuthorized);
            alice.leave().await;
        }
    }
}

/// Password files that are refused as a whole, with what the operator is told.
fn bad_passwords() -> Vec<(&'static str, String, &'static str)> {
    let hash = PASSWORDS.lines().find_map(|line| line.strip_prefix("alice:")).expect("a hash");
    let with = |line: &str| format!("{PASSWORDS}{line}\n");
    vec![
        ("empty", String::new(), "no user"),
        ("comments", "# alice\n".to_owned(), "no user"),
        ("blank line", with(""), "line 4: is blank"),
        ("no colon", with("mallory"), "line 4: has no colon"),
        ("no user", with(&format!(":{hash}")), "line 4: has an empty user"),
        ("no hash", with("mallory:"), "line 4: has an empty hash"),
        ("no hash format", with("mallory:secret"), "line 4: the hash"),
        ("cut hash", with(&format!("mallory:{}", &hash[..hash.len() - 7])), "line 4: the hash"),
        ("cut salt", with("mallory:$7$101$cG9y"), "line 4: the hash"),
        ("cut file", PASSWORDS[..PASSWORDS.len() - 9].to_owned(), "line 3: the hash"),
        ("cut in a name", PASSWORDS[..PASSWORDS.len() - 140].to_owned(), "line"),
        ("twice", with(&format!("alice:{hash}")), "line"),
        ("space", with(&format!("mallory :{hash}")), "line 4: has white space"),
        ("not UTF-8", with("mallory\u{0}:x"), "line 4"),
    ]
}

/// A bad password file never becomes live, and the users of the one before it stay.
#[tokio::test]
async fn bad_password_files() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    for (name, content, words) in bad_passwords() {
        folder.write("passwords", content);
        reload_refused(&program, "password-file", "live_old", words, name).await;
        for version in BOTH {
            let (code, _) = knock(program.mqtt(), packets::login(version, "a", ALICE)).await;
            assert_eq!(code, ReasonCode::Success, "{name}");
            for user in ["", "mallory"] {
                for password in ["", "x", "secret"] {
                    let connect = packets::login(version, "m", (user, password));
                    let (code, _) = knock(program.mqtt(), connect).await;
                    assert_eq!(code, ReasonCode::BadUserNameOrPassword, "{name} {user:?}");
                }
            }
        }
    }
    // The next good one counts: alice is gone.
    let bob = PASSWORDS.lines().find(|line| line.starts_with("bob:")).expect("a line");
    folder.write("passwords", bob);
    let is_live = |plugin: &Value| plugin["state"] == "live" && plugin["generations"] == 2;
    program.plugin("password-file", is_live).await;
    enter(program.mqtt(), login("b", BOB)).await.leave().await;
    let (code, _) = knock(program.mqtt(), login("a", ALICE)).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
}

/// At the start there is no file before it: nobody gets in.
#[tokio::test]
async fn bad_password_file_at_the_start() {
    let folder = Folder::bundled();
    for (name, content, words) in bad_passwords() {
        // The first ones are a sample: a broker has to start for each.
        if !super::proof() && !matches!(name, "empty" | "blank line" | "cut file") {
            continue;
        }
        folder.write("passwords", content);
        let program = Program::start_unready(&folder.config()).await;
        let plugin = program.plugin("password-file", |plugin| plugin["state"] == "failed").await;
        let error = plugin["error"].as_str().unwrap_or_default();
        assert!(error.contains(words), "{name}: {error}");
        let ready = program.api().get("/readyz").await.expect(503);
        assert!(ready.body.contains("password-file"), "{ready:?}");
        for version in BOTH {
            for user in [ALICE, ("", ""), ("mallory", "")] {
                let (code, _) = knock(program.mqtt(), packets::login(version, "a", user)).await;
                assert_eq!(code, ReasonCode::ServerUnavailable, "{name} {user:?}");
            }
        }
    }
}

/// ACL files that are not understood to the last key: the one before them stays.
#[tokio::test]
async fn bad_acl_files() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let more = |rule: &str| format!("{ACL}[[rules]]\n{rule}\n");
    let bad = [
        ("no TOML", "allow everything".to_owned(), "line 1"),
        ("cut", ACL[..ACL.len() - 5].to_owned(), "line"),
        ("no topic", more("allow = \"all\""), "a rule has a `topic`"),
        ("no effect", more("topic = \"#\""), "either `allow` or `deny`"),
        ("both", more("allow = \"all\"\ndeny = \"all\"\ntopic = \"#\""), "either"),
        ("unknown key", more("allow = \"all\"\ntopic = \"#\"\nusers = \"bob\""), "users"),
        ("unknown activity", more("allow = \"everything\"\ntopic = \"#\""), "allow"),
        ("no filter", more("allow = \"all\"\ntopic = \"a/#/b\""), "topic"),
        ("unknown variable", more("deny = \"all\"\ntopic = \"${user}/#\""), "variables"),
        ("empty user", more("allow = \"all\"\ntopic = \"#\"\nuser = \"\""), "user"),
        ("QoS 3", more("allow = \"all\"\ntopic = \"#\"\nqos = [3]"), "qos"),
    ];
    for (name, content, words) in bad {
        folder.write("acl.toml", content);
        reload_refused(&program, "acl-file", "live_old", words, name).await;
        let mut alice = enter(program.mqtt(), login("a", ALICE)).await;
        assert!(may_subscribe(&mut alice, "free/x").await, "{name}");
        assert!(!may_subscribe(&mut alice, "free/secret/x").await, "{name}");
        assert!(!may_subscribe(&mut alice, "#").await, "{name}");
        alice.leave().await;
    }
}

/// Loads a plugin now; it must not go live, and the operator is told why.
async fn reload_refused(program: &Program, plugin: &str, state: &str, words: &str, what: &str) {
    let answer = program.api().post(&format!("/api/v1/plugins/{plugin}/reload")).await;
    assert!(answer.status >= 400, "{what}: {answer:?}");
    let plugin = program.plugin(plugin, |_| true).await;
    let error = plugin["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{what}: {error}");
    assert_eq!(plugin["state"], state, "{what}");
    assert_eq!(plugin["generations"], 1, "{what}");
}
