//! The tree of topics, one level at a time: what is retained, and what is subscribed to.

use std::collections::BTreeMap;

use topic::TopicName;

use super::{TopicChild, TopicLevel};
use crate::{broker::Core, ordered::Walk};

/// Retained messages, and sessions with their subscriptions, that one level looks at.
const LOOKS_MAX: usize = 500_000;
/// Retained messages that are counted below one child.
const COUNT_MAX: usize = 50_000;
/// Topics under one lock.
const LOT: usize = 1_024;
/// Children that are remembered while counting.
const CHILDREN_MAX: usize = 100_000;

/// Children by name, with what is left of the looks.
struct Counting {
    children: BTreeMap<String, TopicChild>,
    is_complete: bool,
}

/// The children of `parent` behind `after`.
pub(super) fn level(
    core: &Core,
    parent: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> TopicLevel {
    let mut counting = Counting { children: BTreeMap::new(), is_complete: true };
    retained(core, parent, &mut counting);
    subscribed(core, parent, &mut counting);
    let Counting { children, is_complete } = counting;
    let mut children = children.into_values();
    let limit = limit.clamp(1, 1_000);
    let mut page: Vec<_> = children
        .by_ref()
        .filter(|child| after.is_none_or(|after| child.name.as_str() > after))
        .take(limit + 1)
        .collect();
    let more = page.len() > limit;
    page.truncate(limit);
    TopicLevel { children: page, more, is_complete }
}

impl Counting {
    /// The child of this name; `None` = there are too many.
    fn child(&mut self, name: &str) -> Option<&mut TopicChild> {
        if !self.children.contains_key(name) {
            if self.children.len() >= CHILDREN_MAX {
                self.is_complete = false;
                return None;
            }
            let child = TopicChild { name: name.to_owned(), ..TopicChild::default() };
            self.children.insert(name.to_owned(), child);
        }
        self.children.get_mut(name)
    }
}

/// What is behind `parent/`.
fn below<'a>(parent: Option<&str>, topic: &'a str) -> Option<&'a str> {
    match parent {
        None => Some(topic),
        Some(parent) => topic.strip_prefix(parent)?.strip_prefix('/'),
    }
}

/// All below a topic stands together in the retained tree. A child with very many is left early.
fn retained(core: &Core, parent: Option<&str>, counting: &mut Counting) {
    let mut after = parent.and_then(|parent| TopicName::new(parent).ok());
    if parent.is_some() && after.is_none() {
        // A filter: nothing is retained below it.
        return;
    }
    let mut looks = 0;
    let mut current = (String::new(), 0);
    loop {
        let mut skip = None;
        let mut is_over = false;
        let next = core.retained.scan(parent, after.as_ref(), LOT, &mut |topic| {
            if is_over || skip.is_some() {
                return;
            }
            let Some(rest) = below(parent, topic) else {
                is_over = true;
                return;
            };
            let (name, deeper) = rest.split_once('/').map_or((rest, None), |(n, d)| (n, Some(d)));
            if current.0 != name {
                current = (name.to_owned(), 0);
            }
            current.1 += 1;
            if let Some(child) = counting.child(name) {
                match deeper {
                    None => child.is_retained = true,
                    Some(_) => child.retained_below += 1,
                }
            }
            if current.1 >= COUNT_MAX {
                counting.is_complete = false;
                skip = Some(
                    parent.map_or_else(|| name.to_owned(), |parent| format!("{parent}/{name}")),
                );
            }
        });
        looks += LOT;
        let Some(next) = next.filter(|_| !is_over) else { return };
        if looks >= LOOKS_MAX {
            counting.is_complete = false;
            return;
        }
        // The smallest character behind `/` in the order of levels: past everything below.
        let past = skip.and_then(|child| TopicName::new(&format!("{child}\u{1}")).ok());
        after = Some(past.unwrap_or(next));
    }
}

fn subscribed(core: &Core, parent: Option<&str>, counting: &mut Counting) {
    let mut looks = 0;
    for handle in Walk::new(core.sessions.ordered(), "", None) {
        if looks >= LOOKS_MAX {
            counting.is_complete = false;
            return;
        }
        let state = handle.state.lock();
        looks += 1 + state.session.subscriptions.len();
        for subscription in state.session.subscriptions.iter() {
            let Some(rest) = below(parent, &subscription.filter.filter) else { continue };
            let (name, deeper) = rest.split_once('/').map_or((rest, None), |(n, d)| (n, Some(d)));
            if let Some(child) = counting.child(name) {
                match deeper {
                    None => child.subscriptions += 1,
                    Some(_) => child.subscriptions_below += 1,
                }
            }
        }
    }
}
