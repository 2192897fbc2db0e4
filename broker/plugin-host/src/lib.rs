//! Owns WebAssembly: loads components from the plugin folder, runs them inside budgets, swaps them
//! under load.
//!
//! The only crate that knows wasmtime. Knows nothing of MQTT packets, sockets or the admin API's
//! HTTP: it implements the traits of `access` and hands whole chains to [`access::Gate`].
//!
//! Start reading at [`PluginHost::start`]; a load reads top to bottom in `loader.rs`, a call in
//! `generation.rs`.
//!
//! Invariants: nothing but a complete generation (parsed, linked, initialised, self-tested) ever
//! stands in a chain; a plugin that cannot answer is a link that fails; an instance is used again
//! only after a call that ended well; a guest call is never cancelled by dropping its future.

#![deny(unsafe_code)]

mod aot;
mod background;
mod bindings;
mod breaker;
mod budget;
mod candidate;
mod capability;
mod cases;
mod chains;
mod claims;
mod component;
mod config;
mod convert;
mod engine;
mod exports;
mod failure;
mod fair_turnstile;
mod generation;
mod golden;
mod guarded;
mod hooks;
mod host;
mod inspect;
mod instance;
mod kept;
mod loader;
mod manifest;
mod pool;
mod probation;
mod recording;
mod remembered;
mod replay;
mod runtime;
mod shadow;
mod sources;
mod stats;
mod taped;
mod trust;
mod turnstile;
mod wasi;
mod watch;

#[cfg(test)]
mod tests;

pub use candidate::version_hash;
pub use capability::{
    jwt::{KeySource, KeyUrl, Verifier, VerifierSettings},
    keys::{Aead, KeyRing, hmac_sha256},
    ldap::{LdapSettings, LdapSource},
    password_hash::check_stored_hash,
    sql::{SqlSettings, SqlSource},
};
pub use cases::{Answered, Case, Cases, Question, from_hex};
pub use component::componentize_go;
pub use config::Config;
pub use generation::sha256;
pub use host::{PluginHost, StartError};
pub use inspect::{
    Inspection, Lending, Loaded, check_plugin, check_standing, componentize, inspect, load_plugin,
};
pub use manifest::{Isolation, Limits, Manifest, ManifestError};
pub use replay::{Recording, Replay, Replayed};
pub use sources::{Secret, Sources};
pub use stats::Stats;
pub use trust::{Signed, Trust, new_key, sign};
