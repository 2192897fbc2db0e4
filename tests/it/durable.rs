//! What outlives the broker: each test ends one and starts another on the same folder.

use std::{net::SocketAddr, time::Duration};

use codec::{Connect, Packet, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Client, Message, Setup, User, allow, packets};
use server::{BrokerHandle, Resources, SubscriptionQuery, Transport};
use store::{FileStore, KeptSubscription, Options, Store};
use tempfile::TempDir;
use topic::SubscriptionFilter;

use ProtocolVersion::{V5, V311};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn setup(folder: &TempDir) -> Setup {
    Setup::default().kept_in(&folder.path().join("store"))
}

async fn start(folder: &TempDir) -> Broker {
    setup(folder).start().await
}

/// Ends the broker in order and starts the next one.
async fn restart(broker: Broker, folder: &TempDir) -> Broker {
    broker.stop().await;
    start(folder).await
}

/// As [`restart`], without a goodbye.
async fn crash(broker: Broker, folder: &TempDir) -> Broker {
    broker.crash();
    start(folder).await
}

async fn resume(broker: &Broker, connect: Connect) -> Client {
    let (client, connack) = broker.enter(connect).await;
    assert!(connack.session_present, "{}: the session is gone", client.name);
    client
}

/// A session with one subscription, left behind.
async fn leave_behind(broker: &Broker, connect: &Connect, filter: &str) {
    let mut client = broker.enter(connect.clone()).await.0;
    client.subscribe(filter, QoS::ExactlyOnce).await;
    client.leave().await;
    let id = connect.client_id.clone();
    broker.until(|b| b.client(&id).is_some_and(|client| !client.connected)).await;
}

/// These messages come, in this order, and are acknowledged up to their end. All of them are read first: a PUBREL waits
/// for the disk, and messages overtake it.
async fn take_all(client: &mut Client, expect: &[(&str, &str)]) -> Vec<Message> {
    let mut messages = Vec::new();
    for expect in expect {
        let message = client.message().await;
        assert_eq!(message.text(), *expect);
        messages.push(message);
    }
    for message in &messages {
        client.acknowledge(message).await;
    }
    messages
}

async fn exactly_once(publisher: &mut Client, id: u16, topic: &str, text: &str) {
    publisher.send(packets::qos2(id, topic, text)).await;
    publisher.expect(packets::pubrec(id, ReasonCode::Success)).await;
    publisher.send(packets::pubrel(id, ReasonCode::Success)).await;
    publisher.expect(packets::pubcomp(id, ReasonCode::Success)).await;
}

#[tokio::test]
async fn what_waits_is_delivered_once_and_in_order() {
    for version in BOTH {
        let folder = folder();
        let broker = start(&folder).await;
        let connect = packets::persistent(version, "sub");
        leave_behind(&broker, &connect, "t/#").await;
        let mut publisher = broker.client(V5, "pub").await;
        for round in 0..10 {
            publisher.publish("t/1", &format!("{round}")).await;
            exactly_once(&mut publisher, 9, "t/2", &format!("{round}'")).await;
        }
        let broker = restart(broker, &folder).await;
        let mut subscriber = resume(&broker, connect.clone()).await;
        let texts: Vec<_> = (0..10).map(|n| (n.to_string(), format!("{n}'"))).collect();
        let texts = texts.iter().flat_map(|(one, two)| [("t/1", &**one), ("t/2", &**two)]);
        let taken = take_all(&mut subscriber, &texts.collect::<Vec<_>>()).await;
        assert!(taken.iter().all(|message| !message.dup), "they were never sent");
        subscriber.leave().await;
        let broker = restart(broker, &folder).await;
        resume(&broker, connect).await.quiet().await;
    }
}

