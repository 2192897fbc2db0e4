//! Space in the store is given back: what is still owed of its oldest messages is written again at the end, so that
//! the rest can go; see [`store::Store::crowded`].

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use store::{Owed, Position, Store};

use crate::{broker::Core, sessions::SessionHandle};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Messages that are in memory at once.
const MESSAGES_AT_ONCE: usize = 64;

/// Runs for the life of the broker.
pub(crate) async fn run(core: Arc<Core>, store: Arc<dyn Store>) {
    let mut shutdown = core.shutdown.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        if store.check().is_err() {
            // It must not write more when it cannot write at all.
            continue;
        }
        while let Some(below) = store.crowded() {
            let (core, store) = (Arc::clone(&core), Arc::clone(&store));
            let moved = tokio::task::spawn_blocking(move || empty(&core, &*store, below)).await;
            match moved.map_err(io::Error::other).and_then(|moved| moved) {
                Ok(0) => break,
                Ok(messages) => tracing::debug!(messages, "old messages were written again"),
                Err(error) => {
                    tracing::error!(event = "store_unreadable", %error,
                        "old messages cannot be written again: their space is not given back");
                    break;
                }
            }
        }
    }
}

/// Moves every claim on a message below a position; returns how many messages there were.
fn empty(core: &Core, store: &dyn Store, below: Position) -> io::Result<usize> {
    let mut handles = core.sessions.all();
    let mut places = HashSet::new();
    handles.retain(|handle| {
        let state = handle.state.lock();
        let mut old = state.session.places().filter(|place| *place < below.0).peekable();
        let holds = old.peek().is_some();
        places.extend(old);
        holds
    });
    let mut places: Vec<u64> = places.into_iter().collect();
    places.sort_unstable();
    for some in places.chunks(MESSAGES_AT_ONCE) {
        move_messages(store, &handles, some)?;
    }
    Ok(places.len())
}

fn move_messages(
    store: &dyn Store,
    handles: &[Arc<SessionHandle>],
    places: &[u64],
) -> io::Result<()> {
    let mut moved = HashMap::with_capacity(places.len());
    for from in places {
        let message = match store.read(&[Position(*from)]) {
            Ok(mut read) => read.pop().flatten(),
            Err(error) if is_owed(handles, *from) => return Err(error),
            // It was completed meanwhile, and its place given back.
            Err(_) => continue,
        };
        let message = message.ok_or_else(|| io::Error::other("an old message is not written"))?;
        let bytes = message.topic.len() + message.forwarded.len() + message.payload.len();
        let to = store.append_message(&message.as_ref(), None);
        moved.insert(*from, (to, (bytes, message.expires_at_unix)));
    }
    for handle in handles {
        move_claims(store, handle, &moved);
    }
    for (to, size) in moved.into_values() {
        // It was held until here.
        store.append_owed(to, size, &[]);
    }
    Ok(())
}

fn is_owed(handles: &[Arc<SessionHandle>], place: u64) -> bool {
    handles.iter().any(|handle| handle.state.lock().session.places().any(|held| held == place))
}

/// Under the lock of the session: nobody completes a claim while it moves.
fn move_claims(
    store: &dyn Store,
    handle: &SessionHandle,
    moved: &HashMap<u64, (Position, (usize, Option<u64>))>,
) {
    let Some(key) = handle.key else { return };
    let mut state = handle.state.lock();
    // What is done with is not to come back.
    state.settle(Some(store), Some(key));
    let to = |place| moved.get(&place).map(|(to, _)| to.0);
    state.session.move_claims(to, |claim| {
        let Some((to, size)) = moved.get(&claim.from) else { return };
        let waiting = claim.waiting;
        let number = waiting.claim.number.get();
        store.append_moved(
            Position(claim.from),
            *to,
            *size,
            Owed {
                session: key,
                number,
                qos: waiting.qos,
                retain: waiting.retain,
                shared: waiting.shared,
                subscription_identifiers: waiting.subscription_identifiers,
            },
        );
        if claim.received {
            store.receive(key, number);
        }
    });
}
