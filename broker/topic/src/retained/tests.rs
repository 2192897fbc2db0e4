//! The retained tree: order, seeks, pages, and random trees against a plain scan.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::level_order::compare;
use super::*;

fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn tree(topics: &[&str]) -> RetainedTree<String> {
    let mut tree = RetainedTree::new();
    for topic in topics {
        assert_eq!(tree.insert(&name(topic), (*topic).to_owned()), None);
    }
    tree
}

/// All pages, one after the other, with the number of pages.
fn pages(
    tree: &RetainedTree<String>,
    text: &str,
    limit: usize,
    visit_limit: usize,
) -> (Vec<String>, usize) {
    let (mut found, mut count, mut after) = (Vec::new(), 0, None);
    loop {
        let start = found.len();
        count += 1;
        after =
            tree.page(&filter(text), after.as_ref(), limit, visit_limit, &mut |topic, message| {
                assert_eq!(topic.as_str(), message);
                found.push(message.clone());
            });
        assert!(found.len() - start <= limit.max(1));
        if after.is_none() {
            return (found, count);
        }
    }
}

#[track_caller]
fn check(tree: &RetainedTree<String>, text: &str, expect: &[&str]) {
    assert_eq!(pages(tree, text, usize::MAX, usize::MAX).0, expect, "{text:?}");
    assert_eq!(pages(tree, text, 1, usize::MAX).0, expect, "{text:?} one by one");
    assert_eq!(pages(tree, text, 0, 0).0, expect, "{text:?} one visit each");
}

#[test]
fn order_is_by_level() {
    let ordered = ["/", "/a", "a", "a/", "a//", "a/b", "a/b/c", "a/b-c", "a-b", "a-b/c", "aa", "b"];
    for (index, left) in ordered.iter().enumerate() {
        for (other, right) in ordered.iter().enumerate() {
            assert_eq!(compare(left, right), index.cmp(&other), "{left:?} {right:?}");
        }
    }
    assert_eq!(compare("a/b", "a\u{1}"), Ordering::Less);
}

#[test]
fn filters_select_in_order() {
    let tree = tree(&[
        "a-b", "a/b/c", "a/b", "a", "/", "b/x/c", "b/b", "$SYS/x", "$", "a/", "c/y", "!x", "$SYS",
        "~", "%",
    ]);
    check(&tree, "a", &["a"]);
    check(&tree, "missing", &[]);
    check(&tree, "a/#", &["a", "a/", "a/b", "a/b/c"]);
    check(&tree, "a/b/#", &["a/b", "a/b/c"]);
    check(&tree, "+/b", &["a/b", "b/b"]);
    check(&tree, "+/+/c", &["a/b/c", "b/x/c"]);
    check(&tree, "+/b/#", &["a/b", "a/b/c", "b/b"]);
    check(&tree, "+", &["!x", "%", "a", "a-b", "~"]);
    check(&tree, "/+", &["/"]);
    check(&tree, "$SYS/#", &["$SYS", "$SYS/x"]);
    let all = ["/", "!x", "%", "a", "a/", "a/b", "a/b/c", "a-b", "b/b", "b/x/c", "c/y", "~"];
    check(&tree, "#", &all);
    check(&tree, "+/#", &all);
}

#[test]
fn messages_are_replaced_and_taken_out() {
    let mut tree = tree(&["a", "a/b", "b"]);
    assert_eq!(tree.insert(&name("a"), String::from("new")), Some(String::from("a")));
    assert_eq!((tree.len(), tree.get("a").map(String::as_str)), (3, Some("new")));
    assert_eq!(tree.get("a/"), None);
    assert_eq!(tree.remove("a"), Some(String::from("new")));
    assert_eq!(tree.remove("a"), None);
    assert_eq!(tree.remove("b"), Some(String::from("b")));
    assert_eq!(tree.len(), 1);
    assert_eq!(tree.remove("a/b"), Some(String::from("a/b")));
    assert!(tree.is_empty());
}

