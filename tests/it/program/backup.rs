//! A backup that is taken under load, after which the broker is killed, brings a broker back that has everything that was
//! acknowledged before.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Client, packets};
use rustix::process::Signal;
use serde_json::json;

use super::{
    eventually::until,
    folder::{ALICE, Folder},
    knock::enter,
    process::{Ended, Program, binary, portcullis, run},
    proof,
};

const ROOMY: &str = "[limits]\nqueue_messages = 10000000\nqueue_bytes = \"4GiB\"\n";
/// Bytes of each message: several files of the log come together.
const BYTES: usize = 4_000;

fn persistent(client_id: &str) -> Connect {
    let persistent = packets::persistent(ProtocolVersion::V5, client_id);
    let login = packets::login(ProtocolVersion::V5, client_id, ALICE);
    Connect {
        clean_start: false,
        session_expiry_interval: persistent.session_expiry_interval,
        ..login
    }
}

fn ctl(program: &Program, folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = portcullis(&["ctl"]);
    command.args(arguments).arg("--url").arg(format!("http://{}", program.api().address));
    command.arg("--token-file").arg(folder.path("data/admin.token"));
    command
}

/// Publishes numbers until it is stopped, or the broker is gone; counts those that were acknowledged.
async fn publish(address: SocketAddr, acknowledged: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    let mut client = enter(address, packets::login(ProtocolVersion::V5, "pub", ALICE)).await;
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let payload = format!("{number:0>BYTES$}");
        client.send(packets::qos1(1, "free/all", &payload)).await;
        assert_eq!(client.puback(1).await, ReasonCode::Success);
        acknowledged.store(number + 1, Ordering::SeqCst);
    }
}

