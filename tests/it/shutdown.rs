//! The end of a broker: everybody is told, nobody is waited for longer than the grace.

use std::time::{Duration, Instant};

use codec::{Connect, ProtocolVersion, QoS, ReasonCode};
use portcullis_tests::{Broker, Client, Mood};
use tokio::net::TcpStream;

use ProtocolVersion::{V5, V311};

#[tokio::test]
async fn clients_are_told() {
    let broker = Broker::start().await;
    let mut new = broker.client(V5, "new").await;
    let mut old = broker.client(V311, "old").await;
    let mut stranger = broker.open(V5).await;
    let (left, ..) = tokio::join!(
        broker.broker.shutdown(Duration::from_secs(5)),
        async {
            new.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            drop(new);
        },
        async {
            old.expect_closed().await;
            drop(old);
        },
        async {
            stranger.expect_closed().await;
            drop(stranger);
        },
    );
    assert_eq!(left, 0);
    assert!(TcpStream::connect(broker.address).await.is_err(), "still accepting");
}

/// Messages that were delivered before are still written.
#[tokio::test]
async fn what_was_delivered_arrives() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(V5, "sub").await;
    subscriber.subscribe("t", QoS::AtMostOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    publisher.publish("t", "last").await;
    let (left, ..) = tokio::join!(
        broker.broker.shutdown(Duration::from_secs(5)),
        async {
            subscriber.take("t", "last").await;
            subscriber.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            drop(subscriber);
        },
        async {
            publisher.expect_disconnect(ReasonCode::ServerShuttingDown).await;
            drop(publisher);
        },
    );
    assert_eq!(left, 0);
}

/// A client that is being decided on holds the shutdown up for the grace, not longer.
#[tokio::test]
async fn grace_is_bounded() {
    let broker = Broker::start().await;
    broker.doorman.authenticator(Mood::Hangs);
    let _waiting: Client = broker.knock(Connect::new(V5, "a")).await;
    broker.until(|broker| server::BrokerHandle::totals(broker).connections == 1).await;
    let begun = Instant::now();
    let left = broker.broker.shutdown(Duration::from_millis(300)).await;
    assert_eq!(left, 1);
    assert!((250..2_000).contains(&begun.elapsed().as_millis()));
}

/// Who is admitted while the broker goes down is told too.
#[tokio::test]
async fn late_admission_is_ended() {
    let broker = Broker::start().await;
    broker.doorman.authenticator(Mood::Hangs);
    let mut client = broker.knock(Connect::new(V5, "a")).await;
    broker.until(|broker| server::BrokerHandle::totals(broker).connections == 1).await;
    let (left, ..) = tokio::join!(broker.broker.shutdown(Duration::from_secs(5)), async {
        broker.doorman.authenticator(Mood::Answers);
        assert_eq!(client.last_words().await, Some(ReasonCode::ServerShuttingDown));
        drop(client);
    });
    assert_eq!(left, 0);
}
