//! MQTT 3.1, the forerunner of 3.1.1: protocol name `MQIsdp`, level 3. Its packets are those of 3.1.1
//! but for the Client Identifier, Session Present and failures in SUBACK.

use codec::{ConnAck, Connect, Packet, ProtocolVersion::V311, QoS, ReasonCode};
use portcullis_tests::{Broker, Setup, User, allow, deny, packets};
use server::BrokerHandle;

fn connect(client_id: &str) -> Connect {
    Connect { mqtt_3_1: true, ..Connect::new(V311, client_id) }
}

#[tokio::test]
async fn is_served() {
    let broker = Broker::start().await;
    let mut client = broker.enter(connect("old")).await.0;
    client.subscribe("t", QoS::ExactlyOnce).await;
    client.publish("t", "x").await;
    client.take("t", "x").await;
    client.quiet().await;
    client.leave().await;
}

#[tokio::test]
async fn can_be_refused() {
    let setup = Setup::with(|live| live.protocol_versions.v3_1 = false);
    let broker = setup.start().await;
    let mut client = broker.knock(connect("old")).await;
    client.expect(packets::refusal(ReasonCode::UnsupportedProtocolVersion)).await;
    client.expect_closed().await;
    broker.client(V311, "new").await.quiet().await;
}

/// Any version can be, and is told so in its own words.
/// Covers 5.0 [MQTT-3.1.2-2], 3.1.1 [MQTT-3.1.2-2].
#[tokio::test]
async fn so_can_the_others() {
    for version in portcullis_tests::BOTH {
        let setup = Setup::with(|live| match version {
            V311 => live.protocol_versions.v3_1_1 = false,
            _ => live.protocol_versions.v5_0 = false,
        });
        let broker = setup.start().await;
        let mut client = broker.knock(Connect::new(version, "a")).await;
        client.expect(packets::refusal(ReasonCode::UnsupportedProtocolVersion)).await;
        client.expect_closed().await;
        broker.enter(connect("old")).await.0.quiet().await;
    }
}

/// 1 to 23 characters, however many bytes they have.
#[tokio::test]
async fn client_ids() {
    let broker = Broker::start().await;
    for (client_id, fits) in [
        ("", false),
        ("a", true),
        ("12345678901234567890123", true),
        ("123456789012345678901234", false),
        ("äöüäöüäöüäöüäöüäöüäöüäö", true),
    ] {
        let mut client = broker.knock(connect(client_id)).await;
        if fits {
            assert_eq!(client.connack().await, ConnAck::new(ReasonCode::Success), "{client_id}");
        } else {
            client.expect(packets::refusal(ReasonCode::ClientIdentifierNotValid)).await;
            client.expect_closed().await;
        }
    }
}

/// CONNACK has no Session Present: the session is resumed all the same.
#[tokio::test]
async fn session_is_resumed_in_silence() {
    let broker = Broker::start().await;
    let resume = Connect { mqtt_3_1: true, ..packets::persistent(V311, "old") };
    let mut client = broker.enter(resume.clone()).await.0;
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.leave().await;
    let mut publisher = broker.client(V311, "pub").await;
    publisher.publish("t", "x").await;
    let (mut client, connack) = broker.enter(resume).await;
    assert!(!connack.session_present);
    client.take("t", "x").await;
}

/// SUBACK has no failure: what is refused is answered as if granted, and brings nothing.
#[tokio::test]
async fn suback_has_no_failure() {
    let broker = Broker::start().await;
    broker.doorman.set_user("old", User::with_rules([deny("no"), allow("#")]));
    let mut client = broker.enter(connect("old")).await.0;
    client.send(packets::subscribe(1, &[("no", QoS::ExactlyOnce), ("yes", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(1, &[ReasonCode::GrantedQoS2, ReasonCode::Success])).await;
    let mut publisher = broker.client(V311, "pub").await;
    publisher.publish("no", "x").await;
    publisher.publish("yes", "x").await;
    client.take("yes", "x").await;
    client.quiet().await;
    assert_eq!(broker.broker.client("old").unwrap().subscriptions, 1);
    assert_eq!(broker.counted("portcullis_subscribe_denied_total"), 1);
}

/// The name of one with the level of another is neither.
#[tokio::test]
async fn name_and_level_belong_together() {
    let broker = Broker::start().await;
    for (name, level) in [("MQIsdp", 4), ("MQIsdp", 5), ("MQIsdp", 2), ("MQTT", 3)] {
        let mut client = broker.open(V311).await;
        let name = packets::field(name);
        let head = &[level, 2, 0, 60];
        client.send_bytes(&packets::framed(0x10, &[&name, head, &packets::field("a")])).await;
        client.expect(packets::refusal(ReasonCode::UnsupportedProtocolVersion)).await;
        client.expect_closed().await;
    }
    let mut client = broker.client(V311, "a").await;
    client.send(Packet::PingReq).await;
    client.expect(Packet::PingResp).await;
}
