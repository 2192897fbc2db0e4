//! Tables: combination over links, conditions, sizes, time to live, explanations.

mod subscriptions;
mod variables;

use std::{sync::Arc, time::Duration};

use codec::QoS;
use topic::SubscriptionFilter;

use super::{NotAuthorized, Permissions, PublishRequest, SubscribeRequest};
use crate::testing::{rule, rules, subject};
use crate::{
    Answer, Condition, Effect, HoldsFor, PermissionSet, QoSSet, Refusal, RefusalKind, Rule,
};

fn allow(filter: &str) -> Rule {
    rule(Effect::Allow, filter)
}

fn deny(filter: &str) -> Rule {
    rule(Effect::Deny, filter)
}

/// Allows "a" under the conditions that `set` sets.
fn allow_when(set: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = allow("a");
    set(&mut rule);
    rule
}

fn compile(answers: &[Answer]) -> Result<Permissions, Refusal> {
    compile_for("dev-1", "alice", answers)
}

fn compile_for(client: &str, principal: &str, answers: &[Answer]) -> Result<Permissions, Refusal> {
    let names = ["first", "second", "third"];
    let answers: Vec<(Arc<str>, Answer)> = names
        .iter()
        .zip(answers)
        .map(|(name, answer)| (Arc::from(*name), answer.clone()))
        .collect();
    Permissions::compile(&subject(client, principal), &answers)
}

fn permissions(answers: &[Answer]) -> Permissions {
    compile(answers).expect("compiles")
}

fn one(set: impl IntoIterator<Item = Rule>) -> Permissions {
    permissions(&[rules(set)])
}

fn publish(permissions: &Permissions, topic: &str) -> Result<(), NotAuthorized> {
    let request = PublishRequest { topic, qos: QoS::AtLeastOnce, retain: false };
    permissions.permit_publish(request).map(|_| ())
}

/// `Ok(true)` = permitted, with a check of each delivery.
fn subscribe(permissions: &Permissions, filter: &str) -> Result<bool, NotAuthorized> {
    let filter = SubscriptionFilter::parse(filter).expect("valid filter");
    let request = SubscribeRequest { filter: &filter, qos: QoS::AtLeastOnce };
    permissions.permit_subscribe(request).map(|permit| permit.check_each_delivery)
}

fn delivers(permissions: &Permissions, filter: &str, topic: &str) -> bool {
    let filter = SubscriptionFilter::parse(filter).expect("valid filter");
    permissions.permit_delivery(topic, SubscribeRequest { filter: &filter, qos: QoS::AtLeastOnce })
}

fn denied_by(plugin: &str, rule: u32) -> NotAuthorized {
    NotAuthorized::Rule { plugin: plugin.into(), rule }
}

#[test]
fn nothing_permits_nothing() {
    for empty in [
        Permissions::default(),
        permissions(&[]),
        one([]),
        permissions(&[Answer::Next, Answer::Next]),
    ] {
        assert_eq!(publish(&empty, "a"), Err(NotAuthorized::NoRule));
        assert_eq!(subscribe(&empty, "#"), Err(NotAuthorized::NoRule));
        assert!(!delivers(&empty, "#", "a"));
    }
}

#[test]
fn within_a_link_the_first_rule_wins() {
    let set = one([deny("a/secret"), allow("a/#"), deny("a/late")]);
    assert_eq!(publish(&set, "a/secret"), Err(denied_by("first", 1)));
    assert_eq!(publish(&set, "a/late"), Ok(()));
    assert_eq!(publish(&set, "b"), Err(NotAuthorized::NoRule));
}

