//! No plugin that says *allow* means that nobody gets in, for whatever reason there is none; and the
//! broker lives on.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use codec::{QoS, ReasonCode};
use serde_json::Value;

use super::{
    eventually::{eventually, until},
    folder::{ALICE, BOB, Folder, another_build, bundled, guest},
    knock::{enter, knock, login, storm},
    process::Program,
    proof,
};

/// Lets everybody in, and lets them do everything.
const OPEN: &str = "[config]\nanyone = true\nanswer = \"rules\"\n[[config.rules]]\nallow = true\n\
                    activity = [\"publish\", \"subscribe\"]\nfilter = \"#\"\n";

/// A folder whose plugin `gate` lets everybody in.
fn open_gate() -> Folder {
    let folder = Folder::new();
    folder.install_with("gate", &guest("good"), OPEN);
    folder
}

/// A plugin folder at another place.
fn elsewhere(dir: &str) -> Folder {
    let folder = open_gate();
    let config = fs::read_to_string(folder.config()).expect("the configuration");
    let config = config.replace("dir = \"plugins\"", &format!("dir = \"{dir}\""));
    folder.write("portcullis.toml", config);
    folder
}

/// Nobody is let in, everybody with the same code, and the broker lives.
async fn nobody_gets_in(program: &Program, code: ReasonCode) {
    let count = if proof() { 1_000 } else { 100 };
    let codes = storm(program.mqtt(), count).await;
    let others: Vec<_> = codes.iter().filter(|came| **came != code).collect();
    assert!(others.is_empty(), "expected {code:?} alone, {} came also: {others:?}", others.len());
    assert_eq!(codes.len(), count);
    program.api().get("/livez").await.expect(200);
}

