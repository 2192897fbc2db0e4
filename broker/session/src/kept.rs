//! What a session and the store have to say to each other: for sessions that outlive the process.
//!
//! Each message with QoS > 0 that such a session takes has a [`Claim`]: a number of its own, and the place
//! where the store has it. Whoever delivers writes the claim down; the session says when it is done with
//! it ([`Session::take_done`]), which messages it wants in memory ([`Session::wanted`]), and holds back
//! what must not be sent before it is durable ([`Session::durable`]). Knows nothing of the store itself.

use std::{collections::VecDeque, num::NonZeroU64, sync::Arc, time::Instant};

use codec::{PacketId, QoS};

use crate::{
    Claim, Message, Session, SessionLimits, Waiting,
    inflight::{Awaiting, Inflight, Owed},
};

/// What a kept session remembers beside its messages.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Number of the last message.
    pub(crate) last_number: u64,
    /// An earlier process may have sent messages with a smaller number.
    pub(crate) sent_below: u64,
    /// QoS 2 messages that the store may yet lose, by number, each with the ticket that says when it
    /// cannot any more, once that is known.
    unsure: VecDeque<(u64, Option<u64>)>,
    /// Claims that the store need not keep.
    pub(crate) done: Vec<Claim>,
    /// Messages that were given up with PUBREL, by number, each with the ticket of what the store was told
    /// of that, once it was. PUBREL waits for it: after a crash a message that the store does not know to
    /// be given up is sent again, with an identifier that PUBREL has freed.
    given_up: Vec<(u64, Option<u64>)>,
}

impl Kept {
    /// A message with this number may be with the client, from an earlier process.
    pub(crate) fn may_be_sent(&self, claim: Claim) -> bool {
        claim.number.get() < self.sent_below
    }

    /// A QoS 2 message that the store may yet lose: sent now, its identifier could stand for another
    /// message after a crash, which the client would take for a repetition of this one.
    pub(crate) fn holds(&self, owed: &Owed) -> bool {
        let Some((first, _)) = self.unsure.front() else { return false };
        owed.qos == QoS::ExactlyOnce && owed.claim.is_some_and(|c| c.number.get() >= *first)
    }

    /// It will not be sent again; PUBREL frees its identifier.
    pub(crate) fn give_up(&mut self, claim: Claim) {
        self.given_up.push((claim.number.get(), None));
    }

    /// The store may yet forget that this message was given up.
    pub(crate) fn holds_release(&self, claim: Claim) -> bool {
        self.given_up.iter().any(|(number, _)| *number == claim.number.get())
    }
}

/// A message will not be delivered. The identifier of a QoS 2 message that the client may have is freed by
/// PUBREL; anything else is over.
pub(crate) fn let_go(
    (inflight, kept): (&mut Inflight, &mut Option<Box<Kept>>),
    claim: Claim,
    qos: QoS,
) {
    let Some(kept) = kept else { return };
    if qos == QoS::ExactlyOnce && kept.may_be_sent(claim) {
        inflight.push_release(claim);
        kept.give_up(claim);
    } else {
        kept.done.push(claim);
    }
}

/// What is known of a session that an earlier process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Number of its last message.
    pub last_number: u64,
    /// Messages with a smaller number may have been sent.
    pub sent_below: u64,
}

/// A claim whose message lies elsewhere now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it lay.
    pub from: u64,
    /// What is known of it, with its new place.
    pub waiting: Waiting,
    /// The client has it (PUBREC): only PUBCOMP is awaited.
    pub received: bool,
}

impl Session {
    /// Makes a new session one that outlives the process.
    pub fn keep(&mut self) {
        let found = Found { last_number: 0, sent_below: 0 };
        self.kept = Some(Box::new(Kept::from(found)));
    }

    /// A session without connection that an earlier process left. What it is owed follows, in its order.
    pub fn recovered(limits: SessionLimits, found: Found) -> Self {
        let mut session = Self::new(limits, true);
        session.kept = Some(Box::new(Kept::from(found)));
        session
    }

    /// A message that waits.
    pub fn recover_waiting(&mut self, waiting: &Waiting) {
        self.queue.push_stored(waiting);
    }

    /// A QoS 2 message that the client has (PUBREC): PUBREL is to be sent.
    pub fn recover_received(&mut self, claim: Claim) {
        self.inflight.push_release(claim);
    }