/// Everything up to the message `end`, acknowledged.
async fn until_the_end(client: &mut Client) -> Vec<String> {
    let mut payloads = Vec::new();
    loop {
        let message = client.message().await;
        let payload = message.text().1.to_owned();
        client.acknowledge(&message).await;
        if payload == "end" {
            return payloads;
        }
        payloads.push(payload);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_brings_everything_acknowledged_back() {
    let sessions = if proof() { 100 } else { 10 };
    let folder = Folder::bundled();
    folder.configure_more(ROOMY);
    let mut broker = Program::start(&folder.config()).await;
    for number in 0..sessions {
        let mut client = enter(broker.mqtt(), persistent(&format!("s{number}"))).await;
        client.subscribe("free/all", QoS::AtLeastOnce).await;
        client.leave().await;
    }
    let mut other = enter(broker.mqtt(), packets::login(ProtocolVersion::V5, "r", ALICE)).await;
    other.send(packets::retained(packets::qos1(1, "free/kept", "kept"))).await;
    assert_eq!(other.puback(1).await, ReasonCode::NoMatchingSubscribers);
    let ban = json!({ "client_id": "stray", "reason": "lost" });
    broker.api().post_json("/api/v1/bans", &ban).await.expect(200);

    let (acknowledged, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let publisher =
        tokio::spawn(publish(broker.mqtt(), Arc::clone(&acknowledged), Arc::clone(&stop)));
    let count = || acknowledged.load(Ordering::SeqCst);
    until("messages flow", async || count() > 200).await;
    let before = count();
    let archive = folder.path("backup.tar.gz");
    let made = ctl(&broker, &folder, &["backup", "--out", text(&archive)]);
    let made = run(made, b"").await.expect_code(0);
    assert!(made.stdout.contains("whole") && made.stdout.contains("without secrets"), "{made:?}");
    let after = count();
    until("messages flow on", async || count() > after + 50).await;
    stop.store(true, Ordering::SeqCst);
    publisher.await.expect("every message was acknowledged");
    let published = count();
    broker.signal(Signal::KILL);
    broker.ended().await;
    drop(other);

    run(portcullis(&["backup", "verify", text(&archive)]), b"").await.expect_code(0);
    let second = Folder::bundled();
    second.configure_more(ROOMY);
    let config = second.config();
    let restore = ["restore", text(&archive), "--config", text(&config)];
    let restored = run(portcullis(&restore), b"").await.expect_code(0);
    assert!(restored.stdout.contains(&format!("sessions {sessions},")), "{restored:?}");
    let broker = Program::start(&second.config()).await;
    let mut end = enter(broker.mqtt(), packets::login(ProtocolVersion::V5, "end", ALICE)).await;
    end.send(packets::qos1(1, "free/all", "end")).await;
    assert_eq!(end.puback(1).await, ReasonCode::Success);
    let mut counts = Vec::new();
    for number in 0..sessions {
        let mut client = enter(broker.mqtt(), persistent(&format!("s{number}"))).await;
        let payloads = until_the_end(&mut client).await;
        // None is missing, half, twice or out of order.
        for (number, payload) in payloads.iter().enumerate() {
            assert!(*payload == format!("{number:0>BYTES$}"), "session: {number} is {payload:.20}");
        }
        assert!((before..=published).contains(&payloads.len()), "{} messages", payloads.len());
        counts.push(payloads.len());
        client.leave().await;
    }
    let mut client = enter(broker.mqtt(), packets::login(ProtocolVersion::V5, "x", ALICE)).await;
    client.subscribe("free/kept", QoS::AtLeastOnce).await;
    assert_eq!(client.message().await.text(), ("free/kept", "kept"));
    let bans = broker.api().get("/api/v1/bans").await.expect(200).json();
    assert_eq!(bans["bans"][0]["client_id"], "stray", "{bans}");
    println!("{before} acknowledged before, {published} at the end, {counts:?} in the backup");

    // A broker that runs, and folders that are not empty, are left alone.
    let again = run(portcullis(&restore), b"").await.expect_code(1);
    assert!(again.stderr.contains("stop it first"), "{again:?}");
    assert!(broker.stop().await.success());
    let again = run(portcullis(&restore), b"").await.expect_code(1);
    assert!(again.stderr.contains("--force"), "{again:?}");
}

/// Whoever may not read payloads does not get them in an archive.
#[tokio::test]
async fn an_archive_is_for_whoever_may_read_everything() {
    let folder = Folder::bundled();
    folder.write("hush.txt", "PLANTED-elsewhere");
    folder.configure_more(
        "[secrets.a]\nvalue = \"PLANTED-in-the-configuration\"\n\
         [secrets.b]\nvalue = \"file:hush.txt\"\n[keys.ring]\nmanaged = true\n",
    );
    let broker = Program::start(&folder.config()).await;
    let token = fs::read_to_string(folder.path("data/admin.token")).expect("a token");
    let archive = folder.path("backup.tar.gz");
    let made = ctl(&broker, &folder, &["backup", "--out", text(&archive)]);
    run(made, b"").await.expect_code(0);
    let unpacked = run(
        {
            let mut gzip = Command::new("gzip");
            gzip.args(["-dc", text(&archive)]);
            gzip
        },
        b"",
    )
    .await
    .expect_code(0);
    for secret in ["PLANTED", token.trim(), "$7$101$"] {
        assert!(!unpacked.stdout.contains(secret), "{secret}");
    }
    assert!(unpacked.stdout.contains("NOT_IN_THE_BACKUP"));
    // With them it is another file, and only what was asked for.
    let whole = folder.path("whole.tar.gz");
    let made = ctl(&broker, &folder, &["backup", "--include-secrets", "--out", text(&whole)]);
    assert!(run(made, b"").await.expect_code(0).stdout.contains("with secrets"));
    // A file that is there is not written over.
    let made = ctl(&broker, &folder, &["backup", "--out", text(&whole)]);
    run(made, b"").await.expect_code(1);
    run(portcullis(&["backup", "verify", text(&whole)]), b"").await.expect_code(0);
}

/// The user of the broker below; it needs no name.
const SERVICE: u32 = 65_534;

/// A broker as a service has it: the configuration and the plugins are root's, the data are its user's.
struct Service {
    folder: Folder,
    program: PathBuf,
}

impl Service {
    fn new() -> Self {
        let folder = Folder::bundled();
        let program = folder.path("portcullis");
        fs::copy(binary(), &program).expect("the program can be copied");
        fs::create_dir(folder.path("data")).expect("a folder");
        let service = Self { folder, program };
        for (path, owner, mode) in [
            ("", 0, 0o755),
            ("portcullis", 0, 0o755),
            ("plugins", 0, 0o750),
            ("data", SERVICE, 0o700),
        ] {
            service.set(&service.folder.path(path), owner, mode);
        }
        let plugins = fs::read_dir(service.folder.path("plugins")).expect("plugins");
        let files = ["portcullis.toml", "passwords", "acl.toml"].map(|it| service.folder.path(it));
        for file in plugins.map(|entry| entry.expect("a file").path()).chain(files) {
            service.set(&file, 0, 0o640);
        }
        service
    }

    fn set(&self, path: &Path, owner: u32, mode: u32) {
        chown(path, Some(owner), Some(SERVICE)).expect("root gives files away");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }

    async fn restore(&self, archive: &Path, as_service: bool) -> Ended {
        let mut command = match as_service {
            true => Command::new("setpriv"),
            false => Command::new(&self.program),
        };
        if as_service {
            let (user, group) = (format!("--reuid={SERVICE}"), format!("--regid={SERVICE}"));
            command.args([user.as_str(), group.as_str(), "--clear-groups", text(&self.program)]);
        }
        command.args(["restore", text(archive), "--force", "--config"]);
        command.arg(self.folder.config());
        run(command, b"").await
    }

    /// All files of the data folder and of the plugins: what is in them, and whose they are.
    fn files(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.path("data"), self.folder.path("plugins")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let owner = fs::metadata(&path).expect("a file").uid();
                        files.insert(path.clone(), (fs::read(&path).expect("a file"), owner));
                    }
                }
            }
        }
        files
    }
}

