//! Warm instances of one generation: how many may run, which wait, which are kept. Knows nothing of
//! guests.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    instance::Instance,
    manifest::{Isolation, Limits},
    turnstile::{Full, Turnstile},
};

/// How long a call waits for a place.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// Callers waiting, per place.
const WAITING_PER_PLACE: usize = 4;
/// Idle time after which all but one instance are dropped.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The pool of one generation.
pub(crate) struct Pool {
    turnstile: Turnstile,
    /// A stack: the warmest on top, so that the surplus grows old and goes.
    idle: Mutex<Vec<Instance>>,
    isolation: Isolation,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(limits: &Limits, isolation: Isolation) -> Self {
        let waiting_max = limits.concurrency * WAITING_PER_PLACE;
        Self {
            turnstile: Turnstile::new(limits.concurrency, waiting_max, WAIT_MAX),
            idle: Mutex::new(Vec::new()),
            isolation,
        }
    }

    /// A place to run in; waits a bounded time.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.turnstile.enter().await
    }

    /// Takes a warm instance out: until it is parked again, it is lost.
    pub(crate) fn take(&self) -> Option<Instance> {
        self.idle.lock().pop()
    }

    /// Puts an instance back after a call that ended well.
    pub(crate) fn park(&self, mut instance: Instance) {
        let now = Instant::now();
        if self.isolation == Isolation::PerCall || !instance.reusable(now) {
            return;
        }
        instance.parked = now;
        self.idle.lock().push(instance);
    }

    /// Drops instances that were not needed for a while; one stays.
    pub(crate) fn trim(&self) {
        let now = Instant::now();
        let surplus: Vec<Instance> = {
            let mut idle = self.idle.lock();
            let keep_from = idle
                .iter()
                .position(|instance| now.duration_since(instance.parked) < IDLE_MAX)
                .unwrap_or_else(|| idle.len().saturating_sub(1));
            idle.drain(..keep_from).collect()
        };
        // Unmapping memory takes time: not under the lock.
        drop(surplus);
    }

    /// Instances that wait for a call.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().len()
    }
}
