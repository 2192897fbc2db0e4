//! Matching a topic against 100,000 subscriptions.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use topic::{TopicFilter, Trie};

const FILTERS: u64 = 100_000;

fn filter(n: u64) -> String {
    match n % 10 {
        0 => format!("site/{}/+/{}/state", n % 100, n),
        1 => format!("site/{}/line/{n}/#", n % 100),
        _ => format!("site/{}/line/{n}/state", n % 100),
    }
}

fn matching(criterion: &mut Criterion) {
    let mut trie = Trie::new();
    for n in 0..FILTERS {
        if let Ok(filter) = TopicFilter::new(&filter(n)) {
            trie.insert(&filter, n, ());
        }
    }
    for (name, topic) in [
        ("exact", "site/42/line/12342/state"),
        ("one wildcard", "site/40/line/12340/state"),
        ("none", "site/42/line/none/state"),
    ] {
        criterion.bench_function(&format!("match 100k filters, {name}"), |b| {
            b.iter(|| {
                let mut found = 0;
                trie.for_each_match(black_box(topic), &mut |_, ()| found += 1);
                found
            });
        });
    }
}

criterion_group!(benches, matching);
criterion_main!(benches);
