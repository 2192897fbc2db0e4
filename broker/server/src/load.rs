//! Messages that wait in the store for a client that is here: read a page at a time, on a thread that may block, and
//! handed to the session when they are there. What they came by may have been given up since: each is judged by the
//! permissions of today.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use codec::ReasonCode;
use session::{Claim, Message};
use store::{Position, Store, Ticket};
use tokio::task::JoinHandle;

use crate::{close::Close, connection::Connection, remember::Moment, subscribe::Judged};

/// A page that is being read.
pub(crate) struct Loading {
    wanted: Vec<Claim>,
    reading: JoinHandle<io::Result<Page>>,
}

/// Messages in their order, as far as they are written.
pub(crate) struct Page {
    messages: Vec<(Claim, Option<Arc<Message>>)>,
    /// The rest is not written yet: come back with this.
    unwritten: Option<Ticket>,
}

fn read(store: &dyn Store, claims: &[Claim]) -> io::Result<Page> {
    // Asked before: what is not there now is there with the next one.
    let next = Ticket(store.durable().0 + 1);
    let positions: Vec<_> = claims.iter().map(|claim| Position(claim.place)).collect();
    let found = store.read(&positions)?;
    let now = Moment::now();
    let mut page = Page { messages: Vec::with_capacity(claims.len()), unwritten: None };
    for (claim, stored) in claims.iter().zip(found) {
        let Some(stored) = stored else {
            page.unwritten = Some(next);
            break;
        };
        let message = now.message(&stored).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a message has no valid topic name")
        })?;
        page.messages.push((*claim, Some(message)));
    }
    Ok(page)
}

impl Connection {
    /// Reads on, when little is left in memory.
    pub(crate) fn poll_load(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        let Some(store) = self.core.store.clone() else { return Ok(()) };
        if self.load_after.is_some_and(|ticket| store.durable() < ticket) {
            // It wakes us.
            return Ok(());
        }
        loop {
            if self.loading.is_none() {
                let wanted = self.wanted()?;
                if wanted.is_empty() {
                    return Ok(());
                }
                let (store, claims) = (Arc::clone(&store), wanted.clone());
                let reading = tokio::task::spawn_blocking(move || read(&*store, &claims));
                self.loading = Some(Loading { wanted, reading });
            }
            let Some(loading) = &mut self.loading else { return Ok(()) };
            let Poll::Ready(read) = Pin::new(&mut loading.reading).poll(cx) else { return Ok(()) };
            let Some(Loading { wanted, .. }) = self.loading.take() else { return Ok(()) };
            let page = match read.map_err(io::Error::other).and_then(|page| page) {
                Ok(page) => page,
                // They were moved or dropped meanwhile, and their place given back.
                Err(_) if self.wanted()? != wanted => continue,
                Err(error) => return Err(self.cannot_load(&error)),
            };
            self.load_after = page.unwritten;
            self.hand_in(page)?;
            if let Some(ticket) = self.load_after {
                store.wake_when_durable(ticket, cx.waker());
                return Ok(());
            }
        }
    }

    fn wanted(&self) -> Result<Vec<Claim>, Close> {
        let wanted = self.own()?.session.wanted();
        Ok(wanted.into_iter().map(|waiting| waiting.claim).collect())
    }

    fn hand_in(&mut self, page: Page) -> Result<(), Close> {
        let mut state = self.own()?;
        let state = &mut *state;
        let judged = Judged::of(state);
        let mut refused = 0;
        for (claim, message) in page.messages {
            let message = message.filter(|message| judged.permits(message));
            refused += u64::from(state.session.hand_in(claim, message));
        }
        // Later than the turn began: what had expired when it was read is expired now.
        let expired = state.session.pump(Instant::now()) as u64;
        self.counts.dropped("no_longer_permitted", refused);
        self.counts.dropped("expired", expired);
        Ok(())
    }

    /// Nothing is skipped: the messages stay where they are, and somebody has to look.
    fn cannot_load(&self, error: &io::Error) -> Close {
        let client_id = telemetry::Escaped(&self.handle.client_id);
        tracing::error!(event = "store_unreadable", %client_id, %error,
            "messages that wait for the client cannot be read: its connection ends, they stay");
        Close::ByServer(ReasonCode::UnspecifiedError)
    }
}
