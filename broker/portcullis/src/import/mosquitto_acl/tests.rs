//! A model of mosquitto's decision in plain Rust, and that an imported file decides like it. The integration tests ask
//! mosquitto itself.

use access::{PublishRequest, SubscribeRequest};
use acl_rules::Document;
use codec::QoS;
use topic::SubscriptionFilter;

use super::{
    lines::{Entry, Parsed, parse},
    *,
};
use crate::acl::testing::permissions;

/// What mosquitto says of `access` (`Read` or `Write`) to a topic, as its `mosquitto_acl_check_default` does.
fn mosquitto(
    parsed: &Parsed,
    (user, client_id): (&str, &str),
    topic: &str,
    access: Access,
) -> bool {
    let of_user = parsed.users.iter().find(|(name, _)| name.as_deref() == Some(user));
    let allows = |entry: &Entry| entry.access == access || entry.access == Access::Both;
    // The list has its denials first.
    let judge = |entries: &[Entry], fill: &dyn Fn(&str) -> String| {
        let matching = |entry: &&Entry| selects(&fill(&entry.topic), topic);
        let denied = entries.iter().filter(matching).any(|entry| entry.access == Access::Deny);
        let allowed = entries.iter().filter(matching).any(allows);
        if denied { Some(false) } else { allowed.then_some(true) }
    };
    if let Some((_, entries)) = of_user
        && let Some(verdict) = judge(entries, &str::to_owned)
    {
        return verdict;
    }
    if parsed.patterns.is_empty() || [user, client_id].iter().any(|n| n.contains(['+', '#'])) {
        return false;
    }
    let fill = |topic: &str| topic.replace("%c", client_id).replace("%u", user);
    judge(&parsed.patterns, &fill).unwrap_or(false)
}

/// Whether a filter selects a topic, level by level.
fn selects(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            ([], []) => true,
            (["#"], _) => true,
            ([first, filter @ ..], [level, topic @ ..]) => {
                (*first == "+" || first == level) && levels(filter, topic)
            }
            _ => false,
        }
    }
    let (filter_dollar, topic_dollar) = (filter.starts_with('$'), topic.starts_with('$'));
    let split = |text: &'_ str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (filter, topic) = (split(filter), split(topic));
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    let topic: Vec<&str> = topic.iter().map(String::as_str).collect();
    filter_dollar == topic_dollar && levels(&filter, &topic)
}

fn pick<'a>(random: &mut fastrand::Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

