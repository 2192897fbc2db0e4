//! What the broker holds, as the admin API asks for it: `Resources`.

use access::{Inbound, Patch, Publication, PublicationProperties, Source};
use codec::{Publish, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Will};
use portcullis_tests::{Broker, Meddler, User, allow, deny, packets};
use server::{ApiMessage, ApiRefused, BrokerHandle, ClientRefused, Resources, SubscriptionQuery};
use topic::{SubscriptionFilter, TopicFilter, TopicName};

use codec::ProtocolVersion::V5;

fn filter(text: &str) -> SubscriptionFilter {
    SubscriptionFilter::parse(text).expect("a filter")
}

fn retained<'a>(topic: &'a str, payload: &'a str) -> codec::Packet<'a> {
    let publish = Publish { retain: true, ..Publish::new(topic, payload.as_bytes()) };
    codec::Packet::Publish(publish)
}

fn message(topic: &str, payload: &str) -> ApiMessage {
    ApiMessage {
        user: "ann".to_owned(),
        listener: None,
        publication: Publication {
            plugin: String::new(),
            topic: TopicName::new(topic).expect("a topic"),
            payload: payload.as_bytes().to_vec(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: PublicationProperties::default(),
        },
    }
}

/// The connection goes, the Will Message is sent, and nothing is left; also while the client is away.
#[tokio::test]
async fn the_end_of_a_session() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let connect = packets::with_will(packets::persistent(V5, "a"), Will::new("will", b"gone"));
    let mut client = broker.enter(connect).await.0;
    client.subscribe("t", QoS::AtLeastOnce).await;
    assert_eq!(broker.broker.end_session("a").await, Ok(()));
    client.expect_disconnect(ReasonCode::AdministrativeAction).await;
    watcher.take("will", "gone").await;
    assert!(broker.broker.client("a").is_none());
    assert_eq!(broker.broker.totals().subscriptions, 1);

    let mut away = broker.enter(packets::persistent(V5, "b")).await.0;
    away.subscribe("t", QoS::AtLeastOnce).await;
    away.leave().await;
    broker.until(|broker| !broker.client("b").unwrap().connected).await;
    assert_eq!(broker.broker.end_session("b").await, Ok(()));
    assert!(broker.broker.client("b").is_none());
    assert_eq!(broker.broker.totals().subscriptions, 1);
    assert_eq!(broker.broker.end_session("b").await, Err(ClientRefused::NoSession));
}

/// By the permissions of the client, with what is retained, and no longer than wanted.
#[tokio::test]
async fn subscribing_for_a_client() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([deny("closed/#"), allow("#")]));
    let mut publisher = broker.client(V5, "pub").await;
    publisher.send(retained("t/x", "kept")).await;
    let mut client = broker.client(V5, "a").await;
    let options = SubscriptionOptions {
        retain_handling: RetainHandling::SendAtSubscribe,
        ..SubscriptionOptions::new(QoS::AtMostOnce)
    };
    broker.until(|broker| broker.totals().retained_messages == 1).await;
    let subscribe =
        async |text: &str| broker.broker.subscribe("a", filter(text), options, None).await;
    subscribe("t/#").await.expect("permitted");
    client.take("t/x", "kept").await;
    publisher.publish("t/y", "new").await;
    client.take("t/y", "new").await;
    assert!(matches!(
        subscribe("closed/x").await,
        Err(ClientRefused::Refused { code: ReasonCode::NotAuthorized, .. })
    ));
    let nobody = broker.broker.subscribe("nobody", filter("t"), options, None).await;
    assert_eq!(nobody, Err(ClientRefused::NoSession));
    assert_eq!(broker.broker.unsubscribe("a", &filter("t/#")).await, Ok(()));
    let again = broker.broker.unsubscribe("a", &filter("t/#")).await;
    assert_eq!(again, Err(ClientRefused::NoSubscription));
    publisher.publish("t/y", "late").await;
    client.quiet().await;
}

/// Pages in the order of clients and filters, by prefix, client and topic.
#[tokio::test]
async fn subscriptions_page_by_page() {
    let broker = Broker::start().await;
    let mut clients = Vec::new();
    for name in ["a", "b", "c"] {
        let mut client = broker.client(V5, name).await;
        client.subscribe("t/+", QoS::AtLeastOnce).await;
        client.subscribe("$share/g/t/#", QoS::AtLeastOnce).await;
        client.subscribe(&format!("own/{name}"), QoS::AtMostOnce).await;
        clients.push(client);
    }
    let pages = |query: SubscriptionQuery| {
        let (mut query, mut seen) = (query, Vec::new());
        loop {
            let page = broker.broker.subscriptions(&query);
            assert!(page.subscriptions.len() <= query.limit);
            seen.extend(
                page.subscriptions.into_iter().map(|s| format!("{} {}", s.client_id, s.filter)),
            );
            match page.next {
                Some(next) => query.after = Some(next),
                None => return seen,
            }
        }
    };
    let all = SubscriptionQuery { limit: 2, ..SubscriptionQuery::default() };
    let expect = |name: &str| {
        [format!("{name} $share/g/t/#"), format!("{name} own/{name}"), format!("{name} t/+")]
    };
    assert_eq!(pages(all.clone()), ["a", "b", "c"].map(expect).concat());
    let own = SubscriptionQuery { prefix: "own/".to_owned(), ..all.clone() };
    assert_eq!(pages(own), ["a own/a", "b own/b", "c own/c"]);
    let of_b = SubscriptionQuery { client_id: Some("b".to_owned()), ..all.clone() };
    assert_eq!(pages(of_b), expect("b"));
    for limit in 1..8 {
        let matching =
            SubscriptionQuery { limit, matching: TopicName::new("t/x").ok(), ..all.clone() };
        let found = pages(matching);
        assert_eq!(found.len(), 6, "{limit}: {found:?}");
        assert!(found.is_sorted(), "{found:?}");
    }
}

