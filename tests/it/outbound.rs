//! What plugins make of messages on their way to subscribers.

use std::sync::Arc;

use access::{Application, Outbound, Patch, PluginFailure, PluginFailureKind, Scope};
use codec::{Packet, ProtocolVersion::V5, QoS, Will};
use portcullis_tests::{BOTH, Broker, Client, Meddler, Setup, packets};
use server::BrokerHandle;

fn payload(text: &str) -> Outbound {
    let payload = Some(text.as_bytes().to_vec());
    Outbound::Patched(Box::new(Patch { payload, ..Patch::default() }))
}

fn text(message: &Application) -> &str {
    std::str::from_utf8(&message.payload).expect("a text payload")
}

/// Who it is for, and the payload in capitals; the payload may also say what to do.
fn send(client_id: Option<&str>, message: &Application) -> Result<Outbound, PluginFailure> {
    match text(message) {
        "swallow" => Ok(Outbound::Swallow),
        "leave" => Ok(Outbound::Unchanged),
        "fail" => {
            let message = "broken".to_owned();
            Err(PluginFailure { kind: PluginFailureKind::Trap, message })
        }
        "grow" => Ok(payload(&"x".repeat(2 << 20))),
        text => Ok(payload(&format!("{}{}", client_id.unwrap_or_default(), text.to_uppercase()))),
    }
}

fn for_all() -> Arc<Meddler> {
    Meddler::sending(&["out/#"], Scope::Message, send)
}

fn for_each() -> Arc<Meddler> {
    Meddler::sending(&["out/#"], Scope::Subscriber, send)
}

fn put_in(broker: &Broker, meddlers: &[&Arc<Meddler>]) {
    let names = ["first", "second", "third"];
    let links = meddlers.iter().zip(names).map(|(meddler, name)| meddler.link(name));
    broker.swap_to(broker.doorman.chain_with(links));
}

async fn with(meddlers: &[&Arc<Meddler>]) -> Broker {
    let broker = Broker::start().await;
    put_in(&broker, meddlers);
    broker
}

/// A session that waits for its client.
async fn leave_behind(broker: &Broker, client_id: &str, filter: &str) {
    let mut client = broker.enter(packets::persistent(V5, client_id)).await.0;
    client.subscribe(filter, QoS::ExactlyOnce).await;
    client.leave().await;
    broker.until(|b| b.client(client_id).is_some_and(|client| !client.connected)).await;
}

async fn resume(broker: &Broker, client_id: &str) -> Client {
    let (client, connack) = broker.enter(packets::persistent(V5, client_id)).await;
    assert!(connack.session_present);
    client
}

#[tokio::test]
async fn a_subscriber_gets_what_plugins_made_of_it() {
    let broker = with(&[&for_each()]).await;
    for version in BOTH {
        for (id, qos) in (1..).zip([QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]) {
            let mut reader = broker.client(version, "r").await;
            reader.subscribe("#", qos).await;
            let mut writer = broker.client(version, "w").await;
            writer.send(packets::qos1(id, "out/a", "one")).await;
            writer.send(packets::qos1(id, "other", "two")).await;
            writer.send(packets::qos1(id, "out/b", "leave")).await;
            writer.send(packets::qos1(id, "out/a", "three")).await;
            let qos = qos.min(QoS::AtLeastOnce);
            let mut got = Vec::new();
            for _ in 0..4 {
                let message = reader.message().await;
                assert_eq!(message.qos, qos);
                reader.acknowledge(&message).await;
                got.push((message.topic, String::from_utf8(message.payload).unwrap()));
            }
            got.retain(|(topic, payload)| (&**topic, &**payload) != ("other", "two"));
            let claimed = [("out/a", "rONE"), ("out/b", "leave"), ("out/a", "rTHREE")];
            let expect = claimed.map(|(topic, payload)| (topic.to_owned(), payload.to_owned()));
            assert_eq!(got, expect);
            reader.quiet().await;
        }
    }
}

