//! Records in any order that threads can write them in come to the same.

use codec::QoS;

use super::*;
use crate::MessageRef;

const KEY: SessionKey = SessionKey(1);

fn kept() -> KeptSession {
    let json = r#"{"client_id":"c","identity":{"principal":"","authenticated_by":"","groups":[],
        "attributes":[],"expires_at_unix":null},"listener":"","remote":"","protocol":5,
        "expiry_seconds":1,"disconnected_at_unix":null,"sent_below":8,"will":null}"#;
    serde_json::from_str(json).unwrap()
}

fn owed(number: u64, identifiers: &[u32]) -> Owed {
    Owed {
        session: KEY,
        number,
        qos: QoS::ExactlyOnce,
        retain: true,
        shared: true,
        subscription_identifiers: identifiers.into(),
    }
}

fn claim(position: u64, number: u64) -> Record<'static> {
    let owed = vec![owed(number, &[])].into();
    Record::Owed { position: Position(position), bytes: 5, expires_at_unix: Some(6), owed }
}

fn completed(number: u64) -> Record<'static> {
    Record::Completed { session: KEY, numbers: vec![number].into() }
}

fn received(number: u64) -> Record<'static> {
    Record::Received { session: KEY, number }
}

/// The log begins at 100.
fn found(records: &[Record<'_>]) -> FoundSession {
    let mut found = Found::default();
    found.session(KEY, kept());
    found.segment(100);
    found.segment(500);
    for (position, record) in (1_000..).zip(records) {
        found.record(position, record).unwrap();
    }
    found.total().recovered.sessions.remove(0)
}

#[track_caller]
fn check(records: &[Record<'_>], expect: &[(u64, u64, bool)]) {
    let found = found(records);
    let claims: Vec<_> =
        found.owed.iter().map(|owed| (owed.number, owed.position.0, owed.received)).collect();
    assert_eq!(claims, expect);
    assert_eq!(found.owed.len(), expect.len());
    assert_eq!(found.owed.into_iter().count(), expect.len());
}

#[test]
fn claims_and_what_becomes_of_them() {
    check(&[claim(100, 1), claim(200, 2)], &[(1, 100, false), (2, 200, false)]);
    check(&[claim(200, 2), claim(100, 1)], &[(1, 100, false), (2, 200, false)]);
    check(&[claim(100, 1), completed(1), claim(200, 2)], &[(2, 200, false)]);
    check(&[completed(1), claim(100, 1)], &[]);
    check(&[claim(100, 1), completed(1), claim(500, 1)], &[]);
    check(&[claim(100, 1), received(1), claim(500, 1)], &[(1, 500, true)]);
    check(&[received(1), claim(100, 1)], &[(1, 100, true)]);
    check(&[received(1), completed(1), claim(100, 1)], &[]);
    check(&[claim(100, 1), claim(500, 1)], &[(1, 500, false)]);
    check(&[claim(500, 1), claim(100, 1)], &[(1, 500, false)]);
    // A segment that was given back.
    check(&[claim(99, 1)], &[]);
    check(&[claim(99, 1), claim(500, 1)], &[(1, 500, false)]);
    check(&[received(3)], &[]);
}

#[test]
fn numbers_never_fall_below_what_was_sent() {
    assert_eq!(found(&[]).last_number, 7);
    assert_eq!(found(&[claim(99, 8)]).last_number, 8);
    assert_eq!(found(&[received(9)]).last_number, 9);
    assert_eq!(found(&[completed(10)]).last_number, 10);
}

#[test]
fn everything_of_a_claim_comes_back() {
    let many: Vec<_> = (1..=200).map(|number| owed(number, &[number as u32 % 3])).collect();
    let record = |owed: &[Owed]| Record::Owed {
        position: Position(100),
        bytes: 5,
        expires_at_unix: None,
        owed: owed.to_vec().into(),
    };
    let mut records = vec![record(&many)];
    records.extend((1..=200).filter(|number| number % 4 != 0).map(completed));
    let found: Vec<_> = found(&records).owed.into_iter().collect();
    assert_eq!(found.len(), 50);
    for (number, owed) in (4..).step_by(4).zip(found) {
        assert_eq!((owed.number, owed.bytes, owed.expires_at_unix), (number, 5, None));
        assert_eq!(owed.subscription_identifiers.as_ref(), [number as u32 % 3]);
        assert_eq!((owed.qos, owed.retain, owed.shared), (QoS::ExactlyOnce, true, true));
    }
}

#[test]
fn a_claim_on_what_is_not_written_is_refused() {
    let mut found = Found::default();
    found.segment(0);
    assert!(found.record(10, &claim(10, 1)).is_err());
}

#[test]
fn numbers_in_any_order() {
    let mut seed = 7_u64;
    let mut numbers: Vec<u64> = (0..500).collect();
    for at in (1..numbers.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers.swap(at, (seed >> 33) as usize % (at + 1));
    }
    let mut set = Numbers::default();
    for (at, number) in numbers.iter().enumerate() {
        assert!(!set.contains(*number));
        set.insert(*number);
        assert!(numbers[..=at].iter().all(|number| set.contains(*number)));
    }
    set.insert(u64::MAX);
    set.insert(u64::MAX);
    assert!(set.contains(u64::MAX) && !set.contains(u64::MAX - 1) && !set.contains(500));
}

#[test]
fn an_identifier_is_in_use_once_somebody_is_owed_its_message() {
    let packet_id = PacketId::new(7).unwrap();
    let origin = Origin { session: KEY, packet_id };
    let message = MessageRef {
        topic: "t",
        forwarded: &[],
        payload: &[],
        qos: QoS::ExactlyOnce,
        retain: false,
        expires_at_unix: None,
    };
    let message = || Record::Message { message, origin: Some(origin) };
    // The crash came before the claims: the client sends it again, and it is new.
    assert_eq!(found(&[message()]).unreleased, []);
    assert_eq!(found(&[message(), claim(1_000, 8)]).unreleased, [packet_id]);
    assert_eq!(found(&[Record::Accepted(origin)]).unreleased, [packet_id]);
    let released = [message(), claim(1_000, 8), Record::Released(origin)];
    assert_eq!(found(&released).unreleased, []);
}
