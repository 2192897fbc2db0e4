//! What durable sessions cost: bytes on the disk, memory, and the time of a start.
//!
//! Figures of the issue with `PORTCULLIS_PROOF=1`; a sample of the same otherwise.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Client, packets};

use super::{
    eventually::until,
    folder::{ALICE, Folder},
    knock::enter,
    process::Program,
    proof,
};

/// Queues that nothing here fills.
const ROOMY: &str = "[limits]\nqueue_messages = 10000000\nqueue_bytes = \"16GiB\"\n";

fn folder(store: &str) -> Folder {
    let folder = Folder::bundled();
    folder.configure_more(&format!("{ROOMY}[store]\n{store}\n"));
    folder
}

fn persistent(client_id: &str) -> Connect {
    let persistent = packets::persistent(ProtocolVersion::V5, client_id);
    let login = packets::login(ProtocolVersion::V5, client_id, ALICE);
    Connect {
        clean_start: false,
        session_expiry_interval: persistent.session_expiry_interval,
        ..login
    }
}

/// A broker whose plugins were compiled by one before it: that takes memory, which it gives back when it likes.
async fn start(folder: &Folder) -> Program {
    assert!(Program::start(&folder.config()).await.stop().await.success());
    Program::start(&folder.config()).await
}

/// Sessions with one subscription each, all of them away.
async fn leave_behind(address: SocketAddr, sessions: usize) {
    for number in 0..sessions {
        let mut client = enter(address, persistent(&format!("s{number}"))).await;
        client.subscribe("free/all", QoS::AtLeastOnce).await;
        client.leave().await;
    }
}

/// Publishes these numbers, each filled up to `bytes`, as many at a time as the broker takes.
async fn publish(address: SocketAddr, numbers: std::ops::Range<usize>, bytes: usize) {
    const WINDOW: usize = 32;
    let mut client = enter(address, packets::login(ProtocolVersion::V5, "pub", ALICE)).await;
    let numbers: Vec<_> = numbers.collect();
    for chunk in numbers.chunks(WINDOW) {
        for (id, number) in (1..).zip(chunk) {
            let payload = format!("{number:0>bytes$}");
            client.send(packets::qos1(id, "free/all", &payload)).await;
        }
        for (id, _) in (1..).zip(chunk) {
            assert_eq!(client.puback(id).await, ReasonCode::Success);
        }
    }
    client.leave().await;
}

/// Takes and acknowledges messages; their numbers.
async fn drain(client: &mut Client, messages: usize) -> Vec<usize> {
    let mut numbers = Vec::with_capacity(messages);
    for _ in 0..messages {
        let message = client.message().await;
        numbers.push(message.text().1.parse().expect("a number"));
        client.acknowledge(&message).await;
    }
    numbers
}

/// Bytes of the log.
fn log_bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("the store's folder");
    let files = files.map(|file| file.expect("an entry"));
    let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    logs.map(|file| file.metadata().expect("its length").len()).sum()
}

#[tokio::test]
async fn a_message_to_many_sessions_is_written_once_and_delivered_once_each() {
    const MESSAGES: usize = 100;
    const BYTES: usize = 10_000;
    let sessions = if proof() { 1_000 } else { 100 };
    let folder = folder("");
    let store = folder.path("data/store");
    let broker = Program::start(&folder.config()).await;
    leave_behind(broker.mqtt(), sessions).await;
    let before = log_bytes(&store);
    publish(broker.mqtt(), 0..1, BYTES).await;
    let one = log_bytes(&store) - before;
    // Beside the payload a few bytes for each session.
    assert!((one as usize) < BYTES + 12 * sessions + 1_000, "one message took {one} bytes");
    publish(broker.mqtt(), 1..MESSAGES, BYTES).await;
    let all = log_bytes(&store) - before;
    assert!(broker.stop().await.success());
    let broker = Program::start(&folder.config()).await;
    for number in 0..sessions {
        let mut client = enter(broker.mqtt(), persistent(&format!("s{number}"))).await;
        let numbers = drain(&mut client, MESSAGES).await;
        assert!(numbers.iter().copied().eq(0..MESSAGES), "session {number}: {numbers:?}");
        client.quiet().await;
        client.leave().await;
    }
    println!(
        "{sessions} sessions away, messages of {BYTES} bytes: one took {one} bytes of the log, \
         {MESSAGES} took {all}; after a restart each session got each once and in order"
    );
}

