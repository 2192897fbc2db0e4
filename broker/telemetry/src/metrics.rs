//! The counters of the broker, and their text form for Prometheus.
//!
//! Knows nothing of who counts; `events` and the packet loop of `server` do. Current numbers
//! (gauges) are not kept here: whoever owns them hands them over when somebody asks, in a
//! [`Snapshot`].

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeMetric, text},
    metrics::{counter::Counter, family::Family},
    registry::{Metric, Registry},
};

pub(crate) mod known;

use crate::{
    ByLabel, ByPacketType, ByQoS, Described, Kind, Listeners, Observers, PluginMetrics, Seconds,
    Snapshot, Traces,
    events::Throttles,
    listener_metrics::{Shown, ShownListeners},
};

/// The counters of one broker. Shared; counting needs no lock except where [`ByLabel`] says so.
pub struct Metrics {
    /// Connections whose CONNECT was accepted, by listener.
    pub connections_opened: ByLabel,
    /// Accepted connections that ended, by the name of the Reason Code or `network`.
    pub connections_closed: ByLabel,
    /// Connections closed before a byte was read, by the limit that they would have exceeded.
    pub connections_refused: ByLabel,
    /// CONNECTs refused, by the name of the Reason Code.
    pub connect_refused: ByLabel,
    /// Times that a chain let a client in, by whether it was already connected.
    pub authentications: ByLabel,
    /// TLS handshakes, by how they ended.
    pub tls_handshakes: ByLabel,
    /// TLS connections that were made, by version, cipher suite and kind of handshake.
    pub tls_connections: TlsConnections,
    /// Seconds of TLS handshakes, by kind.
    pub tls_handshake_seconds: TlsSeconds,
    /// Control packets received, by type.
    pub packets_received: ByPacketType,
    /// Control packets sent, by type.
    pub packets_sent: ByPacketType,
    /// Bytes read from clients.
    pub bytes_received: Counter,
    /// Bytes written to clients.
    pub bytes_sent: Counter,
    /// PUBLISH packets received, by QoS.
    pub publish_received: ByQoS,
    /// PUBLISH packets sent, by QoS.
    pub publish_sent: ByQoS,
    /// Bytes of PUBLISH packets received.
    pub publish_bytes_received: Counter,
    /// Bytes of PUBLISH packets sent.
    pub publish_bytes_sent: Counter,
    /// PUBLISH packets that were not permitted.
    pub publish_denied: Counter,
    /// Topic filters of SUBSCRIBE packets that were not permitted.
    pub subscribe_denied: Counter,
    /// Messages that did not reach a session or a subscriber, by reason.
    pub messages_dropped: ByLabel,
    /// Sessions that ended because their client did not come back in time.
    pub sessions_expired: Counter,
    /// Sessions that ended, for whatever reason.
    pub sessions_ended: Counter,
    /// Sessions that a newer connection of the client took from an older one.
    pub sessions_taken_over: Counter,
    /// Will Messages published.
    pub wills_published: Counter,
    /// Will Messages not published, by reason. Those that no rule permits are PUBLISH packets
    /// denied.
    pub wills_refused: ByLabel,
    /// Connections ended because the client broke the protocol.
    pub protocol_violations: Counter,
    /// Bans that were made, by origin.
    pub bans_made: ByLabel,
    /// Changes of the level of load, by direction.
    pub overload_changes: ByLabel,
    /// Times that a client was not read for a while, by what held it back.
    pub reading_paused: ByLabel,
    /// Lines of the access log, by kind of event.
    pub access_log_lines: ByLabel,
    /// Lines that the access log lost, by why.
    pub access_log_dropped: ByLabel,
    /// Requests to the admin API, by HTTP status.
    pub admin_requests: ByLabel,
    /// Bans that are over, by whether somebody lifted them.
    pub bans_ended: ByLabel,
    /// Seconds that the chain needed to authenticate one CONNECT.
    pub authentication_seconds: Seconds,
    /// Seconds that the chain needed for the permissions of one client.
    pub permissions_seconds: Seconds,
    /// From a swap of the chains, or permissions taken back, to the new permissions of one client.
    pub revocation_latency_seconds: Seconds,
    /// What each listener counts.
    pub listeners: Listeners,
    /// Requests to the admin API, by method, route and class of status.
    pub admin_route_requests: RouteRequests,
    /// Seconds that requests to the admin API took, by route.
    pub admin_route_seconds: RouteSeconds,
    /// What plugins count themselves.
    pub plugins: PluginMetrics,
    /// What is traced.
    pub traces: Traces,
    /// Who sees events beside the log.
    pub observers: Observers,
    pub(crate) throttles: Throttles,
    registry: Registry,
    catalogue: Vec<Described>,
    started: Instant,
}

