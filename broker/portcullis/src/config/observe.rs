//! `[access_log]` and `[history]`: what is kept of events.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use telemetry::{AccessLogConfig, HistoryConfig};

use super::{table::Table, unit::Unit};

/// What is kept of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observe {
    /// `None` = it is switched off.
    pub(crate) access_log: Option<AccessLogConfig>,
    /// The latest events of each client.
    pub(crate) history: HistoryConfig,
}

const KEEP_DAYS: RangeInclusive<u64> = 1..=3_650;
const KEEP_DAYS_DEFAULT: u64 = 30;
const DAY_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
const DAY_BYTES_DEFAULT: u64 = 1 << 30;
const HISTORY_SECONDS: RangeInclusive<u64> = 0..=30 * 24 * 3_600;
const HISTORY_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 30;
const HISTORY_EVENTS: RangeInclusive<u64> = 1..=1_000;

/// Reads `[access_log]` and `[history]`.
pub(super) fn read(root: &mut Table<'_>, data_dir: Option<&Path>) -> Observe {
    let access_log = read_access_log(root.table("access_log"), data_dir);
    let history = read_history(root.table("history"));
    Observe { access_log, history }
}

fn read_access_log(table: Table<'_>, data_dir: Option<&Path>) -> Option<AccessLogConfig> {
    let enabled = table.boolean("enabled", true);
    let config = AccessLogConfig {
        folder: data_dir.unwrap_or_else(|| Path::new("/")).join("access"),
        keep_days: table.number("keep_days", Unit::Count, KEEP_DAYS, KEEP_DAYS_DEFAULT),
        day_bytes_max: table.number("day_bytes_max", Unit::Bytes, DAY_BYTES, DAY_BYTES_DEFAULT),
    };
    table.finish();
    enabled.then_some(config)
}

fn read_history(table: Table<'_>) -> HistoryConfig {
    let default = HistoryConfig::default();
    let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let keep = table.number("keep", Unit::Seconds, HISTORY_SECONDS, default.keep.as_secs());
    let events = table.number("events", Unit::Count, HISTORY_EVENTS, count(default.events_max));
    let bytes = table.number("bytes_max", Unit::Bytes, HISTORY_BYTES, count(default.bytes_max));
    table.finish();
    HistoryConfig {
        keep: Duration::from_secs(keep),
        events_max: size(events),
        bytes_max: size(bytes),
    }
}
