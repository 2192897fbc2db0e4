//! The limits of what one client may send and keep, each at its default: at the limit it is accepted, one above it is
//! refused with the right Reason Code. A 3.1.1 client is refused too, with what its version can say.

use std::{future::Future, pin::Pin};

use codec::{
    Acknowledgement, Connect, Disconnect, Packet, ProtocolVersion, Publish, QoS, ReasonCode,
    Subscribe, Unsubscribe, UserPropertiesBuf, Will,
};
use portcullis_tests::{BOTH, Broker, Client, Setup, WAIT, packets};
use server::{BrokerHandle, LiveConfig, QueueFull};

use ProtocolVersion::{V5, V311};

/// Sends something of a size and returns what it is told.
type Attempt = for<'a> fn(
    &'a Broker,
    ProtocolVersion,
    usize,
) -> Pin<Box<dyn Future<Output = ReasonCode> + 'a>>;

/// A row of the table: key of the limit, its default, the code above it, whether 3.1.1 has it, what is sent.
type Row = (&'static str, usize, ReasonCode, bool, Attempt);

/// Above the limit is refused with this code in 5.0, and refused in 3.1.1.
async fn check((limit, most, code, in_both, attempt): Row) {
    let versions = if in_both { &BOTH[..] } else { &[V5] };
    for version in versions {
        let broker = Broker::start().await;
        let told = attempt(&broker, *version, most).await;
        assert_eq!(told, ReasonCode::Success, "{limit} = {most}, {version:?}");
        let told = attempt(&broker, *version, most + 1).await;
        if *version == V5 {
            assert_eq!(told, code, "{limit} = {}", most + 1);
        } else {
            assert!(told.is_failure(), "{limit} = {}, 3.1.1: {told:?}", most + 1);
        }
    }
}

/// What CONNECT is answered.
async fn knock(broker: &Broker, connect: Connect) -> ReasonCode {
    broker.knock(connect).await.connack().await.reason_code
}

/// The first failure that the client is told of before its PINGREQ is answered; UnspecifiedError when
/// its connection is closed without a word.
async fn told(client: &mut Client) -> ReasonCode {
    let mut ping = Vec::new();
    Packet::PingReq.encode(client.version(), &mut ping);
    // It may be closed already.
    client.try_send_bytes(&ping).await;
    let failure = |packet: &Packet<'_>| {
        let codes = match packet {
            Packet::PingResp => return Some(ReasonCode::Success),
            Packet::Disconnect(disconnect) => vec![disconnect.reason_code],
            Packet::PubAck(ack) | Packet::PubRec(ack) => vec![ack.reason_code],
            Packet::SubAck(suback) => suback.reason_codes.clone(),
            _ => Vec::new(),
        };
        codes.into_iter().find(|code| code.is_failure())
    };
    loop {
        match tokio::time::timeout(WAIT, client.next(failure)).await.expect("an answer") {
            Some(Some(code)) => return code,
            Some(None) => {}
            None => return ReasonCode::UnspecifiedError,
        }
    }
}

/// A new client sends this packet.
async fn send(broker: &Broker, version: ProtocolVersion, packet: Packet<'_>) -> ReasonCode {
    let mut client = broker.client(version, "a").await;
    client.send(packet).await;
    told(&mut client).await
}

/// So many levels.
fn levels(count: usize) -> String {
    vec!["l"; count].join("/")
}

fn x(count: usize) -> String {
    "x".repeat(count)
}

#[tokio::test]
async fn lengths_of_names() {
    let rows: [Row; 2] = [
        (
            "client_id_bytes",
            256,
            ReasonCode::ClientIdentifierNotValid,
            true,
            |broker, version, n| {
                Box::pin(async move { knock(broker, Connect::new(version, &x(n))).await })
            },
        ),
        ("username_bytes", 1024, ReasonCode::QuotaExceeded, true, |broker, version, n| {
            Box::pin(async move { knock(broker, packets::login(version, "a", (&x(n), "p"))).await })
        }),
    ];
    for row in rows {
        check(row).await;
    }
}

