//! Hook *authenticator*: who is this client? The types come from the contract; the constructors are
//! ours.

pub use crate::bindings::authenticator::exports::portcullis::plugin::authenticator::{
    Credentials, Grant, Outcome, Will,
};
pub use crate::bindings::portcullis::plugin::types::Denial;
use crate::{Attribute, Connection, Error, Plugin, reason_code};

/// Judges CONNECT packets.
pub trait Authenticator: Plugin {
    /// Called once per CONNECT that carries no Authentication Method.
    ///
    /// # Errors The plugin could not come to a decision. The broker refuses the client, unless the
    /// operator wrote `on_error = "next"` for this plugin.
    fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error>;
}

impl Outcome {
    /// The client proved to be `principal`.
    pub fn allow(principal: impl Into<String>) -> Self {
        Self::Allow(Grant::new(principal))
    }

    /// Refuse with an MQTT 5.0 Reason Code (see [`reason_code`]) and a text that the client may
    /// see.
    pub fn deny(reason_code: u8, reason: impl Into<String>) -> Self {
        Self::Deny(Denial { reason_code, reason: Some(reason.into()) })
    }

    /// Refuse with 0x86 and without a word on which of the two was wrong.
    #[must_use]
    pub const fn bad_credentials() -> Self {
        Self::Deny(Denial { reason_code: reason_code::BAD_USER_NAME_OR_PASSWORD, reason: None })
    }
}

impl Grant {
    /// The client proved to be `principal`, and nothing more.
    pub fn new(principal: impl Into<String>) -> Self {
        Self { principal: Some(principal.into()), ..Self::default() }
    }

    /// With one more group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// With one more attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(name, value));
        self
    }

    /// Valid until then, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn expires_at_unix(mut self, seconds: u64) -> Self {
        self.expires_at_unix = Some(seconds);
        self
    }
}

impl From<Grant> for Outcome {
    fn from(grant: Grant) -> Self {
        Self::Allow(grant)
    }
}

/// A grant that names nobody and gives nothing.
impl Default for Grant {
    fn default() -> Self {
        Self {
            principal: None,
            groups: Vec::new(),
            attributes: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            user_properties: Vec::new(),
        }
    }
}

/// No password, clean start, no keep alive: the start of a unit test.
impl Default for Credentials {
    fn default() -> Self {
        Self {
            password: None,
            clean_start: true,
            keep_alive_seconds: 0,
            user_properties: Vec::new(),
            will: None,
        }
    }
}
