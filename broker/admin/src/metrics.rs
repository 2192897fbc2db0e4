//! `/metrics`: the counters of `telemetry`, and the current numbers of everybody else.
//!
//! Knows nothing of how events are counted.

use std::sync::Arc;

use access::{PluginInfo, PoolInfo};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use server::{QueueTotals, StoreTotals, TlsStatus};
use telemetry::{Snapshot, TraceState};

use crate::{
    AdminState,
    alarms::Alarms,
    call::{Answer, Call, Shared, blocking},
    health::Ready,
    plugins::State,
    process::Process,
};

/// `GET /metrics`
pub(crate) async fn scrape(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let text = blocking(move || text(&shared)).await?;
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static(content_type(&call.parts.headers));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// Everything, as text.
pub(crate) fn text(shared: &Shared) -> String {
    shared.state.metrics.encode_snapshot(&snapshot(&shared.state, &shared.alarms))
}

/// The text is valid in both formats; it is called what the reader asked for.
fn content_type(headers: &HeaderMap) -> &'static str {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepted = accepted.flat_map(|value| value.split(','));
    if accepted.any(|range| range.trim().starts_with("application/openmetrics-text")) {
        OPENMETRICS
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    }
}

/// The current numbers.
pub(crate) fn snapshot(state: &AdminState, alarms: &Alarms) -> Snapshot {
    let mut snapshot = Snapshot::default();
    of_broker(&mut snapshot, state);
    of_queues(&mut snapshot, &state.broker.queues());
    for (severity, count) in alarms.counts() {
        snapshot.labelled_gauge(
            "portcullis_alarms",
            "Alarms that stand, by severity: GET /api/v1/alarms says which",
            &[("severity", severity.name())],
            count as f64,
        );
    }
    if let Some(store) = state.broker.store() {
        of_store(&mut snapshot, &store);
    }
    for tls in state.broker.tls() {
        of_tls(&mut snapshot, &tls);
    }
    of_limits(&mut snapshot, state);
    of_records(&mut snapshot, state);
    of_plugins(&mut snapshot, state);
    of_process(&mut snapshot, Process::read());
    snapshot
}

fn of_broker(snapshot: &mut Snapshot, state: &AdminState) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    snapshot.labelled_gauge(
        "portcullis_build_info",
        "Version of the broker; always 1",
        &version,
        1.0,
    );
    let uptime = state.metrics.uptime().as_secs_f64();
    snapshot.gauge("portcullis_uptime_seconds", "Time since the start", uptime);
    let ready = if Ready::of(state).ready { 1.0 } else { 0.0 };
    snapshot.gauge("portcullis_ready", "1 if /readyz answers 200, otherwise 0", ready);
    let totals = state.broker.totals();
    for (name, help, value) in [
        (
            "portcullis_connections",
            "Open connections, also those before CONNECT",
            totals.connections,
        ),
        ("portcullis_sessions", "Sessions, connected or not", totals.sessions),
        ("portcullis_subscriptions", "Subscriptions", totals.subscriptions),
        ("portcullis_retained_messages", "Retained messages", totals.retained_messages),
        (
            "portcullis_retained_bytes",
            "Payload and topic bytes of the retained messages",
            totals.retained_bytes,
        ),
        (
            "portcullis_overload_level",
            "Level of load, 0 to 10: publishers are held back the more the higher it is",
            totals.overload_level.into(),
        ),
        (
            "portcullis_chain_generation",
            "Raised by one each time the chains are replaced",
            state.gate.generation(),
        ),
    ] {
        snapshot.gauge(name, help, value as f64);
    }
    for listener in state.broker.listeners() {
        snapshot.labelled_gauge(
            "portcullis_listener_connections",
            "Open connections of a listener",
            &[("listener", &listener.name)],
            listener.connections as f64,
        );
    }
}

fn of_queues(snapshot: &mut Snapshot, queues: &QueueTotals) {
    for (name, help, value) in [
        ("portcullis_sessions_connected", "Sessions with a connection", queues.connected),
        ("portcullis_queued_messages", "Messages that wait for their sessions", queues.queued),
        (
            "portcullis_queued_bytes",
            "Bytes of the messages that wait, as far as they are in memory",
            queues.queued_bytes,
        ),
        (
            "portcullis_queued_messages_longest",
            "Messages that wait for the session that has most",
            queues.queued_longest,
        ),
        (
            "portcullis_sessions_with_queued_messages",
            "Sessions for which messages wait",
            queues.waiting_sessions,
        ),
        (
            "portcullis_in_flight_messages",
            "Messages of QoS 1 and 2 that were sent and are not yet acknowledged",
            queues.in_flight,
        ),
    ] {
        snapshot.gauge(name, help, value as f64);
    }
}

