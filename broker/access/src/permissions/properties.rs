//! The compiled matcher against rule-by-rule evaluation with a matcher of its own, on random rules.

use std::sync::Arc;

use codec::QoS;
use proptest::{collection::vec, prelude::*, sample::select};
use topic::{SubscriptionFilter, TopicFilter};

use super::{NotAuthorized, Permissions, PublishRequest, SubscribeRequest};
use crate::testing::{rules, subject};
use crate::{Activity, Answer, Condition, Effect, QoSSet, Rule};

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// One set of rules for each link.
type Links = Vec<Vec<Rule>>;

/// What the client does, in terms of the rules.
#[derive(Clone, Copy, Debug)]
enum Act<'a> {
    Publish { retain: bool },
    Subscribe { share: Option<&'a str> },
}

fn holds(condition: Condition, flag: bool) -> bool {
    match condition {
        Condition::Any => true,
        Condition::Yes => flag,
        Condition::No => !flag,
    }
}

fn applies(rule: &Rule, qos: QoS, act: Act<'_>) -> bool {
    rule.qos.contains(qos)
        && match act {
            Act::Publish { retain } => rule.activity.publish && holds(rule.retain, retain),
            Act::Subscribe { share } => {
                rule.activity.subscribe
                    && holds(rule.shared, share.is_some())
                    && (rule.share_name.is_none() || rule.share_name.as_deref() == share)
            }
        }
}

/// MQTT 4.7, level by level.
fn selects(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            ([f, filter @ ..], [t, topic @ ..]) => (*f == "+" || f == t) && levels(filter, topic),
            _ => false,
        }
    }
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    levels(&filter.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}

/// What each link's first rule says on one topic.
fn words(links: &Links, topic: &str, qos: QoS, act: Act<'_>) -> Vec<Option<Effect>> {
    let first = |rules: &Vec<Rule>| {
        rules
            .iter()
            .find(|rule| applies(rule, qos, act) && selects(&rule.filter, topic))
            .map(|rule| rule.effect)
    };
    links.iter().map(first).collect()
}

fn combined(words: &[Option<Effect>]) -> bool {
    !words.contains(&Some(Effect::Deny)) && words.contains(&Some(Effect::Allow))
}

fn compiled(links: &Links) -> Permissions {
    let answers: Vec<(Arc<str>, Answer)> = links
        .iter()
        .enumerate()
        .map(|(number, set)| (format!("link-{number}").into(), rules(set.iter().cloned())))
        .collect();
    Permissions::compile(&subject("c", "p"), &answers).expect("compiles")
}

fn a_text(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    // Deep ones reach beyond the levels that the index looks at.
    let depth = prop_oneof![4 => Just(0_usize), 1 => 6_usize..=9];
    (depth, vec(select(levels), 1..=4))
        .prop_map(|(depth, levels)| format!("{}{}", "d/".repeat(depth), levels.join("/")))
        .prop_filter("a topic is not empty", |text| !text.is_empty())
}

fn a_topic() -> impl Strategy<Value = String> {
    a_text(&["a", "b", "", "$s", "z"])
}

fn a_filter() -> impl Strategy<Value = String> {
    (a_text(&["a", "b", "", "$s", "+", "+", "a"]), 0..4_u8).prop_map(|(text, tail)| match tail {
        0 => format!("{text}/#"),
        1 if text.len() == 1 => "#".to_owned(),
        _ => text,
    })
}

fn a_condition() -> impl Strategy<Value = Condition> {
    prop_oneof![3 => Just(Condition::Any), 1 => Just(Condition::Yes), 1 => Just(Condition::No)]
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![Just(Effect::Allow), Just(Effect::Deny)];
    let activity = (prop::bool::weighted(0.8), prop::bool::weighted(0.9))
        .prop_map(|(publish, subscribe)| Activity { publish, subscribe });
    let qos = prop_oneof![3 => Just(QoSSet::ALL), 1 => (0..8_u8).prop_map(QoSSet)];
    let share_name = prop_oneof![6 => Just(None), 1 => Just(Some("g".to_owned()))];
    (effect, activity, a_filter(), qos, a_condition(), a_condition(), share_name).prop_map(
        |(effect, activity, filter, qos, retain, shared, share_name)| Rule {
            effect,
            activity,
            filter,
            qos,
            retain,
            shared,
            share_name,
        },
    )
}

/// Short lists are searched as they are, long ones by the index.
fn some_links() -> impl Strategy<Value = Links> {
    vec(prop_oneof![vec(a_rule(), 0..6), vec(a_rule(), 0..40)], 1..=3)
}

/// All topics of up to three levels over an alphabet with a name that no filter holds, alone and
/// behind the head of the deep filters.
fn topics() -> Vec<String> {
    let names = ["a", "b", "", "$s", "z"];
    let mut topics: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut longest = topics.clone();
    for _ in 0..2 {
        longest = longest
            .iter()
            .flat_map(|topic| names.iter().map(move |name| format!("{topic}/{name}")))
            .collect();
        topics.extend(longest.iter().cloned());
    }
    topics.retain(|topic| !topic.is_empty());
    topics
}

