//! Many clients on several threads at once: takeovers, swaps, comings and goings. What is checked
//! is what must hold whatever the order: nothing lost, nothing left behind.

use std::sync::Arc;

use codec::{Connect, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{BOTH, Broker, packets};
use server::BrokerHandle;

/// Connections that take each other's session, with and without Clean Start, while they subscribe:
/// no subscription outlives its session.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takeovers_leave_nothing_behind() {
    let broker = Arc::new(Broker::start().await);
    let mut tasks = Vec::new();
    for task in 0..8_u16 {
        let broker = Arc::clone(&broker);
        tasks.push(tokio::spawn(async move {
            for round in 0..40_u16 {
                let clean_start = (task + round) % 2 == 0;
                let connect =
                    Connect { clean_start, ..Connect::new(V5, &format!("c-{}", task % 2)) };
                let mut client = broker.knock(connect).await;
                let filters = [("t/#", QoS::AtLeastOnce), ("$share/g/t/#", QoS::AtLeastOnce)];
                for packet_id in 1..4 {
                    let mut bytes = Vec::new();
                    packets::subscribe(packet_id, &filters).encode(V5, &mut bytes);
                    // It may be taken over at any moment.
                    client.try_send_bytes(&bytes).await;
                }
                client.vanish();
            }
        }));
    }
    for task in tasks {
        task.await.expect("no task fails");
    }
    broker.until(|broker| broker.totals().connections == 0).await;
    let totals = broker.broker.totals();
    assert_eq!((totals.sessions, totals.subscriptions), (0, 0));
    let mut publisher = broker.client(V5, "pub").await;
    assert_eq!(publisher.publish("t/x", "x").await, ReasonCode::NoMatchingSubscribers);
}

/// QoS 1 and 2 from several publishers while the chain is swapped all the time: each message comes
/// exactly once and in the order of its publisher, nobody is disconnected.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_while_swapping() {
    const MESSAGES: usize = 200;
    let broker = Arc::new(Broker::start().await);
    let mut subscribers = Vec::new();
    for version in BOTH {
        let mut subscriber = broker.client(version, &format!("sub-{version:?}")).await;
        subscriber.subscribe("t/+", QoS::AtLeastOnce).await;
        subscribers.push(tokio::spawn(async move {
            let mut next = [0; 4];
            for _ in 0..4 * MESSAGES {
                let message = subscriber.message().await;
                subscriber.acknowledge(&message).await;
                let publisher: usize = message.topic[2..].parse().expect("a number");
                let number: usize = message.text().1.parse().expect("a number");
                assert_eq!(number, next[publisher], "out of order or twice");
                next[publisher] += 1;
            }
        }));
    }
    let mut publishers = Vec::new();
    for number in 0..4 {
        let mut publisher = broker.client(BOTH[number % 2], &format!("pub-{number}")).await;
        publishers.push(tokio::spawn(async move {
            let topic = format!("t/{number}");
            for message in 0..MESSAGES {
                let payload = message.to_string();
                if message % 2 == 0 {
                    publisher.publish(&topic, &payload).await;
                    continue;
                }
                publisher.send(packets::qos2(1, &topic, &payload)).await;
                publisher.expect(packets::pubrec(1, ReasonCode::Success)).await;
                publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
                publisher.expect(packets::pubcomp(1, ReasonCode::Success)).await;
            }
        }));
    }
    let swapping = {
        let broker = Arc::clone(&broker);
        tokio::spawn(async move {
            loop {
                broker.swap();
                tokio::task::yield_now().await;
            }
        })
    };
    for task in publishers.into_iter().chain(subscribers) {
        task.await.expect("no task fails");
    }
    swapping.abort();
    assert!(broker.gate.generation() > 10);
}
