//! `portcullis ctl` against a running broker: what it prints is what is so.

use std::{fs, process::Command};

use codec::{ProtocolVersion, QoS};
use portcullis_tests::packets;
use serde_json::Value;

use super::{
    eventually::until,
    folder::{ALICE, Folder, another_build, bundled},
    knock::enter,
    process::{Ended, Program, portcullis, run, start},
};

struct Terminal<'a> {
    program: &'a Program,
    folder: &'a Folder,
}

impl Terminal<'_> {
    fn command(&self, line: &str) -> Command {
        let mut command = portcullis(&["ctl"]);
        command.args(line.split(' '));
        command.arg("--url").arg(format!("http://{}", self.program.api().address));
        command.arg("--token-file").arg(self.folder.path("data/admin.token"));
        command
    }

    async fn run(&self, line: &str, code: i32) -> Ended {
        run(self.command(line), b"").await.expect_code(code)
    }

    #[track_caller]
    fn json(ended: &Ended) -> Value {
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }
}

#[tokio::test]
async fn what_ctl_prints_is_what_is_so() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let terminal = Terminal { program: &program, folder: &folder };
    let id = "dev/\u{1b}[31mx";
    let mut client = enter(program.mqtt(), packets::login(ProtocolVersion::V5, id, ALICE)).await;
    client.subscribe("free/#", QoS::AtLeastOnce).await;

    let status = terminal.run("status", 0).await;
    assert!(status.stdout.contains("ready"), "{status:?}");
    let status = Terminal::json(&terminal.run("status --json", 0).await);
    assert_eq!(status["ready"], true, "{status}");
    for (line, words) in [
        ("listeners", vec!["mqtt", "tcp", "password-file"]),
        ("plugins list", vec!["password-file", "acl-file", "live"]),
        ("overview", vec!["mqtt", "acl-file", "ready"]),
        ("clients list", vec!["alice", "dev/\\u{1b}[31mx"]),
        ("clients list --all --prefix dev", vec!["dev/\\u{1b}[31mx"]),
        ("decisions list --limit 3", vec!["connect", "alice"]),
        ("top --once --every 1", vec!["messages in", "mqtt", "password-file"]),
        ("metrics", vec!["portcullis_connections "]),
        ("login show", vec!["permissions"]),
    ] {
        let ended = terminal.run(line, 0).await;
        assert!(!ended.stdout.contains('\u{1b}'), "{line}: {ended:?}");
        for word in words {
            assert!(ended.stdout.contains(word), "{line}: no {word} in {ended:?}");
        }
    }
    let mut can = terminal.command("can");
    let publish = |topic: &str| {
        let mut command = portcullis(&["ctl", "can", id, "publish", topic, "--json"]);
        command.arg("--url").arg(format!("http://{}", program.api().address));
        command.arg("--token-file").arg(folder.path("data/admin.token"));
        command
    };
    let allowed = Terminal::json(&run(publish("free/x"), b"").await.expect_code(0));
    let denied = Terminal::json(&run(publish("free/secret/x"), b"").await.expect_code(0));
    assert_eq!((&allowed["allowed"], &denied["allowed"]), (&true.into(), &false.into()));
    can.arg("--help");
    run(can, b"").await.expect_code(0);

    let ban = terminal.run("bans add --client stray --reason lost --seconds 600 --json", 0).await;
    let number = Terminal::json(&ban)["ban"]["id"].as_u64().expect("a number");
    assert!(terminal.run("bans list", 0).await.stdout.contains("stray"));
    terminal.run(&format!("bans lift {number}"), 0).await;
    assert!(terminal.run("bans list", 0).await.stdout.contains("nobody is banned"));

    let gone = terminal.run("clients show nobody", 1).await;
    assert!(gone.stderr.contains("404") && gone.stdout.is_empty(), "{gone:?}");
    let wrong = terminal.run("api GET /api/v1/clients?limit=0", 1).await;
    assert!(wrong.stderr.contains("allowed: 1 to 1000"), "{wrong:?}");
    terminal.run("clients", 2).await;
    drop(client);
}

/// The environment says where, and who asks.
/// What goes live is what somebody read the report of; and that a chain misses a plugin is an alarm until it is back.
#[tokio::test]
async fn a_candidate_is_promoted_as_it_was_read() {
    let folder = Folder::bundled();
    let config = fs::read_to_string(folder.config()).expect("the configuration");
    let chain = "[plugins]\nchain = [\"password-file\", \"acl-file\"]\n";
    folder.write("portcullis.toml", config.replace("[plugins]\n", chain));
    let program = Program::start(&folder.config()).await;
    let terminal = Terminal { program: &program, folder: &folder };
    let file = folder.path("acl-file.wasm");
    let file = file.to_str().expect("UTF-8");
    let mut versions = Vec::new();
    for build in [1, 2] {
        folder.write("acl-file.wasm", another_build(&bundled("acl-file"), build));
        let sent = terminal.run(&format!("plugins shadow-upload {file}"), 0).await;
        let stages: Vec<_> = sent.stderr.lines().collect();
        assert_eq!(stages, ["received", "checking", "compiling", "testing"], "{sent:?}");
        let report = terminal.run("plugins shadow acl-file", 0).await;
        let version = report.stderr.trim().strip_prefix("version ");
        versions.push(version.unwrap_or_else(|| panic!("{report:?}")).to_owned());
    }
    let promote = |version: &str| format!("plugins promote acl-file --if-match {version}");
    let refused = terminal.run(&promote(&versions[0]), 1).await;
    assert!(refused.stderr.contains("412"), "{refused:?}");
    terminal.run(&promote(&versions[1]), 0).await;
    terminal.run("plugins disable acl-file", 0).await;
    let alarms = terminal.run("alarms", 0).await;
    let line = alarms.stdout.lines().find(|line| line.contains("plugin:acl-file"));
    assert!(line.is_some_and(|line| line.starts_with("critical")), "{alarms:?}");
    terminal.run("plugins enable acl-file", 0).await;
    let alarms = terminal.run("alarms", 0).await;
    assert!(!alarms.stdout.contains("plugin:acl-file"), "{alarms:?}");
}

