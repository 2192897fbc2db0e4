//! `kill -9` under load, again and again: what was acknowledged is delivered, what is exactly once comes once, and each
//! topic keeps its order.
//!
//! The clients keep their half of every session over the crashes, as section 4.4 wants it, and write down what they
//! were promised and what came; nothing here asks the broker what it thinks.

use std::time::Duration;

use codec::QoS;
use rustix::process::Signal;
use tokio::task::JoinSet;

use super::{eventually::eventually, folder::Folder, process::Program, proof};

mod disk;
mod publisher;
mod subscriber;
mod wire;

use disk::Disk;
use publisher::Publisher;
use subscriber::Subscriber;

const CONFIG: &str = "[limits]\nqueue_messages = 1000000\nqueue_bytes = \"1GiB\"\n";

fn publishers() -> Vec<Publisher> {
    [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]
        .into_iter()
        .enumerate()
        .map(|(place, qos)| Publisher::new(place, qos))
        .collect()
}

/// Two that read all the time, one that is away most of it.
fn subscribers() -> Vec<Subscriber> {
    let new = |name, qos, every| Subscriber::new(name, qos, every);
    vec![
        new("s1", QoS::AtLeastOnce, 1),
        new("s2", QoS::ExactlyOnce, 1),
        new("away", QoS::ExactlyOnce, 5),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_kill_9() {
    let rounds = if proof() { 200 } else { 8 };
    for durability in ["fsync", "os"] {
        let rounds = if durability == "fsync" { rounds } else { rounds / 4 };
        let folder = Folder::bundled();
        folder.configure_more(&format!("{CONFIG}[store]\ndurability = \"{durability}\"\n"));
        kill_again_and_again(rounds, &folder, None, durability).await;
    }
}

/// The same, and the system goes down with it: only what was flushed is there again. Where disks may be mounted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_a_power_cut() {
    if !proof() {
        return;
    }
    let folder = Folder::bundled();
    let disk = Disk::new(&folder.path("power"));
    let path = disk.mount_point().join("store");
    folder.configure_more(&format!("{CONFIG}[store]\npath = {path:?}\n"));
    kill_again_and_again(40, &folder, Some(disk), "power cut").await;
}

async fn kill_again_and_again(rounds: usize, folder: &Folder, mut disk: Option<Disk>, what: &str) {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut publishers, mut subscribers) = (publishers(), subscribers());
    let broker = Program::start(&folder.config()).await;
    for subscriber in &mut subscribers {
        subscriber.subscribe(broker.mqtt()).await;
    }
    let mut next = Some(broker);
    for round in 0..rounds {
        let broker = match next.take() {
            Some(broker) => broker,
            None => Program::start(&folder.config()).await,
        };
        let address = broker.mqtt();
        let mut tasks = JoinSet::new();
        let mut reading = JoinSet::new();
        for mut publisher in publishers.drain(..) {
            tasks.spawn(async move {
                publisher.run(address).await;
                publisher
            });
        }
        for mut subscriber in subscribers.drain(..) {
            reading.spawn(async move {
                if round % subscriber.every == 0 {
                    subscriber.run(address, None).await;
                }
                subscriber
            });
        }
        // The moment of the crash is not to be foreseen: that is the test.
        tokio::time::sleep(Duration::from_millis(random.u64(5..250))).await;
        broker.signal(Signal::KILL);
        let mut broker = broker;
        broker.ended().await;
        if let Some(disk) = &mut disk {
            disk.cut_power();
        }
        publishers = tasks.join_all().await;
        subscribers = reading.join_all().await;
    }
    let broker = Program::start(&folder.config()).await;
    let address = broker.mqtt();
    for publisher in &mut publishers {
        publisher.finish(address).await;
    }
    let accepted: Vec<_> = publishers.iter().map(|p| (p.topic.clone(), p.accepted())).collect();
    let total: u64 = accepted.iter().map(|(_, count)| count).sum();
    for mut subscriber in subscribers {
        let expected = accepted.clone();
        subscriber.run(address, Some(&expected)).await;
        for publisher in &publishers {
            subscriber.check(publisher, seed);
        }
    }
    eventually("nothing waits any more", async || {
        let page = broker.api().get("/api/v1/clients").await.expect(200).json();
        let clients = page["clients"].as_array().expect("a list");
        let waits = clients.iter().any(|client| client["queued"] != 0 || client["in_flight"] != 0);
        if waits { Err(page.to_string()) } else { Ok(()) }
    })
    .await;
    println!(
        "{what}: {rounds} kills, {total} messages accepted, each delivered to 3 sessions; \
         seed {seed}"
    );
    // Before the disk goes.
    drop(broker);
    assert!(total > 0);
}
