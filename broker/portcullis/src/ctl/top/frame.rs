//! What one frame of `top` says: rates between two samples, and what is now.
//!
//! Pure: samples go in, text comes out, no line longer and no more lines than fit.

use serde_json::{Map, Value, json};

use super::{
    super::column::{bytes, duration},
    sample::{Sample, unix_now},
};
use crate::{api::printable, failure::Failure};

/// One frame for a terminal of so many columns and lines.
pub(super) fn frame(
    before: &Sample,
    now: &Sample,
    url: &str,
    (width, height): (u16, u16),
) -> String {
    let mut lines = head(now, url);
    lines.push(String::new());
    lines.extend(rates(before, now));
    lines.push(String::new());
    lines.extend(listeners(now));
    let plugins = plugins(before, now);
    if !plugins.is_empty() {
        lines.push(String::new());
        lines.extend(plugins);
    }
    let sentences = ["problems", "warnings"].into_iter().flat_map(|name| {
        let texts = now.status.get(name).and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(Value::as_str).map(move |text| format!("{name}: {}", printable(text)))
    });
    lines.extend(sentences);
    // The last line stays free: the cursor stands there.
    let room = usize::from(height).saturating_sub(1).max(1);
    let cut = |line: String| line.chars().take(width.into()).collect::<String>() + "\n";
    lines.into_iter().take(room).map(cut).collect()
}

/// A frame while nobody answers: why, above what was seen last.
pub(super) fn old(
    before: &Sample,
    now: &Sample,
    (url, why): (&str, &str),
    (width, height): (u16, u16),
) -> String {
    let why = format!("NO ANSWER, this is what was last seen: {}", printable(why));
    let first = why.chars().take(width.into()).collect::<String>() + "\n";
    first + &frame(before, now, url, (width, height.saturating_sub(1)))
}

/// The same for a program: status and listeners as the API has them, each counter with its total and its rate.
pub(super) fn object(before: &Sample, now: &Sample) -> Value {
    let counters = RATES.iter().filter_map(|(_, name, _)| {
        let total = now.sum(name)?;
        let rate = rate(total, before.sum(name).unwrap_or_default(), before, now);
        Some(((*name).to_owned(), json!({ "total": total, "per_second": rate })))
    });
    json!({
        "at_unix": now.at_unix,
        "status": now.status,
        "listeners": now.listeners,
        "counters": counters.collect::<Map<_, _>>(),
    })
}

/// In the place of a sample.
pub(super) fn missed(why: &Failure) -> Value {
    json!({ "at_unix": unix_now(), "error": why.to_string() })
}

fn head(now: &Sample, url: &str) -> Vec<String> {
    let text = |name: &str| {
        now.status
            .get(name)
            .and_then(Value::as_str)
            .map(printable)
            .unwrap_or_else(|| "?".to_owned())
    };
    let number = |name: &str| now.status.get(name).and_then(Value::as_u64).unwrap_or_default();
    let ready = match now.status.get("ready").and_then(Value::as_bool) {
        Some(true) => "ready",
        _ => "NOT READY",
    };
    let up = duration(number("uptime_seconds"));
    let process = [
        now.sum("process_resident_memory_bytes").map(|it| format!("memory {}", bytes(it as u64))),
        now.sum("process_open_fds").map(|it| format!("files {it:.0}")),
        now.sum("process_threads").map(|it| format!("threads {it:.0}")),
    ];
    let process: Vec<_> = process.into_iter().flatten().collect();
    vec![
        format!("portcullis {}  {}  {ready}  up {up}", text("version"), printable(url)),
        format!(
            "connections {}  sessions {}  subscriptions {}  retained {} ({})  overload {}",
            number("connections"),
            number("sessions"),
            number("subscriptions"),
            number("retained_messages"),
            bytes(number("retained_bytes")),
            number("overload_level"),
        ),
        process.join("  "),
    ]
}