impl Metrics {
    /// All zero.
    pub fn new() -> Arc<Self> {
        let mut registrar = Registrar { registry: Registry::default(), catalogue: Vec::new() };
        Arc::new(Self {
            connections_opened: registrar.by_label(CONNECTIONS_OPENED, "listener", []),
            connections_closed: registrar.by_label(CONNECTIONS_CLOSED, "reason", known::CLOSED),
            connections_refused: registrar.by_label(CONNECTIONS_REFUSED, "limit", known::LIMITS),
            connect_refused: registrar.by_label(CONNECT_REFUSED, "reason", known::CONNECT_REFUSED),
            authentications: registrar.by_label(AUTHENTICATIONS, "when", ["connect", "again"]),
            tls_handshakes: registrar.by_label(TLS_HANDSHAKES, "result", known::HANDSHAKES),
            tls_connections: registrar.register(TLS_CONNECTIONS, &["version", "cipher", "kind"]),
            tls_handshake_seconds: registrar.tls_seconds(),
            packets_received: registrar.register(PACKETS_RECEIVED, &["type"]),
            packets_sent: registrar.register(PACKETS_SENT, &["type"]),
            bytes_received: registrar.register(BYTES_RECEIVED, &[]),
            bytes_sent: registrar.register(BYTES_SENT, &[]),
            publish_received: registrar.register(PUBLISH_RECEIVED, &["qos"]),
            publish_sent: registrar.register(PUBLISH_SENT, &["qos"]),
            publish_bytes_received: registrar.register(PUBLISH_BYTES_RECEIVED, &[]),
            publish_bytes_sent: registrar.register(PUBLISH_BYTES_SENT, &[]),
            publish_denied: registrar.register(PUBLISH_DENIED, &[]),
            subscribe_denied: registrar.register(SUBSCRIBE_DENIED, &[]),
            messages_dropped: registrar.by_label(MESSAGES_DROPPED, "reason", known::DROPPED),
            sessions_expired: registrar.register(SESSIONS_EXPIRED, &[]),
            sessions_ended: registrar.register(SESSIONS_ENDED, &[]),
            sessions_taken_over: registrar.register(SESSIONS_TAKEN_OVER, &[]),
            wills_published: registrar.register(WILLS_PUBLISHED, &[]),
            wills_refused: registrar.by_label(WILLS_REFUSED, "reason", known::WILLS),
            protocol_violations: registrar.register(PROTOCOL_VIOLATIONS, &[]),
            bans_made: registrar.by_label(BANS_MADE, "origin", known::BANS),
            bans_ended: registrar.by_label(BANS_ENDED, "how", ["lifted", "expired"]),
            overload_changes: registrar.by_label(OVERLOAD_CHANGES, "direction", ["up", "down"]),
            reading_paused: registrar.by_label(
                READING_PAUSED,
                "by",
                ["client_rate", "total_rate", "overload"],
            ),
            access_log_lines: registrar.by_label(ACCESS_LOG_LINES, "type", known::lines()),
            access_log_dropped: registrar.by_label(ACCESS_LOG_DROPPED, "reason", known::LOST),
            admin_requests: registrar.by_label(ADMIN_REQUESTS, "status", known::STATUS),
            authentication_seconds: registrar.histogram(AUTHENTICATION_SECONDS),
            permissions_seconds: registrar.histogram(PERMISSIONS_SECONDS),
            revocation_latency_seconds: registrar.histogram(REVOCATION_LATENCY_SECONDS),
            listeners: registrar.of_listeners(),
            admin_route_requests: registrar
                .register(ADMIN_ROUTE_REQUESTS, &["method", "route", "status"]),
            admin_route_seconds: registrar.route_seconds(),
            plugins: registrar.of_plugins(),
            traces: Traces::default(),
            observers: registrar.observers(),
            throttles: Throttles::default(),
            registry: registrar.registry,
            catalogue: registrar.catalogue,
            started: now(),
        })
    }

