//! What is on the disk: files that others can read, configurations at their bounds, a process without descriptors, a death
//! between two packets.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::packets;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::net::TcpStream;

use super::{
    super::{
        eventually::until,
        folder::{ALICE, Folder},
        knock::{enter, knock, login},
        process::{Program, binary, portcullis, root, run},
    },
    open,
};

use ProtocolVersion::V5;

/// N3: a reload without file descriptors falls back to open defaults (CVE-2017-7652, mosquitto).
#[tokio::test]
async fn a_reload_without_descriptors_changes_nothing() {
    let folder = Folder::bundled();
    folder.configure_more("[limits]\nconnect_timeout = \"1m\"\n");
    let program = Program::start(&folder.config()).await;
    let mut alice = enter(program.mqtt(), login("alice", ALICE)).await;
    let open = || {
        let folder = fs::read_dir(format!("/proc/{}/fd", program.id())).expect("its descriptors");
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
        folder.filter_map(|entry| name(entry.expect("an entry"))).collect::<Vec<_>>()
    };
    let pid = Pid::from_raw(program.id().cast_signed());
    let limit = open().into_iter().max().expect("some are open") + 4;
    let maximum = getrlimit(Resource::Nofile).maximum;
    let at_most = |current| prlimit(pid, Resource::Nofile, Rlimit { current, maximum });
    let before = at_most(Some(limit)).expect("a limit can be lowered");
    let mut waiting = Vec::new();
    until("no descriptor is left", async || {
        waiting.push(TcpStream::connect(program.mqtt()).await.expect("the backlog takes it"));
        (0..limit).all(|number| open().contains(&number))
    })
    .await;
    program.signal(Signal::HUP);
    program.logged("the configuration is faulty: the old one stays").await;
    // A plugin whose files cannot be read now is what it was.
    let acl = fs::read(folder.path("acl.toml")).expect("the rules");
    folder.write("acl.toml", acl);
    assert_eq!(alice.publish("free/secret/x", "x").await, ReasonCode::NotAuthorized);
    assert!(!alice.publish("free/x", "x").await.is_failure());
    drop(waiting);
    at_most(before.current).expect("a limit can be raised to the hard one");
    until("who knows the password gets in again", async || {
        knock(program.mqtt(), login("again", ALICE)).await.0 == ReasonCode::Success
    })
    .await;
    for (credentials, code) in [
        ((ALICE.0, "wrong"), ReasonCode::BadUserNameOrPassword),
        (("mallory", ""), ReasonCode::BadUserNameOrPassword),
    ] {
        assert_eq!(knock(program.mqtt(), login("c", credentials)).await.0, code);
    }
    assert_eq!(alice.publish("free/secret/x", "x").await, ReasonCode::NotAuthorized);
}

/// Every file and folder below.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            let entries = fs::read_dir(&found[at]).expect("a folder");
            found.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
        at += 1;
    }
    found
}

/// N5: the files of the broker can be read by everybody (CVE-2017-9868, mosquitto).
#[tokio::test]
async fn files_of_the_broker_are_private() {
    let folder = Folder::bundled();
    folder.configure_more(
        "[[listeners]]\nname = \"local\"\nbind = \"data/local.sock\"\ntransport = \"unix\"\n\
         mode = \"0600\"\n",
    );
    // Who starts it may forbid nothing.
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(binary());
    let program = Program::start_by(command, &folder.config()).await;
    let connect = Connect { clean_start: false, ..login("kept", ALICE) };
    let mut client =
        enter(program.mqtt(), Connect { session_expiry_interval: 3600, ..connect }).await;
    client.subscribe("free/#", QoS::AtLeastOnce).await;
    client.send(packets::retained(packets::qos1(1, "free/x", "x"))).await;
    client.next(|_| ()).await.expect("an answer");
    let files = below(&folder.path("data"));
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let mode = fs::symlink_metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
    }
}

/// N28: the identifier of a QoS 2 message is kept after the message was passed on (CVE-2026-8741, EMQX).
#[tokio::test]
async fn a_message_comes_once_over_a_death() {
    let folder = open("");
    let mut program = Program::start(&folder.config()).await;
    let persistent = |client_id: &str| {
        let connect = packets::persistent(V5, client_id);
        Connect { username: Some(client_id.to_owned()), ..connect }
    };
    let mut subscriber = enter(program.mqtt(), persistent("sub")).await;
    subscriber.subscribe("t", QoS::ExactlyOnce).await;
    subscriber.leave().await;
    let mut publisher = enter(program.mqtt(), persistent("pub")).await;
    publisher.send(packets::qos2(1, "t", "once")).await;
    assert_eq!(publisher.pubrec(1).await, ReasonCode::Success);
    program.signal(Signal::KILL);
    program.ended().await;
    program = Program::start(&folder.config()).await;
    // It did not hear the PUBREC.
    let mut publisher = enter(program.mqtt(), persistent("pub")).await;
    publisher.send(packets::again(packets::qos2(1, "t", "once"))).await;
    publisher.pubrec(1).await;
    publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
    publisher.expect(packets::pubcomp(1, ReasonCode::Success)).await;
    let mut subscriber = enter(program.mqtt(), persistent("sub")).await;
    subscriber.take("t", "once").await;
    subscriber.quiet().await;
}

