//! Retained messages (section 3.3.1.3): one per topic, within a budget, handed to new subscribers page by page.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use access::{Authenticated, NotAuthorized, Permissions, PublishRequest, SubscribeRequest};
use arc_swap::ArcSwapOption;
use codec::{QoS, SubscriptionOptions};
use limits::Sizes;
use parking_lot::RwLock;
use session::{DeliveryOptions, Fanout, Frames, Message, Session, Subscription};
use store::{Store, StoredMessage, Ticket};
use topic::{RetainedTree, SubscriptionFilter, TopicFilter, TopicName};

use crate::{
    broker::unix_now, keeping::Keeping, remember::Moment, router::Tally, sessions::SessionHandle,
};

/// Where the delivery of retained messages for one new subscription stands. Kept with the session, outside its queue:
/// a wildcard over a million topics must not fill it.
pub(crate) struct RetainedCursor {
    filter: SubscriptionFilter,
    options: SubscriptionOptions,
    identifier: Option<u32>,
    /// Deny rules overlap the filter.
    guarded: bool,
    after: Option<TopicName>,
    /// What was delivered is durable with this.
    written: Ticket,
}

impl RetainedCursor {
    pub(crate) fn new(subscription: &Subscription, guarded: bool) -> Self {
        let Subscription { filter, options, identifier, .. } = subscription.clone();
        Self { filter, options, identifier, guarded, after: None, written: Ticket::default() }
    }

    /// A session that outlives the process is owed this also by the next one.
    fn is_promised(&self) -> bool {
        self.options.maximum_qos > QoS::AtMostOnce && !topic::is_of_broker(&self.filter.filter)
    }
}

/// What a session is still owed of retained messages.
#[derive(Default)]
pub(crate) struct RetainedDue {
    cursors: Vec<RetainedCursor>,
    /// Those that came to their end: the store is told once what they delivered is durable.
    over: Vec<(SubscriptionFilter, Ticket)>,
}

impl RetainedDue {
    pub(crate) fn is_empty(&self) -> bool {
        self.cursors.is_empty()
    }

    /// One more, if there is one; in place of one for the same subscription.
    pub(crate) fn extend(&mut self, cursor: Option<RetainedCursor>) {
        if let Some(cursor) = cursor {
            self.forget(&cursor.filter);
            self.cursors.push(cursor);
        }
    }

    /// Whether the next process owes something for this subscription.
    pub(crate) fn promises(&self, filter: &SubscriptionFilter) -> bool {
        let mut due = self.cursors.iter().filter(|cursor| cursor.is_promised());
        due.any(|cursor| cursor.filter == *filter) || self.over.iter().any(|(f, _)| f == filter)
    }

    /// The subscription is over.
    pub(crate) fn forget(&mut self, filter: &SubscriptionFilter) {
        self.cursors.retain(|cursor| cursor.filter != *filter);
        self.over.retain(|(over, _)| over != filter);
    }

    /// Goes on with what flows, and asks for each message.
    pub(crate) fn guard(&mut self, flows: impl Fn(&SubscriptionFilter) -> bool) {
        self.cursors.retain(|cursor| flows(&cursor.filter));
        for cursor in &mut self.cursors {
            cursor.guarded = true;
        }
    }

    pub(crate) fn first_mut(&mut self) -> Option<&mut RetainedCursor> {
        self.cursors.first_mut()
    }

    /// The first is at its end.
    pub(crate) fn finish_first(&mut self) {
        let first = self.cursors.remove(0);
        if first.is_promised() {
            self.over.push((first.filter, first.written));
        }
    }

    /// The next of those that came to their end whose messages are durable.
    pub(crate) fn take_over(&mut self, durable: Ticket) -> Option<SubscriptionFilter> {
        let at = self.over.iter().position(|(_, ticket)| *ticket <= durable)?;
        Some(self.over.swap_remove(at).0)
    }

    /// What the others wait for.
    pub(crate) fn awaited_ticket(&self) -> Option<Ticket> {
        self.over.iter().map(|(_, ticket)| *ticket).min()
    }
}

/// What is kept for a topic.
struct Kept {
    message: Arc<Message>,
    publisher: Arc<Publisher>,
}

/// A message, the Client Identifier of its publisher, and whether it is withheld.
pub(crate) type Listed = (Arc<Message>, Arc<str>, bool);

impl Kept {
    fn listed(&self) -> Listed {
        (Arc::clone(&self.message), Arc::clone(&self.publisher.client_id), self.is_disowned())
    }