    /// The counters in the OpenMetrics text format, which Prometheus reads.
    pub fn encode(&self) -> String {
        self.encode_snapshot(&Snapshot::default())
    }

    /// Like [`Metrics::encode`], with gauges as (name on the wire, sentence without full stop,
    /// value).
    pub fn encode_with(&self, gauges: &[(&str, &'static str, f64)]) -> String {
        let mut snapshot = Snapshot::default();
        for (name, help, value) in gauges {
            snapshot.gauge(name, help, *value);
        }
        self.encode_snapshot(&snapshot)
    }

    /// Like [`Metrics::encode`], with the numbers of a snapshot.
    pub fn encode_snapshot(&self, snapshot: &Snapshot) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let written = text::encode_registry(&mut text, &self.registry)
            .and_then(|()| text::encode_registry(&mut text, snapshot.registry()))
            .and_then(|()| text::encode_eof(&mut text));
        if let Err(error) = written {
            // Writing to a String cannot fail; half an answer must still not pass for a whole one:
            // without its last line `# EOF` every OpenMetrics reader refuses it.
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }

    /// What each counter means, in the order of [`Metrics::encode`].
    pub fn catalogue(&self) -> &[Described] {
        &self.catalogue
    }

    /// Time since these counters were zero.
    pub fn uptime(&self) -> Duration {
        now().saturating_duration_since(self.started)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("metrics", &self.catalogue.len()).finish_non_exhaustive()
    }
}

/// The one place of this crate where time comes in: it only paces log lines and tells the uptime.
#[allow(clippy::disallowed_methods, reason = "the clock of telemetry, used for nothing else")]
fn now() -> Instant {
    Instant::now()
}

/// Name of a metric between `portcullis_` and `_total`, and what it means as a sentence without
/// full stop.
type Named = (&'static str, &'static str);

const CONNECTIONS_OPENED: Named = ("connections_opened", "Connections whose CONNECT was accepted");
const CONNECTIONS_CLOSED: Named = (
    "connections_closed",
    "Accepted connections that ended, by the name of the Reason Code or network",
);
const CONNECTIONS_REFUSED: Named = (
    "connections_refused",
    "Connections closed before a byte was read, by the limit that they would have exceeded",
);
const CONNECT_REFUSED: Named =
    ("connect_refused", "CONNECTs refused, by the name of the Reason Code");
const AUTHENTICATIONS: Named = (
    "authentications",
    "Times that a chain let a client in: at CONNECT (connect), or a connected one that \
     authenticated again (again)",
);
const TLS_HANDSHAKES: Named = (
    "tls_handshakes",
    "TLS handshakes by how they ended: full, resumed, or why there was no connection",
);
const TLS_CONNECTIONS: Named = (
    "tls_connections",
    "TLS connections that were made, by version, cipher suite and kind of handshake (full, \
     resumed)",
);
const TLS_HANDSHAKE_SECONDS: Named = (
    "tls_handshake_seconds",
    "Time of TLS handshakes from the first byte to the judged certificate, by kind; those that \
     fail are failed",
);
const PACKETS_RECEIVED: Named = ("packets_received", "Control packets received");
const PACKETS_SENT: Named = ("packets_sent", "Control packets sent");
const BYTES_RECEIVED: Named = ("bytes_received", "Bytes read from clients");
const BYTES_SENT: Named = ("bytes_sent", "Bytes written to clients");
const PUBLISH_RECEIVED: Named = ("publish_received", "PUBLISH packets received");
const PUBLISH_SENT: Named = ("publish_sent", "PUBLISH packets sent");
const PUBLISH_BYTES_RECEIVED: Named =
    ("publish_bytes_received", "Bytes of the PUBLISH packets received, whole packets");
const PUBLISH_BYTES_SENT: Named =
    ("publish_bytes_sent", "Bytes of the PUBLISH packets sent, whole packets");
const PUBLISH_DENIED: Named = ("publish_denied", "PUBLISH packets that were not permitted");
const SUBSCRIBE_DENIED: Named =
    ("subscribe_denied", "Topic filters of SUBSCRIBE packets that were not permitted");
const MESSAGES_DROPPED: Named =
    ("messages_dropped", "Messages that did not reach a session or a subscriber");
const SESSIONS_EXPIRED: Named =
    ("sessions_expired", "Sessions that ended because their client did not come back in time");
const SESSIONS_ENDED: Named = (
    "sessions_ended",
    "Sessions that ended: with their connection, by Clean Start, or because the client did not \
     come back in time",
);
const SESSIONS_TAKEN_OVER: Named = (
    "sessions_taken_over",
    "Sessions that a newer connection of the client took from one that was still open",
);
const WILLS_PUBLISHED: Named = ("wills_published", "Will Messages published");
const WILLS_REFUSED: Named = (
    "wills_refused",
    "Will Messages not published because the identity had ended or the permissions were unknown, \
     or not to stored sessions because the store took nothing",
);
const PROTOCOL_VIOLATIONS: Named =
    ("protocol_violations", "Connections ended because the client broke the protocol");
const BANS_MADE: Named = ("bans_made", "Bans that were made, by an administrator or for flapping");
const BANS_ENDED: Named = (
    "bans_ended",
    "Bans that are over: somebody lifted them (lifted) or their time ran out (expired)",
);
const CACHE_LOOKUPS: Named = (
    "cache_lookups",
    "Looks into what is kept: permissions that a plugin gave before, passwords that were verified \
     lately, machine code of plugins",
);
const OVERLOAD_CHANGES: Named = ("overload_changes", "Changes of the level of load, up or down");
const READING_PAUSED: Named = (
    "reading_paused",
    "Times that a client was not read for a while, because of its own rate (client_rate), that of \
     all (total_rate) or the load (overload); nothing is lost by it",
);
const EVENTS: Named = ("events", "What happened, by kind: what GET /api/v1/events streams");
const ACCESS_LOG_LINES: Named = ("access_log_lines", "Lines of the access log, by kind of event");
const ACCESS_LOG_DROPPED: Named = (
    "access_log_dropped",
    "Lines that the access log lost: no room in its queue (queue_full) or in the day (day_full), \
     the disk did not take them (not_written), or they came while it ended (closed)",
);
const ADMIN_REQUESTS: Named = ("admin_requests", "Requests to the admin API, by HTTP status");
const AUTHENTICATION_SECONDS: Named =
    ("authentication_seconds", "Time that the chain needed to authenticate one CONNECT");
const PERMISSIONS_SECONDS: Named =
    ("permissions_seconds", "Time that the chain needed for the permissions of one client");

const REVOCATION_LATENCY_SECONDS: Named = (
    "revocation_latency_seconds",
    "From a swap of the chains, or permissions taken back, to the new permissions of one client; \
     nothing is handed to it in between",
);

const LISTENER_PACKETS: Named =
    ("listener_packets", "Control packets of a listener, by direction and type");
const LISTENER_PACKET_BYTES: Named =
    ("listener_packet_bytes", "Bytes of the control packets of a listener, whole packets");
const LISTENER_REASON_CODES: Named = (
    "listener_reason_codes",
    "Reason Codes in the packets of a listener; of 3.1.1 those that stand for its return codes",
);
const LISTENER_PUBLISH: Named =
    ("listener_publish", "PUBLISH packets of a listener, by direction and QoS");
const LISTENER_PUBLISH_SIZES: Named =
    ("listener_publish_size_bytes", "Sizes of the PUBLISH packets of a listener, whole packets");
const LISTENER_CLOSED: Named = (
    "listener_connections_closed",
    "Accepted connections of a listener that ended, by the name of the Reason Code or network",
);
const LISTENER_REFUSED: Named = (
    "listener_connect_refused",
    "CONNECTs of a listener that were refused, by the name of the Reason Code",
);
const LISTENER_TURNED_AWAY: Named = (
    "listener_connections_refused",
    "Connections of a listener closed before a byte was read, by limit",
);
const LISTENER_HANDSHAKES: Named =
    ("listener_tls_handshakes", "TLS handshakes of a listener, by how they ended");
const CONNECT_SECONDS: Named = (
    "connect_seconds",
    "From the accepted socket to the CONNACK that let the client in (accepted) or to its refusal \
     (refused), TLS and waiting for CONNECT included",
);
const CONNECTED_SECONDS: Named =
    ("connected_seconds", "How long clients were connected, noted when they go");
const ADMIN_ROUTE_REQUESTS: Named =
    ("admin_route_requests", "Requests to the admin API, by route and class of HTTP status");
const ADMIN_ROUTE_SECONDS: Named = (
    "admin_route_seconds",
    "Time that requests to the admin API took until their answer began, by route",
);
const PLUGIN_HOOK_SECONDS: Named = (
    "plugin_hook_seconds",
    "Time of the calls of a plugin, by hook and what it said, waiting for an instance included; an \
     answer that is used again is no call",
);

const PLUGIN_HOOK_WAIT: Named = (
    "plugin_hook_wait_seconds",
    "Time that calls of a plugin waited for a place in its pool, by hook; most find one at once, and \
     are not among them",
);
const PLUGIN_HOOK_FAILURES: Named = (
    "plugin_hook_failures",
    "Calls that came to no decision, by plugin, hook and kind; it goes on with each generation",
);

const PLUGIN_COUNTER: Named =
    ("plugin_custom_counter", "Counters of plugins, under their own names");
const PLUGIN_GAUGE: Named = ("plugin_custom_gauge", "Gauges of plugins, under their own names");
const PLUGIN_HISTOGRAM: Named =
    ("plugin_custom_histogram", "Histograms of plugins, under their own names");
const PLUGIN_DROPPED: Named = (
    "plugin_custom_dropped",
    "Uses of metrics by plugins that were not taken: too many names, a bad name or a bad value",
);

/// Registers each metric and writes down what it means, so that neither can be forgotten.
struct Registrar {
    registry: Registry,
    catalogue: Vec<Described>,
}

impl Registrar {
    fn register<M: Metric + EncodeMetric + Clone + Default>(
        &mut self,
        (name, help): Named,
        labels: &[&'static str],
    ) -> M {
        let metric = M::default();
        self.describe(format!("portcullis_{name}_total"), Kind::Counter, labels, help);
        self.registry.register(format!("portcullis_{name}"), help, metric.clone());
        metric
    }

    fn by_label(
        &mut self,
        (name, help): Named,
        label: &'static str,
        known: impl IntoIterator<Item = &'static str>,
    ) -> ByLabel {
        let counters = ByLabel::with(label, known);
        self.describe(format!("portcullis_{name}_total"), Kind::Counter, &[label], help);
        self.registry.register(format!("portcullis_{name}"), help, counters.clone());
        counters
    }

    fn histogram(&mut self, (name, help): Named) -> Seconds {
        let histogram = Seconds::new(&SECONDS_BUCKETS);
        self.describe(format!("portcullis_{name}"), Kind::Histogram, &[], help);
        self.registry.register(format!("portcullis_{name}"), help, histogram.clone());
        histogram
    }

    fn of_listeners(&mut self) -> Listeners {
        let listeners = Listeners::default();
        let by_type = ["listener", "direction", "type"];
        let by_reason = ["listener", "direction", "type", "reason"];
        let by_qos = ["listener", "direction", "qos"];
        for ((name, help), kind, labels, shown) in [
            (LISTENER_PACKETS, Kind::Counter, &by_type[..], Shown::Packets),
            (LISTENER_PACKET_BYTES, Kind::Counter, &by_type[..], Shown::Bytes),
            (LISTENER_REASON_CODES, Kind::Counter, &by_reason[..], Shown::Reasons),
            (CONNECT_SECONDS, Kind::Histogram, &["listener", "outcome"][..], Shown::ConnectSeconds),
            (CONNECTED_SECONDS, Kind::Histogram, &["listener"][..], Shown::ConnectedSeconds),
            (LISTENER_PUBLISH, Kind::Counter, &by_qos[..], Shown::Publishes),
            (LISTENER_PUBLISH_SIZES, Kind::Histogram, &by_qos[..2], Shown::Sizes),
            (LISTENER_CLOSED, Kind::Counter, &["listener", "reason"][..], Shown::Closed),
            (LISTENER_REFUSED, Kind::Counter, &["listener", "reason"][..], Shown::Refused),
            (LISTENER_TURNED_AWAY, Kind::Counter, &["listener", "limit"][..], Shown::TurnedAway),
            (LISTENER_HANDSHAKES, Kind::Counter, &["listener", "result"][..], Shown::Handshakes),
        ] {
            let total = if kind == Kind::Counter { "_total" } else { "" };
            self.describe(format!("portcullis_{name}{total}"), kind, labels, help);
            let family = ShownListeners(shown, listeners.clone());
            self.registry.register(format!("portcullis_{name}"), help, family);
        }
        listeners
    }

    fn observers(&mut self) -> Observers {
        let observers = Observers::default();
        let (name, help) = EVENTS;
        self.describe(format!("portcullis_{name}_total"), Kind::Counter, &["type"], help);
        self.registry.register(format!("portcullis_{name}"), help, observers.counts.clone());
        observers
    }

    fn tls_seconds(&mut self) -> TlsSeconds {
        let (name, help) = TLS_HANDSHAKE_SECONDS;
        let family = TlsSeconds::new_with_constructor(|| Seconds::new(&TLS_BUCKETS));
        for kind in ["full", "resumed", "failed"] {
            drop(family.get_or_create(&[("kind", kind)]));
        }
        self.describe(format!("portcullis_{name}"), Kind::Histogram, &["kind"], help);
        self.registry.register(format!("portcullis_{name}"), help, family.clone());
        family
    }

    fn route_seconds(&mut self) -> RouteSeconds {
        let (name, help) = ADMIN_ROUTE_SECONDS;
        let family = RouteSeconds::new_with_constructor(|| Seconds::new(&ROUTE_BUCKETS));
        self.describe(format!("portcullis_{name}"), Kind::Histogram, &["method", "route"], help);
        self.registry.register(format!("portcullis_{name}"), help, family.clone());
        family
    }

    fn of_plugins(&mut self) -> PluginMetrics {
        let plugins = PluginMetrics::default();
        let labels = ["plugin", "name"];
        let mut describe = |(name, help): Named, kind, labels: &[&'static str]| {
            let total = if kind == Kind::Counter { "_total" } else { "" };
            self.describe(format!("portcullis_{name}{total}"), kind, labels, help);
            (format!("portcullis_{name}"), help)
        };
        let counter = describe(PLUGIN_COUNTER, Kind::Counter, &labels);
        let gauge = describe(PLUGIN_GAUGE, Kind::Gauge, &labels);
        let histogram = describe(PLUGIN_HISTOGRAM, Kind::Histogram, &labels);
        let times = describe(PLUGIN_HOOK_SECONDS, Kind::Histogram, &["plugin", "hook", "verdict"]);
        let waits = describe(PLUGIN_HOOK_WAIT, Kind::Histogram, &["plugin", "hook"]);
        let failures = describe(PLUGIN_HOOK_FAILURES, Kind::Counter, &["plugin", "hook", "kind"]);
        let dropped = describe(PLUGIN_DROPPED, Kind::Counter, &["plugin"]);
        let caches = describe(CACHE_LOOKUPS, Kind::Counter, &["cache", "result"]);
        self.registry.register(caches.0, caches.1, plugins.caches.clone());
        self.registry.register(counter.0, counter.1, plugins.counters.clone());
        self.registry.register(gauge.0, gauge.1, plugins.gauges.clone());
        self.registry.register(histogram.0, histogram.1, plugins.histograms.clone());
        self.registry.register(times.0, times.1, plugins.times.calls.clone());
        self.registry.register(waits.0, waits.1, plugins.times.waits.clone());
        self.registry.register(failures.0, failures.1, plugins.times.failures.clone());
        self.registry.register(dropped.0, dropped.1, plugins.dropped.clone());
        plugins
    }

    fn describe(&mut self, name: String, kind: Kind, labels: &[&'static str], help: &'static str) {
        self.catalogue.push(Described { name, kind, labels: labels.to_vec(), help });
    }
}

/// Requests by route and status. Both come from our tables, not from callers.
pub type RouteRequests = Family<[(&'static str, &'static str); 3], Counter>;
/// Seconds by route.
pub type RouteSeconds = Family<[(&'static str, &'static str); 2], Seconds, fn() -> Seconds>;

/// TLS connections by version, cipher suite and kind: names of rustls, not of clients.
pub type TlsConnections = Family<[(&'static str, &'static str); 3], Counter>;
/// Seconds of handshakes by kind.
pub type TlsSeconds = Family<[(&'static str, &'static str); 1], Seconds, fn() -> Seconds>;

/// From a resumption on the same machine to a client far away on a slow line.
const TLS_BUCKETS: [f64; 10] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];

/// From an answer from memory to an upload that is compiled.
const ROUTE_BUCKETS: [f64; 4] = [0.005, 0.05, 0.5, 5.0];

/// From a warm plugin call (microseconds) past the wall deadline of a plugin (2 s).
const SECONDS_BUCKETS: [f64; 14] = [
    0.000_005, 0.000_02, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
    5.0,
];

#[cfg(test)]
mod tests;
