//! Permissions that a plugin or an admin took back before their time: of whom, in which order.
//!
//! Pure memory of the last ones. Whoever holds an answer compares the count from before the answer
//! was asked for with the one of now.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{HoldsFor, Subject, Whose};

/// How many are known one by one; who was away for more of them is asked for again.
const RECENT_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(crate) struct TakenBack {
    count: AtomicU64,
    recent: Mutex<VecDeque<Owned>>,
}

#[derive(Debug)]
enum Owned {
    Client(Box<str>),
    Principal(Box<str>),
    Everybody,
}

impl TakenBack {
    /// Up to now.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// One more. What is kept of these answers must be gone already.
    pub(crate) fn note(&self, whose: Whose<'_>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(match whose {
            Whose::Client(client_id) => Owned::Client(client_id.into()),
            Whose::Principal(principal) => Owned::Principal(principal.into()),
            Whose::Everybody => Owned::Everybody,
        });
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Whether one of those since `count` is about this client.
    pub(crate) fn concerns(&self, subject: &Subject, count: u64) -> bool {
        if count == self.count() {
            return false;
        }
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = usize::try_from(self.count().saturating_sub(count)).unwrap_or(usize::MAX);
        missed > recent.len()
            || recent.iter().rev().take(missed).any(|taken| match taken {
                Owned::Client(client_id) => **client_id == *subject.client_id,
                Owned::Principal(principal) => **principal == *subject.identity.principal,
                Owned::Everybody => true,
            })
    }
}

/// Whether an answer that holds for this audience, first given to `subject`, goes as well: the next
/// question of whoever is meant must reach the plugin. `principal` = that of the client, where one
/// client is meant.
pub(crate) fn covers(
    whose: Whose<'_>,
    principal: Option<&str>,
    audience: HoldsFor,
    subject: &Subject,
) -> bool {
    let of = |name: &str| name == &*subject.identity.principal;
    match (whose, audience) {
        (Whose::Everybody, _) | (_, HoldsFor::Everyone) => true,
        (Whose::Principal(name), _) => of(name),
        (Whose::Client(client_id), HoldsFor::Client) => *subject.client_id == *client_id,
        // Of one that is not connected it is not known.
        (Whose::Client(_), HoldsFor::Principal) => principal.is_none_or(of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::subject;

    #[test]
    fn only_who_is_meant_is_concerned() {
        let taken = TakenBack::default();
        let alice = subject("alice-1", "alice");
        taken.note(Whose::Client("bob-1"));
        taken.note(Whose::Principal("bob"));
        assert!(!taken.concerns(&alice, 0));
        let before = taken.count();
        taken.note(Whose::Client("alice-1"));
        assert!(taken.concerns(&alice, before));
        assert!(!taken.concerns(&alice, taken.count()));
        assert!(!taken.concerns(&subject("alice-2", "alice"), before));
        let before = taken.count();
        taken.note(Whose::Principal("alice"));
        assert!(taken.concerns(&subject("alice-2", "alice"), before));
        let before = taken.count();
        taken.note(Whose::Everybody);
        assert!(taken.concerns(&subject("bob-1", "bob"), before));
    }

    #[test]
    fn who_was_away_for_long_is_concerned() {
        let taken = TakenBack::default();
        let alice = subject("alice-1", "alice");
        for _ in 0..RECENT_MAX {
            taken.note(Whose::Client("bob-1"));
        }
        assert!(!taken.concerns(&alice, 0));
        taken.note(Whose::Client("bob-1"));
        assert!(taken.concerns(&alice, 0));
        assert!(!taken.concerns(&alice, 1));
    }
}
