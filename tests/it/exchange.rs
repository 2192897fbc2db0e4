//! Enhanced authentication (MQTT 5.0 section 4.12), before CONNACK and again after it.

use std::time::{Duration, SystemTime};

use access::Grant;
use codec::{Auth, ConnAck, Connect, Packet, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Broker, Client, STEPS, User, deny, packets};

fn connect(client_id: &str, name: &str) -> Connect {
    Connect {
        authentication_method: Some(STEPS.to_owned()),
        authentication_data: Some(name.as_bytes().to_vec()),
        ..Connect::new(V5, client_id)
    }
}

fn auth(reason_code: ReasonCode, data: &str) -> Packet<'static> {
    let data = Some(data.as_bytes().to_vec());
    Packet::Auth(Auth { authentication_data: data, ..Auth::new(reason_code, STEPS) })
}

fn answer(data: &str) -> Packet<'static> {
    auth(ReasonCode::ContinueAuthentication, data)
}

fn with_password(password: &str) -> User {
    User { password: Some(password.to_owned()), ..User::default() }
}

/// A broker that knows alice.
async fn broker() -> Broker {
    let broker = Broker::start().await;
    broker.doorman.set_user("alice", with_password("secret"));
    broker
}

async fn challenged(broker: &Broker, connect: Connect) -> Client {
    let mut client = broker.knock(connect).await;
    client.expect(answer("password?")).await;
    client
}

async fn enter(broker: &Broker, client_id: &str) -> (Client, ConnAck) {
    let mut client = challenged(broker, connect(client_id, "alice")).await;
    client.send(answer("secret")).await;
    let connack = client.connack().await;
    assert_eq!(connack.reason_code, ReasonCode::Success);
    (client, connack)
}

/// Covers 5.0 [MQTT-4.12.0-2] [MQTT-4.12.0-5].
#[tokio::test]
async fn an_exchange_lets_the_client_in() {
    let broker = broker().await;
    let (mut client, connack) = enter(&broker, "c").await;
    assert_eq!(connack.authentication_method.as_deref(), Some(STEPS));
    assert_eq!(connack.authentication_data.as_deref(), Some(b"welcome".as_slice()));
    client.subscribe("t", QoS::AtMostOnce).await;
    client.publish("t", "x").await;
    client.take("t", "x").await;
}

/// The last AUTH and what follows it come in one piece.
#[tokio::test]
async fn what_is_behind_the_last_auth_is_read_too() {
    let broker = broker().await;
    let mut client = broker.open(V5).await;
    let connect = Packet::Connect(Box::new(connect("c", "alice")));
    client.send_all([connect, answer("secret"), Packet::PingReq]).await;
    client.expect(answer("password?")).await;
    client.connack().await;
    client.expect(Packet::PingResp).await;
}

/// Covers 5.0 [MQTT-4.12.0-4].
#[tokio::test]
async fn a_wrong_answer_is_refused() {
    let broker = broker().await;
    let mut client = challenged(&broker, connect("c", "alice")).await;
    client.send(answer("guess")).await;
    client.expect(packets::refusal(ReasonCode::BadUserNameOrPassword)).await;
    client.expect_closed().await;
}

/// Covers 5.0 [MQTT-3.1.2-30] [MQTT-4.12.0-3].
#[tokio::test]
async fn nothing_but_auth_comes_before_connack() {
    let broker = broker().await;
    let wrong = [
        packets::qos0("t", "x"),
        Packet::PingReq,
        auth(ReasonCode::ReAuthenticate, "secret"),
        auth(ReasonCode::Success, "secret"),
        Packet::Auth(Auth::new(ReasonCode::ContinueAuthentication, "other")),
        Packet::Connect(Box::new(connect("c", "alice"))),
    ];
    for packet in wrong {
        let mut client = challenged(&broker, connect("c", "alice")).await;
        client.send(packet).await;
        client.expect(packets::refusal(ReasonCode::ProtocolError)).await;
        client.expect_closed().await;
    }
    let mut client = challenged(&broker, connect("c", "alice")).await;
    client.send(packets::disconnect(ReasonCode::Success)).await;
    client.expect_closed().await;
}

