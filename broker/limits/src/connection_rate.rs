//! Owns who may connect: the rate of all connections and of each address, and how many there are.
//!
//! Knows nothing of sockets and of what happens after: a listener asks before any other work.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::address::AddressPrefix;
use crate::range::{OutOfRange, Range, check};
use crate::token_bucket::{Rate, TokenBucket};

/// Rates and counts of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRateConfig {
    /// Connections per second of all addresses together. Default 500, burst 1,000.
    pub connect_rate: Rate,
    /// The same for one address (IPv6: /64). Default 20, burst 40.
    pub connect_rate_per_address: Rate,
    /// Connections at a time from one address (IPv6: /64). 1 to 1,000,000; default 256.
    pub connections_per_address: usize,
    /// Connections at a time, loopback included: each costs a file descriptor wherever it comes
    /// from. 1 to 10,000,000. The program sets it with [`connections_for_descriptors`]; the
    /// default is that of the common limit of 1,024 descriptors.
    pub connections: usize,
    /// Whether loopback addresses are free of all limits but `connections`. Default true.
    pub loopback_exempt: bool,
}

impl ConnectionRateConfig {
    /// Whether each value is within its range.
    ///
    /// # Errors
    /// The first value that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        check(CONNECTIONS_PER_ADDRESS, self.connections_per_address as u64)?;
        check(CONNECTIONS, self.connections as u64)
    }
}

impl Default for ConnectionRateConfig {
    fn default() -> Self {
        Self {
            connect_rate: CONNECT_RATE,
            connect_rate_per_address: CONNECT_RATE_PER_ADDRESS,
            connections_per_address: 256,
            connections: connections_for_descriptors(1_024),
            loopback_exempt: true,
        }
    }
}

/// 80 % of the file descriptors, and so many that 128 others are left, but at least 1: those are for
/// listeners, plugins, files and the admin API, so that a full broker can still be looked after.
#[must_use]
pub fn connections_for_descriptors(descriptors: u64) -> usize {
    let share = (descriptors / 5).saturating_mul(4);
    let connections = share.min(descriptors.saturating_sub(OTHERS)).clamp(1, CONNECTIONS.2);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Why a connection is refused: which limit, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `connections` is reached.
    #[error("there are {maximum} connections already")]
    Connections {
        /// The limit.
        maximum: usize,
    },
    /// `connect_rate` is reached.
    #[error("more than {per_second} connections per second (burst {burst})")]
    ConnectRate {
        /// The rate.
        per_second: u64,
        /// The burst.
        burst: u64,
        /// When the next one is let in.
        until: Instant,
    },
    /// `connections_per_address` is reached.
    #[error("there are {maximum} connections from {address} already")]
    ConnectionsPerAddress {
        /// Whose.
        address: AddressPrefix,
        /// The limit.
        maximum: usize,
    },
    /// `connect_rate_per_address` is reached.
    #[error("more than {per_second} connections per second (burst {burst}) from {address}")]
    ConnectRatePerAddress {
        /// Whose.
        address: AddressPrefix,
        /// The rate.
        per_second: u64,
        /// The burst.
        burst: u64,
        /// When the next one is let in.
        until: Instant,
    },
    /// The listener's `allow` or `deny` keeps the address out.
    #[error("the listener does not let the address in")]
    AddressDenied,
    /// The address is banned.
    #[error("the address is banned (ban {id})")]
    Banned {
        /// Names the ban.
        id: u64,
    },
    /// The listener's `connections` is reached.
    #[error("there are {maximum} connections of this listener already")]
    ConnectionsOfListener {
        /// The limit.
        maximum: u64,
    },
    /// The broker uses as much `memory` as it may.
    #[error("the broker uses {maximum} bytes of memory or more")]
    Memory {
        /// The limit.
        maximum: u64,
    },
    /// Too many addresses connected within the last seconds to remember one more.
    #[error("{maximum} addresses are remembered already")]
    Addresses {
        /// The bound of the table.
        maximum: usize,
    },
}