/// A number of the configuration: the table it stands in and its key.
type Key = (String, String);

/// Every number with a unit or none that the reference has.
fn numbers() -> Vec<Key> {
    let path = root().join("docs/configure/reference.toml");
    let text = fs::read_to_string(path).expect("the reference");
    let (mut table, mut keys) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.to_owned();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let value = value.trim_matches('"');
            let is_number = value.starts_with(|c: char| c.is_ascii_digit()) || value == "auto";
            // Addresses begin with a digit too.
            if is_number && !value.contains(['.', ':']) && !line.starts_with('#') {
                keys.push((table.clone(), key.to_owned()));
            }
        }
    }
    keys
}

/// A configuration with these numbers; a table is opened once.
fn with(folder: &Folder, numbers: &[(&Key, &str)]) {
    let (mut text, mut within) = (String::new(), Vec::new());
    let mut tables: Vec<&str> = numbers.iter().map(|((table, _), _)| table.as_str()).collect();
    tables.sort_unstable();
    tables.dedup();
    for name in tables {
        let of_table = numbers.iter().filter(|((table, _), _)| table == name);
        let lines: String =
            of_table.map(|((_, key), value)| format!("{key} = {value}\n")).collect();
        let opened = format!("[{name}]\n");
        match name {
            // Every configuration of these tests has them already.
            "admin" | "plugins" => within.push((opened.clone(), opened + &lines)),
            _ => text.push_str(&(opened + &lines)),
        }
    }
    folder.configure(&format!("[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n{text}"));
    let mut written = fs::read_to_string(folder.config()).expect("the configuration");
    for (opened, filled) in within {
        written = written.replacen(&opened, &filled, 1);
    }
    folder.write("portcullis.toml", written);
}

/// What `check` says, and whether it accepts it.
async fn checked(folder: &Folder) -> (bool, String) {
    let config = folder.config();
    let config = config.to_str().expect("a path of text");
    let ended = run(portcullis(&["check", "--config", config]), b"").await;
    let code = ended.code();
    assert!(code == 0 || code == 1, "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    (code == 0, ended.stderr)
}

/// The bounds that a refusal names, as they may stand in a configuration.
fn bounds(refusal: &str) -> [String; 2] {
    let (_, allowed) = refusal.rsplit_once("allowed: ").expect("a refusal names what is allowed");
    let allowed = allowed.lines().next().unwrap_or_default();
    let allowed = allowed.split([',', ';']).next().unwrap_or_default();
    let (least, most) = allowed.split_once(" to ").unwrap_or_else(|| panic!("{refusal}"));
    [least, most].map(|bound| match bound.trim().parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("{:?}", bound.trim()),
    })
}

/// N33: a pair of numbers of the configuration divides by zero (CVE-2026-42209, FlashMQ).
#[tokio::test]
async fn every_number_of_the_configuration_at_its_bounds() {
    let folder = open("");
    let keys = numbers();
    assert!(keys.len() > 30, "{keys:?}");
    let (mut least, mut most) = (Vec::new(), Vec::new());
    for key in &keys {
        with(&folder, &[(key, "9223372036854775807")]);
        let (accepted, refusal) = checked(&folder).await;
        assert!(!accepted && refusal.contains(&key.1), "{key:?}: {refusal}");
        let [low, high] = bounds(&refusal);
        for value in ["0", "1", low.as_str(), high.as_str()] {
            with(&folder, &[(key, value)]);
            let (accepted, refusal) = checked(&folder).await;
            let bound = value == low || value == high;
            assert!(accepted || !bound, "{key:?} = {value}: {refusal}");
        }
        least.push((key, low));
        most.push((key, high));
    }
    for all in [least, most] {
        let all: Vec<_> = all.iter().map(|(key, value)| (*key, value.as_str())).collect();
        with(&folder, &all);
        let program = Program::start(&folder.config()).await;
        for version in portcullis_tests::BOTH {
            for client_id in ["c", "a-longer-client-identifier"] {
                let connect = packets::login(version, client_id, ALICE);
                let mut client = portcullis_tests::Client::open(program.mqtt(), version).await;
                let connect = codec::Packet::Connect(Box::new(connect));
                let publish = packets::qos1(1, "t", "x");
                let bytes = [connect, packets::subscribe(1, &[("t", QoS::AtLeastOnce)]), publish]
                    .map(|packet| packets::encoded(version, &packet))
                    .concat();
                client.try_send_bytes(&bytes).await;
                client.next(|_| ()).await;
                client.next(|_| ()).await;
            }
        }
        program.api().get("/livez").await.expect(200);
        let log = program.log_text();
        assert!(!log.contains("panicked"), "{log}");
        program.stop().await;
    }
}
