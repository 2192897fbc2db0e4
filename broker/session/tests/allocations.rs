//! What the hot paths may allocate: nothing at QoS 0, one message and its place at QoS 1.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::time::Instant;

use codec::{PacketId, ProtocolVersion, QoS};
use session::{
    Attachment, Delivered, DeliveryOptions, Fanout, Frames, QueueFull, QueueLimits, Session,
    SessionLimits,
};
use topic::TopicName;

fn session() -> Session {
    let queue = QueueLimits { messages: 100, bytes: 100_000, when_full: QueueFull::DropOldest };
    let limits =
        SessionLimits { queue, window_max: 32, receive_maximum: 32, topic_alias_maximum: 0 };
    let attachment = Attachment {
        version: ProtocolVersion::V5,
        receive_maximum: 32,
        maximum_packet_size: None,
        topic_alias_maximum: 0,
    };
    let mut session = Session::new(limits, true);
    session.attach(&attachment, limits);
    session
}

/// Allocations of a hundred messages at this level, each written and acknowledged at once.
fn allocations(qos: QoS) -> u64 {
    let (mut session, mut frames, now) = (session(), Frames::default(), Instant::now());
    let topic = TopicName::new("plant/7").unwrap();
    let options = DeliveryOptions {
        maximum_qos: QoS::ExactlyOnce,
        retain: false,
        subscription_identifiers: &[],
        shared: false,
        place: None,
    };
    let mut buffer = Vec::new();
    let mut last = 0;
    let mut message = || {
        let parts: (&[u8], &[u8]) = (b"", b"21.5");
        let mut fanout = Fanout::new(&topic, parts, (qos, false), (None, now), &mut frames);
        assert_eq!(session.deliver(&mut fanout, &options, now), Delivered::Sent);
        buffer.clear();
        session.take_output(&mut buffer, now);
        last += 1;
        if qos == QoS::AtLeastOnce {
            assert!(session.handle_puback(PacketId::new(last).unwrap(), now));
        }
    };
    // Buffers grow at first.
    for _ in 0..4 {
        message();
    }
    allocation_counter::measure(|| (0..100).for_each(|_| message())).count_total
}

#[test]
fn nothing_at_qos_0() {
    assert_eq!(allocations(QoS::AtMostOnce), 0);
}

#[test]
fn the_shared_message_and_its_body_at_qos_1() {
    assert_eq!(allocations(QoS::AtLeastOnce), 200);
}
