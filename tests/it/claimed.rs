//! Operations and messages that plugins claim: judged one by one, changed on their way.

use std::{sync::Arc, time::Duration};

use access::{
    BrokerForPlugins, Denial, Inbound, Operation, OperationWord, Patch, PluginFailure,
    PluginFailureKind, Ruling, Source, Whose,
};
use codec::{Connect, Packet, ProtocolVersion::V5, Publish, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Meddler, User, allow, deny, packets};
use server::BrokerHandle;

const MINUTE: Duration = Duration::from_secs(60);

fn says(word: OperationWord) -> Result<Ruling, PluginFailure> {
    Ok(Ruling { word, ttl: MINUTE })
}

fn denial(reason_code: ReasonCode) -> Denial {
    Denial { reason_code, reason: Some("no".to_owned()) }
}

fn failure() -> PluginFailure {
    PluginFailure { kind: PluginFailureKind::Trap, message: "broken".to_owned() }
}

/// Says what the last level of the topic or filter says: allow, deny, next, fail.
fn by_last_level(operation: &Operation) -> Result<Ruling, PluginFailure> {
    let (Operation::Publish { topic: name, .. } | Operation::Subscribe { filter: name, .. }) =
        operation;
    match name.rsplit('/').next() {
        Some("allow") => says(OperationWord::Allow),
        Some("deny") => says(OperationWord::Deny(denial(ReasonCode::QuotaExceeded))),
        Some("fail") => Err(failure()),
        _ => says(OperationWord::Next),
    }
}

async fn with(meddlers: &[&Arc<Meddler>]) -> Broker {
    let broker = Broker::start().await;
    let names = ["first", "second", "third"];
    let links = meddlers.iter().zip(names).map(|(meddler, name)| meddler.link(name));
    broker.swap_to(broker.doorman.chain_with(links));
    broker
}

#[tokio::test]
async fn rules_and_plugins_judge_together() {
    let judge = Meddler::judging(&["+/op/#"], |_, operation| by_last_level(operation));
    let broker = with(&[&judge]).await;
    let rules = [deny("denied/#"), allow("allowed/#"), allow("other")];
    broker.doorman.set_user("c", User::with_rules(rules));
    let mut client = broker.client(V5, "c").await;
    let refused = ReasonCode::NotAuthorized;
    let cases = [
        ("allowed/op/next", None),
        ("allowed/op/allow", None),
        ("allowed/op/deny", Some(ReasonCode::QuotaExceeded)),
        ("allowed/op/fail", Some(ReasonCode::ImplementationSpecificError)),
        ("unknown/op/next", Some(refused)),
        ("unknown/op/allow", None),
        ("unknown/op/deny", Some(ReasonCode::QuotaExceeded)),
        // A rule that denies is final.
        ("denied/op/allow", Some(refused)),
        ("unknown/allow", Some(refused)),
        ("other", None),
    ];
    for (id, (topic, code)) in (1..).zip(cases) {
        client.send(packets::qos1(id, topic, "x")).await;
        let answer = client.puback(id).await;
        assert_eq!(answer, code.unwrap_or(ReasonCode::NoMatchingSubscribers), "{topic}");
        client.send(packets::subscribe(100 + id, &[(topic, QoS::AtLeastOnce)])).await;
        let granted = code.unwrap_or(ReasonCode::GrantedQoS1);
        client.expect(packets::suback(100 + id, &[granted])).await;
        client.send(packets::unsubscribe(200 + id, &[topic])).await;
        client.next(|_| ()).await;
    }
}

#[tokio::test]
async fn what_was_said_is_not_asked_again() {
    let judge = Meddler::judging(&["#"], |_, operation| {
        let once = matches!(operation, Operation::Publish { topic, .. } if topic == "once");
        let ttl = if once { Duration::ZERO } else { MINUTE };
        Ok(Ruling { word: OperationWord::Allow, ttl })
    });
    let broker = with(&[&judge]).await;
    let mut client = broker.client(V5, "c").await;
    let mut id = 0;
    let mut publish = async |topic: &str, payload: &str| {
        id += 1;
        client.send(packets::qos1(id, topic, payload)).await;
        client.puback(id).await;
        judge.asked()
    };
    assert_eq!(publish("t", "x").await, 1);
    assert_eq!(publish("t", "another of the same size class").await, 1);
    assert_eq!(publish("t", &"x".repeat(65)).await, 2);
    assert_eq!(publish("u", "x").await, 3);
    assert_eq!(publish("once", "x").await, 4);
    assert_eq!(publish("once", "x").await, 5);
    broker.swap_to(broker.doorman.chain_with([judge.link("first")]));
    broker.refreshed("c").await;
    assert_eq!(publish("t", "x").await, 6, "another generation may say otherwise");
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let judge = Meddler::judging(&["#"], |_, _| Err(failure()));
    let broker = with(&[&judge]).await;
    let mut client = broker.client(V5, "c").await;
    for id in 1..=3 {
        client.send(packets::qos1(id, "t", "x")).await;
        assert_eq!(client.puback(id).await, ReasonCode::ImplementationSpecificError);
        assert_eq!(judge.asked(), usize::from(id));
    }
}

