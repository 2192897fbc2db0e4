//! Tests of messages: parts, size, expiry.

use std::time::{Duration, Instant};

use codec::QoS;
use topic::TopicName;

use super::Message;

fn message() -> Message {
    Message::new(TopicName::new("a/b").unwrap(), b"props", b"payload", QoS::AtLeastOnce)
}

#[test]
fn parts_come_out_as_they_went_in() {
    let message = message().with_retain(true);
    assert_eq!((message.forwarded(), message.payload()), (&b"props"[..], &b"payload"[..]));
    assert_eq!((message.qos(), message.retain()), (QoS::AtLeastOnce, true));
    assert_eq!(message.size_bytes(), 3 + 5 + 7);
    let empty = Message::new(TopicName::new("a").unwrap(), b"", b"", QoS::AtMostOnce);
    assert_eq!((empty.forwarded(), empty.payload(), empty.size_bytes()), (&b""[..], &b""[..], 1));
}

/// What is left, and whether it is over, so many milliseconds later.
#[track_caller]
fn check(interval: Option<u32>, later_ms: u64, left: Option<u32>, expired: bool) {
    let then = Instant::now();
    let message = message().with_expiry(interval, then);
    let now = then + Duration::from_millis(later_ms);
    assert_eq!(message.expiry_left_seconds(now), left, "left of {interval:?}");
    assert_eq!(message.is_expired(now), expired, "{interval:?} after {later_ms} ms");
}

/// Covers 5.0 [MQTT-3.3.2-6].
#[test]
fn expiry_counts_down_rounded_up() {
    check(None, 1_000_000, None, false);
    check(Some(5), 0, Some(5), false);
    check(Some(5), 1, Some(5), false);
    check(Some(5), 4_001, Some(1), false);
    check(Some(5), 4_999, Some(1), false);
    check(Some(5), 5_000, Some(0), true);
    check(Some(5), 9_000, Some(0), true);
    check(Some(0), 0, Some(0), true);
    check(Some(u32::MAX), 0, Some(u32::MAX), false);
}
