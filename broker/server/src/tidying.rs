//! Space in the store is given back: when less than half of the log is owed to anybody, what is owed of its oldest files is
//! written again at the end, so that they can go.
//!
//! What is owed is known to the sessions alone. They are asked when the log has grown so much that it could be worth it, and
//! once in a minute.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use store::{MessageRef, Owed, Position, Store, Usage};

use crate::{broker::Core, sessions::SessionHandle};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many times the sessions are asked although the log has not grown.
const IDLE_MAX: u32 = 60;
/// Messages that are moved at once.
const MESSAGES_AT_ONCE: usize = 4_096;
/// Files that the log may have beside what is owed.
const FILES_FREE: u64 = 4;
/// What a message takes beside its bytes at most, and each claim on it: their records.
const MESSAGE_BYTES: u64 = 100;
const CLAIM_BYTES: u64 = 40;

/// Runs for the life of the broker.
pub(crate) async fn run(core: Arc<Core>, store: Arc<dyn Store>) {
    let mut shutdown = core.shutdown.subscribe();
    let tidying = Arc::new(Mutex::new(Tidying { worth_a_look: 0, idle: 0 }));
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = shutdown.wait_for(|down| *down) => return,
        }
        let (core, store, tidying) = (Arc::clone(&core), Arc::clone(&store), Arc::clone(&tidying));
        let looked = tokio::task::spawn_blocking(move || tidying.lock().look(&core, &*store)).await;
        match looked.map_err(io::Error::other).and_then(|moved| moved) {
            Ok(0) => {}
            Ok(messages) => tracing::debug!(messages, "old messages were written again"),
            Err(error) => tracing::error!(event = "store_unreadable", %error,
                "old messages cannot be written again: their space is not given back"),
        }
    }
}

struct Tidying {
    /// Bytes of the log from which on it is worth to ask the sessions.
    worth_a_look: u64,
    /// How often they were not asked since the last time.
    idle: u32,
}

impl Tidying {
    /// Empties the oldest files, if that pays; returns how many messages were moved.
    fn look(&mut self, core: &Core, store: &dyn Store) -> io::Result<usize> {
        let usage = store.usage();
        let most = match self.idle {
            ..IDLE_MAX => self.worth_a_look,
            // They may have let go of much since.
            _ => FILES_FREE * usage.file_bytes,
        };
        if usage.log_bytes < most {
            self.idle = self.idle.saturating_add(1);
            return Ok(0);
        }
        self.idle = 0;
        let handles = core.sessions.all();
        let owed = bytes_owed(&handles, &usage.files);
        let enough = enough(owed.iter().sum(), &usage);
        if usage.log_bytes < enough {
            // Not at each message from here on, also where nearly enough is owed.
            self.worth_a_look = enough.max(usage.log_bytes + usage.file_bytes);
            return Ok(0);
        }
        match end(&usage, &owed, enough, store.check().is_ok()) {
            Some(end) => Old::below(end, handles).move_all(store),
            None => Ok(0),
        }
    }
}

/// Bytes of the log that are enough for so many bytes that are owed.
fn enough(owed: u64, usage: &Usage) -> u64 {
    owed.saturating_mul(2).saturating_add(FILES_FREE * usage.file_bytes)
}

/// Up to where files are to be emptied: as far as it takes, and as far as what is owed of them is little. They go only after
/// that was written: without room for more than is set aside for such things, not even the first when much of it is owed.
fn end(usage: &Usage, owed: &[u64], enough: u64, has_room: bool) -> Option<Position> {
    let first = usage.files.first()?;
    let (mut end, mut moved) = (None, 0);
    for (next, bytes) in usage.files.iter().skip(1).zip(owed) {
        moved += bytes;
        if moved > usage.file_bytes / 2 && (end.is_some() || !has_room) {
            break;
        }
        end = Some(*next);
        if usage.log_bytes - (next.0 - first.0) + moved < enough {
            break;
        }
    }
    end
}

