//! From a topic to the sessions that are owed its messages.
//!
//! The tree is read at most once per topic and connection: a [`Route`] stays good until a subscription changes
//! anywhere, which [`Router::generation`] tells. What depends only on topic and subscription (overlapping
//! subscriptions, deny rules inside a permitted filter, No Local) is settled when the route is made.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Instant,
};

use access::{Permissions, SubscribeRequest};
use codec::QoS;
use parking_lot::RwLock;
use session::{Delivered, DeliveryOptions, Fanout, Subscription};
use topic::{ShareName, SubscriptionFilter, TopicFilter, Trie};

use crate::{keeping::Keeping, sessions::SessionHandle};

/// One subscription in the tree.
#[derive(Clone)]
pub(crate) struct Subscriber {
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) subscription: Arc<Subscription>,
    /// Deny rules overlap the filter: each topic is judged by these.
    pub(crate) guard: Option<Arc<Permissions>>,
}

/// Key in the tree: a session, or a shared group (which stands for all its members).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Session(u64),
    Group(u64),
}

enum Place {
    Session(Subscriber),
    Group(Arc<Group>),
}

/// A shared subscription: each message goes to one member.
struct Group {
    id: u64,
    /// Replaced as a whole, so that a route keeps what it was made of.
    members: RwLock<Arc<Vec<Subscriber>>>,
    next: AtomicUsize,
    /// Goes round among the connected, for the turns of those who are away.
    spare: AtomicUsize,
}

#[derive(Default)]
struct Tree {
    trie: Trie<Key, Place>,
    groups: HashMap<(ShareName, TopicFilter), Arc<Group>>,
    last_group: u64,
    subscriptions: u64,
}

/// All subscriptions.
#[derive(Default)]
pub(crate) struct Router {
    tree: RwLock<Tree>,
    generation: AtomicU64,
}

/// Who gets the messages of one topic from one publisher.
#[derive(Default)]
pub(crate) struct Route {
    targets: Vec<Target>,
    shared: Vec<Shared>,
    /// Sessions that outlive the process are among them, with a QoS above 0.
    kept: bool,
}

/// The members of a group who may have the topic.
struct Shared {
    group: Arc<Group>,
    members: Arc<Vec<Subscriber>>,
}

/// One session of a route, with its matching subscriptions merged.
struct Target {
    handle: Arc<SessionHandle>,
    maximum_qos: QoS,
    retain_as_published: bool,
    subscription_identifiers: Box<[u32]>,
}

/// Where a fan-out counts what became of its messages.
pub(crate) trait Tally {
    fn count(&mut self, delivered: Delivered);
}

impl Router {
    /// Adds or replaces a subscription. Whoever repeats one costs nobody a route.
    pub(crate) fn subscribe(&self, subscriber: Subscriber) {
        if self.tree.read().has(&subscriber) {
            return;
        }
        let handle = Arc::clone(&subscriber.handle);
        let subscription = Arc::clone(&subscriber.subscription);
        {
            let mut tree = self.tree.write();
            tree.insert(subscriber);
            self.generation.fetch_add(1, Ordering::Release);
        }
        // A session that ended meanwhile (taken over with Clean Start) took out only what was in before.
        if handle.is_ended() {
            self.unsubscribe(handle.id, &subscription.filter);
        }
    }

    /// Removes a subscription; nothing happens when it is not there.
    pub(crate) fn unsubscribe(&self, session_id: u64, filter: &SubscriptionFilter) {
        if self.tree.read().find(session_id, filter).is_none() {
            return;
        }
        let mut tree = self.tree.write();
        if tree.remove(session_id, filter) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Removes all of a session's subscriptions.
    pub(crate) fn unsubscribe_all<'a>(
        &self,
        session_id: u64,
        filters: impl Iterator<Item = &'a SubscriptionFilter>,
    ) {
        let mut filters = filters.peekable();
        if filters.peek().is_none() {
            return;
        }
        let mut tree = self.tree.write();
        for filter in filters {
            tree.remove(session_id, filter);
        }
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes with every subscription anywhere.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn len(&self) -> u64 {
        self.tree.read().subscriptions
    }

    /// Every subscription that selects a topic, whether or not its client may have it; groups member by member.
    pub(crate) fn for_each_subscriber(&self, topic: &str, f: &mut dyn FnMut(&Subscriber)) {
        let tree = self.tree.read();
        tree.trie.for_each_match(topic, &mut |_, place| match place {
            Place::Session(subscriber) => f(subscriber),
            Place::Group(group) => group.members.read().iter().for_each(&mut *f),
        });
    }

    /// The route of a topic for messages from `publisher` (a session id; 0 = the broker itself).
    pub(crate) fn route(&self, topic: &str, publisher: u64) -> Route {
        let mut found: Vec<Subscriber> = Vec::new();
        let mut groups = Vec::new();
        let tree = self.tree.read();
        tree.trie.for_each_match(topic, &mut |_, place| match place {
            Place::Session(subscriber) => {
                if !subscriber.is_own(publisher) {
                    found.push(subscriber.clone());
                }
            }
            Place::Group(group) => groups.push(Arc::clone(group)),
        });
        drop(tree);
        // Judged without the lock: a guard may have thousands of rules.
        found.retain(|subscriber| subscriber.permits(topic));
        let shared = groups.into_iter().map(|group| Shared::of(group, topic));
        let shared = shared.filter(|shared| !shared.members.is_empty()).collect();
        Route::new(merge(found), shared)
    }
}

impl Subscriber {
    /// No Local: the publisher does not want it back [MQTT-3.8.3-3].
    fn is_own(&self, publisher: u64) -> bool {
        self.subscription.options.no_local && self.handle.id == publisher
    }

