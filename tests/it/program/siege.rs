//! Attacks from the network on the program, and a good client beside each: what the broker does about them, what they cost,
//! and what the good client notices. `PORTCULLIS_PROOF=1` for the figures of the issue, a sample else.

mod besiegers;

use std::time::{Duration, Instant};

use codec::{Packet, ProtocolVersion::V5};
use portcullis_tests::{Client, packets};
use serde_json::Value;

use self::besiegers::{Siege, Way, counted, until_closed};
use super::{eventually::eventually, knock::login, proof};

/// As many as the issue says, or a sample.
fn of_issue<T>(proven: T, sample: T) -> T {
    if proof() { proven } else { sample }
}

/// One byte a second is no way to stay: the deadline counts by the clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_a_second_before_connect() {
    let deadline = Duration::from_secs(of_issue(5, 2));
    let seconds = deadline.as_secs();
    let siege = Siege::start(&format!(
        "connect_timeout = {seconds}\nhandshake_timeout = {seconds}\nhandshakes_waiting = 10000\n"
    ))
    .await;
    let count = of_issue(5_000, 200);
    for way in [Way::Tcp, Way::WebSocket, Way::Proxy, Way::Handshake, Way::Tls] {
        let stayed = siege.strangers(count, way, until_closed).await;
        let (shortest, longest) = (stayed.iter().min(), stayed.iter().max());
        println!("{way:?}: {count} sockets stayed for {shortest:?} to {longest:?}");
        // Its clock starts at the accept, ours when we see that.
        let early = Duration::from_millis(of_issue(500, 1_500));
        assert!(shortest.is_some_and(|time| *time >= deadline - early), "{way:?}: {shortest:?}");
        let late = Duration::from_secs(of_issue(2, 8));
        assert!(longest.is_some_and(|time| *time <= deadline + late), "{way:?}: {longest:?}");
    }
    siege.end().await;
}

/// A length that is announced costs nothing, and what is sent of a CONNECT costs no more than all strangers may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_packets_before_connect() {
    let budget = of_issue(32, 2);
    let more = format!("strangers_bytes = \"{budget}MiB\"\nconnect_timeout = 30\n");
    let siege = Siege::start(&more).await;
    let count = of_issue(5_000, 200);
    let before = siege.program.resident_bytes();
    let announce = |mut client: Client, _| async move {
        client.try_send_bytes(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]).await;
        client.expect_closed().await;
    };
    let (_, most) = siege.watched(siege.strangers(count, Way::Tcp, announce)).await;
    let cost = most.saturating_sub(before);
    println!("{count} sockets announced 256 MB: {} KiB more", cost >> 10);
    assert!(cost <= 64 << 20, "{cost}");

    // 60 KiB of a CONNECT that would have 64.
    let mut part = vec![0x10, 0xE8, 0xFB, 0x03, 0, 4];
    part.extend_from_slice(b"MQTT\x05\x02\x00\x3C\x00\xFF\xFF");
    part.resize(60 << 10, b'x');
    let ended = Instant::now() + Duration::from_secs(of_issue(15, 5));
    let part = std::sync::Arc::new(part);
    let stall = |mut client: Client, _| {
        let part = std::sync::Arc::clone(&part);
        async move {
            client.try_send_bytes(&part).await;
            // Some are closed for want of room, the others wait for their deadline.
            let closed =
                tokio::time::timeout_at(ended.into(), client.next(|packet| panic!("{packet:?}")));
            let closed = closed.await;
            closed.is_ok()
        }
    };
    let (closed, most) = siege.watched(siege.strangers(count, Way::Tcp, stall)).await;
    let cost = most.saturating_sub(before);
    let closed = closed.iter().filter(|closed| **closed).count();
    println!("{count} sockets sent 60 KiB: {} KiB more, {closed} closed at once", cost >> 10);
    let fit = (budget << 20) / (60 << 10);
    assert!(closed >= count - fit, "{closed} of {count}");
    assert!(cost <= (of_issue(64, 24)) << 20, "{cost}");
    siege.end().await;
}

