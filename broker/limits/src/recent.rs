//! Owns a bounded table of what happened to pairs lately, and the fingerprints it is keyed by.
//!
//! Knows nothing of what is remembered.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// Fingerprint → value, for at most a given number of pairs, the latest written.
///
/// Two generations: when the young one has half of the bound, it becomes the old one and the
/// former old one is forgotten. So there is no search for the oldest pair, each step costs the
/// same, and a pair is forgotten only after half the bound of other pairs were written.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    young: HashMap<Fingerprint, V>,
    old: HashMap<Fingerprint, V>,
    half: usize,
    seeds: [RandomState; 2],
}

/// 128 bits that stand for a pair of texts, whatever their length: so the table's bytes are
/// bounded too. Keyed by seeds drawn at run time, so that nobody can prepare two pairs with one
/// fingerprint to lock somebody else out.
pub(crate) type Fingerprint = [u64; 2];

impl<V> Recent<V> {
    /// A table for at most `pairs`, at least 2.
    pub(crate) fn new(pairs: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (pairs / 2).max(1),
            seeds: [RandomState::new(), RandomState::new()],
        }
    }

    pub(crate) fn fingerprint(&self, pair: impl Hash) -> Fingerprint {
        self.seeds.each_ref().map(|seed| seed.hash_one(&pair))
    }

    pub(crate) fn get(&self, pair: Fingerprint) -> Option<&V> {
        self.young.get(&pair).or_else(|| self.old.get(&pair))
    }

    /// Takes the value out, to be changed and put back.
    pub(crate) fn take(&mut self, pair: Fingerprint) -> Option<V> {
        let old = self.old.remove(&pair);
        self.young.remove(&pair).or(old)
    }

    pub(crate) fn put(&mut self, pair: Fingerprint, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&pair) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&pair);
        self.young.insert(pair, value);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_and_the_latest_stay() {
        let mut recent = Recent::new(10);
        for value in 0..1_000_u64 {
            recent.put([value, 0], value);
            assert!(recent.len() <= 10);
            for known in value.saturating_sub(4)..=value {
                assert_eq!(recent.get([known, 0]), Some(&known));
            }
        }
        assert_eq!(recent.get([900, 0]), None);
    }

    #[test]
    fn a_pair_that_is_written_stays_and_is_in_one_place() {
        let mut recent = Recent::new(4);
        for value in 0..100_u64 {
            recent.put([0, 0], value);
            recent.put([value + 1, 0], value);
            assert_eq!(recent.get([0, 0]), Some(&value));
            assert!(recent.len() <= 4);
        }
        assert_eq!(recent.take([0, 0]), Some(99));
        assert_eq!(recent.get([0, 0]), None);
        assert_eq!(recent.take([0, 0]), None);
    }

    #[test]
    fn fingerprints_tell_pairs_apart() {
        let recent = Recent::<()>::new(2);
        assert_eq!(recent.fingerprint(("a", "b")), recent.fingerprint(("a", "b")));
        // The border between the texts counts.
        assert_ne!(recent.fingerprint(("a", "bc")), recent.fingerprint(("ab", "c")));
        // Another table has other seeds.
        assert_ne!(recent.fingerprint("a"), Recent::<()>::new(2).fingerprint("a"));
    }
}
