//! Every session by client identifier, with or without a connection; takeover.
//!
//! Locks: a shard of the map, then a session's state ([`Sessions::open`], [`Sessions::remove`]); or a
//! session's routing or what it is passing on, then states or the router, one after the other. The count of sessions and
//! their order are locked for a moment within either, and the store is called within any: what is written of a session
//! has the order of what happened to it. Nothing else holds two.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::Instant,
};

use access::{Authenticated, Permissions};
use codec::{Connect, ReasonCode};
use dashmap::{DashMap, Entry};
use parking_lot::{Mutex, MutexGuard};
use session::{
    Attachment, Delivered, DeliveryOptions, Fanout, OutboundClaims, Session, SessionLimits,
    WillMessage,
};
use store::{Position, SessionKey, Store, Ticket};
use tokio::sync::Notify;

use crate::{
    broker::Core,
    keeping::Keeping,
    ordered::Ordered,
    remember::{kept_subscription, remember},
    retained::RetainedDue,
};

/// A session that many tasks hold.
pub(crate) struct SessionHandle {
    /// Never reused.
    pub(crate) id: u64,
    pub(crate) client_id: Arc<str>,
    /// What the store knows it by, when it outlives the process.
    pub(crate) key: Option<SessionKey>,
    /// The same, also when the store has nothing of it but that it is there with a Will Message: a crash must not
    /// swallow that.
    pub(crate) stored: Option<SessionKey>,
    /// The session belongs to this principal; nobody else resumes it or takes it over.
    pub(crate) principal: Arc<str>,
    /// Held by whoever changes the session's subscriptions or their place in the router, from the
    /// first look at the state to the last change of the router: so the router never holds what an
    /// older permission or a connection that was taken over had to say.
    pub(crate) routing: Mutex<()>,
    /// Held while a QoS 2 message of the client is passed on. Who takes the session over meanwhile is
    /// sent the same again, and must not say that it is accepted before it is.
    pub(crate) passing_on: Mutex<()>,
    /// Whether a connection has it, for those who need not lock to know.
    connected: AtomicBool,
    pub(crate) state: Mutex<State>,
}

/// What the lock of a session guards.
pub(crate) struct State {
    pub(crate) session: Session,
    pub(crate) connection: Option<ConnectionSlot>,
    /// Set once: the session is over, and whoever still holds it must not use it.
    pub(crate) ended: bool,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) will: Option<Box<WillMessage>>,
    /// Retained messages still to be sent for new subscriptions.
    pub(crate) retained: RetainedDue,
    /// When the delayed Will Message is due; only while no connection is there.
    pub(crate) will_due: Option<Instant>,
    /// When the session ends; only while no connection is there.
    pub(crate) expires: Option<Instant>,
    pub(crate) facts: Box<Facts>,
}

/// The connection that has the session now.
pub(crate) struct ConnectionSlot {
    pub(crate) connection_id: u64,
    pub(crate) waker: Option<Waker>,
    /// It was woken and has not looked yet: no need to wake it again.
    pub(crate) wake_pending: bool,
    /// It must end with this code.
    pub(crate) close: Option<ReasonCode>,
}

impl ConnectionSlot {
    /// A connection that nobody has woken yet.
    fn of(connection_id: u64) -> Self {
        Self { connection_id, waker: None, wake_pending: false, close: None }
    }
}

/// What the admin API shows of a client.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) authenticated: Arc<Authenticated>,
    pub(crate) username: Option<String>,
    pub(crate) listener: Arc<str>,
    pub(crate) remote: std::net::SocketAddr,
    pub(crate) protocol: codec::ProtocolVersion,
    pub(crate) keep_alive_seconds: u16,
    pub(crate) clean_start: bool,
    /// Session Expiry Interval in force.
    pub(crate) session_expiry_interval: u32,
    /// What CONNECT asked for: DISCONNECT may not turn a zero there into something else.
    pub(crate) session_expiry_requested: u32,
    pub(crate) since_unix: u64,
}

/// Everything [`Sessions::open`] needs.
pub(crate) struct Open<'a> {
    pub(crate) connection_id: u64,
    pub(crate) connect: &'a Connect,
    pub(crate) authenticated: &'a Arc<Authenticated>,
    pub(crate) limits: SessionLimits,
    pub(crate) sizes: &'a limits::Sizes,
    pub(crate) store: Option<&'a dyn Store>,
    pub(crate) will: Option<Box<WillMessage>>,
    pub(crate) facts: Facts,
}