/// `/readyz` says that something is wrong, and what.
async fn not_ready(program: &Program, why: &str) {
    eventually("not ready", async || {
        let answer = program.api().get("/readyz").await;
        let says_why = answer.body.contains(why);
        if answer.status == 503 && says_why { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

/// DESIGN section 4: only deny-all in the chain is ready, with a warning.
#[tokio::test]
async fn empty_folder() {
    let folder = Folder::new();
    let program = Program::start(&folder.config()).await;
    let ready = program.api().get("/readyz").await.expect(200).json();
    assert!(!ready["warnings"].as_array().expect("a list").is_empty(), "{ready}");
    nobody_gets_in(&program, ReasonCode::NotAuthorized).await;
    // And it is no dead end.
    folder.install_with("gate", &guest("good"), OPEN);
    program.plugin("gate", |gate| gate["state"] == "live").await;
    enter(program.mqtt(), login("late", ALICE)).await.leave().await;
}

#[tokio::test]
async fn folder_that_cannot_be_read() {
    for dir in ["a-file", "dangling", "missing"] {
        let folder = elsewhere(dir);
        match dir {
            "a-file" => folder.write(dir, "this is no folder"),
            "dangling" => symlink("nowhere", folder.path(dir)).expect("a symbolic link"),
            _ => {}
        }
        let program = Program::start_unready(&folder.config()).await;
        not_ready(&program, dir).await;
        nobody_gets_in(&program, ReasonCode::ServerUnavailable).await;
    }
}

/// Mode 000 keeps nobody out who is root: then only that the broker says the truth.
#[tokio::test]
async fn folder_without_any_mode() {
    let folder = open_gate();
    let mode = |mode| {
        let path = folder.path("plugins");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
    };
    mode(0o000);
    let is_locked = fs::read_dir(folder.path("plugins")).is_err();
    let program = Program::start_unready(&folder.config()).await;
    if is_locked {
        not_ready(&program, "plugins").await;
        nobody_gets_in(&program, ReasonCode::ServerUnavailable).await;
    } else {
        enter(program.mqtt(), login("root", ALICE)).await.leave().await;
    }
    mode(0o755);
}

/// The folder goes away under a running broker, and comes back.
#[tokio::test]
async fn folder_that_is_taken_away() {
    let folder = open_gate();
    let program = Program::start(&folder.config()).await;
    enter(program.mqtt(), login("before", ALICE)).await.leave().await;
    fs::rename(folder.path("plugins"), folder.path("taken-away")).expect("it can be renamed");
    not_ready(&program, "plugins").await;
    nobody_gets_in(&program, ReasonCode::ServerUnavailable).await;
    fs::rename(folder.path("taken-away"), folder.path("plugins")).expect("and back");
    eventually("it is ready again", async || {
        let ready = program.api().get("/readyz").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.body) }
    })
    .await;
    enter(program.mqtt(), login("after", ALICE)).await.leave().await;
}

/// Whatever is wrong with the only plugin: its link fails, and that is a refusal.
#[tokio::test]
async fn only_plugin_fails() {
    let hostile = |behaviour: &str, hook: &str| {
        let config = format!("[config]\nbehaviour = \"{behaviour}\"\nhook = \"{hook}\"\n");
        (guest("hostile"), format!("{config}{DATA}"))
    };
    let good = guest("good");
    let plugins = [
        ("error", hostile("fail", "authenticate")),
        ("trap", hostile("unreachable", "authenticate")),
        ("init", hostile("fail", "init")),
        ("self-test", hostile("panic", "self-test")),
        ("garbage", (b"garbage".to_vec(), OPEN.to_owned())),
        ("nothing", (Vec::new(), OPEN.to_owned())),
        ("half", (good[..good.len() / 2].to_owned(), OPEN.to_owned())),
        ("config", (good.clone(), "[config]\nsuch_a_key = true\n".to_owned())),
        ("manifest", (good.clone(), "order = [broken".to_owned())),
        ("grant", (good.clone(), "[grants]\nnetwork = true\n".to_owned())),
        ("no-grant", (guest("lent"), String::new())),
        ("no-file", (bundled("password-file"), String::new())),
        ("lost-file", (good, format!("[files]\nlost = \"nowhere\"\n{OPEN}"))),
    ];
    // Each alone in its folder, one program after the other.
    for (name, (wasm, manifest)) in &plugins {
        let folder = Folder::new();
        folder.install_with(name, wasm, manifest);
        let program = Program::start_unready(&folder.config()).await;
        let plugin = program.plugin(name, |_| true).await;
        let answers = matches!(*name, "error" | "trap");
        assert_eq!(plugin["state"] == "live", answers, "{plugin}");
        if !answers {
            not_ready(&program, name).await;
        }
        nobody_gets_in(&program, ReasonCode::ServerUnavailable).await;
    }
}

/// Its authenticator lets everybody in, but what answers for permissions is gone or fails.
#[tokio::test]
async fn no_permissions_no_client() {
    let folder = open_gate();
    folder.install_with("rights", &guest("hostile"), &format!("{HOSTILE_RIGHTS}{DATA}"));
    let program = Program::start(&folder.config()).await;
    nobody_gets_in(&program, ReasonCode::ServerUnavailable).await;
}

/// The hostile guest imports `files`, which needs a grant: any file.
const DATA: &str = "[files]\ndata = \"../portcullis.toml\"\n";
const HOSTILE_RIGHTS: &str =
    "control = \"optional\"\norder = 200\n[config]\nbehaviour = \"fail\"\nhook = \"permissions\"\n";

/// The component, or its manifest, vanishes from a running broker: the link fails until it is back.
#[tokio::test]
async fn plugin_is_deleted() {
    for file in ["gate.wasm", "gate.toml"] {
        let folder = open_gate();
        let program = Program::start(&folder.config()).await;
        enter(program.mqtt(), login("before", ALICE)).await.leave().await;
        fs::remove_file(folder.path("plugins").join(file)).expect("it can be removed");
        program.plugin("gate", |gate| gate["state"] == "removed").await;
        not_ready(&program, "gate").await;
        nobody_gets_in(&program, ReasonCode::ServerUnavailable).await;
        folder.install_with("gate", &another_build(&guest("good"), 1), OPEN);
        program.plugin("gate", |gate| gate["state"] == "live").await;
        enter(program.mqtt(), login("after", ALICE)).await.leave().await;
    }
}

/// One link of two is deleted: the other one alone lets nobody in, the right password included.
#[tokio::test]
async fn one_of_the_bundled_plugins_is_deleted() {
    for name in ["password-file", "acl-file"] {
        let folder = Folder::bundled();
        let program = Program::start(&folder.config()).await;
        enter(program.mqtt(), login("before", ALICE)).await.leave().await;
        fs::remove_file(folder.path(&format!("plugins/{name}.wasm"))).expect("it can be removed");
        program.plugin(name, |plugin| plugin["state"] == "removed").await;
        let (code, _) = knock(program.mqtt(), login("alice", ALICE)).await;
        assert_eq!(code, ReasonCode::ServerUnavailable, "{name}");
        // What stays may refuse by its own word (a wrong password), never let in.
        let codes = storm(program.mqtt(), 20).await;
        let known = [ReasonCode::ServerUnavailable, ReasonCode::BadUserNameOrPassword];
        assert!(codes.iter().all(|code| known.contains(code)), "{name}: {codes:?}");
        program.api().get("/livez").await.expect(200);
    }
}

/// Who is connected keeps the connection but no right when the permissions cannot be renewed.
#[tokio::test]
async fn clients_lose_their_rights_with_the_plugin() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let mut alice = enter(program.mqtt(), login("alice", ALICE)).await;
    let mut bob = enter(program.mqtt(), login("bob", BOB)).await;
    bob.subscribe("free/#", QoS::AtLeastOnce).await;
    assert_eq!(alice.publish("free/x", "1").await, ReasonCode::Success);
    bob.take("free/x", "1").await;
    fs::remove_file(folder.path("plugins/acl-file.wasm")).expect("it can be removed");
    program.plugin("acl-file", |plugin| plugin["state"] == "removed").await;
    let lost = |line: &Value| line["event"] == "permissions_lost";
    until("both have lost their rights", async || {
        program.log().into_iter().filter(lost).count() == 2
    })
    .await;
    assert_eq!(alice.publish("free/x", "2").await, ReasonCode::NotAuthorized);
    bob.quiet().await;
    folder.install("acl-file", &bundled("acl-file"));
    program.plugin("acl-file", |plugin| plugin["state"] == "live").await;
    until("both have them again", async || {
        alice.publish("free/x", "3").await == ReasonCode::Success
    })
    .await;
    bob.take("free/x", "3").await;
}
