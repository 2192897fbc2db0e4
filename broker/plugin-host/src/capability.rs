//! What the host lends to guests: one file per interface of the WIT contract, each an `impl` on the
//! store's state.
//!
//! Every host call is bounded in time, memory and output; an argument over its bound is an error or
//! a trap, never a larger bill.

mod audit;
pub(crate) mod broker;
pub(crate) mod cache_control;
mod clock;
mod config;
mod connections;
mod crypto;
pub(crate) mod files;
pub(crate) mod http_client;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod ldap;
pub(crate) mod log;
mod metrics;
pub(crate) mod password_hash;
pub(crate) mod password_threads;
mod random;
mod secrets;
pub(crate) mod sql;
pub(crate) mod state;
mod tls;
pub(crate) mod verified;

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;

use crate::{
    bindings::portcullis::plugin::types,
    instance::State,
    manifest::{Grants, Manifest},
    runtime::Runtime,
    sources::Granted,
};

/// What one generation may use.
pub(crate) struct Lent {
    /// Name of the plugin.
    pub(crate) plugin: Arc<str>,
    /// It is a candidate in shadow mode: what has effects is an error.
    pub(crate) shadow: bool,
    /// Short generation hash.
    pub(crate) generation: Arc<str>,
    /// The table `[config]`.
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
    /// The same as text.
    pub(crate) config_json: String,
    /// Snapshots of `[files]`.
    pub(crate) files: files::FileSet,
    /// Log rate, shared by all generations of the plugin.
    pub(crate) log: Arc<log::LogRate>,
    /// Its share of the password threads, if it verifies passwords.
    pub(crate) passwords: Option<password_threads::PasswordShare>,
    /// `[grants]`.
    pub(crate) grants: Grants,
    /// What they name, out of the broker's configuration.
    pub(crate) granted: Granted,
    /// Keys and values that survive, if it was granted any.
    pub(crate) state: Option<Arc<state::PluginStore>>,
    /// Secrets of which the log says that they were revealed.
    pub(crate) revealed: Mutex<BTreeSet<String>>,
    /// How often it uses interface `broker`.
    pub(crate) broker_calls: broker::CallRate,
    /// What all plugins share.
    pub(crate) runtime: Arc<Runtime>,
}

impl types::Host for State {}

/// An interface that a manifest must grant.
struct NeedsGrant {
    interface: &'static str,
    is_granted: fn(&Manifest) -> bool,
    /// What the manifest would have to say.
    line: &'static str,
}

/// An import that is not in the table needs no grant.
const NEEDS_GRANT: [NeedsGrant; 10] = [
    NeedsGrant {
        interface: "files",
        is_granted: |manifest| !manifest.files.is_empty(),
        line: "[files] NAME = \"PATH\"",
    },
    NeedsGrant {
        interface: "secrets",
        is_granted: |manifest| !manifest.grants.secrets.is_empty(),
        line: "[grants] secrets = [\"NAME\"]",
    },
    NeedsGrant {
        interface: "keys",
        is_granted: |manifest| {
            !manifest.grants.keys.is_empty() || !manifest.grants.secrets.is_empty()
        },
        line: "[grants] keys = [\"NAME\"], or secrets = [\"NAME\"] for hmac",
    },
    NeedsGrant {
        interface: "jwt",
        is_granted: |manifest| !manifest.grants.jwt.is_empty(),
        line: "[grants] jwt = [\"NAME\"]",
    },
    NeedsGrant {
        interface: "state",
        is_granted: |manifest| manifest.grants.state_bytes.is_some(),
        line: "[grants] state = \"1 MiB\"",
    },
    NeedsGrant {
        interface: "http-client",
        is_granted: |manifest| !manifest.grants.http.is_empty(),
        line: "[grants] http = [\"https://HOST/\"]",
    },
    NeedsGrant {
        interface: "sql",
        is_granted: |manifest| !manifest.grants.sql.is_empty(),
        line: "[grants] sql = [\"NAME\"]",
    },
    NeedsGrant {
        interface: "ldap",
        is_granted: |manifest| !manifest.grants.ldap.is_empty(),
        line: "[grants] ldap = [\"NAME\"]",
    },
    NeedsGrant {
        interface: "cache-control",
        is_granted: |manifest| manifest.grants.cache_control,
        line: "[grants] cache_control = true",
    },
    NeedsGrant {
        interface: "broker",
        is_granted: |manifest| !manifest.grants.broker.is_empty(),
        line: "[grants] broker = [\"publish\"] and publish_topics = [\"TOPIC FILTER\"], or \
               broker = [\"disconnect\"] or [\"subscriptions\"]",
    },
];

/// Why a plugin with these imports waits for its operator; `None` = it has all it asks for, or was
/// told that it gets nothing of it.
pub(crate) fn missing_grant(imports: &[String], manifest: &Manifest) -> Option<String> {
    let missing = NEEDS_GRANT.iter().filter(|needs| {
        imports.iter().any(|import| import == needs.interface)
            && !(needs.is_granted)(manifest)
            && !manifest.grants.declined.contains(&needs.interface)
    });
    let missing: Vec<String> = missing.map(sentence).collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Interfaces of `imports` that need a grant and are not in `had`.
pub(crate) fn beyond(imports: &[String], had: &[String]) -> Vec<String> {
    let needs_grant = |import: &&String| NEEDS_GRANT.iter().any(|needs| needs.interface == *import);
    let new = imports.iter().filter(|import| !had.contains(import));
    new.filter(needs_grant).cloned().collect()
}

/// What a candidate in shadow mode is told.
pub(crate) const IN_SHADOW: &str = "a candidate in shadow mode may have no effects";

fn sentence(needs: &NeedsGrant) -> String {
    let NeedsGrant { interface, line, .. } = needs;
    format!("imports {interface}, which its manifest does not grant: add {line}")
}

/// What `[grants]` of a manifest must say for these imports.
pub(crate) fn grants_needed(imports: &[String]) -> Vec<&'static str> {
    let needed = NEEDS_GRANT.iter().filter(|needs| needs.interface != "files");
    needed
        .filter(|needs| imports.iter().any(|import| import == needs.interface))
        .map(|needs| needs.line)
        .collect()
}
