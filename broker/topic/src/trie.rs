//! Owns the subscription tree: which keys, with which values, subscribed to a topic.
//!
//! Knows nothing of sessions and share groups: a key is whatever the router gives. The entries of
//! one filter live in `trie/entries.rs`.
//!
//! Layout: nodes in a slab; the literal children of all nodes in one hash table keyed by (parent,
//! level), so that a level costs one lookup however wide it is; the `+` and `#` children directly
//! in the node.

use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;

use ahash::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::filter::{TopicFilter, starts_with_dollar};

use entries::Entries;

/// The subscription tree: topic filter → { key → value }.
///
/// Work of a match: one hash per topic level and one lookup per visited node. Without wildcards a
/// topic of n levels visits n nodes, whatever the number of filters. With them, each level can at
/// most double the visited nodes (its literal and its `+` child), so 2^levels is the bound in
/// theory; but a node is visited at most once and exists only because a filter put it there, so
/// the real bound is the number of levels of all stored wildcard filters. It is therefore the
/// caps on levels and on wildcard subscriptions per client that bound the work of a publish.
///
/// Memory: nodes of removed filters are used again; the tree gives its memory back when the last
/// entry goes.
pub struct Trie<K, V> {
    nodes: Vec<Node<K, V>>,
    free: Vec<NodeId>,
    literals: HashTable<Literal>,
    /// Level texts are chosen by peers. The seed is drawn at run time, so that nobody can prepare
    /// levels that collide.
    hasher: RandomState,
    len: usize,
}

/// Index into the slab.
type NodeId = usize;

/// No child is the root, so that 0 is free to say "none" in half the space.
type ChildId = NonZeroUsize;

struct Node<K, V> {
    parent: NodeId,
    /// Bytes of the text; empty for the root and for the nodes of `+` and `#`. Short ones, which
    /// most are, live here: comparing them costs no further cache miss.
    level: SmallVec<[u8; LEVEL_INLINE]>,
    literal_children: usize,
    plus: Option<ChildId>,
    hash: Option<ChildId>,
    entries: Entries<K, V>,
}

/// A literal child in the table. The hash is kept so that growing the table touches no node.
struct Literal {
    hash: u64,
    child: NodeId,
}

