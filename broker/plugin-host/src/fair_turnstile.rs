//! A bounded number of places, before which those who wait take turns by where they come from: who
//! comes a thousand times waits for himself, not others for him.
//!
//! Knows nothing of what is done there. Only who stands in front waits for a place, the others wait to
//! be called to the front; the queue is in memory, so it has a bound, and so has the wait.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{breaker::Client, turnstile::Full};

/// Where somebody comes from; `None` = from nobody outside.
type Origin = Option<Client>;

/// Places, and who waits for one.
#[derive(Debug)]
pub(crate) struct FairTurnstile {
    places: Arc<Semaphore>,
    line: Mutex<Line>,
    waiting_max: usize,
    wait_max: Duration,
}

#[derive(Debug, Default)]
struct Line {
    /// Somebody stands in front.
    front_taken: bool,
    /// Whose turn comes when: each origin once.
    turns: VecDeque<Origin>,
    waiting: HashMap<Origin, BTreeMap<u64, oneshot::Sender<()>>>,
    /// All who wait to be called.
    count: usize,
    next_number: u64,
}

impl FairTurnstile {
    /// `places` at once; at most `waiting_max` wait, each at most `wait_max`.
    pub(crate) fn new(places: usize, waiting_max: usize, wait_max: Duration) -> Self {
        let places = Arc::new(Semaphore::new(places));
        Self { places, line: Mutex::default(), waiting_max, wait_max }
    }

    /// So many places at once, not more than there are, held until dropped. May be cancelled.
    pub(crate) async fn enter(
        &self,
        origin: Origin,
        places: u32,
    ) -> Result<OwnedSemaphorePermit, Full> {
        if let Some(place) = self.enter_at_once(places) {
            return Ok(place);
        }
        // Boxed: most never wait, and the timer is large.
        Box::pin(async {
            let wait = tokio::time::timeout(self.wait_max, self.wait(origin, places));
            wait.await.unwrap_or(Err(Full))
        })
        .await
    }

    /// Without a wait; never past those who wait.
    pub(crate) fn enter_at_once(&self, places: u32) -> Option<OwnedSemaphorePermit> {
        let _front = self.step_up()?;
        Arc::clone(&self.places).try_acquire_many_owned(places).ok()
    }

    async fn wait(&self, origin: Origin, places: u32) -> Result<OwnedSemaphorePermit, Full> {
        let _front = match self.join(origin)? {
            Joined::Front(front) => front,
            Joined::Line(waiting) => waiting.called().await?,
        };
        Arc::clone(&self.places).acquire_many_owned(places).await.map_err(|_| Full)
    }

    /// To the front, if nobody stands there.
    fn step_up(&self) -> Option<Front<'_>> {
        let mut line = self.line.lock();
        if line.front_taken {
            return None;
        }
        line.front_taken = true;
        Some(Front(self))
    }

    /// To the front if nobody stands there, else to the end of those of its origin.
    fn join(&self, origin: Origin) -> Result<Joined<'_>, Full> {
        let mut line = self.line.lock();
        if !line.front_taken {
            line.front_taken = true;
            return Ok(Joined::Front(Front(self)));
        }
        if line.count >= self.waiting_max {
            return Err(Full);
        }
        line.count += 1;
        let number = line.next_number;
        line.next_number += 1;
        let (call, called) = oneshot::channel();
        let of_origin = line.waiting.entry(origin).or_default();
        let first = of_origin.is_empty();
        of_origin.insert(number, call);
        if first {
            line.turns.push_back(origin);
        }
        Ok(Joined::Line(Waiting { turnstile: self, origin, number, called: Some(called) }))
    }

    /// Calls the next one to the front, or leaves it free.
    fn call_next(&self) {
        let mut line = self.line.lock();
        line.front_taken = false;
        while let Some(call) = line.pop() {
            if call.send(()).is_ok() {
                line.front_taken = true;
                return;
            }
        }
    }
}

impl Line {
    /// The next one: the first of the origin whose turn it is.
    fn pop(&mut self) -> Option<oneshot::Sender<()>> {
        let origin = self.turns.pop_front()?;
        let of_origin = self.waiting.get_mut(&origin)?;
        let (_, call) = of_origin.pop_first()?;
        match of_origin.is_empty() {
            true => drop(self.waiting.remove(&origin)),
            false => self.turns.push_back(origin),
        }
        self.count -= 1;
        Some(call)
    }

    /// Takes out one who does not wait any more, if it was not called yet.
    fn forget(&mut self, origin: Origin, number: u64) {
        let Some(of_origin) = self.waiting.get_mut(&origin) else {
            return;
        };
        if of_origin.remove(&number).is_some() {
            self.count -= 1;
        }
        if of_origin.is_empty() {
            self.waiting.remove(&origin);
            self.turns.retain(|turn| *turn != origin);
        }
    }
}

/// Where somebody is who came.
enum Joined<'a> {
    Front(Front<'a>),
    Line(Waiting<'a>),
}

/// Who stands in front. Going away calls the next one.
struct Front<'a>(&'a FairTurnstile);