#[tokio::test]
async fn properties_go_on_and_may_change() {
    let meddler = Meddler::sending(&["#"], Scope::Message, |_, message| {
        assert_eq!(message.response_topic.as_deref(), Some("answers"));
        assert!(message.message_expiry_seconds.is_some_and(|left| (50..=60).contains(&left)));
        Ok(Outbound::Patched(Box::new(Patch {
            content_type: Some("text/plain".to_owned()),
            user_properties: Some(vec![("k".to_owned(), "new".to_owned())]),
            // Not theirs to say.
            topic: Some("elsewhere".to_owned()),
            ..Patch::default()
        })))
    });
    let broker = with(&[&meddler]).await;
    let mut reader = broker.client(V5, "r").await;
    reader.subscribe("#", QoS::AtLeastOnce).await;
    let mut writer = broker.client(V5, "w").await;
    let publish = codec::Publish {
        response_topic: Some("answers"),
        message_expiry_interval: Some(60),
        ..codec::Publish::new("t", b"x")
    };
    writer.send(packets::publish(1, QoS::AtLeastOnce, publish)).await;
    let message = reader.take("t", "x").await;
    assert_eq!(message.response_topic.as_deref(), Some("answers"));
    assert_eq!(message.content_type.as_deref(), Some("text/plain"));
    assert_eq!(message.user_properties, [("k".to_owned(), "new".to_owned())]);
    assert!(message.message_expiry_interval.is_some_and(|left| (50..=60).contains(&left)));
}

#[tokio::test]
async fn one_call_is_for_all_subscribers_or_for_each() {
    const READERS: usize = 10;
    for (meddler, calls) in [(for_all(), 3), (for_each(), 3 * READERS)] {
        let broker = with(&[&meddler]).await;
        let mut readers = Vec::new();
        for number in 0..READERS {
            let mut reader = broker.client(BOTH[number % 2], &format!("r{number}")).await;
            reader.subscribe("out/#", [QoS::AtMostOnce, QoS::AtLeastOnce][number % 2]).await;
            readers.push(reader);
        }
        // All of them want it before there is an answer.
        meddler.sleep(true);
        let mut writer = broker.client(V5, "w").await;
        for id in 1..=3 {
            writer.send(packets::qos1(id, "out/t", &format!("m{id}"))).await;
            writer.puback(id).await;
        }
        broker.until(|_| meddler.asked() >= 1).await;
        meddler.sleep(false);
        for (number, reader) in readers.iter_mut().enumerate() {
            for id in 1..=3 {
                let who = if calls == 3 { String::new() } else { format!("r{number}") };
                reader.take("out/t", &format!("{who}M{id}")).await;
            }
        }
        assert_eq!(meddler.asked(), calls);
    }
}

#[tokio::test]
async fn each_works_on_what_the_one_before_left() {
    let append = |what: &'static str| {
        move |client_id: Option<&str>, message: &Application| {
            let who = client_id.unwrap_or("-");
            Ok(payload(&format!("{} {what}{who}", text(message))))
        }
    };
    let first = Meddler::sending(&["t"], Scope::Message, append("a"));
    let second = Meddler::sending(&["t"], Scope::Subscriber, append("b"));
    let third = Meddler::sending(&["t"], Scope::Message, append("c"));
    let broker = with(&[&first, &second, &third]).await;
    let mut readers = [broker.client(V5, "x").await, broker.client(V5, "y").await];
    for reader in &mut readers {
        reader.subscribe("t", QoS::AtMostOnce).await;
    }
    broker.client(V5, "w").await.publish("t", "m").await;
    readers[0].take("t", "m a- bx c-").await;
    readers[1].take("t", "m a- by c-").await;
    assert_eq!([first.asked(), second.asked(), third.asked()], [1, 2, 2]);
}

#[tokio::test]
async fn what_is_swallowed_or_fails_is_not_delivered_and_all_else_is() {
    let broker = with(&[&for_all()]).await;
    let mut reader = broker.client(V5, "r").await;
    reader.subscribe("out/#", QoS::AtLeastOnce).await;
    let mut writer = broker.client(V5, "w").await;
    for (id, text) in (1..).zip(["one", "swallow", "two", "fail", "grow", "three"]) {
        writer.send(packets::qos1(id, "out/t", text)).await;
        assert_eq!(writer.puback(id).await, codec::ReasonCode::Success, "{text}: it was accepted");
    }
    for text in ["ONE", "TWO", "THREE"] {
        reader.take("out/t", text).await;
    }
    reader.quiet().await;
    let dropped = |reason: &str| {
        broker.counted(&format!("portcullis_messages_dropped_total{{reason=\"{reason}\"}}"))
    };
    assert_eq!((dropped("transform_swallowed"), dropped("transform_failed")), (1, 2));
}

