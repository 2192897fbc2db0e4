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
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
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
        Self::start_under(config, None)
    }

    /// `manager` = socket of a service manager.
    fn start_under(config: &str, manager: Option<&Path>) -> Self {
        let arguments = ["--log-format", "json", "run", "--config", config];
        let mut command = portcullis(&arguments);
        command.stderr(Stdio::piped()).env_remove("NOTIFY_SOCKET");
        command.envs(manager.map(|socket| ("NOTIFY_SOCKET", socket)));
        let mut child = command.spawn().unwrap();
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

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn write_config(folder: &Path, extra: &str) -> String {
    fs::create_dir_all(folder.join("plugins")).unwrap();
    set_mode(&folder.join("plugins"), 0o755);
    let file = folder.join("p.toml");
    let text = format!(
        "data_dir = \"data\"\n[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n\
         [plugins]\ndir = \"plugins\"\n{extra}\n[admin]\nbind = \"127.0.0.1:0\"\n"
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn get(address: &str, path: &str) -> String {
    get_with(address, path, "")
}

/// `headers` end with an end of line each.
fn get_with(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
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

/// The component of the box with this name.
fn bundled(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/prebuilt");
    fs::read(folder.join(format!("{name}.wasm"))).unwrap()
}

/// Puts a file there in one step.
fn put(path: &Path, content: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_broker_says_when_it_becomes_ready_and_when_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "chain = [\"gate\"]");
    let gate = folder.path().join("plugins/gate.wasm");
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let told = |expect: &str, never: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            assert!(never.is_empty() || !text.contains(never), "{text}");
            if text.contains(expect) {
                return text.to_owned();
            }
        }
    };
    let mut broker = Running::start_under(&config, Some(&socket));
    broker.wait_for("serving, but not ready: see /readyz");
    told("EXTEND_TIMEOUT_USEC=", "READY=1");
    told("STATUS=not ready: ", "READY=1");

    put(&gate, &bundled("allow-loopback"));
    let ready = broker.wait_for("ready");
    assert!(ready["listeners"].as_str().unwrap().starts_with("mqtt=127.0.0.1:"), "{ready}");
    assert!(get(ready["admin"].as_str().unwrap(), "/readyz").starts_with("HTTP/1.1 200"));
    assert!(told("READY=1", "").contains("STATUS=ready"));

    let good = fs::read_to_string(&config).unwrap();
    put(Path::new(&config), format!("{good}nonsense = 1\n").as_bytes());
    broker.signal(Signal::HUP);
    broker.wait_for("the configuration is faulty: the old one stays");
    told("RELOADING=1", "");
    let status = told("READY=1", "");
    let expect = "STATUS=the new configuration has 1 fault: the old one stays (ready)";
    assert!(status.contains(expect), "{status}");

    fs::remove_file(&gate).unwrap();
    broker.wait_for("no longer ready: see /readyz");
    told("not ready: ", "");
    broker.signal(Signal::TERM);
    told("STOPPING=1", "");
}

/// Names of the plugins in the chain of each listener, as the admin API shows them.
fn chains(folder: &Path, admin: &str) -> Vec<(String, Vec<String>)> {
    let token = fs::read_to_string(folder.join("data/admin.token")).unwrap();
    let token = format!("Authorization: Bearer {}\r\n", token.trim());
    let answer = get_with(admin, "/api/v1/listeners", &token);
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let json: serde_json::Value = serde_json::from_str(body).expect(&answer);
    let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let chain = |listener: &serde_json::Value| {
        let links = listener["chain"].as_array().unwrap();
        (word(&listener["name"]), links.iter().map(|link| word(&link["plugin"])).collect())
    };
    json["listeners"].as_array().unwrap().iter().map(chain).collect()
}

/// A listener that a reload removes or renames stays bound until a restart, and so does its chain:
/// the default one may let in whom it does not.
#[test]
fn a_reload_never_moves_a_listener_to_another_chain() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "chain = [\"gate\"]");
    fs::write(folder.path().join("plugins/gate.wasm"), bundled("allow-loopback")).unwrap();
    let good = fs::read_to_string(&config).unwrap();
    let closed = "[[listeners]]\nname = \"closed\"\nbind = \"127.0.0.1:0\"\nchain = []\n";
    put(Path::new(&config), format!("{good}{closed}").as_bytes());
    let mut broker = Running::start(&config);
    let admin = broker.wait_for("ready")["admin"].as_str().unwrap().to_owned();
    let before = chains(folder.path(), &admin);
    let chain_of = |name: &str| &before.iter().find(|(listener, _)| listener == name).unwrap().1;
    assert!(chain_of("mqtt").iter().any(|plugin| plugin == "gate"), "{before:?}");
    assert!(!chain_of("closed").iter().any(|plugin| plugin == "gate"), "{before:?}");

    for new in [good.clone(), format!("{good}{}", closed.replace("closed", "shut"))] {
        put(Path::new(&config), new.as_bytes());
        broker.signal(Signal::HUP);
        let waiting = broker.wait_for("these settings differ and need a restart");
        assert_eq!(waiting["keys"], "listeners");
        broker.wait_for("reloaded");
        assert_eq!(chains(folder.path(), &admin), before);
    }
    // A chain that the new file does change is changed.
    put(Path::new(&config), format!("{good}{}", closed.replace("[]", "[\"gate\"]")).as_bytes());
    broker.signal(Signal::HUP);
    broker.wait_for("reloaded");
    assert_ne!(chains(folder.path(), &admin), before);
}

