//! The one table of commands: each is a row that names a route of the admin API, its arguments and how its answer is
//! shown. A test compares it with the OpenAPI document: no route without a command, no command without a route.
//!
//! Knows nothing of how commands are read and answers are shown.

mod administrators;
mod clients;
mod configuration;
mod decisions;
mod general;
mod holdings;
mod plugins;
mod recorded;
mod watch;

use super::command::Command;

/// All commands of one route each.
pub(super) const ALL: &[&[Command]] = &[
    general::COMMANDS,
    clients::COMMANDS,
    plugins::COMMANDS,
    decisions::COMMANDS,
    holdings::COMMANDS,
    recorded::COMMANDS,
    watch::COMMANDS,
    configuration::COMMANDS,
    administrators::COMMANDS,
];

/// What stands before verbs, and what it is about.
pub(super) const GROUPS: &[(&str, &str)] = &[
    ("clients", "Clients that are connected or have a session"),
    ("sessions", "What outlives a connection"),
    ("subscriptions", "What clients are subscribed to"),
    ("retained", "Messages that are retained for a topic"),
    ("bans", "Clients, principals, addresses and certificates that are kept out"),
    ("plugins", "Plugins: look, store, approve, go back"),
    ("decisions", "What was decided, by whom and why"),
    ("permissions", "What clients may do"),
    ("keys", "Key rings of plugins, [keys.NAME]"),
    ("users", "Users of the admin API that the broker keeps"),
    ("roles", "What roles of such users permit"),
    ("tokens", "Tokens for programs that use the admin API"),
    ("traces", "Everything about some clients, recorded for a while"),
    ("config", "The configuration file of the broker"),
    ("login", "The login that the token stands for"),
];

/// Routes that no command is for, and why.
#[cfg(test)]
pub(super) const WITHOUT: &[(&str, &str, &str)] = &[
    ("GET", "/livez", "probe of a process manager"),
    ("GET", "/readyz", "probe of a load balancer; `ctl status` says the same"),
    ("POST", "/api/v1/login", "browsers log in with it; ctl uses a token"),
    ("GET", "/api/v1/login/oidc", "leads a browser to the identity provider"),
    ("GET", "/api/v1/login/oidc/callback", "a browser comes back to it"),
    ("POST", "/api/v1/backup", "`ctl backup` looks the archive through as well"),
    ("GET", "/api/v1/openapi.json", "`ctl api GET /api/v1/openapi.json`"),
];