/// Since when a subscription exists outlives the broker, and other options; what was kept before that was written down is
/// of nobody knows when.
#[tokio::test]
async fn a_subscription_exists_since_it_began() {
    let folder = folder();
    let broker = start(&folder).await;
    let since = |broker: &Broker, filter: &str| {
        let all = SubscriptionQuery { limit: 10, ..SubscriptionQuery::default() };
        let mut found = broker.broker.subscriptions(&all).subscriptions.into_iter();
        found.find(|it| it.filter == filter).unwrap_or_else(|| panic!("no {filter}")).since_unix
    };
    let began = unix_now();
    let connect = packets::persistent(V5, "sub");
    let mut client = broker.enter(connect.clone()).await.0;
    client.subscribe("new", QoS::AtLeastOnce).await;
    client.leave().await;
    broker.until(|b| b.client("sub").is_some_and(|client| !client.connected)).await;
    let told = since(&broker, "new");
    assert!(told.is_some_and(|told| (began..=unix_now()).contains(&told)), "{told:?}");
    broker.stop().await;
    let options = Options::new(folder.path().join("store"));
    let (store, found) = FileStore::open(options).expect("the store opens");
    let key = found.sessions.first().expect("a session").key;
    for (filter, since_unix) in [("old", Some(1_000_000_000)), ("older", None)] {
        let (filter, identifier) = (filter.to_owned(), None);
        let kept =
            KeptSubscription { filter, identifier, options: 1, retained_due: false, since_unix };
        store.put_subscription(key, kept);
    }
    store.close().expect("it is written");
    drop(store);
    let broker = start(&folder).await;
    let both = |broker: &Broker| ["old", "older"].map(|filter| since(broker, filter));
    assert_eq!((since(&broker, "new"), both(&broker)), (told, [Some(1_000_000_000), None]));
    let mut client = resume(&broker, connect).await;
    client.subscribe("old", QoS::AtMostOnce).await;
    client.subscribe("older", QoS::AtMostOnce).await;
    assert_eq!(both(&broker), [Some(1_000_000_000), None], "with other options");
    let filter = SubscriptionFilter::parse("old").expect("a filter");
    assert_eq!(broker.broker.unsubscribe("sub", &filter).await, Ok(()));
    client.subscribe("old", QoS::AtMostOnce).await;
    assert!(both(&broker)[0] >= Some(began), "another one");
}

fn unix_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

#[tokio::test]
async fn a_flow_goes_on_where_it_was() {
    for (version, crashes) in [(V5, false), (V311, false), (V5, true), (V311, true)] {
        let folder = folder();
        let broker = start(&folder).await;
        let connect = packets::persistent(version, "sub");
        let mut subscriber = broker.enter(connect.clone()).await.0;
        subscriber.subscribe("t", QoS::ExactlyOnce).await;
        let mut publisher = broker.client(V5, "pub").await;
        publisher.publish("t", "one").await;
        for (id, text) in [(1, "two"), (2, "three")] {
            exactly_once(&mut publisher, id, "t", text).await;
        }
        let one = subscriber.message().await;
        let two = subscriber.message().await;
        let three = subscriber.message().await;
        subscriber.send(packets::pubrec(three.packet_id, ReasonCode::Success)).await;
        subscriber.expect(packets::pubrel(three.packet_id, ReasonCode::Success)).await;
        let end =
            if crashes { crash(broker, &folder).await } else { restart(broker, &folder).await };
        let broker = end;
        let mut subscriber = resume(&broker, connect.clone()).await;
        // The third is the client's already: only its PUBREL comes again.
        subscriber.expect(packets::pubrel(three.packet_id, ReasonCode::Success)).await;
        for before in [&one, &two] {
            let again = subscriber.message().await;
            assert!(again.dup);
            assert_eq!((again.text(), again.packet_id), (before.text(), before.packet_id));
            subscriber.acknowledge(&again).await;
        }
        subscriber.send(packets::pubcomp(three.packet_id, ReasonCode::Success)).await;
        subscriber.quiet().await;
        assert_eq!(broker.broker.client("sub").unwrap().in_flight, 0);
        subscriber.leave().await;
        let broker = crash(broker, &folder).await;
        resume(&broker, connect).await.quiet().await;
    }
}

