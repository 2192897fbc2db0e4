//! Owns who may do what: identities, permissions, the chain of plugins and how their words become
//! one decision.
//!
//! Knows nothing of sockets, of Wasm or of time: it defines [`Authenticator`] and [`Authorizer`],
//! which `plugin-host` implements, and [`PluginManager`], which `admin` calls. `now` is passed in.
//!
//! Start reading at [`Gate::admit`]; the rules are DESIGN section 6.
//!
//! Invariants: every error is a refusal; an empty chain, an empty permission set and a missing
//! plugin refuse; the only way to an [`Authenticated`] is a chain that accepted, and its
//! permissions come from the same chain.

#![forbid(unsafe_code)]

mod answered;
mod certificate;
mod chain;
mod client_limits;
mod credentials;
mod decision;
mod decisions;
mod event;
mod for_plugins;
mod gate;
mod hook;
mod identity;
mod message_hooks;
mod permission;
mod permissions;
mod plugins;
mod taken_back;
#[cfg(test)]
mod testing;
mod witness;

pub use certificate::PeerCertificate;
pub use chain::{Chain, Control, Link, LinkState, OnError};
pub use client_limits::ClientLimits;
pub use credentials::{Credentials, Password, WillSummary};
pub use decision::{
    Decision, Denial, Grant, Hook, LinkReport, PluginFailure, PluginFailureKind, Refusal,
    RefusalKind, Verdict,
};
pub use decisions::{
    About, DecisionId, DecisionRecord, Decisions, Making, NoDecisionId, Recording,
    current_decision, deciding,
};
pub use event::{Event, EventKinds, EventSink, Who};
pub use for_plugins::{
    BrokerForPlugins, Publication, PublicationProperties, PublishRefused, Whose,
};
pub use gate::{Approaching, Authenticated, ClientIdFrom, Exchange, Gate, Progress};
pub use hook::{
    AdminAuthenticator, Answer, Application, Authenticator, Authorizer, BoxFuture, Challenge,
    Continuation, EnhancedAuthenticator, Hooks, Inbound, InboundTransform, Login, Opening,
    Operation, OperationAuthorizer, OperationWord, Outbound, OutboundTransform, Outcome, Patch,
    Publisher, Ruling, Scope, Source, Step,
};
pub use identity::{Connection, GrantedRules, Identity, Subject, TlsSession};
pub use message_hooks::{MessageHooks, OutboundFailed, Rejected, Ruled, Transformed};
pub use permission::{Activity, Condition, Effect, HoldsFor, PermissionSet, QoSSet, Rule};
pub use permissions::{
    AnswerInForce, LinkInForce, LinkWord, NotAuthorized, Permissions, PublishPermit,
    PublishRequest, RuleInForce, SubscribePermit, SubscribeRequest,
};
pub use plugins::{
    BreakerInfo, Held, HeldBecause, HookCalls, KeptVersion, PluginError, PluginInfo, PluginManager,
    PluginState, PoolInfo, ShadowDifference, ShadowReport, UploadProgress, UploadStage,
    UploadedPlugin, VersionInfo, Waiting,
};
pub use witness::{Heard, Witness};
