//! The first minutes of somebody who has never seen the program: the proof, and every command that
//! it prints to try next, run by a shell as it stands.

use std::{fs, process::Command, time::Duration};

use tempfile::TempDir;

use super::{
    eventually::eventually,
    folder::bundled,
    http::Api,
    process::{Running, portcullis, run, start},
};
use rustix::process::Signal;

/// What the proof shows, in order.
const STEPS: [&str; 7] = [
    "refused without password",
    "refused with a wrong password",
    "refused as an unknown user",
    "accepted with the password",
    "publish refused by the ACL",
    "publish delivered",
    "plugin replaced while connected",
];

/// The promise: from nothing to the proof.
const AT_MOST: Duration = Duration::from_secs(30);

/// A quickstart that serves.
struct Quickstart {
    dir: TempDir,
    running: Running,
    /// What it printed to try.
    commands: Vec<String>,
    mqtt_port: String,
    api: Api,
}

impl Quickstart {
    /// Proves everything once, then serves from the same folder.
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let data = dir.path().join("data");
        let data = data.to_str().expect("a path of text");
        let ended = run(portcullis(&["quickstart", "--once", "--dir", data]), b"").await;
        let ended = ended.expect_code(0);
        assert!(ended.took < AT_MOST, "took {:?}", ended.took);
        let proven = ended.stdout.lines().filter_map(|line| line.strip_prefix("ok    "));
        for (step, line) in STEPS.iter().zip(proven.chain([""; STEPS.len()])) {
            assert!(line.starts_with(step), "{step} is not proven: {}", ended.stdout);
        }

        // Other tests run beside this one: free ports instead of the well-known ones.
        let config = dir.path().join("data/portcullis.toml");
        let text = fs::read_to_string(&config).expect("the configuration");
        fs::write(&config, text.replace(":1883\"", ":0\"").replace(":9883\"", ":0\""))
            .expect("the configuration can be written");
        let running = start(portcullis(&["quickstart", "--dir", data]), b"");
        let text = eventually("the quickstart serves", async || {
            let text = running.written();
            if text.contains("Serving until") { Ok(text) } else { Err(running.complained()) }
        })
        .await;
        let listening = text.lines().find_map(|line| line.strip_prefix("listening: mqtt "));
        let (mqtt, admin) = listening
            .and_then(|line| line.split_once(", admin http://"))
            .expect("a line names both addresses");
        let token = fs::read_to_string(dir.path().join("data/admin.token")).expect("the token");
        let api = Api::new(admin.parse().expect("an address"), token.trim());
        let mqtt_port = mqtt.rsplit(':').next().expect("a port").to_owned();
        let commands = text.lines().filter_map(|line| line.strip_prefix("  "));
        let commands = commands.map(str::to_owned).collect();
        Self { dir, running, commands, mqtt_port, api }
    }

    /// The printed command that begins so and contains this.
    fn command(&self, begins: &str, contains: &str) -> Command {
        let fits = |line: &&String| line.starts_with(begins) && line.contains(contains);
        let line = self.commands.iter().find(fits).unwrap_or_else(|| {
            panic!("no line begins with {begins:?}: {:#?}", self.commands);
        });
        let mut command = Command::new("sh");
        // Without `exec` a signal would end the shell alone.
        let exec = if line.starts_with("mosquitto_sub") { "exec " } else { "" };
        command.arg("-c").arg(format!("{exec}{line}"));
        command
    }

    /// A PUBLISH of this user.
    fn publish(&self, credentials: &[&str]) -> Command {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.mqtt_port, "-V", "5", "-q", "1"]);
        command.args(["-t", "demo/x", "-m", "hi"]).args(credentials);
        command
    }

    async fn plugin(&self, name: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
        let path = format!("/api/v1/plugins/{name}");
        eventually(&format!("plugin {name}"), async || {
            let answer = self.api.get(&path).await;
            if answer.status == 200 && is_so(&answer.json()) {
                return Ok(());
            }
            Err(answer.body)
        })
        .await;
    }
}

