//! Will Messages (section 3.1.2.5): when they are sent, when not, and that they are permitted.

use std::time::{Duration, Instant, SystemTime};

use access::Grant;
use codec::{Connect, ProtocolVersion, QoS, ReasonCode, Will};
use portcullis_tests::{BOTH, Broker, Client, Mood, User, allow, deny, packets};
use server::BrokerHandle;

use ProtocolVersion::V5;

async fn watcher(broker: &Broker) -> Client {
    let mut watcher = broker.client(V5, "watcher").await;
    watcher.subscribe("will/#", QoS::ExactlyOnce).await;
    watcher
}

fn will() -> Will {
    Will { qos: QoS::AtLeastOnce, ..Will::new("will/a", b"gone") }
}

fn delayed(delay_interval: u32) -> Connect {
    packets::with_will(packets::persistent(V5, "a"), Will { delay_interval, ..will() })
}

/// Covers 5.0 [MQTT-3.1.2-10] [MQTT-3.14.4-3], 3.1.1 [MQTT-3.1.2-10] [MQTT-3.14.4-3].
#[tokio::test]
async fn normal_disconnection_forgets_it() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    for version in BOTH {
        let connect = packets::with_will(Connect::new(version, "a"), will());
        broker.enter(connect).await.0.leave().await;
        broker.until(|broker| broker.client("a").is_none()).await;
        watcher.quiet().await;
    }
    assert_eq!(broker.counted("portcullis_wills_published_total"), 0);
}

/// Covers 5.0 [MQTT-3.1.2-7] [MQTT-3.1.2-8], 3.1.1 [MQTT-3.1.2-8].
#[tokio::test]
async fn every_other_end_sends_it() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    for version in BOTH {
        let enter = || broker.enter(packets::with_will(Connect::new(version, "a"), will()));
        enter().await.0.vanish();
        assert_eq!(watcher.take("will/a", "gone").await.qos, QoS::AtLeastOnce);
        let mut violates = enter().await.0;
        violates.send_bytes(&[0]).await;
        violates.expect_disconnect(ReasonCode::MalformedPacket).await;
        watcher.take("will/a", "gone").await;
        let mut ended = enter().await.0;
        assert!(broker.broker.disconnect("a", ReasonCode::AdministrativeAction));
        ended.expect_disconnect(ReasonCode::AdministrativeAction).await;
        watcher.take("will/a", "gone").await;
    }
    let mut asks = broker.enter(packets::with_will(Connect::new(V5, "a"), will())).await.0;
    asks.send(packets::disconnect(ReasonCode::DisconnectWithWillMessage)).await;
    watcher.take("will/a", "gone").await;
    watcher.quiet().await;
}

/// Covers 5.0 [MQTT-3.1.2-15].
#[tokio::test]
async fn properties_and_retain() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let will = Will {
        retain: true,
        content_type: Some("text".to_owned()),
        correlation_data: Some(vec![1, 2]),
        message_expiry_interval: Some(50),
        user_properties: vec![("k".to_owned(), "v".to_owned())],
        ..will()
    };
    broker.enter(packets::with_will(Connect::new(V5, "a"), will)).await.0.vanish();
    let live = watcher.take("will/a", "gone").await;
    assert!(!live.retain);
    let mut late = broker.client(V5, "late").await;
    late.subscribe("will/a", QoS::AtMostOnce).await;
    let kept = late.take("will/a", "gone").await;
    assert!(kept.retain);
    for message in [live, kept] {
        assert_eq!(message.content_type.as_deref(), Some("text"));
        assert_eq!(message.correlation_data.as_deref(), Some(&[1, 2][..]));
        assert_eq!(message.message_expiry_interval, Some(50));
        assert_eq!(message.user_properties.len(), 1);
    }
}

/// Covers 5.0 [MQTT-3.1.2-8] [MQTT-3.1.2-10].
#[tokio::test]
async fn delay_waits() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let client = broker.enter(delayed(1)).await.0;
    let begun = Instant::now();
    client.vanish();
    broker.until(|broker| !broker.client("a").unwrap().connected).await;
    watcher.quiet().await;
    watcher.take("will/a", "gone").await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // The client that returns after it gets its session, and no second will is sent.
    let (back, connack) = broker.enter(packets::persistent(V5, "a")).await;
    assert!(connack.session_present);
    back.leave().await;
    watcher.quiet().await;
}

/// Covers 5.0 [MQTT-3.1.2-8] [MQTT-3.1.3-9].
#[tokio::test]
async fn return_within_the_delay_calls_it_off() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    broker.enter(delayed(1)).await.0.vanish();
    broker.until(|broker| !broker.client("a").unwrap().connected).await;
    let (mut back, connack) = broker.enter(packets::persistent(V5, "a")).await;
    assert!(connack.session_present);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    back.quiet().await;
    watcher.quiet().await;
}

/// The session ends before the delay: the will is sent then [MQTT-3.1.2-8].
/// Covers 5.0 [MQTT-3.1.2-8].
#[tokio::test]
async fn end_of_the_session_ends_the_delay() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let client = broker.enter(Connect { session_expiry_interval: 1, ..delayed(100) }).await.0;
    client.vanish();
    watcher.take("will/a", "gone").await;
    assert!(broker.broker.client("a").is_none());
    let client = broker.enter(Connect { session_expiry_interval: 0, ..delayed(100) }).await.0;
    client.vanish();
    watcher.take("will/a", "gone").await;
    broker.enter(delayed(100)).await.0.vanish();
    broker.until(|broker| !broker.client("a").unwrap().connected).await;
    let clean = Connect { clean_start: true, ..packets::persistent(V5, "a") };
    let _clean = broker.enter(clean).await;
    watcher.take("will/a", "gone").await;
}