/// A client's packets keep their order, and others do not wait.
#[tokio::test]
async fn who_waits_for_a_plugin_waits_alone() {
    let judge = Meddler::judging(&["slow"], |_, _| says(OperationWord::Allow));
    let broker = with(&[&judge]).await;
    for version in BOTH {
        let mut reader = broker.client(version, "reader").await;
        reader.subscribe("#", QoS::AtMostOnce).await;
        let mut slow = broker.client(version, "slow").await;
        let mut quick = broker.client(version, "quick").await;
        judge.sleep(true);
        let before = judge.asked();
        let texts: Vec<_> = (0..200).map(|number: u32| number.to_string()).collect();
        let topic = |number: usize| if number.is_multiple_of(2) { "quick" } else { "slow" };
        let messages = texts.iter().enumerate();
        slow.send_all(messages.map(|(n, text)| packets::qos0(topic(n), text))).await;
        slow.send(Packet::PingReq).await;
        reader.take("quick", "0").await;
        broker.until(|_| judge.asked() > before).await;
        quick.publish("quick", "other").await;
        reader.take("quick", "other").await;
        judge.sleep(false);
        for (number, text) in texts.iter().enumerate().skip(1) {
            reader.take(topic(number), text).await;
        }
        slow.expect(Packet::PingResp).await;
        broker.swap_to(broker.doorman.chain_with([judge.link("first")]));
    }
}

#[tokio::test]
async fn a_client_that_goes_while_a_plugin_thinks() {
    let judge = Meddler::judging(&["t"], |_, _| says(OperationWord::Allow));
    let broker = with(&[&judge]).await;
    let mut reader = broker.client(V5, "reader").await;
    reader.subscribe("t", QoS::ExactlyOnce).await;
    let connect = packets::persistent(V5, "c");
    let (mut client, _) = broker.enter(connect.clone()).await;
    judge.sleep(true);
    client.send(packets::qos2(1, "t", "x")).await;
    broker.until(|_| judge.asked() == 1).await;
    client.vanish();
    broker.until(|broker| broker.client("c").is_some_and(|client| !client.connected)).await;
    judge.sleep(false);
    // Nobody was told that it came: it comes again, and is handed on once.
    let (mut client, _) = broker.enter(connect).await;
    client.send(packets::again(packets::qos2(1, "t", "x"))).await;
    client.pubrec(1).await;
    reader.take("t", "x").await;
    reader.quiet().await;
}

#[tokio::test]
async fn subscriptions_follow_what_plugins_say_now() {
    let judge = Meddler::judging(&["t/#"], |subject, operation| {
        let is_mine = matches!(operation, Operation::Subscribe { .. });
        let denied = subject.identity.groups.iter().any(|group| group == "out");
        says(match (is_mine, denied) {
            (true, false) => OperationWord::Allow,
            (true, true) => OperationWord::Deny(denial(ReasonCode::NotAuthorized)),
            (false, _) => OperationWord::Next,
        })
    });
    let broker = with(&[&judge]).await;
    broker.doorman.set_user("c", User::with_rules([]));
    let (mut client, _) = broker.enter(packets::persistent(V5, "c")).await;
    client.subscribe("t/a", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "p").await;
    publisher.publish("t/a", "1").await;
    client.take("t/a", "1").await;
    // Asked again after a swap, and the subscription goes on.
    broker.swap_to(broker.doorman.chain_with([judge.link("first")]));
    broker.refreshed("c").await;
    publisher.publish("t/a", "2").await;
    client.take("t/a", "2").await;
    // Also in the session that comes back.
    client.vanish();
    broker.until(|broker| broker.client("c").is_some_and(|client| !client.connected)).await;
    publisher.send(packets::qos1(1, "t/a", "3")).await;
    publisher.puback(1).await;
    let (mut client, _) = broker.enter(packets::persistent(V5, "c")).await;
    client.take("t/a", "3").await;
    // Another plugin in its place says no: it stops.
    let other = Meddler::judging(&["t/#"], |_, operation| match operation {
        Operation::Subscribe { .. } => says(OperationWord::Deny(denial(ReasonCode::NotAuthorized))),
        Operation::Publish { .. } => says(OperationWord::Next),
    });
    broker.swap_to(broker.doorman.chain_with([other.link("first")]));
    broker.refreshed("c").await;
    publisher.publish("t/a", "4").await;
    client.quiet().await;
}