impl Drop for Front<'_> {
    fn drop(&mut self) {
        self.0.call_next();
    }
}

/// Who waits to be called. Going away leaves nothing behind.
struct Waiting<'a> {
    turnstile: &'a FairTurnstile,
    origin: Origin,
    number: u64,
    /// `None` = it was called, and came.
    called: Option<oneshot::Receiver<()>>,
}

impl<'a> Waiting<'a> {
    async fn called(mut self) -> Result<Front<'a>, Full> {
        if let Some(called) = &mut self.called {
            called.await.map_err(|_| Full)?;
        }
        self.called = None;
        Ok(Front(self.turnstile))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(mut called) = self.called.take() else {
            return;
        };
        called.close();
        self.turnstile.line.lock().forget(self.origin, self.number);
        // Called in the very moment of leaving: the place in front is another's.
        if called.try_recv().is_ok() {
            self.turnstile.call_next();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, pin::Pin, task::Poll};

    use super::*;

    type Entering<'a> =
        Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, Full>> + Send + 'a>>;

    fn turnstile(places: usize, waiting_max: usize) -> FairTurnstile {
        FairTurnstile::new(places, waiting_max, Duration::from_secs(60))
    }

    fn from(last: u8) -> Origin {
        Some(Client::of(Ipv4Addr::new(192, 0, 2, last).into()))
    }

    async fn poll(entering: &mut Entering<'_>) -> Option<Result<OwnedSemaphorePermit, Full>> {
        std::future::poll_fn(|context| match entering.as_mut().poll(context) {
            Poll::Ready(entered) => Poll::Ready(Some(entered)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Begins to wait.
    async fn wait(turnstile: &FairTurnstile, origin: Origin) -> Entering<'_> {
        let mut entering: Entering<'_> = Box::pin(turnstile.enter(origin, 1));
        assert!(poll(&mut entering).await.is_none(), "it should wait");
        entering
    }

    /// Which of them has a place now.
    async fn served(waiting: &mut Vec<(u8, Entering<'_>)>) -> Option<(u8, OwnedSemaphorePermit)> {
        for index in 0..waiting.len() {
            if let Some(entered) = poll(&mut waiting[index].1).await {
                let (name, _) = waiting.remove(index);
                return Some((name, entered.unwrap()));
            }
        }
        None
    }

    #[tokio::test]
    async fn origins_take_turns() {
        let turnstile = turnstile(1, 100);
        let mut held = Some(turnstile.enter(from(1), 1).await.unwrap());
        let mut waiting = Vec::new();
        for name in [1, 1, 1, 1, 2, 3, 3] {
            waiting.push((name, wait(&turnstile, from(name)).await));
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held.take());
            let (name, place) = served(&mut waiting).await.unwrap();
            assert!(served(&mut waiting).await.is_none(), "one place, one at a time");
            order.push(name);
            held = Some(place);
        }
        // The first one stood in front before the others came.
        assert_eq!(order, [1, 1, 2, 3, 1, 3, 1]);
    }

    #[tokio::test]
    async fn nobody_passes_those_who_wait() {
        let turnstile = turnstile(1, 100);
        let held = turnstile.enter(from(1), 1).await.unwrap();
        let mut first = wait(&turnstile, from(1)).await;
        drop(held);
        assert!(turnstile.enter_at_once(1).is_none());
        assert!(poll(&mut first).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind() {
        let turnstile = turnstile(1, 3);
        let held = turnstile.enter(from(1), 1).await.unwrap();
        let front = wait(&turnstile, from(1)).await;
        let second = wait(&turnstile, from(2)).await;
        let mut third = wait(&turnstile, from(3)).await;
        drop(second);
        assert_eq!(turnstile.line.lock().count, 1);
        drop(front);
        assert!(poll(&mut third).await.is_none(), "called, and in front now");
        drop(held);
        drop(poll(&mut third).await.unwrap().unwrap());
        drop(third);
        let line = turnstile.line.lock();
        assert!(line.turns.is_empty() && line.waiting.is_empty() && !line.front_taken);
    }

    #[tokio::test]
    async fn who_is_called_and_goes_away_calls_the_next() {
        let turnstile = turnstile(1, 3);
        let held = turnstile.enter(from(1), 1).await.unwrap();
        let front = wait(&turnstile, from(1)).await;
        let second = wait(&turnstile, from(2)).await;
        let mut third = wait(&turnstile, from(3)).await;
        drop(front);
        // Called, never looked.
        drop(second);
        drop(held);
        assert!(poll(&mut third).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_length_and_time() {
        let turnstile = FairTurnstile::new(1, 1, Duration::from_millis(20));
        let held = turnstile.enter(from(1), 1).await.unwrap();
        let (front, waits, refused) = tokio::join!(
            turnstile.enter(from(1), 1),
            turnstile.enter(from(2), 1),
            turnstile.enter(from(3), 1)
        );
        assert!(front.is_err() && waits.is_err(), "waited too long");
        assert_eq!(refused.unwrap_err(), Full, "the queue is full");
        drop(held);
        assert!(turnstile.enter(from(1), 1).await.is_ok());
    }
}
