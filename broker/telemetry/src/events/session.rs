//! Events of sessions: taken over by a newer connection, ended.
//!
//! Knows nothing of how sessions are kept; called from `server`.

use super::Client;
use crate::{HappeningKind, Metrics};

/// A newer connection of the same client has the session. No log line: the end of the older
/// connection says it.
#[derive(Clone, Copy, Debug)]
pub struct TakenOver<'a> {
    /// The client, by its newer connection.
    pub client: Client<'a>,
}

impl TakenOver<'_> {
    /// Counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.sessions_taken_over.inc();
        self.client.happening(HappeningKind::TakenOver).tell(metrics);
    }
}

/// A session ended. No log line: every client without a session expiry ends one with its connection.
#[derive(Clone, Copy, Debug)]
pub struct SessionEnded<'a> {
    /// The client; it is not connected.
    pub client: Client<'a>,
}

impl SessionEnded<'_> {
    /// Counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.sessions_ended.inc();
        self.client.happening(HappeningKind::SessionEnded).tell(metrics);
    }
}
