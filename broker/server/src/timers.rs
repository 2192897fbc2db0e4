//! Delayed Will Messages and the end of sessions whose client is away.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
};

use access::Authenticated;
use parking_lot::Mutex;
use session::WillMessage;
use tokio::sync::Notify;

use crate::{broker::Core, sessions::SessionHandle, will};

/// When to look at which session. An entry may be out of date: whoever looks asks the session.
#[derive(Default)]
pub(crate) struct Timers {
    due: Mutex<BTreeMap<(Instant, u64), Weak<SessionHandle>>>,
    earlier: Notify,
}

impl Timers {
    pub(crate) fn arm(&self, at: Instant, handle: &Arc<SessionHandle>) {
        let mut due = self.due.lock();
        let first = due.keys().next().is_none_or(|(first, _)| at < *first);
        due.insert((at, handle.id), Arc::downgrade(handle));
        drop(due);
        if first {
            self.earlier.notify_one();
        }
    }

    fn first(&self) -> Option<Instant> {
        self.due.lock().keys().next().map(|(at, _)| *at)
    }

    fn take_due(&self, now: Instant) -> Vec<Arc<SessionHandle>> {
        let mut due = self.due.lock();
        let later = due.split_off(&(now, u64::MAX));
        let ready = std::mem::replace(&mut *due, later);
        ready.into_values().filter_map(|handle| handle.upgrade()).collect()
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
            look_at(&core, &handle).await;
        }
    }
}

/// Sends the Will Message and ends the session, as far as either is due and the client has not come back.
async fn look_at(core: &Core, handle: &Arc<SessionHandle>) {
    let Some((will, authenticated)) = settle(core, handle, Instant::now()) else { return };
    // The client is away: its permissions may be old. A failure to learn them is a refusal.
    match core.gate.refresh(&authenticated).await.0 {
        Ok(current) => will::publish(core, &will, current.permissions(), handle.id),
        Err(refusal) => tracing::warn!(
            event = "will_refused",
            client_id = %telemetry::Escaped(&handle.client_id),
            cause = %refusal,
            "will message not sent: permissions unknown"
        ),
    }
}

/// What is due of a session at `now`: ends it, or arms its next timer; returns the Will Message to send.
fn settle(
    core: &Core,
    handle: &Arc<SessionHandle>,
    now: Instant,
) -> Option<(Box<WillMessage>, Arc<Authenticated>)> {
    let mut state = handle.state.lock();
    if state.connection.is_some() || state.ended {
        return None;
    }
    let expired = state.expires.is_some_and(|at| at <= now);
    let will_due = expired || state.will_due.is_some_and(|at| at <= now);
    let will = if will_due { state.will.take() } else { None };
    let authenticated = Arc::clone(&state.facts.authenticated);
    let mut next = state.expires;
    if will_due {
        state.will_due = None;
    } else {
        next = state.will_due.into_iter().chain(next).min();
    }
    state.ended = expired;
    drop(state);
    if expired {
        core.end_session(handle);
    } else if let Some(at) = next {
        core.timers.arm(at, handle);
    }
    will.map(|will| (will, authenticated))
}
