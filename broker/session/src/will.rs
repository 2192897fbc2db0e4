//! The Will Message of a connection (section 3.1.2.5). When it is published is decided by `server`.

use std::{sync::Arc, time::Duration};

use crate::Message;

/// A Will Message ready to be published.
#[derive(Clone, Debug)]
pub struct WillMessage {
    /// What is published, with its QoS and RETAIN flag. Its expiry counts from the publishing.
    pub message: Arc<Message>,
    /// Message Expiry Interval in seconds.
    pub expiry_seconds: Option<u32>,
    /// Will Delay Interval: how long the publishing waits for the client to come back
    /// [MQTT-3.1.3-9].
    pub delay: Duration,
}
