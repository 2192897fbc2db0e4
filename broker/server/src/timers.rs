//! Delayed Will Messages and the end of sessions whose client is away.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use access::Authenticated;
use parking_lot::Mutex;
use session::WillMessage;
use tokio::sync::Notify;

use crate::{broker::Core, inherit::Ended, sessions::SessionHandle, will};

/// When a session is looked at again for which there was no room.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// When to look at which session: at most one entry each. It may be out of date: whoever looks asks the session.
#[derive(Default)]
pub(crate) struct Timers {
    entries: Mutex<Entries>,
    earlier: Notify,
}

#[derive(Default)]
struct Entries {
    due: BTreeMap<(Instant, u64), Weak<SessionHandle>>,
    by_session: HashMap<u64, Instant>,
}

impl Timers {
    /// Looks at a session then, and no more when it was to be looked at before.
    pub(crate) fn arm(&self, at: Instant, handle: &Arc<SessionHandle>) {
        let mut entries = self.entries.lock();
        let first = entries.due.keys().next().is_none_or(|(first, _)| at < *first);
        entries.remove(handle.id);
        entries.by_session.insert(handle.id, at);
        entries.due.insert((at, handle.id), Arc::downgrade(handle));
        drop(entries);
        if first {
            self.earlier.notify_one();
        }
    }

    /// Forgets an ended session.
    pub(crate) fn disarm(&self, session_id: u64) {
        self.entries.lock().remove(session_id);
    }

    fn first(&self) -> Option<Instant> {
        self.entries.lock().due.keys().next().map(|(at, _)| *at)
    }

    fn take_due(&self, now: Instant) -> Vec<Arc<SessionHandle>> {
        let mut entries = self.entries.lock();
        let later = entries.due.split_off(&(now, u64::MAX));
        let ready = std::mem::replace(&mut entries.due, later);
        for (_, session_id) in ready.keys() {
            entries.by_session.remove(session_id);
        }
        ready.into_values().filter_map(|handle| handle.upgrade()).collect()
    }
}

impl Entries {
    fn remove(&mut self, session_id: u64) {
        if self.by_session.is_empty() {
            return;
        }
        if let Some(at) = self.by_session.remove(&session_id) {
            self.due.remove(&(at, session_id));
        }
    }
}

/// Runs for the life of the broker.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        match core.timers.first() {
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = core.timers.earlier.notified() => {}
                }
            }
            None => core.timers.earlier.notified().await,
        }
        for handle in core.timers.take_due(Instant::now()) {
            look_at(&core, &handle);
        }
    }
}

/// Sends the Will Message and ends the session, as far as either is due and the client has not come back.
pub(crate) fn look_at(core: &Arc<Core>, handle: &Arc<SessionHandle>) {
    let Some(due) = settle(core, handle, Instant::now()) else { return };
    match due.will {
        // The client is away: its permissions may be old. The session goes after its will: a crash must not take both.
        Some(will) => will::ask_and_publish(core, handle, due.authenticated, will, due.ended),
        None => drop(due.ended.map(|ended| ended.settle(core))),
    }
}

/// What is due of a session.
struct Due {
    will: Option<Box<WillMessage>>,
    authenticated: Arc<Authenticated>,
    /// It is over.
    ended: Option<Ended>,
}

/// What is due of a session at `now`; arms its next timer.
fn settle(core: &Arc<Core>, handle: &Arc<SessionHandle>, now: Instant) -> Option<Due> {
    let mut state = handle.state.lock();
    if state.connection.is_some() || state.ended {
        return None;
    }
    let expired = state.expires.is_some_and(|at| at <= now);
    let will_due = expired || state.will_due.is_some_and(|at| at <= now);
    if will_due && handle.stored.is_some() && !core.takes() {
        // What is sent or inherited now would have to be written: for as long as there is no room, no time passes.
        drop(state);
        core.timers.arm(now + LOOK_AGAIN, handle);
        return None;
    }
    let will = if will_due { state.will.take() } else { None };
    let authenticated = Arc::clone(&state.facts.authenticated);
    let mut next = state.expires;
    if will_due {
        state.will_due = None;
    } else {
        next = state.will_due.into_iter().chain(next).min();
    }
    state.ended = expired;
    let outlived = state.facts.session_expiry_interval > 0;
    drop(state);
    let ended = expired.then(|| core.end_session(handle));
    if expired {
        core.metrics.sessions_expired.inc_by(u64::from(outlived));
    } else if let Some(at) = next {
        core.timers.arm(at, handle);
    }
    Some(Due { will, authenticated, ended })
}
