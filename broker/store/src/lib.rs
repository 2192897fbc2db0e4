//! Owns what must survive the process: messages that somebody is owed, how far each session got with
//! them, sessions with their subscriptions and wills, retained messages.
//!
//! Knows nothing of MQTT's flows (that is `session`), of connections, and of who may do what. It
//! writes down what it is told, in the order in which it is told, and says from when on that survives
//! ([`Store::durable`]); what the records add up to is put together by whoever opens it again.
//!
//! Start reading at [`Store`]. `file.rs` is the one on disk: `file/log.rs` appends records to segments
//! of our own, one write for all that came together and at most one `fdatasync`; `file/state.rs`
//! keeps sessions and retained messages in fjall.
//!
//! Invariants: a message is written once, however many sessions are owed it; what was said to be
//! durable is there again or the store does not open; a torn end is cut off, anything else that is
//! damaged is an error that names file and place.

#![forbid(unsafe_code)]

mod error;
mod file;
mod kept;
pub mod untrusted;

use std::{io, task::Waker, time::Duration};

use codec::{PacketId, QoS};

pub use error::OpenError;
pub use file::{
    Durability, FileStore, FoundClaims, FoundSession, Options, Recovered, Restore, Restored,
    Snapshot, SnapshotFile,
};
pub use kept::{
    KeptIdentity, KeptRule, KeptRules, KeptSession, KeptSubscription, KeptWill, Retained,
};

/// A session in the store; never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);

/// What is written together. What got a ticket is durable once [`Store::durable`] has reached it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A message to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRef<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Properties that travel on, encoded.
    pub forwarded: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// QoS as published.
    pub qos: QoS,
    /// RETAIN flag as published.
    pub retain: bool,
    /// When its Message Expiry Interval has passed, seconds since 1970.
    pub expires_at_unix: Option<u64>,
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Topic Name.
    pub topic: String,
    /// Properties that travel on, encoded.
    pub forwarded: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS as published.
    pub qos: QoS,
    /// RETAIN flag as published.
    pub retain: bool,
    /// When its Message Expiry Interval has passed, seconds since 1970.
    pub expires_at_unix: Option<u64>,
}

impl StoredMessage {
    /// The same, borrowed.
    pub fn as_ref(&self) -> MessageRef<'_> {
        MessageRef {
            topic: &self.topic,
            forwarded: &self.forwarded,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            expires_at_unix: self.expires_at_unix,
        }
    }
}

impl From<MessageRef<'_>> for StoredMessage {
    fn from(message: MessageRef<'_>) -> Self {
        Self {
            topic: message.topic.to_owned(),
            forwarded: message.forwarded.to_owned(),
            payload: message.payload.to_owned(),
            qos: message.qos,
            retain: message.retain,
            expires_at_unix: message.expires_at_unix,
        }
    }
}

/// The QoS 2 PUBLISH that a message came in, until its PUBREL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The publisher.
    pub session: SessionKey,
    /// Its identifier.
    pub packet_id: PacketId,
}

/// One session's claim on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Who.
    pub session: SessionKey,
    /// Counts the session's messages; also tells its Packet Identifier, so that a message has the
    /// same one after a restart.
    pub number: u64,
    /// QoS it is delivered with.
    pub qos: QoS,
    /// RETAIN flag it is delivered with.
    pub retain: bool,
    /// It came by a shared subscription.
    pub shared: bool,
    /// Of the subscriptions it came by.
    pub subscription_identifiers: Box<[u32]>,
}

/// Where a message lies. Never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// What a store takes, and took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory that wait to be written.
    pub pending_bytes: u64,
    /// Where the files of the log begin, the oldest first; the last is written to.
    pub files: Vec<Position>,
    /// Bytes in them.
    pub log_bytes: u64,
    /// Bytes of one file, roughly.
    pub file_bytes: u64,
    /// Batches that were written.
    pub commits: u64,
    /// How long that took.
    pub commit_time: Duration,
}

/// Why nothing more is taken at present. What was taken before is written as soon as that works.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store takes nothing at present: {0}")]
pub struct Unavailable(pub String);

