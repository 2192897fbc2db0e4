//! Tables: combination over links, conditions, variables, covering and overlapping, sizes, time to
//! live, explanations.

use std::{sync::Arc, time::Duration};

use codec::QoS;
use topic::SubscriptionFilter;

use super::{NotAuthorized, Permissions, PublishRequest, SubscribeRequest};
use crate::testing::{rule, rules, subject};
use crate::{
    Activity, Answer, Condition, Effect, PermissionSet, QoSSet, Refusal, RefusalKind, Rule,
};

fn allow(filter: &str) -> Rule {
    rule(Effect::Allow, filter)
}

fn deny(filter: &str) -> Rule {
    rule(Effect::Deny, filter)
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
    let request = PublishRequest {
        topic,
        qos: QoS::AtLeastOnce,
        retain: false,
    };
    permissions.permit_publish(request).map(|_| ())
}

/// `Ok(true)` = permitted, with a check of each delivery.
fn subscribe(permissions: &Permissions, filter: &str) -> Result<bool, NotAuthorized> {
    let filter = SubscriptionFilter::parse(filter).expect("valid filter");
    let request = SubscribeRequest {
        filter: &filter,
        qos: QoS::AtLeastOnce,
    };
    permissions
        .permit_subscribe(request)
        .map(|permit| permit.check_each_delivery)
}

fn delivers(permissions: &Permissions, filter: &str, topic: &str) -> bool {
    let filter = SubscriptionFilter::parse(filter).expect("valid filter");
    permissions.permit_delivery(
        topic,
        SubscribeRequest {
            filter: &filter,
            qos: QoS::AtLeastOnce,
        },
    )
}

