//! Retained messages (section 3.3.1.3): one per topic, within a budget, handed to new subscribers page by page.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use access::{Permissions, SubscribeRequest};
use codec::SubscriptionOptions;
use limits::Sizes;
use parking_lot::RwLock;
use session::{DeliveryOptions, Fanout, Frames, Message, Session};
use store::{Store, StoredMessage, Ticket};
use topic::{RetainedTree, SubscriptionFilter, TopicName};

use crate::{
    broker::unix_now, keeping::Keeping, remember::Moment, router::Tally, sessions::SessionHandle,
};

/// Where the delivery of retained messages for one new subscription stands. Kept with the session, outside its queue:
/// a wildcard over a million topics must not fill it.
pub(crate) struct RetainedCursor {
    pub(crate) filter: SubscriptionFilter,
    pub(crate) options: SubscriptionOptions,
    pub(crate) identifier: Option<u32>,
    /// Deny rules overlap the filter.
    pub(crate) guarded: bool,
    after: Option<TopicName>,
}

impl RetainedCursor {
    pub(crate) fn new(
        filter: SubscriptionFilter,
        options: SubscriptionOptions,
        identifier: Option<u32>,
        guarded: bool,
    ) -> Self {
        Self { filter, options, identifier, guarded, after: None }
    }
}

/// What is kept for a topic.
struct Kept {
    message: Arc<Message>,
    /// Client identifier of the publisher: a subscription with No Local does not get its own
    /// messages back, not even later [MQTT-3.8.3-3].
    publisher: Arc<str>,
}

/// The budget for retained messages is used up: 0x97.
#[derive(Debug)]
pub(crate) struct RetainedFull;

/// All retained messages.
#[derive(Default)]
pub(crate) struct Retained {
    tree: RwLock<RetainedTree<Kept>>,
    bytes: AtomicU64,
    store: Option<Arc<dyn Store>>,
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
        let kept = Kept { message, publisher: retained.publisher.into() };
        self.tree.write().insert(&topic, kept);
    }

    /// Applies a PUBLISH with RETAIN 1: an empty payload removes [MQTT-3.3.1-6], any other replaces
    /// [MQTT-3.3.1-5]. One that does not fit changes nothing: whoever passes it on all the same calls
    /// [`Self::forget`]. The ticket says when it is durable.
    pub(crate) fn apply(
        &self,
        message: &Arc<Message>,
        publisher: &Arc<str>,
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
        Ok(self.store.as_ref().map(|store| store.put_retained(stored(message, publisher))))
    }

    /// Nothing is retained for the topic any more: what was there is out of date.
    pub(crate) fn forget(&self, topic: &str) -> Option<Ticket> {
        let mut tree = self.tree.write();
        let removed = tree.remove(topic)?;
        self.bytes.fetch_sub(removed.message.size_bytes() as u64, Ordering::Relaxed);
        self.store.as_ref().map(|store| store.remove_retained(topic.to_owned()))
    }

    /// Drops what has expired.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut gone = 0;
        self.tree.write().retain(|_, kept| {
            let expired = kept.message.is_expired(now);
            if expired {
                gone += kept.message.size_bytes();
                if let Some(store) = &self.store {
                    store.remove_retained(kept.message.topic().to_string());
                }
            }
            !expired
        });
        self.bytes.fetch_sub(gone as u64, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        self.tree.read().len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The next messages for a cursor; it is moved on, and `true` says that it is at its end.
    pub(crate) fn page(
        &self,
        cursor: &mut RetainedCursor,
        subscriber: &str,
        now: Instant,
    ) -> (Vec<Arc<Message>>, bool) {
        let mut page = Vec::new();
        let next = self.tree.read().page(
            &cursor.filter.filter,
            cursor.after.as_ref(),
            PAGE_MESSAGES,
            PAGE_VISITS,
            &mut |_, kept| {
                let own = cursor.options.no_local && *kept.publisher == *subscriber;
                if !own && !kept.message.is_expired(now) {
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
    let (page, finished) = retained.page(cursor, &handle.client_id, now);
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
            let mut fanout = Fanout::from_message(message, now, &mut frames);
            let mut keeping = Keeping::new(retained.store.as_deref(), None);
            let delivered = keeping.deliver(handle, session, &mut fanout, &options, now);
            if let Some(kept) = keeping.finish() {
                kept.tell_own(session);
            }
            tally.count(delivered, message.qos().min(qos));
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
/// Topics looked at under one lock.
const PAGE_VISITS: usize = 1_024;
