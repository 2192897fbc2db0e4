//! `[limits]`: how much of everything one client and all clients together may use.
//!
//! Ranges are those of the crate `limits` where it has them, defaults are its `Default`.

use std::{ops::RangeInclusive, time::Duration};

use limits::{ConnectionRateConfig, FlappingConfig, LoginBackoffConfig, Rate, Sizes};
use session::QueueFull;

use super::{table::Table, unit::Unit};

/// All limits of the broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    /// What the crate `limits` holds. Its `connection_rate.connections` is settled by
    /// [`Limits::settled`].
    pub(crate) of_broker: limits::Config,
    /// Connections at a time; `None` = what the limit of open files leaves room for.
    pub(crate) connections: Option<usize>,
    /// What gives way when a client's queue is full.
    pub(crate) queue_full: QueueFull,
}

impl Limits {
    /// The limits where `fit` connections are what the limit of open files leaves room for.
    pub(crate) fn settled(&self, fit: usize) -> limits::Config {
        let mut limits = self.of_broker.clone();
        limits.connection_rate.connections = self.connections.unwrap_or(fit).min(fit);
        limits
    }
}

/// Most connects a second, and most at once, that can be set.
const RATE_MAX: u64 = 1_000_000;
const CONNECTIONS_MAX: u64 = 10_000_000;
const CONNECTIONS_PER_ADDRESS_MAX: u64 = 1_000_000;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// Reads the table.
pub(super) fn read(mut table: Table<'_>) -> Limits {
    let limits = Limits {
        of_broker: limits::Config {
            connection_rate: read_connection_rate(&table),
            sizes: read_sizes(&table),
            login_backoff: read_login_backoff(table.table("login_backoff")),
            flapping: read_flapping(table.table("flapping")),
        },
        connections: read_connections(&table),
        queue_full: table.choice(
            "queue_full",
            &[
                ("drop-oldest", QueueFull::DropOldest),
                ("drop-newest", QueueFull::DropNewest),
                ("disconnect", QueueFull::Disconnect),
            ],
            QueueFull::default(),
        ),
    };
    table.finish();
    limits
}

fn read_sizes(table: &Table<'_>) -> Sizes {
    let default = Sizes::default();
    let count = |key, default: usize| in_range(table, key, Unit::Count, default as u64) as usize;
    let bytes = |key, default: usize| in_range(table, key, Unit::Bytes, default as u64) as usize;
    // The ranges of the keys that end in these types lie within them.
    let short = |key, default: u16| in_range(table, key, Unit::Count, default.into()) as u16;
    let seconds = |key, default: u64| in_range(table, key, Unit::Seconds, default);
    Sizes {
        packet_bytes: bytes("packet_bytes", default.packet_bytes),
        packet_bytes_before_connect: bytes(
            "packet_bytes_before_connect",
            default.packet_bytes_before_connect,
        ),
        client_id_bytes: bytes("client_id_bytes", default.client_id_bytes),
        username_bytes: bytes("username_bytes", default.username_bytes),
        topic_bytes: bytes("topic_bytes", default.topic_bytes),
        topic_levels: count("topic_levels", default.topic_levels),
        sessions: count("sessions", default.sessions),
        sessions_per_principal: count("sessions_per_principal", default.sessions_per_principal),
        subscriptions_per_client: count(
            "subscriptions_per_client",
            default.subscriptions_per_client,
        ),
        wildcard_subscriptions_per_client: count(
            "wildcard_subscriptions_per_client",
            default.wildcard_subscriptions_per_client,
        ),
        receive_maximum: short("receive_maximum", default.receive_maximum),
        queue_messages: count("queue_messages", default.queue_messages),
        queue_bytes: bytes("queue_bytes", default.queue_bytes),
        keep_alive_max: seconds("keep_alive_max", default.keep_alive_max.into()) as u16,
        topic_alias_maximum: short("topic_alias_maximum", default.topic_alias_maximum),
        user_properties: count("user_properties", default.user_properties),
        user_property_bytes: bytes("user_property_bytes", default.user_property_bytes),
        retained_messages: count("retained_messages", default.retained_messages),
        retained_bytes: bytes("retained_bytes", default.retained_bytes),
        session_expiry_max: seconds("session_expiry_max", default.session_expiry_max.into()) as u32,
        connect_timeout: time(
            table,
            "connect_timeout",
            range_of("connect_timeout"),
            default.connect_timeout,
        ),
        idle_timeout: table
            .number_or_off("idle_timeout", Unit::Time, range_of("idle_timeout"))
            .map(Duration::from_millis),
    }
}

