//! How much of what all administrators share one of them may hold at once: connections, streams.
//!
//! Knows nothing of what is held.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Streams that one may have open: those of events and of traces.
pub(crate) const STREAMS_OF_USER: usize = 4;
/// Connections that one may hold for as long as those do that have shown a token.
pub(crate) const CONNECTIONS_OF_USER: usize = 16;

/// By user; `None` = the holder of the token of the first start.
type Held = Arc<Mutex<HashMap<Option<String>, usize>>>;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    most: usize,
    held: Held,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    user: Option<String>,
    held: Held,
}

impl Shares {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: Held::default() }
    }

    /// One more; `None` = this user has as many as one may have.
    pub(crate) fn take(&self, user: Option<&str>) -> Option<Share> {
        let user = user.map(str::to_owned);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(user.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { user, held: Arc::clone(&self.held) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_gives_them_back() {
        let shares = Shares::new(2);
        let (one, two) = (shares.take(Some("ann")), shares.take(Some("ann")));
        assert!(one.is_some() && two.is_some() && shares.take(Some("ann")).is_none());
        let others = (shares.take(Some("bob")), shares.take(None));
        assert!(others.0.is_some() && others.1.is_some());
        drop(one);
        let again = shares.take(Some("ann"));
        assert!(again.is_some() && shares.take(Some("ann")).is_none());
        drop((again, two, others));
        assert!(shares.held.lock().unwrap().is_empty());
    }
}
