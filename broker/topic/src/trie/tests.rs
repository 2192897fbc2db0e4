//! The subscription tree: tables, pruning, bounds of the visited nodes, and random operations
//! against a plain list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn tree(filters: &[&str]) -> Trie<usize, String> {
    let mut trie = Trie::new();
    for (key, text) in filters.iter().enumerate() {
        assert_eq!(trie.insert(&filter(text), key, (*text).to_owned()), None);
    }
    trie
}

fn matched<V: Clone + Ord>(trie: &Trie<usize, V>, topic: &str) -> Vec<V> {
    let mut found = Vec::new();
    trie.for_each_match(topic, &mut |_, value| found.push(value.clone()));
    found.sort();
    found
}

#[track_caller]
fn check(filters: &[&str], topic: &str, expect: &[&str]) {
    let mut expect: Vec<String> = expect.iter().map(ToString::to_string).collect();
    expect.sort();
    assert_eq!(matched(&tree(filters), topic), expect, "{topic:?}");
}

#[test]
fn each_matching_filter_is_given_once() {
    let all = ["#", "+", "a", "a/#", "a/+", "a/b", "+/b", "+/+", "a/b/#", "/", "+/", "/+", "b"];
    check(&all, "a", &["#", "+", "a", "a/#"]);
    check(&all, "a/b", &["#", "a/#", "a/+", "a/b", "+/b", "+/+", "a/b/#"]);
    check(&all, "/", &["#", "/", "+/", "/+", "+/+"]);
    check(&all, "a/b/c", &["#", "a/#", "a/b/#"]);
    check(&all, "c", &["#", "+"]);
}

/// Covers 5.0 [MQTT-4.7.2-1], 3.1.1 [MQTT-4.7.2-1].
#[test]
fn leading_wildcards_select_no_dollar_topic() {
    let all = ["#", "+/x", "+", "$SYS/#", "$SYS/+", "$SYS/x", "$SYS", "+/#"];
    check(&all, "$SYS/x", &["$SYS/#", "$SYS/+", "$SYS/x"]);
    check(&all, "$SYS", &["$SYS/#", "$SYS"]);
    check(&all, "a/$x", &["#", "+/#"]);
}

#[test]
fn one_filter_many_keys() {
    let mut trie = Trie::new();
    for key in 0..1_000_usize {
        assert_eq!(trie.insert(&filter("a/+"), key, key), None);
    }
    assert_eq!(trie.insert(&filter("a/+"), 7, 1_007), Some(7));
    assert_eq!(trie.len(), 1_000);
    assert_eq!(matched(&trie, "a/b").len(), 1_000);
    assert_eq!(trie.get(&filter("a/+"), &7), Some(&1_007));
    assert_eq!(trie.get(&filter("a/b"), &7), None);
    // In an order that takes keys out of the middle of the list: 7 and 1,000 have no divisor.
    for (gone, key) in (0..1_000).map(|step| step * 7 % 1_000).enumerate() {
        let expect = if key == 7 { 1_007 } else { key };
        assert_eq!(trie.remove(&filter("a/+"), &key), Some(expect));
        assert_eq!(trie.remove(&filter("a/+"), &key), None);
        assert_eq!(matched(&trie, "a/b").len(), 999 - gone);
    }
    assert!(trie.is_empty());
}

#[test]
fn removal_prunes_and_nodes_are_used_again() {
    let mut trie = tree(&["a/b/c/d", "a", "a/b/+/#", "x"]);
    let before = trie.nodes.len();
    assert_eq!(trie.remove(&filter("a/b/c"), &0), None);
    assert_eq!(trie.remove(&filter("a/b/c/d"), &1), None);
    assert!(trie.remove(&filter("a/b/c/d"), &0).is_some());
    assert!(trie.remove(&filter("a/b/+/#"), &2).is_some());
    // Left: the root, `a` and `x`.
    assert_eq!(trie.nodes.len() - trie.free.len(), 3);
    assert_eq!(trie.literals.len(), 2);
    trie.insert(&filter("q/+/r/#"), 9, String::new());
    assert_eq!(trie.nodes.len(), before);
    assert_eq!(matched(&trie, "q/w/r"), [""]);
    for (text, key) in [("a", 1), ("x", 3), ("q/+/r/#", 9)] {
        assert!(trie.remove(&filter(text), &key).is_some());
    }
    assert!(trie.is_empty());
    assert_eq!((trie.nodes.len(), trie.literals.len()), (1, 0));
}

