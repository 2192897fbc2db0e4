//! What holds back the reading of a client: its own rate, the rate of all clients together, and its credits while the
//! broker is overloaded. Nothing is refused and nothing is lost by it: what comes too fast stays in the network.
//!
//! Owns when a client is read again. However long that is, a message is read each quarter of the Keep Alive, and a PINGREQ
//! that was read ahead is answered before its turn: so it has its answer within half the Keep Alive. Costs a client without bounds two additions for each message and two loads for
//! each chunk that is read.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use access::{ClientLimits, Identity};
use codec::{Packet, PacketType, outlines};
use limits::{ClientRate, Cost, Credits, Rate, RatesConfig};
use parking_lot::Mutex;
use telemetry::events::ReadingPaused;

use crate::{LiveConfig, connection::Connection};

/// The rate of all clients together.
pub(crate) struct TotalRate {
    in_force: AtomicBool,
    rate: Mutex<Option<ClientRate>>,
}

impl TotalRate {
    pub(crate) fn new(config: &RatesConfig, now: Instant) -> Self {
        let rate = ClientRate::new(config.messages_total, config.bytes_total, now);
        Self { in_force: AtomicBool::new(rate.is_some()), rate: Mutex::new(rate) }
    }

    /// Other rates from now on; what is owed stays owed.
    pub(crate) fn set_config(&self, config: &RatesConfig, now: Instant) {
        let mut rate = self.rate.lock();
        *rate = match rate.take() {
            Some(rate) => rate.with(config.messages_total, config.bytes_total, now),
            None => ClientRate::new(config.messages_total, config.bytes_total, now),
        };
        self.in_force.store(rate.is_some(), Ordering::Relaxed);
    }

    fn is_in_force(&self) -> bool {
        self.in_force.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize, messages: u64, now: Instant) -> Option<Instant> {
        let mut rate = self.rate.lock();
        let rate = rate.as_mut()?;
        rate.spend(bytes, messages, now);
        rate.resumes(now)
    }

    fn resumes(&self, now: Instant) -> Option<Instant> {
        self.rate.lock().as_ref()?.resumes(now)
    }
}

/// What holds one client back.
pub(crate) struct Pace {
    own: Option<Box<ClientRate>>,
    credits: Credits,
    /// Of the packets since the last time that they were paid for.
    cost: Cost,
    /// When it is read again, as far as is known.
    until: Option<Instant>,
    /// When a little is read all the same.
    trickles_at: Instant,
    trickles_every: Duration,
    is_trickling: bool,
    /// Its own rate holds it back since the last time that was told.
    is_newly_held: bool,
    /// When a PINGREQ was last answered before its turn.
    pinged_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(
        live: &LiveConfig,
        identity: &Identity,
        keep_alive_seconds: u16,
        now: Instant,
    ) -> Self {
        let quarter = Duration::from_secs(keep_alive_seconds.into()) / 4;
        Self {
            own: client_rate(&live.limits.rates, &identity.limits, now).map(Box::new),
            credits: Credits::new(live.credit_percent(&identity.groups), now),
            cost: Cost::default(),
            until: None,
            trickles_at: now,
            trickles_every: quarter.clamp(TRICKLES_MIN, TRICKLES_MAX),
            is_trickling: false,
            is_newly_held: false,
            pinged_at: None,
        }
    }

    /// When the client is read again; `None` = it is read now.
    pub(crate) fn resumes(&self, now: Instant) -> Option<Instant> {
        let until = self.until?;
        if self.is_trickling { None } else { Some(until.min(self.trickles_at)) }
            .filter(|at| *at > now)
    }

    /// A packet was handled.
    pub(crate) fn count(&mut self, kind: Costs, length: usize, now: Instant) {
        if kind != Costs::Nothing {
            self.cost.messages += 1;
            self.cost.bytes += length as u64;
            self.is_trickling = false;
        }
        if let Some(own) = &mut self.own {
            // At once: of small messages many fit into what is read at a time.
            own.spend(length, u64::from(kind == Costs::Message), now);
            if let Some(at) = own.resumes(now) {
                self.is_newly_held |= self.hold_until(at, now);
            }
        }
    }