#[tokio::test]
async fn lengths_and_levels_of_topics() {
    fn will(version: ProtocolVersion, topic: String) -> Connect {
        packets::with_will(Connect::new(version, "a"), Will { topic, ..Will::new("t", b"") })
    }
    let rows: [Row; 6] = [
        (
            "topic_bytes of a will",
            1024,
            ReasonCode::TopicNameInvalid,
            true,
            |broker, version, n| Box::pin(async move { knock(broker, will(version, x(n))).await }),
        ),
        ("topic_levels of a will", 64, ReasonCode::TopicNameInvalid, true, |broker, version, n| {
            Box::pin(async move { knock(broker, will(version, levels(n))).await })
        }),
        (
            "topic_bytes of PUBLISH",
            1024,
            ReasonCode::TopicNameInvalid,
            true,
            |broker, version, n| {
                Box::pin(async move { send(broker, version, packets::qos0(&x(n), "")).await })
            },
        ),
        (
            "topic_levels of PUBLISH",
            64,
            ReasonCode::TopicNameInvalid,
            true,
            |broker, version, n| {
                Box::pin(async move { send(broker, version, packets::qos0(&levels(n), "")).await })
            },
        ),
        (
            "topic_bytes of a filter",
            1024,
            ReasonCode::TopicFilterInvalid,
            true,
            |broker, version, n| {
                Box::pin(async move {
                    let filters = [(&*x(n), QoS::AtMostOnce)];
                    send(broker, version, packets::subscribe(1, &filters)).await
                })
            },
        ),
        (
            "topic_levels of a filter",
            64,
            ReasonCode::TopicFilterInvalid,
            true,
            |broker, version, n| {
                Box::pin(async move {
                    let filters = [(&*levels(n), QoS::AtMostOnce)];
                    send(broker, version, packets::subscribe(1, &filters)).await
                })
            },
        ),
    ];
    for row in rows {
        check(row).await;
    }
}

#[tokio::test]
async fn counts_of_subscriptions() {
    let rows: [Row; 2] = [
        ("subscriptions_per_client", 100, ReasonCode::QuotaExceeded, true, |broker, version, n| {
            Box::pin(async move { subscribe_to_many(broker, version, n, "").await })
        }),
        (
            "wildcard_subscriptions_per_client",
            10,
            ReasonCode::QuotaExceeded,
            true,
            |broker, version, n| {
                Box::pin(async move { subscribe_to_many(broker, version, n, "/+").await })
            },
        ),
    ];
    for row in rows {
        check(row).await;
    }
}

/// So many filters, one SUBSCRIBE each.
async fn subscribe_to_many(
    broker: &Broker,
    version: ProtocolVersion,
    count: usize,
    end: &str,
) -> ReasonCode {
    let mut client = broker.client(version, "a").await;
    for number in 0..count {
        let filter = format!("t/{number}{end}");
        client.send(packets::subscribe(1, &[(&*filter, QoS::AtMostOnce)])).await;
    }
    told(&mut client).await
}

#[tokio::test]
async fn sizes_of_packets() {
    let rows: [Row; 2] = [
        ("packet_bytes", 1 << 20, ReasonCode::PacketTooLarge, true, |broker, version, n| {
            Box::pin(async move {
                // Fixed header, length and text of the topic, Property Length.
                let around = 4 + 2 + 1 + usize::from(version == V5);
                send(broker, version, packets::qos0("t", &x(n - around))).await
            })
        }),
        (
            "packet_bytes_before_connect",
            64 << 10,
            ReasonCode::PacketTooLarge,
            false,
            |broker, version, n| {
                Box::pin(async move {
                    // What is not User Name or Password; a will takes what is too long for them.
                    let large = |payload: usize| {
                        let will = Will { payload: vec![0; payload], ..Will::new("t", b"") };
                        packets::with_will(Connect::new(version, "a"), will)
                    };
                    let packet = Packet::Connect(Box::new(large(60_000)));
                    let around = packets::encoded(version, &packet).len() - 60_000;
                    let mut client = broker.open(version).await;
                    client.send(Packet::Connect(Box::new(large(n - around)))).await;
                    client.connack().await.reason_code
                })
            },
        ),
    ];
    for row in rows {
        check(row).await;
    }
}