fn denied_by(plugin: &str, rule: u32) -> NotAuthorized {
    NotAuthorized::Rule {
        plugin: plugin.into(),
        rule,
    }
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
    assert_eq!(
        publish(&permissions(&[all(), some()]), "a/b"),
        Err(denied_by("second", 1))
    );
    assert_eq!(
        publish(&permissions(&[some(), all()]), "a/b"),
        Err(denied_by("first", 1))
    );
    assert_eq!(publish(&permissions(&[some(), all()]), "b/b"), Ok(()));
    assert_eq!(publish(&permissions(&[Answer::Next, all()]), "b/b"), Ok(()));
    for answers in [[all(), Answer::DenyAll], [Answer::DenyAll, all()]] {
        let set = permissions(&answers);
        assert!(matches!(
            publish(&set, "b"),
            Err(NotAuthorized::Everything { .. })
        ));
        assert!(matches!(
            subscribe(&set, "b"),
            Err(NotAuthorized::Everything { .. })
        ));
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
    let no_share = |rule: Rule| Rule {
        shared: Condition::No,
        share_name: Some("g".into()),
        ..rule
    };
    for (rule, expected) in [
        (allow("a"), [true; 4]),
        (
            Rule {
                qos: QoSSet(0b001),
                ..allow("a")
            },
            [true, true, false, false],
        ),
        (
            Rule {
                qos: QoSSet(0b110),
                ..allow("a")
            },
            [false, false, true, true],
        ),
        (
            Rule {
                qos: QoSSet(0),
                ..allow("a")
            },
            [false; 4],
        ),
        (
            Rule {
                qos: QoSSet(0b1111_1000),
                ..allow("a")
            },
            [false; 4],
        ),
        (
            Rule {
                retain: Condition::Yes,
                ..allow("a")
            },
            [false, true, false, true],
        ),
        (
            Rule {
                retain: Condition::No,
                ..allow("a")
            },
            [true, false, true, false],
        ),
        (
            Rule {
                activity: Activity {
                    publish: false,
                    subscribe: true,
                },
                ..allow("a")
            },
            [false; 4],
        ),
        (
            Rule {
                activity: Activity {
                    publish: false,
                    subscribe: false,
                },
                ..allow("a")
            },
            [false; 4],
        ),
        // Sharing is not looked at.
        (no_share(allow("a")), [true; 4]),
    ] {
        let set = one([rule.clone()]);
        let permitted = requests.map(|(qos, retain)| {
            set.permit_publish(PublishRequest {
                topic: "a",
                qos,
                retain,
            })
            .is_ok()
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
    let named = |shared| Rule {
        shared,
        share_name: Some("g".into()),
        ..allow("a")
    };
    for (rule, expected) in [
        (allow("a"), [true; 4]),
        (
            Rule {
                qos: QoSSet(0b011),
                ..allow("a")
            },
            [true, false, true, false],
        ),
        (
            Rule {
                shared: Condition::Yes,
                ..allow("a")
            },
            [false, false, true, true],
        ),
        (
            Rule {
                shared: Condition::No,
                ..allow("a")
            },
            [true, true, false, false],
        ),
        (named(Condition::Any), [false, false, true, false]),
        (named(Condition::No), [false; 4]),
        (
            Rule {
                activity: Activity {
                    publish: true,
                    subscribe: false,
                },
                ..allow("a")
            },
            [false; 4],
        ),
        // RETAIN is not looked at.
        (
            Rule {
                retain: Condition::Yes,
                ..allow("a")
            },
            [true; 4],
        ),
    ] {
        let set = one([rule.clone()]);
        let permitted = requests.map(|(qos, filter)| {
            let filter = SubscriptionFilter::parse(filter).expect("valid filter");
            let request = SubscribeRequest {
                filter: &filter,
                qos,
            };
            let permit = set.permit_subscribe(request).is_ok();
            assert_eq!(set.permit_delivery("a", request), permit);
            permit
        });
        assert_eq!(permitted, expected, "{rule:?}");
    }
}

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
    assert_eq!(
        subscribe(&set, "$share/g/$SYS/#"),
        Err(NotAuthorized::NoRule)
    );
    assert_eq!(publish(&set, "$SYS/x"), Err(NotAuthorized::NoRule));
    // For the same reason no delivery through `#` could meet this deny.
    assert_eq!(
        subscribe(&one([deny("$SYS/#"), allow("#")]), "#"),
        Ok(false)
    );
}

#[test]
fn only_a_deny_that_can_come_first_costs_a_check() {
    let shared_only = Rule {
        shared: Condition::Yes,
        ..deny("a/x")
    };
    let qos_2_only = Rule {
        qos: QoSSet(0b100),
        ..deny("a/x")
    };
    let publish_only = Rule {
        activity: Activity {
            publish: true,
            subscribe: false,
        },
        ..deny("a/x")
    };
    let allow_shared = Rule {
        shared: Condition::Yes,
        ..allow("a/x")
    };
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
            assert_eq!(
                subscribe(&permissions(&answers), "a/#"),
                Ok(checked),
                "{set:?}"
            );
        }
    }
}

#[test]
fn proving_that_denies_never_act_is_bounded() {
    // Each deny is behind an allow of its own: too many to look all of them up.
    let pairs = (0..3_000).flat_map(|number| {
        let filter = format!("+/{number}");
        [allow(&filter), deny(&filter)]
    });
    let set = one(pairs.chain([allow("a/#")]));
    assert_eq!(subscribe(&set, "a/#"), Ok(true));
    assert!(delivers(&set, "a/#", "a/2999"));
}

#[test]
fn variables_are_filled_in() {
    let template = [
        allow("up/${clientid}/+"),
        deny("x/${username}"),
        allow("dev-${clientid}/#"),
    ];
    let set = compile_for("c 1", "al-ice", &[rules(template)]).expect("compiles");
    assert_eq!(publish(&set, "up/c 1/t"), Ok(()));
    assert_eq!(publish(&set, "dev-c 1/t"), Ok(()));
    assert_eq!(publish(&set, "up/c/t"), Err(NotAuthorized::NoRule));
    assert_eq!(publish(&set, "x/al-ice"), Err(denied_by("first", 2)));
    // The claim of CONNECT is not the principal, and a value is not looked at for variables.
    assert_eq!(publish(&set, "x/claimed"), Err(NotAuthorized::NoRule));
    let nested = compile_for("${username}", "p", &[rules([allow("n/${clientid}/x")])]);
    let nested = nested.expect("compiles");
    assert_eq!(publish(&nested, "n/${username}/x"), Ok(()));
    assert_eq!(publish(&nested, "n/p/x"), Err(NotAuthorized::NoRule));
}

#[test]
fn unsafe_values_drop_an_allow_and_refuse_at_a_deny() {
    for value in [
        "", "+", "#", "a/b", "/", "a+", "a#b", "a\0", "a\n", "\u{7f}", "\u{85}",
    ] {
        for (client, principal, variable) in [(value, "p", "clientid"), ("c", value, "username")] {
            let filter = format!("x/${{{variable}}}/y");
            let set = [allow(&filter), allow("open")];
            let set = compile_for(client, principal, &[rules(set)]).expect("compiles");
            assert_eq!(
                publish(&set, &format!("x/{value}/y")),
                Err(NotAuthorized::NoRule)
            );
            assert_eq!(publish(&set, "x/x/y"), Err(NotAuthorized::NoRule));
            assert_eq!(publish(&set, "open"), Ok(()));
            let set = [rules([allow("#")]), rules([allow("open"), deny(&filter)])];
            let refusal = compile_for(client, principal, &set).expect_err("compiled");
            assert_eq!(refusal.kind, RefusalKind::UnsafeVariable, "{value:?}");
            assert_eq!(refusal.plugin.as_deref(), Some("second"));
            assert!(refusal.detail.contains("rule 2") && refusal.detail.contains(variable));
        }
    }
}

#[test]
fn a_client_named_like_the_topics_of_the_broker_does_not_reach_them() {
    for name in ["$SYS", "$share", "$"] {
        let set = compile_for(name, "p", &[rules([allow("${clientid}/#")])]).expect("compiles");
        assert_eq!(
            publish(&set, &format!("{name}/x")),
            Err(NotAuthorized::NoRule)
        );
        assert_eq!(subscribe(&set, "$SYS/#"), Err(NotAuthorized::NoRule));
        let refusal = compile_for(name, "p", &[rules([deny("${clientid}/#")])]);
        assert_eq!(
            refusal.expect_err("compiled").kind,
            RefusalKind::UnsafeVariable
        );
        // Further behind, `$` is a character like any other.
        let set = compile_for(name, "p", &[rules([allow("x/${clientid}")])]).expect("compiles");
        assert_eq!(publish(&set, &format!("x/{name}")), Ok(()));
    }
}

#[test]
fn a_rule_that_cannot_be_read_is_a_failure_of_its_link() {
    let share = |name: &str| Rule {
        share_name: Some(name.to_owned()),
        ..allow("a")
    };
    for (bad, word) in [
        (allow(""), ""),
        (allow("a/#/b"), ""),
        (deny("a+/b"), ""),
        (allow("a\0b"), ""),
        (allow("${clientId}/x"), "clientId"),
        (allow("${}/x"), "not known"),
        (allow("x/${clientid"), "not closed"),
        (allow("${clientid}+/x"), ""),
        (allow("$share/g/a"), "share-name"),
        (share(""), "share-name"),
        (share("a/b"), "share-name"),
        (share("+"), "share-name"),
        (share("${username}"), "share-name"),
        (
            Rule {
                qos: QoSSet(0),
                ..deny("a/#/b")
            },
            "",
        ),
    ] {
        let answers = [
            rules([allow("#")]),
            rules([allow("ok"), bad.clone(), allow("#")]),
        ];
        // An unsafe value does not hide that the rule is wrong.
        for client in ["dev-1", "a/b"] {
            let refusal = compile_for(client, "p", &answers).expect_err("compiled");
            assert_eq!(refusal.kind, RefusalKind::PluginFailure, "{bad:?}");
            assert_eq!(refusal.plugin.as_deref(), Some("second"));
            let shown = format!("rule 2, filter {:?}", bad.filter);
            let detail = &refusal.detail;
            assert!(detail.contains(&shown) && detail.contains(word), "{detail}");
        }
    }
    let long = compile(&[rules([allow(&format!("{}#", "x".repeat(60_000)))])]);
    assert!(long.expect_err("compiled").detail.len() < 500);
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
        assert_eq!(
            publish(&one(set), "a/b/c").is_ok(),
            expected,
            "turned by {turn}"
        );
    }
    let deep = "1/2/3/4/5/6/7/8/9/10";
    let mut set = vec![
        deny(&format!("{deep}/secret/+")),
        allow(&format!("{deep}/#")),
    ];
    set.extend((0..20).map(|number| allow(&format!("far/{number}"))));
    let set = one(set);
    assert_eq!(
        publish(&set, &format!("{deep}/secret/x")),
        Err(denied_by("first", 1))
    );
    assert_eq!(publish(&set, deep), Ok(()));
    assert_eq!(
        publish(&set, "1/2/3/4/5/6/7/8/9"),
        Err(NotAuthorized::NoRule)
    );
}

