//! A member of a shared subscription is gone for good: what it was given and never acknowledged goes to another
//! member (section 4.8.2).
//!
//! QoS 2 messages whose delivery had begun are not among it: nobody else may have those [MQTT-4.8.2-5].

use std::{collections::HashMap, io, sync::Arc, time::Instant};

use parking_lot::Mutex;
use session::{Claim, Fanout, Frames, Message, Session};
use store::{Position, SessionKey, Store, StoredMessage, Ticket};
use tokio::{sync::oneshot, task::JoinHandle};
use topic::SubscriptionFilter;

use crate::{broker::Core, counts::Counts, remember::Moment};

/// A session that nobody finds any more, and that the store still has: a crash before [`Self::settle`] ends it again.
#[must_use = "the store has it until it is told"]
pub(crate) struct Ended {
    pub(crate) id: u64,
    pub(crate) key: Option<SessionKey>,
    /// As it was.
    pub(crate) session: Session,
}

/// When an ended session cannot come back.
pub(crate) enum Gone {
    /// With this; at once, when the store never knew it.
    With(Option<Ticket>),
    /// That is known once messages were read that others inherit.
    Reading(JoinHandle<Option<Ticket>>),
}

impl Gone {
    /// `None` also when messages cannot be read, which was said: then it ends again at the next start.
    pub(crate) async fn ticket(self) -> Option<Ticket> {
        match self {
            Self::With(ticket) => ticket,
            Self::Reading(reading) => reading.await.unwrap_or_default(),
        }
    }
}

/// Those who wait for the end of a session, by its id.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<HashMap<u64, Vec<oneshot::Sender<Option<Ticket>>>>>);

/// Somebody who waits; dropped, nobody does any more.
pub(crate) struct Awaited<'a> {
    ends: &'a Ends,
    session_id: u64,
    ticket: oneshot::Receiver<Option<Ticket>>,
}

impl Ends {
    /// Asked before it ends.
    pub(crate) fn expect(&self, session_id: u64) -> Awaited<'_> {
        let (sender, ticket) = oneshot::channel();
        self.0.lock().entry(session_id).or_default().push(sender);
        Awaited { ends: self, session_id, ticket }
    }

    fn tell(&self, session_id: u64, ticket: Option<Ticket>) {
        let waiting = self.0.lock().remove(&session_id).unwrap_or_default();
        for sender in waiting {
            // Whoever waited no more misses nothing.
            let _ = sender.send(ticket);
        }
    }
}

impl Awaited<'_> {
    /// With what the session is gone for good, see [`Gone::ticket`].
    pub(crate) async fn ticket(&mut self) -> Option<Ticket> {
        (&mut self.ticket).await.unwrap_or_default()
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.ticket.close();
        let mut ends = self.ends.0.lock();
        if let Some(waiting) = ends.get_mut(&self.session_id) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.is_empty() {
                ends.remove(&self.session_id);
            }
        }
    }
}

impl Ended {
    /// Passes on what others may have of what it leaves, and tells the store that the rest is nobody's.
    pub(crate) fn settle(self, core: &Arc<Core>) -> Gone {
        let (id, gone) = (self.id, self.leave(core));
        if let Gone::With(ticket) = &gone {
            core.ends.tell(id, *ticket);
        }
        gone
    }

    fn leave(mut self, core: &Arc<Core>) -> Gone {
        // What it was done with counts as its claims until the store is told.
        let done = self.session.take_done();
        let undelivered = self.session.shared_undelivered();
        let filters: Vec<SubscriptionFilter> = self
            .session
            .subscriptions
            .iter()
            .filter(|subscription| subscription.filter.share.is_some())
            .map(|subscription| subscription.filter.clone())
            .collect();
        let done = done.iter().map(|claim| claim.place);
        let places: Vec<_> = self.session.places().chain(done).map(Position).collect();
        let kept = self.key.zip(core.store.clone());
        if undelivered.is_empty() || filters.is_empty() {
            return Gone::With(kept.map(|(key, store)| forget(&*store, key, &places)));
        }
        let heritage = Heritage { id: self.id, undelivered, filters };
        if heritage.undelivered.iter().all(|(_, message)| message.is_some()) {
            heritage.pass_on(core);
            return Gone::With(kept.map(|(key, store)| forget(&*store, key, &places)));
        }
        let Some((key, store)) = kept else { return Gone::With(None) };
        let core = Arc::clone(core);
        // A crash before the end, or a failure, leaves the session where it was: it ends again at the next start.
        Gone::Reading(tokio::task::spawn_blocking(move || {
            let id = heritage.id;
            let ticket = match heritage.read_and_pass_on(&core, &*store) {
                Ok(()) => Some(forget(&*store, key, &places)),
                Err(error) => {
                    tracing::error!(event = "store_unreadable", %error,
                        "messages of a shared subscription cannot be given to another member");
                    None
                }
            };
            core.ends.tell(id, ticket);
            ticket
        }))
    }
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
    // Also when the store takes nothing: it was promised, and is not more than what is given back for it.
    let mut counts = Counts::new(&core.metrics, None);
    core.deliver(core.store(), (&route, &mut fanout), now, &mut counts);
}
