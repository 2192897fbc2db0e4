//! Equal sets share one allocation, others never do, and nothing is remembered without bound.

use std::sync::Arc;

use super::{SETS_MAX, SWEEP_EVERY, SharedPermissions};
use crate::testing::{rule, rules, subject};
use crate::{Answer, Effect, HoldsFor, PermissionSet, Permissions};

fn compile(link: &str, client: &str, answer: Answer) -> Permissions {
    Permissions::compile(&subject(client, "p"), &[(link.into(), answer)]).expect("compiles")
}

fn numbered(number: usize) -> Permissions {
    compile("acl", "c", rules([rule(Effect::Allow, &format!("a/{number}"))]))
}

#[test]
fn equal_sets_are_kept_once() {
    let shared = SharedPermissions::default();
    let set = || rules([rule(Effect::Allow, "a/#"), rule(Effect::Deny, "b/+")]);
    let first = shared.share(compile("acl", "one", set()));
    assert!(Arc::ptr_eq(&first, &shared.share(compile("acl", "two", set()))));
}

#[test]
fn the_set_last_looked_for_is_found_by_its_rules_and_not_held() {
    let shared = SharedPermissions::default();
    let set = numbered(1);
    let first = shared.share(set.clone());
    assert!(Arc::ptr_eq(&first, &shared.share(set.clone())));
    let longer = Permissions { ttl: set.ttl * 2, ..set.clone() };
    let longer = shared.share(longer);
    assert!(!Arc::ptr_eq(&first, &longer));
    assert_eq!(longer.ttl, first.ttl * 2);
    let other = shared.share(numbered(2));
    assert!(!Arc::ptr_eq(&first, &other) && !other.has_same_rules(&first));
    let gone = Arc::downgrade(&other);
    drop(other);
    assert!(gone.upgrade().is_none());
    assert!(Arc::ptr_eq(&first, &shared.share(set)), "found by its content");
}

#[test]
fn sets_that_differ_in_anything_are_kept_apart() {
    let shared = SharedPermissions::default();
    let with_ttl = |seconds| {
        let rules = vec![rule(Effect::Allow, "a")];
        Answer::Permissions(PermissionSet {
            rules,
            ttl_seconds: Some(seconds),
            holds_for: HoldsFor::Client,
        })
    };
    let kept = [
        compile("acl", "c", rules([rule(Effect::Allow, "a")])),
        compile("acl", "c", rules([rule(Effect::Deny, "a")])),
        compile("acl", "c", rules([rule(Effect::Allow, "b")])),
        compile("other", "c", rules([rule(Effect::Allow, "a")])),
        compile("acl", "c", with_ttl(10)),
        compile("acl", "c", Answer::Next),
        compile("acl", "c", Answer::DenyAll),
        compile("acl", "c", rules([])),
        // The number of a rule is part of what a refusal says.
        compile(
            "acl",
            "c",
            rules([
                crate::Rule { qos: crate::QoSSet(0), ..rule(Effect::Allow, "a") },
                rule(Effect::Allow, "a"),
            ]),
        ),
    ]
    .map(|set| shared.share(set));
    for (place, one) in kept.iter().enumerate() {
        for other in kept.iter().skip(place + 1) {
            assert!(!Arc::ptr_eq(one, other), "{one:?} {other:?}");
        }
    }
}

#[test]
fn sets_with_the_name_of_the_client_take_no_place() {
    let shared = SharedPermissions::default();
    let set = || rules([rule(Effect::Allow, "${clientid}/#")]);
    let mine = shared.share(compile("acl", "one", set()));
    let other = shared.share(compile("acl", "two", set()));
    assert!(!Arc::ptr_eq(&mine, &other));
    // A rule that fell away because of the name is personal too.
    let _dropped = shared.share(compile("acl", "a/b", set()));
    assert_eq!(shared.sets.lock().expect("lock").by_hash.len(), 0);
}

#[test]
fn sets_that_nobody_uses_are_forgotten() {
    let shared = SharedPermissions::default();
    for number in 0..3 * SWEEP_EVERY {
        drop(shared.share(numbered(number)));
    }
    assert!(shared.sets.lock().expect("lock").by_hash.len() <= SWEEP_EVERY);
}

#[test]
fn no_more_than_the_bound_are_remembered() {
    let shared = SharedPermissions::default();
    let alive: Vec<_> = (0..SETS_MAX + 10).map(|number| shared.share(numbered(number))).collect();
    assert_eq!(shared.sets.lock().expect("lock").by_hash.len(), SETS_MAX);
    assert!(Arc::ptr_eq(&alive[0], &shared.share(numbered(0))));
    assert!(!Arc::ptr_eq(&alive[SETS_MAX + 5], &shared.share(numbered(SETS_MAX + 5))));
}