#[test]
fn the_least_time_to_live_counts() {
    let set = |ttl_seconds| {
        Answer::Permissions(PermissionSet {
            rules: Vec::new(),
            ttl_seconds,
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
        assert_eq!(
            permissions(&answers).ttl(),
            Duration::from_secs(seconds),
            "{answers:?}"
        );
    }
    assert_eq!(Permissions::default().ttl(), Duration::from_secs(60));
}

#[test]
fn refusals_name_link_and_rule() {
    let sentences = [
        NotAuthorized::NoRule,
        denied_by("acl", 3),
        NotAuthorized::Everything {
            plugin: "acl".into(),
        },
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
    let request = PublishRequest {
        topic: "a/x",
        qos: QoS::AtMostOnce,
        retain: false,
    };
    let words = set.explain_publish(request);
    let short: Vec<_> = words
        .iter()
        .map(|word| (&*word.plugin, word.effect, word.rule))
        .collect();
    assert_eq!(
        short,
        [
            ("first", Some(Effect::Allow), Some(3)),
            ("second", None, None),
            ("third", Some(Effect::Deny), None),
        ]
    );
    assert!(
        words[0]
            .detail
            .starts_with("rule 3 allows a/#; 1 allow rules fell away")
    );
    assert_eq!(words[1].detail, "has no rules for this client");
    assert_eq!(words[2].detail, "denies everything");
    let filter = SubscriptionFilter::parse("a/#").expect("valid filter");
    let words = set.explain_subscribe(SubscribeRequest {
        filter: &filter,
        qos: QoS::AtMostOnce,
    });
    assert!(
        words[0]
            .detail
            .ends_with("rule 2 denies a/secret and is checked on each delivery"),
        "{}",
        words[0].detail
    );
}
