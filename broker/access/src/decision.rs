//! The words a decision is made of, and why a CONNECT was refused.

use std::{fmt, sync::Arc, time::Duration};

use codec::ReasonCode;

use crate::{ClientLimits, DecisionId, Identity, Rule};

/// What an allow carries. WIT record `grant`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The identity that the client proved.
    pub principal: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Attributes.
    pub attributes: Vec<(String, String)>,
    /// Rules that hold as long as the identity, as if the link had an authorizer that answered with
    /// them.
    pub permissions: Vec<Rule>,
    /// When the identity ends, seconds since 1970.
    pub expires_at_unix: Option<u64>,
    /// Upper bound for the Session Expiry Interval in seconds.
    pub session_expiry_seconds_max: Option<u32>,
    /// Bounds for this client.
    pub limits: ClientLimits,
    /// User Properties for CONNACK.
    pub user_properties: Vec<(String, String)>,
}

/// A refusal by a plugin. WIT record `denial`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Reason Code. One that is no failure, or that CONNACK does not know [MQTT-3.2.2-8], is turned
    /// into Not authorized.
    pub reason_code: ReasonCode,
    /// Reason String; dropped when it cannot be sent.
    pub reason: Option<String>,
}

/// A hook that came to no decision. Always a refusal, unless an authentication link says
/// `on_error = "next"`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct PluginFailure {
    /// What kind.
    pub kind: PluginFailureKind,
    /// A sentence for the operator.
    pub message: String,
}

/// Kinds of [`PluginFailure`]; `Display` is the label used in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PluginFailureKind {
    /// The plugin reported `unavailable`.
    #[error("unavailable")]
    Unavailable,
    /// The plugin reported `timeout`.
    #[error("timeout")]
    Timeout,
    /// The plugin reported `misconfigured`.
    #[error("misconfigured")]
    Misconfigured,
    /// The plugin reported `internal`.
    #[error("internal")]
    Internal,
    /// The guest trapped.
    #[error("trap")]
    Trap,
    /// The CPU budget was used up.
    #[error("cpu_budget")]
    CpuBudget,
    /// The wall deadline passed.
    #[error("deadline")]
    Deadline,
    /// The memory cap was hit.
    #[error("memory")]
    Memory,
    /// An argument or an answer was larger than allowed.
    #[error("too_large")]
    TooLarge,
    /// The pool of instances is full: busy, 0x89.
    #[error("busy")]
    Busy,
    /// The chain names a plugin that is not there, not live or failed to load.
    #[error("missing")]
    Missing,
}

impl PluginFailureKind {
    /// As `Display` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Misconfigured => "misconfigured",
            Self::Internal => "internal",
            Self::Trap => "trap",
            Self::CpuBudget => "cpu_budget",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::TooLarge => "too_large",
            Self::Busy => "busy",
            Self::Missing => "missing",
        }
    }
}

/// Which hook a link was asked for; `Display` is the label used in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Hook {
    /// Who is it?
    #[error("authenticator")]
    Authenticator,
    /// Who is it, in several steps?
    #[error("enhanced_authenticator")]
    EnhancedAuthenticator,
    /// What may it do?
    #[error("authorizer")]
    Authorizer,
    /// May it do that?
    #[error("operation_authorizer")]
    OperationAuthorizer,
    /// What becomes of what it publishes?
    #[error("inbound_transform")]
    InboundTransform,
    /// What becomes of what it gets?
    #[error("outbound_transform")]
    OutboundTransform,
    /// Who logs in to the admin API?
    #[error("admin_authenticator")]
    AdminAuthenticator,
}

impl Hook {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::EnhancedAuthenticator => "enhanced-authenticator",
            Self::Authorizer => "authorizer",
            Self::OperationAuthorizer => "operation-authorizer",
            Self::InboundTransform => "inbound-transform",
            Self::OutboundTransform => "outbound-transform",
            Self::AdminAuthenticator => "admin-authenticator",
        }
    }
}

/// What one link said, for `explain`, logs and metrics.
#[derive(Clone, Debug)]
pub struct LinkReport {
    /// Name of the link.
    pub plugin: Arc<str>,
    /// Generation that answered, as hex prefix; empty for a link without one.
    pub generation: Arc<str>,
    /// What it was asked for.
    pub hook: Hook,
    /// Its word.
    pub verdict: Verdict,
    /// The answer was there already.
    pub cached: bool,
    /// How long it took.
    pub elapsed: Duration,
}

/// The word of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allow.
    Allow,
    /// Deny.
    Deny(Denial),
    /// Next.
    Next,
    /// The client has to answer something first.
    Challenge,
    /// No decision.
    Failure(PluginFailure),
    /// Not asked: an earlier link settled it.
    Skipped,
}

