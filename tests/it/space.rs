//! Space on the disk is given back, whatever keeps it.

use std::{sync::Arc, time::Duration};

use codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Broker, Call, Client, Setup, packets};
use server::BrokerHandle;
use tempfile::TempDir;

use ProtocolVersion::V5;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Files of the log are small.
fn small(folder: &TempDir) -> Setup {
    let setup = Setup::default().kept_in(&folder.path().join("store"));
    Setup { segment_bytes: Some(SEGMENT), ..setup }
}

async fn resume(broker: &Broker, connect: Connect) -> Client {
    let (client, connack) = broker.enter(connect).await;
    assert!(connack.session_present, "{}: the session is gone", client.name);
    client
}

/// A session with one subscription, left behind.
async fn leave_behind(broker: &Broker, connect: &Connect, filter: &str) {
    let mut client = broker.enter(connect.clone()).await.0;
    client.subscribe(filter, QoS::ExactlyOnce).await;
    client.leave().await;
    let id = connect.client_id.clone();
    broker.until(|b| b.client(&id).is_some_and(|client| !client.connected)).await;
}

async fn exactly_once(publisher: &mut Client, id: u16, topic: &str, text: &str) {
    publisher.send(packets::qos2(id, topic, text)).await;
    publisher.expect(packets::pubrec(id, ReasonCode::Success)).await;
    publisher.send(packets::pubrel(id, ReasonCode::Success)).await;
    publisher.expect(packets::pubcomp(id, ReasonCode::Success)).await;
}

/// The log shrinks again when everything in it was completed, dropped or left behind.
async fn log_shrinks(broker: &Broker, folder: &TempDir) {
    be_busy(broker).await;
    log_is_small(broker, folder).await;
}

/// A megabyte goes through the log.
async fn be_busy(broker: &Broker) {
    let mut publisher = broker.client(V5, "pub").await;
    let mut busy = broker.enter(packets::persistent(V5, "busy")).await.0;
    busy.subscribe("busy", QoS::AtLeastOnce).await;
    let text = "x".repeat(1_000);
    for _ in 0..1_000 {
        publisher.publish("busy", &text).await;
        busy.take("busy", &text).await;
    }
}

async fn log_is_small(broker: &Broker, folder: &TempDir) {
    let log = || -> u64 {
        let files = std::fs::read_dir(folder.path().join("store")).expect("its folder");
        let files = files.map(|file| file.expect("an entry"));
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        logs.map(|file| file.metadata().map_or(0, |data| data.len())).sum()
    };
    broker.until(|_| log() < 8 * SEGMENT).await;
}

/// Bytes of a file of the log in these tests.
const SEGMENT: u64 = 32 * 1024;

#[tokio::test]
async fn a_session_that_ended_keeps_no_space() {
    let folder = folder();
    let mut small = small(&folder);
    small.live.limits.sizes.queue_messages = 3;
    let broker = small.start().await;
    let connect = packets::persistent(V5, "a");
    leave_behind(&broker, &connect, "t").await;
    let mut publisher = broker.client(V5, "pub").await;
    for _ in 0..3 {
        let expiring =
            codec::Publish { message_expiry_interval: Some(1), ..codec::Publish::new("t", b"x") };
        publisher.send(packets::publish(1, QoS::AtLeastOnce, expiring)).await;
        publisher.puback(1).await;
    }
    // They expire by the clock, in whole seconds, and make room for the next.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    publisher.publish("t", "y").await;
    assert_eq!(broker.broker.client("a").unwrap().queued, 1);
    let clean = Connect { clean_start: true, ..connect };
    assert!(!broker.enter(clean).await.1.session_present);
    log_shrinks(&broker, &folder).await;
}

/// What is still owed of old messages is written again, so that the files in which they lie can go; sessions notice
/// nothing of it.
#[tokio::test]
async fn old_messages_do_not_keep_the_log_from_shrinking() {
    let folder = folder();
    let broker = small(&folder).start().await;
    let old = packets::persistent(V5, "old");
    let mut client = broker.enter(old.clone()).await.0;
    client.subscribe("old", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    exactly_once(&mut publisher, 1, "old", "received").await;
    let received = client.message().await;
    client.send(packets::pubrec(received.packet_id, ReasonCode::Success)).await;
    client.expect(packets::pubrel(received.packet_id, ReasonCode::Success)).await;
    client.leave().await;
    exactly_once(&mut publisher, 1, "old", "waits").await;
    publisher.publish("old", "waits too").await;
    log_shrinks(&broker, &folder).await;
    broker.crash();
    let broker = small(&folder).start().await;
    let mut client = resume(&broker, old).await;
    client.expect(packets::pubrel(received.packet_id, ReasonCode::Success)).await;
    client.send(packets::pubcomp(received.packet_id, ReasonCode::Success)).await;
    // A PUBREL waits for the disk, and messages overtake it.
    let waits = client.message().await;
    client.take("old", "waits too").await;
    client.acknowledge(&waits).await;
    client.quiet().await;
    assert_eq!(broker.broker.client("old").unwrap().in_flight, 0);
}

/// What counts is how many bytes are owed, not how many messages.
#[tokio::test]
async fn small_messages_do_not_keep_the_space_of_large_ones() {
    let folder = folder();
    let broker = small(&folder).start().await;
    let old = packets::persistent(V5, "old");
    leave_behind(&broker, &old, "small").await;
    let mut busy = broker.enter(packets::persistent(V5, "busy")).await.0;
    busy.subscribe("large", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let large = "x".repeat(10_000);
    for number in 0..100 {
        publisher.publish("small", &number.to_string()).await;
        publisher.publish("large", &large).await;
        busy.take("large", &large).await;
    }
    log_is_small(&broker, &folder).await;
    let mut old = resume(&broker, old).await;
    for number in 0..100 {
        old.take("small", &number.to_string()).await;
    }
}

/// Giving space back is what helps then; it takes little itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_is_given_back_while_the_disk_is_full() {
    let folder = folder();
    let broker = small(&folder).start().await;
    let old = packets::persistent(V5, "old");
    leave_behind(&broker, &old, "old").await;
    broker.client(V5, "pub").await.publish("old", "x").await;
    // Nothing is moved yet.
    broker.disk().hold(Call::Read);
    be_busy(&broker).await;
    let disk = Arc::clone(broker.disk.as_ref().expect("a disk"));
    broker.crash();
    disk.go_on();
    let broker = Setup { free_bytes_min: u64::MAX, ..small(&folder) }.start().await;
    log_is_small(&broker, &folder).await;
}

/// A page is asked for, moved, and only then looked for where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_moved_while_it_was_read_is_read_again() {
    let folder = folder();
    let broker = small(&folder).start().await;
    let old = packets::persistent(V5, "old");
    leave_behind(&broker, &old, "old").await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..10 {
        publisher.publish("old", &number.to_string()).await;
    }
    broker.disk().hold(Call::Read);
    let mut old = resume(&broker, old).await;
    broker.until(|_| broker.disk().holds()).await;
    log_shrinks(&broker, &folder).await;
    broker.disk().go_on();
    for number in 0..10 {
        old.take("old", &number.to_string()).await;
    }
}
