//! Events of connections: accepted, refused, ended, broken.
//!
//! Knows nothing of the metrics' text form; called from the stories of `server`.

use std::{fmt::Display, net::SocketAddr};

use codec::ReasonCode;

use super::or_dash;
use crate::{Escaped, EscapedDisplay, Metrics, shown_username};

/// A CONNECT was accepted. Level debug: a line for each would be a third of what a CONNECT costs;
/// the metrics count them and the admin API shows who is there.
#[derive(Clone, Copy, Debug)]
pub struct Connected<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// The authenticated principal.
    pub principal: &'a str,
    /// Name of the listener; the metric's label.
    pub listener: &'a str,
    /// Address of the client.
    pub remote: SocketAddr,
    /// `3.1.1` or `5.0`.
    pub protocol: &'static str,
    /// Whether a session went on.
    pub session_present: bool,
}

impl Connected<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connections_opened.of(self.listener).inc();
        tracing::debug!(
            event = "connected",
            client_id = %Escaped(self.client_id),
            principal = %Escaped(self.principal),
            listener = self.listener,
            remote = %self.remote,
            protocol = self.protocol,
            session_present = self.session_present,
            "client connected"
        );
    }
}

/// A connection was closed before a byte was read, because of a limit. Level warn, at a bounded
/// rate.
#[derive(Clone, Copy)]
pub struct ConnectionRefused<'a> {
    /// Name of the listener.
    pub listener: &'a str,
    /// Address of the client.
    pub remote: SocketAddr,
    /// Key of the limit in the configuration; the metric's label.
    pub limit: &'static str,
    /// Its value, as a sentence.
    pub cause: &'a dyn Display,
}

impl ConnectionRefused<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connections_refused.of(self.limit).inc();
        let throttle = &metrics.throttles.connection_refused;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "connection_refused",
            listener = self.listener,
            remote = %self.remote,
            limit = self.limit,
            suppressed,
            cause = %EscapedDisplay(self.cause),
            "connection refused"
        );
    }
}

/// A CONNECT was refused, or a connection ended before an acceptable CONNECT. Level warn, at a
/// bounded rate.
#[derive(Clone, Copy)]
pub struct ConnectRefused<'a> {
    /// Client Identifier, if it was read.
    pub client_id: Option<&'a str>,
    /// User Name as sent, if there is one and it was read.
    pub username: Option<&'a str>,
    /// Name of the listener.
    pub listener: &'a str,
    /// Address of the client.
    pub remote: SocketAddr,
    /// Reason Code of CONNACK; the metric's label.
    pub reason: ReasonCode,
    /// Names the decision in the admin API, where the chain refused.
    pub decision: Option<&'a dyn Display>,
    /// Why, for the operator: where plugins decided, which one and what it said.
    pub cause: &'a dyn Display,
}

impl ConnectRefused<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connect_refused.of(self.reason.name()).inc();
        let throttle = &metrics.throttles.connect_refused;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "connect_refused",
            client_id = %or_dash(self.client_id),
            username = %or_dash(self.username.map(shown_username)),
            listener = self.listener,
            remote = %self.remote,
            reason = self.reason.name(),
            suppressed,
            decision = self.decision.map(tracing::field::display),
            cause = %EscapedDisplay(self.cause),
            "connect refused"
        );
    }
}

/// An accepted connection ended. Level debug, as the other end of it.
#[derive(Clone, Copy, Debug)]
pub struct Disconnected<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// Address of the client.
    pub remote: SocketAddr,
    /// Name of a Reason Code, or `network`; the metric's label.
    pub reason: &'a str,
    /// Whether the client ended it.
    pub by_client: bool,
}

impl Disconnected<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connections_closed.of(self.reason).inc();
        tracing::debug!(
            event = "disconnected",
            client_id = %Escaped(self.client_id),
            remote = %self.remote,
            reason = %Escaped(self.reason),
            by_client = self.by_client,
            "client disconnected"
        );
    }
}

/// A client broke a rule of the protocol. Level warn, at a bounded rate.
#[derive(Clone, Copy)]
pub struct ProtocolViolation<'a> {
    /// Client Identifier, if it was read.
    pub client_id: Option<&'a str>,
    /// Address of the client.
    pub remote: SocketAddr,
    /// The rule, as a sentence.
    pub error: &'a dyn Display,
}

impl ProtocolViolation<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.protocol_violations.inc();
        let throttle = &metrics.throttles.protocol_violation;
        let Some(suppressed) = throttle.admit(metrics.uptime().as_secs()) else {
            return;
        };
        tracing::warn!(
            event = "protocol_violation",
            client_id = %or_dash(self.client_id),
            remote = %self.remote,
            suppressed,
            cause = %EscapedDisplay(self.error),
            "protocol violation"
        );
    }
}