fn random_topic(random: &mut fastrand::Rng, levels: &[&'static str]) -> String {
    let count = random.usize(1..4);
    let mut topic: Vec<_> = (0..count).map(|_| pick(random, levels)).collect();
    if random.u8(..5) == 0 {
        topic.push("#");
    }
    let start = if random.u8(..12) == 0 { "$x/" } else { "" };
    format!("{start}{}", topic.join("/"))
}

fn random_file(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(1..9) {
        let line = match random.u8(..10) {
            0 | 1 => format!("user {}", pick(random, &["alice", "bob", "d1"])),
            2..5 => {
                let access = pick(random, &["read ", "write ", "readwrite ", "deny ", ""]);
                let levels = ["a", "b", "+", "%c", "%u", "x%c", "d1", "alice"];
                format!("pattern {access}{}", random_topic(random, &levels))
            }
            _ => {
                let access = pick(random, &["read ", "write ", "readwrite ", "deny ", ""]);
                format!("topic {access}{}", random_topic(random, &["a", "b", "+", "d1", "alice"]))
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

const TOPICS: [&str; 14] = [
    "a",
    "b",
    "a/b",
    "b/a",
    "a/a/b",
    "d1",
    "alice",
    "a/d1",
    "alice/d1",
    "xd1/a",
    "a/alice/b",
    "$x/a",
    "$x/b/a",
    "c/c/c/c",
];
const FILTERS: [&str; 9] = ["#", "+", "a/#", "+/b", "+/+", "d1/#", "alice/+", "$x/#", "a/+/b"];

/// What the imported file permits: publish, and what comes through a subscription.
fn ours(
    document: &Document,
    (user, client_id): (&str, &str),
    filter: &str,
    topic: &str,
) -> (bool, bool) {
    // A client that is refused may nothing.
    let Ok(permissions) = permissions(document, user, client_id) else { return (false, false) };
    let request = PublishRequest { topic, qos: QoS::AtLeastOnce, retain: false };
    let publish = permissions.permit_publish(request).is_ok();
    let filter = SubscriptionFilter::parse(filter).unwrap();
    let request = SubscribeRequest { filter: &filter, qos: QoS::AtLeastOnce };
    let comes = match permissions.permit_subscribe(request) {
        Err(_) => false,
        Ok(permit) => {
            filter.filter.matches(topic)
                && (!permit.check_each_delivery || permissions.permit_delivery(topic, request))
        }
    };
    (publish, comes)
}

#[test]
fn an_imported_file_decides_like_mosquitto() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut yes, mut through_wildcards) = (0, 0);
    for _ in 0..2_000 {
        let text = random_file(&mut random);
        let parsed = parse(&text).unwrap();
        let imported = convert(&text, None).unwrap();
        let document = acl_rules::parse(&imported.made).unwrap();
        for client in [("alice", "d1"), ("bob", "d1"), ("d1", "alice"), ("eve", "c")] {
            for topic in TOPICS {
                let theirs = |access| mosquitto(&parsed, client, topic, access);
                let expected = (theirs(Access::Write), theirs(Access::Read));
                let found = ours(&document, client, topic, topic);
                assert_eq!(found, expected, "{client:?} {topic}\n{text}\n{}", imported.made);
                yes += u32::from(found.0) + u32::from(found.1);
                // A wider subscription is refused, or brings what mosquitto would bring.
                for filter in FILTERS.iter().filter(|filter| selects(filter, topic)) {
                    let (_, comes) = ours(&document, client, filter, topic);
                    assert!(!comes || expected.1, "{client:?} {filter} {topic}\n{text}");
                    through_wildcards += u32::from(comes);
                }
            }
        }
    }
    assert!(
        yes > 5_000 && through_wildcards > 2_000,
        "{yes} {through_wildcards}: nothing was asked"
    );
}

/// Names that mosquitto calls dangerous, and those that are no level here: never more than there.
#[test]
fn odd_names_get_no_more_than_from_mosquitto() {
    let mut random = fastrand::Rng::with_seed(12);
    for _ in 0..2_000 {
        let text = random_file(&mut random);
        let parsed = parse(&text).unwrap();
        let document = acl_rules::parse(&convert(&text, None).unwrap().made).unwrap();
        for client in
            [("alice", "a/b"), ("alice", "#"), ("+", "d1"), ("alice", "$x"), ("a/d1", "b")]
        {
            for topic in TOPICS.into_iter().chain(["a/b/a"]) {
                let (publish, comes) = ours(&document, client, topic, topic);
                let theirs = |access| mosquitto(&parsed, client, topic, access);
                assert!(!publish || theirs(Access::Write), "{client:?} {topic}\n{text}");
                assert!(!comes || theirs(Access::Read), "{client:?} {topic}\n{text}");
            }
        }
    }
}

#[track_caller]
fn lost(text: &str, anonymous_as: Option<&str>, expected: &[(usize, &str)]) -> String {
    let imported = convert(text, anonymous_as).unwrap();
    assert_eq!(imported.lost.len(), expected.len(), "{:?}", imported.lost);
    for (note, (line, words)) in imported.lost.iter().zip(expected) {
        assert!(note.line == *line && note.text.contains(words), "{note:?}");
    }
    imported.made
}

#[test]
fn lines_that_cannot_be_carried_over_are_told() {
    let text = "topic read a\nuser alice\ntopic a/${b}/c\ntopic deny x/${b}/c\n\
                topic deny $share/g/t\nuser al\tice\ntopic b\n";
    let made = lost(
        text,
        None,
        &[
            (1, "clients without User Name"),
            (3, "left out: ${"),
            (4, "denies x/+/c instead"),
            (5, "left out: topics that begin with $share/"),
            (7, "control character"),
        ],
    );
    let document = acl_rules::parse(&made).unwrap();
    assert_eq!(document.rules.len(), 1, "{made}");
    assert_eq!(document.rules[0].topic, "x/+/c");
}

#[test]
fn lines_of_anonymous_clients_can_have_a_name() {
    let made = lost("topic read a\ntopic deny a/b\n", Some("guest"), &[]);
    let document = acl_rules::parse(&made).unwrap();
    assert!(document.rules.iter().all(|rule| rule.scope.users == ["guest"]), "{made}");
    for name in ["", "alice"] {
        let refused = convert("topic a\nuser alice\ntopic b\n", Some(name));
        assert!(matches!(refused, Err(ImportError::Whole(_))), "{name}");
    }
}

#[test]
fn what_mosquitto_refuses_is_refused() {
    for (text, line) in [
        ("topic", 1),
        ("topic   ", 1),
        ("\ntopic foo a", 2),
        ("topic\ta", 1),
        ("pattern read", 0),
        ("user", 1),
        ("user  \t", 1),
        ("acl a", 1),
        ("topic a#", 1),
        ("topic read a/#/b", 1),
        ("topic a\0b", 1),
    ] {
        match convert(text, None) {
            Err(ImportError::Line(note)) => assert_eq!(note.line, line, "{text:?}"),
            Ok(_) => assert_eq!(line, 0, "{text:?}"),
            Err(other) => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn lines_are_read_as_mosquitto_reads_them() {
    let text = "# user carol\n  topic  read   a b/c \t\r\nuser  al ice \ntopic write\n user bob\n\
                topic deny deny\nuser al ice\ntopic readwrite x\npattern %c/%u";
    let parsed = parse(text).unwrap();
    let entry = |line, access, topic: &str| Entry { line, access, topic: topic.to_owned() };
    let users = vec![
        (None, vec![entry(2, Access::Read, "a b/c")]),
        (
            Some("al ice".to_owned()),
            vec![entry(4, Access::Both, "write"), entry(8, Access::Both, "x")],
        ),
        (Some("bob".to_owned()), vec![entry(6, Access::Deny, "deny")]),
    ];
    let patterns = vec![entry(9, Access::Both, "%c/%u")];
    assert_eq!(parsed, Parsed { users, patterns });
}

#[test]
fn quotes_and_backslashes_survive() {
    let made = lost("user a\"b\\\ntopic c\"\\\td\n", None, &[]);
    let document = acl_rules::parse(&made).unwrap();
    assert_eq!(document.rules[0].scope.users, ["a\"b\\"]);
    assert_eq!(document.rules[0].topic, "c\"\\\td");
}

/// CVE-2018-12550: no line is no permission.
#[test]
fn a_file_without_lines_makes_one_that_denies() {
    let document = acl_rules::parse(&convert("# nothing\n", None).unwrap().made).unwrap();
    assert!(matches!(document.select(&acl_rules::Who::default()), acl_rules::Selected::DenyAll(_)));
}