impl<K: Copy + Eq + Hash, V> Trie<K, V> {
    /// An empty tree with a hash seed of its own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::new(ROOT, "")],
            free: Vec::new(),
            literals: HashTable::new(),
            hasher: fresh_hasher(),
            len: 0,
        }
    }

    /// Number of (filter, key) pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no (filter, key) pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` at (`filter`, `key`) and returns the value that was there.
    pub fn insert(&mut self, filter: &TopicFilter, key: K, value: V) -> Option<V> {
        let mut id = ROOT;
        for level in filter.split('/') {
            id = match self.child(id, level) {
                Some(child) => child,
                None => self.add_child(id, level),
            };
        }
        let node = self.nodes.get_mut(id)?;
        let previous = node.entries.insert(key, value, &self.hasher);
        self.len += usize::from(previous.is_none());
        previous
    }

    /// Takes the value at (`filter`, `key`) out and prunes the nodes that nobody needs any more.
    pub fn remove(&mut self, filter: &TopicFilter, key: &K) -> Option<V> {
        let id = self.find(filter)?;
        let value = self.nodes.get_mut(id)?.entries.remove(key)?;
        self.len -= 1;
        if self.len == 0 {
            self.clear();
        } else {
            self.prune(id);
        }
        Some(value)
    }

    /// The value at (`filter`, `key`): the filter is compared as text, not matched.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter, key: &K) -> Option<&V> {
        self.nodes.get(self.find(filter)?)?.entries.get(key)
    }

    /// Calls `f` for each (filter, key) pair whose filter selects `topic`, in no given order. A key
    /// that subscribed with several matching filters is given once for each [MQTT-3.3.4-2].
    ///
    /// Follows the rule for leading wildcards and `$` topics [MQTT-4.7.2-1]. A `topic` that isn't a
    /// valid topic name gives no meaningful answer, but neither panics nor loops.
    pub fn for_each_match<'a>(&'a self, topic: &str, f: &mut dyn FnMut(&'a K, &'a V)) {
        // Depth first: the levels above a node were seen before it, so that each level is cut
        // and hashed once, when it is first needed, however many nodes look it up.
        let mut levels: SmallVec<[(u64, &str); STACK_INLINE]> = SmallVec::new();
        let mut rest = topic.split('/');
        let mut stack: SmallVec<[(NodeId, usize); STACK_INLINE]> = SmallVec::new();
        let dollar = starts_with_dollar(topic);
        let mut next = Some((ROOT, 0));
        while let Some((id, depth)) = next.take().or_else(|| stack.pop()) {
            let Some(node) = self.nodes.get(id) else {
                continue;
            };
            let wildcards = depth > 0 || !dollar;
            if wildcards && let Some(hash) = node.hash.and_then(|child| self.nodes.get(child.get()))
            {
                hash.entries.for_each(f);
            }
            if depth == levels.len()
                && let Some(level) = rest.next()
            {
                levels.push((self.level_hash(level.as_bytes()), level));
            }
            let Some((level_hash, level)) = levels.get(depth).copied() else {
                node.entries.for_each(f);
                continue;
            };
            if wildcards && let Some(plus) = node.plus {
                stack.push((plus.get(), depth + 1));
            }
            if node.literal_children > 0 {
                next = self.literal(id, level, level_hash).map(|child| (child, depth + 1));
            }
        }
    }

    fn find(&self, filter: &TopicFilter) -> Option<NodeId> {
        filter.split('/').try_fold(ROOT, |id, level| self.child(id, level))
    }

    fn child(&self, parent: NodeId, level: &str) -> Option<NodeId> {
        match level {
            "+" => self.nodes.get(parent)?.plus.map(ChildId::get),
            "#" => self.nodes.get(parent)?.hash.map(ChildId::get),
            _ => self.literal(parent, level, self.level_hash(level.as_bytes())),
        }
    }

    fn literal(&self, parent: NodeId, level: &str, level_hash: u64) -> Option<NodeId> {
        let hash = edge_hash(parent, level_hash);
        let is_child = |literal: &Literal| {
            literal.hash == hash
                && self
                    .nodes
                    .get(literal.child)
                    .is_some_and(|node| node.parent == parent && *node.level == *level.as_bytes())
        };
        self.literals.find(hash, is_child).map(|literal| literal.child)
    }

    fn add_child(&mut self, parent: NodeId, level: &str) -> NodeId {
        let child = self.free.last().copied().unwrap_or(self.nodes.len());
        let text = if matches!(level, "+" | "#") { "" } else { level };
        let node = Node::new(parent, text);
        match self.nodes.get_mut(child) {
            Some(slot) => {
                self.free.pop();
                *slot = node;
            }
            None => self.nodes.push(node),
        }
        let Some(above) = self.nodes.get_mut(parent) else {
            return child;
        };
        match level {
            "+" => above.plus = ChildId::new(child),
            "#" => above.hash = ChildId::new(child),
            _ => {
                above.literal_children += 1;
                let hash = edge_hash(parent, self.level_hash(level.as_bytes()));
                self.literals.insert_unique(hash, Literal { hash, child }, |known| known.hash);
            }
        }
        child
    }

    fn prune(&mut self, mut id: NodeId) {
        while id != ROOT {
            let Some(node) = self.nodes.get_mut(id) else {
                return;
            };
            if !node.is_bare() {
                return;
            }
            let parent = node.parent;
            let level = std::mem::take(&mut node.level);
            self.free.push(id);
            let Some(above) = self.nodes.get_mut(parent) else {
                return;
            };
            if above.plus == ChildId::new(id) {
                above.plus = None;
            } else if above.hash == ChildId::new(id) {
                above.hash = None;
            } else {
                above.literal_children = above.literal_children.saturating_sub(1);
                let hash = edge_hash(parent, self.level_hash(&level));
                if let Ok(entry) = self.literals.find_entry(hash, |known| known.child == id) {
                    entry.remove();
                }
            }
            id = parent;
        }
    }

    fn level_hash(&self, level: &[u8]) -> u64 {
        self.hasher.hash_one(level)
    }

    fn clear(&mut self) {
        self.nodes = vec![Node::new(ROOT, "")];
        self.free = Vec::new();
        self.literals = HashTable::new();
    }
}

impl<K: Copy + Eq + Hash, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> std::fmt::Debug for Trie<K, V> {
    /// Sizes only: filters and keys of a million clients belong in no log line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trie")
            .field("len", &self.len)
            .field("nodes", &(self.nodes.len() - self.free.len()))
            .finish_non_exhaustive()
    }
}

impl<K, V> Node<K, V> {
    fn new(parent: NodeId, level: &str) -> Self {
        Self {
            parent,
            level: SmallVec::from_slice(level.as_bytes()),
            literal_children: 0,
            plus: None,
            hash: None,
            entries: Entries::Empty,
        }
    }

    fn is_bare(&self) -> bool {
        self.entries.is_empty()
            && self.literal_children == 0
            && self.plus.is_none()
            && self.hash.is_none()
    }
}

/// A fast keyed hash under seeds that std derives from the operating system's randomness: for maps
/// whose keys may be names that clients chose, so that nobody can make them collide.
#[must_use]
pub fn fresh_hasher() -> RandomState {
    let source = std::hash::RandomState::new();
    let seed = |index: u64| source.hash_one(index);
    RandomState::with_seeds(seed(0), seed(1), seed(2), seed(3))
}

/// The place of (parent, level) in the table. The level's hash is keyed and secret; adding a
/// multiple of the parent keeps equal levels below different parents apart in the low bits, which
/// choose the place, and in the high bits, which are the table's tag.
fn edge_hash(parent: NodeId, level_hash: u64) -> u64 {
    level_hash.wrapping_add((parent as u64).wrapping_mul(SPREAD))
}

const ROOT: NodeId = 0;

/// Odd, so that the products of different parents differ in any number of low bits: 2^64 divided
/// by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Levels up to this many bytes need no allocation.
const LEVEL_INLINE: usize = 16;

/// Topics up to this many levels are matched without allocation.
const STACK_INLINE: usize = 16;

mod entries;

#[cfg(test)]
mod tests;
