//! PINGREQ (section 3.12).

use codec::{Packet, ReasonCode};
use portcullis_tests::{BOTH, Broker};

/// One answer for each, and no more.
/// Covers 5.0 [MQTT-3.12.4-1], 3.1.1 [MQTT-3.12.4-1].
#[tokio::test]
async fn each_is_answered_once() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.client(version, "a").await;
        client.send_all([Packet::PingReq, Packet::PingReq, Packet::PingReq]).await;
        for _ in 0..3 {
            client.expect(Packet::PingResp).await;
        }
        client.leave().await;
        let mut client = broker.client(version, "a").await;
        client.send_bytes(&[0xC0, 1, 0]).await;
        client.expect_disconnect(ReasonCode::MalformedPacket).await;
    }
}
