//! Owns [`TopicFilter`]: which topics a filter selects and how two filters relate.
//!
//! Knows nothing of `$share` (see `shared.rs`) and of who subscribed (see `trie.rs`).

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::name::{InvalidTopic, TopicName, check_text};

/// A valid topic filter without a `$share/NAME/` prefix: 1 to 65,535 bytes, `+` alone in its
/// level, `#` alone in the last level, no U+0000.
///
/// Cloning shares the text. Equality is byte equality: two filters may select the same topics and
/// yet be different subscriptions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// What [`TopicFilter::check`] says.
    pub fn new(text: &str) -> Result<Self, InvalidTopic> {
        Self::check(text)?;
        Ok(Self(Arc::from(text)))
    }

    /// Checks `text` without copying it.
    ///
    /// # Errors
    /// Empty [MQTT-4.7.3-1], too long [MQTT-4.7.3-3], contains U+0000 [MQTT-4.7.3-2], `#` not
    /// alone in the last level [MQTT-4.7.1-1], `+` not alone in its level [MQTT-4.7.1-2].
    pub fn check(text: &str) -> Result<(), InvalidTopic> {
        check_text(text)?;
        let mut levels = text.split('/').enumerate().peekable();
        while let Some((index, level)) = levels.next() {
            if level.len() > 1 && level.bytes().any(|byte| byte == b'+' || byte == b'#') {
                return Err(InvalidTopic::WildcardNotAlone { level: index + 1 });
            }
            if level == "#" && levels.peek().is_some() {
                return Err(InvalidTopic::HashNotLast { level: index + 1 });
            }
        }
        Ok(())
    }

    /// The text as it was received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the filter has a `+` or `#`; without one it selects exactly the topic of its text.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        // The check at construction leaves no other place for these characters.
        self.0.bytes().any(|byte| byte == b'+' || byte == b'#')
    }

    /// Whether the filter selects `topic`.
    ///
    /// `a/#` selects `a` too; `+` selects an empty level; a filter that starts with a wildcard
    /// selects no topic that starts with `$` [MQTT-4.7.2-1]. A `topic` that isn't a valid topic
    /// name gives no meaningful answer.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        if starts_with_dollar(topic) && starts_with_wildcard(&self.0) {
            return false;
        }
        // One pass over the bytes: a valid filter has '+' and '#' only alone in their level.
        let mut filter = self.0.as_bytes();
        let mut rest = topic.as_bytes();
        while let Some((byte, filter_rest)) = filter.split_first() {
            match byte {
                b'#' => return true,
                b'+' => {
                    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                    rest = rest.get(end..).unwrap_or_default();
                }
                _ => match rest.split_first() {
                    Some((name, names)) if name == byte => rest = names,
                    Some(_) => return false,
                    // The parent level of `a/#` is `a`.
                    None => return filter == b"/#",
                },
            }
            filter = filter_rest;
        }
        rest.is_empty()
    }

    /// Whether every topic that `other` selects is selected by `self`.
    ///
    /// Exact set inclusion over valid topic names (but for their greatest length): `#` covers
    /// `+/x` but not `$SYS/#`; `a/#` covers `a` and `a/+`; `+` covers `a` but not `$a`; `+/#` and
    /// `#` cover each other.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if starts_with_dollar(&other.0) && starts_with_wildcard(&self.0) {
            return false;
        }
        let mut mine = spelled_out(&self.0).split('/');
        let mut theirs = spelled_out(&other.0).split('/');
        loop {
            match (mine.next(), theirs.next()) {
                (Some("#"), _) | (None, None) => return true,
                // `a` against `a/#`, and `a/b` against `a`.
                (None, Some(_)) | (Some(_), None) => return false,
                // `#` selects ever deeper topics; what isn't `#` selects one depth only.
                (Some(_), Some("#")) => return false,
                (Some("+"), Some(_)) => {}
                (Some(left), Some(right)) if left == right => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }

    /// Whether some topic is selected by both filters.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        if starts_with_dollar(&other.0) && starts_with_wildcard(&self.0)
            || starts_with_dollar(&self.0) && starts_with_wildcard(&other.0)
        {
            return false;
        }
        let mut mine = spelled_out(&self.0).split('/');
        let mut theirs = spelled_out(&other.0).split('/');
        loop {
            match (mine.next(), theirs.next()) {
                // `a/#` selects `a`: the other side may end here.
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(left), Some(right)) if left == right => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicFilter({:?})", &*self.0)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TopicFilter {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for TopicFilter {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&TopicName> for TopicFilter {
    /// The filter that selects exactly this topic: a name has no wildcards, so it is a filter.
    fn from(name: &TopicName) -> Self {
        Self(Arc::from(name.as_str()))
    }
}

impl std::str::FromStr for TopicFilter {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

/// Topics of the server's own: no leading wildcard selects them [MQTT-4.7.2-1].
pub(crate) fn starts_with_dollar(text: &str) -> bool {
    text.starts_with('$')
}

/// In a valid filter, these characters stand alone in their level.
fn starts_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

/// `#` selects the level above it too, except where that level would make the empty text, which
/// is no topic: so `#` is the same set as `+/#`, and `/#` the same as `/+/#`. Written that way the
/// comparison of two filters level by level is exact.
fn spelled_out(filter: &str) -> &str {
    match filter {
        "#" => "+/#",
        "/#" => "/+/#",
        _ => filter,
    }
}

#[cfg(test)]
mod tests;