/// A repetition of a QoS 2 PUBLISH is known as one, also by the next process [MQTT-4.3.3-10].
#[tokio::test]
async fn a_repetition_is_known_after_a_crash() {
    for version in BOTH {
        let folder = folder();
        let broker = start(&folder).await;
        let subscriber = packets::persistent(version, "sub");
        leave_behind(&broker, &subscriber, "t").await;
        let connect = packets::persistent(version, "pub");
        let mut publisher = broker.enter(connect.clone()).await.0;
        publisher.send(packets::qos2(7, "t", "once")).await;
        publisher.expect(packets::pubrec(7, ReasonCode::Success)).await;
        let broker = crash(broker, &folder).await;
        let mut publisher = resume(&broker, connect.clone()).await;
        publisher.send(packets::again(packets::qos2(7, "t", "once"))).await;
        publisher.expect(packets::pubrec(7, ReasonCode::Success)).await;
        publisher.send(packets::pubrel(7, ReasonCode::Success)).await;
        publisher.expect(packets::pubcomp(7, ReasonCode::Success)).await;
        // Released: the identifier stands for another message, also after one more crash.
        let broker = crash(broker, &folder).await;
        let mut publisher = resume(&broker, connect).await;
        exactly_once(&mut publisher, 7, "t", "another").await;
        let mut subscriber = resume(&broker, subscriber).await;
        take_all(&mut subscriber, &[("t", "once"), ("t", "another")]).await;
        subscriber.quiet().await;
    }
}

#[tokio::test]
async fn subscriptions_with_everything_about_them() {
    let folder = folder();
    let broker = start(&folder).await;
    let connect = packets::persistent(V5, "sub");
    let mut client = broker.enter(connect.clone()).await.0;
    for filter in ["gone", "stays/+", "$share/g/shared"] {
        client.subscribe(filter, QoS::AtLeastOnce).await;
    }
    client.subscribe("stays/+", QoS::AtMostOnce).await;
    client.send(packets::unsubscribe(9, &["gone"])).await;
    client.expect(packets::unsuback(V5, 9, &[ReasonCode::Success])).await;
    let broker = crash(broker, &folder).await;
    let info = broker.broker.client("sub").expect("the session is there");
    assert_eq!(info.subscriptions, 2);
    let detail = Resources::client_detail(&*broker.broker, "sub").unwrap();
    let subscriptions = detail.subscriptions.iter();
    let subscriptions: Vec<_> =
        subscriptions.map(|s| (s.filter.as_str(), s.options.maximum_qos as u8)).collect();
    assert_eq!(subscriptions, [("stays/+", 0), ("$share/g/shared", 1)]);
    assert!(!info.connected);
    assert_eq!(broker.broker.totals().subscriptions, 2);
    let mut client = resume(&broker, connect).await;
    let mut publisher = broker.client(V5, "pub").await;
    for topic in ["gone", "shared", "stays/a"] {
        publisher.publish(topic, "x").await;
    }
    client.take("shared", "x").await;
    assert_eq!(client.take("stays/a", "x").await.qos, QoS::AtMostOnce);
}

#[tokio::test]
async fn retained_messages() {
    let folder = folder();
    let broker = start(&folder).await;
    let mut client = broker.client(V5, "a").await;
    for (topic, text) in
        [("r/1", "old"), ("r/1", "new"), ("r/2", "gone"), ("r/2", ""), ("r/3", "x")]
    {
        client.send(packets::retained(packets::qos1(3, topic, text))).await;
        client.puback(3).await;
    }
    let broker = crash(broker, &folder).await;
    assert_eq!(broker.broker.totals().retained_messages, 2);
    let mut client = broker.client(V5, "a").await;
    client.subscribe("r/#", QoS::AtLeastOnce).await;
    for (topic, text) in [("r/1", "new"), ("r/3", "x")] {
        assert!(client.take(topic, text).await.retain);
    }
    client.quiet().await;
}

