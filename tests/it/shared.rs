//! Shared subscriptions (section 4.8.2): each message to one member.

use codec::{Connect, ProtocolVersion::V5, QoS, ReasonCode};
use portcullis_tests::{Broker, User, allow, packets};
use server::BrokerHandle;

#[tokio::test]
async fn in_turn_among_members() {
    let broker = Broker::start().await;
    let mut members = Vec::new();
    for number in 0..3 {
        let mut member = broker.client(V5, &format!("member-{number}")).await;
        member.subscribe("$share/g/t/+", QoS::AtMostOnce).await;
        members.push(member);
    }
    // Another group and a plain subscription get each message of their own.
    let mut other = broker.client(V5, "other").await;
    other.subscribe("$share/h/t/+", QoS::AtMostOnce).await;
    let mut plain = broker.client(V5, "plain").await;
    plain.subscribe("t/+", QoS::AtMostOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..30 {
        publisher.publish("t/x", &number.to_string()).await;
    }
    let mut seen = Vec::new();
    for member in &mut members {
        let came = member.drain().await;
        assert_eq!(came.len(), 10, "{}", member.name);
        seen.extend(came.into_iter().map(|message| message.payload));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 30);
    assert_eq!(other.drain().await.len(), 30);
    assert_eq!(plain.drain().await.len(), 30);
}

#[tokio::test]
async fn remaining_members_get_everything() {
    let broker = Broker::start().await;
    let mut stays = broker.client(V5, "stays").await;
    stays.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    let mut leaves = broker.client(V5, "leaves").await;
    leaves.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    let mut unsubscribes = broker.client(V5, "unsubscribes").await;
    unsubscribes.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    unsubscribes.send(packets::unsubscribe(1, &["$share/g/t"])).await;
    unsubscribes.expect(packets::unsuback(V5, 1, &[ReasonCode::Success])).await;
    leaves.leave().await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..6 {
        assert_eq!(publisher.publish("t", &number.to_string()).await, ReasonCode::Success);
        stays.take("t", &number.to_string()).await;
    }
    unsubscribes.quiet().await;
    stays.leave().await;
    assert_eq!(publisher.publish("t", "x").await, ReasonCode::NoMatchingSubscribers);
}

/// A member that is away gets a message only when nobody else is there.
#[tokio::test]
async fn connected_members_come_first() {
    let broker = Broker::start().await;
    let connect = packets::persistent(V5, "away");
    let mut away = broker.enter(connect.clone()).await.0;
    away.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    away.leave().await;
    let mut here = broker.client(V5, "here").await;
    here.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    for number in 0..4 {
        publisher.publish("t", &number.to_string()).await;
        here.take("t", &number.to_string()).await;
    }
    here.leave().await;
    publisher.publish("t", "kept").await;
    assert_eq!(broker.broker.client("away").unwrap().queued, 1);
    let mut back = broker.enter(connect).await.0;
    back.take("t", "kept").await;
    back.quiet().await;
}

/// The turns of a member who is away go round among the others.
#[tokio::test]
async fn nobody_gets_all_turns_of_the_absent() {
    let broker = Broker::start().await;
    let mut away = broker.enter(packets::persistent(V5, "away")).await.0;
    away.subscribe("$share/g/t", QoS::AtMostOnce).await;
    let mut members = Vec::new();
    for number in 0..3 {
        let mut member = broker.client(V5, &format!("member-{number}")).await;
        member.subscribe("$share/g/t", QoS::AtMostOnce).await;
        members.push(member);
    }
    away.leave().await;
    let mut publisher = broker.client(V5, "pub").await;
    for _ in 0..36 {
        publisher.publish("t", "x").await;
    }
    for member in &mut members {
        assert_eq!(member.drain().await.len(), 12, "{}", member.name);
    }
}

/// What one member cannot take goes to the next.
#[tokio::test]
async fn a_member_that_cannot_take_it_passes_it_on() {
    let broker = Broker::start().await;
    let small = Connect { maximum_packet_size: Some(40), ..Connect::new(V5, "small") };
    let mut small = broker.enter(small).await.0;
    small.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    let mut large = broker.client(V5, "large").await;
    large.subscribe("$share/g/t", QoS::AtLeastOnce).await;
    let mut publisher = broker.client(V5, "pub").await;
    let text = "x".repeat(100);
    for _ in 0..6 {
        publisher.publish("t", &text).await;
        large.take("t", &text).await;
    }
    small.quiet().await;
    assert_eq!(broker.counted("portcullis_messages_dropped_total"), 0);
}

/// Permission is for the share name too, and the turn passes members who may not have the topic.
#[tokio::test]
async fn permission_of_members() {
    let broker = Broker::start().await;
    let named = access::Rule { share_name: Some("mine".to_owned()), ..allow("t/#") };
    let named = access::Rule { shared: access::Condition::Yes, ..named };
    broker.doorman.set_user("a", User::with_rules([portcullis_tests::deny("t/no"), named]));
    let mut client = broker.client(V5, "a").await;
    let q = QoS::AtMostOnce;
    let filters = [("$share/mine/t/+", q), ("$share/other/t/+", q), ("t/+", q)];
    client.send(packets::subscribe(1, &filters)).await;
    let no = ReasonCode::NotAuthorized;
    client.expect(packets::suback(1, &[ReasonCode::Success, no, no])).await;
    let mut free = broker.client(V5, "b").await;
    free.subscribe("$share/mine/t/+", q).await;
    let mut publisher = broker.client(V5, "pub").await;
    for _ in 0..4 {
        publisher.publish("t/no", "x").await;
        free.take("t/no", "x").await;
    }
    client.quiet().await;
}