    /// A message of the batch went to so many sessions.
    pub(crate) fn reached(&mut self, recipients: usize) {
        self.cost.recipients += recipients as u64;
    }

    /// Holds it at least until `at`; whether it was not held before.
    fn hold_until(&mut self, at: Instant, now: Instant) -> bool {
        let before = self.until;
        self.until = before.max(Some(at));
        if before.is_none() {
            self.trickles_at = now + self.trickles_every;
        }
        before.is_none()
    }
}

/// What a packet is for the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Costs {
    /// A PUBLISH.
    Message,
    /// Work like one.
    Work,
    /// Answers and signs of life: they are what keeps others, and the client itself, going.
    Nothing,
}

impl Costs {
    pub(crate) fn of(packet: &Packet<'_>) -> Self {
        match packet {
            Packet::Publish(_) => Self::Message,
            Packet::Subscribe(_) | Packet::Unsubscribe(_) => Self::Work,
            _ => Self::Nothing,
        }
    }
}

impl Connection {
    /// When a client that sends more than it may is read again; `None` = it is.
    pub(crate) fn resumes(&self, now: Instant) -> Option<Instant> {
        self.pace.resumes(now)
    }

    /// A packet was handled.
    pub(crate) fn count_packet(&mut self, kind: Costs, length: usize, now: Instant) {
        self.pace.count(kind, length, now);
        let total = &self.core.total_rate;
        if total.is_in_force()
            && let Some(at) = total.spend(length, u64::from(kind == Costs::Message), now)
        {
            self.pause("total_rate", at, now);
        }
    }

    /// Pays for what was handled since the last time.
    pub(crate) fn pay(&mut self, now: Instant) {
        let cost = std::mem::take(&mut self.pace.cost);
        let level = self.core.overload.level();
        if cost != Cost::default() {
            self.pace.credits.spend(cost, level, now);
        }
        if std::mem::take(&mut self.pace.is_newly_held) {
            self.tell_paused("client_rate");
        }
        if level > 0
            && let Some(at) = self.pace.credits.resumes(level, now)
        {
            self.pause("overload", at, now);
        }
    }

    /// It is not read until `at`.
    fn pause(&mut self, by: &'static str, at: Instant, now: Instant) {
        if self.pace.hold_until(at, now) {
            self.tell_paused(by);
        }
    }

    fn tell_paused(&self, by: &'static str) {
        ReadingPaused { client: self.shown(), by }.emit(&self.core.metrics);
    }

    /// At the begin of a turn: whether it is still held back, and whether a little may be read all the same.
    pub(crate) fn review_pace(&mut self, now: Instant) {
        let of_all = || self.core.total_rate.resumes(now);
        let total = if self.core.total_rate.is_in_force() { of_all() } else { None };
        if self.pace.until.is_none() {
            // What others owe, too.
            if let Some(at) = total {
                self.pause("total_rate", at, now);
            }
            return;
        }
        let level = self.core.overload.level();
        let own = self.pace.own.as_ref().and_then(|own| own.resumes(now));
        let credits = self.pace.credits.resumes(level, now);
        self.pace.until = own.max(total).max(credits);
        if self.pace.until.is_none() {
            // Its silence was ours.
            self.keep_alive.packet_received(now);
        } else if self.pace.trickles_at <= now {
            self.pace.trickles_at = now + self.pace.trickles_every;
            self.pace.is_trickling = true;
        }
    }

    /// Whether only a little may be read.
    pub(crate) fn is_trickling(&self) -> bool {
        self.pace.is_trickling
    }

    /// The little was read.
    pub(crate) fn end_trickle(&mut self) {
        self.pace.is_trickling = false;
    }

    /// Answers a PINGREQ among what was read ahead before its turn, one now and then: behind packets that have to wait it
    /// would come too late.
    pub(crate) fn answer_ping_ahead(&mut self, now: Instant) {
        let is_soon = self.pace.pinged_at.is_some_and(|at| now < at + PINGS_EVERY);
        if self.is_greeting || is_soon || self.is_clogged() {
            return;
        }
        let Some(at) = ping_in(&self.partial) else { return };
        self.partial.drain(at..at + PING_BYTES);
        self.pace.pinged_at = Some(now);
        self.counts.packet(PacketType::PingReq);
        self.counts.came(&Packet::PingReq, PING_BYTES);
        self.keep_alive.packet_received(now);
        Packet::PingResp.encode(self.version, &mut self.output);
    }

