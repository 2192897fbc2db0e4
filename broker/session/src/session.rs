//! The session itself: its parts, and how a connection attaches and detaches. The flows are in
//! `inbound` and `outbound`.

use std::time::Instant;

use codec::{Connect, ProtocolVersion, QoS};

use crate::{
    Message, OutboundClaims, QueueLimits, Subscriptions,
    inbound::Unreleased,
    inflight::Inflight,
    kept::{Kept, let_go},
    link::Link,
    queue::Queue,
};

/// Limits of a session, from configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// The queue.
    pub queue: QueueLimits,
    /// Most QoS > 0 messages in flight to a client, whatever Receive Maximum it offers.
    pub window_max: u16,
    /// Most QoS 2 messages in flight from a client: the Receive Maximum of our CONNACK.
    pub receive_maximum: u16,
    /// Most topic aliases that we set towards a client.
    pub topic_alias_maximum: u16,
}

/// What a connection brings to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Protocol level.
    pub version: ProtocolVersion,
    /// Receive Maximum of the client.
    pub receive_maximum: u16,
    /// Maximum Packet Size of the client in bytes; `None` = no limit.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum of the client.
    pub topic_alias_maximum: u16,
}

impl From<&Connect> for Attachment {
    fn from(connect: &Connect) -> Self {
        Self {
            version: connect.version,
            receive_maximum: connect.receive_maximum,
            maximum_packet_size: connect.maximum_packet_size,
            topic_alias_maximum: connect.topic_alias_maximum,
        }
    }
}

/// What outlives a connection. Not thread-safe: the caller locks it.
#[derive(Debug)]
pub struct Session {
    pub(crate) limits: SessionLimits,
    /// Messages wait for an absent client (Session Expiry Interval > 0).
    pub(crate) persistent: bool,
    pub(crate) link: Option<Link>,
    /// Encoded packets for the connection to write.
    pub(crate) out: Vec<u8>,
    pub(crate) inflight: Inflight,
    pub(crate) queue: Queue,
    pub(crate) unreleased: Unreleased,
    pub(crate) dropped: u64,
    /// What waits until transforms have worked on it.
    pub(crate) claims: Option<OutboundClaims>,
    /// In a session that outlives the process.
    pub(crate) kept: Option<Box<Kept>>,
    /// The subscriptions.
    pub subscriptions: Subscriptions,
}

impl Session {
    /// A session without connection. `persistent`: keep messages while the client is away.
    pub fn new(limits: SessionLimits, persistent: bool) -> Self {
        Self {
            limits,
            persistent,
            link: None,
            out: Vec::new(),
            inflight: Inflight::default(),
            queue: Queue::default(),
            unreleased: Unreleased::default(),
            dropped: 0,
            claims: None,
            kept: None,
            subscriptions: Subscriptions::default(),
        }
    }

    /// A connection took the session over. What is in flight and queued is written by
    /// [`Session::pump`], which the caller calls once it may flow.
    pub fn attach(&mut self, attachment: &Attachment, limits: SessionLimits) {
        self.detach();
        self.limits = limits;
        self.unreleased.begin_connection();
        self.link = Some(Link::new(attachment, &limits));
    }

    /// The connection is gone. QoS 0 messages that it has not taken go with it; others that it has
    /// not taken wait in the queue again, the rest waits to be sent again.
    pub fn detach(&mut self) {
        self.take_back_output();
        self.inflight.mark_unsent();
        self.link = None;
        if self.queue.owed().any(|owed| owed.qos == QoS::AtMostOnce) {
            self.queue.retain_owed(|owed| owed.qos > QoS::AtMostOnce, |_, _| {});
        }
        self.queue.leave_to_store();
    }

    /// Takes back what is encoded and not yet taken, so that it is judged and encoded anew; QoS 0
    /// messages among it are lost. The next [`Session::pump`] writes what may still flow.
    pub fn take_back_output(&mut self) {
        self.out = Vec::new();
        let queue = &mut self.queue;
        self.inflight.take_back(|owed| queue.push_front(owed));
        if let Some(link) = &mut self.link {
            // Packets that set an alias may be among what was thrown away.
            link.forget_aliases();
        }
    }

    /// The session is over: nothing is owed any more. Returns the session as it was.
    pub fn discard(&mut self) -> Self {
        let over = Self::new(self.limits, false);
        std::mem::replace(self, over)
    }

    /// Whether messages are kept while the client is away.
    pub fn set_persistent(&mut self, persistent: bool) {
        self.persistent = persistent;
    }

    /// Whether it outlives its connection.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Whether a connection is attached.
    pub fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// Messages sent and not completed.
    pub fn in_flight(&self) -> usize {
        self.inflight.len()
    }

    /// Messages that wait in the queue.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of the messages that wait in the queue: topics, properties and payloads.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Messages dropped since the session began.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the window has room and nothing waits: the moment for the next page of retained
    /// messages. A few may wait for transforms: they would have to be asked for each page otherwise.
    pub fn is_caught_up(&self) -> bool {
        (self.queue.is_empty() || self.claims.is_some() && self.queue.has_few())
            && self.inflight.all_sent()
            && self.link.as_ref().is_some_and(|link| {
                self.inflight.sent() < link.window.into()
                    && self.out.len() < self.limits.queue.bytes / 2
            })
    }

    /// How many more PUBLISH packets with QoS 1 or 2 the client would be sent at once.
    pub fn window_room(&self) -> usize {
        let window: usize = self.link.as_ref().map_or(0, |link| link.window.into());
        window.saturating_sub(self.inflight.sent())
    }

    /// Drops what waits and is no longer to be delivered (`keep` says no). Messages whose sending
    /// has begun on this connection are completed.
    pub fn retain_messages(&mut self, keep: impl Fn(&Message) -> bool) -> usize {
        let Self { queue, inflight, kept, .. } = self;
        let mut of_entries = Vec::new();
        let gone = queue.retain_owed(
            |owed| keep(&owed.message),
            |claim, qos| let_go((inflight, kept), claim, qos),
        );
        let gone =
            gone + inflight.retain_messages(&keep, |claim, stays| of_entries.push((claim, stays)));
        for (claim, stays) in of_entries {
            match kept {
                Some(kept) if stays => kept.give_up(claim),
                Some(kept) => kept.done.push(claim),
                None => {}
            }
        }
        self.dropped += gone as u64;
        gone
    }

    /// Whether messages wait in memory that no connection has taken on its way yet: in the queue, or in
    /// flight from an earlier connection.
    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.inflight.all_sent()
    }

    /// Whether there is something to write.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Moves encoded packets to `buffer`: swapped when that is empty, appended otherwise. Messages
    /// that waited because there was too much output are written then: with nothing in flight, no
    /// acknowledgement would ever do it. Whoever cannot write at present should not take.
    pub fn take_output(&mut self, buffer: &mut Vec<u8>, now: Instant) {
        if buffer.is_empty() {
            std::mem::swap(&mut self.out, buffer);
        } else {
            buffer.append(&mut self.out);
        }
        self.inflight.mark_taken();
        self.pump(now);
    }

    /// Writes what the window allows: first what was in flight on the last connection, in its
    /// order, then the queue. Returns how many messages were dropped because they had expired or
    /// are too large for the client.
    pub fn pump(&mut self, now: Instant) -> usize {
        self.resend(now) + self.send_queued(now)
    }
}

#[cfg(test)]
mod tests;
