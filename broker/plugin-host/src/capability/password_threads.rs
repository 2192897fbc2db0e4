//! Where passwords are verified: as many at once as there are cores and memory for, bounded queues,
//! and the admission before a call.
//!
//! A reconnect storm must not fail calls because others' passwords are being computed, so logins
//! through plugins that verify passwords are admitted first and their deadline starts only then.
//! Queues are per generation: a guest that verifies without end makes only its own callers wait.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

use super::password_hash::{HashError, KIB_MAX, StoredHash};
use crate::{
    breaker::Client,
    fair_turnstile::FairTurnstile,
    turnstile::{Full, Turnstile},
};

/// Verifications that wait.
const QUEUE_MAX: usize = 256;
/// Logins that wait: a whole fleet that comes back at once is not turned away.
const LOGINS_MAX: usize = 16_384;
/// Longest wait of a login. Who has gone by then does not wait any more: `server` sees to that.
const LOGIN_WAIT_MAX: Duration = Duration::from_secs(180);
/// Longest wait of one verification for a core; its call's deadline may be shorter.
const CORE_WAIT_MAX: Duration = Duration::from_secs(30);
/// What `portcullis passwd` writes fills this much; every core may.
const KIB_PER_CORE: usize = 19_456;

/// Shared by all plugins of a host.
#[derive(Debug)]
pub(crate) struct PasswordThreads {
    places: usize,
    cores: Turnstile,
    /// KiB that verifications may fill, all together.
    memory: Arc<Semaphore>,
    /// Generations that verify passwords.
    shares: AtomicUsize,
}

/// Why no verdict came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VerifyError {
    /// The stored hash is not used.
    Hash(HashError),
    /// The queue is full.
    Busy,
    /// The call's deadline passed.
    Deadline,
}

impl PasswordThreads {
    pub(crate) fn new() -> Self {
        Self::with_places(std::thread::available_parallelism().map_or(2, NonZeroUsize::get))
    }

    fn with_places(places: usize) -> Self {
        Self {
            places,
            cores: Turnstile::new(places, QUEUE_MAX, CORE_WAIT_MAX),
            memory: Arc::new(Semaphore::new((places * KIB_PER_CORE).max(KIB_MAX as usize))),
            shares: AtomicUsize::new(0),
        }
    }

    /// The part of one generation.
    pub(crate) fn share(self: &Arc<Self>) -> PasswordShare {
        self.shares.fetch_add(1, Ordering::Relaxed);
        PasswordShare {
            admission: FairTurnstile::new(self.places, LOGINS_MAX, LOGIN_WAIT_MAX),
            verifying: Turnstile::new(self.places, QUEUE_MAX, CORE_WAIT_MAX),
            threads: Arc::clone(self),
        }
    }
}

/// What one generation may have of the threads: all of them while nobody else verifies passwords,
/// else half.
#[derive(Debug)]
pub(crate) struct PasswordShare {
    threads: Arc<PasswordThreads>,
    admission: FairTurnstile,
    verifying: Turnstile,
}

impl PasswordShare {
    /// Before a login through a plugin that verifies passwords, in turns by the client's address; held
    /// until the call ends.
    pub(crate) async fn admit(&self, client: Option<Client>) -> Result<OwnedSemaphorePermit, Full> {
        self.admission.enter(client, self.weight()).await
    }

    /// The same without a wait.
    #[cfg(test)]
    pub(crate) fn admit_at_once(&self) -> Option<OwnedSemaphorePermit> {
        self.admission.enter_at_once(self.weight())
    }