fn of_limits(snapshot: &mut Snapshot, state: &AdminState) {
    for limit in state.broker.limits() {
        let labels = [("limit", limit.name)];
        snapshot.labelled_gauge(
            "portcullis_limit_maximum",
            "What a limit allows, by its key in [limits]",
            &labels,
            limit.maximum,
        );
        if let Some(current) = limit.current {
            snapshot.labelled_gauge(
                "portcullis_limit_current",
                "How much of a limit of the whole broker is in use",
                &labels,
                current,
            );
        }
    }
}

fn of_records(snapshot: &mut Snapshot, state: &AdminState) {
    let (clients, bytes) = state.records.history.size();
    snapshot.gauge("portcullis_history_clients", "Clients with a history", clients as f64);
    snapshot.gauge("portcullis_history_bytes", "Memory of the histories of clients", bytes as f64);
    let traces = state.metrics.traces.list();
    for wanted in TraceState::ALL {
        let count = traces.iter().filter(|trace| trace.state == wanted).count();
        snapshot.labelled_gauge(
            "portcullis_traces",
            "Device traces, by whether they record",
            &[("state", wanted.name())],
            count as f64,
        );
    }
}

fn of_store(snapshot: &mut Snapshot, store: &StoreTotals) {
    for (name, help, value) in [
        (
            "portcullis_store_available",
            "1 if the store takes messages, 0 while the disk is full or does not answer",
            u64::from(store.available),
        ),
        (
            "portcullis_store_pending_bytes",
            "Bytes in memory that wait to be written",
            store.pending_bytes,
        ),
        ("portcullis_store_log_files", "Files of the log of messages", store.log_files),
        ("portcullis_store_log_bytes", "Bytes in the log of messages", store.log_bytes),
    ] {
        snapshot.gauge(name, help, value as f64);
    }
    snapshot.labelled_counter(
        "portcullis_store_commits",
        "Batches that were written; what came together shares one",
        &[],
        store.commits as f64,
    );
    snapshot.labelled_counter(
        "portcullis_store_commit_seconds",
        "Time that writing them took, until they were durable",
        &[],
        store.commit_time.as_secs_f64(),
    );
}

fn of_plugins(snapshot: &mut Snapshot, state: &AdminState) {
    for plugin in state.plugins.list() {
        let name = plugin.name.as_str();
        let current = State::from(plugin.state).name();
        for state in State::ALL.map(State::name) {
            snapshot.labelled_gauge(
                "portcullis_plugin_state",
                "1 for the state that the plugin is in, 0 for the others",
                &[("plugin", name), ("state", state)],
                if state == current { 1.0 } else { 0.0 },
            );
        }
        for (metric, help, value) in [
            (
                "portcullis_plugin_generations",
                "Generations of the plugin that went live",
                plugin.generations as f64,
            ),
            (
                "portcullis_plugin_loads",
                "Times that files of the plugin were judged, whether they went live or not",
                (plugin.generations + plugin.load_failures) as f64,
            ),
            (
                "portcullis_plugin_load_failures",
                "Times that files of the plugin did not go live; what was live before stayed",
                plugin.load_failures as f64,
            ),
            (
                "portcullis_plugin_calls",
                "Calls of the plugin; starts anew with each generation",
                plugin.calls as f64,
            ),
            (
                "portcullis_plugin_failures",
                "Calls that came to no decision; starts anew with each generation",
                plugin.failures as f64,
            ),
            (
                "portcullis_plugin_call_seconds",
                "Wall time spent in calls; starts anew with each generation",
                plugin.call_microseconds as f64 / 1e6,
            ),
        ] {
            snapshot.labelled_counter(metric, help, &[("plugin", name)], value);
        }
        of_guards(snapshot, &plugin);
        of_pool(snapshot, name, &plugin.pool);
        for (kind, count) in &plugin.failure_kinds {
            snapshot.labelled_counter(
                "portcullis_plugin_call_failures",
                "Calls that came to no decision, by kind; starts anew with each generation",
                &[("plugin", name), ("kind", &kind.to_string())],
                *count as f64,
            );
        }
    }
}