/// What is shown as a rate: a title, the counter, how its number is written.
const RATES: [(&str, &str, Unit); 11] = [
    ("messages in", "portcullis_publish_received_total", Unit::Count),
    ("messages out", "portcullis_publish_sent_total", Unit::Count),
    ("bytes in", "portcullis_bytes_received_total", Unit::Bytes),
    ("bytes out", "portcullis_bytes_sent_total", Unit::Bytes),
    ("connects", "portcullis_connections_opened_total", Unit::Count),
    ("refused", "portcullis_connect_refused_total", Unit::Count),
    ("closed", "portcullis_connections_closed_total", Unit::Count),
    ("publishes denied", "portcullis_publish_denied_total", Unit::Count),
    ("messages dropped", "portcullis_messages_dropped_total", Unit::Count),
    ("decisions", "portcullis_authentication_seconds_count", Unit::Count),
    ("cpu", "process_cpu_seconds_total", Unit::Percent),
];

#[derive(Clone, Copy)]
enum Unit {
    Count,
    Bytes,
    /// Of one CPU, of a counter of seconds.
    Percent,
}

impl Unit {
    fn write(self, rate: f64) -> String {
        match self {
            Self::Count => format!("{rate:.1}/s"),
            Self::Bytes => format!("{}/s", bytes(rate.round() as u64)),
            Self::Percent => format!("{:.0} %", rate * 100.0),
        }
    }

    fn total(self, total: f64) -> String {
        match self {
            Self::Count => format!("{total:.0}"),
            Self::Bytes => bytes(total as u64),
            Self::Percent => format!("{total:.1} s"),
        }
    }
}

fn rates(before: &Sample, now: &Sample) -> Vec<String> {
    let mut lines = vec![format!("{:<18} {:>14} {:>16}", "", "NOW", "SINCE START")];
    for (title, name, unit) in RATES {
        let Some(total) = now.sum(name) else { continue };
        let rate = rate(total, before.sum(name).unwrap_or_default(), before, now);
        let rate = rate.map_or_else(|| "-".to_owned(), |rate| unit.write(rate));
        lines.push(format!("{title:<18} {rate:>14} {:>16}", unit.total(total)));
    }
    lines
}

/// `None` = both are the same sample. A counter that began anew has counted what it shows.
fn rate(total: f64, earlier: f64, before: &Sample, now: &Sample) -> Option<f64> {
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
    let more = if total < earlier { total } else { total - earlier };
    (seconds > 0.0).then(|| more / seconds)
}

fn listeners(now: &Sample) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<18} {:<28} {:<10} {:>11}",
        "LISTENER", "ADDRESS", "TRANSPORT", "CONNECTIONS"
    )];
    for listener in &now.listeners {
        let text = |name: &str| {
            listener.get(name).and_then(Value::as_str).map(printable).unwrap_or_default()
        };
        let connections = listener.get("connections").and_then(Value::as_u64).unwrap_or_default();
        let (name, address, transport) = (text("name"), text("address"), text("transport"));
        lines.push(format!("{name:<18} {address:<28} {transport:<10} {connections:>11}"));
    }
    lines
}