    /// A QoS 2 identifier that the client has not released.
    pub fn recover_unreleased(&mut self, packet_id: PacketId) {
        self.unreleased.recover(packet_id);
    }

    /// Whether it outlives the process.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Number of the last message that it took.
    pub fn last_number(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.last_number)
    }

    /// Messages with a smaller number may have been sent.
    pub fn sent_below(&self) -> u64 {
        let Some(kept) = &self.kept else { return 0 };
        self.queue.first_number().unwrap_or(kept.last_number + 1).max(kept.sent_below)
    }

    /// A QoS 2 message that was taken is written down with this ticket.
    pub fn written(&mut self, number: u64, ticket: u64) {
        let Some(kept) = &mut self.kept else { return };
        if let Ok(at) = kept.unsure.binary_search_by_key(&number, |(number, _)| *number)
            && let Some((_, of_it)) = kept.unsure.get_mut(at)
        {
            *of_it = Some(ticket);
        }
    }

    /// Everything up to this ticket is durable; [`Self::pump`] sends what need not wait any more.
    pub fn durable(&mut self, ticket: u64) {
        let Some(kept) = &mut self.kept else { return };
        let waits = |of_it: &Option<u64>| of_it.is_none_or(|of_it| of_it > ticket);
        let unsure = &mut kept.unsure;
        while unsure.pop_front_if(|(_, of_it)| !waits(of_it)).is_some() {}
        if unsure.is_empty() && unsure.capacity() > UNSURE_KEPT {
            *unsure = VecDeque::new();
        }
        let before = kept.given_up.len();
        kept.given_up.retain(|(_, of_it)| waits(of_it));
        if kept.given_up.len() < before {
            self.inflight.look_at_releases();
        }
    }

    /// The next ticket that something waits for here, as far as that is known.
    pub fn awaited_ticket(&self) -> Option<u64> {
        let kept = self.kept.as_ref()?;
        let unsure = kept.unsure.front().and_then(|(_, of_it)| *of_it);
        let given_up = kept.given_up.iter().filter_map(|(_, of_it)| *of_it);
        given_up.chain(unsure).min()
    }

    /// What the store need not keep any more.
    pub fn take_done(&mut self) -> Vec<Claim> {
        self.kept.as_mut().map(|kept| std::mem::take(&mut kept.done)).unwrap_or_default()
    }

    /// Names to `receive` the messages that wait for PUBCOMP only from now on, as if PUBREC had come; the
    /// ticket is that of what the store was told.
    pub fn note_given_up(&mut self, mut receive: impl FnMut(u64) -> u64) {
        let given_up = self.kept.iter_mut().flat_map(|kept| &mut kept.given_up);
        for (number, ticket) in given_up.filter(|(_, ticket)| ticket.is_none()) {
            *ticket = Some(receive(*number));
        }
    }

    /// Messages that are to be handed in next, in this order: they wait, the client is there, and little
    /// is left in memory.
    pub fn wanted(&self) -> Vec<Waiting> {
        if self.link.is_none() { Vec::new() } else { self.queue.wanted() }
    }

    /// Hands in a message that was wanted; one that is no longer wanted is not taken. `None` = it is not
    /// to be delivered. Returns whether one was dropped. [`Self::pump`] sends them.
    pub fn hand_in(&mut self, claim: Claim, message: Option<Arc<Message>>) -> bool {
        let Some(taken) = self.queue.take_stored(claim) else { return false };
        match message {
            Some(message) => {
                self.queue.hand_in(taken, message);
                false
            }
            None => {
                let_go((&mut self.inflight, &mut self.kept), taken.claim, taken.qos);
                self.dropped += 1;
                true
            }
        }
    }

    /// What the session holds in the store: places of messages that it has not completed, and how many
    /// bytes each has. `None` = it is the client's, and will not be wanted again.
    pub fn claims(&self) -> impl Iterator<Item = (u64, Option<usize>)> {
        let waiting = self.queue.in_store().map(|w| (w.claim.place, Some(w.bytes)));
        self.inflight.claims().chain(waiting)
    }

    /// The places of them.
    pub fn places(&self) -> impl Iterator<Item = u64> {
        self.claims().map(|(place, _)| place)
    }

    /// Messages that came by a shared subscription and that another member may have instead: those that
    /// wait, and QoS 1 in flight; not a QoS 2 message whose delivery may have begun [MQTT-4.8.2-5].
    /// Given by place and, if it is in memory, as a message.
    pub fn shared_undelivered(&self) -> Vec<(Option<Claim>, Option<Arc<Message>>)> {
        let begun = |claim: Option<Claim>, qos| {
            let may_be_sent = |kept: &Kept| claim.is_some_and(|claim| kept.may_be_sent(claim));
            qos == QoS::ExactlyOnce && self.kept.as_deref().is_some_and(may_be_sent)
        };
        let in_flight = self.inflight.unacknowledged();
        let in_memory = in_flight.chain(self.queue.owed());
        let in_memory = in_memory.filter(|owed| owed.shared && !begun(owed.claim, owed.qos));
        let in_memory = in_memory.map(|owed| (owed.claim, Some(Arc::clone(&owed.message))));
        let stored = self.queue.stored().iter();
        let stored = stored.filter(|w| w.shared && !begun(Some(w.claim), w.qos));
        in_memory.chain(stored.map(|waiting| (Some(waiting.claim), None))).collect()
    }

    /// Messages lie elsewhere now: `to` says where, `told` is told of each claim.
    pub fn move_claims(&mut self, to: impl Fn(u64) -> Option<u64>, mut told: impl FnMut(Moved)) {
        for awaiting in self.inflight.awaiting_mut() {
            match awaiting {
                Awaiting::Acknowledged(owed) | Awaiting::Received(owed) => {
                    move_owed(owed, &to, &mut told);
                }
                Awaiting::Completed(Some(claim)) => {
                    let from = claim.place;
                    let Some(place) = to(from) else { continue };
                    claim.place = place;
                    told(Moved { from, waiting: Waiting::released(*claim), received: true });
                }
                Awaiting::Completed(None) => {}
            }
        }
        for owed in self.queue.owed_mut() {
            move_owed(owed, &to, &mut told);
        }
        self.queue.stored_mut().retain(|waiting| {
            let from = waiting.claim.place;
            if let Some(place) = to(from) {
                waiting.claim.place = place;
                told(Moved { from, waiting: waiting.clone(), received: false });
            }
            true
        });
    }

    /// The claim on a message that is being taken: the next number. `None` = the session keeps none.
    pub(crate) fn next_claim(&self, place: Option<u64>) -> Option<Claim> {
        let kept = self.kept.as_ref()?;
        Some(Claim { number: NonZeroU64::MIN.checked_add(kept.last_number)?, place: place? })
    }

    /// It was taken.
    pub(crate) fn claimed(&mut self, claim: Option<Claim>, qos: QoS) {
        let (Some(kept), Some(claim)) = (&mut self.kept, claim) else { return };
        kept.last_number = claim.number.get();
        if qos == QoS::ExactlyOnce {
            kept.unsure.push_back((kept.last_number, None));
        }
    }

    /// A QoS 2 message will not be sent again, and its identifier is freed by PUBREL.
    pub(crate) fn given_up(&mut self, claim: Option<Claim>) {
        if let (Some(kept), Some(claim)) = (&mut self.kept, claim) {
            kept.give_up(claim);
        }
    }

    /// A message is complete, or was dropped before a client can have had it.
    pub(crate) fn done(&mut self, claim: Option<Claim>) {
        if let (Some(kept), Some(claim)) = (&mut self.kept, claim) {
            kept.done.push(claim);
        }
    }
}

/// Messages whose memory an empty list keeps.
const UNSURE_KEPT: usize = 16;

fn move_owed(owed: &mut Owed, to: &impl Fn(u64) -> Option<u64>, told: &mut impl FnMut(Moved)) {
    let Some(claim) = &mut owed.claim else { return };
    let from = claim.place;
    let Some(place) = to(from) else { return };
    claim.place = place;
    if let Some(waiting) = owed.waiting() {
        told(Moved { from, waiting, received: false });
    }
}

impl From<Found> for Kept {
    fn from(found: Found) -> Self {
        let Found { last_number, sent_below } = found;
        let (done, given_up) = (Vec::new(), Vec::new());
        Self { last_number, sent_below, unsure: VecDeque::new(), done, given_up }
    }
}

impl Waiting {
    /// All that is left of a QoS 2 message that the client has.
    fn released(claim: Claim) -> Self {
        Self {
            claim,
            bytes: 0,
            expires_at: None::<Instant>,
            qos: QoS::ExactlyOnce,
            retain: false,
            shared: false,
            subscription_identifiers: Box::default(),
        }
    }
}

#[cfg(test)]
mod tests;
