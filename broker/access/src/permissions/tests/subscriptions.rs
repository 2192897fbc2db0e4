//! Covering and overlapping: what a subscription may reach, and when deliveries must be checked.

use super::{allow, delivers, denied_by, deny, one, permissions, publish, subscribe};
use crate::permissions::NotAuthorized;
use crate::testing::rules;
use crate::{Activity, Condition, Effect, QoSSet, Rule};

/// CVE-2026-49186 and its kin: a wildcard must not reach what its parts would be denied.
#[test]
fn wildcard_subscriptions_are_held_to_the_rules() {
    let inside = one([deny("a/secret/#"), allow("a/#")]);
    for (filter, expected) in [
        ("a/open", Ok(false)),
        ("a/secret", Err(denied_by("first", 1))),
        ("a/secret/+", Err(denied_by("first", 1))),
        ("$share/g/a/secret/#", Err(denied_by("first", 1))),
        ("a/#", Ok(true)),
        ("a/+", Ok(true)),
        ("$share/g/a/#", Ok(true)),
        ("a/+/x", Ok(true)),
        ("a/open/#", Ok(false)),
        ("#", Err(NotAuthorized::NoRule)),
        ("+/secret", Err(NotAuthorized::NoRule)),
        ("$share/g/#", Err(NotAuthorized::NoRule)),
        ("$SYS/#", Err(NotAuthorized::NoRule)),
    ] {
        assert_eq!(subscribe(&inside, filter), expected, "{filter}");
    }
    assert!(delivers(&inside, "a/#", "a/open/x"));
    assert!(!delivers(&inside, "a/#", "a/secret"));
    assert!(!delivers(&inside, "$share/g/a/#", "a/secret/x/y"));
}

#[test]
fn a_leading_wildcard_does_not_reach_topics_of_the_broker() {
    let set = one([allow("#")]);
    assert_eq!(subscribe(&set, "#"), Ok(false));
    assert_eq!(subscribe(&set, "$SYS/#"), Err(NotAuthorized::NoRule));
    assert_eq!(subscribe(&set, "$share/g/$SYS/#"), Err(NotAuthorized::NoRule));
    assert_eq!(publish(&set, "$other/x"), Err(NotAuthorized::NoRule));
    // For the same reason no delivery through `#` could meet this deny.
    assert_eq!(subscribe(&one([deny("$SYS/#"), allow("#")]), "#"), Ok(false));
}

/// Rules can let a client read the broker's own topics, never write them.
#[test]
fn nobody_publishes_to_topics_of_the_broker() {
    let set = one([allow("$SYS/#"), allow("$SYSTEM/#"), allow("#")]);
    assert_eq!(subscribe(&set, "$SYS/#"), Ok(false));
    assert_eq!(subscribe(&set, "$SYS/broker/uptime"), Ok(false));
    for topic in ["$SYS", "$SYS/", "$SYS/x", "$SYS/broker/uptime"] {
        assert_eq!(publish(&set, topic), Err(NotAuthorized::OfBroker), "{topic}");
    }
    for topic in ["$SYSTEM/x", "a/$SYS/x", "SYS/x", "/$SYS/x"] {
        assert_eq!(publish(&set, topic), Ok(()), "{topic}");
    }
}

#[test]
fn only_a_deny_that_can_come_first_costs_a_check() {
    let shared_only = Rule { shared: Condition::Yes, ..deny("a/x") };
    let qos_2_only = Rule { qos: QoSSet(0b100), ..deny("a/x") };
    let publish_only =
        Rule { activity: Activity { publish: true, subscribe: false }, ..deny("a/x") };
    let allow_shared = Rule { shared: Condition::Yes, ..allow("a/x") };
    for (set, checked) in [
        (vec![deny("a/x"), allow("a/#")], true),
        (vec![deny("+/x"), allow("a/#")], true),
        (vec![deny("b/x"), allow("a/#")], false),
        // Behind the allow that covers the filter.
        (vec![allow("a/#"), deny("a/x")], false),
        (vec![allow("a/#"), deny("+/x")], false),
        (vec![allow("#"), deny("a/x"), allow("a/#")], false),
        // Behind an allow that covers the deny.
        (vec![allow("a/x/#"), deny("a/x"), allow("a/#")], false),
        (vec![allow("a/x"), deny("a/x"), allow("a/#")], false),
        // Behind an allow that covers a part of the deny only, or under other conditions.
        (vec![allow("a/x"), deny("a/+"), allow("a/#")], true),
        (vec![allow_shared, deny("a/x"), allow("a/#")], true),
        // Conditions that this subscription does not meet.
        (vec![shared_only, allow("a/#")], false),
        (vec![qos_2_only, allow("a/#")], false),
        (vec![publish_only, allow("a/#")], false),
    ] {
        assert_eq!(subscribe(&one(set.clone()), "a/#"), Ok(checked), "{set:?}");
        // The same by the index: rules around it that have no say.
        let far = (0..20).map(|number| deny(&format!("far/{number}/+")));
        let long: Vec<Rule> = far.clone().chain(set.clone()).chain(far).collect();
        assert_eq!(subscribe(&one(long), "a/#"), Ok(checked), "{set:?}");
        // The deny of a link that has no word on the whole filter counts as well.
        if let [first @ .., _] = set.as_slice()
            && set.first().is_some_and(|rule| rule.effect == Effect::Deny)
        {
            let answers = [rules([allow("a/#")]), rules(first.iter().cloned())];
            assert_eq!(subscribe(&permissions(&answers), "a/#"), Ok(checked), "{set:?}");
        }
    }
}

#[test]
fn proving_that_denies_never_act_is_bounded() {
    // Each deny is behind an allow of its own: too many to look all of them up.
    let pairs = (0..3_000).flat_map(|number| {
        let filter = format!("+/{number}/+");
        [allow(&filter), deny(&filter)]
    });
    let set = one(pairs.chain([allow("a/#")]));
    assert_eq!(subscribe(&set, "a/#"), Ok(true));
    assert!(delivers(&set, "a/#", "a/2999/x"));
}
