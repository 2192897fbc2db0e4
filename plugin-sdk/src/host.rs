//! What the broker does for a plugin. Only in a component: in a native test these functions panic,
//! except those of [`log`], which print. Keep the logic of a plugin apart from its calls of the
//! host, and test the logic.

pub mod broker;
pub mod cache_control;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod files;
pub mod http_client;
pub mod jwt;
pub mod keys;
pub mod ldap;
pub mod log;
pub mod metrics;
pub mod random;
pub mod secrets;
pub mod sql;
pub mod state;
