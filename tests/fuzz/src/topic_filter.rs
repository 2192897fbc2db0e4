//! Any text, taken as lines that are both filters and topics: parser, matcher and tree must agree
//! with the rules of section 4.7 written down in the plainest way.

use topic::{SubscriptionFilter, TopicFilter, TopicName, Trie};

/// More lines than this are ignored, as all pairs are compared.
const LINES_MAX: usize = 24;

/// Takes each line of `data` as a filter and as a topic and compares all pairs.
pub fn topic_filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines: Vec<&str> = text.split('\n').take(LINES_MAX).collect();
    let mut filters = Vec::new();
    let mut topics = Vec::new();
    for line in &lines {
        check_subscription(line);
        let name = TopicName::new(line);
        assert_eq!(name.is_ok(), is_name(line), "{line:?} as a name");
        topics.extend(name);
        let filter = TopicFilter::new(line);
        assert_eq!(filter.is_ok(), is_filter(line), "{line:?} as a filter");
        filters.extend(filter);
    }
    check_matches(&filters, &topics);
    check_relations(&filters, &topics);
    check_tree(&filters, &topics);
}

/// What parses is shown as it came, and is shared exactly when its first level is `$share`.
fn check_subscription(line: &str) {
    let Ok(parsed) = SubscriptionFilter::parse(line) else {
        return;
    };
    assert_eq!(parsed.to_string(), line);
    match &parsed.share {
        None => assert_eq!(parsed.filter.as_str(), line),
        Some(name) => {
            assert_eq!(format!("$share/{name}/{}", parsed.filter.as_str()), line);
            assert!(!name.as_str().contains(['/', '+', '#']));
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 65_535 && !text.contains(['\0', '+', '#'])
}

fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    let level_is_valid = |(index, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => index + 1 == levels.len(),
        other => !other.contains(['+', '#']),
    };
    !text.is_empty()
        && text.len() <= 65_535
        && !text.contains('\0')
        && levels.iter().enumerate().all(level_is_valid)
}

/// Section 4.7, level by level.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    levels_match(&filter, &topic)
}

fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (Some((&"#", _)), _) => true,
        (Some((&"+", filter)), Some((_, topic))) => levels_match(filter, topic),
        (Some((wanted, filter)), Some((level, topic))) => {
            wanted == level && levels_match(filter, topic)
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn check_matches(filters: &[TopicFilter], topics: &[TopicName]) {
    for filter in filters {
        assert_eq!(filter.has_wildcard(), filter.as_str().contains(['+', '#']));
        for topic in topics {
            let expected = matches(filter.as_str(), topic.as_str());
            assert_eq!(filter.matches(topic.as_str()), expected, "{filter:?} on {topic:?}");
        }
    }
}

/// `covers` and `overlaps` may not contradict any topic at hand.
fn check_relations(filters: &[TopicFilter], topics: &[TopicName]) {
    for one in filters {
        assert!(one.covers(one), "{one:?}");
        for other in filters {
            let overlaps = one.overlaps(other);
            assert_eq!(overlaps, other.overlaps(one), "{one:?} {other:?}");
            let covers = one.covers(other);
            for topic in topics {
                let by_one = one.matches(topic.as_str());
                let by_other = other.matches(topic.as_str());
                assert!(!covers || !by_other || by_one, "{one:?} covers {other:?}, {topic:?}");
                assert!(overlaps || !(by_one && by_other), "{one:?} {other:?} share {topic:?}");
            }
        }
    }
}

/// The tree finds what the filters match one by one, before and after half of them are gone.
fn check_tree(filters: &[TopicFilter], topics: &[TopicName]) {
    let mut trie = Trie::new();
    for (key, filter) in filters.iter().enumerate() {
        assert_eq!(trie.insert(filter, key, key), None);
    }
    compare(&trie, filters, topics, |_| true);
    for (key, filter) in filters.iter().enumerate().filter(|(key, _)| key % 2 == 0) {
        assert_eq!(trie.remove(filter, &key), Some(key));
        assert_eq!(trie.remove(filter, &key), None);
    }
    compare(&trie, filters, topics, |key| key % 2 == 1);
    for (key, filter) in filters.iter().enumerate().filter(|(key, _)| key % 2 == 1) {
        assert_eq!(trie.get(filter, &key), Some(&key));
        assert_eq!(trie.remove(filter, &key), Some(key));
    }
    assert!(trie.is_empty());
}

fn compare(
    trie: &Trie<usize, usize>,
    filters: &[TopicFilter],
    topics: &[TopicName],
    is_there: impl Fn(usize) -> bool,
) {
    assert_eq!(trie.len(), (0..filters.len()).filter(|&key| is_there(key)).count());
    for topic in topics {
        let mut found = Vec::new();
        trie.for_each_match(topic.as_str(), &mut |key, value| {
            assert_eq!(key, value);
            found.push(*key);
        });
        found.sort_unstable();
        let expected: Vec<usize> = (0..filters.len())
            .filter(|&key| is_there(key) && matches(filters[key].as_str(), topic.as_str()))
            .collect();
        assert_eq!(found, expected, "{topic:?} in {filters:?}");
    }
}
