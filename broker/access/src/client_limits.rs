//! Bounds that a grant sets for one client. Who enforces them is the server's business.

/// Bounds for one client; `None` = what the configuration says. WIT record `client-limits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientLimits {
    /// PUBLISH packets a second from it, 1 or more.
    pub messages_per_second: Option<u32>,
    /// PUBLISH packets at once after a pause; `None` = as many as in a second.
    pub messages_burst: Option<u32>,
    /// Bytes a second from it, 1,024 or more.
    pub bytes_per_second: Option<u32>,
    /// Receive Maximum that it is told, 1 or more.
    pub receive_maximum: Option<u16>,
    /// QoS 1 and 2 messages in flight to it, 1 or more.
    pub in_flight_max: Option<u16>,
    /// Messages that wait for it.
    pub queue_messages_max: Option<u32>,
    /// Bytes of payload that wait for it.
    pub queue_bytes_max: Option<u32>,
    /// Bytes of a packet from it, 128 or more.
    pub packet_bytes_max: Option<u32>,
    /// Keep Alive in seconds, 1 or more.
    pub keep_alive_seconds_max: Option<u16>,
    /// Subscriptions at once.
    pub subscriptions_max: Option<u32>,
}

impl ClientLimits {
    /// What satisfies both.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        Self {
            messages_per_second: least(self.messages_per_second, other.messages_per_second),
            messages_burst: least(self.messages_burst, other.messages_burst),
            bytes_per_second: least(self.bytes_per_second, other.bytes_per_second),
            receive_maximum: least(self.receive_maximum, other.receive_maximum),
            in_flight_max: least(self.in_flight_max, other.in_flight_max),
            queue_messages_max: least(self.queue_messages_max, other.queue_messages_max),
            queue_bytes_max: least(self.queue_bytes_max, other.queue_bytes_max),
            packet_bytes_max: least(self.packet_bytes_max, other.packet_bytes_max),
            keep_alive_seconds_max: least(
                self.keep_alive_seconds_max,
                other.keep_alive_seconds_max,
            ),
            subscriptions_max: least(self.subscriptions_max, other.subscriptions_max),
        }
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}
