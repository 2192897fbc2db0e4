//! What the process gives up: seen by the system's own view of it, and by what it can no longer do.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    path::Path,
    process::Command,
    time::Duration,
};

use codec::ReasonCode;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::net::TcpStream;

use super::{
    eventually::{eventually, until},
    folder::{ALICE, Folder},
    knock::{enter, knock, login},
    process::{Program, binary, root, run},
    servers::{as_nobody, give_to_nobody},
};

/// What the system says of a process.
fn said(program: &Program, file: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{file}", program.id())).expect("the process runs")
}

/// Modes of its files, and that it cannot get new rights; the rest is asked of the system.
#[tokio::test]
async fn the_process_is_private() {
    let folder = Folder::bundled();
    // Root is never kept from anything, so that only another user shows whether the process can be dumped.
    for entry in [".", "plugins", "passwords", "acl.toml", "portcullis.toml"] {
        give_to_nobody(&folder.path(entry));
    }
    for entry in fs::read_dir(folder.path("plugins")).expect("the plugins") {
        give_to_nobody(&entry.expect("an entry").path());
    }
    let program = Program::start_by(as_nobody(&binary()), &folder.config()).await;
    let status = said(&program, "status");
    for line in ["Umask:\t0077", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line:?} is not in {status}");
    }
    let limits = said(&program, "limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.expect("a line").split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "{limits}");
    let owner = |path: String| fs::metadata(path).expect("the process runs").uid();
    let of_process = owner(format!("/proc/{}/mem", program.id()));
    assert_eq!(of_process, 0, "who runs it could read its memory");
    assert_ne!(owner(folder.path("data").display().to_string()), 0, "it runs as root: no proof");
    enter(program.mqtt(), login("a", ALICE)).await.leave().await;
}

/// A configuration with a secret in this file.
fn secret_in(folder: &Folder, file: &Path, landlock: bool) {
    folder.configure(&format!(
        "[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n[process]\nlandlock = {landlock}\n\
         [secrets.s]\nvalue = \"file:{}\"\n",
        file.display()
    ));
}

/// A reload that names a file elsewhere is refused, and says why; without Landlock it is not: that is what keeps it out.
#[tokio::test]
async fn files_elsewhere_are_out_of_reach() {
    for landlock in [true, false] {
        let folder = Folder::bundled();
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let outside = elsewhere.path().join("secret");
        fs::write(&outside, "hush").expect("a file");
        folder.write("inside", "hush");
        secret_in(&folder, &folder.path("inside"), landlock);
        let program = Program::start(&folder.config()).await;
        // The folder of the configuration is within reach, also for what comes new.
        folder.write("later", "hush");
        secret_in(&folder, &folder.path("later"), landlock);
        program.signal(Signal::HUP);
        program.logged("\"reloaded\"").await;
        secret_in(&folder, &outside, landlock);
        program.signal(Signal::HUP);
        if landlock {
            program.logged("the configuration is faulty: the old one stays").await;
            program.logged("Permission denied").await;
            program.logged("named since the start").await;
        } else {
            until("a second reload", async || {
                program.log_text().matches("\"reloaded\"").count() == 2
            })
            .await;
        }
        enter(program.mqtt(), login("a", ALICE)).await.leave().await;
        // At a start it counts among what is named.
        program.stop().await;
        enter(Program::start(&folder.config()).await.mqtt(), login("a", ALICE)).await;
    }
}

/// Rules and passwords are replaced, plugins uploaded: all within reach.
#[tokio::test]
async fn reloads_and_uploads_go_on() {
    let folder = Folder::bundled();
    let program = Program::start(&folder.config()).await;
    program.logged("\"confined\"").await;
    folder.write("acl.toml", "[[rules]]\nallow = \"all\"\ntopic = \"new/#\"\n");
    program.plugin("acl-file", |plugin| plugin["generations"] == 2).await;
    let mut alice = enter(program.mqtt(), login("a", ALICE)).await;
    assert!(!alice.publish("new/x", "x").await.is_failure());
    let wasm = super::folder::another_build(&super::folder::bundled("acl-file"), 1);
    program.api().put_wasm("/api/v1/plugins/acl-file", &wasm).await.expect(200);
    program.plugin("acl-file", |plugin| plugin["generations"] == 3).await;
}

