//! CONNECTs to a running program: what the answer is, one by one or by the hundred.

use std::net::{Ipv4Addr, SocketAddr};

use codec::{Connect, Packet, ProtocolVersion, ReasonCode};
use portcullis_tests::{Client, packets};

/// A CONNECT with user name and password.
pub(super) fn login(client_id: &str, credentials: (&str, &str)) -> Connect {
    packets::login(ProtocolVersion::V5, client_id, credentials)
}

/// The code of the answer to a CONNECT, and the client if it was let in.
pub(super) async fn knock(address: SocketAddr, connect: Connect) -> (ReasonCode, Client) {
    knock_from(Ipv4Addr::LOCALHOST, address, connect).await
}

/// The same, from another address of this machine.
pub(super) async fn knock_from(
    source: Ipv4Addr,
    address: SocketAddr,
    connect: Connect,
) -> (ReasonCode, Client) {
    let mut client = Client::open_from(source, address, connect.version).await;
    client.name.clone_from(&connect.client_id);
    client.send(Packet::Connect(Box::new(connect))).await;
    let code = client.connack().await.reason_code;
    (code, client)
}

/// A client that was let in.
pub(super) async fn enter(address: SocketAddr, connect: Connect) -> Client {
    let (code, client) = knock(address, connect).await;
    assert_eq!(code, ReasonCode::Success, "{}", client.name);
    client
}

/// The answer to a PUBLISH; that nobody has subscribed is no matter.
pub(super) async fn publish(client: &mut Client, topic: &str) -> ReasonCode {
    match client.publish(topic, "x").await {
        ReasonCode::NoMatchingSubscribers => ReasonCode::Success,
        code => code,
    }
}

/// The answers to `count` CONNECTs, half of them 3.1.1, each as another user; many at a time.
pub(super) async fn storm(address: SocketAddr, count: usize) -> Vec<ReasonCode> {
    const AT_A_TIME: usize = 50;
    let mut codes = Vec::with_capacity(count);
    for start in (0..count).step_by(AT_A_TIME) {
        let mut knocks = tokio::task::JoinSet::new();
        for number in start..count.min(start + AT_A_TIME) {
            let version = packets_version(number);
            let user = format!("user-{number}");
            let connect = packets::login(version, &user, (&user, "secret"));
            knocks.spawn(async move { knock(address, connect).await.0 });
        }
        codes.extend(knocks.join_all().await);
    }
    codes
}

fn packets_version(number: usize) -> ProtocolVersion {
    if number.is_multiple_of(2) { ProtocolVersion::V5 } else { ProtocolVersion::V311 }
}
