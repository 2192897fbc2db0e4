//! Circuit breakers of one generation: who makes its calls break is not asked about for a while.
//!
//! By client address, so that one hostile client locks nobody else out (IPv6 by /64, as rates are).
//! Of the whole plugin only when many addresses fail and nobody succeeds in between. A call that
//! succeeds while no address is in trouble costs one relaxed load here; then, as long as its
//! address is not one of them, two more. Time is passed in.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use access::{BreakerInfo, PluginFailure, PluginFailureKind};
use parking_lot::Mutex;

use crate::failure::failure;

/// Failures in a row that open the breaker of an address.
const FAILURES: u32 = 5;
/// How long it is open: first, doubled each time, at most; a fifth more or less.
const OPEN_FIRST: Duration = Duration::from_secs(1);
const OPEN_MAX: Duration = Duration::from_secs(60);
/// Without a success in between, so many failures of so many addresses open the one of the plugin.
const WIDE_FAILURES: u32 = 32;
const WIDE_ADDRESSES: u32 = 8;
/// Short: whoever has many addresses keeps it open, and everybody else out.
const WIDE_OPEN_MAX: Duration = Duration::from_secs(5);
/// Addresses that are known; the one that failed first goes when there is another.
const ADDRESSES_MAX: usize = 4096;
/// An address that did not fail for so long begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// What a success looks at before it takes the lock.
const SLOTS: usize = 1024;

/// Whose calls: an address, or the /64 that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(u128);

impl Client {
    pub(crate) fn of(address: IpAddr) -> Self {
        let host_bits = match address.to_canonical() {
            IpAddr::V4(address) => return Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(_) => 64,
        };
        match address {
            IpAddr::V6(address) => Self(address.to_bits() >> host_bits << host_bits),
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
        }
    }
}

/// The breakers.
pub(crate) struct Breaker {
    /// Whether failures count at all.
    watches: AtomicBool,
    /// Addresses in the table, and one more while the plugin's is open.
    trouble: AtomicUsize,
    /// Addresses of the table by their hash.
    slots: Box<[AtomicU16]>,
    /// Of the plugin.
    is_open: AtomicBool,
    /// Raised by a success after failures.
    round: AtomicU64,
    /// Since then, of all addresses.
    failures: AtomicUsize,
    hasher: RandomState,
    table: Mutex<Table>,
    /// How long a call may be on its way: then another one may try.
    probe: Duration,
    opened: AtomicU64,
    refused: AtomicU64,
    born: Instant,
    /// Second in which something was logged last, from 1.
    told: AtomicU64,
}

#[derive(Default)]
struct Table {
    addresses: HashMap<Client, Trouble>,
    /// In the order in which they came.
    queue: VecDeque<Client>,
    wide: Gate,
    /// Addresses that failed in this round.
    distinct: (u64, u32),
}

/// Open, or half open: then one call at a time may try.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    /// How often in a row.
    opened: u32,
    until: Option<Instant>,
    trying_until: Option<Instant>,
}

struct Trouble {
    failures: u32,
    gate: Gate,
    last: Instant,
    round: u64,
}

impl Gate {
    /// How long it refuses; `None` = this one may try.
    fn refuses(&mut self, now: Instant, probe: Duration) -> Option<Duration> {
        let ends = [self.until, self.trying_until].into_iter().flatten().max()?;
        if now < ends {
            return Some(ends.duration_since(now));
        }
        self.trying_until = now.checked_add(probe);
        None
    }

    /// Failed calls that were on their way when it opened do not make it worse.
    fn open(&mut self, now: Instant, max: Duration, jitter: f64) -> bool {
        if self.until.is_some_and(|until| now < until) {
            return false;
        }
        let doubled = OPEN_FIRST.saturating_mul(1 << self.opened.min(16)).min(max);
        self.opened = self.opened.saturating_add(1);
        self.until = now.checked_add(doubled.mul_f64(0.8 + 0.4 * jitter));
        self.trying_until = None;
        true
    }
}