fn read_connection_rate(table: &Table<'_>) -> ConnectionRateConfig {
    let default = ConnectionRateConfig::default();
    ConnectionRateConfig {
        connect_rate: read_rate(table, "connect_rate", "connect_burst", default.connect_rate),
        connect_rate_per_address: read_rate(
            table,
            "connect_rate_per_address",
            "connect_burst_per_address",
            default.connect_rate_per_address,
        ),
        connections_per_address: table.number(
            "connections_per_address",
            Unit::Count,
            1..=CONNECTIONS_PER_ADDRESS_MAX,
            default.connections_per_address as u64,
        ) as usize,
        connections: default.connections,
        loopback_exempt: table.boolean("loopback_exempt", default.loopback_exempt),
    }
}

/// A burst that is not set is what two seconds of the rate let in.
fn read_rate(
    table: &Table<'_>,
    rate_key: &'static str,
    burst_key: &'static str,
    default: Rate,
) -> Rate {
    let range = 1..=RATE_MAX;
    let per_second = table.number(rate_key, Unit::Count, range.clone(), default.per_second());
    let two_seconds = (per_second * 2).min(RATE_MAX);
    let burst = table.number(burst_key, Unit::Count, range, two_seconds);
    Rate::new(per_second, burst).unwrap_or(default)
}

fn read_login_backoff(table: Table<'_>) -> LoginBackoffConfig {
    let default = LoginBackoffConfig::default();
    let backoff = LoginBackoffConfig {
        free_failures: {
            let default = default.free_failures.into();
            table.number("free_failures", Unit::Count, 0..=100, default) as u32
        },
        first_delay: time(&table, "first_delay", 1..=60 * SECOND, default.first_delay),
        delay_max: time(&table, "delay_max", 1..=HOUR, default.delay_max),
        forget_after: time(&table, "forget_after", SECOND..=DAY, default.forget_after),
        pairs: table.number("pairs", Unit::Count, 2..=10_000_000, default.pairs as u64) as usize,
    };
    table.finish();
    backoff
}

fn read_flapping(table: Table<'_>) -> FlappingConfig {
    let default = FlappingConfig::default();
    let flapping = FlappingConfig {
        connects: table.number("connects", Unit::Count, 2..=100, default.connects.into()) as u32,
        window: time(&table, "window", SECOND..=HOUR, default.window),
        ban: time(&table, "ban", SECOND..=DAY, default.ban),
        pairs: table.number("pairs", Unit::Count, 2..=1_000_000, default.pairs as u64) as usize,
    };
    table.finish();
    flapping
}

fn read_connections(table: &Table<'_>) -> Option<usize> {
    let range = 1..=CONNECTIONS_MAX;
    let connections = table.number_or_auto("connections", Unit::Count, range)?;
    Some(connections as usize)
}

fn time(
    table: &Table<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    default: Duration,
) -> Duration {
    Duration::from_millis(table.number(key, Unit::Time, range, default.as_millis() as u64))
}

fn in_range(table: &Table<'_>, key: &'static str, unit: Unit, default: u64) -> u64 {
    table.number(key, unit, range_of(key), default)
}

/// The range that the crate `limits` gives a key. One that it does not know has no allowed value: a
/// test sets each.
fn range_of(key: &str) -> RangeInclusive<u64> {
    let found = limits::RANGES.iter().find(|(name, _, _)| *name == key);
    found.map_or(RangeInclusive::new(1, 0), |(_, minimum, maximum)| *minimum..=*maximum)
}