    /// Whether its publisher may no longer publish it, as far as is known: what it left is then no longer handed out.
    fn is_disowned(&self) -> bool {
        let Some(rights) = &*self.publisher.rights.load() else { return false };
        let topic = self.message.topic().as_str();
        let request = PublishRequest { topic, qos: self.message.qos(), retain: true };
        match rights.permissions.permit_publish(request) {
            Ok(_) => false,
            Err(NotAuthorized::NoRule) => !rights.plugins_judge,
            Err(_) => true,
        }
    }
}

/// Who published what is retained.
#[derive(Default)]
pub(crate) struct Publisher {
    /// A subscription with No Local does not get its own messages back, not even later [MQTT-3.8.3-3].
    client_id: Arc<str>,
    /// What it may do now; `None` = it was not asked since it published.
    rights: ArcSwapOption<Rights>,
}

/// By client identifier and principal.
type Publishers = HashMap<(Arc<str>, Arc<str>), Weak<Publisher>>;

/// What a client may do. Not the whole [`Authenticated`], which would keep plugins alive that were replaced long ago.
struct Rights {
    permissions: Arc<Permissions>,
    /// Operation authorizers may have permitted what no rule does.
    plugins_judge: bool,
}

/// The budget for retained messages is used up: 0x97.
#[derive(Debug)]
pub(crate) struct RetainedFull;

/// All retained messages.
#[derive(Default)]
pub(crate) struct Retained {
    tree: RwLock<RetainedTree<Kept>>,
    bytes: AtomicU64,
    /// `$SYS/...`, apart from those of clients: outside their limits and counts, and never stored.
    own: RwLock<RetainedTree<Kept>>,
    store: Option<Arc<dyn Store>>,
    /// Clients that something is retained of.
    publishers: RwLock<Publishers>,
}

