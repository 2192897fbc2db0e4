//! AUTH (section 3.15) where nobody asked for it; what an exchange is like is in `exchange.rs`.

use codec::{Auth, Connect, Packet, ProtocolVersion::V5, ReasonCode};
use portcullis_tests::{BOTH, Broker, packets};

/// Covers 5.0 [MQTT-3.2.0-1] [MQTT-4.12.0-6].
#[tokio::test]
async fn nobody_is_sent_auth_unasked() {
    let broker = Broker::start().await;
    let (mut client, connack) = broker.enter(Connect::new(V5, "a")).await;
    assert_eq!((connack.authentication_method, connack.authentication_data), (None, None));
    client.quiet().await;
}

/// With each of its Reason Codes, and with one that it does not have.
/// Covers 5.0 [MQTT-3.15.2-1] [MQTT-4.12.0-3] [MQTT-4.12.0-7] [MQTT-4.12.1-1] [MQTT-4.12.1-2].
#[tokio::test]
async fn auth_without_a_method_is_an_error() {
    let broker = Broker::start().await;
    for code in
        [ReasonCode::Success, ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate]
    {
        let mut client = broker.client(V5, "a").await;
        client.send(Packet::Auth(Auth::new(code, "m"))).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    }
    let mut client = broker.client(V5, "a").await;
    client.send_bytes(&packets::framed(0xF0, &[&[0x87, 4, 0x15, 0, 1, b'm']])).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
}

/// What was sent behind a CONNECT with a method meets a closed door.
/// Covers 5.0 [MQTT-3.1.2-30] [MQTT-3.1.4-6] [MQTT-4.12.0-1].
#[tokio::test]
async fn a_method_is_refused() {
    let broker = Broker::start().await;
    let connect =
        Connect { authentication_method: Some("GS2-KRB5".to_owned()), ..Connect::new(V5, "a") };
    for behind in [
        Packet::Auth(Auth::new(ReasonCode::ContinueAuthentication, "GS2-KRB5")),
        packets::retained(packets::qos0("t", "x")),
    ] {
        let mut client = broker.open(V5).await;
        client.send_all([Packet::Connect(Box::new(connect.clone())), behind]).await;
        client.expect(packets::refusal(ReasonCode::BadAuthenticationMethod)).await;
        client.expect_closed().await;
    }
    use server::BrokerHandle;
    assert_eq!(broker.broker.totals().retained_messages, 0);
}

/// Before CONNECT it is as wrong as any other packet.
/// Covers 5.0 [MQTT-3.1.0-1].
#[tokio::test]
async fn auth_is_no_first_packet() {
    let broker = Broker::start().await;
    for version in BOTH {
        let mut client = broker.open(version).await;
        client.send_bytes(&[0xF0, 0]).await;
        client.expect_closed().await;
    }
}
