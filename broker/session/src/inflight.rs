//! Messages sent with QoS 1 or 2 and not yet completed, in the order of their first sending.
//!
//! ```text
//! QoS 1:  awaiting Acknowledged ── PUBACK ──> gone
//! QoS 2:  awaiting Received ── PUBREC ──> awaiting Completed ── PUBCOMP ──> gone
//! ```
//!
//! Knows which of them went out on the present connection, not how they are written.

use std::{collections::VecDeque, sync::Arc};

use codec::{PacketId, QoS};

use crate::{Claim, Message, Waiting, packet_id::PacketIds};

/// What an in-flight message waits for.
#[derive(Clone, Debug)]
pub(crate) enum Awaiting {
    /// QoS 1: PUBACK.
    Acknowledged(Owed),
    /// QoS 2: PUBREC.
    Received(Owed),
    /// QoS 2: PUBCOMP; the message itself is the client's now and was let go.
    Completed(Option<Claim>),
}

impl Awaiting {
    /// What the session holds of the message in the store.
    pub(crate) fn claim(&self) -> Option<Claim> {
        match self {
            Self::Acknowledged(owed) | Self::Received(owed) => owed.claim,
            Self::Completed(claim) => *claim,
        }
    }
}

/// Everything needed to send a message again.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    /// As it was published.
    pub(crate) message: Arc<Message>,
    /// As it goes out, once transforms have worked on it.
    pub(crate) transformed: Option<Arc<Message>>,
    /// In a session that outlives the process.
    pub(crate) claim: Option<Claim>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// It came by a shared subscription.
    pub(crate) shared: bool,
    pub(crate) subscription_identifiers: Box<[u32]>,
}

impl Owed {
    /// What the client gets.
    pub(crate) fn outgoing(&self) -> &Arc<Message> {
        self.transformed.as_ref().unwrap_or(&self.message)
    }

    /// The same without the message, if the store has that.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        Some(Waiting {
            claim: self.claim?,
            bytes: self.message.size_bytes(),
            expires_at: self.message.expires_at(),
            qos: self.qos,
            retain: self.retain,
            shared: self.shared,
            subscription_identifiers: self.subscription_identifiers.clone(),
        })
    }
}

/// One in-flight message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) packet_id: PacketId,
    pub(crate) awaiting: Awaiting,
    /// Whether it was encoded for the present connection.
    pub(crate) sent: bool,
    /// Whether the present connection took it to be written.
    taken: bool,
    /// Whether any connection ever did. Until then its delivery has not begun: nobody can have seen
    /// it, and sending it again would not be a repetition.
    begun: bool,
}

impl Entry {
    /// Its packet goes out on the present connection.
    fn mark_sent(&mut self, unsent: &mut u32, encoded: &mut u32) {
        if !self.sent {
            self.sent = true;
            *unsent -= 1;
            *encoded += 1;
        }
    }
}

/// The in-flight window. Acknowledgements come mostly in order: a search from the front ends soon.
#[derive(Debug, Default)]
pub(crate) struct Inflight {
    entries: VecDeque<Entry>,
    /// How many entries were not yet sent on the present connection.
    unsent: u32,
    /// How many are encoded for the present connection and not taken by it yet.
    encoded: u32,
    ids: PacketIds,
    /// Some of the unsent entries await Completed: their PUBREL is still to be sent.
    releases_unsent: bool,
}

impl Inflight {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries that count against the client's Receive Maximum on this connection.
    pub(crate) fn sent(&self) -> usize {
        self.entries.len() - self.unsent as usize
    }

    pub(crate) fn all_sent(&self) -> bool {
        self.unsent == 0
    }

    /// An identifier for [`Self::push`]; `None` when all 65,535 are in use.
    pub(crate) fn next_packet_id(&mut self, claim: Option<Claim>) -> Option<PacketId> {
        match claim {
            None => self.ids.next(self.entries.iter().map(|entry| entry.packet_id)),
            Some(claim) => packet_id_of(claim),
        }
    }

    /// Whether the identifier of a message that the store has is free: another one may have it that was
    /// sent 65,535 messages ago and is not acknowledged yet.
    pub(crate) fn has_identifier_for(&self, claim: Option<Claim>) -> bool {
        let oldest = self.entries.front().and_then(|entry| entry.awaiting.claim());
        let (Some(claim), Some(oldest)) = (claim, oldest) else { return true };
        // Searched only when the numbers have gone round: clients acknowledge in order.
        claim.number.get().saturating_sub(oldest.number.get()) < IDENTIFIERS
            || packet_id_of(claim).is_none_or(|packet_id| self.position(packet_id).is_none())
    }

