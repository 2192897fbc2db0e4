//! A bounded set of connections to one server: places, and what is parked in them between uses.
//! Knows nothing of what a connection is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What waits longer is closed: servers and firewalls forget about it sooner or later.
const PARKED_MAX: Duration = Duration::from_secs(300);

/// The places of one source.
#[derive(Debug)]
pub(crate) struct Connections<C> {
    parked: Mutex<Vec<(C, Instant)>>,
    places: Arc<Semaphore>,
    count: usize,
}

/// A place, taken. Dropping it frees it; a connection that is not parked again is closed.
pub(crate) struct Place<C> {
    home: Arc<Connections<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C> Connections<C> {
    /// At most `count` connections.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(count));
        Arc::new(Self { parked: Mutex::default(), places, count })
    }

    /// Waits for a place; the error is a sentence.
    pub(crate) async fn place(self: &Arc<Self>, at_most: Duration) -> Result<Place<C>, String> {
        let waiting = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout(at_most, waiting).await {
            Ok(Ok(permit)) => Ok(Place { home: Arc::clone(self), _permit: permit }),
            _ => Err(format!("all {} connections are taken", self.count)),
        }
    }
}

impl<C> Place<C> {
    /// The connection that was used last, if one waits.
    pub(crate) fn parked(&self) -> Option<C> {
        let mut parked = self.home.parked.lock();
        let old = parked.extract_if(.., |(_, since)| since.elapsed() > PARKED_MAX);
        let old: Vec<_> = old.collect();
        let found = parked.pop();
        // Closing may take a while: not under the lock.
        drop(parked);
        drop(old);
        found.map(|(connection, _)| connection)
    }

    /// Closes all that wait: one of them was found broken, and they share their server.
    pub(crate) fn close_parked(&self) {
        let broken = std::mem::take(&mut *self.home.parked.lock());
        drop(broken);
    }

    /// Gives a connection back that can be used again.
    pub(crate) fn park(self, connection: C) {
        self.home.parked.lock().push((connection, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn there_are_no_more_connections_than_places() {
        let connections = Connections::new(2);
        let one = connections.place(SOON).await.unwrap();
        let two = connections.place(SOON).await.unwrap();
        let full = connections.place(SOON).await.err().unwrap();
        assert_eq!(full, "all 2 connections are taken");
        assert_eq!(one.parked(), None);
        one.park("one");
        drop(two);
        let again = connections.place(SOON).await.unwrap();
        assert_eq!(again.parked(), Some("one"));
        assert_eq!(again.parked(), None, "it is taken out");
        again.park("one");
        let again = connections.place(SOON).await.unwrap();
        again.close_parked();
        assert_eq!(again.parked(), None);
    }

    #[tokio::test]
    async fn who_waits_is_next() {
        let connections = Connections::new(1);
        let one = connections.place(SOON).await.unwrap();
        let next = connections.place(Duration::from_secs(60));
        tokio::pin!(next);
        let waits = tokio::time::timeout(SOON, &mut next).await;
        assert!(waits.is_err(), "it has to wait");
        one.park(7);
        assert_eq!(next.await.unwrap().parked(), Some(7));
    }
}
