//! The subscriptions of a session, sorted by their text. Matching topics is the router's work.

use std::num::NonZero;

use codec::SubscriptionOptions;
use topic::SubscriptionFilter;

/// One subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Filter with its share name.
    pub filter: SubscriptionFilter,
    /// Options, with the maximum QoS that was granted.
    pub options: SubscriptionOptions,
    /// Subscription Identifier.
    pub identifier: Option<u32>,
    /// Since when it exists, in seconds since 1970; `None` = nobody knows. Four bytes, for which there is room.
    pub since_unix: Option<NonZero<u32>>,
}

/// A sorted list: a client has few, and a list costs an idle one least.
#[derive(Debug, Default)]
pub struct Subscriptions {
    sorted: Vec<Subscription>,
}

type Key<'a> = (Option<&'a str>, &'a str);

fn key(filter: &SubscriptionFilter) -> Key<'_> {
    (filter.share.as_ref().map(topic::ShareName::as_str), filter.filter.as_str())
}

impl Subscriptions {
    fn find(&self, filter: &SubscriptionFilter) -> Result<usize, usize> {
        self.sorted.binary_search_by(|s| key(&s.filter).cmp(&key(filter)))
    }

    /// Adds or replaces [MQTT-3.8.4-3]; returns what was there.
    pub fn insert(&mut self, subscription: Subscription) -> Option<Subscription> {
        match self.find(&subscription.filter) {
            Ok(at) => self.sorted.get_mut(at).map(|slot| std::mem::replace(slot, subscription)),
            Err(at) => {
                if self.sorted.is_empty() {
                    self.sorted.reserve_exact(1);
                }
                self.sorted.insert(at, subscription);
                None
            }
        }
    }

    /// Removes.
    pub fn remove(&mut self, filter: &SubscriptionFilter) -> Option<Subscription> {
        self.find(filter).ok().map(|at| self.sorted.remove(at))
    }

    /// The subscription with this filter.
    pub fn get(&self, filter: &SubscriptionFilter) -> Option<&Subscription> {
        self.find(filter).ok().and_then(|at| self.sorted.get(at))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.sorted.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// How many contain a wildcard.
    pub fn wildcards(&self) -> usize {
        self.sorted.iter().filter(|s| s.filter.filter.has_wildcard()).count()
    }
}

#[cfg(test)]
mod tests;