impl Retained {
    pub(crate) fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store, ..Self::default() }
    }

    /// Puts a message back that an earlier process left, whatever the limits say now.
    pub(crate) fn restore(&self, retained: store::Retained, now: &Moment) {
        let Some(message) = now.message(&retained.message) else { return };
        if message.is_expired(now.instant()) {
            if let Some(store) = &self.store {
                store.remove_retained(message.topic().to_string());
            }
            return;
        }
        self.bytes.fetch_add(message.size_bytes() as u64, Ordering::Relaxed);
        let topic = message.topic().clone();
        // Whose it was, beside the client identifier, is not known any more.
        let publisher = Publisher { client_id: retained.publisher.into(), ..Publisher::default() };
        let kept = Kept { message, publisher: Arc::new(publisher) };
        self.tree.write().insert(&topic, kept);
    }

    /// A client, or a plugin with no principal, of which something is to be retained.
    pub(crate) fn publisher(&self, client_id: &Arc<str>, principal: &Arc<str>) -> Arc<Publisher> {
        let key = (Arc::clone(client_id), Arc::clone(principal));
        let known = self.publishers.read().get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let mut publishers = self.publishers.write();
            if publishers.len() == publishers.capacity() {
                // Those of which nothing is left, before room is made for more.
                publishers.retain(|_, publisher| publisher.strong_count() > 0);
            }
            let client_id = Arc::clone(client_id);
            let publisher = Arc::new(Publisher { client_id, ..Publisher::default() });
            publishers.insert(key, Arc::downgrade(&publisher));
            publisher
        })
    }

    /// What a client may do now; what is retained of it and it might no longer publish is not handed out while that is so.
    /// `None` = that is nobody's business.
    pub(crate) fn judge(
        &self,
        client_id: &Arc<str>,
        principal: &Arc<str>,
        rights: Option<&Arc<Authenticated>>,
    ) {
        let key = (Arc::clone(client_id), Arc::clone(principal));
        let known = self.publishers.read().get(&key).and_then(Weak::upgrade);
        if let Some(publisher) = known {
            publisher.rights.store(rights.map(|rights| {
                let permissions = Arc::clone(rights.permissions());
                Arc::new(Rights { permissions, plugins_judge: !rights.hooks().is_empty() })
            }));
        }
    }

    /// Applies a PUBLISH with RETAIN 1: an empty payload removes [MQTT-3.3.1-6], any other replaces
    /// [MQTT-3.3.1-5]. One that does not fit changes nothing: whoever passes it on all the same calls
    /// [`Self::forget`]. The ticket says when it is durable.
    pub(crate) fn apply(
        &self,
        message: &Arc<Message>,
        publisher: &Arc<Publisher>,
        sizes: &Sizes,
    ) -> Result<Option<Ticket>, RetainedFull> {
        let mut tree = self.tree.write();
        if message.payload().is_empty() {
            drop(tree);
            return Ok(self.forget(message.topic().as_str()));
        }
        let old = tree.get(message.topic().as_str()).map_or(0, |old| old.message.size_bytes());
        let bytes = self.bytes.load(Ordering::Relaxed) - old as u64 + message.size_bytes() as u64;
        let full = old == 0 && tree.len() >= sizes.retained_messages;
        if full || bytes > sizes.retained_bytes as u64 {
            return Err(RetainedFull);
        }
        let kept = Kept { message: Arc::clone(message), publisher: Arc::clone(publisher) };
        tree.insert(message.topic(), kept);
        self.bytes.store(bytes, Ordering::Relaxed);
        // Under the lock: the store has the same order as the tree.
        Ok(self
            .store
            .as_ref()
            .map(|store| store.put_retained(stored(message, &publisher.client_id))))
    }

    /// Nothing is retained for the topic any more: what was there is out of date.
    pub(crate) fn forget(&self, topic: &str) -> Option<Ticket> {
        let mut tree = self.tree.write();
        let Some(removed) = tree.remove(topic) else {
            // Somebody else may have removed it a moment ago.
            return self.store.as_ref().map(|store| store.latest());
        };
        self.bytes.fetch_sub(removed.message.size_bytes() as u64, Ordering::Relaxed);
        self.store.as_ref().map(|store| store.remove_retained(topic.to_owned()))
    }

    /// Keeps a message of the broker itself, whose topic is one of `$SYS/...`.
    pub(crate) fn keep_own(&self, message: &Arc<Message>) {
        let kept = Kept { message: Arc::clone(message), publisher: Arc::default() };
        self.own.write().insert(message.topic(), kept);
    }

    /// Forgets all that the broker itself keeps.
    pub(crate) fn forget_own(&self) {
        *self.own.write() = RetainedTree::default();
    }

    /// Drops what has expired, some topics at a time: others go in between. Meanwhile published anew is not dropped.
    pub(crate) async fn sweep(&self, now: Instant) {
        let mut after = None;
        loop {
            let (expired, next) = self.expired(after.as_ref(), now);
            for topic in expired {
                self.forget_if_expired(&topic, now);
            }
            let Some(next) = next else { return };
            after = Some(next);
            tokio::task::yield_now().await;
        }
    }

    /// The topics among the next ones whose messages have expired, and where to go on.
    fn expired(
        &self,
        after: Option<&TopicName>,
        now: Instant,
    ) -> (Vec<TopicName>, Option<TopicName>) {
        let mut expired = Vec::new();
        let next = self.tree.read().scan(after, SWEEP_VISITS, &mut |topic, kept| {
            if kept.message.is_expired(now) {
                expired.push(topic.clone());
            }
        });
        (expired, next)
    }

    fn forget_if_expired(&self, topic: &str, now: Instant) {
        let mut tree = self.tree.write();
        if tree.get(topic).is_some_and(|kept| kept.message.is_expired(now)) {
            let removed = tree.remove(topic).map_or(0, |kept| kept.message.size_bytes());
            self.bytes.fetch_sub(removed as u64, Ordering::Relaxed);
            if let Some(store) = &self.store {
                store.remove_retained(topic.to_owned());
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tree.read().len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What is kept for a topic, who published it, and whether it is withheld.
    pub(crate) fn find(&self, topic: &str) -> Option<Listed> {
        let tree = if topic::is_of_broker(topic) { &self.own } else { &self.tree };
        tree.read().get(topic).map(Kept::listed)
    }

    /// The next messages that a filter selects, at most so many of so many that are looked at. Returns where to go on.
    pub(crate) fn listed(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        (limit, visits): (usize, usize),
        found: &mut Vec<Listed>,
    ) -> Option<TopicName> {
        let tree = if topic::is_of_broker(filter) { &self.own } else { &self.tree };
        let tree = tree.read();
        tree.page(filter, after, limit, visits, &mut |_, kept| found.push(kept.listed()))
    }

    /// The next topics below `parent`, or behind `after`, in the order of levels. Returns where to go on.
    pub(crate) fn scan(
        &self,
        parent: Option<&str>,
        after: Option<&TopicName>,
        limit: usize,
        f: &mut dyn FnMut(&TopicName),
    ) -> Option<TopicName> {
        let is_own = parent.is_some_and(topic::is_of_broker);
        let tree = if is_own { &self.own } else { &self.tree };
        tree.read().scan(after, limit, &mut |topic, _| f(topic))
    }

    /// Whether there may be something for a cursor.
    pub(crate) fn has_any(&self, cursor: &RetainedCursor) -> bool {
        let filter = &cursor.filter.filter;
        let tree = if topic::is_of_broker(filter) { &self.own } else { &self.tree };
        let mut found = false;
        let next = tree.read().page(filter, None, 1, PAGE_VISITS, &mut |_, _| found = true);
        found || next.is_some()
    }

    /// The next messages for a cursor, at most `limit`; it is moved on, and `true` says that it is at its end.
    pub(crate) fn page(
        &self,
        cursor: &mut RetainedCursor,
        subscriber: &str,
        limit: usize,
        now: Instant,
    ) -> (Vec<Arc<Message>>, bool) {
        let mut page = Vec::new();
        // A filter selects either none of the broker's own topics or no others [MQTT-4.7.2-1].
        let is_own = topic::is_of_broker(&cursor.filter.filter);
        let tree = if is_own { &self.own } else { &self.tree };
        let next = tree.read().page(
            &cursor.filter.filter,
            cursor.after.as_ref(),
            limit,
            PAGE_VISITS,
            &mut |_, kept| {
                let own = cursor.options.no_local && *kept.publisher.client_id == *subscriber;
                if !own && !kept.message.is_expired(now) && !kept.is_disowned() {
                    page.push(Arc::clone(&kept.message));
                }
            },
        );
        let finished = next.is_none();
        cursor.after = next;
        (page, finished)
    }
}

/// Hands the next messages of a cursor to its session, with RETAIN 1, 3.1.1 [MQTT-3.3.1-8], as long as that has room.
/// `true` = the cursor is at its end.
pub(crate) fn deliver_page(
    retained: &Retained,
    (handle, session, permissions): (&Arc<SessionHandle>, &mut Session, &Permissions),
    cursor: &mut RetainedCursor,
    now: Instant,
    tally: &mut impl Tally,
) -> bool {
    let mut frames = Frames::default();
    let qos = cursor.options.maximum_qos;
    let before = cursor.after.clone();
    // What the window has no room for would only be looked up again.
    let room = if qos == QoS::AtMostOnce { PAGE_MESSAGES } else { session.window_room() };
    let limit = room.min(PAGE_MESSAGES);
    let (page, finished) = retained.page(cursor, &handle.client_id, limit, now);
    let mut last = before;
    for message in &page {
        if !session.is_caught_up() {
            cursor.after = last;
            return false;
        }
        let topic = message.topic();
        let filter = &cursor.filter;
        let permitted = !cursor.guarded
            || permissions.permit_delivery(topic.as_str(), SubscribeRequest { filter, qos });
        if permitted {
            let options = DeliveryOptions {
                maximum_qos: qos,
                retain: true,
                subscription_identifiers: cursor.identifier.as_slice(),
                shared: false,
                place: None,
            };
            // What plugins make of it must not stay with what is retained.
            let copy = session
                .is_claimed(topic)
                .then(|| Arc::new(message.with_parts(message.forwarded(), message.payload())));
            let message = copy.as_ref().unwrap_or(message);
            let mut fanout = Fanout::from_message(message, now, &mut frames);
            let mut keeping = Keeping::new(retained.store.as_deref(), None);
            let delivered = keeping.deliver(handle, session, &mut fanout, &options, now);
            if let Some(kept) = keeping.finish() {
                cursor.written = kept.ticket;
                kept.tell_own(session);
            }
            tally.count(delivered);
        }
        last = Some(topic.clone());
    }
    finished
}

fn stored(message: &Message, publisher: &str) -> store::Retained {
    let expiry = message.expiry_left_seconds(Instant::now());
    let message = StoredMessage {
        topic: message.topic().to_string(),
        forwarded: message.forwarded().to_vec(),
        payload: message.payload().to_vec(),
        qos: message.qos(),
        retain: message.retain(),
        expires_at_unix: expiry.map(|seconds| unix_now() + u64::from(seconds)),
    };
    store::Retained { message, publisher: publisher.to_owned() }
}

/// Messages handed over at once.
const PAGE_MESSAGES: usize = 32;
/// Topics looked at under one lock, each at the price of a search at most.
const PAGE_VISITS: usize = 256;
/// Topics looked at under one lock, one after the other.
const SWEEP_VISITS: usize = 1_024;
/// Pages that a connection may be handed in one turn, before others get theirs.
pub(crate) const PAGES_PER_TURN: usize = 16;

#[cfg(test)]
mod tests;
