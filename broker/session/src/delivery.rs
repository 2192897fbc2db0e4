//! The words between a publisher and a session: how a message is wanted, and what became of it.

use codec::QoS;

/// How a subscription wants the message.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryOptions<'a> {
    /// Maximum QoS of the subscription.
    pub maximum_qos: QoS,
    /// RETAIN flag to send.
    pub retain: bool,
    /// Subscription Identifiers of all matching subscriptions.
    pub subscription_identifiers: &'a [u32],
    /// It comes by a shared subscription.
    pub shared: bool,
    /// Where the store has the message: a kept session takes none with QoS > 0 without that.
    pub place: Option<u64>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Encoded for the connection.
    Sent,
    /// Queued.
    Queued,
    /// Queued in place of so many older ones.
    QueuedDropping(usize),
    /// Dropped.
    Dropped(DropReason),
    /// Dropped, and policy says to end the slow client's connection.
    Disconnect,
}

/// Why a message was dropped; `name` is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The queue is full.
    QueueFull,
    /// QoS 0 and the client does not read fast enough.
    SlowConsumer,
    /// Larger than the client's Maximum Packet Size [MQTT-3.1.2-25].
    TooLarge,
    /// QoS 0, or a session that does not outlive its connection, and the client is away.
    NotConnected,
    /// The session outlives the process, and the store does not have the message.
    NotStored,
}

impl DropReason {
    /// Label in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SlowConsumer => "slow_consumer",
            Self::TooLarge => "too_large",
            Self::NotConnected => "not_connected",
            Self::NotStored => "not_stored",
        }
    }
}