impl Breaker {
    /// `probe` = how long a call may take.
    pub(crate) fn new(probe: Duration) -> Self {
        Self {
            watches: AtomicBool::new(true),
            trouble: AtomicUsize::new(0),
            slots: (0..SLOTS).map(|_| AtomicU16::new(0)).collect(),
            is_open: AtomicBool::new(false),
            round: AtomicU64::new(1),
            failures: AtomicUsize::new(0),
            hasher: RandomState::new(),
            table: Mutex::default(),
            probe,
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            born: Instant::now(),
            told: AtomicU64::new(0),
        }
    }

    /// Off where calls are made to see what breaks.
    pub(crate) fn watch(&self, watches: bool) {
        self.watches.store(watches, Relaxed);
    }

    /// Whether anybody has to be admitted.
    pub(crate) fn has_trouble(&self) -> bool {
        self.trouble.load(Relaxed) != 0
    }

    /// Whether the plugin is asked on behalf of `client`. Who is, says how it ended.
    pub(crate) fn admit(&self, client: Client, now: Instant) -> Result<(), PluginFailure> {
        if self.trouble.load(Relaxed) == 0 {
            return Ok(());
        }
        let is_open = self.is_open.load(Relaxed);
        if !is_open && self.is_unknown(client) {
            return Ok(());
        }
        let mut table = self.table.lock();
        let own = match table.addresses.get_mut(&client) {
            Some(trouble) if trouble.failures >= FAILURES => trouble.gate.refuses(now, self.probe),
            _ => None,
        };
        let refused = match own {
            Some(left) => Some((left, "of this address")),
            None if is_open => {
                table.wide.refuses(now, self.probe).map(|left| (left, "of every address"))
            }
            None => None,
        };
        drop(table);
        let Some((left, whose)) = refused else { return Ok(()) };
        self.refused.fetch_add(1, Relaxed);
        let seconds = left.as_secs_f64();
        let message = format!("calls on behalf {whose} broke; it is asked again in {seconds:.1} s");
        Err(failure(PluginFailureKind::Unavailable, message))
    }

