//! A bounded number of places with a bounded queue before them. Knows nothing of what is done
//! there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, and who may wait for one, and how long.
#[derive(Debug)]
pub(crate) struct Turnstile {
    places: Arc<Semaphore>,
    places_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    wait_max: Duration,
}

/// Every place is taken and so is the queue, or the wait was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Turnstile {
    /// `places` at once; at most `waiting_max` wait, each at most `wait_max`.
    pub(crate) fn new(places: usize, waiting_max: usize, wait_max: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            places_max: places,
            waiting: AtomicUsize::new(0),
            waiting_max,
            wait_max,
        }
    }

    /// Places that are taken.
    pub(crate) fn in_use(&self) -> usize {
        self.places_max.saturating_sub(self.places.available_permits())
    }

    /// Callers that wait for one.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, if one is free.
    pub(crate) fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A place, held until dropped. May be cancelled.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.enter_many(1).await
    }

    /// So many places at once; not more than there are.
    pub(crate) async fn enter_many(&self, places: u32) -> Result<OwnedSemaphorePermit, Full> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_many_owned(places) {
            return Ok(place);
        }
        // Boxed: most never wait, and the timer is large.
        Box::pin(self.wait(places)).await
    }

    async fn wait(&self, places: u32) -> Result<OwnedSemaphorePermit, Full> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        let _leave = Leave(&self.waiting);
        let place = Arc::clone(&self.places).acquire_many_owned(places);
        match tokio::time::timeout(self.wait_max, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }
}

/// Leaves the queue, also when the wait is cancelled.
struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_in_length_and_time() {
        let turnstile = Turnstile::new(1, 1, Duration::from_millis(20));
        let held = turnstile.enter().await.unwrap();
        assert_eq!((turnstile.in_use(), turnstile.waiting()), (1, 0));
        let (waits, refused) = tokio::join!(turnstile.enter(), turnstile.enter());
        assert_eq!(waits.unwrap_err(), Full, "waited too long");
        assert_eq!(refused.unwrap_err(), Full, "queue is full");
        drop(held);
        assert!(turnstile.enter().await.is_ok());
        assert_eq!((turnstile.in_use(), turnstile.waiting()), (0, 0));
    }
}