#[tokio::test]
async fn flow_and_aliases() {
    let rows: [Row; 2] = [
        ("receive_maximum", 32, ReasonCode::ReceiveMaximumExceeded, false, |broker, version, n| {
            Box::pin(async move {
                let mut client = broker.client(version, "a").await;
                for id in 1..=n {
                    client.send(packets::qos2(u16::try_from(id).unwrap(), "t", "")).await;
                }
                told(&mut client).await
            })
        }),
        ("topic_alias_maximum", 10, ReasonCode::TopicAliasInvalid, false, |broker, version, n| {
            Box::pin(async move {
                let topic_alias = u16::try_from(n).ok();
                let publish = Publish { topic_alias, ..Publish::new("t", b"") };
                send(broker, version, Packet::Publish(publish)).await
            })
        }),
    ];
    for row in rows {
        check(row).await;
    }
}

/// So many User Properties, or one of so many bytes.
fn user_properties(count: usize, bytes: usize) -> UserPropertiesBuf {
    let mut properties = vec![("k".to_owned(), String::new()); count];
    if bytes > 0 {
        properties = vec![("k".to_owned(), x(bytes - 1))];
    }
    properties
}

/// Each packet that may have them.
#[tokio::test]
async fn user_properties_of_every_packet() {
    let broker = Broker::start().await;
    let id = packets::id(9);
    let acknowledgement = |user_properties: &UserPropertiesBuf| Acknowledgement {
        user_properties: user_properties.clone(),
        ..Acknowledgement::new(id, ReasonCode::Success)
    };
    for (count, bytes, fits) in
        [(64, 0, true), (65, 0, false), (0, 8 << 10, true), (0, (8 << 10) + 1, false)]
    {
        let expect = if fits { ReasonCode::Success } else { ReasonCode::QuotaExceeded };
        let user_properties = user_properties(count, bytes);
        let all = || user_properties.clone();
        let connect = Connect { user_properties: all(), ..Connect::new(V5, "a") };
        assert_eq!(knock(&broker, connect).await, expect, "CONNECT");
        let will = Will { user_properties: all(), ..Will::new("t", b"") };
        let connect = packets::with_will(Connect::new(V5, "a"), will);
        assert_eq!(knock(&broker, connect).await, expect, "will");
        // As they stand in a packet.
        let mut section = Vec::new();
        for (name, value) in &user_properties {
            section.push(0x26);
            section.extend([packets::field(name), packets::field(value)].concat());
        }
        let publish = Publish::from_parts("t", &section, b"x").expect("properties");
        let publish = packets::publish(9, QoS::AtLeastOnce, publish);
        assert_eq!(send(&broker, V5, publish).await, expect, "PUBLISH");
        let Packet::Subscribe(subscribe) = packets::subscribe(9, &[("t", QoS::AtMostOnce)]) else {
            panic!("a SUBSCRIBE is a SUBSCRIBE");
        };
        for packet in [
            Packet::PubAck(acknowledgement(&user_properties)),
            Packet::PubRec(acknowledgement(&user_properties)),
            Packet::PubRel(acknowledgement(&user_properties)),
            Packet::PubComp(acknowledgement(&user_properties)),
            Packet::Subscribe(Subscribe { user_properties: all(), ..subscribe }),
            Packet::Unsubscribe(Unsubscribe {
                user_properties: all(),
                ..Unsubscribe::new(id, vec![packets::filter("t")])
            }),
        ] {
            let what = format!("{:.11}", format!("{packet:?}"));
            assert_eq!(send(&broker, V5, packet).await, expect, "{what}");
        }
        let mut client = broker.client(V5, "a").await;
        let disconnect =
            Disconnect { user_properties: all(), ..Disconnect::new(ReasonCode::Success) };
        client.send(Packet::Disconnect(disconnect)).await;
        match fits {
            true => client.expect_closed().await,
            false => client.expect_disconnect(ReasonCode::QuotaExceeded).await,
        }
    }
}

