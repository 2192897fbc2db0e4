//! One message on its way to many sessions: encoded once per protocol version, copied to the heap
//! at most once.
//!
//! Made by `server` for each PUBLISH; [`crate::Session::deliver`] takes from it what it needs.

use std::{sync::Arc, time::Instant};

use codec::{ProtocolVersion, PublishHead, QoS};
use topic::TopicName;

use crate::{Message, OutboundClaims};

/// Buffers for encoded QoS 0 frames, kept by the publisher's connection so that no message
/// allocates them.
#[derive(Debug, Default)]
pub struct Frames {
    v311: Vec<u8>,
    v5: Vec<u8>,
}

impl Frames {
    /// Gives memory above `bytes` back.
    pub fn shrink_to(&mut self, bytes: usize) {
        for frame in [&mut self.v311, &mut self.v5] {
            frame.clear();
            frame.shrink_to(bytes);
        }
    }
}

/// A message being delivered. Borrows from the read buffer until a session has to keep it.
#[derive(Debug)]
pub struct Fanout<'a> {
    topic: &'a TopicName,
    forwarded: &'a [u8],
    payload: &'a [u8],
    qos: QoS,
    retain: bool,
    expiry_seconds: Option<u32>,
    now: Instant,
    frames: &'a mut Frames,
    message: Option<Arc<Message>>,
    /// Whether the last of those asked claims it: mostly all subscribers have the same.
    claimed: Option<(OutboundClaims, bool)>,
}

impl<'a> Fanout<'a> {
    /// A message as published: `forwarded` from `codec::Publish::encode_forwarded`.
    pub fn new(
        topic: &'a TopicName,
        (forwarded, payload): (&'a [u8], &'a [u8]),
        (qos, retain): (QoS, bool),
        (expiry_seconds, now): (Option<u32>, Instant),
        frames: &'a mut Frames,
    ) -> Self {
        frames.v311.clear();
        frames.v5.clear();
        let (message, claimed) = (None, None);
        Self {
            topic,
            forwarded,
            payload,
            qos,
            retain,
            expiry_seconds,
            now,
            frames,
            message,
            claimed,
        }
    }

    /// A message that is already kept (retained, a will).
    pub fn from_message(message: &'a Arc<Message>, now: Instant, frames: &'a mut Frames) -> Self {
        let expiry = (message.expiry_left_seconds(now), now);
        let parts = (message.forwarded(), message.payload());
        let flags = (message.qos(), message.retain());
        let mut fanout = Self::new(message.topic(), parts, flags, expiry, frames);
        fanout.message = Some(Arc::clone(message));
        fanout
    }

    /// Topic Name.
    pub fn topic(&self) -> &'a TopicName {
        self.topic
    }

    /// QoS as published.
    pub fn qos(&self) -> QoS {
        self.qos
    }

    /// RETAIN flag as published.
    pub fn retain(&self) -> bool {
        self.retain
    }

    /// Properties that travel on, encoded, and the payload.
    pub fn parts(&self) -> (&'a [u8], &'a [u8]) {
        (self.forwarded, self.payload)
    }

    /// Message Expiry Interval in seconds, from now on.
    pub fn expiry_seconds(&self) -> Option<u32> {
        self.expiry_seconds
    }

    /// Whether transforms work on it.
    pub(crate) fn is_claimed(&mut self, claims: &OutboundClaims) -> bool {
        match &self.claimed {
            Some((last, claimed)) if last.is(claims) => *claimed,
            _ => {
                let claimed = claims.claim(self.topic);
                self.claimed = Some((claims.clone(), claimed));
                claimed
            }
        }
    }

    /// The message on the heap, made at the first call.
    pub fn message(&mut self) -> &Arc<Message> {
        self.message.get_or_insert_with(|| {
            let message = Message::new(self.topic.clone(), self.forwarded, self.payload, self.qos)
                .with_retain(self.retain)
                .with_expiry(self.expiry_seconds, self.now);
            Arc::new(message)
        })
    }

    /// What is written for it at QoS 0 without flags.
    pub(crate) fn head(&self) -> PublishHead<'a> {
        PublishHead {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: self.topic.as_str(),
            packet_id: None,
            topic_alias: None,
            message_expiry_interval: self.expiry_seconds,
            subscription_identifiers: &[],
            forwarded: self.forwarded,
            payload: self.payload,
        }
    }

    /// The whole packet at QoS 0 with RETAIN 0 and no subscription identifier: what most
    /// subscribers of a fan-out get.
    pub(crate) fn plain_frame(&mut self, version: ProtocolVersion) -> &[u8] {
        let head = self.head();
        let frame = match version {
            ProtocolVersion::V311 => &mut self.frames.v311,
            ProtocolVersion::V5 => &mut self.frames.v5,
        };
        if frame.is_empty() {
            head.encode(version, frame);
        }
        frame
    }
}

#[cfg(test)]
mod tests;