/// All of them, those of the broker too, each once however many are looked at together.
#[test]
fn a_scan_visits_every_topic_once() {
    let topics = ["/", "$SYS/x", "a", "a/b", "a/b/c", "a-b", "b"];
    let tree = tree(&topics);
    for limit in [0, 1, 2, 3, 7, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let before = found.len();
            after = tree.scan(after.as_ref(), limit, &mut |topic, message| {
                assert_eq!(topic.as_str(), message);
                found.push(message.clone());
            });
            assert!(found.len() - before <= limit.max(1));
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, topics, "{limit}");
    }
    // What goes between two pages is no reason to stop, even if it is the place to go on from.
    let mut tree = tree;
    let after = tree.scan(None, 3, &mut |_, _| {}).unwrap();
    tree.remove(&after);
    let mut found = Vec::new();
    assert_eq!(tree.scan(Some(&after), 9, &mut |topic, _| found.push(topic.clone())), None);
    assert_eq!(found, ["a/b", "a/b/c", "a-b", "b"].map(name));
    assert_eq!(RetainedTree::<()>::new().scan(None, 9, &mut |_, ()| {}), None);
}

#[test]
fn an_exact_filter_obeys_the_cursor() {
    let tree = tree(&["a", "b", "c"]);
    for (after, expect) in [(None, 1), (Some("a"), 1), (Some("b"), 0), (Some("c"), 0)] {
        let mut found = 0;
        let after = after.map(name);
        let next = tree.page(&filter("b"), after.as_ref(), 9, 9, &mut |_, _| found += 1);
        assert_eq!((next, found), (None, expect), "{after:?}");
    }
}

/// A filter that selects one topic of each of 100 wide branches looks at a few topics of each, not
/// at all 100,000.
#[test]
fn what_cannot_match_is_skipped() {
    let mut tree = RetainedTree::new();
    for branch in 0..100 {
        for leaf in 0..1_000 {
            let topic = format!("{branch}/{leaf:04}");
            tree.insert(&name(&topic), topic.clone());
        }
    }
    // (filter, selected topics, visits that must do)
    for (text, expect, visits) in [
        ("+/0500", 100, 301),
        ("+/missing", 0, 201),
        ("50/+", 1_000, 1_001),
        ("50/+/x", 0, 1_001),
        ("50/0999/#", 1, 2),
    ] {
        let (found, count) = pages(&tree, text, usize::MAX, visits);
        assert_eq!((found.len(), count), (expect, 1), "{text:?}");
    }
    // A budget too small for the whole ends in several pages, with the same result.
    let (found, count) = pages(&tree, "+/0500", usize::MAX, 10);
    assert_eq!(found.len(), 100);
    assert!((10..=40).contains(&count), "{count} pages");
}

#[test]
fn the_cursor_survives_the_removal_of_its_topic() {
    let mut tree = tree(&["a/1", "a/2", "a/3"]);
    let after = tree.page(&filter("a/+"), None, 2, 100, &mut |_, _| {});
    assert_eq!(after, Some(name("a/2")));
    tree.remove("a/2");
    let mut found = Vec::new();
    tree.page(&filter("a/+"), after.as_ref(), 9, 9, &mut |topic, _| found.push(topic.to_string()));
    assert_eq!(found, ["a/3"]);
}

fn text(levels: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(levels), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("valid", |text| TopicFilter::check(text).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn pages_are_a_plain_scan(
        topics in proptest::collection::vec(
            text(&["", "a", "b", "a-", "$a", "ü", "\u{1}"]),
            0..60,
        ),
        removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
        filter_text in text(&["", "a", "b", "a-", "$a", "+", "+", "#"]),
        limit in 0..6_usize,
        visit_limit in 0..6_usize,
    ) {
        let mut tree = RetainedTree::new();
        let mut plain = BTreeMap::new();
        for topic in &topics {
            prop_assert_eq!(
                tree.insert(&name(topic), topic.clone()),
                plain.insert(topic.clone(), topic.clone())
            );
        }
        for index in removed.iter().filter(|_| !topics.is_empty()) {
            let topic = index.get(&topics);
            prop_assert_eq!(tree.remove(topic), plain.remove(topic));
        }
        prop_assert_eq!(tree.len(), plain.len());
        let filter = filter(&filter_text);
        let mut expect: Vec<String> =
            plain.into_keys().filter(|topic| filter.matches(topic)).collect();
        expect.sort_by(|left, right| left.split('/').cmp(right.split('/')));
        prop_assert_eq!(&pages(&tree, &filter_text, limit, visit_limit).0, &expect);
        prop_assert_eq!(&pages(&tree, &filter_text, usize::MAX, usize::MAX).0, &expect);
    }
}