    /// Bytes to read at once: what a client may not send yet is better left in the network than kept here.
    pub(crate) fn bytes_at_once(&self, most: usize) -> usize {
        if self.pace.own.is_some() || self.pace.is_trickling {
            OWN_BYTES
        } else if self.core.overload.level() > 0 || self.core.total_rate.is_in_force() {
            SHARED_BYTES.min(most)
        } else {
            most
        }
    }

    /// The grants of the client, or the configuration, are others now.
    pub(crate) fn set_rate(&mut self, identity: &Identity, now: Instant) {
        let live = self.core.live.load();
        self.pace.own = client_rate(&live.limits.rates, &identity.limits, now).map(Box::new);
        self.pace.credits = Credits::new(live.credit_percent(&identity.groups), now);
    }
}

/// Where the first PINGREQ stands among these packets.
fn ping_in(packets: &[u8]) -> Option<usize> {
    let mut at = 0;
    for packet in outlines(packets) {
        if packet.packet_type == PacketType::PingReq && packet.bytes == PING_BYTES {
            return Some(at);
        }
        at += packet.bytes;
    }
    None
}

/// The rates of the configuration, or of the client's grants where those are less.
fn client_rate(config: &RatesConfig, granted: &ClientLimits, now: Instant) -> Option<ClientRate> {
    let messages = stricter(config.messages, granted.messages_per_second, granted.messages_burst);
    let bytes = stricter(config.bytes, granted.bytes_per_second, None);
    ClientRate::new(messages, bytes, now)
}

fn stricter(configured: Option<Rate>, granted: Option<u32>, burst: Option<u32>) -> Option<Rate> {
    let Some(per_second) = granted else { return configured };
    let granted = Rate::new(per_second.into(), burst.unwrap_or(per_second).into()).ok();
    let looser =
        |granted: &Rate| configured.is_some_and(|c| c.per_second() <= granted.per_second());
    granted.filter(|granted| !looser(granted)).or(configured)
}

/// Read at once of a client with a rate of its own, or a little at a time.
const OWN_BYTES: usize = 4 * 1024;
/// The same while all are held back together.
const SHARED_BYTES: usize = 16 * 1024;
/// A message is read each quarter of the Keep Alive, within these.
const TRICKLES_MIN: Duration = Duration::from_secs(1);
const TRICKLES_MAX: Duration = Duration::from_secs(15);

/// Between two PINGREQ of one client that are answered before their turn.
const PINGS_EVERY: Duration = Duration::from_millis(250);
const PING_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_found_among_whole_packets_only() {
        let ping = [0xC0, 0];
        let publish = [0x30, 5, 0, 1, b't', 0xC0, 0];
        assert_eq!(ping_in(&ping), Some(0));
        assert_eq!(ping_in(&[&publish[..], &ping].concat()), Some(7));
        assert_eq!(ping_in(&publish), None);
        assert_eq!(ping_in(&[&publish[..6], &ping].concat()), None);
        assert_eq!(ping_in(&[]), None);
    }

    #[test]
    fn of_configuration_and_grant_the_stricter_rate_holds() {
        let rate = |per_second| Rate::new(per_second, per_second * 2).ok();
        let per_second = |rate: Option<Rate>| rate.map(|rate| (rate.per_second(), rate.burst()));
        assert_eq!(per_second(stricter(None, None, None)), None);
        assert_eq!(per_second(stricter(rate(10), None, Some(1))), Some((10, 20)));
        assert_eq!(per_second(stricter(None, Some(5), None)), Some((5, 5)));
        assert_eq!(per_second(stricter(rate(10), Some(5), Some(7))), Some((5, 7)));
        assert_eq!(per_second(stricter(rate(10), Some(50), Some(70))), Some((10, 20)));
    }
}
