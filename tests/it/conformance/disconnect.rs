//! DISCONNECT (section 3.14): from the client, and to it.

use std::time::{Duration, Instant};

use codec::{Connect, Disconnect, Packet, ProtocolVersion::V5, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, packets};
use server::BrokerHandle;

/// The broker hears nothing behind it, and closes.
/// Covers 5.0 [MQTT-3.14.4-1] [MQTT-3.14.4-2], 3.1.1 [MQTT-3.14.4-1] [MQTT-3.14.4-2].
#[tokio::test]
async fn nothing_counts_behind_it() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        let goodbye = packets::disconnect(ReasonCode::Success);
        let (before, behind) = (packets::qos0("t", "before"), packets::qos0("t", "behind"));
        client.send_all([before, goodbye, behind, Packet::PingReq]).await;
        client.expect_closed().await;
        watcher.take("t", "before").await;
        watcher.quiet().await;
    }
}

/// The broker's own is its last word, with a Reason Code of a DISCONNECT and nothing else in it:
/// `expect_disconnect` compares the whole packet, and waits for the end.
/// Covers 5.0 [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.2-1].
#[tokio::test]
async fn the_brokers_own_is_its_last_word() {
    let broker = Broker::start().await;
    let mut first = broker.enter(packets::persistent(V5, "a")).await.0;
    let mut second = broker.enter(packets::persistent(V5, "a")).await.0;
    first.expect_disconnect(ReasonCode::SessionTakenOver).await;
    second.send_all([Packet::PingResp, Packet::PingReq]).await;
    second.expect_disconnect(ReasonCode::ProtocolError).await;
}

/// A body in 3.1.1, trailing bytes, codes that are none, properties twice or of another packet.
/// Covers 5.0 [MQTT-3.14.2-1] [MQTT-4.13.1-1].
#[tokio::test]
async fn what_is_no_disconnect() {
    let broker = Broker::start().await;
    let (malformed, protocol) = (ReasonCode::MalformedPacket, ReasonCode::ProtocolError);
    let table: &[(&[u8], ReasonCode)] = &[
        (&[0xE0, 1, 0x7F], malformed),
        (&[0xE0, 1, 0x01], protocol),
        (&[0xE0, 1, 0x18], protocol),
        (&[0xE0, 3, 0, 0, 0], malformed),
        (&[0xE0, 12, 0, 10, 0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], protocol),
        (&[0xE0, 4, 0, 2, 0x24, 1], malformed),
        (&[0xE0, 5, 0, 3, 0x21, 0, 1], malformed),
    ];
    for (bytes, code) in table {
        let mut client = broker.client(V5, "a").await;
        client.name = format!("{bytes:02X?}");
        client.send_bytes(bytes).await;
        client.expect_disconnect(*code).await;
    }
}

fn with_delayed_will(delay_interval: u32) -> Connect {
    let will = Will { delay_interval, ..Will::new("will/a", b"gone") };
    packets::with_will(packets::persistent(V5, "a"), will)
}

/// 0x04 and every failure keep the will; it keeps its delay too.
/// Covers 5.0 [MQTT-3.1.2-8] [MQTT-3.1.2-10].
#[tokio::test]
async fn only_code_0_forgets_the_will() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will/#", QoS::AtMostOnce).await;
    for code in [
        ReasonCode::DisconnectWithWillMessage,
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::QuotaExceeded,
    ] {
        let mut client = broker.enter(with_delayed_will(0)).await.0;
        client.send(packets::disconnect(code)).await;
        client.expect_closed().await;
        watcher.take("will/a", "gone").await;
    }
    let mut client = broker.enter(with_delayed_will(1)).await.0;
    let since = Instant::now();
    client.send(packets::disconnect(ReasonCode::DisconnectWithWillMessage)).await;
    client.expect_closed().await;
    watcher.take("will/a", "gone").await;
    assert!(since.elapsed() >= Duration::from_secs(1));
    let client = broker.enter(with_delayed_will(1)).await.0;
    client.leave().await;
    broker.until(|broker| broker.client("a").is_some_and(|client| !client.connected)).await;
    assert_eq!(broker.counted("portcullis_wills_published_total"), 5);
}

/// A session that DISCONNECT lets end takes the delay of its will with it.
/// Covers 5.0 [MQTT-3.1.2-8] [MQTT-4.1.0-2].
#[tokio::test]
async fn expiry_0_ends_the_session_and_the_delay() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will/#", QoS::AtMostOnce).await;
    let mut client = broker.enter(with_delayed_will(100)).await.0;
    let disconnect = Disconnect {
        session_expiry_interval: Some(0),
        ..Disconnect::new(ReasonCode::DisconnectWithWillMessage)
    };
    client.send(Packet::Disconnect(disconnect)).await;
    client.expect_closed().await;
    watcher.take("will/a", "gone").await;
    assert!(!broker.enter(packets::persistent(V5, "a")).await.1.session_present);
}
