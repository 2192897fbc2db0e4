//! Owns topic names, topic filters, shared subscription names, the subscription tree and the
//! retained tree: MQTT 5.0 section 4.7 and 4.8.2, which is also MQTT 3.1.1 section 4.7.
//!
//! Knows nothing of packets, sessions, permissions, time or files.
//!
//! Start reading at [`TopicName`] and [`TopicFilter`]; [`Trie`] answers "who subscribes to this
//! topic", [`RetainedTree`] answers "which kept messages does this filter want".
//!
//! Invariants: a [`TopicName`] or [`TopicFilter`] that exists is valid; topics are compared byte
//! by byte, never normalised [MQTT-4.7.3-4]; nothing recurses on the depth of a topic; hash keys
//! chosen by peers are hashed with a seed drawn at run time.

#![forbid(unsafe_code)]

mod filter;
mod name;
mod retained;
mod shared;
mod trie;

pub use filter::TopicFilter;
pub use name::{InvalidTopic, TOPIC_BYTES_MAX, TopicName, is_of_broker, level_count};
pub use retained::RetainedTree;
pub use shared::{ShareName, SubscriptionFilter};
pub use trie::{Trie, fresh_hasher};
