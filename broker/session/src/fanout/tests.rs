//! Tests of fan-outs: one encoding per version, one copy on the heap.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use codec::{Decoded, Packet, ProtocolVersion, QoS, decode};
use topic::TopicName;

use super::{Fanout, Frames};
use crate::Message;

#[test]
fn a_frame_per_version_and_none_left_from_the_last_message() {
    let (topic, now, mut frames) =
        (TopicName::new("a/b").unwrap(), Instant::now(), Frames::default());
    for payload in [&b"first"[..], b"second"] {
        let mut fanout = Fanout::new(
            &topic,
            (&[], payload),
            (QoS::ExactlyOnce, true),
            (Some(7), now),
            &mut frames,
        );
        for (version, expiry) in [(ProtocolVersion::V311, None), (ProtocolVersion::V5, Some(7))] {
            let frame = fanout.plain_frame(version).to_vec();
            assert_eq!(fanout.plain_frame(version), frame);
            let Ok(Decoded::Packet(Packet::Publish(publish), length)) =
                decode(&frame, version, usize::MAX)
            else {
                panic!("not a PUBLISH: {frame:?}");
            };
            assert_eq!(length, frame.len());
            assert_eq!((publish.topic, publish.payload), ("a/b", payload));
            assert_eq!((publish.qos, publish.retain, publish.dup), (QoS::AtMostOnce, false, false));
            assert_eq!(publish.message_expiry_interval, expiry);
        }
    }
    frames.shrink_to(0);
    assert_eq!(frames.v311.capacity() + frames.v5.capacity(), 0);
}

#[test]
fn the_message_is_made_once() {
    let (topic, now, mut frames) =
        (TopicName::new("a").unwrap(), Instant::now(), Frames::default());
    let parts: (&[u8], &[u8]) = (b"p", b"q");
    let mut fanout =
        Fanout::new(&topic, parts, (QoS::AtLeastOnce, true), (Some(9), now), &mut frames);
    let message = Arc::clone(fanout.message());
    assert!(Arc::ptr_eq(&message, fanout.message()));
    assert_eq!((message.forwarded(), message.payload()), parts);
    assert_eq!((message.qos(), message.retain()), (fanout.qos(), fanout.retain()));
    assert_eq!(message.expiry_left_seconds(now), Some(9));
}

#[test]
fn a_kept_message_goes_out_with_what_is_left_of_its_expiry() {
    let (now, mut frames) = (Instant::now(), Frames::default());
    let topic = TopicName::new("a").unwrap();
    let message =
        Arc::new(Message::new(topic, b"", b"x", QoS::AtLeastOnce).with_expiry(Some(9), now));
    let later = now + Duration::from_secs(4);
    let mut fanout = Fanout::from_message(&message, later, &mut frames);
    assert_eq!(fanout.head().message_expiry_interval, Some(5));
    assert!(Arc::ptr_eq(fanout.message(), &message));
}
