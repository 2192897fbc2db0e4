//! The program as its operator meets it: commands, exit codes, log lines and signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stop them as the tests themselves do"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments);
    command
}

fn output(arguments: &[&str], input: &str) -> Output {
    let mut child = portcullis(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, said: &[&str]) {
    let text = [&*output.stdout, &*output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    for expect in said {
        assert!(text.contains(expect), "{expect:?} is not in: {text}");
    }
}

/// A running broker; ends with the test.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    fn start(config: &str) -> Self {
        let arguments = ["--log-format", "json", "run", "--config", config];
        let mut child = portcullis(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The next line with this message.
    fn wait_for(&mut self, message: &str) -> serde_json::Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "no line says {message:?}");
            let json: serde_json::Value = serde_json::from_str(&line).expect(&line);
            if json["message"] == message {
                return json;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_config(folder: &Path, extra: &str) -> String {
    fs::create_dir_all(folder.join("plugins")).unwrap();
    let file = folder.join("p.toml");
    let text = format!(
        "data_dir = \"data\"\n[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n\
         [plugins]\ndir = \"plugins\"\n{extra}\n[admin]\nbind = \"127.0.0.1:0\"\n"
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_quickstart_proves_every_step_twice_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    for word in ["made", "found"] {
        let output = output(&["quickstart", "--once", "--dir", dir.to_str().unwrap()], "");
        expect(&output, 0, &[word, "proven in"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("ok ")).count(), 7, "{text}");
        assert!(!text.contains("FAIL"), "{text}");
    }
}

#[test]
fn a_quickstart_that_cannot_prove_its_steps_fails() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let arguments = ["quickstart", "--once", "--dir", dir.to_str().unwrap()];
    expect(&output(&arguments, ""), 0, &[]);
    fs::write(dir.join("acl.toml"), "").unwrap();
    expect(&output(&arguments, ""), 1, &["FAIL", "not every step was seen"]);
}

#[test]
fn a_service_is_ready_reloads_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    let mut broker = Running::start(&config);
    let ready = broker.wait_for("ready");
    let admin = ready["admin"].as_str().unwrap();
    let listener = ready["listeners"].as_str().unwrap().strip_prefix("mqtt=").unwrap();
    TcpStream::connect(listener).unwrap();
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));
    let token = folder.path().join("data/admin.token");
    assert_eq!(fs::metadata(token).unwrap().permissions().mode() & 0o777, 0o600);

    broker.signal(Signal::HUP);
    broker.wait_for("reloaded");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}[limits]\npacket_bytes = 0\n")).unwrap();
    broker.signal(Signal::HUP);
    let faulty = broker.wait_for("the configuration is faulty: the old one stays");
    let problem = faulty["problem"].as_str().unwrap();
    assert!(problem.contains("p.toml:11: limits.packet_bytes: 0: "), "{problem}");
    fs::write(&config, format!("publish_denied = \"disconnect\"\n{good}metrics_open = true\n"))
        .unwrap();
    broker.signal(Signal::HUP);
    let waiting = broker.wait_for("these settings differ and need a restart");
    assert_eq!(waiting["keys"], "admin");
    broker.wait_for("reloaded");

    broker.signal(Signal::TERM);
    broker.wait_for("stopped");
    assert_eq!(broker.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_failed_plugin_keeps_the_process_up_and_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "chain = [\"gate\"]");
    fs::write(folder.path().join("plugins/gate.wasm"), "no module").unwrap();
    let mut broker = Running::start(&config);
    let serving = broker.wait_for("serving, but not ready: see /readyz");
    let admin = serving["admin"].as_str().unwrap();
    let answer = get(admin, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("gate"), "{answer}");
    assert!(get(admin, "/livez").starts_with("HTTP/1.1 200"));
    broker.signal(Signal::INT);
    assert_eq!(broker.child.wait().unwrap().code(), Some(0));
}

#[test]
fn check_reports_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    expect(&output(&["check", "--config", &config], ""), 0, &["p.toml: ok", "nobody gets in"]);

    let config = write_config(folder.path(), "chain = [\"gate\", \"gone\"]");
    let gate = folder.path().join("plugins/gate.wasm");
    fs::write(&gate, "no module").unwrap();
    fs::set_permissions(&gate, fs::Permissions::from_mode(0o646)).unwrap();
    let said = [
        "p.toml:7: plugins.chain: \"gone\": ",
        "gone.wasm is not there, allowed: gate",
        "plugins/gate.wasm: is neither",
        "plugins/gate.wasm: mode 0646",
        "3 problems",
    ];
    expect(&output(&["check", "--config", &config], ""), 1, &said);

    let config = write_config(folder.path(), "chian = []");
    let said = ["p.toml:7: plugins.chian: unknown: ", "did you mean chain?", "1 problem"];
    expect(&output(&["check", "--config", &config], ""), 1, &said);
    expect(&output(&["run", "--config", &config], ""), 1, &said);
}

#[test]
fn passwd_reads_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    let path = file.to_str().unwrap();
    expect(&output(&["passwd", path, "anna"], "secret\n"), 0, &[]);
    let line = fs::read_to_string(&file).unwrap();
    assert!(line.starts_with("anna:$argon2id$v=19$m=19456,t=2,p=1$"), "{line}");
    expect(&output(&["passwd", path, "anna"], "\n"), 1, &["an empty password"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), line);
    expect(&output(&["passwd", path, "a:b"], "secret\n"), 1, &["contains ':'"]);
    expect(&output(&["passwd", "-D", path, "anna"], ""), 0, &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    expect(&output(&["run"], ""), 2, &["--config"]);
    expect(&output(&["dance"], ""), 2, &["dance"]);
    expect(
        &output(&["--log-level", "loud=very", "check", "--config", "x"], ""),
        2,
        &["--log-level"],
    );
}