/// The identity ends unless the client proves it again.
/// Covers 5.0 [MQTT-4.12.1-1].
#[tokio::test]
async fn who_authenticates_again_stays() {
    let broker = broker().await;
    let ends = |seconds| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let grant = Grant { expires_at_unix: Some(now.as_secs() + seconds), ..Grant::default() };
        User { grant, ..with_password("secret") }
    };
    broker.doorman.set_user("alice", ends(3));
    let (mut client, _) = enter(&broker, "c").await;
    let (mut idle, _) = enter(&broker, "idle").await;
    broker.doorman.set_user("alice", ends(3_600));
    client.send(auth(ReasonCode::ReAuthenticate, "alice")).await;
    client.expect(answer("password?")).await;
    // Everything else goes on meanwhile.
    client.send(Packet::PingReq).await;
    client.expect(Packet::PingResp).await;
    client.send(answer("secret")).await;
    client.expect(auth(ReasonCode::Success, "welcome")).await;
    idle.expect_disconnect(ReasonCode::NotAuthorized).await;
    // Past the first end.
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.send(Packet::PingReq).await;
    client.expect(Packet::PingResp).await;
}

/// What it may do follows the new proof.
#[tokio::test]
async fn permissions_follow() {
    let broker = broker().await;
    let (mut client, _) = enter(&broker, "c").await;
    client.send(packets::qos1(1, "t", "x")).await;
    assert_ne!(client.puback(1).await, ReasonCode::NotAuthorized);
    let grant = Grant { permissions: vec![deny("t")], ..Grant::default() };
    broker.doorman.set_user("alice", User { grant, ..with_password("secret") });
    client.send(auth(ReasonCode::ReAuthenticate, "alice")).await;
    client.expect(answer("password?")).await;
    client.send(answer("secret")).await;
    client.expect(auth(ReasonCode::Success, "welcome")).await;
    client.send(packets::qos1(2, "t", "x")).await;
    assert_eq!(client.puback(2).await, ReasonCode::NotAuthorized);
}

/// Covers 5.0 [MQTT-4.12.1-2].
#[tokio::test]
async fn who_cannot_prove_it_again_is_gone() {
    let broker = broker().await;
    broker.doorman.set_user("bob", with_password("other"));
    for (name, password) in [("alice", "guess"), ("bob", "other")] {
        let (mut client, _) = enter(&broker, "c").await;
        client.send(auth(ReasonCode::ReAuthenticate, name)).await;
        client.expect(answer("password?")).await;
        client.send(answer(password)).await;
        client.expect_disconnect(ReasonCode::NotAuthorized).await;
    }
}

/// Covers 5.0 [MQTT-4.12.0-3] [MQTT-4.12.1-1].
#[tokio::test]
async fn auth_out_of_turn_is_an_error() {
    let broker = broker().await;
    let wrong = [
        answer("secret"),
        auth(ReasonCode::Success, ""),
        Packet::Auth(Auth::new(ReasonCode::ReAuthenticate, "other")),
    ];
    for packet in wrong {
        let (mut client, _) = enter(&broker, "c").await;
        client.send(packet).await;
        client.expect_disconnect(ReasonCode::ProtocolError).await;
    }
    let (mut client, _) = enter(&broker, "c").await;
    client.send(auth(ReasonCode::ReAuthenticate, "alice")).await;
    client.expect(answer("password?")).await;
    client.send(auth(ReasonCode::ReAuthenticate, "alice")).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
}

#[tokio::test]
async fn again_and_again_is_too_often() {
    let broker = broker().await;
    let (mut client, _) = enter(&broker, "c").await;
    let mut count = 0;
    loop {
        client.send(auth(ReasonCode::ReAuthenticate, "alice")).await;
        let is_auth = |packet: &Packet<'_>| matches!(packet, Packet::Auth(_));
        if client.next(is_auth).await != Some(true) {
            break;
        }
        client.send(answer("secret")).await;
        client.expect(auth(ReasonCode::Success, "welcome")).await;
        count += 1;
        assert!(count < 100);
    }
    client.expect_closed().await;
    assert!(count >= 5, "{count}");
}

/// Who came with a password has no exchange.
#[tokio::test]
async fn a_password_and_a_method_do_not_mix() {
    let broker = broker().await;
    let (mut client, _) = broker.enter(packets::login(V5, "c", ("alice", "secret"))).await;
    client.send(auth(ReasonCode::ReAuthenticate, "alice")).await;
    client.expect_disconnect(ReasonCode::ProtocolError).await;
    // Nor does a password open what a method asks for.
    let both = Connect {
        authentication_method: Some("unknown".to_owned()),
        ..packets::login(V5, "c", ("alice", "secret"))
    };
    let mut client = broker.knock(both).await;
    client.expect(packets::refusal(ReasonCode::BadAuthenticationMethod)).await;
}
