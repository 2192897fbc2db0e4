//! `$SYS/...`: what the broker says about itself, to whom, and that nobody else can say it.

use std::{collections::BTreeMap, fs, time::Duration};

use codec::{Connect, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Client, Setup, User, allow, packets};
use server::{BrokerHandle, LiveConfig, SysConfig};
use topic::TopicFilter;

use crate::tidy::root;
use ProtocolVersion::{V5, V311};

const SYS: &str = "$SYS/#";

/// A broker whose user `ops` may read and, as far as rules can say so, write everything of `$SYS`.
async fn broker(change: impl FnOnce(&mut LiveConfig)) -> Broker {
    let broker = Setup::with(change).start().await;
    broker.doorman.set_user("ops", User::with_rules([allow(SYS), allow("#")]));
    broker
}

/// The values are looked at again and again without a pause worth mentioning.
fn at_once(live: &mut LiveConfig) {
    live.sys.interval = Some(Duration::from_millis(20));
}

fn as_ops(version: ProtocolVersion, client_id: &str) -> Connect {
    packets::login(version, client_id, ("ops", "any"))
}

async fn ops(broker: &Broker, version: ProtocolVersion) -> Client {
    broker.enter(as_ops(version, "ops")).await.0
}

/// Waits for a message on `topic` with this payload; other payloads may come before.
async fn until(client: &mut Client, topic: &str, payload: &str) {
    loop {
        let message = client.message().await;
        if message.text() == (topic, payload) {
            return;
        }
        assert_eq!(message.topic, topic);
    }
}

/// All that is retained below `$SYS`.
async fn read(broker: &Broker) -> BTreeMap<String, String> {
    let mut client = ops(broker, V5).await;
    // The first look of a new broker may still be to come; it publishes all in one go.
    client.subscribe("$SYS/broker/version", QoS::AtMostOnce).await;
    client.message().await;
    client.subscribe(SYS, QoS::AtMostOnce).await;
    let messages = client.drain().await;
    let values = messages.iter().filter(|message| message.retain).map(|message| {
        assert_eq!((message.qos, message.dup), (QoS::AtMostOnce, false));
        let (topic, value) = message.text();
        (topic.to_owned(), value.to_owned())
    });
    values.collect()
}

/// Waits until the broker has looked at its values so many times and found that bytes had come; nothing
/// else comes to the client meanwhile.
async fn changes_of_bytes_received(client: &mut Client, count: usize) {
    let (topic, mut seen) = ("$SYS/broker/bytes/received", 0);
    client.subscribe(topic, QoS::AtMostOnce).await;
    while seen < count {
        for message in client.drain().await {
            assert_eq!(message.topic, topic);
            seen += 1;
        }
    }
}

#[tokio::test]
async fn a_new_subscriber_gets_every_value_at_once() {
    let broker = broker(|_| {}).await;
    let values = read(&broker).await;
    let version = values["$SYS/broker/version"].as_str();
    assert_eq!(version, concat!("portcullis version ", env!("CARGO_PKG_VERSION")));
    assert!(values["$SYS/broker/uptime"].ends_with(" seconds"));
    for (topic, value) in values {
        let number = value.parse::<f64>().is_ok_and(|number| number >= 0.0);
        let text = topic.ends_with("/version") || topic.ends_with("/uptime");
        assert!(number || text, "{topic}: {value}");
    }
}

/// `docs/operate/sys-topics.md` names each topic, and no other. One that needs an event first is
/// made to appear.
#[tokio::test]
async fn every_topic_is_documented() {
    let broker = broker(|live| {
        at_once(live);
        live.limits.sizes.retained_messages = 0;
    })
    .await;
    let mut client = broker.client(V311, "a").await;
    client.send(packets::retained(packets::qos0("t", "does not fit"))).await;
    client.quiet().await;
    let mut watcher = ops(&broker, V5).await;
    watcher.subscribe("$SYS/portcullis/dropped/+", QoS::AtMostOnce).await;
    until(&mut watcher, "$SYS/portcullis/dropped/retained_full", "1").await;
    watcher.leave().await;
    let values = read(&broker).await;
    let page = fs::read_to_string(root().join("docs/operate/sys-topics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `$SYS/"));
    let documented: Vec<_> = rows
        .map(|row| TopicFilter::new(&format!("$SYS/{}", row.split_once('`').unwrap().0)).unwrap())
        .collect();
    assert!(documented.len() > 30, "{documented:?}");
    for topic in values.keys() {
        let named = documented.iter().filter(|filter| filter.matches(topic)).count();
        assert_eq!(named, 1, "{topic} in docs/operate/sys-topics.md");
    }
    for filter in documented {
        assert!(values.keys().any(|topic| filter.matches(topic)), "{filter} is not published");
    }
}

