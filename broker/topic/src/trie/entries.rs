//! Owns the keys and values that subscribed with one filter.
//!
//! Knows nothing of filters. Most filters have one subscriber: it lives in the node. A filter that
//! everybody has is a contiguous list, which a publish walks, with an index, so that the end of
//! one of a million subscriptions costs no search.

use std::collections::HashMap;
use std::hash::Hash;

use ahash::RandomState;

/// {key → value}, small by default.
pub(super) enum Entries<K, V> {
    Empty,
    One((K, V)),
    Few(Vec<(K, V)>),
    Many(Box<Indexed<K, V>>),
}

/// A list and where in it each key is.
pub(super) struct Indexed<K, V> {
    list: Vec<(K, V)>,
    places: HashMap<K, usize, RandomState>,
}

impl<K: Copy + Eq + Hash, V> Entries<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let pair = match self {
            Self::Empty => None,
            Self::One(pair) => Some(pair).filter(|(known, _)| known == key),
            Self::Few(list) => list.iter().find(|(known, _)| known == key),
            Self::Many(many) => many.places.get(key).and_then(|place| many.list.get(*place)),
        };
        pair.map(|(_, value)| value)
    }

    /// Returns the value that was there.
    pub(super) fn insert(&mut self, key: K, value: V, hasher: &RandomState) -> Option<V> {
        if let Some(known) = self.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        *self = match std::mem::replace(self, Self::Empty) {
            Self::Empty => Self::One((key, value)),
            Self::One(pair) => Self::Few(vec![pair, (key, value)]),
            Self::Few(mut list) => {
                list.push((key, value));
                if list.len() <= FEW_MAX { Self::Few(list) } else { Self::indexed(list, hasher) }
            }
            Self::Many(mut many) => {
                many.places.insert(key, many.list.len());
                many.list.push((key, value));
                Self::Many(many)
            }
        };
        None
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.get(key)?;
        let (removed, left) = match std::mem::replace(self, Self::Empty) {
            Self::Empty => (None, Self::Empty),
            Self::One((_, value)) => (Some(value), Self::Empty),
            Self::Few(mut list) => {
                let place = list.iter().position(|(known, _)| known == key);
                let removed = place.map(|place| list.swap_remove(place).1);
                (removed, Self::few(list))
            }
            Self::Many(mut many) => {
                let removed = many.remove(key);
                // Half the bound, so that a subscriber who comes and goes at the bound does not
                // build an index each time.
                let few = many.list.len() <= FEW_MAX / 2;
                (removed, if few { Self::few(many.list) } else { Self::Many(many) })
            }
        };
        *self = left;
        removed
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let pair = match self {
            Self::Empty => None,
            Self::One(pair) => Some(pair).filter(|(known, _)| known == key),
            Self::Few(list) => list.iter_mut().find(|(known, _)| known == key),
            Self::Many(many) => many.places.get(key).and_then(|place| many.list.get_mut(*place)),
        };
        pair.map(|(_, value)| value)
    }

    fn few(mut list: Vec<(K, V)>) -> Self {
        if list.len() > 1 {
            list.shrink_to(FEW_MAX);
            return Self::Few(list);
        }
        list.pop().map_or(Self::Empty, Self::One)
    }

    fn indexed(list: Vec<(K, V)>, hasher: &RandomState) -> Self {
        let mut places = HashMap::with_capacity_and_hasher(list.len(), hasher.clone());
        places.extend(list.iter().enumerate().map(|(place, (key, _))| (*key, place)));
        Self::Many(Box::new(Indexed { list, places }))
    }
}

impl<K, V> Entries<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(super) fn for_each<'a>(&'a self, f: &mut dyn FnMut(&'a K, &'a V)) {
        let list = match self {
            Self::Empty => return,
            Self::One(pair) => std::slice::from_ref(pair),
            Self::Few(list) => list,
            Self::Many(many) => &many.list,
        };
        for (key, value) in list {
            f(key, value);
        }
    }
}

impl<K: Copy + Eq + Hash, V> Indexed<K, V> {
    fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(key)?;
        let (_, value) = self.list.swap_remove(place);
        if let Some((moved, _)) = self.list.get(place) {
            self.places.insert(*moved, place);
        }
        if self.list.len() < self.list.capacity() / 4 {
            self.list.shrink_to(self.list.len() * 2);
            self.places.shrink_to(self.list.len() * 2);
        }
        Some(value)
    }
}

/// Longest list that is searched instead of indexed.
const FEW_MAX: usize = 16;
