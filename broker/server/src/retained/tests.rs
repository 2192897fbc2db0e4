//! Retained messages: sweeping, and what a great many of them cost.

use std::{fmt::Write, fs, time::Duration};

use topic::TopicFilter;

use super::*;

fn message(topic: &str, payload: &[u8], expiry: Option<u32>, now: Instant) -> Arc<Message> {
    let topic = TopicName::new(topic).unwrap();
    let message = Message::new(topic, &[], payload, QoS::AtLeastOnce);
    Arc::new(message.with_retain(true).with_expiry(expiry, now))
}

fn cursor(filter: &str) -> RetainedCursor {
    let filter = SubscriptionFilter { share: None, filter: TopicFilter::new(filter).unwrap() };
    let options = SubscriptionOptions::new(QoS::AtMostOnce);
    RetainedCursor::new(
        &Subscription { filter, options, identifier: None, since_unix: None },
        false,
    )
}

fn publisher() -> Arc<Publisher> {
    Arc::new(Publisher { client_id: "p".into(), ..Publisher::default() })
}

fn many() -> Sizes {
    Sizes { retained_messages: usize::MAX, retained_bytes: usize::MAX, ..Sizes::default() }
}

#[tokio::test]
async fn only_what_has_expired_is_swept_however_many_there_are() {
    let (retained, publisher, sizes) = (Retained::default(), publisher(), many());
    let start = Instant::now();
    for number in 0..3 * SWEEP_VISITS {
        let expiry = [None, Some(10), Some(1_000)][number % 3];
        let message = message(&format!("t/{number}"), b"x", expiry, start);
        retained.apply(&message, &publisher, &sizes).unwrap();
    }
    let (messages, bytes) = (retained.len(), retained.bytes());
    retained.sweep(start + Duration::from_secs(9)).await;
    assert_eq!((retained.len(), retained.bytes()), (messages, bytes));
    retained.sweep(start + Duration::from_secs(10)).await;
    assert_eq!(retained.len(), messages - SWEEP_VISITS);
    assert!(retained.tree.read().get("t/1").is_none());
    assert!(retained.tree.read().get("t/0").is_some() && retained.tree.read().get("t/2").is_some());
    for number in (0..3 * SWEEP_VISITS).filter(|number| number % 3 != 1) {
        retained.forget(&format!("t/{number}"));
    }
    assert_eq!((retained.len(), retained.bytes()), (0, 0));
}

/// Between being found and being dropped it was published anew.
#[test]
fn what_was_published_anew_is_not_swept() {
    let (retained, publisher, sizes) = (Retained::default(), publisher(), many());
    let start = Instant::now();
    retained.apply(&message("t", b"old", Some(1), start), &publisher, &sizes).unwrap();
    let later = start + Duration::from_secs(1);
    let (expired, next) = retained.expired(None, later);
    assert_eq!((expired.as_slice(), next), (&[TopicName::new("t").unwrap()][..], None));
    retained.apply(&message("t", b"new", None, later), &publisher, &sizes).unwrap();
    retained.forget_if_expired("t", later);
    assert_eq!((retained.len(), retained.bytes()), (1, 4));
}

/// The figures of many topics. Every run looks at a sample; with `PORTCULLIS_PROOF=1` it is a million,
/// alone on the machine, and the times are held to a bound.
#[tokio::test]
async fn figures_of_many_topics() {
    let proof = std::env::var_os("PORTCULLIS_PROOF").is_some_and(|value| value == "1");
    let topics: usize = if proof { 1_000_000 } else { 20_000 };
    let (retained, publisher, sizes) = (Retained::default(), publisher(), many());
    let now = Instant::now();
    let before = resident_bytes();
    let mut name = String::new();
    let mut longest_write = Duration::ZERO;
    for number in 0..topics {
        name.clear();
        // Ten first levels would hide what a lookup by the second level costs: each has its own.
        write!(name, "plant-{number}/line/state").unwrap();
        let message = message(&name, b"0123456789abcdef0123456789abcdef", None, now);
        let begun = Instant::now();
        retained.apply(&message, &publisher, &sizes).unwrap();
        longest_write = longest_write.max(begun.elapsed());
    }
    let bytes_each = (resident_bytes().saturating_sub(before)) / topics;
    let exact = {
        let begun = Instant::now();
        for number in (0..topics).step_by(100) {
            let mut cursor = cursor(&format!("plant-{number}/line/state"));
            let (page, finished) = retained.page(&mut cursor, "s", PAGE_MESSAGES, now);
            assert_eq!((page.len(), finished), (1, true));
        }
        begun.elapsed() / u32::try_from(topics / 100).unwrap()
    };
    let mut figures = Vec::new();
    for (filter, expected) in
        [("#", topics), ("+/line/#", topics), ("+/other/#", 0), ("+/line/state/+", 0)]
    {
        let (mut cursor, mut found, mut pages) = (cursor(filter), 0, 0);
        let (begun, mut longest) = (Instant::now(), Duration::ZERO);
        loop {
            let page_begun = Instant::now();
            let (page, finished) = retained.page(&mut cursor, "s", PAGE_MESSAGES, now);
            longest = longest.max(page_begun.elapsed());
            (found, pages) = (found + page.len(), pages + 1);
            if finished {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(found, expected, "{filter}");
        assert!(pages >= topics / PAGE_VISITS, "{filter} was read in {pages} pages");
        figures.push((filter, begun.elapsed(), longest));
    }
    let (begun, mut longest, mut after) = (Instant::now(), Duration::ZERO, None);
    loop {
        let page_begun = Instant::now();
        let (expired, next) = retained.expired(after.as_ref(), now);
        longest = longest.max(page_begun.elapsed());
        assert!(expired.is_empty());
        let Some(next) = next else { break };
        after = Some(next);
    }
    figures.push(("the sweep", begun.elapsed(), longest));
    println!("{topics} topics: {bytes_each} bytes each, exact lookup {exact:?}");
    println!("longest write lock of a PUBLISH {longest_write:?}");
    for (what, all, longest) in figures {
        println!("{what}: {all:?} in all, longest lock {longest:?}");
        assert!(!proof || longest < LOCK_MAX, "{what}: locked for {longest:?}");
    }
    assert!(!proof || bytes_each < 600, "{bytes_each} bytes each");
    assert!(!proof || exact < Duration::from_micros(20), "{exact:?}");
}

/// A lock that is held for longer would be felt by others.
const LOCK_MAX: Duration = Duration::from_millis(10);

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<usize>().unwrap() * 1024
}
