//! A great many retained messages: whoever subscribes to all of them, or looks for few among them,
//! holds up nobody else. Every run takes 20,000 topics, `PORTCULLIS_PROOF=1` a million.

use std::time::{Duration, Instant};

use codec::{Packet, ProtocolVersion, QoS};
use portcullis_tests::{Broker, Client, Setup, packets};
use server::BrokerHandle;
use tokio::task::JoinHandle;

use crate::program::proof;

use ProtocolVersion::{V5, V311};

/// Longest wait of somebody who has nothing to do with it. A second is for machines that do other
/// work meanwhile; the proof has its machine to itself.
fn wait_max() -> Duration {
    Duration::from_millis(if proof() { 100 } else { 1_000 })
}

fn topics() -> usize {
    if proof() { 1_000_000 } else { 20_000 }
}

/// A broker with that many retained messages; a first level each, so that a filter that begins with `+` has to look at
/// every one. Its queues are long: what is handed over in one turn is not to depend on them.
async fn full_broker() -> Broker {
    let setup = Setup::with(|live| {
        live.limits.sizes.retained_messages = topics() + 1;
        live.limits.sizes.retained_bytes = 1 << 30;
        live.limits.sizes.queue_bytes = 1 << 30;
        live.limits.sizes.queue_messages = 10_000_000;
    });
    let broker = setup.start().await;
    let mut publisher = broker.client(V5, "publisher").await;
    let begun = Instant::now();
    for some in (0..topics()).collect::<Vec<_>>().chunks(10_000) {
        let mut bytes = Vec::new();
        for number in some {
            let topic = format!("plant-{number}/line/state");
            packets::retained(packets::qos0(&topic, "0123456789abcdef")).encode(V5, &mut bytes);
        }
        publisher.send_bytes(&bytes).await;
        publisher.quiet().await;
    }
    println!("{} published in {:?}", topics(), begun.elapsed());
    // The last of all.
    publisher.send(packets::retained(packets::qos0("~/other/end", "end"))).await;
    publisher.quiet().await;
    assert_eq!(broker.broker.totals().retained_messages, topics() as u64 + 1);
    broker
}

/// Waits for `count` retained messages and then for no more; returns how long it took. What is
/// published meanwhile comes between them.
async fn receive(mut client: Client, filter: &str, count: usize) -> (Client, Duration) {
    let begun = Instant::now();
    client.subscribe(filter, QoS::AtMostOnce).await;
    let mut came = 0;
    while came < count {
        let is_retained = |packet: &Packet<'_>| match packet {
            Packet::Publish(publish) => publish.retain,
            other => panic!("{other:?} came"),
        };
        let next = tokio::time::timeout(portcullis_tests::WAIT, client.next(is_retained)).await;
        let is_retained = next.expect("no message comes").expect("the connection stays");
        came += usize::from(is_retained);
    }
    let took = begun.elapsed();
    assert!(client.drain().await.iter().all(|message| !message.retain));
    (client, took)
}

/// Pings and retained PUBLISHes of somebody else until the task is done: the longest wait for an
/// answer, and how many there were.
async fn others<T>(broker: &Broker, task: &JoinHandle<T>) -> (Duration, usize) {
    let mut other = broker.client(V311, "other").await;
    let (mut longest, mut answers) = (Duration::ZERO, 0);
    while answers == 0 || !task.is_finished() {
        let begun = Instant::now();
        other.send(Packet::PingReq).await;
        other.expect(Packet::PingResp).await;
        longest = longest.max(begun.elapsed());
        let again = packets::qos1(1, "plant-0/line/state", "0123456789abcdef");
        let begun = Instant::now();
        other.send(packets::retained(again)).await;
        other.puback(1).await;
        longest = longest.max(begun.elapsed());
        answers += 2;
    }
    other.leave().await;
    (longest, answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_held_up() {
    let broker = full_broker().await;
    for (filter, expected) in [
        ("#", topics() + 1),
        ("+/line/state/#", topics()),
        // Only the last one: everything before it is looked at in vain.
        ("+/other/#", 1),
        ("plant-0/#", 1),
    ] {
        let client = broker.client(V5, filter).await;
        let receiving = tokio::spawn(receive(client, filter, expected));
        let (longest, answers) = others(&broker, &receiving).await;
        let (client, took) = receiving.await.expect("everything comes");
        println!("{filter}: {expected} in {took:?}; others waited {longest:?}, {answers} times");
        assert!(longest < wait_max(), "{filter}: others waited {longest:?}");
        assert_eq!(broker.broker.client(filter).expect("is there").dropped, 0);
        // Without a word: messages may be on their way.
        client.vanish();
    }
}
