//! Tests of the compact queue: what goes in comes out, in any order of operations, and costs little.

use std::collections::VecDeque;

use super::*;

fn waiting(number: u64, place: u64) -> Waiting {
    Waiting {
        claim: Claim { number: NonZeroU64::new(number).unwrap(), place },
        bytes: 100,
        expires_at: None,
        qos: QoS::AtLeastOnce,
        retain: false,
        shared: false,
        subscription_identifiers: Box::default(),
    }
}

/// Any message; expiry in whole seconds from `base`, because only those come back unchanged.
fn any(random: &mut fastrand::Rng, base: Instant, number: u64) -> Waiting {
    let whole = |seconds: u64| base + Duration::from_secs(seconds);
    let bits = random.u32(0..40);
    Waiting {
        claim: Claim { number: NonZeroU64::new(number).unwrap(), place: random.u64(..) },
        bytes: random.usize(..1 << bits),
        expires_at: random.bool().then(|| whole(random.u64(..1_000_000))),
        qos: if random.bool() { QoS::AtLeastOnce } else { QoS::ExactlyOnce },
        retain: random.bool(),
        shared: random.bool(),
        subscription_identifiers: (0..random.usize(..3)).map(|_| random.u32(..)).collect(),
    }
}

#[test]
fn it_is_a_queue() {
    let base = Instant::now();
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut stored, mut model) = (Stored::default(), VecDeque::new());
        let mut number = 1_000;
        for _ in 0..400 {
            match random.u8(..12) {
                0..6 => {
                    number += random.u64(1..3);
                    let pushed = any(&mut random, base, number);
                    stored.push_back(&pushed);
                    model.push_back(pushed);
                }
                6..10 => assert_eq!(stored.pop_front(), model.pop_front(), "seed {seed}"),
                10 => {
                    let before: Vec<_> =
                        (0..random.u64(..4)).map(|n| any(&mut random, base, n + 1)).collect();
                    stored.prepend(before.iter().cloned());
                    before.into_iter().rev().for_each(|waiting| model.push_front(waiting));
                }
                _ => {
                    let keeps = |waiting: &Waiting| !waiting.claim.place.is_multiple_of(5);
                    stored.retain(|waiting| keeps(waiting));
                    model.retain(keeps);
                }
            }
            assert_eq!((stored.len(), stored.is_empty()), (model.len(), model.is_empty()));
        }
        assert!(stored.iter().eq(model.iter().cloned()), "seed {seed}");
    }
}

#[test]
fn a_waiting_message_costs_a_few_bytes() {
    let mut stored = Stored::default();
    for number in 1..=100_000 {
        stored.push_back(&waiting(number, number * 130));
    }
    let bytes: usize = stored.runs.iter().map(|run| run.bytes.capacity() + size_of::<Run>()).sum();
    assert!(bytes < 700_000, "{bytes}");
    // A queue that is always short gives back what is behind it.
    let mut short = Stored::default();
    for number in 1..=10_000 {
        short.push_back(&waiting(number, number));
        short.push_back(&waiting(number, number));
        short.pop_front();
        short.pop_front();
        short.push_back(&waiting(number, number));
        if number > 1 {
            short.pop_front();
        }
    }
    let bytes: usize = short.runs.iter().map(|run| run.bytes.capacity()).sum();
    assert!(short.len() == 1 && bytes <= 2 * RUN_BYTES + 128, "{bytes}");
}

#[test]
fn nothing_expires_before_its_time() {
    let base = Instant::now();
    let mut stored = Stored::default();
    let after = |millis| Some(base + Duration::from_millis(millis));
    for expires_at in [after(5_000), after(1_300), after(9_001), None] {
        stored.push_back(&Waiting { expires_at, ..waiting(1, 1) });
    }
    let expiries: Vec<_> = stored.iter().map(|waiting| waiting.expires_at).collect();
    assert_eq!(expiries, [after(5_000), after(2_000), after(10_000), None]);
}