/// A session that a connection now has.
pub(crate) struct Opened {
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) session_present: bool,
    /// Will Message of the connection that was taken over, due now.
    pub(crate) old_will: Option<Box<WillMessage>>,
    /// A session that ended because of Clean Start: its subscriptions must leave the router.
    pub(crate) replaced: Option<Arc<SessionHandle>>,
    /// A connection that was open had it.
    pub(crate) taken_over: bool,
    /// It is written down with this.
    pub(crate) ticket: Option<Ticket>,
}

/// Why there is no session for a client.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It belongs to another principal.
    Foreign,
    /// There are as many as there may be.
    Full(limits::SizeExceeded),
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    by_client: DashMap<Arc<str>, Arc<SessionHandle>>,
    ordered: Ordered,
    /// Notified when a session is gone.
    ended: Notify,
    last_id: AtomicU64,
    count: Mutex<limits::SessionCount>,
}

impl Sessions {
    /// Resumes, takes over or makes the session of a client, in one step per client identifier.
    pub(crate) fn open(&self, open: Open<'_>) -> Result<Opened, NotOpened> {
        let client_id = Arc::clone(&open.authenticated.subject().client_id);
        match self.by_client.entry(client_id) {
            Entry::Vacant(vacant) => {
                let principal = &open.authenticated.identity().principal;
                self.count.lock().begin(principal, open.sizes).map_err(NotOpened::Full)?;
                let (handle, ticket) = self.make(open);
                self.ordered.insert(&handle);
                vacant.insert(Arc::clone(&handle));
                let (old_will, replaced) = (None, None);
                let (session_present, taken_over) = (false, false);
                Ok(Opened { handle, session_present, old_will, replaced, taken_over, ticket })
            }
            Entry::Occupied(mut occupied) => {
                let old = Arc::clone(occupied.get());
                if old.principal != open.authenticated.identity().principal {
                    return Err(NotOpened::Foreign);
                }
                let mut state = old.state.lock();
                let taken_over = state.connection.is_some();
                let resumes = !open.connect.clean_start && state.can_resume();
                let old_will = state.will_at_takeover(resumes);
                state.evict();
                old.set_connected(resumes);
                if resumes {
                    // Nothing flows before it was judged by the new permissions: see `resume`.
                    let store = open.store;
                    state.take(open);
                    let ticket = remember(store, &old, &state);
                    drop(state);
                    let (session_present, replaced) = (true, None);
                    return Ok(Opened {
                        handle: old,
                        session_present,
                        old_will,
                        replaced,
                        taken_over,
                        ticket,
                    });
                }
                state.ended = true;
                drop(state);
                let (handle, ticket) = self.make(open);
                self.ordered.insert(&handle);
                occupied.insert(Arc::clone(&handle));
                let (session_present, replaced) = (false, Some(old));
                Ok(Opened { handle, session_present, old_will, replaced, taken_over, ticket })
            }
        }
    }

    /// A new session; it is kept when it is to outlive its connection and there is a store.
    fn make(&self, open: Open<'_>) -> (Arc<SessionHandle>, Option<Ticket>) {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let store = open.store.filter(|_| open.facts.session_expiry_interval > 0);
        let mut state = State {
            session: Session::new(open.limits, false),
            connection: Some(ConnectionSlot::of(open.connection_id)),
            ended: false,
            permissions: Arc::clone(open.authenticated.permissions()),
            will: open.will,
            retained: RetainedDue::default(),
            will_due: None,
            expires: None,
            facts: Box::new(open.facts),
        };
        state.attach(open.connect, open.limits);
        let client_id = Arc::clone(&open.authenticated.subject().client_id);
        let principal = Arc::clone(&open.authenticated.identity().principal);
        let key = store.map(|store| {
            state.session.keep();
            store.new_session()
        });
        // Whose session ends with the connection is let in without room, too.
        let has_room = |store: &&dyn Store| state.will.is_some() && store.check().is_ok();
        let of_will = || open.store.filter(has_room).map(Store::new_session);
        let stored = key.or_else(of_will);
        let handle = Arc::new(SessionHandle {
            id,
            client_id,
            key,
            stored,
            principal,
            routing: Mutex::new(()),
            passing_on: Mutex::new(()),
            connected: AtomicBool::new(true),
            state: Mutex::new(state),
        });
        let ticket = remember(open.store, &handle, &handle.state.lock());
        (handle, ticket)
    }

