//! Owns how long and how many the parts of packets, queues and stores may be.
//!
//! Knows nothing of packets and of reason codes: an excess names its limit, `server` chooses the
//! answer.

use std::time::Duration;

use crate::range::{OutOfRange, Range, check, check_duration};

/// Lengths, counts and times. All are upper bounds, inclusive; the ranges are in [`RANGES`] under
/// the names of the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a control packet, fixed header included, after CONNECT was accepted; announced as
    /// Maximum Packet Size. Default 1 MiB.
    pub packet_bytes: usize,
    /// The same before CONNECT was accepted: memory for somebody unknown. Default 64 KiB.
    pub packet_bytes_before_connect: usize,
    /// Bytes of a client identifier. Default 256.
    pub client_id_bytes: usize,
    /// Bytes of a User Name, and of a principal. Default 1,024.
    pub username_bytes: usize,
    /// Bytes of a topic name or filter. Default 1,024.
    pub topic_bytes: usize,
    /// Levels of a topic name or filter; bounds the work of matching. Default 64.
    pub topic_levels: usize,
    /// Sessions, connected or not. Default 200,000.
    pub sessions: usize,
    /// Those among them of one principal. Default 10,000.
    pub sessions_per_principal: usize,
    /// Subscriptions of one session, and topic filters of one SUBSCRIBE. Default 100.
    pub subscriptions_per_client: usize,
    /// Those among them with a wildcard; bounds the work that one client can add to each
    /// publish. Default 10.
    pub wildcard_subscriptions_per_client: usize,
    /// QoS 1 and 2 messages in flight, each way; announced as Receive Maximum. Default 32.
    pub receive_maximum: u16,
    /// Messages that wait for one session. Default 1,000.
    pub queue_messages: usize,
    /// Bytes of payload that wait for one session. Default 1 MiB.
    pub queue_bytes: usize,
    /// Keep alive in seconds; announced as Server Keep Alive to who asks for more or for none.
    /// Default 3,600.
    pub keep_alive_max: u16,
    /// Topic aliases of one connection, each way; 0 = none. Default 10.
    pub topic_alias_maximum: u16,
    /// User properties of one packet or will. Default 64.
    pub user_properties: usize,
    /// Bytes of their names and values together. Default 8 KiB.
    pub user_property_bytes: usize,
    /// Topics with a retained message. Default 100,000.
    pub retained_messages: usize,
    /// Bytes of all retained messages together. Default 256 MiB.
    pub retained_bytes: usize,
    /// Session Expiry Interval in seconds; announced to who asks for more. Default 7 days.
    pub session_expiry_max: u32,
    /// From accepting a connection to its complete CONNECT. Default 5 s.
    pub connect_timeout: Duration,
    /// How long a client may take nothing of what is written to it; its session stays. Default 30 s.
    pub write_timeout: Duration,
    /// Bytes that all connections together hold of what is not yet a whole CONNECT, beyond the first
    /// KiB of each. Default 32 MiB.
    pub strangers_bytes: usize,
    /// Close a connection that only keeps itself alive for this long. None = never (default).
    pub idle_timeout: Option<Duration>,
}

/// (field of [`Sizes`], smallest, largest value that configuration may set); durations in
/// milliseconds. Memory that one peer can pin is bounded by the largest values too.
pub const RANGES: &[(&str, u64, u64)] = &[
    PACKET_BYTES,
    PACKET_BYTES_BEFORE_CONNECT,
    CLIENT_ID_BYTES,
    USERNAME_BYTES,
    TOPIC_BYTES,
    TOPIC_LEVELS,
    SESSIONS,
    SESSIONS_PER_PRINCIPAL,
    SUBSCRIPTIONS_PER_CLIENT,
    WILDCARD_SUBSCRIPTIONS_PER_CLIENT,
    RECEIVE_MAXIMUM,
    QUEUE_MESSAGES,
    QUEUE_BYTES,
    KEEP_ALIVE_MAX,
    TOPIC_ALIAS_MAXIMUM,
    USER_PROPERTIES,
    USER_PROPERTY_BYTES,
    RETAINED_MESSAGES,
    RETAINED_BYTES,
    SESSION_EXPIRY_MAX,
    CONNECT_TIMEOUT,
    WRITE_TIMEOUT,
    STRANGERS_BYTES,
    IDLE_TIMEOUT,
];