#[tokio::test]
async fn where_and_who_may_come_from_the_environment() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let token = fs::read_to_string(folder.path("data/admin.token")).expect("a token");
    let command = |token: &str| {
        let mut command = portcullis(&["ctl", "status", "--json"]);
        command.env("PORTCULLIS_URL", format!("http://{}", program.api().address));
        command.env("PORTCULLIS_TOKEN", token);
        command
    };
    run(command(token.trim()), b"").await.expect_code(0);
    let refused = run(command("wrong"), b"").await.expect_code(1);
    assert!(
        refused.stderr.contains("401") && refused.stderr.contains("PORTCULLIS_TOKEN"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains("wrong"), "{refused:?}");
}

/// Whoever administers can be made, kept out, let in again and removed; versions keep two from undoing each other's work.
#[tokio::test]
async fn administrators_come_and_go() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let terminal = Terminal { program: &program, folder: &folder };
    folder.write("secret", "a long password\n");
    let secret = folder.path("secret").display().to_string();

    terminal.run("roles add fitter --permission bans:read --permission clients:read", 0).await;
    terminal.run(&format!("users add anna --password-file {secret}"), 0).await;
    let anna = async || Terminal::json(&terminal.run("users show anna --json", 0).await);
    assert_eq!(anna().await["roles"], serde_json::json!([]));
    terminal.run("users set anna --role fitter --role viewer", 0).await;
    assert_eq!(anna().await["roles"], serde_json::json!(["fitter", "viewer"]));
    terminal.run("users set anna --disabled true", 0).await;
    assert_eq!(anna().await["disabled"], true);
    terminal.run("users set anna --disabled false", 0).await;
    let now = anna().await;
    let expect = (&serde_json::json!(["fitter", "viewer"]), &serde_json::json!(false));
    assert_eq!((&now["roles"], &now["disabled"]), expect);
    let nothing = terminal.run("users set anna", 1).await;
    assert!(nothing.stderr.contains("roles, disabled or both"), "{nothing:?}");

    // The version that one command shows is what the other one takes.
    let version = |ended: &Ended| {
        let version = ended.stderr.lines().find_map(|line| line.strip_prefix("version "));
        version.unwrap_or_else(|| panic!("no version: {ended:?}")).to_owned()
    };
    let shown = version(&terminal.run("users show anna", 0).await);
    terminal.run(&format!("users set anna --role viewer --if-match {shown}"), 0).await;
    let late = terminal.run(&format!("users remove anna --if-match {shown}"), 1).await;
    assert!(late.stderr.contains("412"), "{late:?}");
    let shown = version(&terminal.run("roles show fitter", 0).await);
    terminal.run(&format!("roles set fitter --permission bans:read --if-match {shown}"), 0).await;
    let shown = version(&terminal.run("plugins show acl-file", 0).await);
    terminal.run(&format!("plugins reload acl-file --if-match {shown}"), 0).await;
    let late = terminal.run("plugins disable acl-file --if-match other", 1).await;
    assert!(late.stderr.contains("412"), "{late:?}");
    let status = terminal.run("status", 0).await;
    assert!(status.stderr.is_empty(), "{status:?}");

    let made = terminal.run("tokens add probe --role viewer --expires-in 3600 --json", 0).await;
    let token = Terminal::json(&made);
    let value = token["token"].as_str().expect("the token, this once");
    let mut command = portcullis(&["ctl", "login", "show", "--json"]);
    command.env("PORTCULLIS_URL", format!("http://{}", program.api().address));
    command.env("PORTCULLIS_TOKEN", value);
    run(command, b"").await.expect_code(0);
    assert!(terminal.run("tokens list", 0).await.stdout.contains("probe"));
    let id = token["id"].as_str().expect("an id");
    terminal.run(&format!("tokens revoke {id}"), 0).await;
    terminal.run("users remove anna", 0).await;
    terminal.run("roles remove fitter", 0).await;
    assert!(terminal.run("users list", 0).await.stdout.contains("the broker keeps no user"));
}

/// A program that watches gets a line for each sample.
#[tokio::test]
async fn top_is_for_programs_too() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    let terminal = Terminal { program: &program, folder: &folder };
    let once = Terminal::json(&terminal.run("top --once --every 1 --json", 0).await);
    assert!(once["counters"]["process_cpu_seconds_total"]["per_second"].is_number(), "{once}");
    let watching = start(terminal.command("top --every 1 --json"), b"");
    let lines = async |count: usize| {
        until("samples come", async || watching.written().lines().count() >= count).await;
        watching.written()
    };
    lines(1).await;
    assert!(program.stop().await.success());
    let written = lines(4).await;
    let last: Value = serde_json::from_str(written.lines().last().expect("a line")).expect("JSON");
    assert!(last["error"].as_str().is_some_and(|why| why.contains("is the broker running")));
}
