//! Owns [`TopicName`], the address of one message, and [`InvalidTopic`], why a text is neither a
//! topic name nor a topic filter.
//!
//! Knows nothing of wildcards beyond that a name has none: see `filter.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes of the longest topic name, topic filter or `$share/...` text: the length field of an
/// MQTT string has two bytes [MQTT-4.7.3-3].
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// A valid topic name: 1 to 65,535 bytes, no wildcard, no U+0000.
///
/// Cloning shares the text. Equality is byte equality: MQTT allows no normalisation and no case
/// folding [MQTT-4.7.3-4]. `Ord` is the order of the bytes, not of the levels.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// What [`TopicName::check`] says.
    pub fn new(text: &str) -> Result<Self, InvalidTopic> {
        Self::check(text)?;
        Ok(Self(Arc::from(text)))
    }

    /// Checks `text` without copying it.
    ///
    /// # Errors
    /// Empty [MQTT-4.7.3-1], longer than [`TOPIC_BYTES_MAX`] [MQTT-4.7.3-3], contains U+0000
    /// [MQTT-4.7.3-2], or contains `+` or `#` [MQTT-3.3.2-2].
    pub fn check(text: &str) -> Result<(), InvalidTopic> {
        check_text(text)?;
        if text.bytes().any(|byte| byte == b'+' || byte == b'#') {
            return Err(InvalidTopic::WildcardInName);
        }
        Ok(())
    }

    /// The text as it was received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a topic is one that the broker itself publishes: `$SYS` and everything below it. Also true
/// of a filter that selects only such topics by its first level.
#[must_use]
pub fn is_of_broker(topic: &str) -> bool {
    topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicName({:?})", &*self.0)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for TopicName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TopicName {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::new(text)
    }
}

/// Why a text is not a topic name, a topic filter or a shared subscription.
///
/// Levels are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Nothing between the quotes [MQTT-4.7.3-1].
    #[error("the topic is empty; it needs at least one character")]
    Empty,
    /// More than [`TOPIC_BYTES_MAX`] bytes [MQTT-4.7.3-3].
    #[error("the topic has {bytes} bytes; at most {TOPIC_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes that the text has.
        bytes: usize,
    },
    /// U+0000 somewhere [MQTT-4.7.3-2].
    #[error("the topic contains the character U+0000")]
    NulCharacter,
    /// `+` or `#` in a topic name [MQTT-3.3.2-2].
    #[error("the topic name contains a wildcard; wildcards belong in topic filters only")]
    WildcardInName,
    /// `+` or `#` shares its level with other characters [MQTT-4.7.1-1], [MQTT-4.7.1-2].
    #[error("level {level} of the topic filter mixes a wildcard with other characters")]
    WildcardNotAlone {
        /// The level, counted from 1.
        level: usize,
    },
    /// `#` before the last level [MQTT-4.7.1-1].
    #[error("level {level} of the topic filter is '#', which may only be the last level")]
    HashNotLast {
        /// The level, counted from 1.
        level: usize,
    },
    /// `$share` that isn't `$share/NAME/FILTER` with a valid NAME [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error(
        "the shared subscription is not '$share/NAME/FILTER' with a NAME of at least one \
         character and without '/', '+' or '#'"
    )]
    BadShare,
}

/// Levels of a topic name or filter: one more than it has `/`. Empty levels count.
#[must_use]
pub fn level_count(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'/').count() + 1
}

/// The rules that names and filters share.
pub(crate) fn check_text(text: &str) -> Result<(), InvalidTopic> {
    if text.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(InvalidTopic::TooLong { bytes: text.len() });
    }
    if text.bytes().any(|byte| byte == 0) {
        return Err(InvalidTopic::NulCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
