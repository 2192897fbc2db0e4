//! How many handshakes there are at once, of all listeners: those that are computed, and those that wait for their client.
//!
//! A handshake takes a slot when its ClientHello is whole, and gives it back as soon as its client has to answer.
//! Until then, and after that, it waits in a pool with a bound: when one more comes, the oldest goes. So whoever opens
//! connections and says nothing pushes out his own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use limits::HandshakeConfig;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of handshakes.
pub(crate) struct Handshakes {
    slots: Arc<Semaphore>,
    /// Slots that are taken away as soon as they come back.
    owed: Arc<AtomicUsize>,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    most: usize,
    slots: usize,
    last: u64,
    all: BTreeMap<u64, Arc<Notify>>,
}

impl Handshakes {
    pub(crate) fn new(config: &HandshakeConfig) -> Self {
        let all = BTreeMap::new();
        let waiting = Waiting { most: config.waiting, slots: config.in_flight, last: 0, all };
        Self {
            slots: Arc::new(Semaphore::new(config.in_flight)),
            owed: Arc::new(AtomicUsize::new(0)),
            waiting: Mutex::new(waiting),
        }
    }

    /// Other bounds from now on.
    pub(crate) fn set_config(&self, config: &HandshakeConfig) {
        let mut waiting = self.waiting.lock();
        waiting.most = config.waiting;
        let before = std::mem::replace(&mut waiting.slots, config.in_flight);
        if let Some(fewer) = before.checked_sub(config.in_flight) {
            let forgotten = self.slots.forget_permits(fewer);
            self.owed.fetch_add(fewer.saturating_sub(forgotten), Ordering::AcqRel);
        } else {
            let mut more = config.in_flight - before;
            while more > 0 && take_one(&self.owed) {
                more -= 1;
            }
            self.slots.add_permits(more);
        }
    }

    /// A place among those that wait for their client.
    pub(super) fn wait(&self) -> Place<'_> {
        let mut waiting = self.waiting.lock();
        waiting.last += 1;
        let (number, gone) = (waiting.last, Arc::new(Notify::new()));
        waiting.all.insert(number, Arc::clone(&gone));
        while waiting.all.len() > waiting.most {
            let Some((_, oldest)) = waiting.all.pop_first() else { break };
            oldest.notify_one();
        }
        Place { handshakes: self, number, gone }
    }

    /// A slot to compute in, as soon as there is one.
    pub(super) async fn slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        Some(Slot { permit: Some(permit), owed: Arc::clone(&self.owed) })
    }

    /// How many wait.
    #[cfg(test)]
    fn waiting(&self) -> u64 {
        self.waiting.lock().all.len() as u64
    }
}

/// Takes one off a count that is not zero.
fn take_one(count: &AtomicUsize) -> bool {
    let less = |count: usize| count.checked_sub(1);
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
}

/// A handshake that waits for its client.
pub(super) struct Place<'a> {
    handshakes: &'a Handshakes,
    number: u64,
    gone: Arc<Notify>,
}

impl Place<'_> {
    /// Its place was given to another.
    pub(super) async fn lost(&self) {
        self.gone.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.handshakes.waiting.lock().all.remove(&self.number);
    }
}

/// A handshake that is computed.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    owed: Arc<AtomicUsize>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && take_one(&self.owed)
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(in_flight: usize, waiting: usize) -> HandshakeConfig {
        HandshakeConfig { timeout: Duration::from_secs(5), in_flight, waiting }
    }

    #[tokio::test]
    async fn the_oldest_that_waits_goes() {
        let handshakes = Handshakes::new(&config(1, 2));
        let (first, second) = (handshakes.wait(), handshakes.wait());
        let third = handshakes.wait();
        first.lost().await;
        assert_eq!(handshakes.waiting(), 2);
        drop(second);
        let fourth = handshakes.wait();
        tokio::select! {
            biased;
            () = third.lost() => panic!("there is room for two"),
            () = fourth.lost() => panic!("there is room for two"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn slots_follow_the_configuration() {
        let handshakes = Handshakes::new(&config(2, 9));
        let (one, two) = (handshakes.slot().await, handshakes.slot().await);
        handshakes.set_config(&config(1, 9));
        drop(one);
        assert_eq!(handshakes.slots.available_permits(), 0);
        drop(two);
        assert_eq!(handshakes.slots.available_permits(), 1);
        handshakes.set_config(&config(3, 9));
        assert_eq!(handshakes.slots.available_permits(), 3);
    }
}
