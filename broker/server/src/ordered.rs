//! Sessions in the order of their client identifiers, for lists that are read page by page.
//!
//! Costs a session a few bytes and a search in a tree when it begins and when it ends. Locked for a moment within the
//! shard of the map (`sessions.rs`), as the count of sessions is, and by readers alone.

use std::{borrow::Borrow, cmp::Ordering, collections::BTreeSet, ops::Bound, sync::Arc};

use parking_lot::RwLock;

use crate::sessions::SessionHandle;

/// One for each client identifier.
#[derive(Default)]
pub(crate) struct Ordered(RwLock<BTreeSet<Named>>);

/// A session by the name of its client.
struct Named(Arc<SessionHandle>);

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        &self.0.client_id
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.client_id.cmp(&other.0.client_id)
    }
}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Named {}

impl Ordered {
    /// A session that is there now, in place of one with the same name.
    pub(crate) fn insert(&self, handle: &Arc<SessionHandle>) {
        self.0.write().replace(Named(Arc::clone(handle)));
    }

    /// Nothing happens when another stands in its place.
    pub(crate) fn remove(&self, handle: &SessionHandle) {
        let mut sessions = self.0.write();
        let client_id: &str = &handle.client_id;
        if sessions.get(client_id).is_some_and(|named| named.0.id == handle.id) {
            sessions.remove(client_id);
        }
    }

    /// The next sessions whose client identifier starts with `prefix`, behind `after`.
    pub(crate) fn next(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<SessionHandle>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let sessions = self.0.read();
        sessions
            .range::<str, _>((start, Bound::Unbounded))
            .map(|named| &named.0)
            .take_while(|handle| handle.client_id.starts_with(prefix))
            .take(limit)
            .cloned()
            .collect()
    }
}

/// Sessions that are taken out under one lock.
const LOT: usize = 1_024;

/// All sessions with a prefix behind one, in lots, so that nobody who connects waits for a list.
pub(crate) struct Walk<'a> {
    ordered: &'a Ordered,
    prefix: &'a str,
    after: Option<String>,
    lot: std::vec::IntoIter<Arc<SessionHandle>>,
    at_end: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(ordered: &'a Ordered, prefix: &'a str, after: Option<&str>) -> Self {
        let lot = Vec::new().into_iter();
        Self { ordered, prefix, after: after.map(str::to_owned), lot, at_end: false }
    }
}

impl Iterator for Walk<'_> {
    type Item = Arc<SessionHandle>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(handle) = self.lot.next() {
            return Some(handle);
        }
        if self.at_end {
            return None;
        }
        let lot = self.ordered.next(self.prefix, self.after.as_deref(), LOT);
        self.at_end = lot.len() < LOT;
        self.after = lot.last().map(|handle| handle.client_id.to_string());
        self.lot = lot.into_iter();
        self.lot.next()
    }
}
