//! The traits behind which plugins stand. Implemented by `plugin-host` with Wasm, by tests with
//! plain functions. Knows nothing of control flags: what a word does is decided in `chain`.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{Connection, Credentials, Denial, Grant, PermissionSet, PluginFailure, Subject};

mod admin;
mod enhanced;
mod operation;
mod transform;

pub use admin::{AdminAuthenticator, Login};
pub use enhanced::{Challenge, Continuation, EnhancedAuthenticator, Opening, Step};
pub use operation::{Operation, OperationAuthorizer, OperationWord, Ruling};
pub use transform::{
    Application, Inbound, InboundTransform, Outbound, OutboundTransform, Patch, Publisher, Scope,
    Source,
};

/// The hooks of one generation.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Hook `authenticator`.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Hook `enhanced-authenticator`.
    pub enhanced_authenticator: Option<Arc<dyn EnhancedAuthenticator>>,
    /// Hook `authorizer`.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Hook `operation-authorizer`.
    pub operation_authorizer: Option<Arc<dyn OperationAuthorizer>>,
    /// Hook `inbound-transform`.
    pub inbound_transform: Option<Arc<dyn InboundTransform>>,
    /// Hook `outbound-transform`.
    pub outbound_transform: Option<Arc<dyn OutboundTransform>>,
    /// Hook `admin-authenticator`; in the chain of the admin API, no part in one of a listener.
    pub admin_authenticator: Option<Arc<dyn AdminAuthenticator>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

impl Hooks {
    /// Whether a plugin with these has a part in a chain.
    pub fn is_empty(&self) -> bool {
        let Self {
            authenticator,
            enhanced_authenticator,
            authorizer,
            operation_authorizer,
            inbound_transform,
            outbound_transform,
            admin_authenticator: _,
        } = self;
        authenticator.is_none()
            && enhanced_authenticator.is_none()
            && authorizer.is_none()
            && operation_authorizer.is_none()
            && inbound_transform.is_none()
            && outbound_transform.is_none()
    }
}

/// A boxed future: a PUBLISH waits for one only where a plugin claims its topic.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A link's word on a CONNECT. WIT variant `outcome`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This client is who it says.
    Allow(Grant),
    /// Refuse it.
    Deny(Denial),
    /// Not mine to judge.
    Next,
}

/// A link's word on permissions. WIT variant `answer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These rules.
    Permissions(PermissionSet),
    /// Nothing is permitted.
    DenyAll,
    /// No rules for this client.
    Next,
}

impl Answer {
    /// How long it may be used, 1 s to 1 h. One that names no time, also `Next` or `DenyAll`, 60 s.
    pub(crate) fn ttl(&self) -> Duration {
        match self {
            Self::Permissions(PermissionSet { ttl_seconds: Some(seconds), .. }) => {
                Duration::from_secs(u64::from(*seconds)).clamp(TTL_MIN, TTL_MAX)
            }
            Self::Permissions(_) | Self::DenyAll | Self::Next => TTL_DEFAULT,
        }
    }
}

/// Time to live of an answer that names none.
pub(crate) const TTL_DEFAULT: Duration = Duration::from_secs(60);
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(3_600);

/// Hook `authenticator`. Must end within its own deadline: callers do not add one.
pub trait Authenticator: Send + Sync {
    /// Judges one CONNECT. Every failure, also a missing plugin, a trap, a full pool, is an `Err`.
    fn authenticate<'a>(
        &'a self,
        connection: &'a Connection,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>>;
}

/// Hook `authorizer`. Must end within its own deadline.
pub trait Authorizer: Send + Sync {
    /// Tells the permissions of one client.
    fn permissions<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<Answer, PluginFailure>>;
}