#[tokio::test]
async fn a_long_queue_costs_memory_by_its_window() {
    const BYTES: usize = 1_000;
    let messages = if proof() { 100_000 } else { 10_000 };
    let folder = folder("durability = \"os\"");
    let broker = start(&folder).await;
    leave_behind(broker.mqtt(), 1).await;
    // What the first messages need is needed once.
    publish(broker.mqtt(), 0..1_000, BYTES).await;
    let before = broker.resident_bytes();
    publish(broker.mqtt(), 1_000..messages, BYTES).await;
    let grown = broker.resident_bytes().saturating_sub(before);
    let whole = messages * BYTES;
    let most = 4 * 1024 * 1024 + whole / 50;
    assert!((grown as usize) < most, "{messages} messages in a queue cost {grown} bytes");
    assert!(broker.stop().await.success());
    let broker = Program::start(&folder.config()).await;
    let mut client = enter(broker.mqtt(), persistent("s0")).await;
    assert!(drain(&mut client, 1_000).await.iter().copied().eq(0..1_000));
    let before = broker.resident_bytes();
    let numbers = drain(&mut client, messages - 1_000).await;
    assert!(numbers.iter().copied().eq(1_000..messages));
    let read = broker.resident_bytes().saturating_sub(before);
    assert!((read as usize) < most, "reading {messages} messages cost {read} bytes");
    println!(
        "{messages} queued messages of {BYTES} bytes: memory grew by {} KiB when they came and by \
         {} KiB when they were read",
        grown / 1024,
        read / 1024
    );
}

#[tokio::test]
async fn a_start_with_many_stored_messages() {
    let (sessions, messages) = if proof() { (100, 10_000) } else { (20, 1_000) };
    let folder = folder("durability = \"os\"");
    let broker = start(&folder).await;
    let empty = broker.resident_bytes();
    leave_behind(broker.mqtt(), sessions).await;
    publish(broker.mqtt(), 0..messages, 200).await;
    assert!(broker.stop().await.success());
    let begun = Instant::now();
    let broker = Program::start(&folder.config()).await;
    let took = begun.elapsed();
    let resident = broker.resident_bytes();
    let waiting = sessions * messages;
    assert!(took < Duration::from_secs(10), "the start with {waiting} messages took {took:?}");
    let mut client = enter(broker.mqtt(), persistent("s0")).await;
    assert!(drain(&mut client, 100).await.iter().copied().eq(0..100));
    println!(
        "a start with {waiting} waiting messages took {} ms; memory {} MiB, with an empty store \
         {} MiB",
        took.as_millis(),
        resident >> 20,
        empty >> 20
    );
}

/// A disk of its own, as small as it may be.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> Self {
        fs::create_dir_all(at).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs"]).arg(at);
        assert!(mount.status().expect("mount").success(), "mounting a disk needs root");
        Self(at)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.expect("umount").success());
    }
}

/// Real disks are mounted only where that is allowed.
#[tokio::test]
async fn a_full_disk_is_said_and_waited_for() {
    if !proof() {
        return;
    }
    let folder = folder("free_bytes_min = \"16MiB\"");
    let path = folder.path("data/store");
    let disk = Disk::mount(&path);
    let broker = Program::start(&folder.config()).await;
    let address = broker.mqtt();
    leave_behind(address, 1).await;
    publish(address, 0..10, 100).await;
    let others = path.join("others");
    fs::write(&others, vec![1; 50 << 20]).expect("room for what others write");
    let mut client = enter(address, packets::login(ProtocolVersion::V5, "pub", ALICE)).await;
    let mut refused = 0;
    until("the broker says that the disk is full", async || {
        client.send(packets::qos1(1, "free/all", "x")).await;
        let code = client.puback(1).await;
        refused += usize::from(code == ReasonCode::QuotaExceeded);
        refused > 3
    })
    .await;
    let (code, _) = super::knock::knock(address, persistent("new")).await;
    assert_eq!(code, ReasonCode::QuotaExceeded);
    client.send(Packet::PingReq).await;
    client.expect(Packet::PingResp).await;
    fs::remove_file(&others).expect("others go");
    until("the broker takes messages again", async || {
        client.send(packets::qos1(1, "free/all", "y")).await;
        client.puback(1).await == ReasonCode::Success
    })
    .await;
    let mut subscriber = enter(address, persistent("s0")).await;
    assert!(drain(&mut subscriber, 10).await.iter().copied().eq(0..10));
    drop(broker);
    drop(disk);
}
