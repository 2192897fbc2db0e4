//! Who subscribes to a topic, and which retained messages a filter wants.

use std::hint::black_box;

use topic::{RetainedTree, TopicFilter, TopicName, Trie};

use super::{Ready, TIMES};

const FILTERS: usize = 10_000;
/// As the broker reads retained messages: so many messages and looked-at topics a page.
const PAGE: (usize, usize) = (32, 256);

/// Subscriptions: one in ten with a `+`, and for the same place one with a `#`.
fn tree() -> Trie<usize, ()> {
    let mut tree = Trie::new();
    for number in 0..FILTERS {
        let site = number % 100;
        let filter = match number % 10 {
            0 => format!("site/{site}/+/{number}/state"),
            1 => format!("site/{site}/wide/{number}/#"),
            _ => format!("site/{site}/line/{number}/state"),
        };
        if let Ok(filter) = TopicFilter::new(&filter) {
            tree.insert(&filter, number, ());
        }
    }
    for number in (0..FILTERS).step_by(10) {
        if let Ok(filter) = TopicFilter::new(&format!("site/{}/line/{number}/#", number % 100)) {
            tree.insert(&filter, FILTERS + number, ());
        }
    }
    tree
}

fn matching(topics: Vec<String>) -> Ready {
    let tree = tree();
    Box::new(move || {
        let mut found = 0;
        for topic in &topics {
            tree.for_each_match(black_box(topic), &mut |_, ()| found += 1);
        }
        found
    })
}

pub(super) fn match_exact() -> Ready {
    let numbers = (0..FILTERS).filter(|number| number % 10 == 5).take(TIMES);
    matching(numbers.map(|number| format!("site/{}/line/{number}/state", number % 100)).collect())
}

pub(super) fn match_wildcards() -> Ready {
    let numbers = (0..FILTERS).step_by(10).take(TIMES);
    matching(numbers.map(|number| format!("site/{}/line/{number}/state", number % 100)).collect())
}

pub(super) fn retained_pages() -> Ready {
    let mut tree = RetainedTree::new();
    for number in 0..FILTERS {
        let topic = TopicName::new(&format!("site/{}/line/{number}/state", number % 10));
        if let Ok(topic) = topic {
            tree.insert(&topic, number);
        }
    }
    let filter = TopicFilter::new("site/7/+/+/state");
    Box::new(move || {
        let Ok(filter) = &filter else { return 0 };
        let (mut found, mut after) = (0, None);
        loop {
            let (limit, visit_limit) = PAGE;
            let from = after.as_ref();
            let next = tree.page(filter, from, limit, visit_limit, &mut |_, _| found += 1);
            let Some(next) = next else { return found };
            after = Some(next);
        }
    })
}
