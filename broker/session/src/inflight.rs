//! Messages sent with QoS 1 or 2 and not yet completed, in the order of their first sending.
//!
//! ```text
//! QoS 1:  awaiting Acknowledged ── PUBACK ──> gone
//! QoS 2:  awaiting Received ── PUBREC ──> awaiting Completed ── PUBCOMP ──> gone
//! ```

use std::{collections::VecDeque, sync::Arc};

use codec::{PacketId, QoS};

use crate::{Message, packet_id::PacketIds};

/// What an in-flight message waits for.
#[derive(Clone, Debug)]
pub(crate) enum Awaiting {
    /// QoS 1: PUBACK.
    Acknowledged(Owed),
    /// QoS 2: PUBREC.
    Received(Owed),
    /// QoS 2: PUBCOMP; the message itself is the client's now and was let go.
    Completed,
}

/// Everything needed to send a message again.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_identifiers: Box<[u32]>,
}

/// One in-flight message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) packet_id: PacketId,
    pub(crate) awaiting: Awaiting,
    /// Whether it was sent on the present connection.
    pub(crate) sent: bool,
}

/// The in-flight window. Acknowledgements come mostly in order, so a search from the front ends at once.
#[derive(Debug, Default)]
pub(crate) struct Inflight {
    entries: VecDeque<Entry>,
    ids: PacketIds,
    /// How many entries were not yet sent on the present connection.
    unsent: usize,
}

impl Inflight {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries that count against the client's Receive Maximum on this connection.
    pub(crate) fn sent(&self) -> usize {
        self.entries.len() - self.unsent
    }

    pub(crate) fn all_sent(&self) -> bool {
        self.unsent == 0
    }

    /// Adds a message that is being sent now; `None` when all 65,535 identifiers are in use.
    pub(crate) fn push(&mut self, owed: Owed) -> Option<(PacketId, &Owed)> {
        let entries = &self.entries;
        let in_use = |id| entries.iter().any(|e| e.packet_id == id);
        let packet_id = self.ids.next(in_use)?;
        let awaiting = match owed.qos {
            QoS::ExactlyOnce => Awaiting::Received(owed),
            _ => Awaiting::Acknowledged(owed),
        };
        self.entries.push_back(Entry { packet_id, awaiting, sent: true });
        match &self.entries.back()?.awaiting {
            Awaiting::Acknowledged(owed) | Awaiting::Received(owed) => Some((packet_id, owed)),
            Awaiting::Completed => None,
        }
    }

    /// Takes the entry out when `is` holds for it; `None` when there is no such entry.
    pub(crate) fn complete(
        &mut self,
        packet_id: PacketId,
        is: impl Fn(&Awaiting) -> bool,
    ) -> Option<Entry> {
        let at = self.position(packet_id)?;
        let entry = self.entries.get(at)?;
        if !is(&entry.awaiting) {
            return None;
        }
        self.unsent -= usize::from(!entry.sent);
        self.entries.remove(at)
    }

    /// PUBREC came: the message is the client's, now PUBCOMP is awaited. `true` also when that was so already
    /// (a repeated PUBREC).
    pub(crate) fn released(&mut self, packet_id: PacketId) -> bool {
        let Some(entry) = self.position(packet_id).and_then(|at| self.entries.get_mut(at)) else {
            return false;
        };
        match entry.awaiting {
            Awaiting::Acknowledged(_) => false,
            Awaiting::Received(_) | Awaiting::Completed => {
                self.unsent -= usize::from(!entry.sent);
                entry.sent = true;
                entry.awaiting = Awaiting::Completed;
                true
            }
        }
    }

    fn position(&self, packet_id: PacketId) -> Option<usize> {
        self.entries.iter().position(|e| e.packet_id == packet_id)
    }

    /// A new connection: everything has to be sent again [MQTT-4.4.0-1].
    pub(crate) fn mark_unsent(&mut self) {
        for entry in &mut self.entries {
            entry.sent = false;
        }
        self.unsent = self.entries.len();
    }

    /// The first entry that was not sent on this connection, marked as sent.
    pub(crate) fn next_unsent(&mut self) -> Option<&Entry> {
        if self.unsent == 0 {
            return None;
        }
        let entry = self.entries.iter_mut().find(|e| !e.sent)?;
        entry.sent = true;
        self.unsent -= 1;
        Some(entry)
    }

    /// Drops messages that the client may no longer get; returns how many.
    pub(crate) fn retain_messages(&mut self, keep: impl Fn(&Message) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(|e| match &e.awaiting {
            Awaiting::Acknowledged(owed) | Awaiting::Received(owed) => e.sent || keep(&owed.message),
            Awaiting::Completed => true,
        });
        self.unsent = self.entries.iter().filter(|e| !e.sent).count();
        before - self.entries.len()
    }
}
