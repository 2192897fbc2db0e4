//! Warm instances of one generation: how many may run, which wait, which are kept. Knows nothing of
//! guests.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use access::PoolInfo;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    engine::INSTANCES_MAX,
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

/// Instances of all pools that wait: the other half of what the engine has is for calls that run.
const IDLE_TOTAL_MAX: usize = INSTANCES_MAX as usize / 2;

/// All pools of a host: they share the instances that the engine can hold.
#[derive(Default)]
pub(crate) struct Pools {
    pools: Mutex<Vec<Weak<Pool>>>,
    idle: AtomicUsize,
}

impl Pools {
    fn add(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Drops every instance that waits: somebody's call needs the place.
    pub(crate) fn free_idle(&self) {
        let pools: Vec<_> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        for pool in pools {
            let idle = std::mem::take(&mut *pool.idle.lock());
            self.idle.fetch_sub(idle.len(), Ordering::Relaxed);
        }
    }
}

/// The pool of one generation.
pub(crate) struct Pool {
    turnstile: Turnstile,
    /// A stack: the warmest on top, so that the surplus grows old and goes.
    idle: Mutex<Vec<Instance>>,
    isolation: Isolation,
    made: AtomicU64,
    memory_peak: AtomicUsize,
    all: Arc<Pools>,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(limits: &Limits, isolation: Isolation, all: &Arc<Pools>) -> Arc<Self> {
        let waiting_max = limits.concurrency * WAITING_PER_PLACE;
        let pool = Arc::new(Self {
            turnstile: Turnstile::new(limits.concurrency, waiting_max, WAIT_MAX),
            idle: Mutex::new(Vec::new()),
            isolation,
            made: AtomicU64::new(0),
            memory_peak: AtomicUsize::new(0),
            all: Arc::clone(all),
        });
        all.add(&pool);
        pool
    }

    /// A place to run in; waits a bounded time, and says how long it had to.
    pub(crate) async fn enter(&self) -> Result<(OwnedSemaphorePermit, Option<Duration>), Full> {
        if let Some(place) = self.turnstile.try_enter() {
            return Ok((place, None));
        }
        let begun = Instant::now();
        let place = self.turnstile.enter().await?;
        Ok((place, Some(begun.elapsed())))
    }

    /// Takes a warm instance out: until it is parked again, it is lost.
    pub(crate) fn take(&self) -> Option<Instance> {
        let instance = self.idle.lock().pop()?;
        self.all.idle.fetch_sub(1, Ordering::Relaxed);
        Some(instance)
    }

    /// Puts an instance back after a call that ended well.
    pub(crate) fn park(&self, mut instance: Instance) {
        let now = Instant::now();
        if self.isolation == Isolation::PerCall || !instance.reusable(now) {
            return;
        }
        instance.parked = now;
        let mut idle = self.idle.lock();
        // One may always stay, so that a busy plugin does not make every other one cold.
        if !idle.is_empty() && self.all.idle.load(Ordering::Relaxed) >= IDLE_TOTAL_MAX {
            return;
        }
        self.all.idle.fetch_add(1, Ordering::Relaxed);
        idle.push(instance);
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
        self.all.idle.fetch_sub(surplus.len(), Ordering::Relaxed);
        // Unmapping memory takes time: not under the lock.
        drop(surplus);
    }

    /// None was warm: one was made for a call.
    pub(crate) fn note_made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// What an instance has after a call, whether it is kept or not.
    pub(crate) fn note_memory(&self, bytes: usize) {
        // Nearly always it is known already: others' cache lines are left alone.
        if bytes > self.memory_peak.load(Ordering::Relaxed) {
            self.memory_peak.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Its numbers of this moment, without what the manifest says.
    pub(crate) fn info(&self) -> PoolInfo {
        PoolInfo {
            in_use: self.turnstile.in_use() as u64,
            idle: self.idle.lock().len() as u64,
            waiting: self.turnstile.waiting() as u64,
            made: self.made.load(Ordering::Relaxed),
            memory_peak_bytes: self.memory_peak.load(Ordering::Relaxed) as u64,
            ..PoolInfo::default()
        }
    }

    /// Instances that wait for a call.
    #[cfg(test)]
    pub(crate) fn idle(&self) -> usize {
        self.idle.lock().len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.all.idle.fetch_sub(self.idle.get_mut().len(), Ordering::Relaxed);
    }
}