#[tokio::test]
async fn a_session_that_ended_does_not_come_back() {
    let folder = folder();
    let broker = start(&folder).await;
    let connect = packets::persistent(V5, "a");
    leave_behind(&broker, &connect, "t").await;
    broker.client(V5, "pub").await.publish("t", "x").await;
    let clean = Connect { clean_start: true, session_expiry_interval: 0, ..connect.clone() };
    let (_client, connack) = broker.enter(clean).await;
    assert!(!connack.session_present);
    let broker = crash(broker, &folder).await;
    let (mut client, connack) = broker.enter(connect.clone()).await;
    assert!(!connack.session_present, "Clean Start ended it");
    client.subscribe("t", QoS::AtLeastOnce).await;
    client.send(packets::disconnect_with_expiry(0)).await;
    broker.until(|broker| broker.client("a").is_none()).await;
    let broker = restart(broker, &folder).await;
    assert!(!broker.enter(connect).await.1.session_present, "DISCONNECT ended it");
}

#[tokio::test]
async fn time_goes_on_while_no_broker_runs() {
    let folder = folder();
    let broker = start(&folder).await;
    let short = Connect { session_expiry_interval: 1, ..packets::persistent(V5, "short") };
    let long = packets::persistent(V5, "long");
    leave_behind(&broker, &short, "t").await;
    leave_behind(&broker, &long, "t").await;
    let mut publisher = broker.client(V5, "pub").await;
    let expiring =
        codec::Publish { message_expiry_interval: Some(1), ..codec::Publish::new("t", b"1") };
    publisher.send(packets::publish(1, QoS::AtLeastOnce, expiring)).await;
    publisher.puback(1).await;
    publisher.publish("t", "2").await;
    broker.stop().await;
    // Session and message end by the clock of the world, there is nothing else to wait for.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let broker = start(&folder).await;
    broker.until(|broker| broker.client("short").is_none()).await;
    let mut client = resume(&broker, long).await;
    client.take("t", "2").await;
    client.quiet().await;
}

#[tokio::test]
async fn the_will_of_a_client_that_a_crash_cut_off() {
    let folder = folder();
    let broker = start(&folder).await;
    let watcher = packets::persistent(V5, "watcher");
    leave_behind(&broker, &watcher, "will/#").await;
    let will = |topic, delay_interval| Will {
        qos: QoS::AtLeastOnce,
        delay_interval,
        ..Will::new(topic, b"gone")
    };
    let now = packets::with_will(packets::persistent(V5, "a"), will("will/a", 0));
    let later = packets::with_will(packets::persistent(V5, "b"), will("will/b", 3_600));
    let _a = broker.enter(now).await.0;
    let _b = broker.enter(later).await.0;
    let broker = crash(broker, &folder).await;
    broker.until(|broker| broker.client("watcher").is_some_and(|w| w.queued == 1)).await;
    // Once only.
    let broker = crash(broker, &folder).await;
    let mut watcher = resume(&broker, watcher).await;
    watcher.take("will/a", "gone").await;
    watcher.quiet().await;
}

/// Also when nothing else of it outlives the process.
#[tokio::test]
async fn the_will_of_a_client_whose_session_ends_with_its_connection() {
    for version in BOTH {
        let folder = folder();
        let broker = start(&folder).await;
        let watcher = packets::persistent(V5, "watcher");
        leave_behind(&broker, &watcher, "will/#").await;
        let will = |topic| Will { qos: QoS::AtLeastOnce, ..Will::new(topic, b"gone") };
        let enter = async |id| {
            let connect = packets::with_will(Connect::new(version, id), will("will/a"));
            broker.enter(connect).await.0
        };
        enter("left").await.leave().await;
        broker.until(|broker| broker.client("left").is_none()).await;
        let _a = enter("a").await;
        let broker = crash(broker, &folder).await;
        broker.until(|broker| broker.client("watcher").is_some_and(|w| w.queued == 1)).await;
        broker.until(|broker| broker.client("a").is_none()).await;
        // Once only.
        let broker = crash(broker, &folder).await;
        let mut watcher = resume(&broker, watcher).await;
        watcher.take("will/a", "gone").await;
        watcher.quiet().await;
    }
}