fn parse(share: bool, filter: &str) -> SubscriptionFilter {
    let text = if share { format!("$share/g/{filter}") } else { filter.to_owned() };
    SubscriptionFilter::parse(&text).expect("valid filter")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn publish_and_delivery_equal_rule_by_rule_evaluation(
        links in some_links(),
        topics in vec(a_topic(), 1..20),
        share in any::<bool>(),
        retain in any::<bool>(),
    ) {
        let permissions = compiled(&links);
        let filter = parse(share, "#");
        for topic in &topics {
            for qos in QOS {
                let request = PublishRequest { topic, qos, retain };
                let expected = words(&links, topic, qos, Act::Publish { retain });
                let permit = permissions.permit_publish(request);
                prop_assert_eq!(permit.is_ok(), combined(&expected), "publish {}", topic);
                let explained: Vec<Option<Effect>> = permissions
                    .explain_publish(request)
                    .into_iter()
                    .map(|word| word.effect)
                    .collect();
                prop_assert_eq!(&explained, &expected);
                let expected =
                    words(&links, topic, qos, Act::Subscribe { share: share.then_some("g") });
                let request = SubscribeRequest { filter: &filter, qos };
                let delivered = permissions.permit_delivery(topic, request);
                prop_assert_eq!(delivered, combined(&expected), "delivery {}", topic);
            }
        }
    }

    #[test]
    fn nothing_denied_comes_through_a_permitted_subscription(
        links in some_links(),
        filters in vec(a_filter(), 1..6),
        share in any::<bool>(),
        qos in select(QOS.as_slice()),
    ) {
        let permissions = compiled(&links);
        let act = Act::Subscribe { share: share.then_some("g") };
        let topics = topics();
        for text in &filters {
            let filter = parse(share, text);
            let request = SubscribeRequest { filter: &filter, qos };
            let Ok(permit) = permissions.permit_subscribe(request) else { continue };
            for topic in topics.iter().filter(|topic| selects(text, topic)) {
                let words = words(&links, topic, qos, act);
                let denied = words.contains(&Some(Effect::Deny));
                prop_assert!(permit.check_each_delivery || !denied, "{} under {}", topic, text);
                // Permission for the filter is permission for each topic under it.
                prop_assert!(denied || words.contains(&Some(Effect::Allow)), "{}", topic);
                prop_assert_eq!(permissions.permit_delivery(topic, request), !denied);
            }
        }
    }

    #[test]
    fn subscribe_decides_by_the_first_rule_that_covers(
        links in some_links(),
        text in a_filter(),
        share in any::<bool>(),
        qos in select(QOS.as_slice()),
    ) {
        let filter = parse(share, &text);
        let act = Act::Subscribe { share: share.then_some("g") };
        let covers = |rule: &Rule| {
            TopicFilter::new(&rule.filter).expect("valid filter").covers(&filter.filter)
        };
        let first = |set: &Vec<Rule>| {
            set.iter().find(|rule| applies(rule, qos, act) && covers(rule)).map(|rule| rule.effect)
        };
        let expected: Vec<Option<Effect>> = links.iter().map(first).collect();
        let permissions = compiled(&links);
        let request = SubscribeRequest { filter: &filter, qos };
        let result = permissions.permit_subscribe(request);
        prop_assert_eq!(result.is_ok(), combined(&expected));
        let denied = matches!(result, Err(NotAuthorized::Rule { .. }));
        prop_assert_eq!(denied, expected.contains(&Some(Effect::Deny)));
        let explained: Vec<Option<Effect>> =
            permissions.explain_subscribe(request).into_iter().map(|word| word.effect).collect();
        prop_assert_eq!(explained, expected);
    }

    #[test]
    fn no_client_name_widens_a_rule(
        client_id in "[a$+#/\\x00\\x07-]{0,4}",
        topic in a_topic(),
    ) {
        let template = rules([crate::testing::rule(Effect::Allow, "${clientid}/x/#")]);
        let answers = [(Arc::from("acl"), template)];
        let permissions =
            Permissions::compile(&subject(&client_id, "p"), &answers).expect("compiles");
        let (own, below) = (format!("{client_id}/x"), format!("{client_id}/x/y"));
        for topic in [topic, own, below, "a/x".to_owned()] {
            let request = PublishRequest { topic: &topic, qos: QoS::AtMostOnce, retain: false };
            let own = topic.split('/').next() == Some(client_id.as_str())
                && topic.split('/').nth(1) == Some("x");
            if permissions.permit_publish(request).is_ok() {
                prop_assert!(own && !topic.starts_with(['$', '+', '#', '/']), "{}", topic);
            }
        }
    }
}
