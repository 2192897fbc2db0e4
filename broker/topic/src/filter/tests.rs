//! Tables of filters, and an enumeration of all small filters and topics as the judge of
//! `matches`, `covers` and `overlaps`.

use super::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

#[test]
fn valid_filters() {
    for text in [
        "a", "/", "+", "#", "+/+", "/+", "+/", "a/#", "/#", "+/#", "a/+/c", "$SYS/#", "$", "//#",
        "a/+/+/#", "$share",
    ] {
        assert_eq!(TopicFilter::check(text), Ok(()), "{text:?}");
        assert_eq!(filter(text).as_str(), text);
    }
}

/// Covers 5.0 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3], 3.1.1
/// [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3].
#[test]
fn invalid_filters_name_the_level() {
    for (text, expect) in [
        ("", InvalidTopic::Empty),
        ("a\0", InvalidTopic::NulCharacter),
        ("a+", InvalidTopic::WildcardNotAlone { level: 1 }),
        ("a/b/+c", InvalidTopic::WildcardNotAlone { level: 3 }),
        ("++", InvalidTopic::WildcardNotAlone { level: 1 }),
        ("##", InvalidTopic::WildcardNotAlone { level: 1 }),
        ("a/#b", InvalidTopic::WildcardNotAlone { level: 2 }),
        ("sport/tennis#", InvalidTopic::WildcardNotAlone { level: 2 }),
        ("#/", InvalidTopic::HashNotLast { level: 1 }),
        ("a/#/c", InvalidTopic::HashNotLast { level: 2 }),
        ("#/+", InvalidTopic::HashNotLast { level: 1 }),
    ] {
        assert_eq!(TopicFilter::check(text), Err(expect), "{text:?}");
        assert_eq!(TopicFilter::new(text), Err(expect), "{text:?}");
    }
    let long = "x".repeat(65_536);
    assert_eq!(TopicFilter::check(&long), Err(InvalidTopic::TooLong { bytes: 65_536 }));
}

#[test]
fn wildcards_are_seen() {
    for (text, expect) in
        [("a", false), ("a/b/", false), ("+", true), ("a/+/b", true), ("a/#", true)]
    {
        assert_eq!(filter(text).has_wildcard(), expect, "{text:?}");
    }
}

/// The examples of the specification, sections 4.7.1 and 4.7.2.
/// Covers 5.0 [MQTT-3.3.2-3] [MQTT-4.7.2-1], 3.1.1 [MQTT-3.3.2-3] [MQTT-4.7.2-1].
#[test]
fn matches_as_the_specification_says() {
    for (text, topic, expect) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player10", false),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/monitor/Clients", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/monitor/Clients", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a", "A", false),
        ("a/+/#", "a", false),
        ("a/+/#", "a/", true),
        ("+/#", "a", true),
        ("a/#", "ab", false),
        ("a/$b/+", "a/$b/c", true),
        ("a/+", "a/$b", true),
        ("ab", "a", false),
        ("a/", "a", false),
    ] {
        assert_eq!(filter(text).matches(topic), expect, "{text:?} {topic:?}");
    }
}

#[test]
fn covers_and_overlaps() {
    // (left, right, left covers right, right covers left, overlap)
    for (left, right, covers, covered, overlaps) in [
        ("#", "+/x", true, false, true),
        ("#", "$SYS/#", false, false, false),
        ("#", "+/#", true, true, true),
        ("/#", "/+/#", true, true, true),
        ("a/#", "a/+/#", true, false, true),
        ("a/#", "a", true, false, true),
        ("a/#", "a/#", true, true, true),
        ("a/#", "a/+", true, false, true),
        ("+", "$a", false, false, false),
        ("+", "a", true, false, true),
        ("+", "/#", false, false, false),
        ("+/x", "a/+", false, false, true),
        ("+/x", "$a/+", false, false, false),
        ("$a/+", "$a/x", true, false, true),
        ("$a/#", "$a", true, false, true),
        ("a/b", "a/c", false, false, false),
        ("a/+/c", "+/b/#", false, false, true),
    ] {
        let (left, right) = (filter(left), filter(right));
        assert_eq!(left.covers(&right), covers, "{left} covers {right}");
        assert_eq!(right.covers(&left), covered, "{right} covers {left}");
        assert_eq!(left.overlaps(&right), overlaps, "{left} overlaps {right}");
        assert_eq!(right.overlaps(&left), overlaps, "{right} overlaps {left}");
    }
}

