//! The Will Message as CONNECT describes it (sections 3.1.2.5 to 3.1.2.7, 3.1.3.2).

use codec::{Connect, ProtocolVersion, ProtocolVersion::V5, QoS, Will};
use portcullis_tests::{BOTH, Broker, packets};

/// Published as retained or not, with its QoS, in both versions.
/// Covers 5.0 [MQTT-3.1.2-14] [MQTT-3.1.2-15], 3.1.1 [MQTT-3.1.2-16] [MQTT-3.1.2-17].
#[tokio::test]
async fn retained_or_not() {
    for version in BOTH {
        for (retain, qos) in [(false, QoS::AtMostOnce), (true, QoS::ExactlyOnce)] {
            let broker = Broker::start().await;
            let mut watcher = broker.client(version, "watcher").await;
            watcher.subscribe("will", QoS::ExactlyOnce).await;
            let will = Will { retain, qos, ..Will::new("will", b"gone") };
            broker.enter(packets::with_will(Connect::new(version, "a"), will)).await.0.vanish();
            let live = watcher.take("will", "gone").await;
            assert_eq!((live.qos, live.retain), (qos, false));
            let mut late = broker.client(version, "late").await;
            late.subscribe("will", QoS::ExactlyOnce).await;
            if retain {
                let kept = late.take("will", "gone").await;
                assert_eq!((kept.qos, kept.retain), (qos, true));
            }
            late.quiet().await;
        }
    }
}

/// No will, no message; and a will that was sent is not sent again.
/// Covers 5.0 [MQTT-3.1.2-10], 3.1.1 [MQTT-3.1.2-10] [MQTT-3.1.2-12].
#[tokio::test]
async fn none_and_once() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    for version in BOTH {
        let name = format!("{version:?}");
        let resume = packets::persistent(version, &name);
        let will = Will::new("will", b"gone");
        broker.enter(packets::with_will(resume.clone(), will)).await.0.vanish();
        watcher.take("will", "gone").await;
        // The next connection of the session brought none.
        broker.enter(resume).await.0.vanish();
        gone(&broker, &name).await;
        watcher.quiet().await;
    }
}

async fn gone(broker: &Broker, client_id: &str) {
    use server::BrokerHandle;
    broker.until(|broker| broker.client(client_id).is_none_or(|client| !client.connected)).await;
}

/// Everything that a will can carry arrives, User Properties in their order.
/// Covers 5.0 [MQTT-3.1.3-10].
#[tokio::test]
async fn properties_travel() {
    let broker = Broker::start().await;
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let user_properties = vec![pair("b", "1"), pair("a", "2"), pair("b", "1"), pair("", "")];
    let will = Will {
        payload_format_indicator: Some(true),
        content_type: Some("text".to_owned()),
        response_topic: Some("answer".to_owned()),
        correlation_data: Some(vec![0, 255]),
        user_properties: user_properties.clone(),
        ..Will::new("will", b"gone")
    };
    broker.enter(packets::with_will(Connect::new(V5, "a"), will)).await.0.vanish();
    let message = watcher.take("will", "gone").await;
    assert_eq!(message.payload_format_indicator, Some(true));
    assert_eq!(message.content_type.as_deref(), Some("text"));
    assert_eq!(message.response_topic.as_deref(), Some("answer"));
    assert_eq!(message.correlation_data.as_deref(), Some(&[0, 255][..]));
    assert_eq!(message.user_properties, user_properties);
}

/// Wildcards and nothing at all are no Will Topic.
/// Covers 5.0 [MQTT-3.1.4-1] [MQTT-4.7.0-1] [MQTT-4.7.3-1], 3.1.1 [MQTT-3.1.4-1] [MQTT-4.7.1-1]
/// [MQTT-4.7.3-1].
#[tokio::test]
async fn topics_that_are_none() {
    let broker = Broker::start().await;
    for (version, word) in
        [(ProtocolVersion::V311, None), (V5, Some(codec::ReasonCode::TopicNameInvalid))]
    {
        for topic in ["", "#", "a/+", "a/#"] {
            let connect = packets::with_will(Connect::new(version, "a"), Will::new(topic, b"x"));
            let heard = broker.knock(connect).await.last_words().await;
            assert_eq!(heard, word, "{version:?} {topic}");
        }
    }
}
