//! Owns the bytes of MQTT 3.1.1 and 5.0: control packets in, control packets out.
//!
//! Knows nothing of sockets, sessions, permissions or time. A packet that decodes is valid by the
//! rules that a single packet can be judged by; rules that need state (packet identifiers in use,
//! topic aliases, receive maximum) live in `session`.
//!
//! Start reading at [`Packet`] and [`decode`]. One file per control packet, named as in the
//! specification.
//!
//! Invariants: no panic on any input; nothing is ever allocated from a length that the peer merely
//! announced; PUBLISH decodes without copying topic, payload or properties.

#![forbid(unsafe_code)]

mod auth;
mod connack;
mod connect;
mod disconnect;
mod error;
mod fixed_header;
mod outline;
mod packet;
mod pingreq;
mod properties;
mod property;
mod puback;
mod publish;
mod reader;
mod reason_code;
mod suback;
mod subscribe;
#[cfg(test)]
mod test_support;
mod topic_name;
mod unsuback;
mod unsubscribe;
mod utf8;
mod variable_byte_integer;
mod will;
mod writer;

pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::Connect;
pub use disconnect::Disconnect;
pub use error::{Error, ErrorKind};
pub use outline::{Outline, outlines};
pub use packet::{
    Decoded, PACKET_BYTES_MAX, Packet, PacketId, PacketType, ProtocolVersion, QoS, decode,
};
pub use properties::{UserProperties, UserPropertiesBuf};
pub use puback::{Acknowledgement, encode_acknowledgement};
pub use publish::{Publish, PublishHead};
pub use reason_code::ReasonCode;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, SubscriptionOptions, SubscriptionRequest};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;
pub use will::Will;