#[tokio::test]
async fn the_printed_commands_do_what_they_promise() {
    // A shell would not say how to install what is missing.
    for tool in ["mosquitto_sub", "mosquitto_pub", "curl"] {
        let mut version = Command::new(tool);
        version.arg("--version");
        run(version, b"").await;
    }
    let quickstart = Quickstart::start().await;

    let subscriber = start(quickstart.command("mosquitto_sub", "'demo/#'"), b"");
    eventually("the printed curl shows who has subscribed", async || {
        let ended = run(quickstart.command("curl", "/api/v1/clients"), b"").await.expect_code(0);
        let shown =
            ended.stdout.contains("\"subscription_count\":1") && ended.stdout.contains("\"demo\"");
        if shown { Ok(()) } else { Err(ended.stdout) }
    })
    .await;
    run(quickstart.command("mosquitto_pub", "demo/hello"), b"").await.expect_code(0);
    eventually("the message comes", async || match subscriber.written().as_str() {
        "demo/hello hello\n" => Ok(()),
        other => Err(format!("{other:?}, {:?}", subscriber.complained())),
    })
    .await;
    let refused = run(quickstart.command("mosquitto_pub", "# refused"), b"").await;
    assert!(refused.stderr.contains("Not authorized"), "{refused:?}");

    let anna = quickstart.publish(&["-u", "anna", "-P", "a long password"]);
    run(quickstart.command("echo", "passwd"), b"").await.expect_code(0);
    quickstart.plugin("password-file", |plugin| plugin["generations"] == 2).await;
    let answer = run(anna, b"").await.expect_code(0);
    assert!(answer.stderr.contains("Not authorized"), "no rule is for anna: {answer:?}");

    let checked = run(quickstart.command("", "plugin check"), b"").await.expect_code(0);
    assert!(checked.stdout.contains("authorizer"), "{checked:?}");

    run(quickstart.command("rm", "password-file.wasm"), b"").await.expect_code(0);
    quickstart.plugin("password-file", |plugin| plugin["state"] == "removed").await;
    let ended = run(quickstart.command("mosquitto_pub", "demo/hello"), b"").await;
    assert_ne!(ended.code(), 0, "{ended:?}");
    let page = quickstart.api.get("/api/v1/clients").await.expect(200).json();
    assert_eq!(page["clients"][0]["connected"], true, "the subscriber was cut off: {page}");
    assert_eq!(page["clients"][0]["subscription_count"], 1, "{page}");

    quickstart.running.signal(Signal::INT);
    let ended = quickstart.running.ended().await.expect_code(0);
    // Who was refused and what was removed stands there; nothing went wrong.
    assert!(ended.stderr.contains("connect_refused"), "{}", ended.stderr);
    for wrong in ["\"ERROR\"", "panicked", "FAIL"] {
        assert!(!ended.stderr.contains(wrong), "{}", ended.stderr);
    }
}

/// What is dropped into the folder is live a moment later, as the configuration promises, in the
/// place that its manifest gives it.
#[tokio::test]
async fn a_plugin_dropped_into_the_folder_is_noticed() {
    let quickstart = Quickstart::start().await;
    let plugins = quickstart.dir.path().join("data/plugins");
    fs::write(plugins.join("loopback.wasm"), bundled("allow-loopback")).expect("a dropped file");
    quickstart.plugin("loopback", |plugin| plugin["state"] == "live").await;
    // It stands behind password-file, which refuses who is not in its file.
    let stranger = run(quickstart.publish(&["-u", "stranger", "-P", "x"]), b"").await;
    assert_eq!(stranger.code(), 0x86, "{stranger:?}");

    fs::write(plugins.join("loopback.toml"), "order = 1\n").expect("a dropped manifest");
    eventually("the chain has the plugin", async || {
        let listeners = quickstart.api.get("/api/v1/listeners").await.expect(200).json();
        let first = &listeners["listeners"][0]["chain"][0]["plugin"];
        if first == "loopback" { Ok(()) } else { Err(listeners.to_string()) }
    })
    .await;
    let stranger = run(quickstart.publish(&["-u", "stranger", "-P", "x"]), b"").await;
    // Let in now; what it may publish is the word of acl-file.
    let stranger = stranger.expect_code(0);
    assert!(stranger.stderr.contains("Not authorized"), "{stranger:?}");
}
