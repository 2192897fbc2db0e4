//! Subscriptions of all sessions, in the order of client and filter.

use std::{collections::BTreeMap, sync::Arc};

use session::Subscription;

use super::{SubscriptionInfo, SubscriptionPage, SubscriptionQuery, VISITS_MAX};
use crate::{broker::Core, ordered::Walk, router::Subscriber, sessions::SessionHandle};

impl SubscriptionInfo {
    pub(super) fn of(handle: &SessionHandle, subscription: &Subscription) -> Self {
        Self {
            client_id: Arc::clone(&handle.client_id),
            filter: subscription.filter.to_string(),
            options: subscription.options,
            identifier: subscription.identifier,
            since_unix: subscription.since_unix.map(|since| since.get().into()),
        }
    }
}

/// One page. Those that select a topic come from the tree of the router, the others from the sessions.
pub(super) fn list(core: &Core, query: &SubscriptionQuery) -> SubscriptionPage {
    let limit = query.limit.clamp(1, 1_000);
    match &query.matching {
        Some(topic) => matching(core, query, topic, limit),
        None => of_sessions(core, query, limit),
    }
}

impl SubscriptionQuery {
    fn wants(&self, subscription: &Subscription) -> bool {
        subscription.filter.filter.starts_with(&*self.prefix)
    }

    fn is_behind(&self, client_id: &str, filter: &str) -> bool {
        let Some((client, last)) = &self.after else { return true };
        client_id > client.as_str()
            || client_id == client && last.as_deref().is_some_and(|last| filter > last)
    }
}

/// The first ones of a topic: of all that select it, only as many are kept as fit on the page.
fn matching(core: &Core, query: &SubscriptionQuery, topic: &str, limit: usize) -> SubscriptionPage {
    let mut first = BTreeMap::new();
    core.router.for_each_subscriber(topic, &mut |subscriber: &Subscriber| {
        let Subscriber { handle, subscription, .. } = subscriber;
        let client_id = &handle.client_id;
        let is_wanted = query.client_id.as_deref().is_none_or(|wanted| **client_id == *wanted);
        let is_full = first.len() > limit;
        let last = first.last_key_value().filter(|_| is_full);
        let is_late = last.is_some_and(|((last, _), _): (&(Arc<str>, String), _)| client_id > last);
        if !is_wanted || is_late || !query.wants(subscription) {
            return;
        }
        let filter = subscription.filter.to_string();
        if query.is_behind(client_id, &filter) {
            let info = SubscriptionInfo::of(handle, subscription);
            first.insert((Arc::clone(client_id), filter), info);
            if first.len() > limit + 1 {
                first.pop_last();
            }
        }
    });
    page(first.into_values().collect(), limit)
}

fn of_sessions(core: &Core, query: &SubscriptionQuery, limit: usize) -> SubscriptionPage {
    let mut found = Vec::new();
    // The client of the page before is looked at again: it may have more.
    let again = query.after.as_ref().and_then(|(client, _)| core.sessions.get(client));
    let from = query.after.as_ref().map(|(client, _)| client.as_str());
    let ordered = core.sessions.ordered();
    let one = query.client_id.as_deref().map(|client| core.sessions.get(client));
    let sessions: Box<dyn Iterator<Item = Arc<SessionHandle>>> = match one {
        Some(one) => Box::new(one.into_iter()),
        None => Box::new(again.into_iter().chain(Walk::new(ordered, "", from))),
    };
    let mut visited = 0;
    let mut last = None;
    for handle in sessions {
        if found.len() > limit {
            break;
        }
        if visited >= VISITS_MAX {
            let next = last.map(|client: Arc<str>| (client.to_string(), None));
            return SubscriptionPage { subscriptions: found, next };
        }
        let state = handle.state.lock();
        visited += 1 + state.session.subscriptions.len();
        let mut of_client: Vec<_> = state
            .session
            .subscriptions
            .iter()
            .filter(|subscription| query.wants(subscription))
            .map(|subscription| SubscriptionInfo::of(&handle, subscription))
            .filter(|info| query.is_behind(&info.client_id, &info.filter))
            .collect();
        drop(state);
        of_client.sort_by(|one, other| one.filter.cmp(&other.filter));
        found.extend(of_client);
        last = Some(Arc::clone(&handle.client_id));
    }
    page(found, limit)
}

/// Of one more than there is room for, the last says that there is a next page.
fn page(mut found: Vec<SubscriptionInfo>, limit: usize) -> SubscriptionPage {
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| (last.client_id.to_string(), Some(last.filter.clone())));
    SubscriptionPage { subscriptions: found, next }
}
