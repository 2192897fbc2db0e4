//! What a trace is about, for how long, and how much of it there may be.
//!
//! Knows nothing of files and packets.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use topic::TopicFilter;

/// Longest time that a trace records.
const DAY_MS: u64 = 24 * 3_600_000;
/// How far ahead it may begin.
const AHEAD_MS: u64 = 7 * DAY_MS;
/// Bytes of one trace.
const BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;
const EVENTS_PER_SECOND: std::ops::RangeInclusive<u64> = 1..=10_000;
const PAYLOAD_BYTES_MAX: usize = 64 << 10;
const TEXT_BYTES_MAX: usize = 1_024;

/// What a trace is about: all conditions that are given must hold, and one must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSpec {
    /// For people; 1 to 64 letters, digits, `-`, `_`, `.` and spaces.
    pub name: String,
    /// Client Identifier, or with `*` at its end the start of some.
    pub client_id: Option<String>,
    /// Only packets and events on topics that this filter matches.
    pub topic: Option<String>,
    /// Address, or a range of them.
    pub address: Option<IpNet>,
    /// The principal.
    pub principal: Option<String>,
    /// Only calls of this plugin, and what it decided.
    pub plugin: Option<String>,
    /// When it begins, milliseconds since 1970.
    pub start_unix_ms: u64,
    /// When it ends.
    pub end_unix_ms: u64,
    /// Bytes of the records.
    pub bytes_max: u64,
    /// Records a second; what comes faster is lost and counted.
    pub events_per_second: u64,
    /// Bytes of each payload that are recorded; `None` = none.
    pub payload_bytes: Option<usize>,
}

/// Why nothing can be traced so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, allowed: {allowed}")]
pub struct TraceSpecError {
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub allowed: String,
}

/// A client as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traced<'a> {
    /// Client Identifier; empty = not known yet.
    pub client_id: &'a str,
    /// The principal.
    pub principal: Option<&'a str>,
    /// Its address.
    pub address: Option<IpAddr>,
}

impl TraceSpec {
    /// Whether the client is one of those; what is not known is not.
    pub fn is_about(&self, traced: &Traced<'_>) -> bool {
        let of_client = match self.client_id.as_deref() {
            None => true,
            Some(wanted) => match wanted.strip_suffix('*') {
                Some(start) => !traced.client_id.is_empty() && traced.client_id.starts_with(start),
                None => wanted == traced.client_id,
            },
        };
        let address = traced.address.map(|address| address.to_canonical());
        of_client
            && self.principal.as_deref().is_none_or(|wanted| traced.principal == Some(wanted))
            && self.address.is_none_or(|range| address.is_some_and(|at| range.contains(&at)))
    }

    /// Whether what is on this topic is recorded; where a filter is given, what is on none is not.
    pub(super) fn wants_topic(&self, topic: Option<&str>) -> bool {
        let Some(filter) = &self.topic else { return true };
        let Ok(filter) = TopicFilter::new(filter) else { return false };
        topic.is_some_and(|topic| topic == filter.as_str() || filter.matches(topic))
    }

    pub(super) fn wants_plugin(&self, plugin: Option<&str>) -> bool {
        self.plugin.as_deref().is_none_or(|wanted| plugin == Some(wanted))
    }

    /// Whether it makes sense now.
    pub(super) fn check(&self, now_unix_ms: u64) -> Result<(), TraceSpecError> {
        let refuse = |field, what: String, allowed: &str| {
            Err(TraceSpecError { field, what, allowed: allowed.to_owned() })
        };
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(letter) {
            let allowed = "1 to 64 letters, digits, '-', '_', '.' and spaces";
            return refuse("name", format!("{:?} is no name", self.name), allowed);
        }
        for (field, text) in [
            ("client_id", &self.client_id),
            ("topic", &self.topic),
            ("principal", &self.principal),
            ("plugin", &self.plugin),
        ] {
            if text.as_ref().is_some_and(|text| !(1..=TEXT_BYTES_MAX).contains(&text.len())) {
                return refuse(field, "has no such length".to_owned(), "1 to 1024 bytes");
            }
        }
        if let Some(filter) = &self.topic
            && let Err(error) = TopicFilter::new(filter)
        {
            return refuse("topic", error.to_string(), "a topic filter without $share");
        }
        let texts = [&self.client_id, &self.topic, &self.principal, &self.plugin];
        if texts.iter().all(|text| text.is_none()) && self.address.is_none() {
            let allowed = "at least one of client_id, topic, address, principal and plugin";
            return refuse("client_id", "nothing says whom it is about".to_owned(), allowed);
        }
        if self.start_unix_ms > now_unix_ms + AHEAD_MS {
            return refuse("start", "begins too late".to_owned(), "within 7 days");
        }
        let lasts = self.end_unix_ms.saturating_sub(self.start_unix_ms.max(now_unix_ms));
        if !(1_000..=DAY_MS).contains(&lasts) {
            return refuse(
                "end",
                format!("it would last {lasts} ms"),
                "1 s to 24 h from the start",
            );
        }
        if !BYTES.contains(&self.bytes_max) {
            return refuse("max_bytes", self.bytes_max.to_string(), "1024 to 1073741824");
        }
        if !EVENTS_PER_SECOND.contains(&self.events_per_second) {
            let found = self.events_per_second.to_string();
            return refuse("max_events_per_second", found, "1 to 10000");
        }
        if self.payload_bytes.is_some_and(|bytes| bytes > PAYLOAD_BYTES_MAX) {
            return refuse("payload_bytes", "too many".to_owned(), "0 to 65536");
        }
        Ok(())
    }
}