/// Something is longer, or more, than a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit} exceeded: {value} is more than {maximum}")]
pub struct SizeExceeded {
    /// Field of [`Sizes`].
    pub limit: &'static str,
    /// What was asked for.
    pub value: u64,
    /// What is allowed.
    pub maximum: u64,
}

impl Sizes {
    /// Whether each value is within its range of [`RANGES`].
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check(PACKET_BYTES, self.packet_bytes as u64)?;
        check(PACKET_BYTES_BEFORE_CONNECT, self.packet_bytes_before_connect as u64)?;
        check(CLIENT_ID_BYTES, self.client_id_bytes as u64)?;
        check(USERNAME_BYTES, self.username_bytes as u64)?;
        check(TOPIC_BYTES, self.topic_bytes as u64)?;
        check(TOPIC_LEVELS, self.topic_levels as u64)?;
        check(SESSIONS, self.sessions as u64)?;
        check(SESSIONS_PER_PRINCIPAL, self.sessions_per_principal as u64)?;
        check(SUBSCRIPTIONS_PER_CLIENT, self.subscriptions_per_client as u64)?;
        check(WILDCARD_SUBSCRIPTIONS_PER_CLIENT, self.wildcard_subscriptions_per_client as u64)?;
        check(RECEIVE_MAXIMUM, self.receive_maximum)?;
        check(QUEUE_MESSAGES, self.queue_messages as u64)?;
        check(QUEUE_BYTES, self.queue_bytes as u64)?;
        check(KEEP_ALIVE_MAX, self.keep_alive_max)?;
        check(TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum)?;
        check(USER_PROPERTIES, self.user_properties as u64)?;
        check(USER_PROPERTY_BYTES, self.user_property_bytes as u64)?;
        check(RETAINED_MESSAGES, self.retained_messages as u64)?;
        check(RETAINED_BYTES, self.retained_bytes as u64)?;
        check(SESSION_EXPIRY_MAX, self.session_expiry_max)?;
        check_duration(CONNECT_TIMEOUT, self.connect_timeout)?;
        check_duration(WRITE_TIMEOUT, self.write_timeout)?;
        check(STRANGERS_BYTES, self.strangers_bytes as u64)?;
        self.idle_timeout.map_or(Ok(()), |timeout| check_duration(IDLE_TIMEOUT, timeout))
    }

    /// Whether a client identifier is short enough.
    ///
    /// # Errors
    /// Names `client_id_bytes`.
    pub fn check_client_id(&self, client_id: &str) -> Result<(), SizeExceeded> {
        at_most("client_id_bytes", client_id.len(), self.client_id_bytes)
    }

    /// Whether a User Name, or the principal that a plugin named, is short enough.
    ///
    /// # Errors
    /// Names `username_bytes`.
    pub fn check_username(&self, username: &str) -> Result<(), SizeExceeded> {
        at_most("username_bytes", username.len(), self.username_bytes)
    }

    /// Whether there may be `count` sessions, `of_principal` of them of one principal.
    ///
    /// # Errors
    /// Names `sessions` or `sessions_per_principal`.
    pub fn check_sessions(&self, count: usize, of_principal: usize) -> Result<(), SizeExceeded> {
        at_most("sessions", count, self.sessions)?;
        at_most("sessions_per_principal", of_principal, self.sessions_per_principal)
    }

    /// Whether a topic name is short enough and has few enough levels.
    ///
    /// # Errors
    /// Names `topic_bytes` or `topic_levels`.
    pub fn check_topic(&self, topic: &str) -> Result<(), SizeExceeded> {
        at_most("topic_bytes", topic.len(), self.topic_bytes)?;
        // After the length, so that nobody makes us count the levels of 64 KiB.
        let levels = topic.bytes().filter(|byte| *byte == b'/').count() + 1;
        at_most("topic_levels", levels, self.topic_levels)
    }

    /// Whether a topic filter is short enough and has few enough levels. Given as in SUBSCRIBE,
    /// `$share/NAME/` counts like the rest of the text.
    ///
    /// # Errors
    /// Names `topic_bytes` or `topic_levels`.
    pub fn check_filter(&self, filter: &str) -> Result<(), SizeExceeded> {
        self.check_topic(filter)
    }

    /// Whether there are few enough user properties; `bytes` of their names and values together.
    ///
    /// # Errors
    /// Names `user_properties` or `user_property_bytes`.
    pub fn check_user_properties(&self, count: usize, bytes: usize) -> Result<(), SizeExceeded> {
        at_most("user_properties", count, self.user_properties)?;
        at_most("user_property_bytes", bytes, self.user_property_bytes)
    }

    /// Whether a session may have `count` subscriptions, `wildcards` of them with a wildcard.
    ///
    /// # Errors
    /// Names `subscriptions_per_client` or `wildcard_subscriptions_per_client`.
    pub fn check_subscriptions(&self, count: usize, wildcards: usize) -> Result<(), SizeExceeded> {
        at_most("subscriptions_per_client", count, self.subscriptions_per_client)?;
        let maximum = self.wildcard_subscriptions_per_client;
        at_most("wildcard_subscriptions_per_client", wildcards, maximum)
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            packet_bytes: 1 << 20,
            packet_bytes_before_connect: 64 << 10,
            client_id_bytes: 256,
            username_bytes: 1_024,
            topic_bytes: 1_024,
            topic_levels: 64,
            sessions: 200_000,
            sessions_per_principal: 10_000,
            subscriptions_per_client: 100,
            wildcard_subscriptions_per_client: 10,
            receive_maximum: 32,
            queue_messages: 1_000,
            queue_bytes: 1 << 20,
            keep_alive_max: 3_600,
            topic_alias_maximum: 10,
            user_properties: 64,
            user_property_bytes: 8 << 10,
            retained_messages: 100_000,
            retained_bytes: 256 << 20,
            session_expiry_max: 7 * 24 * 3_600,
            connect_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            strangers_bytes: 32 << 20,
            idle_timeout: None,
        }
    }
}