#[test]
fn over_the_links_any_deny_wins() {
    let all = || rules([allow("#")]);
    let some = || rules([deny("a/+")]);
    assert_eq!(publish(&permissions(&[all(), some()]), "a/b"), Err(denied_by("second", 1)));
    assert_eq!(publish(&permissions(&[some(), all()]), "a/b"), Err(denied_by("first", 1)));
    assert_eq!(publish(&permissions(&[some(), all()]), "b/b"), Ok(()));
    assert_eq!(publish(&permissions(&[Answer::Next, all()]), "b/b"), Ok(()));
    for answers in [[all(), Answer::DenyAll], [Answer::DenyAll, all()]] {
        let set = permissions(&answers);
        assert!(matches!(publish(&set, "b"), Err(NotAuthorized::Everything { .. })));
        assert!(matches!(subscribe(&set, "b"), Err(NotAuthorized::Everything { .. })));
        assert!(!delivers(&set, "b", "b"));
    }
}

#[test]
fn conditions_of_a_publish() {
    let requests = [
        (QoS::AtMostOnce, false),
        (QoS::AtMostOnce, true),
        (QoS::AtLeastOnce, false),
        (QoS::ExactlyOnce, true),
    ];
    for (rule, expected) in [
        (allow("a"), [true; 4]),
        (allow_when(|rule| rule.qos = QoSSet(0b001)), [true, true, false, false]),
        (allow_when(|rule| rule.qos = QoSSet(0b110)), [false, false, true, true]),
        (allow_when(|rule| rule.qos = QoSSet(0)), [false; 4]),
        (allow_when(|rule| rule.qos = QoSSet(0b1111_1000)), [false; 4]),
        (allow_when(|rule| rule.retain = Condition::Yes), [false, true, false, true]),
        (allow_when(|rule| rule.retain = Condition::No), [true, false, true, false]),
        (allow_when(|rule| rule.activity.publish = false), [false; 4]),
        // Sharing is not looked at.
        (allow_when(|rule| rule.shared = Condition::Yes), [true; 4]),
        (allow_when(|rule| rule.share_name = Some("g".to_owned())), [true; 4]),
    ] {
        let set = one([rule.clone()]);
        let permitted = requests.map(|(qos, retain)| {
            set.permit_publish(PublishRequest { topic: "a", qos, retain }).is_ok()
        });
        assert_eq!(permitted, expected, "{rule:?}");
    }
}

#[test]
fn conditions_of_a_subscribe() {
    let requests = [
        (QoS::AtMostOnce, "a"),
        (QoS::ExactlyOnce, "a"),
        (QoS::AtMostOnce, "$share/g/a"),
        (QoS::ExactlyOnce, "$share/h/a"),
    ];
    let named = |shared| {
        allow_when(|rule| {
            rule.shared = shared;
            rule.share_name = Some("g".to_owned());
        })
    };
    for (rule, expected) in [
        (allow("a"), [true; 4]),
        (allow_when(|rule| rule.qos = QoSSet(0b011)), [true, false, true, false]),
        (allow_when(|rule| rule.shared = Condition::Yes), [false, false, true, true]),
        (allow_when(|rule| rule.shared = Condition::No), [true, true, false, false]),
        (named(Condition::Any), [false, false, true, false]),
        (named(Condition::No), [false; 4]),
        (allow_when(|rule| rule.activity.subscribe = false), [false; 4]),
        // RETAIN is not looked at.
        (allow_when(|rule| rule.retain = Condition::Yes), [true; 4]),
    ] {
        let set = one([rule.clone()]);
        let permitted = requests.map(|(qos, filter)| {
            let filter = SubscriptionFilter::parse(filter).expect("valid filter");
            let request = SubscribeRequest { filter: &filter, qos };
            let permit = set.permit_subscribe(request).is_ok();
            assert_eq!(set.permit_delivery("a", request), permit);
            permit
        });
        assert_eq!(permitted, expected, "{rule:?}");
    }
}

#[test]
fn a_link_may_give_ten_thousand_rules() {
    let set = |count: u32| rules((0..count).map(|number| allow(&format!("a/{number}/+"))));
    let most = permissions(&[set(10_000), set(10_000)]);
    assert_eq!(publish(&most, "a/9999/x"), Ok(()));
    assert_eq!(publish(&most, "a/10000/x"), Err(NotAuthorized::NoRule));
    let refusal = compile(&[set(10_001)]).expect_err("compiled");
    assert_eq!(refusal.kind, RefusalKind::PluginFailure);
}