/// Who said what a client may do decides about its will too.
#[tokio::test]
async fn no_will_by_a_listener_that_is_gone() {
    let folder = folder();
    let any = Transport::Tcp { bind: SocketAddr::from(([127, 0, 0, 1], 0)) };
    let broker = setup(&folder).listening("second", any).start().await;
    let watcher = packets::persistent(V5, "watcher");
    leave_behind(&broker, &watcher, "will/#").await;
    let will = |topic| Will { qos: QoS::AtLeastOnce, ..Will::new(topic, b"gone") };
    let connect = |id, topic| packets::with_will(packets::persistent(V5, id), will(topic));
    let mut second = Client::open(broker.listener("second"), V5).await;
    second.send(Packet::Connect(Box::new(connect("a", "will/second")))).await;
    second.connack().await;
    let _first = broker.enter(connect("b", "will/first")).await.0;
    let broker = crash(broker, &folder).await;
    broker.until(|broker| broker.client("watcher").is_some_and(|w| w.queued > 0)).await;
    let broker = crash(broker, &folder).await;
    let mut watcher = resume(&broker, watcher).await;
    watcher.take("will/first", "gone").await;
    watcher.quiet().await;
    assert!(broker.broker.client("a").is_some(), "its session is there all the same");
}

/// What is promised to nobody is not written without room; what is, waits.
#[tokio::test]
async fn wills_without_room_on_the_disk() {
    let folder = folder();
    let broker = start(&folder).await;
    let watcher = packets::persistent(V5, "watcher");
    leave_behind(&broker, &watcher, "will/#").await;
    let will = |topic| Will { qos: QoS::AtLeastOnce, retain: true, ..Will::new(topic, b"gone") };
    let kept = packets::with_will(packets::persistent(V5, "a"), will("will/a"));
    let _kept = broker.enter(kept.clone()).await.0;
    let mut full = setup(&folder);
    full.free_bytes_min = u64::MAX;
    broker.crash();
    let broker = full.start().await;
    let mut live = broker.client(V5, "live").await;
    live.subscribe("will/#", QoS::AtLeastOnce).await;
    let fleeting = packets::with_will(Connect::new(V5, "b"), will("will/b"));
    broker.enter(fleeting).await.0.vanish();
    live.take("will/b", "gone").await;
    live.quiet().await;
    assert_eq!(broker.broker.client("watcher").unwrap().queued, 0);
    assert_eq!(broker.broker.totals().retained_messages, 0);
    let refused = "portcullis_wills_refused_total{reason=\"store_unavailable\"}";
    assert_eq!(broker.counted(refused), 1);
    let clean = Connect { clean_start: true, session_expiry_interval: 0, will: None, ..kept };
    let refused = broker.knock(clean).await.connack().await;
    assert_eq!(refused.reason_code, ReasonCode::QuotaExceeded, "it would end what is kept");
    let broker = crash(broker, &folder).await;
    broker.until(|broker| broker.client("watcher").is_some_and(|w| w.queued == 1)).await;
    resume(&broker, watcher).await.take("will/a", "gone").await;
}

#[tokio::test]
async fn what_is_no_longer_permitted_is_not_delivered() {
    let folder = folder();
    let broker = start(&folder).await;
    let username = Some("sub".to_owned());
    let connect = Connect { username, ..packets::persistent(V5, "sub") };
    leave_behind(&broker, &connect, "t/#").await;
    let mut publisher = broker.client(V5, "pub").await;
    for topic in ["t/open", "t/secret", "t/open"] {
        publisher.publish(topic, "x").await;
    }
    broker.stop().await;
    let broker = start(&folder).await;
    let rules = [portcullis_tests::deny("t/secret"), allow("t/#")];
    broker.doorman.set_user("sub", User::with_rules(rules));
    let mut subscriber = resume(&broker, connect).await;
    subscriber.take("t/open", "x").await;
    subscriber.take("t/open", "x").await;
    subscriber.quiet().await;
    assert_eq!(broker.broker.client("sub").unwrap().dropped, 1);
}

