//! What a connection remembers of the topics it publishes to: the route of each, and what is permitted.

use std::collections::HashMap;

use topic::TopicName;

use crate::router::{Route, Router};

/// Topics that a connection remembers.
const TOPICS_MAX: usize = 1024;
/// Subscribers in the routes that it remembers, 32 bytes each.
const TARGETS_MAX: usize = 64 * 1024;

/// What a connection knows of the topics it publishes to.
#[derive(Default)]
pub(crate) struct Memo {
    pub(crate) topics: Vec<Known>,
    by_name: HashMap<TopicName, usize>,
    last: usize,
    /// Subscribers in all routes together.
    targets: usize,
}

/// One remembered topic.
pub(crate) struct Known {
    pub(crate) topic: TopicName,
    /// Made for the first message that is permitted.
    route: Option<Route>,
    route_generation: u64,
    /// Bit per (QoS, RETAIN) that was judged and permitted.
    pub(crate) permitted: u8,
}

impl Memo {
    /// Forgets what was permitted: the permissions changed.
    pub(crate) fn clear_permits(&mut self) {
        for known in &mut self.topics {
            known.permitted = 0;
        }
    }

    pub(crate) fn find(&mut self, topic: &str) -> Option<usize> {
        if self.topics.get(self.last).is_some_and(|known| known.topic.as_str() == topic) {
            return Some(self.last);
        }
        self.last = *self.by_name.get(topic)?;
        Some(self.last)
    }

    pub(crate) fn insert(&mut self, topic: TopicName) -> usize {
        if self.topics.len() >= TOPICS_MAX {
            *self = Self::default();
        }
        self.last = self.topics.len();
        self.by_name.insert(topic.clone(), self.last);
        self.topics.push(Known { topic, route: None, route_generation: 0, permitted: 0 });
        self.last
    }

    /// The route of a topic, made anew when subscriptions have changed since.
    pub(crate) fn route(
        &mut self,
        at: usize,
        router: &Router,
        publisher: u64,
    ) -> Option<(&TopicName, &Route)> {
        let generation = router.generation();
        let known = self.topics.get(at)?;
        if known.route.is_none() || known.route_generation != generation {
            if self.targets > TARGETS_MAX {
                self.forget_routes();
            }
            let known = self.topics.get_mut(at)?;
            let before = known.route.take().map_or(0, |route| route.len());
            let made = router.route(known.topic.as_str(), publisher);
            self.targets = self.targets - before + made.len();
            (known.route, known.route_generation) = (Some(made), generation);
        }
        let known = self.topics.get(at)?;
        Some((&known.topic, known.route.as_ref()?))
    }

    /// Each is made again when its topic comes: also topics that were learned long ago can gain
    /// subscribers without end.
    fn forget_routes(&mut self) {
        for known in &mut self.topics {
            known.route = None;
        }
        self.targets = 0;
    }
}
