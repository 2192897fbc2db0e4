//! Owns how many sessions there are, in all and of each principal.
//!
//! Knows nothing of sessions: `server` tells of each that begins and ends.

use std::collections::HashMap;
use std::sync::Arc;

use crate::sizes::{SizeExceeded, Sizes};

/// The sessions there are. The table has at most as many principals as there are sessions.
#[derive(Debug, Default)]
pub struct SessionCount {
    all: usize,
    by_principal: HashMap<Arc<str>, usize>,
}

impl SessionCount {
    /// Counts one more session; each success needs one [`SessionCount::ended`].
    ///
    /// # Errors
    /// Which limit is reached; nothing was counted.
    pub fn begin(&mut self, principal: &Arc<str>, sizes: &Sizes) -> Result<(), SizeExceeded> {
        let all = self.all.saturating_add(1);
        match self.by_principal.get_mut(principal) {
            Some(count) => {
                let of_principal = count.saturating_add(1);
                sizes.check_sessions(all, of_principal)?;
                *count = of_principal;
            }
            None => {
                sizes.check_sessions(all, 1)?;
                self.by_principal.insert(Arc::clone(principal), 1);
            }
        }
        self.all = all;
        Ok(())
    }

    /// Counts a session that an earlier process left: it is there, whatever the limits say now.
    pub fn restore(&mut self, principal: &Arc<str>) {
        self.all = self.all.saturating_add(1);
        let count = self.by_principal.entry(Arc::clone(principal)).or_default();
        *count = count.saturating_add(1);
    }

    /// A session that was counted has ended.
    pub fn ended(&mut self, principal: &str) {
        let Some(count) = self.by_principal.get_mut(principal) else {
            return;
        };
        self.all = self.all.saturating_sub(1);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.by_principal.remove(principal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let sizes = Sizes { sessions: 3, sessions_per_principal: 2, ..Sizes::default() };
        let mut count = SessionCount::default();
        let [ann, bob] = ["ann", "bob"].map(Arc::from);
        let full = |limit, value| Err(SizeExceeded { limit, value, maximum: value - 1 });
        assert_eq!(count.begin(&ann, &sizes), Ok(()));
        assert_eq!(count.begin(&ann, &sizes), Ok(()));
        assert_eq!(count.begin(&ann, &sizes), full("sessions_per_principal", 3));
        assert_eq!(count.begin(&bob, &sizes), Ok(()));
        assert_eq!(count.begin(&bob, &sizes), full("sessions", 4));
        count.ended("ann");
        assert_eq!(count.begin(&bob, &sizes), Ok(()));
        for principal in ["ann", "bob", "bob"] {
            count.ended(principal);
        }
        assert!(count.by_principal.is_empty());
        // What is there already is counted whatever the limits say.
        for _ in 0..4 {
            count.restore(&ann);
        }
        let over = SizeExceeded { limit: "sessions", value: 5, maximum: 3 };
        assert_eq!(count.begin(&bob, &sizes), Err(over));
        for _ in 0..4 {
            count.ended("ann");
        }
        // Nobody's end counts twice.
        count.ended("bob");
        assert_eq!(count.all, 0);
    }
}
