//! A disk that hangs: what was not promised is not said, and what was does not depend on who is faster.

use std::{sync::Arc, time::Duration};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{Broker, Call, Client, Setup, packets};
use server::{BrokerHandle, Resources};
use tempfile::TempDir;
use tokio::runtime;

use ProtocolVersion::V5;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn start(folder: &TempDir) -> Broker {
    Setup::default().kept_in(&folder.path().join("store")).start().await
}

/// A session with one subscription, left behind.
async fn leave_behind(broker: &Broker, client_id: &str, filter: &str) -> Connect {
    let connect = packets::persistent(V5, client_id);
    let mut client = broker.enter(connect.clone()).await.0;
    client.subscribe(filter, QoS::ExactlyOnce).await;
    client.leave().await;
    broker.until(|b| b.client(client_id).is_some_and(|client| !client.connected)).await;
    connect
}

async fn until_held(broker: &Broker) {
    let disk = Arc::clone(broker.disk.as_ref().expect("a disk"));
    broker.until(|_| disk.holds()).await;
}

/// Nothing comes, whatever is sent: there is no PINGRESP that could prove it.
async fn silent(client: &mut Client) {
    let next = client.next(|packet| format!("{packet:?}"));
    let came = tokio::time::timeout(Duration::from_millis(200), next).await;
    assert!(came.is_err(), "{}: {came:?}", client.name);
}

/// What others inherit is read first: until it is theirs and the session gone for good, there is no CONNACK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connack_waits_for_what_others_inherit() {
    let folder = folder();
    let broker = start(&folder).await;
    let gone = leave_behind(&broker, "gone", "$share/g/t").await;
    let mut publisher = broker.client(V5, "pub").await;
    for text in ["1", "2"] {
        publisher.publish("t", text).await;
    }
    let mut heir = broker.enter(packets::persistent(V5, "heir")).await.0;
    heir.subscribe("$share/g/t", QoS::ExactlyOnce).await;
    broker.disk().hold(Call::Read);
    let mut client = broker.knock(Connect { clean_start: true, ..gone }).await;
    until_held(&broker).await;
    silent(&mut client).await;
    broker.disk().go_on();
    assert!(!client.connack().await.session_present);
    heir.take("t", "1").await;
    heir.take("t", "2").await;
}

/// Whoever ends a session is told so when no restart brings it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_waits_until_a_session_is_gone_for_good() {
    for connected in [false, true] {
        let folder = folder();
        let broker = start(&folder).await;
        let connect = leave_behind(&broker, "a", "t").await;
        let client = if connected { Some(broker.enter(connect).await.0) } else { None };
        broker.disk().hang();
        let ending = broker.broker.end_session("a");
        tokio::pin!(ending);
        let soon = tokio::time::timeout(Duration::from_millis(200), &mut ending).await;
        assert!(soon.is_err(), "connected: {connected}, {soon:?}");
        assert!(broker.broker.client("a").is_none(), "nobody finds it any more");
        broker.disk().go_on();
        ending.await.expect("it is gone");
        drop(client);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heirs_wait_for_what_is_not_written_yet() {
    let folder = folder();
    let broker = start(&folder).await;
    let gone = leave_behind(&broker, "gone", "$share/g/t").await;
    let mut heir = broker.client(V5, "heir").await;
    let mut publisher = broker.client(V5, "pub").await;
    broker.disk().hang();
    publisher.send(packets::qos1(1, "t", "x")).await;
    broker.until(|broker| broker.client("gone").is_some_and(|gone| gone.queued == 1)).await;
    heir.subscribe("$share/g/t", QoS::ExactlyOnce).await;
    let clean = Connect { clean_start: true, session_expiry_interval: 0, ..gone };
    let mut client = broker.knock(clean).await;
    silent(&mut client).await;
    heir.quiet().await;
    broker.disk().go_on();
    publisher.puback(1).await;
    assert!(!client.connack().await.session_present);
    heir.take("t", "x").await;
}

/// Nobody is sent the will of a session that the store has forgotten: the will goes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_after_its_will() {
    #[derive(Clone, Copy, PartialEq)]
    enum End {
        CleanStart,
        Disconnect,
        Expiry,
    }
    for end in [End::CleanStart, End::Disconnect, End::Expiry] {
        let folder = folder();
        let broker = start(&folder).await;
        leave_behind(&broker, "watcher", "will").await;
        let will = Will { qos: QoS::AtLeastOnce, ..Will::new("will", b"gone") };
        let will = Will { delay_interval: if end == End::Expiry { 9 } else { 0 }, ..will };
        let connect = packets::with_will(packets::persistent(V5, "a"), will);
        let connect = Connect { session_expiry_interval: 1, ..connect };
        let mut client = broker.enter(connect.clone()).await.0;
        broker.disk().hold(Call::Append);
        let mut others = Vec::new();
        match end {
            End::CleanStart => {
                let clean = Connect { clean_start: true, will: None, ..connect };
                let clean = Connect { session_expiry_interval: 0, ..clean };
                others.push(broker.knock(clean).await);
            }
            End::Disconnect => {
                let mut disconnect = packets::disconnect_with_expiry(0);
                if let Packet::Disconnect(disconnect) = &mut disconnect {
                    disconnect.reason_code = ReasonCode::DisconnectWithWillMessage;
                }
                client.send(disconnect).await;
            }
            End::Expiry => client.vanish(),
        }
        until_held(&broker).await;
        let disk = Arc::clone(broker.disk.as_ref().expect("a disk"));
        broker.crash();
        let broker = start(&folder).await;
        broker.until(|broker| broker.client("watcher").is_some_and(|w| w.queued == 1)).await;
        broker.until(|broker| broker.client("a").is_none()).await;
        disk.go_on();
    }
}

