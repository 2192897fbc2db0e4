//! What the rest of the program may ask a running broker. Implemented by `Broker`; `admin` and its tests depend on
//! this trait only.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use access::{Permissions, Whose};
use codec::ReasonCode;

use limits::{Ban, NewBan};

use crate::{BanError, ListenerAddress, ListenerCertificates, Resources, TlsStatus};

/// A session and, when connected, its connection.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Whether a connection is up.
    pub connected: bool,
    /// The authenticated principal that the session belongs to.
    pub principal: Arc<str>,
    /// The link that authenticated it.
    pub authenticated_by: Arc<str>,
    /// Groups of the identity.
    pub groups: Vec<String>,
    /// User Name as sent in CONNECT.
    pub username: Option<String>,
    /// Listener name.
    pub listener: Arc<str>,
    /// Address of the client; of one on a Unix socket `127.0.0.1:0`.
    pub remote: Option<SocketAddr>,
    /// `3.1.1` or `5.0`.
    pub protocol: &'static str,
    /// Keep Alive in force, seconds.
    pub keep_alive_seconds: u16,
    /// Clean Start of the last CONNECT.
    pub clean_start: bool,
    /// Session Expiry Interval in seconds; `u32::MAX` = never.
    pub session_expiry_interval: u32,
    /// When the connection came up (or went down, when not connected), seconds since 1970.
    pub since_unix: u64,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// Messages sent and not yet acknowledged.
    pub in_flight: usize,
    /// Messages waiting.
    pub queued: usize,
    /// Messages dropped since the session began.
    pub dropped: u64,
    /// Generation of the chain that its permissions came from.
    pub generation: u64,
}

/// One page of clients in client id order.
#[derive(Clone, Debug)]
pub struct ClientPage {
    /// At most `limit`.
    pub clients: Vec<ClientInfo>,
    /// Give this as `after` for the next page; `None` = this is the last.
    pub next: Option<String>,
}

/// One page of bans, in the order in which they were made.
#[derive(Clone, Debug)]
pub struct BanPage {
    /// At most `limit`.
    pub bans: Vec<Ban>,
    /// Give this as `after` for the next page; `None` = this is the last.
    pub next: Option<u64>,
}

/// A bound listener.
#[derive(Clone, Debug)]
pub struct ListenerInfo {
    /// Name.
    pub name: Arc<str>,
    /// `tcp`, ...
    pub transport: &'static str,
    /// Bound address with the real port, or the socket file.
    pub address: ListenerAddress,
    /// Open connections.
    pub connections: u64,
}

/// A limit, and how much of it is in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitInfo {
    /// Its key in the configuration.
    pub name: &'static str,
    /// What is allowed.
    pub maximum: f64,
    /// What is in use; `None` = it is not a limit of the whole broker.
    pub current: Option<f64>,
}

/// A running broker.
pub trait BrokerHandle: Resources {
    /// One client.
    fn client(&self, client_id: &str) -> Option<ClientInfo>;
    /// The permissions in force of a connected client.
    fn permissions(&self, client_id: &str) -> Option<Arc<Permissions>>;
    /// Ends the client's connection with DISCONNECT `reason`; `false` = it is not connected. Its Will Message is sent
    /// as for any abnormal end.
    fn disconnect(&self, client_id: &str, reason: ReasonCode) -> bool;
    /// Permissions are asked for again, whatever is kept of them.
    fn take_back(&self, whose: Whose<'_>);
    /// Bans in force behind the one named `after`, at most `limit`.
    fn bans(&self, after: u64, limit: usize) -> BanPage;
    /// One ban, if it is in force.
    fn find_ban(&self, id: u64) -> Option<Ban>;
    /// Bans somebody, and ends the connections of all who match; how many those were. Blocks until it is kept.
    fn ban(&self, new: NewBan) -> Result<(Ban, u64), BanError>;
    /// Lifts a ban; `None` = there is none of this name. Blocks until that is kept.
    fn lift_ban(&self, id: u64) -> Result<Option<Ban>, BanError>;
    /// The bound listeners; empty before the broker is up.
    fn listeners(&self) -> Vec<ListenerInfo>;
    /// TLS of the listeners that have it.
    fn tls(&self) -> Vec<TlsStatus> {
        Vec::new()
    }
    /// Certificates of the listeners that have TLS. May block.
    fn certificates(&self) -> Vec<ListenerCertificates> {
        Vec::new()
    }
    /// Numbers for status and gauges: connections, sessions, subscriptions, retained messages, retained bytes.
    fn totals(&self) -> Totals;
    /// What sessions are owed, summed up over all of them: for a scrape, not for every second.
    fn queues(&self) -> QueueTotals {
        QueueTotals::default()
    }
    /// The limits in force.
    fn limits(&self) -> Vec<LimitInfo> {
        Vec::new()
    }
    /// Numbers of the store; `None` = nothing outlives the process.
    fn store(&self) -> Option<StoreTotals>;
}

/// Current numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Open connections, also those before CONNECT.
    pub connections: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained_messages: u64,
    /// Their payload and topic bytes.
    pub retained_bytes: u64,
    /// Level of load, 0 to 10.
    pub overload_level: u8,
}

/// What sessions are owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTotals {
    /// Sessions with a connection.
    pub connected: u64,
    /// Messages that wait.
    pub queued: u64,
    /// Their bytes, as far as they are in memory.
    pub queued_bytes: u64,
    /// Most messages that wait for one session.
    pub queued_longest: u64,
    /// Messages sent and not yet acknowledged.
    pub in_flight: u64,
    /// Sessions for which any wait.
    pub waiting_sessions: u64,
}

/// Current numbers of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreTotals {
    /// Whether it takes more.
    pub available: bool,
    /// Bytes that wait to be written.
    pub pending_bytes: u64,
    /// Files of its log.
    pub log_files: u64,
    /// Bytes in them.
    pub log_bytes: u64,
    /// Batches that were written.
    pub commits: u64,
    /// How long that took.
    pub commit_time: Duration,
}
