//! Tests of packet identifiers, against a set that is searched naively.

use std::collections::BTreeSet;

use codec::PacketId;

use super::PacketIds;

fn ids(in_use: &BTreeSet<u16>) -> impl Iterator<Item = PacketId> + '_ {
    in_use.iter().filter_map(|id| PacketId::new(*id))
}

/// What comes after `last` when these are in use.
#[track_caller]
fn check(last: u16, in_use: &[u16], expect: Option<u16>) {
    let in_use = in_use.iter().copied().collect();
    let mut given = PacketIds { last, free_ahead: 0 };
    assert_eq!(given.next(ids(&in_use)).map(PacketId::get), expect, "after {last}");
}

/// Covers 5.0 [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1], 3.1.1 [MQTT-2.3.1-4].
#[test]
fn next_free_identifier() {
    check(0, &[], Some(1));
    check(1, &[], Some(2));
    check(u16::MAX, &[], Some(1));
    check(u16::MAX, &[1, 2, 4], Some(3));
    check(u16::MAX - 1, &[u16::MAX], Some(1));
    check(u16::MAX - 2, &[u16::MAX - 1, u16::MAX, 1, 2], Some(3));
    check(9, &[8, 9], Some(10));
    check(9, &[10, 11, 13], Some(12));
    let all: Vec<u16> = (1..=u16::MAX).collect();
    check(0, &all, None);
    check(77, &all, None);
    let all_but_one: Vec<u16> = (1..=u16::MAX).filter(|id| *id != 40).collect();
    check(40, &all_but_one, Some(40));
    check(41, &all_but_one, Some(40));
}

/// Covers 5.0 [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1], 3.1.1 [MQTT-2.3.1-4].
#[test]
fn all_identifiers_then_none_then_the_freed_one() {
    let mut given = PacketIds::default();
    let mut in_use = BTreeSet::new();
    for expect in 1..=u16::MAX {
        let id = given.next(ids(&in_use)).expect("some are free").get();
        assert_eq!(id, expect);
        in_use.insert(id);
    }
    assert_eq!(given.next(ids(&in_use)), None);
    in_use.remove(&500);
    assert_eq!(given.next(ids(&in_use)).map(PacketId::get), Some(500));
    in_use.insert(500);
    assert_eq!(given.next(ids(&in_use)), None);
}

#[test]
fn as_a_naive_search_with_stuck_identifiers() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut given = PacketIds::default();
    let mut in_use: BTreeSet<u16> = BTreeSet::new();
    let mut last = 0_u16;
    for _ in 0..300_000 {
        let naive = (1..=u16::MAX)
            .map(|step| ((u32::from(last) + u32::from(step) - 1) % 65_535 + 1) as u16)
            .find(|id| !in_use.contains(id));
        let id = given.next(ids(&in_use)).map(PacketId::get);
        assert_eq!(id, naive, "after {last}");
        last = id.expect("few are in use");
        in_use.insert(last);
        while in_use.len() > 20 {
            // Some stay for long: they must be stepped over at every round.
            let at = random.usize(3..in_use.len());
            let gone = *in_use.iter().nth(at).expect("there");
            in_use.remove(&gone);
        }
    }
}