    /// Whether `other` would be treated no differently.
    fn is_same(&self, other: &Self) -> bool {
        let guards = match (&self.guard, &other.guard) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        guards
            && Arc::ptr_eq(&self.handle, &other.handle)
            && self.subscription == other.subscription
    }

    fn deliver(
        &self,
        fanout: &mut Fanout<'_>,
        now: Instant,
        into: (&mut Vec<Waker>, &mut Keeping<'_>),
    ) -> Delivered {
        let subscription = &self.subscription;
        let options = DeliveryOptions {
            maximum_qos: subscription.options.maximum_qos,
            retain: subscription.options.retain_as_published && fanout.retain(),
            subscription_identifiers: subscription.identifier.as_slice(),
            shared: true,
            place: None,
        };
        self.handle.deliver(fanout, &options, now, into)
    }

    fn permits(&self, topic: &str) -> bool {
        let Some(permissions) = &self.guard else { return true };
        let (filter, qos) = (&self.subscription.filter, self.subscription.options.maximum_qos);
        permissions.permit_delivery(topic, SubscribeRequest { filter, qos })
    }
}

/// Overlapping subscriptions of one session become one delivery with the highest QoS and all identifiers
/// [MQTT-3.3.4-2, MQTT-3.3.4-3].
fn merge(mut found: Vec<Subscriber>) -> Vec<Target> {
    found.sort_by_key(|subscriber| subscriber.handle.id);
    let mut targets: Vec<Target> = Vec::with_capacity(found.len());
    for subscriber in found {
        let options = &subscriber.subscription.options;
        let identifier = subscriber.subscription.identifier;
        match targets.last_mut() {
            Some(last) if last.handle.id == subscriber.handle.id => {
                last.maximum_qos = last.maximum_qos.max(options.maximum_qos);
                last.retain_as_published |= options.retain_as_published;
                let ids = last.subscription_identifiers.iter().copied();
                last.subscription_identifiers = ids.chain(identifier).collect();
            }
            _ => targets.push(Target {
                maximum_qos: options.maximum_qos,
                retain_as_published: options.retain_as_published,
                subscription_identifiers: identifier.into_iter().collect(),
                handle: subscriber.handle,
            }),
        }
    }
    targets
}

impl Tree {
    fn has(&self, subscriber: &Subscriber) -> bool {
        let known = self.find(subscriber.handle.id, &subscriber.subscription.filter);
        known.is_some_and(|known| known.is_same(subscriber))
    }

    fn find(&self, session_id: u64, filter: &SubscriptionFilter) -> Option<Subscriber> {
        let Some(share) = &filter.share else {
            return match self.trie.get(&filter.filter, &Key::Session(session_id))? {
                Place::Session(subscriber) => Some(subscriber.clone()),
                Place::Group(_) => None,
            };
        };
        let group = self.groups.get(&(share.clone(), filter.filter.clone()))?;
        let members = group.members.read();
        members.iter().find(|member| member.handle.id == session_id).cloned()
    }

    fn insert(&mut self, subscriber: Subscriber) {
        let SubscriptionFilter { share, filter } = subscriber.subscription.filter.clone();
        let session_id = subscriber.handle.id;
        let Some(share) = share else {
            let place = Place::Session(subscriber);
            let old = self.trie.insert(&filter, Key::Session(session_id), place);
            self.subscriptions += u64::from(old.is_none());
            return;
        };
        let Self { trie, groups, last_group, subscriptions } = self;
        let group = groups.entry((share, filter.clone())).or_insert_with(|| {
            *last_group += 1;
            let group = Arc::new(Group {
                id: *last_group,
                members: RwLock::default(),
                next: AtomicUsize::new(0),
                spare: AtomicUsize::new(0),
            });
            trie.insert(&filter, Key::Group(group.id), Place::Group(Arc::clone(&group)));
            group
        });
        let mut members = group.members.write();
        let members = Arc::make_mut(&mut members);
        match members.iter_mut().find(|member| member.handle.id == session_id) {
            Some(member) => *member = subscriber,
            None => {
                members.push(subscriber);
                *subscriptions += 1;
            }
        }
    }