#[tokio::test]
async fn a_long_queue_comes_from_the_disk_in_its_order() {
    const MESSAGES: usize = 3_000;
    let folder = folder();
    let roomy = |folder: &TempDir| {
        let mut setup = setup(folder);
        setup.live.limits.sizes.queue_messages = 100_000;
        setup.live.limits.sizes.queue_bytes = 1 << 30;
        setup
    };
    let broker = roomy(&folder).start().await;
    let connect = packets::persistent(V5, "sub");
    leave_behind(&broker, &connect, "t").await;
    let mut publisher = broker.client(V5, "pub").await;
    let ids = (1..=32_u16).cycle();
    for chunk in (0..MESSAGES).zip(ids).collect::<Vec<_>>().chunks(32) {
        for (number, id) in chunk {
            publisher.send(packets::qos1(*id, "t", &number.to_string())).await;
        }
        for (_, id) in chunk {
            publisher.puback(*id).await;
        }
    }
    broker.stop().await;
    let broker = roomy(&folder).start().await;
    assert_eq!(broker.broker.client("sub").unwrap().queued, MESSAGES);
    let mut subscriber = resume(&broker, connect).await;
    for number in 0..MESSAGES {
        subscriber.take("t", &number.to_string()).await;
    }
    subscriber.quiet().await;
    assert_eq!(broker.broker.client("sub").unwrap().dropped, 0);
}