    /// Puts a session back that an earlier process left. `false` = there is one with its client
    /// identifier, and this one must end.
    pub(crate) fn restore(
        &self,
        key: SessionKey,
        client_id: &Arc<str>,
        state: State,
    ) -> (Arc<SessionHandle>, bool) {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let principal = Arc::clone(&state.facts.authenticated.identity().principal);
        let handle = Arc::new(SessionHandle {
            id,
            client_id: Arc::clone(client_id),
            key: Some(key),
            stored: Some(key),
            principal: Arc::clone(&principal),
            routing: Mutex::new(()),
            passing_on: Mutex::new(()),
            connected: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        match self.by_client.entry(Arc::clone(client_id)) {
            Entry::Occupied(_) => (handle, false),
            Entry::Vacant(vacant) => {
                self.ordered.insert(&handle);
                vacant.insert(Arc::clone(&handle));
                self.count.lock().restore(&principal);
                (handle, true)
            }
        }
    }

    /// Takes an ended session out of the map, unless another stands in its place.
    pub(crate) fn remove(&self, handle: &SessionHandle) {
        let is_it = |_: &Arc<str>, current: &Arc<SessionHandle>| current.id == handle.id;
        if self.by_client.remove_if(&handle.client_id, is_it).is_some() {
            self.count.lock().ended(&handle.principal);
            self.ordered.remove(handle);
        }
        self.ended.notify_waiters();
    }

    /// Waits until nobody finds this session any more.
    pub(crate) async fn gone(&self, handle: &SessionHandle) {
        loop {
            let ended = self.ended.notified();
            if self.get(&handle.client_id).is_none_or(|current| current.id != handle.id) {
                return;
            }
            ended.await;
        }
    }

    /// In the order of their client identifiers.
    pub(crate) fn ordered(&self) -> &Ordered {
        &self.ordered
    }

    pub(crate) fn get(&self, client_id: &str) -> Option<Arc<SessionHandle>> {
        self.by_client.get(client_id).map(|entry| Arc::clone(entry.value()))
    }

    pub(crate) fn all(&self) -> Vec<Arc<SessionHandle>> {
        self.by_client.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }
}

impl State {
    /// The connection of `open` has the session from now on.
    fn take(&mut self, open: Open<'_>) {
        self.connection = Some(ConnectionSlot::of(open.connection_id));
        self.permissions = Arc::clone(open.authenticated.permissions());
        self.will = open.will;
        self.will_due = None;
        self.expires = None;
        *self.facts = open.facts;
    }

    /// Lets go of everything that an ended session was owed: routes that publishers remember keep
    /// it alive for a while. Returns the session as it was: its subscriptions are to leave the router.
    pub(crate) fn discard(&mut self) -> Session {
        self.ended = true;
        self.retained = RetainedDue::default();
        self.permissions = Arc::default();
        self.session.discard()
    }

    /// Messages flow to the connection from now on.
    fn attach(&mut self, connect: &Connect, limits: SessionLimits) {
        self.session.attach(&Attachment::from(connect), limits);
        self.claim_outbound();
        self.session.set_persistent(self.facts.session_expiry_interval > 0);
    }

    /// What outbound transforms of the client's chain work on.
    fn claim_outbound(&mut self) {
        let topics = self.facts.authenticated.hooks().outbound_topics();
        self.session.set_outbound_claims(OutboundClaims::new(topics));
    }

    /// Whether there is something to go on with.
    fn can_resume(&self) -> bool {
        let expired = self.expires.is_some_and(|at| at <= Instant::now());
        !self.ended && !expired && self.session.is_persistent()
    }

    /// The Will Message that a takeover sends: that of a connection or a delayed one, unless its delay was there to
    /// bridge just this return [MQTT-3.1.3-9].
    fn will_at_takeover(&mut self, resumes: bool) -> Option<Box<WillMessage>> {
        self.will.take().filter(|will| !resumes || will.delay.is_zero())
    }

    /// Takes the session from its connection. The connection finds itself replaced when it looks (see
    /// `Connection::sync`) and ends with 0x8E (Session taken over).
    fn evict(&mut self) {
        self.session.detach();
        if let Some(waker) = self.connection.take().and_then(|slot| slot.waker) {
            waker.wake();
        }
    }

    /// Tells the store what it need not keep for the session any more.
    pub(crate) fn settle(&mut self, store: Option<&dyn Store>, key: Option<SessionKey>) {
        let (Some(store), Some(key)) = (store, key) else { return };
        self.session.note_given_up(|number| store.receive(key, number).0);
        while let Some(filter) = self.retained.take_over(store.durable()) {
            if let Some(subscription) = self.session.subscriptions.get(&filter) {
                store.put_subscription(key, kept_subscription(subscription, false));
            }
        }
        let done = self.session.take_done();
        if !done.is_empty() {
            let done: Vec<_> = done.iter().map(|c| (c.number.get(), Position(c.place))).collect();
            store.complete(key, &done);
        }
    }

    /// The waker of the connection if it has to be woken to see what changed.
    pub(crate) fn wake(&mut self) -> Option<Waker> {
        let slot = self.connection.as_mut()?;
        if slot.wake_pending {
            return None;
        }
        slot.wake_pending = true;
        slot.waker.clone()
    }
}

impl SessionHandle {
    /// The state, if this connection has the session; every packet of a client goes through here, so
    /// that nothing of a connection that was taken over reaches the session of its successor.
    pub(crate) fn own(&self, connection_id: u64) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        let slot = state.connection.as_ref();
        let ours = slot.is_some_and(|slot| slot.connection_id == connection_id);
        ours.then_some(state)
    }

    /// Lets a resumed session flow, once it is judged. Returns how many messages were dropped
    /// because they had expired.
    pub(crate) fn resume(
        &self,
        connection_id: u64,
        connect: &Connect,
        limits: SessionLimits,
    ) -> usize {
        let Some(mut state) = self.own(connection_id) else {
            return 0;
        };
        state.attach(connect, limits);
        state.session.pump(Instant::now())
    }

    /// Delivers a message; the connection, if it must be woken for it, joins `wakes`.
    pub(crate) fn deliver(
        self: &Arc<Self>,
        fanout: &mut Fanout<'_>,
        options: &DeliveryOptions<'_>,
        now: Instant,
        (wakes, keeping): (&mut Vec<Waker>, &mut Keeping<'_>),
    ) -> Delivered {
        let mut state = self.state.lock();
        if state.ended {
            return Delivered::Dropped(session::DropReason::NotConnected);
        }
        let delivered = keeping.deliver(self, &mut state.session, fanout, options, now);
        if let (Some(_), Some(store)) = (self.key, keeping.store()) {
            if state.connection.is_none() {
                // No connection looks what became durable: the list of what is not must not grow.
                state.session.durable(store.durable().0);
            }
            // Messages that expired or had to give way.
            state.settle(Some(store), self.key);
        }
        if delivered == Delivered::Disconnect
            && let Some(slot) = &mut state.connection
        {
            slot.close = Some(ReasonCode::QuotaExceeded);
        }
        let wakes_it = matches!(delivered, Delivered::Sent | Delivered::Disconnect);
        if wakes_it || state.session.may_have_untransformed() {
            wakes.extend(state.wake());
        }
        delivered
    }

    /// Writes down what is to be known of the session as it is now.
    pub(crate) fn remember(&self, core: &Core) {
        if self.stored.is_some() {
            remember(core.store(), self, &self.state.lock());
        }
    }

    /// What its connection proved, and may do, as far as the session is still that connection's.
    pub(crate) fn set_authenticated(&self, connection_id: u64, authenticated: &Arc<Authenticated>) {
        if let Some(mut state) = self.own(connection_id) {
            state.permissions = Arc::clone(authenticated.permissions());
            state.facts.authenticated = Arc::clone(authenticated);
            state.claim_outbound();
        }
    }

    /// Ends this connection with this code, if the session is still its own.
    pub(crate) fn close_connection(&self, connection_id: u64, code: ReasonCode) {
        if let Some(state) = self.own(connection_id) {
            Self::close_locked(state, code);
        }
    }

    /// Ends the connection with this code; `false` = there is none.
    pub(crate) fn close(&self, code: ReasonCode) -> bool {
        Self::close_locked(self.state.lock(), code)
    }

    fn close_locked(mut state: MutexGuard<'_, State>, code: ReasonCode) -> bool {
        let Some(slot) = &mut state.connection else { return false };
        slot.close = Some(code);
        let waker = slot.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Makes the connection look at what changed around it.
    pub(crate) fn poke(&self) {
        let waker = self.state.lock().wake();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Said under the lock of the state, wherever its connection changes.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }
}

#[cfg(test)]
mod tests;
