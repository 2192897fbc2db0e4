//! A member of a shared subscription is gone for good: what it was given and never acknowledged goes to another
//! member (section 4.8.2).
//!
//! QoS 2 messages whose delivery had begun are not among it: nobody else may have those [MQTT-4.8.2-5].

use std::{io, sync::Arc, time::Instant};

use session::{Claim, Fanout, Frames, Message, Session};
use store::{Position, SessionKey, Store, StoredMessage, Ticket};
use topic::SubscriptionFilter;

use crate::{broker::Core, counts::Counts, remember::Moment};

/// What an ended session leaves: passes on what others may have, and tells the store that the rest is nobody's.
/// Returns when that is durable, unless messages have to be read for it first.
pub(crate) fn settle(
    core: &Arc<Core>,
    (id, key): (u64, Option<SessionKey>),
    ended: &mut Session,
) -> Option<Ticket> {
    // What it was done with counts as its claims until the store is told.
    let done = ended.take_done();
    let undelivered = ended.shared_undelivered();
    let filters: Vec<SubscriptionFilter> = ended
        .subscriptions
        .iter()
        .filter(|subscription| subscription.filter.share.is_some())
        .map(|subscription| subscription.filter.clone())
        .collect();
    let done = done.iter().map(|claim| claim.place);
    let places: Vec<_> = ended.places().chain(done).map(Position).collect();
    let kept = key.zip(core.store.clone());
    if undelivered.is_empty() || filters.is_empty() {
        let (key, store) = kept?;
        return Some(forget(&*store, key, &places));
    }
    let heritage = Heritage { id, undelivered, filters };
    if heritage.undelivered.iter().all(|(_, message)| message.is_some()) {
        heritage.pass_on(core);
        let (key, store) = kept?;
        return Some(forget(&*store, key, &places));
    }
    let core = Arc::clone(core);
    let (key, store) = kept?;
    // A crash before the end, or a failure, leaves the session where it was: it ends again at the next start.
    tokio::task::spawn_blocking(move || match heritage.read_and_pass_on(&core, &*store) {
        Ok(()) => {
            forget(&*store, key, &places);
        }
        Err(error) => tracing::error!(event = "store_unreadable", %error,
            "messages of a shared subscription cannot be given to another member"),
    });
    None
}

fn forget(store: &dyn Store, key: SessionKey, places: &[Position]) -> Ticket {
    let ticket = store.remove_session(key);
    store.abandon(places);
    ticket
}

struct Heritage {
    /// Of the session that ended.
    id: u64,
    undelivered: Vec<(Option<Claim>, Option<Arc<Message>>)>,
    filters: Vec<SubscriptionFilter>,
}

impl Heritage {
    fn pass_on(self, core: &Core) {
        let messages = self.undelivered.iter().filter_map(|(_, message)| message.as_ref());
        for message in messages {
            pass_on(core, message, self.id, &self.filters);
        }
    }

    fn read_and_pass_on(self, core: &Core, store: &dyn Store) -> io::Result<()> {
        let Self { id, undelivered, filters } = self;
        for (claim, message) in undelivered {
            let message = match (message, claim) {
                (Some(message), _) => Some(message),
                (None, Some(claim)) => {
                    let stored = read_once_written(core, store, Position(claim.place))?;
                    Moment::now().message(&stored)
                }
                (None, None) => None,
            };
            if let Some(message) = message {
                pass_on(core, &message, id, &filters);
            }
        }
        Ok(())
    }
}

/// Waits for the disk: what it does not have yet it will have.
fn read_once_written(
    core: &Core,
    store: &dyn Store,
    position: Position,
) -> io::Result<StoredMessage> {
    loop {
        // Asked before: what is not there now is there with the next one.
        let next = Ticket(store.durable().0 + 1);
        if let Some(message) = store.read(&[position])?.pop().flatten() {
            return Ok(message);
        }
        tokio::runtime::Handle::current().block_on(core.durable(next));
    }
}

fn pass_on(core: &Core, message: &Arc<Message>, ended: u64, filters: &[SubscriptionFilter]) {
    let now = Instant::now();
    if message.is_expired(now) {
        return;
    }
    let topic = message.topic().as_str();
    let mut route = core.router.route(topic, ended);
    // The first that matches: it cannot have come by more than one of them as a rule, and must not go out twice.
    let came_by = filters.iter().find(|filter| filter.filter.matches(topic));
    route.shared_only(|filter| Some(filter) == came_by);
    let mut frames = Frames::default();
    let mut fanout = Fanout::from_message(message, now, &mut frames);
    core.deliver(&route, &mut fanout, now, &mut Counts::new(&core.metrics));
}