#[test]
fn wide_and_deep_trees_are_matched_without_recursion() {
    let deep = vec!["a"; 30_000].join("/");
    let mut trie = Trie::new();
    trie.insert(&filter(&deep), 0, 0);
    trie.insert(&filter(&format!("{deep}/#")), 1, 1);
    for key in 2..10_000 {
        trie.insert(&filter(&format!("a/{key}/x")), key, key);
    }
    assert_eq!(matched(&trie, &deep), [0, 1]);
    assert_eq!(matched(&trie, "a/77/x"), [77]);
    assert_eq!(trie.remove(&filter(&deep), &0), Some(0));
    assert_eq!(matched(&trie, &deep), [1]);
}

/// All filters of 12 levels over {a, +}: the worst that wildcards can do to one publish. Each
/// filter is found, so that the visited nodes are bounded by those that were subscribed.
#[test]
fn the_plus_bomb_finds_each_filter_once() {
    let mut trie = Trie::new();
    for bits in 0..1_usize << 12 {
        let levels: Vec<_> =
            (0..12).map(|bit| if bits >> bit & 1 == 0 { "a" } else { "+" }).collect();
        trie.insert(&filter(&(levels.join("/") + "/#")), bits, bits);
    }
    let topic = ["a"; 12].join("/");
    assert_eq!(matched(&trie, &topic), (0..1 << 12).collect::<Vec<_>>());
    assert_eq!(matched(&trie, &format!("{topic}/b")).len(), 1 << 12);
    assert_eq!(matched(&trie, &["b"; 12].join("/")), [(1 << 12) - 1]);
}

fn topic_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop::sample::select(vec!["", "a", "b", "$a", "cc"]), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic isn't empty", |text| !text.is_empty())
}

fn filter_text() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "b", "$a", "cc", "+", "+"]);
    (proptest::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            levels.extend(hash.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a filter isn't empty", |text| !text.is_empty())
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(String, usize, u8),
    Remove(String, usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => (filter_text(), 0..40_usize, any::<u8>())
            .prop_map(|(text, key, value)| Operation::Insert(text, key, value)),
        2 => (filter_text(), 0..40_usize).prop_map(|(text, key)| Operation::Remove(text, key)),
    ]
}

proptest! {
    #[test]
    fn the_tree_is_a_list_of_filters(
        operations in proptest::collection::vec(operation(), 0..120),
        topics in proptest::collection::vec(topic_text(), 1..12),
    ) {
        let mut trie = Trie::new();
        let mut list: BTreeMap<(TopicFilter, usize), u8> = BTreeMap::new();
        for operation in operations {
            match operation {
                Operation::Insert(text, key, value) => {
                    let filter = filter(&text);
                    let expect = list.insert((filter.clone(), key), value);
                    prop_assert_eq!(trie.insert(&filter, key, value), expect);
                }
                Operation::Remove(text, key) => {
                    let filter = filter(&text);
                    let expect = list.remove(&(filter.clone(), key));
                    prop_assert_eq!(trie.remove(&filter, &key), expect);
                }
            }
            prop_assert_eq!(trie.len(), list.len());
        }
        for topic in &topics {
            let mut found = Vec::new();
            trie.for_each_match(topic, &mut |key, value| found.push((*key, *value)));
            let selected = list.iter().filter(|((filter, _), _)| filter.matches(topic));
            let mut expect: Vec<_> = selected.map(|((_, key), value)| (*key, *value)).collect();
            found.sort_unstable();
            expect.sort_unstable();
            prop_assert_eq!(found, expect);
        }
        for ((filter, key), value) in &list {
            prop_assert_eq!(trie.get(filter, key), Some(value));
            prop_assert_eq!(trie.remove(filter, key), Some(*value));
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(trie.nodes.len(), 1);
    }
}
