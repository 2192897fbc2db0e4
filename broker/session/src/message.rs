//! A message that outlives the packet it came in: queued, in flight or retained. Knows nothing of
//! who is owed it.

use std::{
    any::Any,
    fmt,
    sync::OnceLock,
    time::{Duration, Instant},
};

use codec::QoS;
use topic::TopicName;

/// An Application Message with everything that must travel on unaltered. Shared by reference
/// between all sessions that are owed it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    topic: TopicName,
    /// Forwarded properties, then the payload: one allocation.
    body: Box<[u8]>,
    forwarded_bytes: usize,
    qos: QoS,
    retain: bool,
    expires_at: Option<Instant>,
    attached: Attached,
}

/// What was found out about a message, once for all who are owed it. Not a part of it.
#[derive(Default)]
struct Attached(OnceLock<Box<dyn Any + Send + Sync>>);

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "something" } else { "nothing" })
    }
}

impl PartialEq for Attached {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Attached {}

impl Message {
    /// Copies `forwarded` (see `codec::Publish::encode_forwarded`) and `payload`.
    pub fn new(topic: TopicName, forwarded: &[u8], payload: &[u8], qos: QoS) -> Self {
        let mut body = Vec::with_capacity(forwarded.len() + payload.len());
        body.extend_from_slice(forwarded);
        body.extend_from_slice(payload);
        Self {
            topic,
            body: body.into_boxed_slice(),
            forwarded_bytes: forwarded.len(),
            qos,
            retain: false,
            expires_at: None,
            attached: Attached::default(),
        }
    }

    /// Sets the RETAIN flag as published.
    #[must_use]
    pub fn with_retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Sets the Message Expiry Interval, counted from `now`.
    #[must_use]
    pub fn with_expiry(mut self, interval_seconds: Option<u32>, now: Instant) -> Self {
        self.expires_at =
            interval_seconds.and_then(|s| now.checked_add(Duration::from_secs(s.into())));
        self
    }

    /// The same with other properties and another payload.
    #[must_use]
    pub fn with_parts(&self, forwarded: &[u8], payload: &[u8]) -> Self {
        let changed = Self::new(self.topic.clone(), forwarded, payload, self.qos);
        Self { retain: self.retain, expires_at: self.expires_at, ..changed }
    }

    /// Topic Name.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Properties that travel on, encoded.
    pub fn forwarded(&self) -> &[u8] {
        self.body.get(..self.forwarded_bytes).unwrap_or_default()
    }

    /// Payload.
    pub fn payload(&self) -> &[u8] {
        self.body.get(self.forwarded_bytes..).unwrap_or_default()
    }

    /// QoS as published.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// RETAIN flag as published.
    pub fn retain(&self) -> bool {
        self.retain
    }

    /// What is known of it beside, made at the first call; it goes with the message. There is one type of it:
    /// `None` = it is another.
    pub fn attached<T: Any + Send + Sync + Default>(&self) -> Option<&T> {
        self.attached.0.get_or_init(|| Box::new(T::default())).downcast_ref()
    }

    /// Bytes it counts for in limits: topic, properties and payload.
    pub fn size_bytes(&self) -> usize {
        self.topic.as_str().len() + self.body.len()
    }

    /// When its Message Expiry Interval has passed.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Whether its Message Expiry Interval has passed [MQTT-3.3.2-5].
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What is left of the Message Expiry Interval, in seconds rounded up [MQTT-3.3.2-6].
    pub fn expiry_left_seconds(&self, now: Instant) -> Option<u32> {
        let left = self.expires_at?.saturating_duration_since(now);
        let rounded = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(u32::try_from(rounded).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
