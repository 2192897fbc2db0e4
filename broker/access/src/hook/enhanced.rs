//! Hook `enhanced-authenticator`: MQTT 5.0 section 4.12.

use crate::{BoxFuture, Connection, Denial, Grant, PluginFailure};

/// The first step: CONNECT with an Authentication Method, or AUTH that begins a re-authentication.
/// WIT record `opening`.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Authentication Method.
    pub method: String,
    /// Authentication Data.
    pub data: Option<Vec<u8>>,
    /// Who the client has proved to be, when it does so again.
    pub principal: Option<String>,
    /// User Properties of the packet.
    pub user_properties: Vec<(String, String)>,
}

/// A later step: AUTH. WIT record `continuation`.
#[derive(Clone, Debug)]
pub struct Continuation {
    /// Authentication Method.
    pub method: String,
    /// Authentication Data.
    pub data: Option<Vec<u8>>,
    /// What the step before left.
    pub state: Vec<u8>,
    /// As in the opening.
    pub principal: Option<String>,
    /// User Properties of the packet.
    pub user_properties: Vec<(String, String)>,
}

/// What the client has to answer. WIT record `challenge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Authentication Data for the client.
    pub data: Vec<u8>,
    /// For the next step. The client never sees it.
    pub state: Vec<u8>,
}

/// A link's word in an exchange. WIT variant `step`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client has to answer.
    Challenge(Challenge),
    /// This client is who it says. With Authentication Data for the last packet.
    Success(Box<Grant>, Option<Vec<u8>>),
    /// Refuse it.
    Deny(Denial),
    /// Not mine to judge. In a continuation a refusal.
    Next,
}

/// Hook `enhanced-authenticator`. Must end within its own deadline.
pub trait EnhancedAuthenticator: Send + Sync {
    /// Authentication Methods that it has.
    fn methods(&self) -> &[String];

    /// The first step.
    fn begin<'a>(
        &'a self,
        connection: &'a Connection,
        opening: &'a Opening,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>>;

    /// A later step.
    fn proceed<'a>(
        &'a self,
        connection: &'a Connection,
        continuation: &'a Continuation,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>>;
}
