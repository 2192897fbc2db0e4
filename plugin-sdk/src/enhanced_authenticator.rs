//! Hook *enhanced-authenticator*: authentication in several steps, by AUTH packets of MQTT 5.0. The
//! types come from the contract; the constructors are ours.

pub use crate::bindings::enhanced_authenticator::hook::{
    Challenge, Continuation, Opening, Step, Success,
};
use crate::{Connection, Denial, Error, Grant, Plugin};

/// Authenticates by challenge and response.
pub trait EnhancedAuthenticator: Plugin {
    /// Authentication Methods that the plugin has.
    fn methods(&self) -> Vec<String>;

    /// The first step.
    ///
    /// # Errors
    /// The plugin could not come to a decision. The broker refuses the client.
    fn begin(&self, connection: &Connection, opening: &Opening) -> Result<Step, Error>;

    /// A later step. What the step before left is in [`Continuation::state`], and nowhere else.
    ///
    /// # Errors
    /// The plugin could not come to a decision. The broker refuses the client.
    fn proceed(&self, connection: &Connection, answer: &Continuation) -> Result<Step, Error>;
}

impl Step {
    /// The client has to answer `data`; `state` is for the next step.
    #[must_use]
    pub const fn challenge(data: Vec<u8>, state: Vec<u8>) -> Self {
        Self::Challenge(Challenge { data, state })
    }

    /// The client proved who it is.
    #[must_use]
    pub const fn success(grant: Grant, data: Option<Vec<u8>>) -> Self {
        Self::Success(Success { grant, data })
    }

    /// Refuse with an MQTT 5.0 Reason Code.
    #[must_use]
    pub const fn deny(reason_code: u8) -> Self {
        Self::Deny(Denial { reason_code, reason: None })
    }
}