#[test]
fn folders_that_others_can_write_are_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    let plugins = folder.path().join("plugins");
    for mode in [0o775, 0o777] {
        set_mode(&plugins, mode);
        let said = [format!("plugins: mode 0{mode:o}: "), "(chmod 755 ".to_owned()];
        let said = said.each_ref().map(String::as_str);
        expect(&output(&["run", "--config", &config], ""), 1, &said);
        expect(&output(&["check", "--config", &config], ""), 1, &said);
    }
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
    let fault = ["p.toml:7: plugins.chian: unknown: ", "did you mean chain?"];
    // A fault of the configuration hides nothing of what the rest of it names.
    let said = [fault[0], fault[1], "gate.wasm: is neither", "gate.wasm: mode 0646", "3 problems"];
    expect(&output(&["check", "--config", &config], ""), 1, &said);
    expect(&output(&["run", "--config", &config], ""), 1, &[fault[0], fault[1], "1 problem"]);
}

#[test]
fn check_looks_at_the_files_of_manifests() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), "");
    let gate = folder.path().join("plugins/gate.wasm");
    fs::write(&gate, bundled("password-file")).unwrap();
    let manifest = folder.path().join("plugins/gate.toml");
    fs::write(&manifest, "[files]\npasswords = \"../passwords\"\n").unwrap();
    let passwords = folder.path().join("passwords");
    expect(&output(&["passwd", passwords.to_str().unwrap(), "anna"], "secret\n"), 0, &[]);
    for file in [&gate, &manifest] {
        set_mode(file, 0o644);
    }
    expect(&output(&["check", "--config", &config], ""), 0, &["p.toml: ok"]);
    for (mode, problem) in [
        (0o640, None),
        (0o644, Some("passwords: mode 0644: everybody can use it, allowed: 0640")),
        (0o660, Some("passwords: mode 0660: its group can write it, allowed: 0640")),
        (0o602, Some("passwords: mode 0602: everybody can write it, allowed: 0600")),
    ] {
        set_mode(&passwords, mode);
        let said: Vec<_> = problem.into_iter().chain(problem.map(|_| "1 problem")).collect();
        let code = i32::from(problem.is_some());
        expect(&output(&["check", "--config", &config], ""), code, &said);
    }
    set_mode(&passwords, 0o600);
    set_mode(&gate, 0o664);
    set_mode(&manifest, 0o664);
    let said = ["gate.wasm: mode 0664: its group", "gate.toml: mode 0664: its group", "2 problems"];
    expect(&output(&["check", "--config", &config], ""), 1, &said);
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
    expect(&output(&["passwd", path, " bob"], "secret\n"), 1, &["white space"]);
    let said = ["\"anna\" is the last user of", "enabled = false"];
    expect(&output(&["passwd", "-D", path, "anna"], ""), 1, &said);
    assert_eq!(fs::read_to_string(&file).unwrap(), line);
    expect(&output(&["passwd", path, "bob"], "secret\n"), 0, &[]);
    expect(&output(&["passwd", "-D", path, "anna"], ""), 0, &[]);
    assert!(fs::read_to_string(&file).unwrap().starts_with("bob:"));
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