/// The socket of a service manager that watches.
struct Manager {
    _folder: tempfile::TempDir,
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_nonblocking(true).expect("it does not block");
        Self { _folder: folder, socket, path: path.display().to_string() }
    }

    /// The next message that waits.
    fn heard(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Waits until it is fed so often more.
    async fn fed(&self, times: usize) {
        let mut left = times;
        until("the watchdog is fed", async || {
            while let Some(message) = self.heard() {
                left = left.saturating_sub(message.matches("WATCHDOG=1").count());
            }
            left == 0
        })
        .await;
    }
}

/// Fed while the broker is well; not while its admin API cannot answer; and again when it can.
#[tokio::test]
async fn the_watchdog_is_fed_while_all_is_well() {
    let folder = Folder::bundled();
    folder.configure_more("[limits]\nconnect_timeout = \"1m\"\n");
    let manager = Manager::new();
    let mut command = Command::new(binary());
    command.env("NOTIFY_SOCKET", &manager.path).env("WATCHDOG_USEC", "400000");
    let program = Program::start_by(command, &folder.config()).await;
    manager.fed(5).await;
    // No descriptor is left with which the API could answer.
    let pid = Pid::from_raw(program.id().cast_signed());
    let maximum = getrlimit(Resource::Nofile).maximum;
    let at_most = |current| prlimit(pid, Resource::Nofile, Rlimit { current, maximum });
    let before = at_most(Some(5)).expect("a limit can be lowered");
    program.logged("not well: the watchdog of the service manager is not fed").await;
    while manager.heard().is_some() {}
    // Ten times what is between two messages.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(manager.heard(), None);
    at_most(before.current).expect("a limit can be raised to the hard one");
    manager.fed(3).await;
    let (code, _) = knock(program.mqtt(), login("a", ALICE)).await;
    assert_eq!(code, ReasonCode::Success);
    drop(TcpStream::connect(program.mqtt()).await);
}

/// What is secret is in no line of the log, whatever its level.
#[tokio::test]
async fn secrets_are_not_in_the_log() {
    let folder = Folder::bundled();
    folder.configure_more(
        "[secrets.s]\nvalue = \"hidden-secret\"\n[keys.k]\nalgorithm = \"aes-256-gcm\"\n\
         [[keys.k.key]]\nid = 1\nvalue = \"aGlkZGVuLWtleS1oaWRkZW4ta2V5LWhpZGRlbi1rZXk=\"\n",
    );
    let program = Program::start_traced(&folder.config()).await;
    enter(program.mqtt(), login("a", ALICE)).await.leave().await;
    let (code, _) = knock(program.mqtt(), login("b", (ALICE.0, "hidden-password"))).await;
    assert_eq!(code, ReasonCode::BadUserNameOrPassword);
    program.signal(Signal::HUP);
    program.logged("\"reloaded\"").await;
    let token = fs::read_to_string(folder.path("data/admin.token")).expect("the token");
    let log = program.log_text();
    assert!(log.contains("\"TRACE\""), "no line is at trace");
    let key = "aGlkZGVuLWtleS1oaWRkZW4ta2V5LWhpZGRlbi1rZXk";
    let hash = "7VgJqOTojpNK6";
    for secret in ["hidden-secret", key, "hidden-password", ALICE.1, token.trim(), hash] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    // As bytes in brackets neither.
    let bytes =
        |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    for secret in ["hidden-secret", "hidden-password", ALICE.1] {
        assert!(!log.contains(&bytes(secret)), "{secret} is in the log");
    }
}

/// The unit that we recommend is what systemd calls well protected.
#[tokio::test]
async fn the_service_unit_exposes_little() {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager"]);
    analyze.arg(root().join("examples/portcullis.service"));
    let ended = run(analyze, b"").await.expect_code(0);
    let overall = ended.stdout.lines().find_map(|line| line.split_once("service: "));
    let overall = overall.and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    let overall = overall.unwrap_or_else(|| panic!("{}", ended.stdout));
    assert!(overall <= 1.5, "{overall}: {}", ended.stdout);
}

/// Of everything that is said on the way, only this is waited for here.
#[tokio::test]
async fn a_kernel_without_landlock_is_said() {
    let folder = Folder::bundled();
    folder.configure_more("[process]\nlandlock = false\n");
    let program = Program::start(&folder.config()).await;
    eventually("it is said", async || {
        let log = program.log_text();
        if log.contains("may use every file of its user") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(!program.log_text().contains("\"confined\""));
}