/// Keep Alive is never off and never longer; 5.0 is told, 3.1.1 is held to it without a word.
#[tokio::test]
async fn keep_alive() {
    let broker = Broker::start().await;
    for version in BOTH {
        for (asked, told, in_force) in
            [(3_600, None, 3_600), (3_601, Some(3_600), 3_600), (0, Some(3_600), 3_600)]
        {
            let connect = Connect { keep_alive: asked, ..Connect::new(version, "a") };
            let (_client, connack) = broker.enter(connect).await;
            assert_eq!(connack.server_keep_alive, told.filter(|_| version == V5), "{asked}");
            let client = broker.broker.client("a").expect("is there");
            assert_eq!(client.keep_alive_seconds, in_force, "{asked}, {version:?}");
        }
    }
}

/// Also one that asks for 0: it is closed once it was silent for one and a half times the maximum.
#[tokio::test]
async fn no_keep_alive_is_the_longest() {
    let broker = Setup::with(|live| live.limits.sizes.keep_alive_max = 1).start().await;
    for version in BOTH {
        let silent = broker.enter(Connect { keep_alive: 0, ..Connect::new(version, "a") });
        silent.await.0.expect_disconnect(ReasonCode::KeepAliveTimeout).await;
    }
}

#[tokio::test]
async fn session_expiry() {
    let broker = Broker::start().await;
    let week = 7 * 24 * 3_600;
    for (asked, told) in [(week, None), (week + 1, Some(week)), (u32::MAX, Some(week))] {
        let connect = Connect { session_expiry_interval: asked, ..Connect::new(V5, "a") };
        assert_eq!(broker.enter(connect).await.1.session_expiry_interval, told, "{asked}");
    }
    let _client = broker.enter(packets::persistent(V311, "b")).await;
    let in_force = broker.broker.client("b").expect("is there").session_expiry_interval;
    assert_eq!(in_force, week);
}

/// Publishes messages of `size` bytes (with the topic) for a client that is away; which of them wait.
async fn waiting(change: impl FnOnce(&mut LiveConfig), count: usize, size: usize) -> Vec<usize> {
    let broker = Setup::with(change).start().await;
    let mut sleeper = broker.enter(packets::persistent(V5, "sleeper")).await.0;
    sleeper.subscribe("t", QoS::AtLeastOnce).await;
    sleeper.leave().await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..count {
        let payload = format!("{number:0>width$}", width = size - 1);
        publisher.publish("t", &payload).await;
    }
    let mut sleeper = broker.enter(packets::persistent(V5, "sleeper")).await.0;
    let mut came = Vec::new();
    for _ in 0..broker.broker.client("sleeper").map_or(0, |client| client.queued + client.in_flight)
    {
        let message = sleeper.message().await;
        sleeper.acknowledge(&message).await;
        came.push(message.text().1.parse().expect("a number"));
    }
    sleeper.quiet().await;
    came
}

#[tokio::test]
async fn queue_of_an_absent_client() {
    // Messages: 1,000.
    assert_eq!(waiting(|_| {}, 1_000, 5).await, (0..1_000).collect::<Vec<_>>());
    assert_eq!(waiting(|_| {}, 1_001, 5).await, (1..1_001).collect::<Vec<_>>());
    // Bytes: 1 MiB.
    assert_eq!(waiting(|_| {}, 64, 16 << 10).await, (0..64).collect::<Vec<_>>());
    assert_eq!(waiting(|_| {}, 65, 16 << 10).await, (1..65).collect::<Vec<_>>());
    // What gives way.
    let newest = |live: &mut LiveConfig| live.queue_full = QueueFull::DropNewest;
    assert_eq!(waiting(newest, 1_001, 5).await, (0..1_000).collect::<Vec<_>>());
    assert_eq!(waiting(newest, 65, 16 << 10).await, (0..64).collect::<Vec<_>>());
}