/// One level at a time, with counts of what is below.
#[tokio::test]
async fn the_tree_of_topics() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    for topic in ["a", "a/b", "a/b/c", "a/b/d", "a-b", "z"] {
        client.send(retained(topic, "x")).await;
    }
    client.publish("barrier/x", "x").await;
    // One each: what is retained comes between.
    let (mut one, mut other) = (broker.client(V5, "one").await, broker.client(V5, "other").await);
    one.subscribe("a/+/c", QoS::AtMostOnce).await;
    other.subscribe("a/b", QoS::AtMostOnce).await;
    let level = |parent: Option<&str>, after: Option<&str>, limit| {
        let level = broker.broker.topics(parent, after, limit);
        assert!(level.is_complete);
        let children = level.children.into_iter().map(|c| {
            let retained = u64::from(c.is_retained);
            (c.name, retained, c.retained_below, c.subscriptions, c.subscriptions_below)
        });
        (children.collect::<Vec<_>>(), level.more)
    };
    let line = |name: &str, a, b, c, d| (name.to_owned(), a, b, c, d);
    let root = vec![line("a", 1, 3, 0, 2), line("a-b", 1, 0, 0, 0), line("z", 1, 0, 0, 0)];
    assert_eq!(level(None, None, 10), (root.clone(), false));
    assert_eq!(level(None, Some("a"), 1), (root[1..2].to_vec(), true));
    let below = vec![line("+", 0, 0, 0, 1), line("b", 1, 2, 1, 0)];
    assert_eq!(level(Some("a"), None, 10), (below, false));
    assert_eq!(level(Some("a/+"), None, 10), (vec![line("c", 0, 0, 1, 0)], false));
    assert_eq!(level(Some("nothing"), None, 10), (Vec::new(), false));
}

/// Listed by filter, shown with everything, and forgotten.
#[tokio::test]
async fn retained_messages() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    for number in 0..5 {
        client.send(retained(&format!("t/{number}"), "kept")).await;
    }
    client.publish("barrier", "x").await;
    let (mut seen, mut after) = (Vec::new(), None);
    let filter = TopicFilter::new("t/+").expect("a filter");
    loop {
        let page = broker.broker.retained(&filter, after.as_ref(), 2);
        assert!(page.messages.iter().all(|m| m.payload.is_none() && m.payload_bytes == 4));
        seen.extend(page.messages.into_iter().map(|m| m.topic.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["t/0", "t/1", "t/2", "t/3", "t/4"]);
    let one = broker.broker.retained_message("t/3").expect("kept");
    assert_eq!((one.payload.as_deref(), &*one.publisher), (Some(&b"kept"[..]), "a"));
    assert!(!one.is_withheld);
    assert!(broker.broker.remove_retained("t/3").await);
    assert!(!broker.broker.remove_retained("t/3").await);
    assert!(broker.broker.retained_message("t/3").is_none());
    assert_eq!(broker.broker.totals().retained_messages, 4);
}

/// Checked as those of clients, delivered, and retained in the name of the user.
#[tokio::test]
async fn publishing() {
    let broker = Broker::start().await;
    let mut client = broker.client(V5, "a").await;
    client.subscribe("t/#", QoS::AtMostOnce).await;
    let published = broker.broker.publish(message("t/x", "hello")).await.expect("published");
    assert_eq!((published.receivers, published.transformed), (1, false));
    client.take("t/x", "hello").await;
    let mut kept = message("t/kept", "k");
    kept.publication.retain = true;
    broker.broker.publish(kept).await.expect("published");
    let info = broker.broker.retained_message("t/kept").expect("kept");
    assert_eq!(&*info.publisher, "$api/ann");
    let refused = broker.broker.publish(message("$SYS/x", "no")).await;
    assert!(matches!(refused, Err(ApiRefused::Invalid(_))), "{refused:?}");
    let mut large = message("t/x", "");
    large.publication.payload = vec![0; 2 * 1024 * 1024];
    let refused = broker.broker.publish(large).await;
    assert!(matches!(refused, Err(ApiRefused::Invalid(_))), "{refused:?}");
}

/// Inbound transforms work on it, and know that it is of the API.
#[tokio::test]
async fn transforms_work_on_what_the_api_publishes() {
    let broker = Broker::start().await;
    let work = Meddler::working(&["t/#"], |source, who, message| {
        assert_eq!((source, who), (Source::Api, "ann"));
        if message.payload.is_empty() {
            return Ok(Inbound::Swallow);
        }
        let payload = Some([message.payload.as_slice(), b"!"].concat());
        Ok(Inbound::Patched(Box::new(Patch { payload, ..Patch::default() })))
    });
    broker.swap_to(broker.doorman.chain_with([work.link("work")]));
    let mut client = broker.client(V5, "a").await;
    client.subscribe("#", QoS::AtMostOnce).await;
    let published = broker.broker.publish(message("t/x", "hello")).await.expect("published");
    assert!(published.transformed && !published.swallowed);
    client.take("t/x", "hello!").await;
    let swallowed = broker.broker.publish(message("t/x", "")).await.expect("swallowed");
    assert_eq!((swallowed.swallowed, swallowed.receivers), (true, 0));
    broker.broker.publish(message("u", "as it is")).await.expect("published");
    client.take("u", "as it is").await;
}
