//! Everything a Portcullis plugin in Rust needs: traits to implement, one macro to export them, and
//! the host's functions.
//!
//! - *Owns* the Rust face of the WIT package `portcullis:plugin@0.1.0`.
//! - *Knows nothing of* the broker: it compiles to a WebAssembly component that runs in any host of
//!   that package.
//! - *Start reading at* [`Plugin`], then [`Authenticator`] or [`Authorizer`], then [`export!`].
//! - *Invariant*: a plugin imports only the host interfaces that it uses; what it imports is what
//!   its operator has to trust it with. The panic hook uses [`host::log`], so every plugin imports
//!   that one.
#![doc = include_str!("../README.md")]

mod admin_authenticator;
mod authenticator;
mod authorizer;
#[doc(hidden)]
pub mod bindings;
mod connection;
mod distinguished_name;
mod enhanced_authenticator;
mod error;
mod events;
mod export;
pub mod host;
mod instance;
mod operation_authorizer;
mod panic_hook;
mod plugin;
pub mod reason_code;
mod state_transfer;
mod timer;
pub mod topic_filter;
mod transform;
#[cfg(feature = "serde")]
mod written_rule;

pub use admin_authenticator::{AdminAuthenticator, AdminGrant, AdminOutcome, Login};
pub use authenticator::{Authenticator, ClientLimits, Credentials, Denial, Grant, Outcome, Will};
pub use authorizer::{
    Activity, Answer, Authorizer, Condition, Effect, HoldsFor, PermissionSet, QosSet, Rule, Subject,
};
#[doc(hidden)]
pub use bindings::plugin::hook::Info;
pub use connection::{Attribute, Connection, PeerCertificate, ProtocolVersion, Qos, TlsSession};
pub use distinguished_name::{DistinguishedName, NamePart, caseless};
pub use enhanced_authenticator::{
    Challenge, Continuation, EnhancedAuthenticator, Opening, Step, Success,
};
pub use error::Error;
pub use events::{
    AuthFailedEvent, DisconnectedEvent, Event, Events, Kinds, PublishDeniedEvent, Stamped,
    SubscriptionEvent, UnsubscribedEvent, Who,
};
#[doc(hidden)]
pub use instance::Instance;
pub use operation_authorizer::{
    Decision, Operation, OperationAuthorizer, PublishOperation, Ruling, SubscribeOperation,
};
pub use plugin::{Config, Plugin};
pub use state_transfer::StateTransfer;
pub use timer::Timer;
pub use transform::{
    Claim, Client, Inbound, InboundTransform, Message, Outbound, OutboundTransform, Patch, Scope,
    Source,
};