/// Bytes that it takes to write again what is owed, by the files in which it lies.
fn bytes_owed(handles: &[Arc<SessionHandle>], files: &[Position]) -> Vec<u64> {
    let mut messages: HashMap<u64, u64> = HashMap::new();
    let mut owed = vec![0; files.len()];
    for handle in handles {
        let state = handle.state.lock();
        for (place, bytes) in state.session.claims() {
            let bytes = bytes.map_or(0, |bytes| bytes as u64);
            // A message takes its bytes once, if anybody wants it.
            let more = match messages.entry(place) {
                Entry::Vacant(vacant) => *vacant.insert(bytes) + MESSAGE_BYTES,
                Entry::Occupied(mut known) => {
                    let more = bytes.saturating_sub(*known.get());
                    *known.get_mut() += more;
                    more
                }
            };
            let file = files.partition_point(|first| first.0 <= place).saturating_sub(1);
            if let Some(owed) = owed.get_mut(file) {
                *owed += more + CLAIM_BYTES;
            }
        }
    }
    owed
}

/// Messages in the oldest files, and whose they are.
struct Old {
    handles: Vec<Arc<SessionHandle>>,
    messages: BTreeMap<u64, OldMessage>,
}

#[derive(Default)]
struct OldMessage {
    /// By their place in `handles`.
    holders: Vec<usize>,
    /// Somebody may still be sent it.
    wanted: bool,
}

impl Old {
    fn below(end: Position, handles: Vec<Arc<SessionHandle>>) -> Self {
        let mut messages: BTreeMap<u64, OldMessage> = BTreeMap::new();
        for (holder, handle) in handles.iter().enumerate() {
            let state = handle.state.lock();
            for (place, bytes) in state.session.claims().filter(|(place, _)| *place < end.0) {
                let old = messages.entry(place).or_default();
                old.holders.push(holder);
                old.wanted |= bytes.is_some();
            }
        }
        Self { handles, messages }
    }

    /// Moves every claim on them; returns how many messages there were.
    fn move_all(&self, store: &dyn Store) -> io::Result<usize> {
        let messages: Vec<_> = self.messages.iter().collect();
        for some in messages.chunks(MESSAGES_AT_ONCE) {
            self.move_some(store, some)?;
        }
        Ok(messages.len())
    }

    fn move_some(&self, store: &dyn Store, some: &[(&u64, &OldMessage)]) -> io::Result<()> {
        let mut moved = HashMap::with_capacity(some.len());
        let mut holders: Vec<usize> = Vec::new();
        for (from, old) in some {
            let message = match store.read(&[Position(**from)]) {
                Ok(mut read) => read.pop().flatten(),
                Err(error) if self.is_owed(old, **from) => return Err(error),
                // It was completed meanwhile, and its place given back.
                Err(_) => continue,
            };
            let message =
                message.ok_or_else(|| io::Error::other("an old message is not written"))?;
            let bytes = message.topic.len() + message.forwarded.len() + message.payload.len();
            let whole = message.as_ref();
            // Nobody asks again what the message was of which the client only owes PUBCOMP.
            let rest = MessageRef { forwarded: &[], payload: &[], ..whole };
            let to = store.append_message(if old.wanted { &whole } else { &rest }, None);
            moved.insert(**from, (to, (bytes, message.expires_at_unix)));
            holders.extend(&old.holders);
        }
        holders.sort_unstable();
        holders.dedup();
        for handle in holders.into_iter().filter_map(|holder| self.handles.get(holder)) {
            move_claims(store, handle, &moved);
        }
        for (to, size) in moved.into_values() {
            // It was held until here.
            store.append_owed(to, size, &[]);
        }
        Ok(())
    }

    fn is_owed(&self, old: &OldMessage, place: u64) -> bool {
        let mut holders = old.holders.iter().filter_map(|holder| self.handles.get(*holder));
        holders.any(|handle| handle.state.lock().session.places().any(|held| held == place))
    }
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
