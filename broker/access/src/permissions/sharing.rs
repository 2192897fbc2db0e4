//! Keeps equal permission sets only once: thousands of devices with one role share one set.
//!
//! Holds no set alive by itself and knows nothing of clients.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::Permissions;

/// Sets in use, by the hash of their content.
#[derive(Debug, Default)]
pub(crate) struct SharedPermissions {
    sets: Mutex<Sets>,
    /// Seeded at random: plugins and clients cannot make contents collide.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Sets {
    by_hash: HashMap<u64, Weak<Permissions>>,
    /// The one that was last looked for: where everybody has one role, nothing is hashed.
    last: Weak<Permissions>,
    /// How many were added since the dead ones were last swept out.
    added: usize,
}

impl SharedPermissions {
    /// The set that is already in use, if there is an equal one, else this one. A set that holds
    /// the client's own name is not looked for: there are as many of them as clients.
    pub(crate) fn share(&self, permissions: Permissions) -> Arc<Permissions> {
        if permissions.personal {
            return Arc::new(permissions);
        }
        if let Some(last) = self.last().filter(|last| last.is_made_of_same(&permissions)) {
            return last;
        }
        let permissions = Arc::new(permissions);
        let hash = self.hash(&permissions);
        // Compared without the lock: sets are long, and everybody who connects comes by here.
        match self.known_or_add(hash, &permissions) {
            Some(known) if known.ttl == permissions.ttl && known.has_same_rules(&permissions) => {
                known
            }
            // Two contents with one hash: the first keeps the place, the other is not shared.
            _ => permissions,
        }
    }

    fn last(&self) -> Option<Arc<Permissions>> {
        self.lock().last.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, permissions: &Permissions) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        permissions.ttl.hash(&mut hasher);
        for link in permissions.links.iter() {
            link.content_hash(&self.hasher).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The set in use with this hash; the given one takes the place if there is none.
    fn known_or_add(&self, hash: u64, permissions: &Arc<Permissions>) -> Option<Arc<Permissions>> {
        let mut sets = self.lock();
        let known = sets.by_hash.get(&hash).and_then(Weak::upgrade);
        sets.last = Arc::downgrade(known.as_ref().unwrap_or(permissions));
        if known.is_none() {
            sets.add(hash, permissions);
        }
        known
    }
}

impl Permissions {
    /// Whether both are made of the very same compiled rules: unlike [`Self::has_same_rules`] it
    /// never looks into them.
    fn is_made_of_same(&self, other: &Self) -> bool {
        let is_same = |(one, other)| Arc::ptr_eq(one, other);
        self.ttl == other.ttl
            && self.links.len() == other.links.len()
            && self.links.iter().zip(other.links.iter()).all(is_same)
    }
}

impl Sets {
    fn add(&mut self, hash: u64, permissions: &Arc<Permissions>) {
        // A sweep looks at every set, so it must pay for itself by as many additions.
        if self.added >= SWEEP_EVERY {
            self.by_hash.retain(|_, set| set.strong_count() > 0);
            self.added = 0;
        }
        self.added += 1;
        if self.by_hash.len() < SETS_MAX || self.by_hash.contains_key(&hash) {
            self.by_hash.insert(hash, Arc::downgrade(permissions));
        }
    }
}

/// Most sets that are remembered; what is over is simply not shared.
const SETS_MAX: usize = 16_384;
const SWEEP_EVERY: usize = SETS_MAX / 4;

#[cfg(test)]
mod tests;
