//! Events of connections: accepted, refused, ended, broken.
//!
//! Knows nothing of the metrics' text form; called from the stories of `server`.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use codec::ReasonCode;

use super::{Client, or_dash};
use crate::{
    Escaped, EscapedDisplay, Happening, HappeningKind, Metrics, ShownCertificate, shown_username,
};

/// A CONNECT was accepted. Level debug: a line for each would be a third of what a CONNECT costs;
/// the metrics count them and the admin API shows who is there.
#[derive(Clone, Copy)]
pub struct Connected<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// The authenticated principal.
    pub principal: &'a str,
    /// User Name as sent.
    pub username: Option<&'a str>,
    /// Name of the listener; the metric's label.
    pub listener: &'a str,
    /// Address of the client.
    pub remote: SocketAddr,
    /// Its certificate.
    pub certificate: Option<ShownCertificate<'a>>,
    /// `3.1.1` or `5.0`.
    pub protocol: &'static str,
    /// The link that named the principal.
    pub plugin: &'a str,
    /// Names the decision in the admin API.
    pub decision: Option<&'a dyn Display>,
    /// Whether a session went on.
    pub session_present: bool,
}

impl Connected<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connections_opened.inc(self.listener);
        metrics.observers.tell(HappeningKind::Connected, || Happening {
            client_id: Some(self.client_id),
            principal: Some(self.principal),
            username: self.username.map(shown_username),
            listener: Some(self.listener),
            remote: Some(self.remote),
            certificate: self.certificate,
            protocol: Some(self.protocol),
            plugin: Some(self.plugin),
            decision: self.decision,
            session_present: Some(self.session_present),
            ..Happening::of(HappeningKind::Connected)
        });
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

/// The chain let somebody in. Level debug, as [`Connected`], which follows unless the session, a
/// ban or the Will Message stands against it.
#[derive(Clone, Copy)]
pub struct Authenticated<'a> {
    /// Who it proved to be.
    pub client: Client<'a>,
    /// User Name as sent.
    pub username: Option<&'a str>,
    /// `3.1.1` or `5.0`.
    pub protocol: &'static str,
    /// The link that named the principal.
    pub plugin: &'a str,
    /// Names the decision in the admin API.
    pub decision: Option<&'a dyn Display>,
    /// Whether a connected client did it again.
    pub again: bool,
}

impl Authenticated<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.authentications.inc(if self.again { "again" } else { "connect" });
        metrics.observers.tell(HappeningKind::Authenticated, || Happening {
            username: self.username.map(shown_username),
            protocol: Some(self.protocol),
            plugin: Some(self.plugin),
            decision: self.decision,
            reason: self.again.then_some("again"),
            ..self.client.happening(HappeningKind::Authenticated)
        });
        tracing::debug!(
            event = "authenticated",
            client_id = %Escaped(self.client.id),
            principal = %or_dash(self.client.principal),
            plugin = self.plugin,
            decision = self.decision.map(tracing::field::display),
            "client authenticated"
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
        metrics.connections_refused.inc(self.limit);
        metrics.observers.tell(HappeningKind::ConnectionRefused, || Happening {
            listener: Some(self.listener),
            remote: Some(self.remote),
            reason: Some(self.limit),
            cause: Some(self.cause),
            ..Happening::of(HappeningKind::ConnectionRefused)
        });
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
    /// `3.1.1` or `5.0`, if it was read.
    pub protocol: Option<&'static str>,
    /// Its certificate.
    pub certificate: Option<ShownCertificate<'a>>,
    /// Names the decision in the admin API, where the chain refused.
    pub decision: Option<&'a dyn Display>,
    /// The link that refused, where the chain did.
    pub plugin: Option<&'a str>,
    /// Why, for the operator: where plugins decided, which one and what it said.
    pub cause: &'a dyn Display,
}

impl ConnectRefused<'_> {
    /// Counts it, and logs it unless too many came before.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connect_refused.inc(self.reason.name());
        metrics.observers.tell(HappeningKind::ConnectRefused, || Happening {
            client_id: self.client_id,
            username: self.username.map(shown_username),
            listener: Some(self.listener),
            remote: Some(self.remote),
            protocol: self.protocol,
            certificate: self.certificate,
            reason: Some(self.reason.name()),
            decision: self.decision,
            plugin: self.plugin,
            cause: Some(self.cause),
            ..Happening::of(HappeningKind::ConnectRefused)
        });
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
    /// Who it was.
    pub client: Client<'a>,
    /// Name of a Reason Code, or `network`; the metric's label.
    pub reason: &'a str,
    /// Whether the client ended it.
    pub by_client: bool,
    /// Bytes read from it after CONNECT.
    pub bytes_received: u64,
    /// Bytes written to it.
    pub bytes_sent: u64,
    /// How long it was connected.
    pub connected: Duration,
}

impl Disconnected<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.connections_closed.inc(self.reason);
        metrics.observers.tell(HappeningKind::Disconnected, || Happening {
            reason: Some(self.reason),
            by_client: Some(self.by_client),
            bytes_received: Some(self.bytes_received),
            bytes_sent: Some(self.bytes_sent),
            connected_ms: Some(u64::try_from(self.connected.as_millis()).unwrap_or(u64::MAX)),
            ..self.client.happening(HappeningKind::Disconnected)
        });
        tracing::debug!(
            event = "disconnected",
            client_id = %Escaped(self.client.id),
            remote = self.client.remote.map(tracing::field::display),
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
        metrics.observers.tell(HappeningKind::ProtocolViolation, || Happening {
            client_id: self.client_id,
            remote: Some(self.remote),
            cause: Some(self.error),
            ..Happening::of(HappeningKind::ProtocolViolation)
        });
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