#[tokio::test]
async fn what_changes_is_published_and_only_that() {
    for version in BOTH {
        let broker = broker(at_once).await;
        let mut client = ops(&broker, version).await;
        let connected = "$SYS/broker/clients/connected";
        client.subscribe(connected, QoS::ExactlyOnce).await;
        until(&mut client, connected, "1").await;
        client.subscribe("$SYS/broker/version", QoS::AtMostOnce).await;
        assert!(client.message().await.retain);
        let other = broker.client(version, "other").await;
        let message = client.take(connected, "2").await;
        assert_eq!((message.qos, message.retain), (QoS::AtMostOnce, false));
        other.leave().await;
        client.take(connected, "1").await;
        // Many looks later the version has not come again.
        changes_of_bytes_received(&mut client, 5).await;
    }
}

/// Whatever the rules say: by PUBLISH of any QoS, by alias, or as Will Message.
#[tokio::test]
async fn no_client_publishes_there() {
    let broker = broker(|_| {}).await;
    let mut watcher = ops(&broker, V5).await;
    watcher.subscribe("$SYS/own/#", QoS::ExactlyOnce).await;
    watcher.subscribe("$SYS", QoS::ExactlyOnce).await;
    for version in BOTH {
        let login = |id: &str| as_ops(version, id);
        let mut client = broker.enter(login("writer")).await.0;
        for topic in ["$SYS", "$SYS/own/x", "$SYS/own/"] {
            let code = client.publish(topic, "x").await;
            let (denied, accepted) = (ReasonCode::NotAuthorized, ReasonCode::Success);
            assert_eq!(code, if version == V5 { denied } else { accepted }, "{topic}");
            client.send(packets::retained(packets::qos0(topic, "x"))).await;
            client.send(packets::qos2(7, topic, "x")).await;
            let code = client.pubrec(7).await;
            assert_eq!(code.is_failure(), version == V5);
            if version == V311 {
                client.send(packets::pubrel(7, ReasonCode::Success)).await;
                client.expect(packets::pubcomp(7, ReasonCode::Success)).await;
            }
            let will = Will { topic: topic.to_owned(), ..Will::new("t", b"gone") };
            let mut dying = broker.knock(packets::with_will(login("dying"), will)).await;
            dying.expect(packets::refusal(ReasonCode::NotAuthorized)).await;
        }
        client.quiet().await;
    }
    watcher.quiet().await;
    let values = read(&broker).await;
    assert!(values.keys().all(|topic| !topic.starts_with("$SYS/own")), "{values:?}");
    assert_eq!(broker.broker.totals().retained_messages, 0);
    assert!(broker.counted("portcullis_publish_denied_total") >= 18);
}

/// Everything but `$SYS` is no permission for `$SYS`, and `#` no subscription to it.
#[tokio::test]
async fn wildcards_do_not_reach_it() {
    for version in BOTH {
        let broker = broker(at_once).await;
        let mut client = broker.client(version, "a").await;
        for filter in [SYS, "$SYS/+/uptime", "$SYS/broker/version", "$share/g/$SYS/#"] {
            client.send(packets::subscribe(1, &[(filter, QoS::AtMostOnce)])).await;
            // 3.1.1 has one code for every failure.
            let failure = match version {
                V5 => ReasonCode::NotAuthorized,
                V311 => ReasonCode::UnspecifiedError,
            };
            client.expect(packets::suback(1, &[failure])).await;
        }
        let mut ops = ops(&broker, version).await;
        for filter in ["#", "+/#", "+/broker/version", "+/+/uptime"] {
            ops.subscribe(filter, QoS::AtMostOnce).await;
        }
        // It is there, and it goes on: only not for these.
        ops.subscribe("$SYS/broker/version", QoS::AtMostOnce).await;
        assert_eq!(ops.message().await.topic, "$SYS/broker/version");
        changes_of_bytes_received(&mut ops, 3).await;
    }
}