/// Upper bound and lower bound of what a rate lets through in a time.
#[track_caller]
fn within(name: &str, count: f64, expected: f64) {
    println!("{name}: {count} of {expected}: {:+.1} %", (count / expected - 1.0) * 100.0);
    assert!(count <= expected * 1.05, "{name}: {count} of {expected}");
    // Another who needs the machine at the same time can only make it less.
    assert!(count >= expected * of_issue(0.95, 0.5), "{name}: {count} of {expected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connect_rate_holds() {
    let siege = Siege::start(
        "connect_rate = 50\nconnect_burst = 10\nconnect_rate_per_address = 1000000\n\
         connections_per_address = 100000\nloopback_exempt = false\n",
    )
    .await;
    let seconds = of_issue(30, 4);
    // What the good client and the start took of the burst is there again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let opened = "portcullis_connections_opened_total{listener=\"mqtt\"}";
    let (before, began) = (counted(&siege.program, opened).await, Instant::now());
    siege.knock_for(Duration::from_secs(seconds)).await;
    let count = counted(&siege.program, opened).await - before;
    within("connects", count, 10.0 + 50.0 * began.elapsed().as_secs_f64());
    siege.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_caps_hold() {
    let seconds = of_issue(20, 4);
    for (keys, clients, per_second) in [
        ("bytes_per_second = 200000\nbytes_burst = 20000\n", 1, 200_000.0),
        ("bytes_per_second_total = 400000\nbytes_burst_total = 20000\n", 10, 400_000.0),
    ] {
        let siege = Siege::start(keys).await;
        let received = "portcullis_publish_bytes_received_total";
        let flood = siege.flood(clients, 1_000).await;
        // The bursts are used up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (before, began) = (counted(&siege.program, received).await, Instant::now());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let (bytes, elapsed) = (counted(&siege.program, received).await - before, began.elapsed());
        drop(flood);
        within(keys, bytes, per_second * elapsed.as_secs_f64());
        // The rate of all is also the good client's: it waits with them.
        if clients == 1 { siege.end().await } else { siege.leave().await }
    }
}

/// 50 clients publish as fast as they can: the level rises, and falls again, and the good client is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_raises_the_level() {
    let siege = Siege::start("").await;
    let level = async || {
        let status = siege.program.api().get("/api/v1/status").await.expect(200).json();
        status["overload_level"].as_u64().expect("a level")
    };
    let began = Instant::now();
    let flood = siege.flood(50, 10).await;
    let flooding = Instant::now();
    eventually("the level rises", async || match level().await {
        0 => Err("0".to_owned()),
        _ => Ok(()),
    })
    .await;
    let rose = flooding.elapsed();
    println!("rose after {rose:?}, {:?} after the first of them came", began.elapsed());
    tokio::time::sleep(Duration::from_secs(of_issue(10, 2))).await;
    let highest = level().await;
    drop(flood);
    let ended = Instant::now();
    eventually("the level falls", async || match level().await {
        0 => Ok(()),
        level => Err(level.to_string()),
    })
    .await;
    let fell = ended.elapsed();
    println!("was {highest}, fell within {fell:?}");
    assert!(rose <= Duration::from_secs(of_issue(1, 5)), "{rose:?}");
    assert!(fell <= Duration::from_secs(10), "{fell:?}");
    let said = |line: &Value| line["event"] == "overload_level";
    assert!(siege.program.log().iter().any(said), "a log line at each change");
    siege.end().await;
}

/// As many connections as there can be, and more that want to: who looks after the broker gets through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_port_answers_when_connections_use_up_everything() {
    let siege = Siege::start_with_descriptors(160).await;
    let mut held = Vec::new();
    for _ in 0..400 {
        held.push(Client::open(siege.program.mqtt(), V5).await);
    }
    for _ in 0..20 {
        siege.program.api().get("/livez").await.expect(200);
        let status = siege.program.api().get("/api/v1/status").await.expect(200).json();
        assert!(status["connections"].as_u64().is_some_and(|count| count < 160), "{status}");
    }
    let refused = "portcullis_connections_refused_total{limit=\"connections\"}";
    eventually("the others are refused", async || {
        let count = counted(&siege.program, refused).await;
        if count >= 240.0 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    assert!(!siege.program.log_text().contains("accept_failed"), "descriptors ran out");
    drop(held);
    // And it goes on.
    eventually("somebody is let in again", async || {
        let mut client = Client::open(siege.program.mqtt(), V5).await;
        let connect = Packet::Connect(Box::new(login("again", super::folder::ALICE)));
        client.try_send_bytes(&packets::encoded(V5, &connect)).await;
        let answer = client.next(|packet| format!("{packet:?}")).await;
        answer.map(drop).ok_or_else(|| "closed".to_owned())
    })
    .await;
    siege.end().await;
}
