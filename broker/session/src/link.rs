//! The side of a session that exists only while a connection does: what the client accepts, and
//! how a PUBLISH is written to it.

use codec::{ProtocolVersion, PublishHead};
use topic::TopicName;

use crate::{
    Attachment, SessionLimits,
    topic_alias::{Alias, OutboundAliases},
};

/// What holds for the present connection only.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) version: ProtocolVersion,
    /// QoS > 0 messages that may be unacknowledged.
    pub(crate) window: u16,
    /// Maximum Packet Size.
    pub(crate) packet_bytes_max: usize,
    /// Absent for the many clients that allow none.
    aliases: Option<Box<OutboundAliases>>,
}

/// The packet would be longer than the client accepts, and was not written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Link {
    pub(crate) fn new(attachment: &Attachment, limits: &SessionLimits) -> Self {
        let aliases = match attachment.version {
            ProtocolVersion::V311 => 0,
            ProtocolVersion::V5 => attachment.topic_alias_maximum.min(limits.topic_alias_maximum),
        };
        let packet_bytes_max = attachment
            .maximum_packet_size
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(usize::MAX);
        Self {
            version: attachment.version,
            window: attachment.receive_maximum.min(limits.window_max),
            packet_bytes_max: packet_bytes_max.min(codec::PACKET_BYTES_MAX),
            aliases: (aliases > 0).then(|| Box::new(OutboundAliases::new(aliases))),
        }
    }

    /// No alias counts as set any more; setting one again is always permitted.
    pub(crate) fn forget_aliases(&mut self) {
        if let Some(aliases) = &mut self.aliases {
            aliases.forget();
        }
    }

    pub(crate) fn sets_aliases(&self) -> bool {
        self.aliases.is_some()
    }

    /// Appends a PUBLISH, with a topic alias where that is possible.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        topic: &TopicName,
        head: &PublishHead<'_>,
    ) -> Result<(), TooLarge> {
        let Some(aliases) = &mut self.aliases else {
            return self.write_plain(out, head);
        };
        let alias = aliases.resolve(topic);
        let aliased = match alias {
            Alias::None => return self.write_plain(out, head),
            Alias::Set(number) => PublishHead { topic_alias: Some(number), ..*head },
            Alias::Use(number) => PublishHead { topic_alias: Some(number), topic: "", ..*head },
        };
        if aliased.encoded_len(self.version) > self.packet_bytes_max {
            // Setting an alias makes it longer; without, it may fit.
            return self.write_plain(out, head);
        }
        reserve_first(out);
        aliased.encode(self.version, out);
        // Only now: an alias must never be used before the packet that sets it is written.
        aliases.confirm(topic, alias);
        Ok(())
    }

    /// Appends a PUBLISH as it is.
    pub(crate) fn write_plain(
        &self,
        out: &mut Vec<u8>,
        head: &PublishHead<'_>,
    ) -> Result<(), TooLarge> {
        if head.encoded_len(self.version) > self.packet_bytes_max {
            return Err(TooLarge);
        }
        reserve_first(out);
        head.encode(self.version, out);
        Ok(())
    }

    /// Appends a PUBLISH that is encoded already.
    pub(crate) fn write_frame(&self, out: &mut Vec<u8>, frame: &[u8]) -> Result<(), TooLarge> {
        if frame.len() > self.packet_bytes_max {
            return Err(TooLarge);
        }
        reserve_first(out);
        out.extend_from_slice(frame);
        Ok(())
    }
}

/// Output starts with room for several small packets instead of growing through every power of two.
fn reserve_first(out: &mut Vec<u8>) {
    if out.capacity() == 0 {
        out.reserve(OUTPUT_FIRST_BYTES);
    }
}

const OUTPUT_FIRST_BYTES: usize = 1024;

#[cfg(test)]
mod tests;