    /// Adds a message that was with the client already when the process before this one ended: PUBREL
    /// is to be sent.
    pub(crate) fn push_release(&mut self, claim: Claim) {
        let Some(packet_id) = packet_id_of(claim) else { return };
        let awaiting = Awaiting::Completed(Some(claim));
        let (sent, taken, begun) = (false, false, true);
        self.entries.push_back(Entry { packet_id, awaiting, sent, taken, begun });
        self.unsent += 1;
        self.releases_unsent = true;
    }

    /// Where the store has what is in flight, and how many bytes it has while it may be sent again.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (u64, Option<usize>)> {
        self.entries.iter().filter_map(|entry| {
            let bytes = match &entry.awaiting {
                Awaiting::Acknowledged(owed) | Awaiting::Received(owed) => {
                    Some(owed.message.size_bytes())
                }
                Awaiting::Completed(_) => None,
            };
            Some((entry.awaiting.claim()?.place, bytes))
        })
    }

    /// QoS 1 messages whose PUBACK has not come.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = &Owed> {
        self.entries.iter().filter_map(|entry| match &entry.awaiting {
            Awaiting::Acknowledged(owed) => Some(owed),
            Awaiting::Received(_) | Awaiting::Completed(_) => None,
        })
    }

    /// All of it, for those who may change it.
    pub(crate) fn awaiting_mut(&mut self) -> impl Iterator<Item = &mut Awaiting> {
        self.entries.iter_mut().map(|entry| &mut entry.awaiting)
    }

    /// Adds a message that is being sent now. `begun`: a client may have it from an earlier process.
    pub(crate) fn push(&mut self, packet_id: PacketId, owed: Owed, begun: bool) {
        let awaiting = match owed.qos {
            QoS::ExactlyOnce => Awaiting::Received(owed),
            QoS::AtMostOnce | QoS::AtLeastOnce => Awaiting::Acknowledged(owed),
        };
        self.entries.push_back(Entry { packet_id, awaiting, sent: true, taken: false, begun });
        self.encoded += 1;
    }

    /// Takes the entry out when `is` holds for it; `None` when there is no such entry.
    pub(crate) fn complete(
        &mut self,
        packet_id: PacketId,
        is: impl Fn(&Awaiting) -> bool,
    ) -> Option<Awaiting> {
        let at = self.position(packet_id)?;
        self.entries.get(at).filter(|entry| is(&entry.awaiting))?;
        self.remove(at)
    }

    fn remove(&mut self, at: usize) -> Option<Awaiting> {
        let removed = self.entries.remove(at)?;
        self.unsent -= u32::from(!removed.sent);
        self.encoded -= u32::from(removed.sent && !removed.taken);
        if self.entries.is_empty() && self.entries.capacity() > ENTRIES_KEPT {
            // A window that was full once must not cost an idle client its memory for good.
            self.entries = VecDeque::new();
        }
        Some(removed.awaiting)
    }

    /// PUBREC came: the message is the client's, now PUBCOMP is awaited. `None` = no such message; a
    /// repeated PUBREC has one.
    pub(crate) fn released(&mut self, packet_id: PacketId) -> Option<Released> {
        let at = self.position(packet_id)?;
        let entry = self.entries.get_mut(at)?;
        let released = match &entry.awaiting {
            Awaiting::Acknowledged(_) => return None,
            Awaiting::Received(owed) => Released::Now(owed.claim),
            Awaiting::Completed(claim) => Released::Before(*claim),
        };
        entry.mark_sent(&mut self.unsent, &mut self.encoded);
        entry.awaiting = Awaiting::Completed(entry.awaiting.claim());
        // The client has it, whatever we thought.
        entry.begun = true;
        Some(released)
    }

    fn position(&self, packet_id: PacketId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.packet_id == packet_id)
    }

    /// The connection took what was encoded: from now on the client may have it.
    pub(crate) fn mark_taken(&mut self) {
        // From the back: what was encoded last stands there.
        for entry in self.entries.iter_mut().rev() {
            if self.encoded == 0 {
                return;
            }
            if entry.sent && !entry.taken {
                (entry.taken, entry.begun) = (true, true);
                self.encoded -= 1;
            }
        }
    }

    /// The output was thrown away before the connection took it: what it held is to be sent again.
    /// Messages whose delivery had not begun are handed to `give_back`, the youngest first.
    pub(crate) fn take_back(&mut self, mut give_back: impl FnMut(Owed)) {
        if self.encoded == 0 {
            return;
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.sent && !entry.taken) {
            entry.sent = false;
            self.releases_unsent |= matches!(entry.awaiting, Awaiting::Completed(_));
            self.unsent += 1;
        }
        self.encoded = 0;
        while let Some(Entry { begun: false, .. }) = self.entries.back()
            && let Some(Entry { awaiting, .. }) = self.entries.pop_back()
        {
            self.unsent -= 1;
            if let Awaiting::Acknowledged(owed) | Awaiting::Received(owed) = awaiting {
                give_back(owed);
            }
        }
    }

    /// A new connection: everything has to be sent again [MQTT-4.4.0-1].
    pub(crate) fn mark_unsent(&mut self) {
        for entry in &mut self.entries {
            (entry.sent, entry.taken) = (false, false);
        }
        self.unsent = count(self.entries.iter());
        self.encoded = 0;
        self.releases_unsent = self.unsent > 0;
    }

    /// Names every entry whose PUBREL was not sent on this connection, and marks it as sent. `holds`: not
    /// those, until [`Self::look_at_releases`] says to look again.
    pub(crate) fn send_releases(
        &mut self,
        holds: impl Fn(Claim) -> bool,
        mut send: impl FnMut(PacketId),
    ) {
        if !std::mem::take(&mut self.releases_unsent) {
            return;
        }
        for entry in &mut self.entries {
            let Awaiting::Completed(claim) = entry.awaiting else { continue };
            if !entry.sent && !claim.is_some_and(&holds) {
                entry.mark_sent(&mut self.unsent, &mut self.encoded);
                send(entry.packet_id);
            }
        }
    }

    /// A PUBREL that was held back may be sent.
    pub(crate) fn look_at_releases(&mut self) {
        self.releases_unsent = true;
    }

    /// The first message from position `from` on that was not sent on this connection, and its
    /// position, to be passed to [`Self::mark_sent`] or [`Self::give_up`].
    pub(crate) fn next_unsent(&self, from: usize) -> Option<(usize, PacketId, &Owed)> {
        if self.unsent == 0 {
            return None;
        }
        let entries = self.entries.iter().enumerate().skip(from);
        entries.filter(|(_, entry)| !entry.sent).find_map(|(at, entry)| match &entry.awaiting {
            Awaiting::Acknowledged(owed) | Awaiting::Received(owed) => {
                Some((at, entry.packet_id, owed))
            }
            Awaiting::Completed(_) => None,
        })
    }

    pub(crate) fn mark_sent(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.mark_sent(&mut self.unsent, &mut self.encoded);
        }
    }

    /// The message cannot be sent again on this connection. QoS 1 is over with that. With QoS 2 the
    /// client may hold the identifier already, and would take the next message with it for a
    /// repetition and lose it: the identifier stays until a PUBREL has freed it on both sides.
    /// What is returned is over; `None` = that PUBREL is to be sent.
    pub(crate) fn give_up(&mut self, at: usize) -> Option<Awaiting> {
        let entry = self.entries.get_mut(at)?;
        if matches!(entry.awaiting, Awaiting::Acknowledged(_)) {
            return self.remove(at);
        }
        entry.awaiting = Awaiting::Completed(entry.awaiting.claim());
        self.releases_unsent = true;
        None
    }

    /// Drops messages that the client may no longer get, unless their sending on this connection
    /// has begun; returns how many. With QoS 2 the identifier stays, see [`Self::give_up`]. What the store
    /// has of them is named to `over`, with whether the identifier stays.
    pub(crate) fn retain_messages(
        &mut self,
        keep: impl Fn(&Message) -> bool,
        mut over: impl FnMut(Claim, bool),
    ) -> usize {
        let mut gone = 0;
        let mut released = false;
        self.entries.retain_mut(|entry| {
            let (owed, exactly_once) = match &entry.awaiting {
                Awaiting::Acknowledged(owed) => (owed, false),
                Awaiting::Received(owed) => (owed, true),
                Awaiting::Completed(_) => return true,
            };
            if entry.sent || keep(&owed.message) {
                return true;
            }
            gone += 1;
            let claim = owed.claim;
            if exactly_once {
                entry.awaiting = Awaiting::Completed(claim);
                released = true;
            }
            if let Some(claim) = claim {
                over(claim, exactly_once);
            }
            exactly_once
        });
        self.releases_unsent |= released;
        self.unsent = count(self.entries.iter().filter(|entry| !entry.sent));
        gone
    }
}

/// What a PUBREC did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// The message was let go; what the store has of it.
    Now(Option<Claim>),
    /// It was before.
    Before(Option<Claim>),
}

/// Packet Identifiers that there are.
const IDENTIFIERS: u64 = u16::MAX as u64;

/// The Packet Identifier of a message that the store has: the same in every process.
fn packet_id_of(claim: Claim) -> Option<PacketId> {
    u16::try_from(claim.number.get() % IDENTIFIERS + 1).ok().and_then(PacketId::new)
}

/// There are at most as many entries as packet identifiers.
fn count<'a>(entries: impl Iterator<Item = &'a Entry>) -> u32 {
    entries.fold(0, |count, _| count + 1)
}

/// Entries whose memory an empty window keeps.
const ENTRIES_KEPT: usize = 4;

#[cfg(test)]
mod tests;
