//! Roles that are there without being made.
//!
//! Knows nothing of users. None but `administrator` can change who has which rights, or put code
//! into the broker.

use crate::administrators::Permissions;

/// Where a role comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `[admin.roles.NAME]`.
    Configuration,
    /// The program.
    BuiltIn,
    /// The API.
    Made,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::BuiltIn => "built_in",
            Self::Made => "made",
        }
    }
}

/// What is built in: names and permissions.
pub(super) const BUILT_IN: [(&str, &[&str]); 4] =
    [("administrator", &["*"]), ("operator", OPERATOR), ("viewer", VIEWER), ("auditor", AUDITOR)];

/// Runs the broker from day to day: clients, sessions, subscriptions, messages, bans, traces.
const OPERATOR: &[&str] = &[
    "metrics:read",
    "status:read",
    "clients:read",
    "clients:disconnect",
    "sessions:write",
    "subscriptions:read",
    "subscriptions:write",
    "retained:read",
    "retained:write",
    "messages:publish",
    "plugins:read",
    "permissions:read",
    "permissions:invalidate",
    "decisions:read",
    "bans:read",
    "bans:write",
    "keys:read",
    "events:read",
    "traces:read",
    "traces:write",
    "access_log:read",
    "config:read",
    "field:topic",
    "field:address",
    "field:username",
    "field:client_id",
];

/// Looks, without what says which person or place a device belongs to.
const VIEWER: &[&str] = &[
    "metrics:read",
    "status:read",
    "clients:read",
    "subscriptions:read",
    "retained:read",
    "plugins:read",
    "permissions:read",
    "decisions:read",
    "bans:read",
    "events:read",
    "traces:read",
    "field:topic",
    "field:client_id",
];

/// Finds out who did what, and who was let in or refused and why; changes nothing.
const AUDITOR: &[&str] = &[
    "metrics:read",
    "status:read",
    "clients:read",
    "plugins:read",
    "permissions:read",
    "decisions:read",
    "bans:read",
    "keys:read",
    "events:read",
    "access_log:read",
    "audit:read",
    "users:read",
    "tokens:read",
    "config:read",
    "field:topic",
    "field:address",
    "field:username",
    "field:client_id",
];

pub(super) fn built_in(name: &str) -> Option<Permissions> {
    let (_, names) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
    // A test sees that each is known.
    Permissions::of(names).ok()
}
