//! A store whose disk does not always answer: it can hang, and single calls can be held at their beginning.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};

use store::{
    FileStore, KeptSession, KeptSubscription, MessageRef, Origin, Owed, Position, Retained,
    SessionKey, Store, StoredMessage, Ticket, Unavailable, Usage,
};

use crate::WAIT;

/// A store on such a disk.
pub struct Disk {
    store: Arc<FileStore>,
    state: Mutex<State>,
    changed: Condvar,
    /// Wakers that were handed in.
    waits: AtomicU64,
    /// Identifiers that were freed.
    releases: AtomicU64,
}

#[derive(Default)]
struct State {
    /// It hangs: nothing behind this becomes durable.
    hangs_at: Option<Ticket>,
    waiting: Vec<(Ticket, Waker)>,
    held: Option<Call>,
    /// So many are.
    holds: u64,
    /// How often they were let go.
    rounds: u64,
}

/// A call that can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Every message that is appended.
    Append,
    /// The next reading.
    Read,
}

impl Disk {
    pub(crate) fn new(store: Arc<FileStore>) -> Self {
        Self {
            store,
            state: Mutex::default(),
            changed: Condvar::new(),
            waits: AtomicU64::new(0),
            releases: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing becomes durable, and nothing is read.
    pub fn hang(&self) {
        self.state().hangs_at = Some(self.store.durable());
    }

    /// Everything goes on.
    pub fn go_on(&self) {
        let mut state = self.state();
        (state.hangs_at, state.held) = (None, None);
        state.rounds += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        for (ticket, waker) in waiting {
            self.store.wake_when_durable(ticket, &waker);
        }
    }

    /// From now on such calls wait until [`Self::go_on`]. Needs a runtime of several threads.
    pub fn hold(&self, call: Call) {
        self.state().held = Some(call);
    }

    /// Whether somebody is held.
    pub fn holds(&self) -> bool {
        self.state().holds > 0
    }

    /// How often somebody asked to be woken.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::SeqCst)
    }

    /// How many QoS 2 identifiers were freed.
    pub fn releases(&self) -> u64 {
        self.releases.load(Ordering::SeqCst)
    }

    fn pass(&self, call: Call) {
        let mut state = self.state();
        if state.held != Some(call) {
            return;
        }
        if call == Call::Read {
            state.held = None;
        }
        state.holds += 1;
        let rounds = state.rounds;
        drop(state);
        // The other tasks of this thread go on elsewhere.
        tokio::task::block_in_place(|| {
            // Not for ever: a test that failed must be able to end.
            let is_held = |state: &mut State| state.rounds == rounds;
            let waited = self.changed.wait_timeout_while(self.state(), 4 * WAIT, is_held);
            waited.unwrap_or_else(PoisonError::into_inner).0.holds -= 1;
        });
    }
}

impl Store for Disk {
    fn check(&self) -> Result<(), Unavailable> {
        self.store.check()
    }

    fn append_message(&self, message: &MessageRef<'_>, origin: Option<Origin>) -> Position {
        self.pass(Call::Append);
        self.store.append_message(message, origin)
    }

    fn append_owed(&self, position: Position, size: (usize, Option<u64>), owed: &[Owed]) -> Ticket {
        self.store.append_owed(position, size, owed)
    }

    fn append_moved(&self, from: Position, to: Position, size: (usize, Option<u64>), owed: Owed) {
        self.store.append_moved(from, to, size, owed);
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    fn complete(&self, session: SessionKey, done: &[(u64, Position)]) -> Ticket {
        self.store.complete(session, done)
    }

    fn abandon(&self, positions: &[Position]) {
        self.store.abandon(positions);
    }

    fn receive(&self, session: SessionKey, number: u64) -> Ticket {
        self.store.receive(session, number)
    }

    fn release(&self, origin: Origin) -> Ticket {
        self.releases.fetch_add(1, Ordering::SeqCst);
        self.store.release(origin)
    }

    fn new_session(&self) -> SessionKey {
        self.store.new_session()
    }

    fn put_session(&self, key: SessionKey, session: KeptSession) -> Ticket {
        self.store.put_session(key, session)
    }

    fn remove_session(&self, key: SessionKey) -> Ticket {
        self.store.remove_session(key)
    }

    fn put_subscription(&self, key: SessionKey, subscription: KeptSubscription) -> Ticket {
        self.store.put_subscription(key, subscription)
    }

    fn remove_subscription(&self, key: SessionKey, filter: String) -> Ticket {
        self.store.remove_subscription(key, filter)
    }

    fn put_retained(&self, retained: Retained) -> Ticket {
        self.store.put_retained(retained)
    }

    fn remove_retained(&self, topic: String) -> Ticket {
        self.store.remove_retained(topic)
    }

    fn latest(&self) -> Ticket {
        self.store.latest()
    }

    fn durable(&self) -> Ticket {
        self.state().hangs_at.unwrap_or_else(|| self.store.durable())
    }

    fn wake_when_durable(&self, ticket: Ticket, waker: &Waker) {
        self.waits.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state();
        if state.hangs_at.is_some_and(|at| ticket > at) {
            state.waiting.push((ticket, waker.clone()));
            return;
        }
        drop(state);
        self.store.wake_when_durable(ticket, waker);
    }

    fn read(&self, positions: &[Position]) -> io::Result<Vec<Option<StoredMessage>>> {
        self.pass(Call::Read);
        if self.state().hangs_at.is_some() {
            return Ok(vec![None; positions.len()]);
        }
        self.store.read(positions)
    }
}