/// Instances of a plugin: how busy they are, and what they cost.
fn of_pool(snapshot: &mut Snapshot, name: &str, pool: &PoolInfo) {
    for (metric, help, value) in [
        ("portcullis_plugin_pool_places", "Calls of the plugin that may run at once", pool.places),
        ("portcullis_plugin_pool_in_use", "Calls of the plugin that run", pool.in_use),
        ("portcullis_plugin_pool_idle", "Warm instances that wait for a call", pool.idle),
        ("portcullis_plugin_pool_waiting", "Calls that wait for a place", pool.waiting),
        (
            "portcullis_plugin_memory_peak_bytes",
            "Most linear memory that an instance had after a call; \
             starts anew with each generation",
            pool.memory_peak_bytes,
        ),
        (
            "portcullis_plugin_memory_max_bytes",
            "Most linear memory that an instance may have",
            pool.memory_max_bytes,
        ),
    ] {
        snapshot.labelled_gauge(metric, help, &[("plugin", name)], value as f64);
    }
    snapshot.labelled_counter(
        "portcullis_plugin_instances_made",
        "Instances that were made because none was warm; starts anew with each generation",
        &[("plugin", name)],
        pool.made as f64,
    );
}

/// Certificates of a listener and of those who are connected to it. Numbers that would count nothing are left out.
fn of_tls(snapshot: &mut Snapshot, tls: &TlsStatus) {
    let listener = ("listener", &*tls.listener);
    for what in TLS_FILES {
        let failed = tls.failed.iter().any(|(failed, _)| *failed == what);
        snapshot.labelled_gauge(
            "portcullis_tls_reload_failed",
            "1 while something of TLS cannot be used, by the key that names it, otherwise 0",
            &[listener, ("what", what)],
            if failed { 1.0 } else { 0.0 },
        );
    }
    for (file, not_after) in &tls.certificates {
        snapshot.labelled_gauge(
            "portcullis_tls_certificate_not_after_seconds",
            "When our own certificate is over, seconds since 1970",
            &[listener, ("certificate", file)],
            *not_after as f64,
        );
    }
    for (metric, help, value) in [
        ("portcullis_tls_clients", "Connected clients with a certificate", Some(tls.clients)),
        (
            "portcullis_tls_clients_not_after_seconds",
            "When the first certificate of a connected client is over, seconds since 1970",
            tls.clients_expire,
        ),
        (
            "portcullis_tls_crl_next_update_seconds",
            "When the first revocation list goes stale, seconds since 1970",
            tls.crl_next_update,
        ),
        ("portcullis_tls_revoked", "Certificates on revocation lists", Some(tls.revoked)),
    ] {
        if let Some(value) = value {
            snapshot.labelled_gauge(metric, help, &[listener], value as f64);
        }
    }
    snapshot.labelled_counter(
        "portcullis_tls_reloads",
        "Changes of certificates, authorities and lists that were put in force",
        &[listener],
        tls.reloads as f64,
    );
}

/// The keys of `[listeners.tls]` that name what is read again.
const TLS_FILES: [&str; 6] = ["cert", "key", "client_ca", "crl", "groups", "cipher_suites"];

/// What keeps a plugin from doing harm: breakers, and versions that are gone back to.
fn of_guards(snapshot: &mut Snapshot, plugin: &PluginInfo) {
    let name = plugin.name.as_str();
    snapshot.labelled_gauge(
        "portcullis_plugin_breaker_addresses",
        "Client addresses for which the plugin is not asked now, because their calls break",
        &[("plugin", name)],
        plugin.breaker.open_addresses as f64,
    );
    snapshot.labelled_gauge(
        "portcullis_plugin_breaker_open",
        "1 while the plugin is asked for nobody, because calls of many addresses break",
        &[("plugin", name)],
        if plugin.breaker.open { 1.0 } else { 0.0 },
    );
    snapshot.labelled_counter(
        "portcullis_plugin_breaker_refusals",
        "Calls answered with an error without asking; starts anew with each generation",
        &[("plugin", name)],
        plugin.breaker.refused as f64,
    );
    let held = if plugin.versions.held.is_some() { 1.0 } else { 0.0 };
    snapshot.labelled_gauge(
        "portcullis_plugin_held",
        "1 while an earlier version answers in place of the files in the folder, otherwise 0",
        &[("plugin", name)],
        held,
    );
    for (because, count) in &plugin.versions.rollbacks {
        snapshot.labelled_counter(
            "portcullis_plugin_rollbacks",
            "Times that an earlier version took the place of the files in the folder",
            &[("plugin", name), ("because", because.word())],
            *count as f64,
        );
    }
}

fn of_process(snapshot: &mut Snapshot, process: Process) {
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM",
            process.resident_bytes,
        ),
        ("process_threads", "Threads of the process", process.threads),
        ("process_open_fds", "Open file descriptors", process.open_fds),
        ("process_max_fds", "Soft limit of open file descriptors", process.max_fds),
    ] {
        if let Some(value) = value {
            snapshot.gauge(name, help, value);
        }
    }
    if let Some(seconds) = process.cpu_seconds {
        let help = "User and system CPU time of the process";
        snapshot.labelled_counter("process_cpu_seconds", help, &[], seconds);
    }
}

pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
