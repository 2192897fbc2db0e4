//! Owns the two forms of text that SUBSCRIBE and UNSUBSCRIBE carry: a plain topic filter, or
//! `$share/NAME/FILTER`.
//!
//! Knows nothing of who is in a share group and whose turn it is.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::filter::TopicFilter;
use crate::name::{InvalidTopic, check_text};

/// The NAME of `$share/NAME/FILTER`: at least one character, none of `/`, `+`, `#`, U+0000.
///
/// Two sessions share a subscription if both NAME and FILTER are equal, byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareName(Arc<str>);

impl ShareName {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// [`InvalidTopic::BadShare`] if empty [MQTT-4.8.2-1] or if it contains `/`, `+` or `#`
    /// [MQTT-4.8.2-2]; [`InvalidTopic::NulCharacter`] and [`InvalidTopic::TooLong`] as for topics.
    pub fn new(text: &str) -> Result<Self, InvalidTopic> {
        if text.is_empty() || text.bytes().any(|byte| matches!(byte, b'/' | b'+' | b'#')) {
            return Err(InvalidTopic::BadShare);
        }
        check_text(text)?;
        Ok(Self(Arc::from(text)))
    }

    /// The text as it was received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareName({:?})", &*self.0)
    }
}

impl fmt::Display for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ShareName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ShareName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a client subscribes to: a topic filter, alone or shared.
///
/// `Display` gives the received text back, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionFilter {
    /// The group, if the subscription is shared.
    pub share: Option<ShareName>,
    /// The filter that topics are matched with.
    pub filter: TopicFilter,
}

impl SubscriptionFilter {
    /// Reads `text` as it stands in SUBSCRIBE or UNSUBSCRIBE.
    ///
    /// Only the exact first level `$share` makes a shared subscription; `$shared/a` is an ordinary
    /// filter. `$share` without a NAME or a FILTER is refused instead of being taken for an
    /// ordinary filter: a client that mistypes a shared subscription must not silently get one
    /// that nobody publishes to.
    ///
    /// # Errors
    /// [`InvalidTopic::BadShare`] for a malformed `$share` [MQTT-4.8.2-1], [MQTT-4.8.2-2], else
    /// what [`TopicFilter::new`] says. Levels in the error count from the filter's first level.
    pub fn parse(text: &str) -> Result<Self, InvalidTopic> {
        check_text(text)?;
        let Some(rest) = text.strip_prefix(SHARE) else {
            return Ok(Self { share: None, filter: TopicFilter::new(text)? });
        };
        let Some(rest) = rest.strip_prefix('/') else {
            if rest.is_empty() {
                return Err(InvalidTopic::BadShare);
            }
            return Ok(Self { share: None, filter: TopicFilter::new(text)? });
        };
        let (name, filter) = rest.split_once('/').ok_or(InvalidTopic::BadShare)?;
        if filter.is_empty() {
            return Err(InvalidTopic::BadShare);
        }
        Ok(Self { share: Some(ShareName::new(name)?), filter: TopicFilter::new(filter)? })
    }
}

impl fmt::Display for SubscriptionFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.share {
            Some(share) => write!(f, "{SHARE}/{share}/{}", self.filter),
            None => write!(f, "{}", self.filter),
        }
    }
}

impl From<TopicFilter> for SubscriptionFilter {
    fn from(filter: TopicFilter) -> Self {
        Self { share: None, filter }
    }
}

impl std::str::FromStr for SubscriptionFilter {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        Self::parse(text)
    }
}

const SHARE: &str = "$share";

#[cfg(test)]
mod tests;
