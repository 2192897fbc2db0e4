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

mod authenticator;
mod authorizer;
#[doc(hidden)]
pub mod bindings;
mod connection;
mod error;
mod export;
pub mod host;
mod instance;
mod panic_hook;
mod plugin;
pub mod reason_code;

pub use authenticator::{Authenticator, Credentials, Denial, Grant, Outcome, Will};
pub use authorizer::{
    Activity, Answer, Authorizer, Condition, Effect, HoldsFor, PermissionSet, QosSet, Rule, Subject,
};
#[doc(hidden)]
pub use bindings::plugin::exports::portcullis::plugin::plugin::Info;
pub use connection::{Attribute, Connection, PeerCertificate, ProtocolVersion, Qos, TlsSession};
pub use error::Error;
#[doc(hidden)]
pub use instance::Instance;
pub use plugin::{Config, Plugin};
