//! Finding retained messages among 100,000 topics, and among a million with `PORTCULLIS_PROOF=1`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use topic::{RetainedTree, TopicFilter, TopicName};

/// As the broker reads them: at most so many messages and so many looked-at topics under one lock.
const PAGE: (usize, usize) = (32, 256);

fn finding(criterion: &mut Criterion) {
    let proof = std::env::var_os("PORTCULLIS_PROOF").is_some_and(|value| value == "1");
    let topics = if proof { 1_000_000 } else { 100_000 };
    let mut tree = RetainedTree::new();
    for number in 0..topics {
        if let Ok(topic) = TopicName::new(&format!("plant-{number}/line/state")) {
            tree.insert(&topic, number);
        }
    }
    criterion.bench_function(&format!("retained, exact among {topics}"), |b| {
        b.iter(|| tree.get(black_box("plant-4242/line/state")).copied());
    });
    for filter in ["#", "+/line/#", "+/other/#"] {
        let Ok(filter) = TopicFilter::new(filter) else { continue };
        criterion.bench_function(&format!("retained, first page of {filter} of {topics}"), |b| {
            b.iter(|| {
                let mut found = 0;
                tree.page(black_box(&filter), None, PAGE.0, PAGE.1, &mut |_, _| found += 1);
                found
            });
        });
    }
    criterion.bench_function(&format!("retained, a page of a sweep of {topics}"), |b| {
        b.iter(|| {
            let mut sum = 0;
            tree.scan(None, 1_024, &mut |_, number| sum += black_box(*number));
            sum
        });
    });
}

criterion_group!(benches, finding);
criterion_main!(benches);
