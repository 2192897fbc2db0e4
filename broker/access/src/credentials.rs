//! What a CONNECT offers as proof.
//!
//! Knows nothing of how proof is verified. An empty password beside a User Name is handed to
//! plugins as it came; a capability that talks to a system outside (LDAP's unauthenticated bind
//! above all) must not be given one: that check belongs to the capability, in `plugin-host`.

use codec::QoS;
use zeroize::Zeroizing;

/// A password: wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one who verifies.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What CONNECT carried beside the connection. WIT record `credentials`.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Password. `Some` and empty is not `None`: see the note at the top of this file.
    pub password: Option<Password>,
    /// Clean Start.
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 = off.
    pub keep_alive_seconds: u16,
    /// User Properties.
    pub user_properties: Vec<(String, String)>,
    /// Will Message.
    pub will: Option<WillSummary>,
}

/// The Will Message without its payload. WIT record `will`.
#[derive(Clone, Debug)]
pub struct WillSummary {
    /// Will Topic.
    pub topic: String,
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Size of the Will Payload in bytes.
    pub payload_bytes: u32,
    /// Will Delay Interval in seconds.
    pub delay_seconds: u32,
}
