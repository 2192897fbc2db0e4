//! Topic aliases (section 3.3.2.3.4): state of a connection, not of the session [MQTT-3.3.2-7].
//! Which packets they go into is decided by `link`.

use std::collections::HashMap;

use topic::TopicName;

use crate::Error;

/// Aliases that the client set, client to server.
#[derive(Debug, Default)]
pub struct InboundAliases {
    maximum: u16,
    topics: Vec<Option<TopicName>>,
}

impl InboundAliases {
    /// `maximum` is the Topic Alias Maximum of our CONNACK.
    pub fn new(maximum: u16) -> Self {
        Self { maximum, topics: Vec::new() }
    }

    /// The topic that stands behind an alias without a Topic Name.
    pub fn topic(&self, alias: u16) -> Result<&TopicName, Error> {
        let at = self.position(alias)?;
        self.topics.get(at).and_then(Option::as_ref).ok_or(Error::TopicAliasUnknown)
    }

    fn position(&self, alias: u16) -> Result<usize, Error> {
        if alias > self.maximum {
            return Err(Error::TopicAliasInvalid);
        }
        usize::from(alias).checked_sub(1).ok_or(Error::TopicAliasInvalid)
    }

    /// Sets or replaces an alias.
    pub fn set(&mut self, alias: u16, topic: TopicName) -> Result<(), Error> {
        let at = self.position(alias)?;
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        if let Some(slot) = self.topics.get_mut(at) {
            *slot = Some(topic);
        }
        Ok(())
    }
}

/// Aliases that we set, server to client: the first topics of the connection get them.
#[derive(Debug, Default)]
pub(crate) struct OutboundAliases {
    maximum: u16,
    aliases: HashMap<TopicName, u16>,
}

/// How a topic is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alias {
    /// By name alone.
    None,
    /// By name, setting this alias.
    Set(u16),
    /// By this alias alone.
    Use(u16),
}

impl OutboundAliases {
    pub(crate) fn new(maximum: u16) -> Self {
        Self { maximum, aliases: HashMap::new() }
    }

    pub(crate) fn forget(&mut self) {
        self.aliases.clear();
    }

    /// How to write this topic. [`Alias::Set`] must be confirmed once the packet is really written.
    pub(crate) fn resolve(&self, topic: &TopicName) -> Alias {
        if topic.as_str().len() <= PROPERTY_BYTES {
            return Alias::None;
        }
        if let Some(alias) = self.aliases.get(topic) {
            return Alias::Use(*alias);
        }
        match u16::try_from(self.aliases.len() + 1) {
            Ok(next) if next <= self.maximum => Alias::Set(next),
            _ => Alias::None,
        }
    }

    pub(crate) fn confirm(&mut self, topic: &TopicName, alias: Alias) {
        if let Alias::Set(number) = alias {
            self.aliases.insert(topic.clone(), number);
        }
    }
}

/// Bytes of the Topic Alias property: a topic no longer than that gains nothing by one.
const PROPERTY_BYTES: usize = 3;

#[cfg(test)]
mod tests;
