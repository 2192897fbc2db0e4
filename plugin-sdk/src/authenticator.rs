//! Hook *authenticator*: who is this client? The types come from the contract; the constructors are
//! ours.

pub use crate::bindings::authenticator::hook::{Credentials, Outcome, Will};
pub use crate::bindings::portcullis::plugin::{
    grants::{ClientLimits, Grant},
    types::Denial,
};
use crate::{Attribute, Connection, Error, Plugin, Rule, reason_code};

/// Judges CONNECT packets.
pub trait Authenticator: Plugin {
    /// Called once per CONNECT; for one that carries an Authentication Method only where the link
    /// must allow.
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

    /// With one more rule, which holds as long as the identity.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.permissions.push(rule);
        self
    }

    /// With bounds for this client.
    #[must_use]
    pub const fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = Some(limits);
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
            permissions: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            limits: None,
            user_properties: Vec::new(),
        }
    }
}

/// No bounds but those of the broker's configuration.
impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            messages_per_second: None,
            messages_burst: None,
            bytes_per_second: None,
            receive_maximum: None,
            in_flight_max: None,
            queue_messages_max: None,
            queue_bytes_max: None,
            packet_bytes_max: None,
            keep_alive_seconds_max: None,
            subscriptions_max: None,
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
