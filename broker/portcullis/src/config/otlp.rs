//! `[otlp]`: a collector of OpenTelemetry that metrics and spans are sent to.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use super::{files, table::Table, unit::Unit};
use crate::otlp::OtlpConfig;

const INTERVAL: RangeInclusive<u64> = 1_000..=3_600_000;
const TIMEOUT: RangeInclusive<u64> = 100..=60_000;
const PERCENT: RangeInclusive<u64> = 0..=100;
const INTERVAL_DEFAULT: u64 = 30_000;
const TIMEOUT_DEFAULT: u64 = 5_000;
const PERCENT_DEFAULT: u64 = 10;

/// Reads `[otlp]`; `None` = nothing is sent.
pub(super) fn read(table: Table<'_>, folder: &Path) -> Option<OtlpConfig> {
    let endpoint = table.string("endpoint");
    if let Some(endpoint) = &endpoint
        && has_user(&endpoint.value)
    {
        // It would be in every backup of this file, and in the error of whoever reads it.
        let what = "holds a user or a password, allowed: none in the URL; say it in authorization, \
                    as a secret";
        table.refuse_secret("endpoint", &endpoint.span, what.to_owned());
    }
    if let Some(endpoint) = &endpoint
        && !["http://", "https://"].iter().any(|scheme| endpoint.value.starts_with(scheme))
    {
        let what = "is no URL of a collector, allowed: http://HOST:PORT or https://HOST:PORT";
        table.refuse("endpoint", &endpoint.span, what.to_owned());
    }
    let authorization = table.secret("authorization").map(|secret| secret.value);
    let ca = table.string("ca").and_then(|file| match files::read(&folder.join(&file.value)) {
        Ok(pem) => Some(pem),
        Err(error) => {
            table.refuse("ca", &file.span, format!("cannot be read: {error}"));
            None
        }
    });
    let config = OtlpConfig {
        endpoint: endpoint.as_ref().map(|at| at.value.clone()).unwrap_or_default(),
        authorization,
        ca,
        interval: milliseconds(table.number("interval", Unit::Time, INTERVAL, INTERVAL_DEFAULT)),
        timeout: milliseconds(table.number("timeout", Unit::Time, TIMEOUT, TIMEOUT_DEFAULT)),
        metrics: table.boolean("metrics", true),
        sample_percent: table.number("sample_percent", Unit::Count, PERCENT, PERCENT_DEFAULT),
    };
    table.finish();
    endpoint.is_some().then_some(config)
}

/// `USER@` or `USER:PASSWORD@` before the host.
fn has_user(url: &str) -> bool {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let host = behind.split(['/', '?', '#']).next().unwrap_or_default();
    host.contains('@')
}

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}