/// A claim on a message as it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOwed {
    /// Where the message lies.
    pub position: Position,
    /// Counts the session's messages.
    pub number: u64,
    /// Bytes of topic, properties and payload.
    pub bytes: u64,
    /// When it expires, seconds since 1970.
    pub expires_at_unix: Option<u64>,
    /// QoS it is delivered with.
    pub qos: QoS,
    /// RETAIN flag it is delivered with.
    pub retain: bool,
    /// It came by a shared subscription.
    pub shared: bool,
    /// Of the subscriptions it came by.
    pub subscription_identifiers: Box<[u32]>,
    /// The client has it and said so (PUBREC): only PUBREL is owed.
    pub received: bool,
}

/// Keeps what must survive. All of it may be called from anywhere and returns at once, but for
/// [`Self::read`], which waits for the disk.
///
/// Appending never fails: what was taken is written, as soon as the disk takes it. Whoever would be
/// told "accepted" waits for [`Self::durable`]; whoever brings more asks [`Self::check`] first.
pub trait Store: Send + Sync {
    /// Whether more messages are taken at present.
    ///
    /// # Errors
    /// The disk is full or refuses to write, or too much waits to be written.
    fn check(&self) -> Result<(), Unavailable>;

    /// Writes a message, once, for [`Self::append_owed`] to say who is owed it. `origin` is noted as
    /// in use.
    ///
    /// The message is held: its place is not given back before [`Self::append_owed`] was called for
    /// it. That must happen exactly once, with an empty list when nobody is owed it.
    fn append_message(&self, message: &MessageRef<'_>, origin: Option<Origin>) -> Position;

    /// Who is owed a message, how many bytes it counts for and when it expires (seconds since 1970).
    /// Lets go of the hold of [`Self::append_message`]. Another thread may have completed, received
    /// or moved some of the claims before.
    fn append_owed(&self, position: Position, size: (usize, Option<u64>), owed: &[Owed]) -> Ticket;

    /// A session's claim on the message at `from`, which was written again at `to` and is still held
    /// there (`append_message(.., None)`, then this for each claim, then `append_owed(to, .., &[])`).
    /// The number stays the same, and so does whether the client said that it has the message.
    ///
    /// The claim must not have been completed, and from now on it is completed at `to`: who calls
    /// this keeps others from completing it meanwhile.
    fn append_moved(&self, from: Position, to: Position, size: (usize, Option<u64>), owed: Owed);

    /// What it takes at present. Whoever finds that too much moves every claim on a message in the
    /// oldest files, with [`Self::append_moved`]: then they are given back.
    fn usage(&self) -> Usage;

    /// The session is done with these of its messages: they were delivered, or dropped.
    fn complete(&self, session: SessionKey, done: &[(u64, Position)]) -> Ticket;

    /// A session that is over no longer is owed the messages at these places, one for each claim.
    /// Called after [`Self::remove_session`].
    fn abandon(&self, positions: &[Position]);

    /// The client has the message and said so (PUBREC).
    fn receive(&self, session: SessionKey, number: u64) -> Ticket;

    /// The client let its identifier go (PUBREL).
    fn release(&self, origin: Origin) -> Ticket;

    /// A key for a new session.
    fn new_session(&self) -> SessionKey;

    /// Keeps what is known of a session, in place of what was.
    fn put_session(&self, key: SessionKey, session: KeptSession) -> Ticket;

    /// The session is over, with its subscriptions and everything it was owed.
    fn remove_session(&self, key: SessionKey) -> Ticket;

    /// Keeps a subscription, in place of one with the same filter.
    fn put_subscription(&self, key: SessionKey, subscription: KeptSubscription) -> Ticket;

    /// The subscription is over.
    fn remove_subscription(&self, key: SessionKey, filter: String) -> Ticket;

    /// Keeps the retained message of a topic, in place of the one before.
    fn put_retained(&self, retained: Retained) -> Ticket;

    /// Nothing is retained for the topic any more.
    fn remove_retained(&self, topic: String) -> Ticket;

    /// The ticket of everything that was taken so far, by whomever.
    fn latest(&self) -> Ticket;

    /// Everything with this ticket or an earlier one survives what [`Durability`] says.
    fn durable(&self) -> Ticket;

    /// Wakes once that has reached `ticket`; at once when it has.
    fn wake_when_durable(&self, ticket: Ticket, waker: &Waker);

    /// The messages at these places. `None` = not written yet: ask again when it is durable.
    ///
    /// # Errors
    /// The disk does not give it back as it was written.
    fn read(&self, positions: &[Position]) -> io::Result<Vec<Option<StoredMessage>>>;
}
