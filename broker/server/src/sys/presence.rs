//! How many clients are connected, and how many were at once at most.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The count.
#[derive(Default)]
pub(crate) struct Presence {
    now: AtomicU64,
    most: AtomicU64,
}

/// A connected client; counted until dropped.
pub(crate) struct Present(Arc<Presence>);

impl Presence {
    /// One more is connected.
    pub(crate) fn enter(self: &Arc<Self>) -> Present {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        Present(Arc::clone(self))
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_stays() {
        let presence = Arc::new(Presence::default());
        let first = presence.enter();
        let second = presence.enter();
        drop(first);
        assert_eq!((presence.now(), presence.most()), (1, 2));
        let _third = presence.enter();
        drop(second);
        assert_eq!((presence.now(), presence.most()), (1, 2));
    }
}
