//! Owns the retained tree: one kept message per topic, found by topic or by filter.
//!
//! Knows nothing of messages, expiry and budgets: its caller does, with [`RetainedTree::scan`]
//! and the return values.
//!
//! It is an ordered map. A wildcard filter is answered by a scan that, at the first level that
//! doesn't fit, seeks to the next topic that could. That needs the order of levels (`retained/
//! level_order.rs`): only there is everything below `a/b` one contiguous range. In the order of
//! the bytes `a/b-c` would stand between `a/b` and `a/b/c`.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

use crate::filter::{TopicFilter, starts_with_dollar};
use crate::name::TopicName;

use level_order::{Key, Levels};

/// Topic → kept message, in the order of levels.
#[derive(Clone, Debug)]
pub struct RetainedTree<M> {
    messages: BTreeMap<Key, M>,
}

impl<M> RetainedTree<M> {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self { messages: BTreeMap::new() }
    }

    /// Number of topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether no topic has a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Keeps `message` for `topic` and returns the one it replaces [MQTT-3.3.1-5].
    pub fn insert(&mut self, topic: &TopicName, message: M) -> Option<M> {
        self.messages.insert(Key(topic.clone()), message)
    }

    /// Takes the message of `topic` out [MQTT-3.3.1-6].
    pub fn remove(&mut self, topic: &str) -> Option<M> {
        self.messages.remove(&topic as &dyn Levels)
    }

    /// The message of `topic`.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&M> {
        self.messages.get(&topic as &dyn Levels)
    }

    /// Calls `f` for the messages whose topics `filter` selects, in the order of levels, starting
    /// after the topic `after`. Stops after `limit` calls or `visit_limit` looked-at topics,
    /// whichever is first; both count as 1 if they are 0, so that each page makes progress.
    ///
    /// Returns where to go on: give it as `after` for the next page. None = finished. Topics may
    /// come and go between pages, even the one returned; what stays is given exactly once.
    ///
    /// A filter without wildcard is one lookup.
    pub fn page<'a>(
        &'a self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        limit: usize,
        visit_limit: usize,
        f: &mut dyn FnMut(&TopicName, &'a M),
    ) -> Option<TopicName> {
        if !filter.has_wildcard() {
            self.exact(filter, after, f);
            return None;
        }
        let mut left = limit.max(1);
        let mut visits_left = visit_limit.max(1);
        let mut topics = match after {
            Some(topic) => self.starting(Bound::Excluded(&&**topic)),
            None => self.starting(Bound::Included(&literal_prefix(filter))),
        };
        while let Some((Key(topic), message)) = topics.next() {
            visits_left -= 1;
            match step(filter, topic) {
                Step::Match => {
                    f(topic, message);
                    left -= 1;
                }
                Step::Next => {}
                Step::Seek(text) => topics = self.starting(Bound::Included(&&*text)),
                Step::Finished => return None,
            }
            if left == 0 || visits_left == 0 {
                return Some(topic.clone());
            }
        }
        None
    }

    /// Calls `f` for every message, in the order of levels, starting after the topic `after`, at most
    /// `limit` times (once if that is 0). Returns where to go on, as [`RetainedTree::page`] does.
    pub fn scan<'a>(
        &'a self,
        after: Option<&TopicName>,
        limit: usize,
        f: &mut dyn FnMut(&TopicName, &'a M),
    ) -> Option<TopicName> {
        let start = after.map_or(Bound::Unbounded, |topic| Bound::Excluded(topic.as_str()));
        let start: Bound<&dyn Levels> = match &start {
            Bound::Excluded(topic) => Bound::Excluded(topic),
            _ => Bound::Unbounded,
        };
        let mut left = limit.max(1);
        for (Key(topic), message) in self.starting(start) {
            f(topic, message);
            left -= 1;
            if left == 0 {
                return Some(topic.clone());
            }
        }
        None
    }

    fn exact<'a>(
        &'a self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        f: &mut dyn FnMut(&TopicName, &'a M),
    ) {
        let wanted: &dyn Levels = &filter.as_str();
        if after.is_some_and(|after| wanted <= (&after.as_str() as &dyn Levels)) {
            return;
        }
        if let Some((Key(topic), message)) = self.messages.get_key_value(wanted) {
            f(topic, message);
        }
    }

    fn starting(&self, start: Bound<&dyn Levels>) -> Range<'_, Key, M> {
        self.messages.range::<dyn Levels, _>((start, Bound::Unbounded))
    }
}

impl<M> Default for RetainedTree<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a scan does about the topic it stands on.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The filter selects it.
    Match,
    /// Not selected; the next topic may be.
    Next,
    /// Nothing is selected before the first topic at or after this text.
    Seek(String),
    /// Nothing is selected after it.
    Finished,
}

/// Compares `topic` with a `filter` that has a wildcard, level by level.
///
/// A level smaller than the filter's means: seek forward to the filter's level. A larger one means
/// that this branch is done: advance the nearest `+` above it. Both seek past `topic`, so that a
/// scan always ends.
fn step(filter: &str, topic: &str) -> Step {
    if starts_with_dollar(topic) && filter.starts_with(['+', '#']) {
        // [MQTT-4.7.2-1]. All topics that start with `$` stand before the first with `%`.
        return Step::Seek(String::from("%"));
    }
    // Byte offset in `topic` after the last level that a `+` took.
    let mut advance = None;
    let mut end = 0;
    let mut names = topic.split('/');
    for (index, level) in filter.split('/').enumerate() {
        if level == "#" {
            return Step::Match;
        }
        let Some(name) = names.next() else {
            return if level == "+" {
                // What comes next is the first topic below this one, or the first past it.
                Step::Next
            } else {
                Step::Seek(joined(Some(topic), "/") + level)
            };
        };
        let start = end + usize::from(index > 0);
        end = start + name.len();
        if level == "+" {
            advance = Some(end);
        } else if name.as_bytes() < level.as_bytes() {
            return Step::Seek(joined(topic.get(..start), level));
        } else if name != level {
            return past_subtree(topic, advance);
        }
    }
    if names.next().is_none() { Step::Match } else { past_subtree(topic, advance) }
}

/// Seeks to the first topic that is neither `topic[..end]` nor below it.
fn past_subtree(topic: &str, end: Option<usize>) -> Step {
    // U+0001 is the smallest character after `/` in the order of levels.
    end.map_or(Step::Finished, |end| Step::Seek(joined(topic.get(..end), "\u{1}")))
}

fn joined(head: Option<&str>, tail: &str) -> String {
    let mut text = String::from(head.unwrap_or_default());
    text.push_str(tail);
    text
}

/// The levels before the first wildcard: nothing that the filter selects stands before them.
fn literal_prefix(filter: &str) -> &str {
    let end = filter.find(['+', '#']).unwrap_or(filter.len());
    let prefix = filter.get(..end).unwrap_or_default();
    // Without the separator: `a/#` selects `a` too.
    prefix.strip_suffix('/').unwrap_or(prefix)
}

mod level_order;

#[cfg(test)]
mod tests;