/// Section 4.8.2: what a member that is gone for good did not take goes to another one.
#[tokio::test]
async fn a_member_that_is_gone_leaves_its_messages_to_another() {
    for kept in [false, true] {
        let folder = folder();
        let broker = if kept { start(&folder).await } else { Broker::start().await };
        let mut heir = broker.enter(packets::persistent(V5, "heir")).await.0;
        let connect = packets::persistent(V5, "gone");
        leave_behind(&broker, &connect, "$share/g/t").await;
        let mut publisher = broker.client(V5, "pub").await;
        publisher.publish("t", "1").await;
        exactly_once(&mut publisher, 1, "t", "2").await;
        heir.subscribe("$share/g/t", QoS::ExactlyOnce).await;
        heir.quiet().await;
        let clean = Connect { clean_start: true, ..connect };
        let (_client, connack) = broker.enter(clean).await;
        assert!(!connack.session_present);
        heir.take("t", "1").await;
        heir.take("t", "2").await;
        heir.quiet().await;
    }
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_is_promised() {
    let folder = folder();
    let broker = start(&folder).await;
    let connect = packets::persistent(V5, "sub");
    leave_behind(&broker, &connect, "t").await;
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(packets::retained(packets::qos1(3, "r/old", "old"))).await;
    publisher.puback(3).await;
    let store = broker.broker.store().expect("a store");
    assert!(store.available && store.commits > 0 && store.log_files == 1, "{store:?}");
    broker.stop().await;
    let mut full = setup(&folder);
    full.free_bytes_min = u64::MAX;
    let broker = full.start().await;
    assert!(!broker.broker.store().expect("a store").available);
    let mut publisher = broker.client(V5, "pub").await;
    assert_eq!(publisher.publish("t", "x").await, ReasonCode::QuotaExceeded);
    publisher.send(packets::retained(packets::qos1(3, "r", "x"))).await;
    assert_eq!(publisher.puback(3).await, ReasonCode::QuotaExceeded);
    // QoS 0 cannot be told. What is retained is no longer true: it goes, here and on the disk.
    assert_eq!(broker.broker.totals().retained_messages, 1);
    publisher.send(packets::retained(packets::qos0("r/old", "new"))).await;
    broker.until(|broker| broker.totals().retained_messages == 0).await;
    // Who needs no disk is served.
    publisher.subscribe("free", QoS::AtLeastOnce).await;
    publisher.publish("free", "x").await;
    publisher.take("free", "x").await;
    // 3.1.1 knows no code: without an answer it comes again.
    let mut old = broker.client(V311, "old").await;
    old.send(packets::qos1(4, "t", "x")).await;
    old.expect_closed().await;
    let refused = broker.knock(connect).await.connack().await;
    assert_eq!(refused.reason_code, ReasonCode::QuotaExceeded);
    assert_eq!(broker.broker.client("sub").unwrap().queued, 0);
    let broker = crash(broker, &folder).await;
    assert_eq!(broker.broker.totals().retained_messages, 0);
}

/// Receive Maximum 1: the second is written down only when the first is complete, and nothing else wakes the connection.
#[tokio::test]
async fn retained_messages_of_qos_2_come_by_themselves() {
    let folder = folder();
    let broker = start(&folder).await;
    let mut publisher = broker.client(V5, "pub").await;
    for topic in ["r/1", "r/2", "r/3"] {
        publisher.send(packets::retained(packets::qos2(1, topic, "x"))).await;
        publisher.pubrec(1).await;
        publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
        publisher.expect(packets::pubcomp(1, ReasonCode::Success)).await;
    }
    let connect = Connect { receive_maximum: 1, ..packets::persistent(V5, "sub") };
    let mut client = broker.enter(connect).await.0;
    client.subscribe("r/#", QoS::ExactlyOnce).await;
    for topic in ["r/1", "r/2", "r/3"] {
        assert!(client.take(topic, "x").await.retain);
    }
}

/// SUBACK owes them, also to the session that the next process finds. What had come of them comes again.
#[tokio::test]
async fn retained_messages_of_a_new_subscription_come_after_a_crash() {
    let folder = folder();
    let broker = start(&folder).await;
    let mut publisher = broker.client(V5, "pub").await;
    for topic in ["r/1", "r/2", "r/3"] {
        publisher.send(packets::retained(packets::qos2(1, topic, "x"))).await;
        publisher.pubrec(1).await;
        publisher.send(packets::pubrel(1, ReasonCode::Success)).await;
        publisher.expect(packets::pubcomp(1, ReasonCode::Success)).await;
    }
    let connect = Connect { receive_maximum: 1, ..packets::persistent(V5, "sub") };
    let mut client = broker.enter(connect.clone()).await.0;
    // With QoS 2, so that SUBACK comes first.
    client.subscribe("r/#", QoS::ExactlyOnce).await;
    let first = client.message().await;
    assert_eq!(first.text(), ("r/1", "x"));
    let broker = crash(broker, &folder).await;
    let mut client = resume(&broker, connect.clone()).await;
    let again = client.take("r/1", "x").await;
    assert_eq!((again.packet_id, again.dup), (first.packet_id, true));
    for topic in ["r/1", "r/2", "r/3"] {
        assert!(client.take(topic, "x").await.retain);
    }
    // That they came is known, once the disk has it.
    publisher = broker.client(V5, "pub").await;
    publisher.publish("r/1", "y").await;
    client.take("r/1", "y").await;
    client.quiet().await;
    let broker = crash(broker, &folder).await;
    resume(&broker, connect).await.quiet().await;
}

/// [MQTT-4.8.2-5], also when the delivery began in an earlier process.
#[tokio::test]
async fn a_message_begun_with_a_member_goes_to_no_other_after_a_restart() {
    let folder = folder();
    let broker = start(&folder).await;
    let gone = packets::persistent(V5, "gone");
    let mut client = broker.enter(gone.clone()).await.0;
    client.subscribe("$share/g/t", QoS::ExactlyOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    exactly_once(&mut publisher, 1, "t", "begun").await;
    client.message().await;
    client.leave().await;
    exactly_once(&mut publisher, 1, "t", "waits").await;
    let broker = restart(broker, &folder).await;
    let mut heir = broker.client(V5, "heir").await;
    heir.subscribe("$share/g/t", QoS::ExactlyOnce).await;
    let clean = Connect { clean_start: true, ..gone };
    broker.enter(clean).await;
    heir.take("t", "waits").await;
    heir.quiet().await;
}
