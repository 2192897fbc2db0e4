//! Tests of the queue: its bounds, and what gives way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use codec::QoS;
use topic::TopicName;

use super::{Enqueued, Queue, QueueFull, QueueLimits};
use crate::{Message, inflight::Owed};

/// Ten bytes with its topic, unless `bytes` says more.
fn owed(name: &str, bytes: usize, expiry: Option<u32>, now: Instant) -> Owed {
    let payload = vec![0; bytes - name.len()];
    let message = Message::new(TopicName::new(name).unwrap(), b"", &payload, QoS::AtLeastOnce)
        .with_expiry(expiry, now);
    Owed {
        message: Arc::new(message),
        transformed: None,
        claim: None,
        qos: QoS::AtLeastOnce,
        retain: false,
        shared: false,
        subscription_identifiers: [].into(),
    }
}

fn limits(messages: usize, bytes: usize, when_full: QueueFull) -> QueueLimits {
    QueueLimits { messages, bytes, when_full }
}

fn names(queue: &mut Queue) -> String {
    std::iter::from_fn(|| queue.pop_owed()).map(|owed| owed.message.topic().to_string()).collect()
}

/// Pushes messages `a`, `b`, ... of these sizes; what became of the last one, and what waits then.
#[track_caller]
fn check(sizes: &[usize], limits: QueueLimits, expect: Enqueued, waiting: &str) {
    let now = Instant::now();
    let mut queue = Queue::default();
    let mut last = None;
    for (name, size) in ('a'..).zip(sizes) {
        last =
            Some(queue.push(owed(&name.to_string(), *size, None, now), &limits, true, |_, _| ()));
        assert!(queue.len() <= limits.messages && queue.bytes <= limits.bytes);
    }
    assert_eq!((last, names(&mut queue).as_str()), (Some(expect), waiting));
    assert_eq!((queue.bytes, queue.len(), queue.is_empty()), (0, 0, true));
}

#[test]
fn bounds_and_policies() {
    use Enqueued::{Queued, Refused};
    use QueueFull::{Disconnect, DropNewest, DropOldest};
    check(&[10, 10], limits(2, 20, DropOldest), Queued { dropped: 0 }, "ab");
    check(&[10, 10, 10], limits(2, 100, DropOldest), Queued { dropped: 1 }, "bc");
    check(&[10, 10, 10], limits(9, 20, DropOldest), Queued { dropped: 1 }, "bc");
    check(&[10, 10, 20], limits(9, 20, DropOldest), Queued { dropped: 2 }, "c");
    check(&[10, 10, 21], limits(9, 20, DropOldest), Refused, "ab");
    check(&[10, 10, 10], limits(2, 100, DropNewest), Refused, "ab");
    check(&[10, 10, 10], limits(9, 29, DropNewest), Refused, "ab");
    check(&[10, 10, 10], limits(2, 100, Disconnect), Refused, "ab");
    check(&[10], limits(0, 100, DropOldest), Refused, "");
    check(&[10], limits(9, 9, DropOldest), Refused, "");
}

#[test]
fn expired_messages_go_and_are_searched_for_only_when_due() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let limits = limits(9, 1_000, QueueFull::DropNewest);
    let mut queue = Queue::default();
    for (name, expiry) in [("a", Some(9)), ("b", None), ("c", Some(3)), ("d", Some(5))] {
        queue.push(owed(name, 10, expiry, start), &limits, true, |_, _| ());
    }
    for (seconds, gone, bytes) in [(2, 0, 40), (3, 1, 30), (4, 0, 30), (5, 1, 20), (6, 0, 20)] {
        assert_eq!(queue.drop_expired(at(seconds), |_, _| ()), gone, "after {seconds} s");
        assert_eq!(queue.bytes, bytes);
    }
    assert_eq!(queue.expires_from, Some(at(9)));
    assert_eq!(names(&mut queue), "ab");
    assert_eq!(queue.expires_from, None);
}

#[test]
fn an_empty_queue_keeps_little() {
    let now = Instant::now();
    let limits = limits(1_000, 100_000, QueueFull::DropNewest);
    let mut queue = Queue::default();
    for _ in 0..1_000 {
        queue.push(owed("a", 10, None, now), &limits, true, |_, _| ());
    }
    assert_eq!(queue.retain_owed(|_| false, |_, _| ()), 1_000);
    assert!(queue.waiting.capacity() <= super::MESSAGES_KEPT);
}