impl Refusal {
    /// The key of the configuration; for `Addresses`, which follows from the others, "addresses", and for bans
    /// "bans".
    #[must_use]
    pub fn limit(&self) -> &'static str {
        match self {
            Self::Connections { .. } => "connections",
            Self::ConnectRate { .. } => "connect_rate",
            Self::ConnectionsPerAddress { .. } => "connections_per_address",
            Self::ConnectRatePerAddress { .. } => "connect_rate_per_address",
            Self::Memory { .. } => "memory",
            Self::AddressDenied => "listeners.deny",
            Self::Banned { .. } => "bans",
            Self::ConnectionsOfListener { .. } => "listeners.connections",
            Self::Addresses { .. } => "addresses",
        }
    }

    /// When to try again, if time alone helps. For `ConnectRate` a listener stops accepting until
    /// then.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        match self {
            Self::ConnectRate { until, .. } | Self::ConnectRatePerAddress { until, .. } => {
                Some(*until)
            }
            Self::Memory { .. }
            | Self::AddressDenied
            | Self::Banned { .. }
            | Self::ConnectionsOfListener { .. }
            | Self::Connections { .. }
            | Self::ConnectionsPerAddress { .. }
            | Self::Addresses { .. } => None,
        }
    }
}

/// The connections there are, and the rates of new ones.
///
/// An address is remembered while it has connections or its bucket isn't full; so forgetting never
/// gives anybody a fresh burst. The table holds at most `connections` addresses with connections
/// and 65,536 others; a new address beyond that is refused.
#[derive(Debug)]
pub struct ConnectionRate {
    config: ConnectionRateConfig,
    connections: usize,
    all: TokenBucket,
    addresses: HashMap<AddressPrefix, Address>,
    /// Size of the table from which a new address looks for some to forget.
    sweep_at: usize,
    /// A full table is searched only once a second.
    sweep_after: Instant,
}

#[derive(Debug)]
struct Address {
    bucket: TokenBucket,
    connections: usize,
}

impl ConnectionRate {
    /// No connection yet.
    #[must_use]
    pub fn new(config: ConnectionRateConfig, now: Instant) -> Self {
        Self {
            config,
            connections: 0,
            all: TokenBucket::new(config.connect_rate, now),
            addresses: HashMap::new(),
            sweep_at: SWEEP_MIN,
            sweep_after: now,
        }
    }

    /// Connections that were admitted and not released.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Lets a connection in and counts it; each success needs one [`ConnectionRate::release`].
    ///
    /// A refused connection takes no token: neither can an address that is over its own limit use
    /// up what is for all, nor does a flood prolong its own wait.
    ///
    /// # Errors
    /// The [`Refusal`]; nothing was counted.
    pub fn admit(&mut self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        self.hold()?;
        let settled = self.settle(address, now);
        if settled.is_err() {
            self.release_held();
        }
        settled
    }

    /// Counts a connection whose address is still to be told, as behind a load balancer: it is one
    /// of all `connections`, and nothing else. Each success needs one [`ConnectionRate::settle`]
    /// that succeeds, or one [`ConnectionRate::release_held`].
    ///
    /// # Errors
    /// The [`Refusal`]; nothing was counted.
    pub fn hold(&mut self) -> Result<(), Refusal> {
        let maximum = self.config.connections;
        if self.connections >= maximum {
            return Err(Refusal::Connections { maximum });
        }
        self.connections += 1;
        Ok(())
    }

    /// Lets a held connection in as one of `address`, by all limits of addresses and rates; from
    /// then on it needs one [`ConnectionRate::release`].
    ///
    /// # Errors
    /// The [`Refusal`]; it is still held.
    pub fn settle(&mut self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        let exempt = self.config.loopback_exempt && address.to_canonical().is_loopback();
        if !exempt {
            self.all.check(1, now).map_err(|wait| Refusal::ConnectRate {
                per_second: self.config.connect_rate.per_second(),
                burst: self.config.connect_rate.burst(),
                until: wait.until,
            })?;
        }
        let prefix = AddressPrefix::of(address);
        self.make_room(prefix, now)?;
        let rate = self.config.connect_rate_per_address;
        let known = self.addresses.entry(prefix).or_insert_with(|| Address::new(rate, now));
        if !exempt {
            known.admit(prefix, self.config.connections_per_address, now)?;
            // Checked above: nobody else had the bucket meanwhile.
            let taken = self.all.try_take(1, now);
            debug_assert!(taken.is_ok());
        }
        known.connections += 1;
        Ok(())
    }

