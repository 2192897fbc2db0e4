//! Tests of the program itself: the binary `portcullis` in a process of its own, seen from outside
//! through sockets, files, signals and exit codes.
//!
//! Each test has its own folder and free ports. What is under test must have been built before:
//! a binary that is not there is a failed test that names the command.

mod admin_api;
mod administrators;
mod api_contract;
mod backup;
mod bundled;
mod check;
mod clients;
mod control_center;
mod crash;
mod ctl;
mod databases;
mod decisions;
mod directories;
mod doctor;
mod documented;
mod durability;
mod eventually;
mod fail_closed;
mod folder;
mod granted;
mod hardening;
mod hostile;
mod hot_reload;
mod http;
mod knock;
mod languages;
mod ldap;
mod listeners;
mod many_sessions;
mod message_hooks;
mod migration;
mod mosquitto;
mod observability;
mod pages;
mod passwd;
mod password_storm;
mod past_flaws;
mod payload_crypto;
mod planted;
mod plugin_check;
mod plugin_push;
mod plugin_test;
mod policies;
mod process;
mod quickstart;
mod revocation;
mod round_trips;
mod scram;
mod servers;
mod siege;
mod signals;
mod signatures;
mod sql;
mod swap_storm;
mod three_links;
mod tls;
mod tokens;
mod traffic;
mod web_services;
mod x509;

/// Whether the figures of the issue are wanted instead of the sample that every run can afford:
/// `PORTCULLIS_PROOF=1`.
pub(crate) fn proof() -> bool {
    std::env::var_os("PORTCULLIS_PROOF").is_some_and(|value| value == "1")
}