#[tokio::test]
async fn who_waits_for_a_plugin_waits_alone() {
    let meddler = for_each();
    let broker = with(&[&meddler]).await;
    let mut slow = broker.client(V5, "slow").await;
    slow.subscribe("out/#", QoS::AtLeastOnce).await;
    slow.subscribe("other", QoS::AtMostOnce).await;
    let mut quick = broker.client(V5, "quick").await;
    quick.subscribe("other", QoS::AtMostOnce).await;
    let mut writer = broker.client(V5, "w").await;
    meddler.sleep(true);
    for id in 1..=50 {
        writer.send(packets::qos1(id, "out/t", &format!("m{id}"))).await;
        writer.puback(id).await;
    }
    writer.publish("other", "x").await;
    quick.take("other", "x").await;
    // Another topic goes past, and what the client sends is answered.
    slow.take("other", "x").await;
    slow.send(Packet::PingReq).await;
    slow.expect(Packet::PingResp).await;
    meddler.sleep(false);
    for id in 1..=50 {
        slow.take("out/t", &format!("slowM{id}")).await;
    }
}

#[tokio::test]
async fn retained_messages_and_wills_go_through_and_stay_as_they_are() {
    let meddler = for_all();
    let broker = with(&[&meddler]).await;
    let mut writer = broker.client(V5, "w").await;
    for number in 1..=70 {
        let topic = format!("out/{number:02}");
        writer.send(packets::retained(packets::qos1(number, &topic, "kept"))).await;
        writer.puback(number).await;
    }
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut reader = broker.client(V5, "r").await;
        reader.subscribe("out/#", qos).await;
        for number in 1..=70 {
            let message = reader.take(&format!("out/{number:02}"), "KEPT").await;
            assert!(message.retain);
        }
        reader.quiet().await;
    }
    put_in(&broker, &[]);
    let mut reader = broker.client(V5, "r").await;
    reader.subscribe("out/01", QoS::AtMostOnce).await;
    reader.take("out/01", "kept").await;

    put_in(&broker, &[&meddler]);
    broker.refreshed("r").await;
    let will = Will::new("out/01", b"gone");
    let dying = packets::with_will(packets::login(V5, "d", ("d", "")), will);
    broker.enter(dying).await.0.vanish();
    reader.take("out/01", "GONE").await;
}

#[tokio::test]
async fn what_waited_for_its_client_is_worked_on_when_it_comes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let meddler = for_each();
    for restart in [false, true] {
        let setup = || Setup::default().kept_in(&folder.path().join("store"));
        let mut broker = setup().start().await;
        put_in(&broker, &[&meddler]);
        leave_behind(&broker, "r", "out/#").await;
        let mut writer = broker.client(V5, "w").await;
        for id in 1..=300 {
            writer.send(packets::qos1(id, "out/t", &format!("m{id}"))).await;
            writer.puback(id).await;
        }
        let before = meddler.asked();
        if restart {
            broker.crash();
            broker = setup().start().await;
            put_in(&broker, &[&meddler]);
        }
        let mut reader = resume(&broker, "r").await;
        for id in 1..=300 {
            reader.take("out/t", &format!("rM{id}")).await;
        }
        reader.quiet().await;
        assert_eq!(meddler.asked() - before, 300, "restart: {restart}");
        broker.stop().await;
    }
}

/// The client was sent something, and gets the same again.
#[tokio::test]
async fn what_was_sent_is_sent_again_as_it_was() {
    let meddler = for_each();
    let broker = with(&[&meddler]).await;
    leave_behind(&broker, "r", "out/#").await;
    let mut writer = broker.client(V5, "w").await;
    writer.send(packets::qos1(1, "out/t", "m")).await;
    writer.puback(1).await;
    let mut reader = resume(&broker, "r").await;
    assert_eq!(reader.message().await.text(), ("out/t", "rM"));
    reader.vanish();
    let mut reader = resume(&broker, "r").await;
    let again = reader.take("out/t", "rM").await;
    assert!(again.dup);
    assert_eq!(meddler.asked(), 1);
}

#[tokio::test]
async fn the_next_generation_is_asked_about_what_still_waits() {
    let (old, new) = (for_all(), for_each());
    let broker = with(&[&old]).await;
    let mut reader = broker.client(V5, "r").await;
    reader.subscribe("out/#", QoS::AtLeastOnce).await;
    let mut writer = broker.client(V5, "w").await;
    old.sleep(true);
    writer.send(packets::qos1(1, "out/t", "m")).await;
    writer.puback(1).await;
    broker.until(|_| old.asked() == 1).await;
    put_in(&broker, &[&new]);
    reader.take("out/t", "rM").await;
    // Without any, nothing waits.
    new.sleep(true);
    writer.send(packets::qos1(2, "out/t", "m")).await;
    writer.puback(2).await;
    broker.until(|_| new.asked() == 2).await;
    put_in(&broker, &[]);
    reader.take("out/t", "m").await;
}
