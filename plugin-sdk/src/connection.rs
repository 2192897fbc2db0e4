//! The connection that a decision is about. The types come from the contract; a default value is
//! there for tests.

pub use crate::bindings::portcullis::plugin::types::{
    Attribute, Connection, PeerCertificate, ProtocolVersion, Qos, TlsSession,
};

impl Attribute {
    /// A named text.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A plain MQTT 5.0 connection from 127.0.0.1 without a username: the start of a unit test.
impl Default for Connection {
    fn default() -> Self {
        Self {
            connection_id: 1,
            client_id: "client".to_owned(),
            username: None,
            listener: "mqtt".to_owned(),
            remote_address: "127.0.0.1".to_owned(),
            remote_port: 40_000,
            protocol: ProtocolVersion::V50,
            tls: None,
            attributes: Vec::new(),
        }
    }
}
