//! Processes: the broker as a service, and commands that end by themselves.
//!
//! Output goes to files, never to pipes: nothing blocks when nobody reads. A broker is killed when
//! its test ends, however that is, and its log is printed when the test failed.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    eventually::{WAIT, eventually, within},
    http::{Answer, Api},
};

/// The binary under test, beside this test's own.
pub(super) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own file");
    // target/release/deps/it-HASH
    let folder = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
    let binary = folder.join("portcullis");
    assert!(
        binary.is_file(),
        "{} is not there; build it first: cargo build --release -p portcullis",
        binary.display()
    );
    binary
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// `portcullis ARGUMENTS`, to be run with [`run`].
pub(super) fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    command
}

/// What a command that ended left behind.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Ended {
    /// Exit code; fails when a signal ended it.
    #[track_caller]
    pub(super) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    /// Fails unless it exited with `code`.
    #[track_caller]
    pub(super) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self:#?}");
        self
    }
}

/// A command in progress, killed when dropped.
pub(super) struct Running {
    child: Child,
    began: Instant,
    stdout: File,
    stderr: File,
}

/// Starts a command with `input` as its standard input.
pub(super) fn start(mut command: Command, input: &[u8]) -> Running {
    let file = || tempfile::tempfile().expect("a temporary file");
    let (mut stdin, stdout, stderr) = (file(), file(), file());
    stdin.write_all(input).and_then(|()| stdin.seek(SeekFrom::Start(0))).expect("its input");
    let hand_over = |file: &File| Stdio::from(file.try_clone().expect("a second handle"));
    command.stdin(Stdio::from(stdin)).stdout(hand_over(&stdout)).stderr(hand_over(&stderr));
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("{:?}: {error}; tests/setup installs what is missing", command.get_program())
    });
    Running { child, began: Instant::now(), stdout, stderr }
}

/// Runs a command to its end.
pub(super) async fn run(command: Command, input: &[u8]) -> Ended {
    start(command, input).ended().await
}

impl Running {
    /// What it has written to its standard output so far.
    pub(super) fn written(&self) -> String {
        read(&self.stdout)
    }

    /// What it has written to its standard error so far.
    pub(super) fn complained(&self) -> String {
        read(&self.stderr)
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to an own child");
    }

    /// Waits for its end.
    pub(super) async fn ended(self) -> Ended {
        self.ended_within(WAIT).await
    }

    /// The same for one that takes longer.
    pub(super) async fn ended_within(mut self, wait: Duration) -> Ended {
        let status = within(wait, "a command ends", async || {
            let status = self.child.try_wait().expect("a child can be waited for");
            status.ok_or_else(|| {
                format!("still runs, wrote {:?} and {:?}", self.written(), self.complained())
            })
        })
        .await;
        Ended {
            status,
            stdout: self.written(),
            stderr: self.complained(),
            took: self.began.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// All of a file that another process writes through the same open file: reads by position.
fn read(file: &File) -> String {
    let mut again = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))
        .expect("an open file can be opened again");
    let mut bytes = Vec::new();
    again.read_to_end(&mut bytes).expect("a file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A broker that serves, started with `portcullis run`.
pub(super) struct Program {
    child: Child,
    log: PathBuf,
    /// Those with an address; a socket file has none.
    listeners: Vec<(String, SocketAddr)>,
    api: Option<Api>,
}

const LOG_LEVEL: &str = "info,telemetry=debug";

/// Serving, but not everything that is configured is there.
const NOT_READY: &str = "serving, but not ready: see /readyz";

impl Program {
    /// Starts it and waits until it is ready in every sense.
    pub(super) async fn start(config: &Path) -> Self {
        let program = Self::start_unready(config).await;
        let ready = program.api().get("/readyz").await;
        assert_eq!(ready.status, 200, "not ready: {}", ready.body);
        program
    }

    /// As [`Program::start`], with no more open files than `most`.
    pub(super) async fn start_with_descriptors(config: &Path, most: u32) -> Self {
        let limit = "ulimit -n \"$0\" && exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", limit, &most.to_string()]).arg(binary());
        Self::start_by(command, config).await
    }

    /// Starts it and waits until it serves, ready or not.
    pub(super) async fn start_unready(config: &Path) -> Self {
        Self::start_serving(portcullis(&[]), LOG_LEVEL, config).await
    }

    /// As [`Self::start`], by a command that ends in the arguments of the binary.
    pub(super) async fn start_by(command: Command, config: &Path) -> Self {
        Self::start_serving(command, LOG_LEVEL, config).await
    }

    /// As [`Self::start`], with every line of the log that there is.
    pub(super) async fn start_traced(config: &Path) -> Self {
        Self::start_serving(portcullis(&[]), "trace", config).await
    }

    async fn start_serving(mut command: Command, level: &str, config: &Path) -> Self {
        let folder = config.parent().expect("a configuration lies in a folder");
        let log = folder.join("broker.log");
        let file = File::create(&log).expect("a log file");
        // With the line of each connect and disconnect: tests look for them.
        let arguments = ["run", "--log-format", "json", "--log-level", level, "--config"];
        let child = command
            .args(arguments)
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            .spawn()
            .expect("the binary can be started");
        let mut program = Self { child, log, listeners: Vec::new(), api: None };
        let line = eventually("the broker serves", async || {
            if let Some(status) = program.child.try_wait().expect("a child can be waited for") {
                panic!("the broker ended with {status}: {}", program.log_text());
            }
            let serving = |line: &Value| line["message"] == "ready" || line["message"] == NOT_READY;
            program.log().into_iter().find(serving).ok_or_else(|| "no ready line".to_owned())
        })
        .await;
        let words = line["listeners"].as_str().expect("the ready line names the listeners");
        for word in words.split_whitespace() {
            let (name, address) = word.split_once('=').expect("NAME=ADDRESS");
            if !address.starts_with('/') {
                let address = address.parse().expect("an address");
                program.listeners.push((name.to_owned(), address));
            }
        }
        let admin = line["admin"].as_str().expect("the ready line names the admin API");
        let token = fs::read_to_string(folder.join("data/admin.token")).expect("the token");
        program.api = Some(Api::new(admin.parse().expect("an address"), token.trim()));
        program
    }

    /// Address of the listener `name`.
    pub(super) fn listener(&self, name: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(listener, _)| listener == name);
        found.unwrap_or_else(|| panic!("no listener {name}: {:?}", self.listeners)).1
    }