/// Those that take most of the time first.
fn plugins(before: &Sample, now: &Sample) -> Vec<String> {
    const CALLS: &str = "portcullis_plugin_calls_total";
    const SECONDS: &str = "portcullis_plugin_call_seconds_total";
    const FAILURES: &str = "portcullis_plugin_failures_total";
    let mut rows: Vec<_> = now
        .labels(CALLS, "plugin")
        .into_iter()
        .map(|plugin| {
            let value = |sample: &Sample, name| sample.where_label(name, "plugin", plugin);
            let rate = |name| rate(value(now, name), value(before, name), before, now);
            (plugin, rate(CALLS), rate(SECONDS), rate(FAILURES))
        })
        .collect();
    rows.sort_by(|one, two| {
        let time = |row: &(&str, Option<f64>, Option<f64>, Option<f64>)| row.2.unwrap_or_default();
        time(two).total_cmp(&time(one)).then(one.0.cmp(two.0))
    });
    if rows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "{:<24} {:>12} {:>12} {:>14} {:>12}",
        "PLUGIN", "CALLS", "TIME", "PER CALL", "FAILURES"
    )];
    for (plugin, calls, seconds, failures) in rows {
        let write = |value: Option<f64>, write: fn(f64) -> String| {
            value.map_or_else(|| "-".to_owned(), write)
        };
        let per_call = match (calls, seconds) {
            (Some(calls), Some(seconds)) if calls > 0.0 => {
                format!("{:.1} us", seconds / calls * 1e6)
            }
            _ => "-".to_owned(),
        };
        let calls = write(calls, |it| format!("{it:.1}/s"));
        let seconds = write(seconds, |it| format!("{:.1} ms/s", it * 1e3));
        let failures = write(failures, |it| format!("{it:.1}/s"));
        let plugin = printable(plugin);
        lines.push(format!("{plugin:<24} {calls:>12} {seconds:>12} {per_call:>14} {failures:>12}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    fn sample(at: Instant, published: u32, slow: f64) -> Sample {
        let status = json!({
            "version": "1.0.0", "ready": true, "uptime_seconds": 61, "connections": 2,
            "sessions": 3,
            "retained_messages": 1, "retained_bytes": 2048, "problems": [],
            "warnings": ["old \u{1b}[31m"],
        });
        let listeners = json!({ "listeners": [
            { "name": "mqtt", "address": "127.0.0.1:1883", "transport": "tcp", "connections": 2 },
        ] });
        let metrics = format!(
            "portcullis_publish_received_total{{qos=\"0\"}} {published}\n\
             portcullis_publish_received_total{{qos=\"1\"}} 5\n\
             portcullis_bytes_received_total 2048\nprocess_cpu_seconds_total {slow}\n\
             portcullis_plugin_calls_total{{plugin=\"fast\"}} 100\n\
             portcullis_plugin_calls_total{{plugin=\"slow\u{1b}\"}} {published}\n\
             portcullis_plugin_call_seconds_total{{plugin=\"slow\u{1b}\"}} {slow}\n"
        );
        Sample::new(at, status, &listeners, &metrics)
    }

    #[test]
    fn rates_are_those_between_two_samples() {
        let begun = Instant::now();
        let (before, now) =
            (sample(begun, 10, 0.0), sample(begun + Duration::from_secs(2), 50, 0.5));
        let text = frame(&before, &now, "http://127.0.0.1:9883", (120, 100));
        let line = |title: &str| {
            let line = text.lines().find(|line| line.starts_with(title));
            line.unwrap_or_else(|| panic!("no {title} in\n{text}"))
                .split_whitespace()
                .collect::<Vec<_>>()
        };
        assert_eq!(line("messages in"), ["messages", "in", "20.0/s", "55"]);
        assert_eq!(line("bytes in"), ["bytes", "in", "0", "B/s", "2.0", "KiB"]);
        assert_eq!(line("cpu"), ["cpu", "25", "%", "0.5", "s"]);
        assert_eq!(line("mqtt"), ["mqtt", "127.0.0.1:1883", "tcp", "2"]);
        let slow = ["slow\\u{1b}", "20.0/s", "250.0", "ms/s", "12500.0", "us", "0.0/s"];
        assert_eq!(line("slow"), slow);
        assert!(text.find("slow").unwrap() < text.find("fast").unwrap(), "{text}");
        assert!(
            text.contains("ready  up 1m 1s") && text.contains("warnings: old \\u{1b}[31m"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_program_gets_an_object() {
        let begun = Instant::now();
        let (before, now) =
            (sample(begun, 10, 0.0), sample(begun + Duration::from_secs(2), 50, 0.5));
        let object = object(&before, &now);
        let messages = &object["counters"]["portcullis_publish_received_total"];
        assert_eq!(*messages, json!({ "total": 55.0, "per_second": 20.0 }));
        assert_eq!(object["status"]["connections"], 2);
        assert_eq!(object["listeners"][0]["name"], "mqtt");
        let first = super::object(&now, &now);
        assert!(first["counters"]["process_cpu_seconds_total"]["per_second"].is_null());
        let missed = missed(&Failure::Refused("gone".to_owned()));
        assert!(missed["at_unix"].as_u64() > Some(1) && missed["error"] == "gone", "{missed}");
    }

    #[test]
    fn an_old_frame_says_that_it_is_old() {
        let one = sample(Instant::now(), 1, 1.0);
        let text = old(&one, &one, ("http://x", "no\u{1b} answer"), (60, 8));
        assert!(
            text.starts_with("NO ANSWER, this is what was last seen: no\\u{1b} answ"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 7);
    }

    #[test]
    fn the_first_frame_has_no_rates_and_every_frame_fits() {
        let one = sample(Instant::now(), 1, 1.0);
        let text = frame(&one, &one, "http://x", (30, 8));
        assert_eq!(text.lines().count(), 7);
        assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
        assert!(
            frame(&one, &one, "http://x", (80, 50)).contains("messages in                     -")
        );
    }
}
