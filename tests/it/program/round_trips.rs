//! A good client beside an attack: QoS 1 messages to itself, one after the other, and how long each
//! took from PUBLISH to its way back.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use codec::{Connect, Packet, QoS, ReasonCode};
use portcullis_tests::{Client, packets};
use tokio::{sync::watch, task::JoinHandle};

use super::{eventually::WAIT, knock::enter};

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(5);
const TOPIC: &str = "round-trips";

/// A client at work.
pub(super) struct RoundTrips {
    stop: watch::Sender<bool>,
    client: JoinHandle<Vec<Duration>>,
}

impl RoundTrips {
    /// Connects and starts.
    pub(super) async fn start(address: SocketAddr, connect: Connect) -> Self {
        let mut client = enter(address, connect).await;
        client.subscribe(TOPIC, QoS::AtLeastOnce).await;
        let (stop, stopping) = watch::channel(false);
        let client = tokio::spawn(async move {
            let mut took = Vec::new();
            let mut pause = tokio::time::interval(PAUSE);
            pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !*stopping.borrow() {
                pause.tick().await;
                let trip = tokio::time::timeout(WAIT, round_trip(&mut client, took.len())).await;
                took.push(trip.unwrap_or_else(|_| panic!("no answer within {WAIT:?}")));
            }
            took
        });
        Self { stop, client }
    }

    /// Ends it; what was measured, shortest first. Fails if one was refused or the connection
    /// ended.
    pub(super) async fn finish(self) -> Vec<Duration> {
        self.stop.send_replace(true);
        let mut took = self.client.await.expect("the good client");
        took.sort_unstable();
        took
    }
}

/// The value below which 99 of 100 lie.
pub(super) fn p99(sorted: &[Duration]) -> Duration {
    sorted[(sorted.len() - 1) * 99 / 100]
}

async fn round_trip(client: &mut Client, number: usize) -> Duration {
    let payload = number.to_string();
    let began = Instant::now();
    client.send(packets::qos1(1, TOPIC, &payload)).await;
    let (mut acknowledged, mut came) = (false, None);
    while !acknowledged || came.is_none() {
        let is_ack = client
            .next(|packet| match packet {
                Packet::PubAck(ack) if ack.reason_code == ReasonCode::Success => None,
                Packet::Publish(publish) if publish.payload == payload.as_bytes() => {
                    publish.packet_id
                }
                other => panic!("{other:?} came"),
            })
            .await
            .expect("the connection stays");
        match is_ack {
            None => acknowledged = true,
            Some(packet_id) => came = Some(packet_id.get()),
        }
    }
    let took = began.elapsed();
    let packet_id = came.expect("a message");
    client.send(packets::puback(packet_id, ReasonCode::Success)).await;
    took
}
