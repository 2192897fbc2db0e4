//! Clients that do not read: what waits for them is bounded, and nobody else is held up.

use std::time::Duration;

use codec::{Packet, ProtocolVersion, Publish, QoS, ReasonCode};
use portcullis_tests::{Broker, Client, Setup, packets};
use server::BrokerHandle;

use ProtocolVersion::{V5, V311};

/// 20 MiB of QoS 0 for a client that takes nothing: it loses messages, the publisher none of its
/// speed, and the client is still served when it reads again.
#[tokio::test]
async fn messages_for_a_slow_reader_are_dropped() {
    let broker = Broker::start().await;
    let mut slow = narrow(&broker, V5, "slow").await;
    slow.subscribe("t", QoS::AtMostOnce).await;
    let mut quick = broker.client(V311, "quick").await;
    quick.subscribe("u", QoS::AtMostOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let payload = vec![b'x'; 64 << 10];
    for _ in 0..320 {
        publisher.send(Packet::Publish(Publish::new("t", &payload))).await;
    }
    publisher.publish("u", "meanwhile").await;
    quick.take("u", "meanwhile").await;
    let dropped = broker.broker.client("slow").unwrap().dropped;
    let counted = "portcullis_messages_dropped_total{reason=\"slow_consumer\"}";
    assert_eq!(broker.counted(counted), dropped);
    // Kernel buffers and twice the queue at most.
    assert!(dropped > 320 / 2, "{dropped}");
    let came = slow.drain().await.len() as u64;
    assert_eq!(came + dropped, 320);
    publisher.publish("t", "again").await;
    slow.take("t", "again").await;
}

/// QoS 1 waits in the queue, within its limit.
#[tokio::test]
async fn acknowledged_messages_wait_in_the_queue() {
    let broker = Setup::with(|live| live.limits.sizes.queue_messages = 50).start().await;
    let mut slow = narrow(&broker, V5, "slow").await;
    slow.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..100 {
        publisher.publish("t", &number.to_string()).await;
    }
    let client = broker.broker.client("slow").unwrap();
    assert_eq!((client.in_flight, client.queued, client.dropped), (32, 50, 18));
    let mut numbers = Vec::new();
    for _ in 0..82 {
        let message = slow.message().await;
        slow.acknowledge(&message).await;
        numbers.push(message.text().1.parse::<u32>().unwrap());
    }
    // The oldest that waited went first.
    assert_eq!(numbers, (0..32).chain(50..100).collect::<Vec<_>>());
    slow.quiet().await;
}

/// A client that sends without reading its acknowledgements is not read any further, so that they
/// cannot pile up; when it reads, all of them come.
#[tokio::test]
async fn unread_answers_stop_the_reading() {
    let broker = Broker::start().await;
    let mut client = narrow(&broker, V5, "a").await;
    let mut pings = Vec::new();
    for _ in 0..10_000 {
        Packet::PingReq.encode(V5, &mut pings);
    }
    let most = 64 << 20;
    let mut sent = client.flood(&pings, most).await;
    assert!(sent < most, "the broker went on reading");
    broker.client(V5, "b").await.quiet().await;
    assert!(broker.broker.client("a").unwrap().connected);
    for _ in 0..sent / 2 {
        client.expect(Packet::PingResp).await;
    }
    if sent % 2 == 1 {
        client.send_bytes(&pings[1..2]).await;
        sent += 1;
        client.expect(Packet::PingResp).await;
    }
    assert!(sent > 256 << 10);
    client.quiet().await;
}

async fn narrow(broker: &Broker, version: ProtocolVersion, client_id: &str) -> Client {
    let mut client = Client::open_narrow(broker.address, version).await;
    client.send(Packet::Connect(Box::new(codec::Connect::new(version, client_id)))).await;
    assert_eq!(client.connack().await.reason_code, ReasonCode::Success);
    client
}

/// Who takes nothing for too long is cut off; its session stays, with what waits for it.
#[tokio::test]
async fn who_takes_nothing_loses_its_connection_and_keeps_its_session() {
    let setup = Setup::with(|live| live.limits.sizes.write_timeout = Duration::from_secs(1));
    let broker = setup.start().await;
    let mut slow = Client::open_narrow(broker.address, V5).await;
    slow.send(Packet::Connect(Box::new(packets::persistent(V5, "slow")))).await;
    assert_eq!(slow.connack().await.reason_code, ReasonCode::Success);
    slow.subscribe("t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    // More than the system takes for it.
    let payload = "x".repeat(512 << 10);
    for _ in 0..32 {
        publisher.publish("t", &payload).await;
    }
    let gone = |broker: &server::Broker| broker.client("slow").is_some_and(|slow| !slow.connected);
    broker.until(gone).await;
    let closed = "portcullis_connections_closed_total{reason=\"write_timeout\"}";
    assert_eq!(broker.counted(closed), 1);
    drop(slow);
    let (mut slow, connack) = broker.enter(packets::persistent(V5, "slow")).await;
    assert!(connack.session_present);
    assert_eq!(slow.message().await.text(), ("t", &*payload));
}