    /// Until when the rate of all connections lets nobody in; `None` = it does now.
    #[must_use]
    pub fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.all.check(1, now).err().map(|wait| wait.until)
    }

    /// A connection that was admitted from `address` has ended.
    pub fn release(&mut self, address: IpAddr) {
        let Some(known) = self.addresses.get_mut(&AddressPrefix::of(address)) else {
            return;
        };
        if known.connections > 0 {
            known.connections -= 1;
            self.connections = self.connections.saturating_sub(1);
        }
    }

    /// A connection that was held has ended without an address.
    pub fn release_held(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// Other limits from now on. The connections that there are stay and are counted.
    pub fn set_config(&mut self, config: ConnectionRateConfig, now: Instant) {
        self.config = config;
        self.all.set_rate(config.connect_rate, now);
        for known in self.addresses.values_mut() {
            known.bucket.set_rate(config.connect_rate_per_address, now);
        }
    }

    /// Forgets addresses if the table has grown to twice what the last search left: so the cost
    /// of searching is spread over the admissions that made it grow.
    fn make_room(&mut self, prefix: AddressPrefix, now: Instant) -> Result<(), Refusal> {
        let maximum = self.config.connections.saturating_add(ADDRESSES_WITHOUT_CONNECTION_MAX);
        let threshold = self.sweep_at.min(maximum);
        if self.addresses.len() < threshold || self.addresses.contains_key(&prefix) {
            return Ok(());
        }
        if self.addresses.len() < maximum || now >= self.sweep_after {
            self.addresses.retain(|_, known| known.connections > 0 || !known.bucket.is_full(now));
            self.sweep_at = self.addresses.len().saturating_mul(2).max(SWEEP_MIN);
            self.sweep_after = now.checked_add(Duration::from_secs(1)).unwrap_or(now);
            self.addresses.shrink_to(self.sweep_at);
        }
        if self.addresses.len() >= maximum {
            return Err(Refusal::Addresses { maximum });
        }
        Ok(())
    }
}

impl Address {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { bucket: TokenBucket::new(rate, now), connections: 0 }
    }

    fn admit(
        &mut self,
        address: AddressPrefix,
        maximum: usize,
        now: Instant,
    ) -> Result<(), Refusal> {
        if self.connections >= maximum {
            return Err(Refusal::ConnectionsPerAddress { address, maximum });
        }
        let rate = self.bucket.rate();
        self.bucket.try_take(1, now).map_err(|wait| Refusal::ConnectRatePerAddress {
            address,
            per_second: rate.per_second(),
            burst: rate.burst(),
            until: wait.until,
        })
    }
}

/// Descriptors that are never given to connections.
const OTHERS: u64 = 128;

/// Addresses that are remembered only for their rate. With the default rates fewer than 2,000 can
/// have a bucket that isn't full.
const ADDRESSES_WITHOUT_CONNECTION_MAX: usize = 65_536;

const SWEEP_MIN: usize = 1_024;

const CONNECT_RATE: Rate = Rate::constant(nonzero(500), nonzero(1_000));
const CONNECT_RATE_PER_ADDRESS: Rate = Rate::constant(nonzero(20), nonzero(40));

const CONNECTIONS_PER_ADDRESS: Range = ("connections_per_address", 1, 1_000_000);
const CONNECTIONS: Range = ("connections", 1, 10_000_000);

/// Evaluated by the compiler only.
const fn nonzero(value: u64) -> NonZeroU64 {
    match NonZeroU64::new(value) {
        Some(value) => value,
        None => NonZeroU64::MIN,
    }
}

#[cfg(test)]
mod tests;