/// In the layout of docs/operate/service.md the broker cannot write its plugins: its user restores what needs no writing
/// there, and is refused before anything changed otherwise. Root restores everything, for that user.
#[tokio::test]
async fn a_service_is_restored_whole_or_not_at_all() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can make the folders of a service");
        return;
    }
    let first = Folder::bundled();
    let broker = Program::start(&first.config()).await;
    let ban = json!({ "client_id": "stray", "reason": "lost" });
    broker.api().post_json("/api/v1/bans", &ban).await.expect(200);
    let service = Service::new();
    let archive = service.folder.path("backup.tar.gz");
    let made = ctl(&broker, &first, &["backup", "--out", text(&archive)]);
    run(made, b"").await.expect_code(0);
    service.set(&archive, SERVICE, 0o600);

    service.restore(&archive, true).await.expect_code(0);
    let restored = service.files();
    let bans = service.folder.path("data/bans.json");
    assert!(String::from_utf8_lossy(&restored[&bans].0).contains("stray"));

    let manifest = service.folder.path("plugins/acl-file.toml");
    fs::write(&manifest, "order = 7\n").expect("root writes");
    fs::write(&bans, "later").expect("root writes");
    let before = service.files();
    let refused = service.restore(&archive, true).await.expect_code(1);
    assert!(refused.stderr.contains("plugins: cannot be written"), "{refused:?}");
    assert_eq!(service.files(), before);

    service.restore(&archive, false).await.expect_code(0);
    let after = service.files();
    assert_eq!((&after[&bans], &after[&manifest]), (&restored[&bans], &restored[&manifest]));
    // What was moved aside keeps the owner that it had.
    let is_aside = |path: &Path| path.to_string_lossy().contains("before-restore-");
    for (path, (_, owner)) in after.into_iter().filter(|(path, _)| !is_aside(path)) {
        let expect = if path.starts_with(service.folder.path("plugins")) { 0 } else { SERVICE };
        assert_eq!(owner, expect, "{}", path.display());
    }
}
