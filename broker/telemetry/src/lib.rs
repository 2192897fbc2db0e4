//! Owns what the broker tells about itself: counters, and one log line per event.
//!
//! Knows nothing of sockets, HTTP or how log lines are printed. Call sites write one line,
//! `events::Connected { .. }.emit(&metrics)`; the event decides level, words and metric, and tells
//! observers ([`Observers`]) in the form of a [`Happening`].
//!
//! Start reading at [`Metrics`], then `events/`.
//!
//! Invariants: no client id, topic or other text of a client is ever a metric label; text of a
//! client reaches a log line only through [`Escaped`]; the number of values of a label is bounded;
//! events that a stranger can cause at will are counted always and logged at a bounded rate.

#![forbid(unsafe_code)]

mod access_log;
mod caches;
pub mod calendar;
mod catalogue;
mod entry;
mod escaped;
pub mod events;
mod happening;
mod history;
mod hook_times;
mod label;
mod listener_metrics;
mod metrics;
mod observers;
mod plugin_metrics;
mod records;
mod seconds;
mod snapshot;
mod throttle;
mod token;
mod traces;

pub use access_log::{AccessLog, AccessLogConfig, AccessPage, AccessQuery};
pub use caches::{Cache, Caches};
pub use catalogue::{Described, Kind};
pub use entry::{Entry, EntryCertificate};
pub use escaped::{Escaped, EscapedDisplay};
pub use happening::{Happening, HappeningKind, ShownCertificate};
pub use history::{History, HistoryConfig, Past};
pub use hook_times::HookTimes;
pub use label::{ByLabel, ByName, ByPacketType, ByQoS};
pub use listener_metrics::{ListenerMetrics, Listeners, SIZES, size_class};
pub use metrics::{Metrics, RouteRequests, RouteSeconds, TlsConnections, TlsSeconds};
pub use observers::{Interest, Observer, ObserverId, Observers};
pub use plugin_metrics::PluginMetrics;
pub use records::Records;
pub use seconds::Seconds;
pub use snapshot::{LabelsOf, Snapshot};
pub use token::shown_username;
pub use traces::{
    BYTES_OF_ALL_MAX as TRACE_BYTES_OF_ALL_MAX, Direction, PacketRecord, PluginCallRecord,
    TRACES_MAX, Trace, TraceError, TraceInfo, TraceSpec, TraceSpecError, TraceState, Traced,
    TracedLogin, Traces,
};
