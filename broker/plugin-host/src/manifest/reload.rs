//! The tables `[reload]` and `[shadow]`: what a new version must show before it is trusted.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{ManifestError, Source, TIMES};

/// The table `[reload]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reload {
    /// How long a new version is watched; zero = it is not.
    pub(crate) probation: Duration,
    /// Share of calls that may fail in that time.
    pub(crate) error_rate: f64,
    /// Calls before the share says anything.
    pub(crate) calls: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Self { probation: Duration::from_secs(30), error_rate: 0.2, calls: 20 }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReload {
    probation: Option<Spanned<toml::Value>>,
    probation_error_rate: Option<Spanned<f64>>,
    probation_calls: Option<Spanned<i64>>,
}

/// Longest probation, in milliseconds.
const PROBATION_MAX: u64 = 3_600_000;
/// Most of `probation_calls`.
const CALLS_MAX: u64 = 1_000_000;

/// The table `[shadow]`: when a candidate goes live by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shadowing {
    /// After so long; `None` = never.
    pub(crate) promote_after: Option<Duration>,
    /// At least so many calls.
    pub(crate) min_calls: u64,
    /// At most so many answers that differ.
    pub(crate) max_differences: u64,
}

impl Default for Shadowing {
    fn default() -> Self {
        Self { promote_after: None, min_calls: 100, max_differences: 0 }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShadow {
    promote_after: Option<Spanned<toml::Value>>,
    min_calls: Option<Spanned<i64>>,
    max_differences: Option<Spanned<i64>>,
}

/// Shortest and longest `promote_after`, in milliseconds: up to 30 days.
const PROMOTE_AFTER: (u64, u64) = (1_000, 2_592_000_000);
const LONG_TIMES: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const COUNT_MAX: u64 = 1_000_000_000;

impl Source<'_> {
    pub(super) fn shadow(&self, raw: RawShadow) -> Result<Shadowing, ManifestError> {
        let defaults = Shadowing::default();
        let after = raw.promote_after;
        let after = self.quantity("shadow.promote_after", after, PROMOTE_AFTER, &LONG_TIMES)?;
        Ok(Shadowing {
            promote_after: after.map(Duration::from_millis),
            min_calls: self.count("shadow.min_calls", raw.min_calls, defaults.min_calls)?,
            max_differences: self.count(
                "shadow.max_differences",
                raw.max_differences,
                defaults.max_differences,
            )?,
        })
    }

    fn count(
        &self,
        key: &str,
        raw: Option<Spanned<i64>>,
        default: u64,
    ) -> Result<u64, ManifestError> {
        let Some(raw) = raw else { return Ok(default) };
        match u64::try_from(*raw.get_ref()) {
            Ok(count) if count <= COUNT_MAX => Ok(count),
            _ => {
                let message = format!("{key} = {}: must be from 0 to {COUNT_MAX}", raw.get_ref());
                Err(self.error(raw.span().start, message))
            }
        }
    }

    pub(super) fn reload(&self, raw: RawReload) -> Result<Reload, ManifestError> {
        let defaults = Reload::default();
        let range = (0, PROBATION_MAX);
        let probation = self.quantity("reload.probation", raw.probation, range, &TIMES)?;
        let error_rate = match raw.probation_error_rate {
            None => defaults.error_rate,
            Some(raw) if (0.0..=1.0).contains(raw.get_ref()) => *raw.get_ref(),
            Some(raw) => {
                let rate = raw.get_ref();
                let message =
                    format!("reload.probation_error_rate = {rate}: must be from 0.0 to 1.0");
                return Err(self.error(raw.span().start, message));
            }
        };
        let calls = match raw.probation_calls {
            None => defaults.calls,
            Some(raw) => match u64::try_from(*raw.get_ref()) {
                Ok(calls) if (1..=CALLS_MAX).contains(&calls) => calls,
                _ => {
                    let calls = raw.get_ref();
                    let message =
                        format!("reload.probation_calls = {calls}: must be from 1 to {CALLS_MAX}");
                    return Err(self.error(raw.span().start, message));
                }
            },
        };
        let probation = probation.map_or(defaults.probation, Duration::from_millis);
        Ok(Reload { probation, error_rate, calls })
    }
}
