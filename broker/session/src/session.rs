//! The session itself: its parts, and how a connection attaches and detaches.

use std::{collections::BTreeSet, time::Instant};

use codec::{Connect, ProtocolVersion};

use crate::{
    Message, QueueLimits, Subscriptions, inflight::Inflight, queue::Queue,
    topic_alias::OutboundAliases,
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

/// The side of a session that exists only while a connection does.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) version: ProtocolVersion,
    /// QoS > 0 messages that may be unacknowledged.
    pub(crate) window: usize,
    pub(crate) packet_bytes_max: usize,
    pub(crate) aliases: OutboundAliases,
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
    /// QoS 2 packet identifiers received and not yet released [MQTT-4.3.3-10].
    pub(crate) awaiting_release: BTreeSet<u16>,
    pub(crate) dropped: u64,
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
            awaiting_release: BTreeSet::new(),
            dropped: 0,
            subscriptions: Subscriptions::default(),
        }
    }

    /// A connection took the session over. What is in flight and queued is written by [`Session::pump`], which the
    /// caller calls after CONNACK.
    pub fn attach(&mut self, attachment: &Attachment, limits: SessionLimits) {
        self.limits = limits;
        self.out = Vec::new();
        self.inflight.mark_unsent();
        let alias_maximum = attachment.topic_alias_maximum.min(limits.topic_alias_maximum);
        self.link = Some(Link {
            version: attachment.version,
            window: attachment.receive_maximum.min(limits.window_max).into(),
            packet_bytes_max: attachment
                .maximum_packet_size
                .and_then(|max| usize::try_from(max).ok())
                .unwrap_or(usize::MAX),
            aliases: OutboundAliases::new(alias_maximum),
        });
    }

    /// The connection is gone. QoS 0 messages not yet written go with it.
    pub fn detach(&mut self) {
        self.link = None;
        self.out = Vec::new();
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

    /// Messages dropped since the session began.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the window has room and nothing waits: the moment for the next page of retained messages.
    pub fn is_caught_up(&self) -> bool {
        self.queue.is_empty()
            && self.inflight.all_sent()
            && self.link.as_ref().is_some_and(|link| {
                self.inflight.sent() < link.window && self.out.len() < self.limits.queue.bytes / 2
            })
    }

    /// Drops what waits and is no longer to be delivered (`keep` says no). Messages whose sending has begun on this
    /// connection are completed.
    pub fn retain_messages(&mut self, keep: impl Fn(&Message) -> bool) -> usize {
        let gone = self.queue.retain(|owed| keep(&owed.message))
            + self.inflight.retain_messages(&keep);
        self.dropped += gone as u64;
        gone
    }

    /// Whether there is something to write.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Moves encoded packets to `buffer`: swapped when that is empty, appended otherwise.
    pub fn take_output(&mut self, buffer: &mut Vec<u8>) {
        if buffer.is_empty() {
            std::mem::swap(&mut self.out, buffer);
        } else {
            buffer.append(&mut self.out);
        }
    }

    /// Writes what the window allows: first what was in flight on the last connection, in its order, then the queue.
    /// Returns how many queued messages were dropped because they had expired or are too large for the client.
    pub fn pump(&mut self, now: Instant) -> usize {
        self.resend(now);
        self.send_queued(now)
    }
}
