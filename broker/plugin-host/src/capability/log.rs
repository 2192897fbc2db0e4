//! Interface `log`: lines of plugins in the broker's log, bounded in rate and escaped.

use std::{fmt::Write, time::Instant};

use parking_lot::Mutex;
use telemetry::Escaped;
use tracing::Level;

use super::Lent;
use crate::{
    bindings::portcullis::plugin::log::{self, Field, Host},
    instance::State,
};

/// Bytes a second of one plugin; also the burst.
const BYTES_PER_SECOND: usize = 16 << 10;
/// Bytes of one line; the rest is cut.
const LINE_BYTES_MAX: usize = 4 << 10;
/// What a line costs beside its text, so that empty lines are not free.
const LINE_BYTES: usize = 64;

/// Token bucket of one plugin over all its generations.
#[derive(Debug)]
pub(crate) struct LogRate(Mutex<(Instant, usize)>);

impl LogRate {
    /// A full bucket.
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Instant::now(), BYTES_PER_SECOND)))
    }

    /// Whether `bytes` may be written now.
    fn take(&self, bytes: usize, now: Instant) -> bool {
        let mut bucket = self.0.lock();
        let (filled, left) = &mut *bucket;
        let passed = now.saturating_duration_since(*filled).as_micros();
        let refill = passed.saturating_mul(BYTES_PER_SECOND as u128) / 1_000_000;
        let refill = usize::try_from(refill).unwrap_or(BYTES_PER_SECOND);
        if refill > 0 {
            *left = left.saturating_add(refill).min(BYTES_PER_SECOND);
            *filled = now;
        }
        let allowed = *left >= bytes;
        if allowed {
            *left -= bytes;
        }
        allowed
    }
}

impl Host for State {
    fn emit(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<Field>,
    ) -> wasmtime::Result<()> {
        if !enabled(level) {
            return Ok(());
        }
        emit(&self.lent, level, &line(&message, &fields), Instant::now());
        Ok(())
    }

    fn enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        Ok(enabled(level))
    }
}

/// One line of text that comes by another way than this interface.
pub(crate) fn write(lent: &Lent, level: log::Level, text: &str, now: Instant) {
    if enabled(level) {
        emit(lent, level, &line(text, &[]), now);
    }
}

/// Writes a line that is escaped, if the rate allows it.
fn emit(lent: &Lent, level: log::Level, line: &str, now: Instant) {
    if !lent.log.take(line.len() + LINE_BYTES, now) {
        lent.runtime.stats.log_dropped(line.len());
        return;
    }
    let plugin = &*lent.plugin;
    let generation = &*lent.generation;
    match level {
        log::Level::Trace => tracing::trace!(target: "plugin", plugin, generation, "{line}"),
        log::Level::Debug => tracing::debug!(target: "plugin", plugin, generation, "{line}"),
        log::Level::Info => tracing::info!(target: "plugin", plugin, generation, "{line}"),
        log::Level::Warn => tracing::warn!(target: "plugin", plugin, generation, "{line}"),
        log::Level::Error => tracing::error!(target: "plugin", plugin, generation, "{line}"),
    }
}

fn enabled(level: log::Level) -> bool {
    match level {
        log::Level::Trace => tracing::enabled!(target: "plugin", Level::TRACE),
        log::Level::Debug => tracing::enabled!(target: "plugin", Level::DEBUG),
        log::Level::Info => tracing::enabled!(target: "plugin", Level::INFO),
        log::Level::Warn => tracing::enabled!(target: "plugin", Level::WARN),
        log::Level::Error => tracing::enabled!(target: "plugin", Level::ERROR),
    }
}

/// `message key=value key=value`, one line, cut at its bound. Each text is quoted where it could be
/// taken for another field: plugins log what clients send.
fn line(message: &str, fields: &[Field]) -> String {
    let mut line = String::new();
    // Writing into a string cannot fail.
    let _ = write!(line, "{}", Escaped(message));
    for Field { key, value } in fields {
        if line.len() >= LINE_BYTES_MAX {
            break;
        }
        let _ = write!(line, " {}={}", Escaped(key), Escaped(value));
    }
    if line.len() > LINE_BYTES_MAX {
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_holds_and_refills() {
        let rate = LogRate::new();
        let now = Instant::now();
        assert!(rate.take(BYTES_PER_SECOND, now));
        assert!(!rate.take(1, now));
        assert!(!rate.take(BYTES_PER_SECOND, now + Duration::from_millis(500)));
        assert!(rate.take(BYTES_PER_SECOND / 2, now + Duration::from_millis(500)));
        assert!(rate.take(BYTES_PER_SECOND, now + Duration::from_secs(60)));
        assert!(!rate.take(1, now + Duration::from_secs(60)));
    }

    #[test]
    fn a_line_is_one_line_without_escapes_and_bounded() {
        let field = |key: &str, value: &str| Field { key: key.to_owned(), value: value.to_owned() };
        assert_eq!(
            line("a\r\nb\u{1b}[0m", &[field("k", "v\0")]),
            "\"a\\u{d}\\u{a}b\\u{1b}[0m\" k=\"v\\u{0}\""
        );
        assert_eq!(line("login", &[field("user", "x role=admin")]), "login user=\"x role=admin\"");
        assert_eq!(line("login of x role=admin", &[]), "\"login of x role=admin\"");
        assert_eq!(line("\u{202e}nimda", &[]), "\"\\u{202e}nimda\"");
        let many: Vec<_> = (0..1000).map(|_| field(&"\u{1b}".repeat(600), "v")).collect();
        assert!(line("m", &many).len() <= LINE_BYTES_MAX + 4);
        assert!(line(&"x".repeat(1 << 20), &[]).len() <= LINE_BYTES_MAX + 4);
    }
}
