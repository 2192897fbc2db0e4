//! Owns the order of topics by levels: the first differing level decides, a topic stands before
//! what is below it.
//!
//! Knows nothing of what is stored under a topic.

use std::borrow::Borrow;
use std::cmp::Ordering;

use crate::name::TopicName;

/// A topic as a map key in the order of levels.
#[derive(Clone, Debug)]
pub(super) struct Key(pub(super) TopicName);

/// A text in the order of levels, so that a map of [`Key`] can be asked with a `&str` without
/// copying it.
pub(super) trait Levels {
    fn text(&self) -> &str;
}

impl Levels for Key {
    fn text(&self) -> &str {
        &self.0
    }
}

impl Levels for &str {
    fn text(&self) -> &str {
        self
    }
}

impl<'a> Borrow<dyn Levels + 'a> for Key {
    fn borrow(&self) -> &(dyn Levels + 'a) {
        self
    }
}

impl Ord for dyn Levels + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.text(), other.text())
    }
}

impl PartialOrd for dyn Levels + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Levels + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for dyn Levels + '_ {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

/// Comparing level by level is comparing bytes with `/` before all others: a topic has no U+0000
/// [MQTT-4.7.3-2], so 0 is free to stand for `/`.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let differing = left.bytes().zip(right.bytes()).find(|(left, right)| left != right);
    match differing {
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((left, right)) => left.cmp(&right),
        None => left.len().cmp(&right.len()),
    }
}
