//! One message on its way into the store: written once, however many sessions are owed it, and then everybody who is.
//!
//! The order is what makes an acknowledgement true: the message, then who takes it (each under the lock of its
//! session, so that its number tells its place in the order), then the list of them; its ticket goes into the answer
//! to the publisher, and to the sessions that may not send it before (QoS 2).

use std::{sync::Arc, task::Waker, time::Instant};

use codec::QoS;
use session::{Delivered, DeliveryOptions, Fanout, Session};
use store::{MessageRef, Origin, Owed, Position, Store, Ticket};

use crate::{broker::unix_now, sessions::SessionHandle};

/// What is written for one message.
pub(crate) struct Keeping<'a> {
    store: Option<&'a dyn Store>,
    /// The QoS 2 PUBLISH that it came in, of a session that is kept.
    origin: Option<Origin>,
    /// The message, once somebody wants it.
    written: Option<Written>,
    owed: Vec<Owed>,
    /// Who may not send it before it is durable, and its number there.
    unsure: Vec<(Arc<SessionHandle>, u64)>,
}

#[derive(Clone, Copy)]
struct Written {
    position: Position,
    bytes: usize,
    expires_at_unix: Option<u64>,
}

/// A message that was written, with everybody who is owed it.
pub(crate) struct Kept {
    /// Durable with this.
    pub(crate) ticket: Ticket,
    unsure: Vec<(Arc<SessionHandle>, u64)>,
}

impl<'a> Keeping<'a> {
    pub(crate) fn new(store: Option<&'a dyn Store>, origin: Option<Origin>) -> Self {
        Self { store, origin, written: None, owed: Vec::new(), unsure: Vec::new() }
    }

    pub(crate) fn store(&self) -> Option<&'a dyn Store> {
        self.store
    }

    /// Delivers to a session whose lock is held, and notes what it is owed.
    pub(crate) fn deliver(
        &mut self,
        handle: &Arc<SessionHandle>,
        session: &mut Session,
        fanout: &mut Fanout<'_>,
        options: &DeliveryOptions<'_>,
        now: Instant,
    ) -> Delivered {
        let qos = fanout.qos().min(options.maximum_qos);
        let (Some(key), Some(store), true) = (handle.key, self.store, qos > QoS::AtMostOnce) else {
            return session.deliver(fanout, options, now);
        };
        let place = Some(self.write(store, fanout).position.0);
        let delivered = session.deliver(fanout, &DeliveryOptions { place, ..*options }, now);
        if matches!(delivered, Delivered::Sent | Delivered::Queued | Delivered::QueuedDropping(_)) {
            let number = session.last_number();
            if qos == QoS::ExactlyOnce {
                self.unsure.push((Arc::clone(handle), number));
            }
            self.owed.push(Owed {
                session: key,
                number,
                qos,
                retain: options.retain,
                shared: options.shared,
                subscription_identifiers: options.subscription_identifiers.into(),
            });
        }
        delivered
    }

    fn write(&mut self, store: &dyn Store, fanout: &Fanout<'_>) -> Written {
        let origin = self.origin;
        *self.written.get_or_insert_with(|| {
            let (topic, (forwarded, payload)) = (fanout.topic().as_str(), fanout.parts());
            let expiry = fanout.expiry_seconds();
            let expires_at_unix = expiry.map(|seconds| unix_now() + u64::from(seconds));
            let (qos, retain) = (fanout.qos(), fanout.retain());
            let message = MessageRef { topic, forwarded, payload, qos, retain, expires_at_unix };
            let position = store.append_message(&message, origin);
            let bytes = topic.len() + forwarded.len() + payload.len();
            Written { position, bytes, expires_at_unix }
        })
    }

    /// Writes down who is owed the message; `None` = nobody wanted it.
    pub(crate) fn finish(self) -> Option<Kept> {
        let (store, written) = (self.store?, self.written?);
        let size = (written.bytes, written.expires_at_unix);
        let ticket = store.append_owed(written.position, size, &self.owed);
        Some(Kept { ticket, unsure: self.unsure })
    }
}

impl Kept {
    /// Tells the sessions that wait for it; their connections join `wakes`.
    pub(crate) fn tell(self, wakes: &mut Vec<Waker>) -> Ticket {
        for (handle, number) in self.unsure {
            let mut state = handle.state.lock();
            state.session.written(number, self.ticket.0);
            wakes.extend(state.wake());
        }
        self.ticket
    }

    /// As [`Self::tell`], for the session whose lock is held and to which alone it went.
    pub(crate) fn tell_own(self, session: &mut Session) {
        for (_, number) in self.unsure {
            session.written(number, self.ticket.0);
        }
    }
}