#[tokio::test]
async fn takeover_sends_it_unless_delayed() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let mut first = broker.enter(delayed(0)).await.0;
    let mut second = broker.enter(delayed(100)).await.0;
    first.expect_disconnect(ReasonCode::SessionTakenOver).await;
    watcher.take("will/a", "gone").await;
    let _third = broker.enter(packets::persistent(V5, "a")).await;
    second.expect_disconnect(ReasonCode::SessionTakenOver).await;
    watcher.quiet().await;
}

/// Covers 5.0 [MQTT-3.1.4-2].
#[tokio::test]
async fn permission_is_checked_at_connect() {
    let broker = Broker::start().await;
    broker.doorman.set_user("a", User::with_rules([deny("will/#"), allow("#")]));
    for version in BOTH {
        let connect = packets::with_will(Connect::new(version, "a"), will());
        let mut client = broker.knock(connect).await;
        client.expect(packets::refusal(ReasonCode::NotAuthorized)).await;
        client.expect_closed().await;
    }
    assert_eq!(broker.broker.totals().sessions, 0);
}

fn forbid(broker: &Broker) {
    broker.doorman.set_user("a", User::with_rules([deny("will/#"), allow("#")]));
    broker.swap();
}

/// What was permitted at CONNECT may not be any more when it is sent: after a reload, also within
/// the moment before the new permissions came, and while nobody knows them.
#[tokio::test]
async fn permission_is_checked_when_sent() {
    for delay in [0, 1] {
        let broker = Broker::start().await;
        let mut watcher = watcher(&broker).await;
        let client = broker.enter(delayed(delay)).await.0;
        forbid(&broker);
        client.vanish();
        let denied = |_: &server::Broker| broker.counted("portcullis_publish_denied_total") == 1;
        broker.until(denied).await;
        watcher.quiet().await;
        assert_eq!(broker.counted("portcullis_wills_published_total"), 0);
    }
}

/// Nobody speaks in the name of an identity that has ended, neither at its end nor after a delay.
#[tokio::test]
async fn an_identity_that_ended_has_no_will() {
    for delay in [0, 3] {
        let broker = Broker::start().await;
        let mut watcher = watcher(&broker).await;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let grant = Grant { expires_at_unix: Some(now + 2), ..Grant::default() };
        broker.doorman.set_user("a", User { grant, ..User::default() });
        let client = broker.enter(delayed(delay)).await.0;
        if delay > 0 {
            client.vanish();
        }
        let refused = "portcullis_wills_refused_total{reason=\"identity_ended\"}";
        broker.until(|_| broker.counted(refused) == 1).await;
        watcher.quiet().await;
        assert_eq!(broker.counted("portcullis_wills_published_total"), 0);
    }
}

/// An authorizer that hangs over one client's will holds up no other session.
#[tokio::test]
async fn hanging_authorizer_holds_up_no_other_session() {
    let broker = Broker::start().await;
    for name in ["a", "b"] {
        let will = Will { delay_interval: 1, ..will() };
        let connect = packets::with_will(packets::persistent(V5, name), will);
        broker.enter(connect).await.0.vanish();
    }
    let short = Connect { session_expiry_interval: 2, ..packets::persistent(V5, "short") };
    broker.enter(short).await.0.vanish();
    broker.until(|broker| !broker.client("short").unwrap().connected).await;
    broker.doorman.authorizer(Mood::Hangs);
    broker.until(|broker| broker.client("short").is_none()).await;
    let mut watcher = {
        broker.doorman.authorizer(Mood::Answers);
        watcher(&broker).await
    };
    broker.until(|_| broker.counted("portcullis_wills_published_total") == 2).await;
    watcher.quiet().await;
}

/// A session that is over is nobody's, however long its will is asked for.
#[tokio::test]
async fn the_end_of_a_session_does_not_wait_for_its_will() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let client = broker.enter(Connect { session_expiry_interval: 1, ..delayed(100) }).await.0;
    client.vanish();
    broker.until(|broker| !broker.client("a").unwrap().connected).await;
    broker.doorman.authorizer(Mood::Hangs);
    broker.swap();
    broker.until(|broker| broker.client("a").is_none()).await;
    assert_eq!(broker.counted("portcullis_wills_published_total"), 0);
    broker.doorman.authorizer(Mood::Answers);
    watcher.take("will/a", "gone").await;
}

/// The rules changed and nobody knows them yet: the will waits for them, and is refused by them.
#[tokio::test]
async fn unknown_permissions_are_asked_for() {
    let broker = Broker::start().await;
    let mut watcher = watcher(&broker).await;
    let mut client = broker.enter(delayed(0)).await.0;
    broker.doorman.authorizer(Mood::Hangs);
    forbid(&broker);
    assert!(broker.broker.disconnect("a", ReasonCode::AdministrativeAction));
    client.expect_disconnect(ReasonCode::AdministrativeAction).await;
    assert_eq!(broker.counted("portcullis_publish_denied_total"), 0);
    broker.doorman.authorizer(Mood::Answers);
    broker.until(|_| broker.counted("portcullis_publish_denied_total") == 1).await;
    broker.refreshed("watcher").await;
    watcher.quiet().await;
    assert_eq!(broker.counted("portcullis_wills_published_total"), 0);
}