    /// A call was answered.
    pub(crate) fn succeeded(&self, client: Client) {
        if self.trouble.load(Relaxed) == 0 {
            return;
        }
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.round.fetch_add(1, Relaxed);
        }
        if !self.is_open.load(Relaxed) && self.is_unknown(client) {
            return;
        }
        let mut table = self.table.lock();
        if self.is_open.swap(false, Relaxed) {
            table.wide = Gate::default();
            self.trouble.fetch_sub(1, Relaxed);
        }
        self.forget(&mut table, client);
    }

    /// A call came to nothing for a reason that is neither the plugin's nor the client's.
    pub(crate) fn undecided(&self, client: Client) {
        if self.trouble.load(Relaxed) == 0 {
            return;
        }
        let mut table = self.table.lock();
        table.wide.trying_until = None;
        if let Some(trouble) = table.addresses.get_mut(&client) {
            trouble.gate.trying_until = None;
        }
    }

    /// Whether the log hears of it: once a second, however many addresses there are.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.born).as_secs().saturating_add(1);
        self.told.swap(second, Relaxed) != second
    }

    /// A call broke. Returns what opened, for the log.
    pub(crate) fn failed(&self, client: Client, now: Instant) -> Option<&'static str> {
        if !self.watches.load(Relaxed) {
            return None;
        }
        let round = self.round.load(Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let mut table = self.table.lock();
        let trouble = self.known(&mut table, client, now);
        if now.duration_since(trouble.last) > FORGOTTEN_AFTER {
            (trouble.failures, trouble.gate) = (0, Gate::default());
        }
        trouble.last = now;
        trouble.failures = trouble.failures.saturating_add(1);
        let is_new = std::mem::replace(&mut trouble.round, round) != round;
        let jitter = self.jitter(client, trouble.gate.opened);
        let opens = trouble.failures >= FAILURES && trouble.gate.open(now, OPEN_MAX, jitter);
        if is_new {
            let (counted, distinct) = table.distinct;
            table.distinct = (round, if counted == round { distinct + 1 } else { 1 });
        }
        let many = table.distinct.1 >= WIDE_ADDRESSES && failures >= WIDE_FAILURES as usize;
        let opens_wide = many && table.wide.open(now, WIDE_OPEN_MAX, jitter);
        if many && !self.is_open.swap(true, Relaxed) {
            self.trouble.fetch_add(1, Relaxed);
        }
        drop(table);
        let what = match (opens_wide, opens) {
            (true, _) => "every address",
            (false, true) => "one address",
            (false, false) => return None,
        };
        self.opened.fetch_add(1, Relaxed);
        Some(what)
    }

    /// For the admin API.
    pub(crate) fn info(&self, now: Instant) -> BreakerInfo {
        let table = self.table.lock();
        let is_open = |gate: &Gate| gate.until.is_some_and(|until| now < until);
        let open = table.addresses.values().filter(|trouble| is_open(&trouble.gate)).count();
        BreakerInfo {
            open: self.is_open.load(Relaxed),
            open_addresses: open as u64,
            opened: self.opened.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    fn known<'a>(&self, table: &'a mut Table, client: Client, now: Instant) -> &'a mut Trouble {
        if !table.addresses.contains_key(&client) {
            if table.addresses.len() >= ADDRESSES_MAX {
                // Those that succeeded since are gone already.
                while let Some(oldest) = table.queue.pop_front() {
                    if self.forget(table, oldest) {
                        break;
                    }
                }
            }
            if table.queue.len() >= 2 * ADDRESSES_MAX {
                let addresses = &table.addresses;
                table.queue.retain(|client| addresses.contains_key(client));
            }
            table.queue.push_back(client);
            self.trouble.fetch_add(1, Relaxed);
            if let Some(slot) = self.slot(client) {
                slot.fetch_add(1, Relaxed);
            }
        }
        let fresh = || Trouble { failures: 0, gate: Gate::default(), last: now, round: 0 };
        table.addresses.entry(client).or_insert_with(fresh)
    }

    fn forget(&self, table: &mut Table, client: Client) -> bool {
        if table.addresses.remove(&client).is_none() {
            return false;
        }
        self.trouble.fetch_sub(1, Relaxed);
        if let Some(slot) = self.slot(client) {
            slot.fetch_sub(1, Relaxed);
        }
        true
    }

    /// Without the lock: no address with the same hash is in the table.
    fn is_unknown(&self, client: Client) -> bool {
        self.slot(client).is_none_or(|slot| slot.load(Relaxed) == 0)
    }

    fn slot(&self, client: Client) -> Option<&AtomicU16> {
        self.slots.get(self.hasher.hash_one(client) as usize % SLOTS)
    }

    /// From 0 to 1; nobody outside can tell it.
    fn jitter(&self, client: Client, opened: u32) -> f64 {
        (self.hasher.hash_one((client, opened)) % 1024) as f64 / 1023.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_secs(2);

    fn client(number: u8) -> Client {
        Client::of(IpAddr::from([192, 0, 2, number]))
    }

    fn fails(breaker: &Breaker, client: Client, now: Instant, times: u32) {
        for _ in 0..times {
            breaker.failed(client, now);
        }
    }

    #[test]
    fn an_address_that_breaks_calls_waits_longer_each_time() {
        let breaker = Breaker::new(PROBE);
        let mut now = Instant::now();
        fails(&breaker, client(1), now, FAILURES - 1);
        breaker.admit(client(1), now).unwrap();
        assert_eq!(breaker.failed(client(1), now), Some("one address"));
        let mut before = Duration::ZERO;
        for round in 0..5_u32 {
            let failure = breaker.admit(client(1), now).unwrap_err();
            assert_eq!(failure.kind, PluginFailureKind::Unavailable);
            breaker.admit(client(2), now).unwrap();
            fails(&breaker, client(1), now, 3);
            let until = breaker.table.lock().addresses[&client(1)].gate.until.unwrap();
            let open = until - now;
            assert!(open >= Duration::from_millis(800 << round), "{open:?}");
            assert!(open <= Duration::from_millis(1200 << round), "{open:?}");
            assert!(open > before);
            before = open;
            now = until;
            breaker.admit(client(1), now).expect("one may try");
            breaker.admit(client(1), now).expect_err("one at a time");
            assert_eq!(breaker.failed(client(1), now), Some("one address"));
        }
        let late = now + OPEN_MAX;
        breaker.admit(client(1), late).unwrap();
        breaker.succeeded(client(1));
        breaker.admit(client(1), late).unwrap();
        breaker.admit(client(1), late).unwrap();
        assert_eq!(breaker.trouble.load(Relaxed), 0, "the next success looks at nothing");
        let info = breaker.info(late);
        assert_eq!((info.open, info.open_addresses, info.opened, info.refused), (false, 0, 6, 10));
    }

    #[test]
    fn a_try_whose_end_nobody_told_is_not_waited_for_for_ever() {
        let breaker = Breaker::new(PROBE);
        let now = Instant::now();
        fails(&breaker, client(1), now, FAILURES);
        let later = now + OPEN_MAX;
        breaker.admit(client(1), later).unwrap();
        breaker.admit(client(1), later + PROBE / 2).unwrap_err();
        breaker.admit(client(1), later + PROBE).unwrap();
        breaker.admit(client(1), later + PROBE).unwrap_err();
        breaker.undecided(client(1));
        breaker.admit(client(1), later + PROBE).unwrap();
    }

    #[test]
    fn the_log_hears_of_it_once_a_second() {
        let breaker = Breaker::new(PROBE);
        let now = breaker.born;
        assert!(breaker.may_tell(now));
        assert!(!breaker.may_tell(now + Duration::from_millis(999)));
        assert!(breaker.may_tell(now + Duration::from_secs(1)));
    }

    #[test]
    fn failures_long_ago_do_not_count() {
        let breaker = Breaker::new(PROBE);
        let now = Instant::now();
        fails(&breaker, client(1), now, FAILURES - 1);
        let later = now + FORGOTTEN_AFTER + Duration::from_secs(1);
        assert_eq!(breaker.failed(client(1), later), None);
    }

    #[test]
    fn many_addresses_without_a_success_open_the_one_of_the_plugin() {
        let now = Instant::now();
        let storm = |breaker: &Breaker, addresses: u8, each: u32| {
            for _ in 0..each {
                for number in 1..=addresses {
                    breaker.failed(client(number), now);
                }
            }
        };
        let few = Breaker::new(PROBE);
        storm(&few, 7, 20);
        few.admit(client(100), now).expect("seven addresses are few");

        let breaker = Breaker::new(PROBE);
        storm(&breaker, 8, 3);
        breaker.succeeded(client(99));
        storm(&breaker, 8, 1);
        breaker.admit(client(100), now).expect("somebody succeeded");
        storm(&breaker, 8, 3);
        breaker.admit(client(100), now).expect_err("nobody did since");
        assert!(breaker.info(now).open);
        let later = now + WIDE_OPEN_MAX;
        breaker.admit(client(100), later).expect("one may try");
        breaker.admit(client(101), later).expect_err("one at a time");
        breaker.succeeded(client(100));
        breaker.admit(client(101), later).unwrap();
        assert!(!breaker.info(later).open);
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_one_its_address() {
        let of = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("::ffff:192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn the_table_is_bounded() {
        let breaker = Breaker::new(PROBE);
        let now = Instant::now();
        for number in 0..3 * ADDRESSES_MAX as u32 {
            let client = Client::of(IpAddr::from(number.to_be_bytes()));
            breaker.failed(client, now);
            if number % 3 == 0 {
                breaker.succeeded(client);
            }
        }
        let table = breaker.table.lock();
        assert_eq!(table.addresses.len(), ADDRESSES_MAX);
        assert!(table.queue.len() <= 2 * ADDRESSES_MAX);
        let slots: usize = breaker.slots.iter().map(|slot| slot.load(Relaxed) as usize).sum();
        assert_eq!(slots, ADDRESSES_MAX);
    }
}
