//! Owns the list of who is banned, by what, until when and why.
//!
//! Knows nothing of connections, files and clocks: seconds since 1970 are passed in. Listeners ask it by address, CONNECT
//! by everything that it knows; `server` hands it on to whoever keeps it.
//!
//! Bounded: when it is full, a new ban of an administrator is refused with a sentence; one for flapping takes the place of
//! the flapping one that ends first, and there are never more of those than half of all.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

/// Whom a ban is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BanTarget {
    /// A client identifier, whoever uses it.
    ClientId(String),
    /// An authenticated principal, with all of its clients.
    Principal(String),
    /// Every address of a range.
    Address(IpNet),
    /// A client certificate: SHA-256 of its DER encoding.
    Certificate([u8; 32]),
    /// One client identifier of one principal.
    Client {
        /// The principal.
        principal: String,
        /// The client identifier.
        client_id: String,
    },
}

impl BanTarget {
    /// A range as it is compared: whole, and IPv4 where it is IPv4 in disguise. `None` = bits are
    /// set behind the prefix.
    #[must_use]
    pub fn address(range: IpNet) -> Option<Self> {
        let range = match range {
            IpNet::V6(v6) if v6.prefix_len() >= MAPPED_BITS => match v6.addr().to_ipv4_mapped() {
                Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - MAPPED_BITS).ok()?,
                None => range,
            },
            range => range,
        };
        (range.trunc() == range).then_some(Self::Address(range))
    }
}

/// Who made a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanOrigin {
    /// Somebody with the permission, over the admin API.
    Administrator,
    /// The broker, for a client that connected again and again.
    Flapping,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Names it; never used twice.
    pub id: u64,
    /// Whom it is about.
    pub target: BanTarget,
    /// Why, for people.
    pub reason: String,
    /// Who made it.
    pub origin: BanOrigin,
    /// When it was made, seconds since 1970.
    pub since_unix: u64,
    /// When it ends, seconds since 1970; `None` = when it is lifted.
    pub until_unix: Option<u64>,
}

impl Ban {
    fn is_over(&self, now_unix: u64) -> bool {
        self.until_unix.is_some_and(|until| until <= now_unix)
    }
}

/// A ban that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBan {
    /// Whom it is about.
    pub target: BanTarget,
    /// Why.
    pub reason: String,
    /// Who makes it.
    pub origin: BanOrigin,
    /// When it ends, seconds since 1970; `None` = when it is lifted.
    pub until_unix: Option<u64>,
}

/// What is known of somebody; `None` = not yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Suspect<'a> {
    /// Address of the client.
    pub address: Option<IpAddr>,
    /// Client identifier.
    pub client_id: Option<&'a str>,
    /// Authenticated principal.
    pub principal: Option<&'a str>,
    /// SHA-256 of the certificate.
    pub certificate: Option<&'a [u8; 32]>,
}

/// There are as many bans as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {maximum} bans already, which is the most there can be")]
pub struct TooManyBans {
    /// The bound.
    pub maximum: usize,
}

/// All bans.
#[derive(Debug, Default)]
pub struct Bans {
    by_id: BTreeMap<u64, Ban>,
    by_target: HashMap<BanTarget, u64>,
    /// How many ranges there are of each length: (is IPv6, bits).
    lengths: BTreeMap<(bool, u8), usize>,
    last_id: u64,
    /// Names of those that were taken out because they were over.
    ended: Vec<u64>,
}