/// Retained messages of clients may be full, or not allowed at all.
#[tokio::test]
async fn outside_the_limits_of_retained_messages() {
    let broker = broker(|live| {
        live.limits.sizes.retained_messages = 0;
        live.limits.sizes.retained_bytes = 0;
    })
    .await;
    let values = read(&broker).await;
    assert_eq!(values["$SYS/broker/retained messages/count"], "0");
    let totals = broker.broker.totals();
    assert_eq!((totals.retained_messages, totals.retained_bytes), (0, 0));
}

#[tokio::test]
async fn off_and_on_while_running() {
    let off = SysConfig { interval: None };
    let broker = broker(|live| live.sys = off).await;
    let mut client = ops(&broker, V5).await;
    let version = "$SYS/broker/version";
    client.subscribe(version, QoS::AtMostOnce).await;
    client.quiet().await;
    let on = LiveConfig::default();
    broker.broker.reconfigure(on.clone());
    assert!(!client.message().await.retain);
    assert!(read(&broker).await.len() > 50);
    broker.broker.reconfigure(LiveConfig { sys: off, ..on });
    // Cleared as soon as its task had its turn: a subscriber that finds something is too early.
    let deadline = tokio::time::Instant::now() + portcullis_tests::WAIT;
    let mut late = broker.enter(as_ops(V5, "late")).await.0;
    loop {
        late.subscribe(version, QoS::AtMostOnce).await;
        if late.drain().await.is_empty() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "is still there");
    }
}

/// The numbers are those of what happened.
#[tokio::test]
async fn numbers() {
    let broker = broker(at_once).await;
    let mut sleeper = broker.enter(packets::persistent(V5, "sleeper")).await.0;
    sleeper.subscribe("t", QoS::AtLeastOnce).await;
    sleeper.leave().await;
    broker.until(|broker| broker.totals().connections == 0).await;
    let mut client = broker.client(V5, "a").await;
    client.send(packets::retained(packets::qos1(1, "t", "12345"))).await;
    assert_eq!(client.puback(1).await, ReasonCode::Success);
    client.subscribe("t", QoS::AtMostOnce).await;
    client.take("t", "12345").await;
    client.send(packets::subscribe(2, &[("$SYS/x", QoS::AtMostOnce)])).await;
    client.expect(packets::suback(2, &[ReasonCode::NotAuthorized])).await;
    assert_eq!(client.publish("$SYS/x", "x").await, ReasonCode::NotAuthorized);
    let message = "t12345".len();
    // Fixed header, topic, Packet Identifier, Property Length and payload of the two.
    let published = (2 + 2 + "t".len() + 2 + 1 + 5) + (2 + 2 + "$SYS/x".len() + 2 + 1 + 1);
    for (topic, value) in [
        ("broker/clients/connected", 2),
        ("broker/clients/disconnected", 1),
        ("broker/clients/total", 3),
        ("broker/clients/maximum", 2),
        ("broker/subscriptions/count", 3),
        ("broker/retained messages/count", 1),
        ("broker/store/messages/count", 2),
        ("broker/store/messages/bytes", 2 * message),
        ("broker/publish/messages/received", 2),
        ("broker/publish/bytes/received", published),
        ("portcullis/queued/messages", 1),
        ("portcullis/queued/bytes", message),
        ("portcullis/retained/bytes", message),
        ("portcullis/denied/publish", 1),
        ("portcullis/denied/subscribe", 1),
        ("portcullis/refused/connects", 0),
    ] {
        let topic = format!("$SYS/{topic}");
        let mut ops = ops(&broker, V5).await;
        ops.subscribe(&topic, QoS::AtMostOnce).await;
        until(&mut ops, &topic, &value.to_string()).await;
        ops.leave().await;
        broker.until(|broker| broker.totals().connections == 1).await;
    }
}