fn with_payload(payload: &str) -> Result<Inbound, PluginFailure> {
    let payload = Some(payload.as_bytes().to_vec());
    Ok(Inbound::Patched(Box::new(Patch { payload, ..Patch::default() })))
}

fn with_topic(topic: &str) -> Result<Inbound, PluginFailure> {
    let topic = Some(topic.to_owned());
    Ok(Inbound::Patched(Box::new(Patch { topic, ..Patch::default() })))
}

#[tokio::test]
async fn transforms_work_one_after_the_other() {
    let add = |letter: char| {
        move |_: Source, _: &str, message: &access::Application| {
            let text = String::from_utf8_lossy(&message.payload);
            with_payload(&format!("{text}{letter}"))
        }
    };
    let first = Meddler::working(&["t/#"], add('1'));
    let second = Meddler::working(&["t/+"], add('2'));
    let broker = with(&[&first, &second]).await;
    for version in BOTH {
        let mut client = broker.client(version, "c").await;
        client.subscribe("#", QoS::ExactlyOnce).await;
        client.publish("t/a", "x").await;
        client.take("t/a", "x12").await;
        client.publish("t/a/b", "x").await;
        client.take("t/a/b", "x1").await;
        client.publish("u", "x").await;
        client.take("u", "x").await;
        client.send(packets::qos2(1, "t/a", "y")).await;
        client.pubrec(1).await;
        let message = client.message().await;
        assert_eq!(message.text(), ("t/a", "y12"));
    }
}

#[tokio::test]
async fn everything_else_of_a_message_stays() {
    let work = Meddler::working(&["t"], |_, _, message| {
        assert_eq!(message.content_type.as_deref(), Some("text/plain"));
        assert_eq!(message.correlation_data.as_deref(), Some(b"7".as_slice()));
        let user_properties = Some(vec![("k".to_owned(), "2".to_owned())]);
        Ok(Inbound::Patched(Box::new(Patch { user_properties, ..Patch::default() })))
    });
    let broker = with(&[&work]).await;
    let mut client = broker.client(V5, "c").await;
    client.subscribe("t", QoS::AtLeastOnce).await;
    let publish = Publish {
        content_type: Some("text/plain"),
        correlation_data: Some(b"7"),
        response_topic: Some("r"),
        message_expiry_interval: Some(100),
        ..Publish::new("t", b"x")
    };
    client.send(packets::publish(1, QoS::AtLeastOnce, publish)).await;
    let seen = client
        .next(|packet| match packet {
            Packet::Publish(publish) => {
                let properties: Vec<_> = publish
                    .user_properties
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                assert_eq!(publish.content_type, Some("text/plain"));
                assert_eq!(publish.correlation_data, Some(b"7".as_slice()));
                assert_eq!(publish.response_topic, Some("r"));
                assert_eq!(publish.message_expiry_interval, Some(100));
                assert_eq!(properties, [("k".to_owned(), "2".to_owned())]);
                true
            }
            _ => false,
        })
        .await;
    // PUBACK and PUBLISH come in either order.
    if seen == Some(false) {
        client.message().await;
    }
}

/// The limits hold for what the client sends, whatever becomes of it.
#[tokio::test]
async fn a_change_does_not_hide_too_many_user_properties() {
    let work = Meddler::working(&["t"], |_, _, _| {
        Ok(Inbound::Patched(Box::new(Patch {
            user_properties: Some(Vec::new()),
            ..Patch::default()
        })))
    });
    let broker = with(&[&work]).await;
    let mut client = broker.client(V5, "c").await;
    // 65 properties `k` = `v`, one more than the limit.
    let mut properties = Vec::new();
    for _ in 0..65 {
        properties.extend_from_slice(&[0x26, 0, 1, b'k', 0, 1, b'v']);
    }
    let length = |bytes: usize| [(bytes & 0x7F) as u8 | 0x80, (bytes >> 7) as u8];
    let (section, body) = (length(properties.len()), length(8 + properties.len()));
    let parts: [&[u8]; 6] = [&[0x32], &body, &[0, 1, b't', 0, 1], &section, &properties, b"x"];
    client.send_bytes(&parts.concat()).await;
    assert_eq!(client.puback(1).await, ReasonCode::QuotaExceeded);
    assert_eq!(work.asked(), 0);
}

