//! Rates of what is read from clients, set by the configuration: of each client and of all together.

use std::time::{Duration, Instant};

use access::{ClientLimits, Grant};
use codec::{Packet, ProtocolVersion::V5, QoS};
use limits::Rate;
use portcullis_tests::{Broker, Client, Setup, User, packets};

fn rate(per_second: u64, burst: u64) -> Option<Rate> {
    Some(Rate::new(per_second, burst).expect("a rate"))
}

/// Sends `count` QoS 1 messages at once and waits for all answers.
async fn publish(client: &mut Client, count: u16, payload: &str) -> Duration {
    let began = Instant::now();
    client.send_all((1..=count).map(|id| packets::qos1(id, "t", payload))).await;
    for id in 1..=count {
        client.puback(id).await;
    }
    began.elapsed()
}

async fn clients<const COUNT: usize>(broker: &Broker) -> [Client; COUNT] {
    let mut clients = Vec::new();
    for number in 0..COUNT {
        clients.push(broker.client(V5, &format!("c-{number}")).await);
    }
    clients.try_into().unwrap_or_else(|_| panic!("as many as asked for"))
}

#[tokio::test]
async fn messages_of_each_client() {
    let setup = Setup::with(|live| live.limits.rates.messages = rate(100, 10));
    let broker = setup.start().await;
    let [mut one, mut other] = clients(&broker).await;
    let began = Instant::now();
    let (of_one, of_other) = tokio::join!(publish(&mut one, 30, "x"), publish(&mut other, 30, "x"));
    // 10 at once, 20 at 100 a second, for each of them; no upper bound: the machine may be slow.
    assert!(of_one.min(of_other) >= Duration::from_millis(190), "{of_one:?} {of_other:?}");
    // What is no message is not counted as one.
    for _ in 0..50 {
        one.quiet().await;
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(broker.counted("portcullis_reading_paused_total{by=\"client_rate\"}"), 40);
}

/// A grant makes it stricter, never looser.
#[tokio::test]
async fn grants_only_lower_it() {
    let setup = Setup::with(|live| live.limits.rates.messages = rate(100, 1));
    let broker = setup.start().await;
    for (user, per_second, least_ms) in [("loose", 100_000, 170), ("strict", 20, 890)] {
        let limits = ClientLimits {
            messages_per_second: Some(per_second),
            messages_burst: Some(1),
            ..ClientLimits::default()
        };
        let grant = Grant { limits, ..Grant::default() };
        broker.doorman.set_user(user, User { grant, ..User::default() });
        let mut client = broker.client(V5, user).await;
        let took = publish(&mut client, 20, "x").await;
        assert!(took >= Duration::from_millis(least_ms), "{user}: {took:?}");
    }
}

#[tokio::test]
async fn bytes_of_each_client() {
    let setup = Setup::with(|live| live.limits.rates.bytes = rate(100_000, 1_000));
    let broker = setup.start().await;
    let [mut client] = clients(&broker).await;
    let took = publish(&mut client, 30, &"x".repeat(1_000)).await;
    assert!(took >= Duration::from_millis(280), "{took:?}");
}

#[tokio::test]
async fn messages_of_all_together() {
    let setup = Setup::with(|live| live.limits.rates.messages_total = rate(100, 10));
    let broker = setup.start().await;
    let [mut one, mut other] = clients(&broker).await;
    let (of_one, of_other) = tokio::join!(publish(&mut one, 20, "x"), publish(&mut other, 20, "x"));
    assert!(of_one.max(of_other) >= Duration::from_millis(270), "{of_one:?} {of_other:?}");
    assert!(broker.counted("portcullis_reading_paused_total{by=\"total_rate\"}") > 0);
}

#[tokio::test]
async fn bytes_of_all_together_and_other_rates_later() {
    let setup = Setup::with(|live| live.limits.rates.bytes_total = rate(100_000, 1_000));
    let mut live = setup.live.clone();
    let broker = setup.start().await;
    let [mut one, mut other] = clients(&broker).await;
    let payload = "x".repeat(1_000);
    let both = async |one: &mut Client, other: &mut Client| {
        let both = tokio::join!(publish(one, 20, &payload), publish(other, 20, &payload));
        both.0.max(both.1)
    };
    let took = both(&mut one, &mut other).await;
    assert!(took >= Duration::from_millis(340), "{took:?}");
    let paused = || broker.counted("portcullis_reading_paused_total");
    live.limits.rates.bytes_total = None;
    broker.broker.reconfigure(live.clone());
    // What was owed is forgotten with the rate.
    one.quiet().await;
    other.quiet().await;
    let before = paused();
    both(&mut one, &mut other).await;
    assert_eq!(paused(), before);
    live.limits.rates.bytes_total = rate(100_000, 1_000);
    broker.broker.reconfigure(live);
    assert!(both(&mut one, &mut other).await >= Duration::from_millis(340));
}

/// Behind a message that is paid for a minute long, PINGREQ is answered, and the Keep Alive does not end the connection.
#[tokio::test]
async fn a_debt_neither_delays_pings_nor_ends_the_connection() {
    let setup = Setup::with(|live| live.limits.rates.bytes = rate(10_000, 1_000));
    let broker = setup.start().await;
    let connect = codec::Connect { keep_alive: 1, ..codec::Connect::new(V5, "c") };
    let mut client = broker.enter(connect).await.0;
    let began = Instant::now();
    client.send(packets::qos1(1, "t", &"x".repeat(40_000))).await;
    client.puback(1).await;
    // Nothing for twice as long as the Keep Alive lets it be silent, then a ping behind a message.
    client.send(packets::qos1(2, "t", &"x".repeat(20_000))).await;
    client.puback(2).await;
    assert!(began.elapsed() >= Duration::from_millis(3_800), "{:?}", began.elapsed());
    let asked = Instant::now();
    client.send_all([packets::qos1(3, "t", "x"), Packet::PingReq]).await;
    client.expect(Packet::PingResp).await;
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    client.puback(3).await;
}

/// New messages reach a client that is not read.
#[tokio::test]
async fn who_is_held_back_still_receives() {
    let setup = Setup::with(|live| live.limits.rates.bytes = rate(1_024, 1_024));
    let broker = setup.start().await;
    let [mut reader, mut writer] = clients(&broker).await;
    reader.subscribe("news", QoS::AtMostOnce).await;
    reader.send(packets::qos1(1, "t", &"x".repeat(50_000))).await;
    reader.puback(1).await;
    writer.publish("news", "now").await;
    reader.take("news", "now").await;
}