/// All sequences of `levels` with 1 to `depth` levels, joined.
fn enumerate(levels: &[&str], depth: usize) -> Vec<String> {
    let mut all: Vec<String> = levels.iter().map(ToString::to_string).collect();
    let mut last = all.clone();
    for _ in 1..depth {
        last = last
            .iter()
            .flat_map(|head| levels.iter().map(move |level| format!("{head}/{level}")))
            .collect();
        all.extend_from_slice(&last);
    }
    all
}

/// The rules of section 4.7 in the plainest words: the judge of the fast code.
fn naive(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        ([level, filter @ ..], [name, topic @ ..]) => {
            (*level == "+" || level == name) && naive(filter, topic)
        }
        _ => false,
    }
}

fn naive_matches(filter: &str, topic: &str) -> bool {
    let hidden = topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'));
    let filter: Vec<&str> = filter.split('/').collect();
    !hidden && naive(&filter, &topic.split('/').collect::<Vec<_>>())
}

/// Every pair of filters up to depth 3 against every topic up to depth 4, with the sets as bits.
/// `b` and `$b` are in no filter: they stand for "any other level", which makes inclusion over
/// this small alphabet the same as over all topics; and a topic one level deeper than any filter
/// stands for all deeper ones.
#[test]
fn the_relations_are_those_of_the_sets() {
    let mut topics = enumerate(&["", "a", "b", "$a", "$b"], 4);
    topics.retain(|topic| !topic.is_empty());
    let mut texts = enumerate(&["", "a", "$a", "+", "#"], 3);
    texts.retain(|text| TopicFilter::check(text).is_ok());
    let words = topics.len().div_ceil(64);
    let sets: Vec<(TopicFilter, Vec<u64>)> = texts
        .iter()
        .map(|text| {
            let filter = filter(text);
            let mut set = vec![0; words];
            for (index, topic) in topics.iter().enumerate() {
                let expect = naive_matches(text, topic);
                assert_eq!(filter.matches(topic), expect, "{text:?} {topic:?}");
                set[index / 64] |= u64::from(expect) << (index % 64);
            }
            (filter, set)
        })
        .collect();
    for (left, left_set) in &sets {
        for (right, right_set) in &sets {
            let covers = left_set.iter().zip(right_set).all(|(left, right)| right & !left == 0);
            let overlaps = left_set.iter().zip(right_set).any(|(left, right)| left & right != 0);
            assert_eq!(left.covers(right), covers, "{left} covers {right}");
            assert_eq!(left.overlaps(right), overlaps, "{left} overlaps {right}");
        }
    }
}

/// Filters with four levels, sampled evenly: all pairs would be half a million.
#[test]
fn the_relations_hold_at_depth_four() {
    let mut topics = enumerate(&["", "a", "b", "$a"], 5);
    topics.retain(|topic| !topic.is_empty());
    let mut texts = enumerate(&["", "a", "$a", "+", "#"], 4);
    texts.retain(|text| TopicFilter::check(text).is_ok());
    let sampled: Vec<TopicFilter> = texts.iter().step_by(7).map(|text| filter(text)).collect();
    for left in &sampled {
        let selected: Vec<&String> =
            topics.iter().filter(|topic| naive_matches(left, topic)).collect();
        for right in &sampled {
            let covered = selected.iter().all(|topic| naive_matches(right, topic));
            let overlap = selected.iter().any(|topic| naive_matches(right, topic));
            assert_eq!(right.covers(left), covered, "{right} covers {left}");
            assert_eq!(right.overlaps(left), overlap, "{right} overlaps {left}");
        }
    }
}