/// Why a CONNECT (or a refresh of permissions) was refused. `Display` is for the operator alone; it
/// may hold text of plugins and clients, so it reaches a log only escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// The link that settled it, if one did.
    pub plugin: Option<Arc<str>>,
    /// Generation of that link; empty when there is none.
    pub generation: Arc<str>,
    /// A link that could have allowed came to no decision.
    pub failed: bool,
    /// Reason String that a client may see.
    pub reason: Option<String>,
    /// Detail for the operator only.
    pub detail: String,
    /// Names the decision in the API, once it was made.
    pub decision: Option<DecisionId>,
}

/// Kinds of [`Refusal`]; `Display` is the label used in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RefusalKind {
    /// A plugin denied with this code.
    #[error("denied")]
    Denied(ReasonCode),
    /// No link allowed: the end of the chain.
    #[error("not_allowed")]
    NotAllowed,
    /// A link failed: 0x88.
    #[error("plugin_failure")]
    PluginFailure,
    /// A pool was full: 0x89.
    #[error("busy")]
    Busy,
    /// No link has the Authentication Method: 0x8C.
    #[error("no_method")]
    NoMethod,
    /// Two links named two principals.
    #[error("principal_conflict")]
    PrincipalConflict,
    /// Accepted, but no link named a principal.
    #[error("no_principal")]
    NoPrincipal,
    /// A `${clientid}` or `${username}` of a deny rule cannot be filled in safely.
    #[error("unsafe_variable")]
    UnsafeVariable,
    /// The grant had already expired.
    #[error("expired")]
    Expired,
}

impl Refusal {
    /// Whether the chain came to a verdict on who asked, as opposed to failing to come to one: who
    /// counts failed logins counts these. What a plugin denies because it, or what stands behind
    /// it, is down or busy is none; nor is the end of the chain when a link failed on the way.
    pub fn is_by_verdict(&self) -> bool {
        match self.kind {
            RefusalKind::PluginFailure
            | RefusalKind::Busy
            // Whoever got so far had proved who it is.
            | RefusalKind::UnsafeVariable => false,
            RefusalKind::Denied(code) => {
                !matches!(code, ReasonCode::ServerUnavailable | ReasonCode::ServerBusy)
            }
            RefusalKind::NotAllowed | RefusalKind::NoPrincipal => !self.failed,
            RefusalKind::NoMethod => false,
            RefusalKind::PrincipalConflict | RefusalKind::Expired => true,
        }
    }

    /// A refusal that no link settled.
    pub(crate) fn by_nobody(kind: RefusalKind, detail: String) -> Self {
        let generation = Arc::default();
        Self { kind, plugin: None, generation, failed: false, reason: None, detail, decision: None }
    }

    /// A refusal that this plugin settled.
    pub(crate) fn by_plugin(kind: RefusalKind, plugin: &Arc<str>, detail: String) -> Self {
        Self { plugin: Some(plugin.clone()), ..Self::by_nobody(kind, detail) }
    }

    /// The refusal that a failed link causes.
    pub(crate) fn of_failure(plugin: &Arc<str>, failure: &PluginFailure) -> Self {
        let kind = match failure.kind {
            PluginFailureKind::Busy => RefusalKind::Busy,
            PluginFailureKind::Unavailable
            | PluginFailureKind::Timeout
            | PluginFailureKind::Misconfigured
            | PluginFailureKind::Internal
            | PluginFailureKind::Trap
            | PluginFailureKind::CpuBudget
            | PluginFailureKind::Deadline
            | PluginFailureKind::Memory
            | PluginFailureKind::TooLarge
            | PluginFailureKind::Missing => RefusalKind::PluginFailure,
        };
        Self { failed: true, ..Self::by_plugin(kind, plugin, failure.to_string()) }
    }

    /// The Reason Code for CONNACK (DESIGN section 6).
    pub fn reason_code(&self) -> ReasonCode {
        match self.kind {
            RefusalKind::Denied(code) => code,
            RefusalKind::NotAllowed
            | RefusalKind::PrincipalConflict
            | RefusalKind::NoPrincipal
            | RefusalKind::UnsafeVariable
            | RefusalKind::Expired => ReasonCode::NotAuthorized,
            RefusalKind::NoMethod => ReasonCode::BadAuthenticationMethod,
            RefusalKind::PluginFailure => ReasonCode::ServerUnavailable,
            RefusalKind::Busy => ReasonCode::ServerBusy,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(plugin) = &self.plugin {
            write!(f, " by {plugin}")?;
            if !self.generation.is_empty() {
                write!(f, " (generation {})", self.generation)?;
            }
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Refusal {}

/// The outcome of a whole chain, with the walk that led to it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Who the client is, or why not.
    pub result: Result<Arc<Identity>, Refusal>,
    /// Link by link, in order.
    pub walk: Vec<LinkReport>,
}
