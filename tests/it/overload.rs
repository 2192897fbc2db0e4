//! The level of load: who is told of it, who is held back by it, and who is not let in.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use access::{Event, EventKinds, EventSink, Grant};
use codec::{Packet, ProtocolVersion::V5, QoS};
use portcullis_tests::{Broker, Client, Setup, User, packets};
use server::{BrokerHandle, LiveConfig};

/// Collects the levels that plugins would be told.
#[derive(Default)]
struct Levels(Mutex<Vec<u8>>);

impl EventSink for Levels {
    fn wanted(&self) -> EventKinds {
        EventKinds::OVERLOAD
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Overload(level) => self.0.lock().unwrap().push(level),
            other => panic!("{other:?} was not wanted"),
        }
    }
}

/// Only the memory makes a load here.
fn calm() -> Setup {
    Setup::with(|live| live.limits.overload.delay = Duration::from_secs(10))
}

/// What memory is used is more than what may be.
fn crowded(live: &LiveConfig) -> LiveConfig {
    let mut live = live.clone();
    live.limits.overload.memory = 1;
    live
}

/// Up to the highest level.
async fn crowd(broker: &Broker, live: &LiveConfig) {
    broker.broker.reconfigure(crowded(live));
    broker.until(|broker| broker.totals().overload_level == 10).await;
}

#[tokio::test]
async fn the_level_rises_and_falls_and_plugins_are_told() {
    let setup = calm();
    let live = setup.live.clone();
    let broker = setup.start().await;
    let levels = Arc::new(Levels::default());
    broker.gate.set_event_sink(Arc::clone(&levels) as Arc<dyn EventSink>);
    let mut client = broker.client(V5, "a").await;
    let began = Instant::now();
    crowd(&broker, &live).await;
    let rose = began.elapsed();
    // Nobody else is let in; who is there is served.
    broker.open(V5).await.expect_closed().await;
    let refused = "portcullis_connections_refused_total{limit=\"memory\"}";
    assert_eq!(broker.counted(refused), 1);
    client.quiet().await;
    broker.broker.reconfigure(live);
    broker.until(|broker| broker.totals().overload_level < 10).await;
    broker.client(V5, "b").await.quiet().await;
    let told = levels.0.lock().unwrap().clone();
    assert!(told.is_sorted_by(|one, other| one != other), "only changes: {told:?}");
    assert!(told.contains(&10) && told.last() < Some(&10), "{told:?}");
    assert!(rose < Duration::from_secs(5), "{rose:?}");
    let counted = broker.counted("portcullis_overload_changes_total{direction=\"up\"}");
    assert!((1..=10).contains(&counted), "{counted}");
}

/// Sends QoS 1 messages of 64 KiB each and waits for their answers.
async fn flood(client: &mut Client, messages: u16) -> Duration {
    let payload = "x".repeat(64 << 10);
    let began = Instant::now();
    let packets = (1..=messages).map(|id| packets::qos1(id, "flood", &payload));
    client.send_all(packets).await;
    for id in 1..=messages {
        client.puback(id).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn who_publishes_much_is_held_back_and_who_publishes_little_is_not() {
    let weights = vec![("safety".to_owned(), u32::MAX)];
    let mut setup = calm();
    setup.live.overload_weights = weights;
    let live = setup.live.clone();
    let broker = setup.start().await;
    let grant = Grant { groups: vec!["safety".to_owned()], ..Grant::default() };
    broker.doorman.set_user("exempt", User { grant, ..User::default() });
    let mut much = broker.client(V5, "much").await;
    let mut exempt = broker.client(V5, "exempt").await;
    let mut little = broker.client(V5, "little").await;
    little.subscribe("little", QoS::AtLeastOnce).await;
    crowd(&broker, &live).await;
    let paused = || broker.counted("portcullis_reading_paused_total{by=\"overload\"}");
    flood(&mut exempt, 10).await;
    for number in 0..50 {
        little.publish("little", &number.to_string()).await;
        little.take("little", &number.to_string()).await;
    }
    assert_eq!(paused(), 0);
    // 64 KiB are there at once, and then come each second at the highest level. Nothing is lost.
    let took = flood(&mut much, 3).await;
    assert!(took >= Duration::from_millis(950), "{took:?}");
    assert!(paused() > 0);
    // Without load it is as before.
    broker.broker.reconfigure(live);
    broker.until(|broker| broker.totals().overload_level == 0).await;
    flood(&mut much, 10).await;
}

/// A client that is held back has its PINGREQ answered all the same.
#[tokio::test]
async fn who_is_held_back_is_answered_its_ping() {
    let setup = calm();
    let live = setup.live.clone();
    let broker = setup.start().await;
    let mut client = broker.client(V5, "much").await;
    crowd(&broker, &live).await;
    let payload = "x".repeat(900 << 10);
    client.send(packets::qos1(1, "t", &payload)).await;
    client.puback(1).await;
    // For 13 s nothing else of it is read.
    let began = Instant::now();
    client.send_all([packets::qos1(2, "t", "waits"), Packet::PingReq]).await;
    client.expect(Packet::PingResp).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    broker.broker.reconfigure(live);
    client.puback(2).await;
}

#[tokio::test]
async fn switched_off_nobody_is_held_back() {
    let mut setup = calm();
    setup.live.limits.overload.enabled = false;
    let live = setup.live.clone();
    let broker = setup.start().await;
    let mut much = broker.client(V5, "much").await;
    broker.broker.reconfigure(crowded(&live));
    let refused = "portcullis_connections_refused_total{limit=\"memory\"}";
    // That one does not fit in holds all the same.
    while broker.counted(refused) == 0 {
        broker.open(V5).await.vanish();
        tokio::task::yield_now().await;
    }
    flood(&mut much, 20).await;
    assert_eq!(broker.broker.totals().overload_level, 0);
    assert_eq!(broker.counted("portcullis_reading_paused_total"), 0);
}
