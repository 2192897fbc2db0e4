//! A member of a shared subscription is gone for good: what it was given and never acknowledged goes to another
//! member (section 4.8.2).
//!
//! QoS 2 messages whose delivery had begun are not among it: nobody else may have those [MQTT-4.8.2-5].

use std::{io, sync::Arc, time::Instant};

use session::{Claim, Fanout, Frames, Message, Session};
use store::{Position, SessionKey, Store, Ticket};
use topic::SubscriptionFilter;

use crate::{broker::Core, counts::Counts, remember::Moment};

/// What an ended session leaves: passes on what others may have, and tells the store that the rest is nobody's.
/// Returns when that is durable, unless messages have to be read for it first.
pub(crate) fn settle(
    core: &Arc<Core>,
    (id, key): (u64, Option<SessionKey>),
    ended: &Session,
) -> Option<Ticket> {
    let undelivered = ended.shared_undelivered();
    let filters: Vec<SubscriptionFilter> = ended
        .subscriptions
        .iter()
        .filter(|subscription| subscription.filter.share.is_some())
        .map(|subscription| subscription.filter.clone())
        .collect();
    let places: Vec<_> = ended.places().map(Position).collect();
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
    // A crash before the end leaves the session where it was: it ends again then.
    tokio::task::spawn_blocking(move || {
        if let Err(error) = heritage.read_and_pass_on(&core, &*store) {
            tracing::error!(event = "store_unreadable", %error,
                "messages of a shared subscription cannot be given to another member");
        }
        forget(&*store, key, &places);
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

/// Messages that are in memory at once.
const MESSAGES_AT_ONCE: usize = 64;

impl Heritage {
    fn pass_on(self, core: &Core) {
        let messages = self.undelivered.iter().filter_map(|(_, message)| message.as_ref());
        for message in messages {
            pass_on(core, message, self.id, &self.filters);
        }
    }

    fn read_and_pass_on(self, core: &Core, store: &dyn Store) -> io::Result<()> {
        let Self { id, undelivered, filters } = self;
        for some in undelivered.chunks(MESSAGES_AT_ONCE) {
            let now = Moment::now();
            for (claim, message) in some {
                let message = match (message, claim) {
                    (Some(message), _) => Some(Arc::clone(message)),
                    (None, Some(claim)) => {
                        let mut read = store.read(&[Position(claim.place)])?;
                        read.pop().flatten().and_then(|stored| now.message(&stored))
                    }
                    (None, None) => None,
                };
                if let Some(message) = message {
                    pass_on(core, &message, id, &filters);
                }
            }
        }
        Ok(())
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
