//! Owns the admin API over HTTP: health, metrics, clients, plugins, permissions.
//!
//! Knows nothing of MQTT connections or Wasm: it asks a [`server::BrokerHandle`] and an
//! [`access::PluginManager`]; who has the keys of plugins answers as [`KeyManager`].
//!
//! Start reading at `routes.rs`: the one table from which both the router and the OpenAPI document
//! are made.
//!
//! Invariants: a route without an access rule does not compile; no handler runs before its access
//! rule was met; every error answer to a request that could be read is RFC 9457 problem+json (what
//! is no HTTP, or has headers beyond the bounds, gets hyper's bare 400 or 431); a change is logged
//! with its outcome even when its caller went away; every body, header, wait and connection count
//! has a bound, and no number of connections without the token keeps others out.

#![forbid(unsafe_code)]

mod access_log;
mod administrators;
mod alarms;
mod audit;
mod audits;
mod backup;
mod bans;
mod call;
mod certificates;
mod clients;
mod config;
mod configuration;
mod cookie;
mod cursor;
mod decisions;
mod directory;
mod error;
mod events;
mod field;
mod guard;
mod health;
mod history;
mod keys;
mod listener;
mod login;
mod message;
mod metrics;
mod oidc;
mod openapi;
mod overview;
mod page;
mod pages;
mod password;
mod permissions;
mod plugins;
mod problem;
mod process;
mod roles;
mod route;
mod routes;
mod segment;
mod shares;
mod status;
mod subscriptions;
mod token;
mod tokens;
mod topics;
mod traces;
mod users;
mod visitors;

pub use administrators::Roles;
pub use audit::{AuditFault, AuditReport, verify_audit};
pub use backup::{Backup, BackupError, BackupMaker};
pub use config::{AdminState, Config, ReadyCheck};
pub use configuration::{
    AppliedConfig, Applying, ConfigFault, ConfigManager, ConfigRefused, ShownConfig, ShownSetting,
};
pub use directory::without_secrets as directory_without_secrets;
pub use error::Error;
pub use keys::{KeyError, KeyInfo, KeyManager, KeyState, NewKey, RingInfo};
pub use listener::{AdminServer, Scrape, start};
pub use oidc::{OidcConfig, OidcConfigError};
pub use segment::path_segment;

#[cfg(test)]
mod tests;