    fn remove(&mut self, session_id: u64, filter: &SubscriptionFilter) -> bool {
        let Some(share) = &filter.share else {
            let removed = self.trie.remove(&filter.filter, &Key::Session(session_id)).is_some();
            self.subscriptions -= u64::from(removed);
            return removed;
        };
        let key = (share.clone(), filter.filter.clone());
        let Some(group) = self.groups.get(&key) else { return false };
        let mut guard = group.members.write();
        let members = Arc::make_mut(&mut guard);
        let before = members.len();
        members.retain(|member| member.handle.id != session_id);
        let removed = members.len() < before;
        let (empty, id) = (members.is_empty(), group.id);
        drop(guard);
        if empty {
            self.trie.remove(&filter.filter, &Key::Group(id));
            self.groups.remove(&key);
        }
        self.subscriptions -= u64::from(removed);
        removed
    }
}

impl Route {
    fn new(targets: Vec<Target>, shared: Vec<Shared>) -> Self {
        let keeps = |handle: &SessionHandle, qos| handle.key.is_some() && qos > QoS::AtMostOnce;
        let members = shared.iter().flat_map(|shared| shared.members.iter());
        let kept = targets.iter().any(|target| keeps(&target.handle, target.maximum_qos))
            || members
                .into_iter()
                .any(|member| keeps(&member.handle, member.subscription.options.maximum_qos));
        Self { targets, shared, kept }
    }

    /// The members of these shared subscriptions, without anybody else.
    pub(crate) fn shared_only(&mut self, of: impl Fn(&SubscriptionFilter) -> bool) {
        self.targets = Vec::new();
        self.shared.retain(|shared| {
            shared.members.first().is_some_and(|member| of(&member.subscription.filter))
        });
    }

    /// Sessions and groups in it.
    pub(crate) fn len(&self) -> usize {
        self.targets.len() + self.shared.len()
    }

    /// Whether nobody is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.shared.is_empty()
    }

    /// Delivers to everybody. Connections that have to be woken join `wakes`: waking them once per batch is what makes
    /// a busy subscriber cheap.
    pub(crate) fn deliver(
        &self,
        fanout: &mut Fanout<'_>,
        now: Instant,
        (wakes, keeping): (&mut Vec<Waker>, &mut Keeping<'_>),
        tally: &mut impl Tally,
    ) {
        for target in &self.targets {
            let options = DeliveryOptions {
                maximum_qos: target.maximum_qos,
                retain: target.retain_as_published && fanout.retain(),
                subscription_identifiers: &target.subscription_identifiers,
                shared: false,
                place: None,
            };
            let delivered = target.handle.deliver(fanout, &options, now, (wakes, keeping));
            tally.count(delivered);
        }
        for shared in &self.shared {
            shared.deliver(fanout, now, (wakes, keeping), tally);
        }
    }

    /// Whether somebody is owed messages of this QoS beyond the end of the process.
    pub(crate) fn is_kept(&self, qos: QoS) -> bool {
        qos > QoS::AtMostOnce && self.kept
    }
}

impl Shared {
    fn of(group: Arc<Group>, topic: &str) -> Self {
        let mut members = Arc::clone(&group.members.read());
        if members.iter().any(|member| member.guard.is_some()) {
            let able = members.iter().filter(|member| member.permits(topic));
            members = Arc::new(able.cloned().collect());
        }
        Self { group, members }
    }

    /// Gives the message to one member: in turn among the connected ones, to one that is away when there is no other.
    /// When one cannot take it, the next is asked; only what became of it in the end is counted.
    fn deliver(
        &self,
        fanout: &mut Fanout<'_>,
        now: Instant,
        (wakes, keeping): (&mut Vec<Waker>, &mut Keeping<'_>),
        tally: &mut impl Tally,
    ) {
        let is_kept = fanout.qos() > QoS::AtMostOnce;
        let (head, tail) = self.members.split_at(self.turn());
        let in_turn = || tail.iter().chain(head);
        let mut last = None;
        let mut takes = |member: &Subscriber| {
            let delivered = member.deliver(fanout, now, (wakes, keeping));
            last = Some(delivered);
            !matches!(delivered, Delivered::Dropped(_) | Delivered::Disconnect)
        };
        let connected = |member: &&Subscriber| member.handle.is_connected();
        let taken = in_turn().filter(connected).any(&mut takes);
        if !taken && is_kept {
            // All of them, not only those who are away: one may have come back meanwhile.
            in_turn().any(takes);
        }
        if let Some(delivered) = last {
            tally.count(delivered);
        }
    }

    /// Whose turn it is. That of a member who is away falls to all others in turn, not always to the one behind.
    fn turn(&self) -> usize {
        let turn = self.group.next.fetch_add(1, Ordering::Relaxed);
        let turn = turn.checked_rem(self.members.len()).unwrap_or(0);
        let is_here = |at: &usize| self.members.get(*at).is_some_and(|m| m.handle.is_connected());
        if is_here(&turn) {
            return turn;
        }
        let here = || (0..self.members.len()).filter(is_here);
        let spare = self.group.spare.fetch_add(1, Ordering::Relaxed);
        spare.checked_rem(here().count()).and_then(|place| here().nth(place)).unwrap_or(turn)
    }
}

#[cfg(test)]
mod tests;