impl Bans {
    /// Those that were kept; what is over, or beyond the bound, is left out.
    #[must_use]
    pub fn restore(kept: Vec<Ban>, now_unix: u64) -> Self {
        let mut bans = Self::default();
        for ban in kept {
            bans.last_id = bans.last_id.max(ban.id);
            if !ban.is_over(now_unix) && bans.by_id.len() < BANS_MAX {
                bans.insert(ban);
            }
        }
        bans
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many there are, those that are over and not yet cleared away among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bans somebody. Who is banned already gets the new reason and end; the ban keeps its name.
    ///
    /// # Errors
    /// [`TooManyBans`]: nothing was changed.
    pub fn add(&mut self, new: NewBan, now_unix: u64) -> Result<Ban, TooManyBans> {
        self.clear(now_unix);
        let known = self.by_target.get(&new.target).copied();
        if known.is_none() {
            self.make_room(new.origin)?;
        }
        let id = known.unwrap_or_else(|| {
            self.last_id += 1;
            self.last_id
        });
        let NewBan { target, reason, origin, until_unix } = new;
        let ban = Ban { id, target, reason, origin, since_unix: now_unix, until_unix };
        self.remove(id);
        self.insert(ban.clone());
        Ok(ban)
    }

    /// Lifts a ban; returns what it was.
    pub fn lift(&mut self, id: u64, now_unix: u64) -> Option<Ban> {
        self.clear(now_unix);
        self.remove(id)
    }

    /// One ban, unless it is over.
    #[must_use]
    pub fn get(&self, id: u64, now_unix: u64) -> Option<&Ban> {
        self.by_id.get(&id).filter(|ban| !ban.is_over(now_unix))
    }

    /// The ban that is in force for somebody.
    #[must_use]
    pub fn find(&self, suspect: Suspect<'_>, now_unix: u64) -> Option<&Ban> {
        if self.is_empty() {
            return None;
        }
        let in_force = |target: &BanTarget| {
            let id = self.by_target.get(target)?;
            self.by_id.get(id).filter(|ban| !ban.is_over(now_unix))
        };
        let Suspect { address, client_id, principal, certificate } = suspect;
        let of_address = || self.ranges_of(address?).find_map(|range| in_force(&range));
        let of_client = || in_force(&BanTarget::ClientId(client_id?.to_owned()));
        let of_principal = || in_force(&BanTarget::Principal(principal?.to_owned()));
        let of_certificate = || in_force(&BanTarget::Certificate(*certificate?));
        let of_pair = || {
            let (principal, client_id) = (principal?.to_owned(), client_id?.to_owned());
            in_force(&BanTarget::Client { principal, client_id })
        };
        of_address()
            .or_else(of_client)
            .or_else(of_certificate)
            .or_else(of_principal)
            .or_else(of_pair)
    }

    /// Those in force, in the order in which they were named, from behind `after` on.
    pub fn list(&self, after: u64, now_unix: u64) -> impl Iterator<Item = &Ban> {
        let behind = self.by_id.range(after.saturating_add(1)..).map(|(_, ban)| ban);
        behind.filter(move |ban| !ban.is_over(now_unix))
    }

    /// Takes out those that are over.
    pub fn clear(&mut self, now_unix: u64) {
        let over = self.by_id.values().filter(|ban| ban.is_over(now_unix));
        for id in over.map(|ban| ban.id).collect::<Vec<_>>() {
            self.remove(id);
            self.ended.push(id);
        }
    }

    /// Those that were taken out since the last time, because they were over.
    pub fn take_ended(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.ended)
    }

    fn make_room(&mut self, origin: BanOrigin) -> Result<(), TooManyBans> {
        let full = self.by_id.len() >= BANS_MAX;
        match origin {
            BanOrigin::Administrator if full => Err(TooManyBans { maximum: BANS_MAX }),
            BanOrigin::Administrator => Ok(()),
            BanOrigin::Flapping => {
                let flapping = self.by_id.values().filter(|ban| ban.origin == origin);
                let mut count = 0;
                let counted = flapping.inspect(|_| count += 1);
                let first = counted.min_by_key(|ban| ban.until_unix).map(|ban| ban.id);
                if !full && count < BANS_MAX / 2 {
                    return Ok(());
                }
                let first = first.ok_or(TooManyBans { maximum: BANS_MAX })?;
                self.remove(first);
                Ok(())
            }
        }
    }

    /// The ranges of the lengths there are that an address is in.
    fn ranges_of(&self, address: IpAddr) -> impl Iterator<Item = BanTarget> {
        let address = address.to_canonical();
        let lengths = self.lengths.keys().filter(move |(v6, _)| *v6 == address.is_ipv6());
        lengths.filter_map(move |(_, bits)| {
            let range = IpNet::new(address, *bits).ok()?.trunc();
            Some(BanTarget::Address(range))
        })
    }

    fn insert(&mut self, ban: Ban) {
        if let BanTarget::Address(range) = &ban.target {
            *self.lengths.entry(length(range)).or_default() += 1;
        }
        self.by_target.insert(ban.target.clone(), ban.id);
        self.by_id.insert(ban.id, ban);
    }

    fn remove(&mut self, id: u64) -> Option<Ban> {
        let ban = self.by_id.remove(&id)?;
        self.by_target.remove(&ban.target);
        if let BanTarget::Address(range) = &ban.target
            && let Some(count) = self.lengths.get_mut(&length(range))
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length(range));
            }
        }
        Some(ban)
    }
}

fn length(range: &IpNet) -> (bool, u8) {
    (matches!(range, IpNet::V6(_)), range.prefix_len())
}

/// Bans there can be.
pub const BANS_MAX: usize = 10_000;

/// Bits in front of an IPv4 address in its form of IPv6.
const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests;