fn at_most(limit: &'static str, value: usize, maximum: usize) -> Result<(), SizeExceeded> {
    if value <= maximum {
        return Ok(());
    }
    Err(SizeExceeded { limit, value: value as u64, maximum: maximum as u64 })
}

/// Largest remaining length of the protocol, 4 bytes of 7 bits, and 5 bytes of fixed header.
const PACKET_BYTES: Range = ("packet_bytes", 1_024, 268_435_460);
const PACKET_BYTES_BEFORE_CONNECT: Range = ("packet_bytes_before_connect", 256, 1 << 20);
/// 23 bytes must be accepted [MQTT-3.1.3-5].
const CLIENT_ID_BYTES: Range = ("client_id_bytes", 23, 65_535);
const USERNAME_BYTES: Range = ("username_bytes", 1, 65_535);
const TOPIC_BYTES: Range = ("topic_bytes", 1, 65_535);
const TOPIC_LEVELS: Range = ("topic_levels", 1, 1_024);
const SESSIONS: Range = ("sessions", 1, 100_000_000);
const SESSIONS_PER_PRINCIPAL: Range = ("sessions_per_principal", 1, 100_000_000);
const SUBSCRIPTIONS_PER_CLIENT: Range = ("subscriptions_per_client", 1, 1_000_000);
const WILDCARD_SUBSCRIPTIONS_PER_CLIENT: Range =
    ("wildcard_subscriptions_per_client", 0, 1_000_000);
/// 0 is a protocol error [MQTT 3.2.2.3.3].
const RECEIVE_MAXIMUM: Range = ("receive_maximum", 1, 65_535);
const QUEUE_MESSAGES: Range = ("queue_messages", 1, 10_000_000);
const QUEUE_BYTES: Range = ("queue_bytes", 1_024, 16 << 30);
const KEEP_ALIVE_MAX: Range = ("keep_alive_max", 1, 65_535);
const TOPIC_ALIAS_MAXIMUM: Range = ("topic_alias_maximum", 0, 65_535);
const USER_PROPERTIES: Range = ("user_properties", 0, 65_535);
const USER_PROPERTY_BYTES: Range = ("user_property_bytes", 0, 16 << 20);
const RETAINED_MESSAGES: Range = ("retained_messages", 0, 100_000_000);
const RETAINED_BYTES: Range = ("retained_bytes", 0, 1 << 40);
/// 0xFFFFFFFF would mean "never expires" [MQTT 3.1.2.11.2]: here each session ends some day.
const SESSION_EXPIRY_MAX: Range = ("session_expiry_max", 0, 10 * 365 * 24 * 3_600);
const CONNECT_TIMEOUT: Range = ("connect_timeout", 100, 60_000);
const WRITE_TIMEOUT: Range = ("write_timeout", 1_000, 3_600_000);
const STRANGERS_BYTES: Range = ("strangers_bytes", 1 << 20, 64 << 30);
const IDLE_TIMEOUT: Range = ("idle_timeout", 1_000, 30 * 24 * 3_600_000);

#[cfg(test)]
mod tests;