/// What was said of permissions that were taken back meanwhile is not acted upon.
#[tokio::test]
async fn an_answer_does_not_outlive_the_permissions() {
    let work = Meddler::working(&["t"], |_, _, _| Ok(Inbound::Unchanged));
    let broker = with(&[&work]).await;
    let mut client = broker.client(V5, "c").await;
    work.sleep(true);
    client.send(packets::qos1(1, "t", "x")).await;
    broker.until(|_| work.asked() == 1).await;
    let asked = "portcullis_permissions_seconds_count";
    let before = broker.counted(asked);
    broker.doorman.set_user("c", User::with_rules([deny("t")]));
    BrokerForPlugins::invalidate(&*broker.broker, Whose::Client("c"));
    broker.until(|_| broker.counted(asked) > before).await;
    // The client's own turn has to have seen the answer: it is asked about everything it sends.
    broker.client(V5, "other").await.quiet().await;
    work.sleep(false);
    assert_eq!(client.puback(1).await, ReasonCode::NotAuthorized);
}

#[tokio::test]
async fn a_message_can_be_kept_back_and_refused() {
    let work = Meddler::working(&["t/#"], |_, _, message| match &*message.topic {
        "t/swallow" => Ok(Inbound::Swallow),
        "t/reject" => Ok(Inbound::Reject(denial(ReasonCode::PayloadFormatInvalid))),
        "t/fail" => Err(failure()),
        _ => Ok(Inbound::Unchanged),
    });
    let broker = with(&[&work]).await;
    let mut reader = broker.client(V5, "reader").await;
    reader.subscribe("#", QoS::AtMostOnce).await;
    let mut client = broker.client(V5, "c").await;
    let cases = [
        ("t/swallow", ReasonCode::Success),
        ("t/reject", ReasonCode::PayloadFormatInvalid),
        ("t/fail", ReasonCode::ImplementationSpecificError),
        ("t/other", ReasonCode::Success),
    ];
    for (id, (topic, code)) in (1..).zip(cases) {
        client.send(packets::retained(packets::qos1(2 * id, topic, "x"))).await;
        assert_eq!(client.puback(2 * id).await, code, "{topic}");
        client.send(packets::qos2(2 * id + 1, topic, "x")).await;
        assert_eq!(client.pubrec(2 * id + 1).await, code, "{topic}");
    }
    for _ in 0..2 {
        reader.take("t/other", "x").await;
    }
    reader.quiet().await;
    assert_eq!(broker.broker.totals().retained_messages, 1);
}

#[tokio::test]
async fn a_changed_topic_needs_its_own_permission() {
    let work = Meddler::working(&["t/#"], |_, _, message| match &*message.topic {
        "t/allowed" => with_topic("allowed/x"),
        "t/denied" => with_topic("denied/x"),
        "t/wildcard" => with_topic("a/#"),
        "t/empty" => with_topic(""),
        "t/broker" => with_topic("$SYS/broker/version"),
        _ => Ok(Inbound::Unchanged),
    });
    let broker = with(&[&work]).await;
    broker.doorman.set_user("c", User::with_rules([deny("denied/#"), allow("#")]));
    let mut reader = broker.client(V5, "reader").await;
    reader.subscribe("#", QoS::AtMostOnce).await;
    let mut client = broker.client(V5, "c").await;
    let cases = [
        ("t/allowed", ReasonCode::Success),
        ("t/denied", ReasonCode::NotAuthorized),
        ("t/wildcard", ReasonCode::ImplementationSpecificError),
        ("t/empty", ReasonCode::ImplementationSpecificError),
        ("t/broker", ReasonCode::NotAuthorized),
    ];
    for (id, (topic, code)) in (1..).zip(cases) {
        client.send(packets::qos1(id, topic, "x")).await;
        assert_eq!(client.puback(id).await, code, "{topic}");
    }
    reader.take("allowed/x", "x").await;
    reader.quiet().await;
}

#[tokio::test]
async fn wills_are_judged_and_worked_on() {
    let judge = Meddler::judging(&["will/#"], |_, operation| by_last_level(operation));
    let work = Meddler::working(&["will/allow"], |source, publisher, message| {
        assert_eq!((source, publisher), (Source::Will, "c"));
        with_payload(&format!("{} changed", String::from_utf8_lossy(&message.payload)))
    });
    let broker = with(&[&judge, &work]).await;
    broker.doorman.set_user("c", User::with_rules([]));
    let mut reader = broker.client(V5, "reader").await;
    reader.subscribe("will/#", QoS::AtMostOnce).await;
    let connect = |topic| packets::with_will(Connect::new(V5, "c"), Will::new(topic, b"gone"));
    for topic in ["will/deny", "will/next", "will/fail"] {
        let mut client = broker.knock(connect(topic)).await;
        assert_ne!(client.connack().await.reason_code, ReasonCode::Success, "{topic}");
    }
    let (client, _) = broker.enter(connect("will/allow")).await;
    client.vanish();
    reader.take("will/allow", "gone changed").await;
    // Also when another connection takes over.
    let (_client, _) = broker.enter(connect("will/allow")).await;
    let (_other, _) = broker.enter(Connect::new(V5, "c")).await;
    reader.take("will/allow", "gone changed").await;
    reader.quiet().await;
}