/// A client that waits for its CONNACK, and one that sent more than is answered, are seen to when they go.
#[tokio::test]
async fn who_goes_while_the_disk_hangs_is_gone() {
    let folder = folder();
    let broker = start(&folder).await;
    leave_behind(&broker, "sub", "t").await;
    let mut flood = broker.client(V5, "flood").await;
    broker.disk().hang();
    let greeting = broker.knock(packets::persistent(V5, "greeting")).await;
    // As many PUBACKs as may wait.
    let messages: Vec<_> = (1..=4_096).map(|id| packets::qos1(id, "t", "x")).collect();
    flood.send_all(messages).await;
    broker.until(|_| broker.counted("portcullis_publish_received_total") == 4_096).await;
    broker.until(|b| b.client("greeting").is_some_and(|client| client.connected)).await;
    greeting.vanish();
    flood.vanish();
    broker.until(|broker| broker.totals().connections == 0).await;
}

#[tokio::test]
async fn a_page_that_is_not_written_is_asked_for_once() {
    let folder = folder();
    let broker = start(&folder).await;
    let sub = leave_behind(&broker, "sub", "t").await;
    let mut publisher = broker.client(V5, "pub").await;
    broker.disk().hang();
    publisher.send(packets::qos1(1, "t", "x")).await;
    broker.until(|broker| broker.client("sub").is_some_and(|sub| sub.queued == 1)).await;
    let mut sub = broker.knock(sub).await;
    broker.until(|_| broker.disk().waits() >= 2).await;
    let before = broker.disk().waits();
    for _ in 0..20 {
        let received = broker.counted("portcullis_bytes_received_total");
        sub.send(Packet::PingReq).await;
        broker.until(|_| broker.counted("portcullis_bytes_received_total") > received).await;
    }
    let more = broker.disk().waits() - before;
    assert!(more <= 2, "it was asked {more} times more");
    broker.disk().go_on();
    sub.connack().await;
    for _ in 0..20 {
        sub.expect(Packet::PingResp).await;
    }
    sub.take("t", "x").await;
}

/// What another one removed is gone only when the disk says so.
#[tokio::test]
async fn nothing_to_remove_waits_for_what_is_being_removed() {
    let folder = folder();
    let broker = start(&folder).await;
    let mut one = broker.client(V5, "one").await;
    let mut two = broker.client(V5, "two").await;
    one.send(packets::retained(packets::qos1(1, "r", "x"))).await;
    one.puback(1).await;
    broker.disk().hang();
    one.send(packets::retained(packets::qos1(1, "r", ""))).await;
    broker.until(|broker| broker.totals().retained_messages == 0).await;
    two.send(packets::retained(packets::qos1(1, "r", ""))).await;
    silent(&mut two).await;
    broker.disk().go_on();
    one.puback(1).await;
    two.puback(1).await;
}

/// The connection that lost the session is not done with the message; the one that has it is sent it again.
#[test]
fn a_repetition_waits_for_the_message() {
    // Threads of the broker stand still here, the test must not.
    let of_broker = runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let of_test = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = folder();
    let broker = of_broker.as_ref().expect("a runtime").block_on(start(&folder));
    of_test.block_on(async {
        leave_behind(&broker, "sub", "t").await;
        let connect = packets::persistent(V5, "pub");
        let mut before = broker.enter(connect.clone()).await.0;
        broker.disk().hold(Call::Append);
        before.send(packets::qos2(1, "t", "once")).await;
        until_held(&broker).await;
        let mut publisher = broker.enter(connect).await.0;
        publisher.send(packets::again(packets::qos2(1, "t", "once"))).await;
        silent(&mut publisher).await;
        broker.disk().go_on();
        publisher.pubrec(1).await;
        assert_eq!(broker.broker.client("sub").map(|sub| sub.queued), Some(1));
    });
}

/// The store is told of the end of a session before it is told of its last message: it forgets the identifier too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_identifier_outlives_its_session() {
    let folder = folder();
    let broker = start(&folder).await;
    leave_behind(&broker, "sub", "t").await;
    let connect = packets::persistent(V5, "pub");
    let mut before = broker.enter(connect.clone()).await.0;
    broker.disk().hold(Call::Append);
    before.send(packets::qos2(1, "t", "last")).await;
    until_held(&broker).await;
    let clean = Connect { clean_start: true, ..connect };
    let _publisher = broker.enter(clean).await.0;
    broker.disk().go_on();
    broker.until(|_| broker.disk().releases() == 1).await;
}
