//! `[limits]`: how much of everything one client and all clients together may use.
//!
//! Ranges are those of the crate `limits` where it has them, defaults are its `Default`.

use std::{ops::RangeInclusive, time::Duration};

use limits::{
    ConnectionRateConfig, FlappingConfig, HandshakeConfig, LoginBackoffConfig, OverloadConfig,
    RATE_RANGES, Rate, RatesConfig, Sizes,
};
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
    /// Memory from which on nobody is let in; `None` = what the machine leaves room for.
    pub(crate) memory: Option<u64>,
    /// What gives way when a client's queue is full.
    pub(crate) queue_full: QueueFull,
    /// Groups that have more or fewer credits under load, in percent; more than 10,000 = never held
    /// back.
    pub(crate) overload_weights: Vec<(String, u32)>,
}

impl Limits {
    /// The limits where `fit` connections are what the limit of open files leaves room for, and
    /// `memory` is what the machine has.
    pub(crate) fn settled(&self, fit: usize, memory: u64) -> limits::Config {
        let mut limits = self.of_broker.clone();
        limits.connection_rate.connections = self.connections.unwrap_or(fit).min(fit);
        let auto = || limits::memory_for_machine(memory);
        limits.overload.memory = self.memory.unwrap_or_else(auto);
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
    let (overload, overload_weights) = read_overload(table.table("overload"));
    let limits = Limits {
        of_broker: limits::Config {
            connection_rate: read_connection_rate(&table),
            sizes: read_sizes(&table),
            login_backoff: read_login_backoff(table.table("login_backoff")),
            flapping: read_flapping(table.table("flapping")),
            rates: read_rates(&table),
            overload,
            handshake: read_handshake(&table),
        },
        connections: read_connections(&table),
        memory: table.number_or_auto("memory", Unit::Bytes, 64 << 20..=1 << 50),
        overload_weights,
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
        write_timeout: time(
            table,
            "write_timeout",
            range_of("write_timeout"),
            default.write_timeout,
        ),
        strangers_bytes: bytes("strangers_bytes", default.strangers_bytes),
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

/// The rates that clients may send with. A burst that is not set is a second of the rate.
fn read_rates(table: &Table<'_>) -> RatesConfig {
    let mut rates = RATE_RANGES.iter().map(|(rate, burst, minimum, maximum)| {
        let unit = if rate.starts_with("bytes") { Unit::Bytes } else { Unit::Count };
        let burst = table.number_or_auto(burst, unit, 1..=*maximum);
        let per_second = table.number_or_off(rate, unit, *minimum..=*maximum)?;
        Rate::new(per_second, burst.unwrap_or(per_second)).ok()
    });
    let mut next = || rates.next().flatten();
    // In the order of the ranges.
    RatesConfig { messages: next(), bytes: next(), messages_total: next(), bytes_total: next() }
}

fn read_overload(table: Table<'_>) -> (OverloadConfig, Vec<(String, u32)>) {
    let default = OverloadConfig::default();
    let overload = OverloadConfig {
        enabled: table.boolean("enabled", default.enabled),
        delay: time(&table, "delay", 20..=10 * SECOND, default.delay),
        // Settled when it is known what the machine has.
        memory: default.memory,
    };
    let weights = table.strings("weights").unwrap_or_default();
    let mut read = Vec::new();
    for weight in &weights {
        match read_weight(&weight.value) {
            Some(weight) => read.push(weight),
            None => {
                let what = "is not GROUP:PERCENT, allowed: a group that plugins grant, a \
                            colon, and 1 to 10000 or \"exempt\"";
                table.refuse("weights", &weight.span, what.to_owned());
            }
        }
    }
    table.finish();
    (overload, read)
}

fn read_weight(text: &str) -> Option<(String, u32)> {
    let (group, percent) = text.rsplit_once(':')?;
    let percent = match percent {
        "exempt" => u32::MAX,
        digits => digits.parse().ok().filter(|percent| (1..=10_000).contains(percent))?,
    };
    (!group.is_empty()).then(|| (group.to_owned(), percent))
}

fn read_handshake(table: &Table<'_>) -> HandshakeConfig {
    let default = HandshakeConfig::default();
    let count = |key, most, default: usize| {
        table.number(key, Unit::Count, 1..=most, default as u64) as usize
    };
    HandshakeConfig {
        timeout: time(table, "handshake_timeout", 100..=60 * SECOND, default.timeout),
        in_flight: count("handshakes_in_flight", 100_000, default.in_flight),
        waiting: count("handshakes_waiting", 1_000_000, default.waiting),
    }
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