    /// Address of the listener `mqtt`.
    pub(super) fn mqtt(&self) -> SocketAddr {
        self.listener("mqtt")
    }

    /// The admin API, with the token.
    pub(super) fn api(&self) -> &Api {
        self.api.as_ref().expect("known as soon as it serves")
    }

    /// The plugin `name` as the admin API shows it, once `is_so`.
    pub(super) async fn plugin(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/plugins/{name}");
        eventually(&format!("plugin {name}"), async || {
            let Answer { status, body, .. } = self.api().get(&path).await;
            let plugin = serde_json::from_str(&body).unwrap_or(Value::Null);
            if status == 200 && is_so(&plugin) { Ok(plugin) } else { Err(body) }
        })
        .await
    }

    /// How many generations of a plugin have gone live.
    pub(super) async fn generations(&self, name: &str) -> u64 {
        let plugin = self.plugin(name, |_| true).await;
        plugin["generations"].as_u64().expect("a count")
    }

    /// Every complete line of the log.
    pub(super) fn log(&self) -> Vec<Value> {
        let text = self.log_text();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The log as it stands.
    pub(super) fn log_text(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// Waits for a log line whose text contains `words`.
    pub(super) async fn logged(&self, words: &str) {
        eventually(&format!("the log says {words:?}"), async || {
            let text = self.log_text();
            if text.contains(words) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal to an own child");
    }

    /// Asks it to end and waits for that.
    pub(super) async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        eventually("the broker ends", async || {
            let status = self.child.try_wait().expect("a child can be waited for");
            status.ok_or_else(|| "still runs".to_owned())
        })
        .await
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Time of processors that it has used, in steps of a hundredth of a second.
    pub(super) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("the process runs");
        // Behind the name in brackets: the state, 10 other numbers, then user and system time.
        let (_, behind) = stat.rsplit_once(") ").expect("a name in brackets");
        let numbers = behind.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks"));
        Duration::from_millis(10 * numbers.sum::<u64>())
    }

    /// Memory that it holds, in bytes.
    pub(super) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.expect("VmRSS in kB") * 1024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.child);
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = lines.len().saturating_sub(40);
            eprintln!("--- the broker's last words\n{}", lines[last..].join("\n"));
        }
    }
}

/// Kills what still runs. Both calls fail only for a child that has been waited for.
fn end(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        drop(child.kill());
        drop(child.wait());
    }
}