    /// Verifies on a thread of its own. `deadline` is that of the call.
    pub(crate) async fn verify(
        &self,
        stored: StoredHash,
        password: Zeroizing<Vec<u8>>,
        deadline: Instant,
    ) -> Result<bool, VerifyError> {
        let deadline = tokio::time::Instant::from_std(deadline);
        let room = match tokio::time::timeout_at(deadline, self.room(stored.kib())).await {
            Ok(room) => room.map_err(|Full| VerifyError::Busy)?,
            Err(_) => return Err(VerifyError::Deadline),
        };
        let (answer, verdict) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // The room stays taken until the work is done, also when nobody waits for it any more.
            let _room = room;
            if !answer.is_closed() {
                // Nobody left to tell is no failure.
                let _ = answer.send(stored.verify(&password));
            }
        });
        match tokio::time::timeout_at(deadline, verdict).await {
            Ok(Ok(verdict)) => verdict.map_err(VerifyError::Hash),
            Ok(Err(_)) => Err(VerifyError::Busy),
            Err(_) => Err(VerifyError::Deadline),
        }
    }

    /// A place in the own share, then a core, then memory: who waits for the later ones is few.
    async fn room(&self, kib: u32) -> Result<[OwnedSemaphorePermit; 3], Full> {
        let own = self.verifying.enter_many(self.weight()).await?;
        let core = self.threads.cores.enter().await?;
        let memory = Arc::clone(&self.threads.memory).acquire_many_owned(kib);
        Ok([own, core, memory.await.map_err(|_| Full)?])
    }

    /// How many of the places of its share one verification takes.
    fn weight(&self) -> u32 {
        let alone = self.threads.shares.load(Ordering::Relaxed) <= 1;
        if alone || self.threads.places < 2 { 1 } else { 2 }
    }
}

impl Drop for PasswordShare {
    fn drop(&mut self) {
        self.threads.shares.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn slow() -> StoredHash {
        let salt = "MDEyMzQ1Njc4OWFiY2RlZg";
        let hash = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
        StoredHash::parse(&format!("$pbkdf2-sha256$i=2000000${salt}${hash}")).unwrap()
    }

    /// What a future says at once.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn the_deadline_of_the_call_ends_the_wait() {
        let share = Arc::new(PasswordThreads::new()).share();
        let started = Instant::now();
        let deadline = started + Duration::from_millis(20);
        let password = Zeroizing::new(b"x".to_vec());
        let verdict = share.verify(slow(), password, deadline).await;
        assert_eq!(verdict, Err(VerifyError::Deadline));
    }

    #[tokio::test]
    async fn as_many_are_admitted_as_are_verified() {
        let share = Arc::new(PasswordThreads::with_places(2)).share();
        let first = at_once(share.admit(None)).await.unwrap().unwrap();
        let second = at_once(share.admit(None)).await.unwrap().unwrap();
        assert!(at_once(share.admit(None)).await.is_none());
        let rooms = (at_once(share.room(1)).await, at_once(share.room(1)).await);
        assert!(rooms.0.is_some() && rooms.1.is_some());
        assert!(at_once(share.room(1)).await.is_none());
        drop((first, second));
        assert!(at_once(share.admit(None)).await.is_some());
    }

    #[tokio::test]
    async fn one_generation_does_not_starve_another() {
        let threads = Arc::new(PasswordThreads::with_places(4));
        let (flood, logins) = (threads.share(), threads.share());
        let mut held = Vec::new();
        while let Some(room) = at_once(flood.room(1)).await {
            held.push(room.unwrap());
        }
        assert_eq!(held.len(), 2, "half");
        let admitted = at_once(flood.admit(None)).await.unwrap().unwrap();
        let again = at_once(flood.admit(None)).await.unwrap().unwrap();
        assert!(at_once(flood.admit(None)).await.is_none());
        assert!(at_once(logins.admit(None)).await.is_some());
        assert!(at_once(logins.room(1)).await.is_some());
        drop((held, logins, admitted, again));
        let rooms = [
            at_once(flood.room(1)).await,
            at_once(flood.room(1)).await,
            at_once(flood.room(1)).await,
        ];
        assert!(rooms.iter().all(Option::is_some), "all, once it is alone");
    }

    #[tokio::test]
    async fn memory_is_shared_too() {
        let threads = Arc::new(PasswordThreads::with_places(2));
        let share = threads.share();
        let large = at_once(share.room(KIB_MAX)).await.unwrap().unwrap();
        assert!(at_once(share.room(1)).await.is_none());
        drop(large);
        assert!(at_once(share.room(1)).await.is_some());
        assert!(PasswordThreads::with_places(8).memory.available_permits() >= 8 * KIB_PER_CORE);
    }
}
