//! `/api/v1/overview`: the last quarter of an hour in samples, for charts.
//!
//! Knows nothing of charts. A task takes a sample every few seconds from counters that are kept
//! anyway; nothing is counted for this.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::time::MissedTickBehavior;
use utoipa::ToSchema;

use crate::{
    AdminState,
    call::{Answer, Call, Shared},
};

/// Time between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// Samples that are kept: 15 minutes; then the oldest goes.
const SAMPLES_MAX: usize = 180;

/// The broker over the last quarter of an hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// Seconds between two samples.
    interval_seconds: u64,
    /// Oldest first, at most 180. Empty in the first seconds after the start.
    samples: Vec<Sample>,
}

/// Numbers of one moment; rates are over the time since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = OverviewSample)]
pub(crate) struct Sample {
    /// When it was taken, seconds since 1970.
    at: u64,
    /// Open connections, also those before CONNECT.
    connections: u64,
    /// Sessions, connected or not.
    sessions: u64,
    /// Subscriptions.
    subscriptions: u64,
    /// Retained messages.
    retained_messages: u64,
    /// Level of load, 0 to 10.
    overload_level: u8,
    /// PUBLISH packets received per second.
    messages_in: f64,
    /// PUBLISH packets sent per second.
    messages_out: f64,
    /// Messages per second that did not reach a session or a subscriber.
    messages_dropped: f64,
    /// Bytes read from clients per second.
    bytes_in: f64,
    /// Bytes written to clients per second.
    bytes_out: f64,
    /// CONNECTs accepted per second.
    connects_accepted: f64,
    /// CONNECTs refused per second.
    connects_refused: f64,
    /// PUBLISH packets and Topic Filters per second that were not permitted.
    operations_denied: f64,
    /// Calls of plugins per second.
    plugin_calls: f64,
    /// Milliseconds of wall time spent in plugins per second.
    plugin_milliseconds: f64,
}

/// Counters of one moment.
#[derive(Clone, Debug, Default)]
struct Counts {
    messages_in: u64,
    messages_out: u64,
    messages_dropped: u64,
    bytes_in: u64,
    bytes_out: u64,
    connects_accepted: u64,
    connects_refused: u64,
    operations_denied: u64,
    /// Calls and microseconds of each plugin; they start anew with each generation.
    plugins: BTreeMap<String, (u64, u64)>,
}

impl Counts {
    fn read(state: &AdminState) -> Self {
        let metrics = &state.metrics;
        let plugins = state.plugins.list().into_iter();
        Self {
            messages_in: metrics.publish_received.total(),
            messages_out: metrics.publish_sent.total(),
            messages_dropped: metrics.messages_dropped.total(),
            bytes_in: metrics.bytes_received.get(),
            bytes_out: metrics.bytes_sent.get(),
            connects_accepted: metrics.connections_opened.total(),
            connects_refused: metrics.connect_refused.total(),
            operations_denied: metrics.publish_denied.get() + metrics.subscribe_denied.get(),
            plugins: plugins
                .map(|plugin| (plugin.name, (plugin.calls, plugin.call_microseconds)))
                .collect(),
        }
    }

    /// Calls and microseconds since `before`.
    fn of_plugins_since(&self, before: &Self) -> (u64, u64) {
        self.plugins.iter().fold((0, 0), |(calls, micros), (name, (calls_now, micros_now))| {
            let (calls_then, micros_then) = before.plugins.get(name).copied().unwrap_or_default();
            // Fewer than before: another generation, which began at zero.
            let since = |now: u64, then: u64| if now < then { now } else { now - then };
            (calls + since(*calls_now, calls_then), micros + since(*micros_now, micros_then))
        })
    }
}

/// The samples, and what the next one is compared with.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Sample>,
    last: Option<(Counts, Instant)>,
}

impl Samples {
    /// Takes a sample. The first call only begins to count.
    pub(crate) fn take(&self, state: &AdminState, now: Instant, now_unix: u64) {
        let counts = Counts::read(state);
        let totals = state.broker.totals();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, then)) = &kept.last {
            let seconds = now.saturating_duration_since(*then).as_secs_f64().max(0.001);
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
            let (calls, micros) = counts.of_plugins_since(before);
            let sample = Sample {
                at: now_unix,
                connections: totals.connections,
                sessions: totals.sessions,
                subscriptions: totals.subscriptions,
                retained_messages: totals.retained_messages,
                overload_level: totals.overload_level,
                messages_in: rate(counts.messages_in, before.messages_in),
                messages_out: rate(counts.messages_out, before.messages_out),
                messages_dropped: rate(counts.messages_dropped, before.messages_dropped),
                bytes_in: rate(counts.bytes_in, before.bytes_in),
                bytes_out: rate(counts.bytes_out, before.bytes_out),
                connects_accepted: rate(counts.connects_accepted, before.connects_accepted),
                connects_refused: rate(counts.connects_refused, before.connects_refused),
                operations_denied: rate(counts.operations_denied, before.operations_denied),
                plugin_calls: calls as f64 / seconds,
                plugin_milliseconds: micros as f64 / 1e3 / seconds,
            };
            if kept.samples.len() >= SAMPLES_MAX {
                kept.samples.pop_front();
            }
            kept.samples.push_back(sample);
        }
        kept.last = Some((counts, now));
    }

    fn all(&self) -> Vec<Sample> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.samples.iter().copied().collect()
    }
}

/// Takes samples for as long as somebody can ask for them.
pub(crate) async fn keep_sampling(shared: std::sync::Weak<Shared>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let sampled = tokio::task::spawn_blocking(move || {
            let past = SystemTime::now().duration_since(UNIX_EPOCH);
            let now_unix = past.map_or(0, |past| past.as_secs());
            shared.samples.take(&shared.state, Instant::now(), now_unix);
        });
        if let Err(error) = sampled.await {
            tracing::error!(%error, "no sample for the overview");
        }
    }
}

/// `GET /api/v1/overview`
pub(crate) async fn show(call: Call) -> Answer {
    let shared = Arc::clone(&call.shared);
    let samples = shared.samples.all();
    call.json_answer(&Overview { interval_seconds: INTERVAL.as_secs(), samples })
}
