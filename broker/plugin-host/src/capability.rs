//! What the host lends to guests: one file per interface of the WIT contract, each an `impl` on the
//! store's state.
//!
//! Every host call is bounded in time, memory and output; an argument over its bound is an error or
//! a trap, never a larger bill.

mod clock;
mod config;
mod crypto;
pub(crate) mod files;
pub(crate) mod log;
pub(crate) mod password_hash;
pub(crate) mod password_threads;
mod random;

use std::sync::Arc;

use crate::{bindings::portcullis::plugin::types, instance::State, runtime::Runtime};

/// What one generation may use.
pub(crate) struct Lent {
    /// Name of the plugin.
    pub(crate) plugin: Arc<str>,
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
    /// What all plugins share.
    pub(crate) runtime: Arc<Runtime>,
}

impl types::Host for State {}

/// Capabilities that a manifest must grant, and how to say so. An import that is not in the table
/// needs no grant.
const NEEDS_GRANT: [(&str, &str); 1] =
    [("files", "imports files, but its manifest names no file under [files]")];

/// Why a plugin with these imports waits for its operator; `None` = it has all it asks for.
pub(crate) fn missing_grant(
    imports: &[String],
    manifest: &crate::manifest::Manifest,
) -> Option<&'static str> {
    NEEDS_GRANT
        .iter()
        .filter(|(capability, _)| imports.iter().any(|import| import == capability))
        .find(|(capability, _)| match *capability {
            "files" => manifest.files.is_empty(),
            _ => true,
        })
        .map(|(_, sentence)| *sentence)
}