#[test]
fn the_index_keeps_the_order_of_the_rules() {
    // Found by four ways: head of one level, whole text, head of two levels, no head.
    let four = [allow("a/+/c"), deny("a/b/c"), allow("a/b/#"), deny("+/b/c")];
    for turn in 0..four.len() {
        let mut set = four.to_vec();
        set.rotate_left(turn);
        let expected = set[0].effect == Effect::Allow;
        set.extend((0..20).map(|number| deny(&format!("far/{number}"))));
        assert_eq!(publish(&one(set), "a/b/c").is_ok(), expected, "turned by {turn}");
    }
    let deep = "1/2/3/4/5/6/7/8/9/10";
    let mut set = vec![deny(&format!("{deep}/secret/+")), allow(&format!("{deep}/#"))];
    set.extend((0..20).map(|number| allow(&format!("far/{number}"))));
    let set = one(set);
    assert_eq!(publish(&set, &format!("{deep}/secret/x")), Err(denied_by("first", 1)));
    assert_eq!(publish(&set, deep), Ok(()));
    assert_eq!(publish(&set, "1/2/3/4/5/6/7/8/9"), Err(NotAuthorized::NoRule));
}

#[test]
fn the_least_time_to_live_counts() {
    let set = |ttl_seconds| {
        Answer::Permissions(PermissionSet {
            rules: Vec::new(),
            ttl_seconds,
            holds_for: HoldsFor::Client,
        })
    };
    for (answers, seconds) in [
        (vec![], 60),
        (vec![set(None)], 60),
        (vec![set(Some(10))], 10),
        (vec![set(Some(0))], 1),
        (vec![set(Some(u32::MAX))], 3_600),
        (vec![set(Some(3_600)), set(Some(300))], 300),
        (vec![set(Some(3_600)), set(None)], 60),
        (vec![set(Some(3_600)), Answer::Next], 60),
        (vec![set(Some(30)), Answer::DenyAll], 30),
    ] {
        assert_eq!(permissions(&answers).ttl(), Duration::from_secs(seconds), "{answers:?}");
    }
    assert_eq!(Permissions::default().ttl(), Duration::from_secs(60));
}

#[test]
fn refusals_name_link_and_rule() {
    let sentences = [
        NotAuthorized::NoRule,
        denied_by("acl", 3),
        NotAuthorized::Everything { plugin: "acl".into() },
    ]
    .map(|refusal| refusal.to_string());
    assert_eq!(
        sentences,
        [
            "not authorized: no rule allows it",
            "not authorized: rule 3 of acl denies it",
            "not authorized: acl denies everything",
        ]
    );
}

#[test]
fn explanations_go_link_by_link() {
    let set = compile_for(
        "a/b",
        "alice",
        &[
            rules([allow("${clientid}"), deny("a/secret"), allow("a/#")]),
            Answer::Next,
            Answer::DenyAll,
        ],
    )
    .expect("compiles");
    let request = PublishRequest { topic: "a/x", qos: QoS::AtMostOnce, retain: false };
    let words = set.explain_publish(request);
    let short: Vec<_> = words.iter().map(|word| (&*word.plugin, word.effect, word.rule)).collect();
    assert_eq!(
        short,
        [
            ("first", Some(Effect::Allow), Some(3)),
            ("second", None, None),
            ("third", Some(Effect::Deny), None),
        ]
    );
    assert!(words[0].detail.starts_with("rule 3 allows a/#; 1 allow rules fell away"));
    assert_eq!(words[1].detail, "has no rules for this client");
    assert_eq!(words[2].detail, "denies everything");
    let filter = SubscriptionFilter::parse("a/#").expect("valid filter");
    let words = set.explain_subscribe(SubscribeRequest { filter: &filter, qos: QoS::AtMostOnce });
    assert!(
        words[0].detail.ends_with("rule 2 denies a/secret and is checked on each delivery"),
        "{}",
        words[0].detail
    );
}
