//! The claims of one session, sorted by number, 32 bytes each.

use std::collections::HashMap;

use codec::QoS;

use crate::{FoundOwed, Owed, Position};

/// What a session is owed, by number.
#[derive(Debug, Default)]
pub struct FoundClaims {
    claims: Vec<Claim>,
    /// How many of them are gone.
    gone: usize,
    /// Lists of Subscription Identifiers, each once.
    identifiers: Vec<Box<[u32]>>,
    places: HashMap<Box<[u32]>, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    number: u64,
    position: u64,
    /// 0 = never.
    expires_at_unix: u64,
    bytes: u32,
    /// Flags, and behind them the place of its list of Subscription Identifiers plus 1.
    rest: u32,
}

/// What is known of a message: bytes, and when it expires.
#[derive(Clone, Copy)]
pub(super) struct Size {
    bytes: u32,
    expires_at_unix: u64,
}

impl Size {
    pub(super) fn new(bytes: u64, expires_at_unix: Option<u64>) -> Self {
        // A message comes in one packet: below 256 MiB.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { bytes, expires_at_unix: expires_at_unix.unwrap_or_default() }
    }
}

const QOS: u32 = 0x03;
const RETAIN: u32 = 0x04;
const SHARED: u32 = 0x08;
const RECEIVED: u32 = 0x10;
const GONE: u32 = 0x20;
const FLAG_BITS: u32 = 6;

impl FoundClaims {
    /// How many.
    pub fn len(&self) -> usize {
        self.claims.len() - self.gone
    }

    /// Whether it is owed nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = FoundOwed> {
        let there = self.claims.iter().filter(|claim| claim.rest & GONE == 0);
        there.map(|claim| claim.found(&self.identifiers))
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        let there = self.claims.iter().filter(|claim| claim.rest & GONE == 0);
        there.map(|claim| Position(claim.position))
    }

    /// A claim, or where one lies that is known.
    pub(super) fn insert(
        &mut self,
        position: Position,
        size: Size,
        owed: &Owed,
    ) -> Result<(), String> {
        let claim = Claim {
            number: owed.number,
            position: position.0,
            expires_at_unix: size.expires_at_unix,
            bytes: size.bytes,
            rest: self.rest(owed)?,
        };
        if self.claims.len() == self.claims.capacity() {
            // By a quarter, not twice as much: there may be millions.
            self.claims.reserve_exact(self.claims.len() / 4 + 4);
        }
        match self.place(owed.number) {
            Err(at) => self.claims.insert(at, claim),
            Ok(at) => {
                if let Some(known) = self.claims.get_mut(at)
                    && known.position < position.0
                {
                    *known = claim;
                }
            }
        }
        Ok(())
    }

    fn rest(&mut self, owed: &Owed) -> Result<u32, String> {
        let list = match &owed.subscription_identifiers {
            none if none.is_empty() => 0,
            list => match self.places.get(list) {
                Some(place) => *place,
                None => {
                    self.identifiers.push(list.clone());
                    let place = u32::try_from(self.identifiers.len()).ok();
                    let place = place.filter(|place| *place < u32::MAX >> FLAG_BITS);
                    let place = place.ok_or("too many different Subscription Identifiers")?;
                    self.places.insert(list.clone(), place);
                    place
                }
            },
        };
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(owed.retain, RETAIN) | flag(owed.shared, SHARED);
        Ok(list << FLAG_BITS | owed.qos as u32 | flags)
    }

    /// Mostly the last one is asked for, or one that comes behind it.
    fn place(&self, number: u64) -> Result<usize, usize> {
        match self.claims.last() {
            Some(last) if last.number >= number => {
                self.claims.binary_search_by_key(&number, |claim| claim.number)
            }
            _ => Err(self.claims.len()),
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        let at = self.place(number).ok();
        let Some(claim) = at.and_then(|at| self.claims.get_mut(at)) else { return };
        if claim.rest & GONE == 0 {
            claim.rest |= GONE;
            self.gone += 1;
        }
        if self.gone > self.claims.len() / 2 + 32 {
            self.sweep();
        }
    }

    fn sweep(&mut self) {
        self.claims.retain(|claim| claim.rest & GONE == 0);
        self.gone = 0;
    }

    /// PUBREC came for this one; whether it is owed.
    pub(super) fn receive(&mut self, number: u64) -> bool {
        let at = self.place(number).ok();
        let Some(claim) = at.and_then(|at| self.claims.get_mut(at)) else { return false };
        claim.rest |= RECEIVED;
        claim.rest & GONE == 0
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        self.sweep();
        self.claims.shrink_to_fit();
        self.places = HashMap::new();
    }
}

impl Claim {
    fn found(&self, identifiers: &[Box<[u32]>]) -> FoundOwed {
        let list = (self.rest >> FLAG_BITS).checked_sub(1);
        let list = list.and_then(|place| identifiers.get(place as usize));
        FoundOwed {
            position: Position(self.position),
            number: self.number,
            bytes: self.bytes.into(),
            expires_at_unix: Some(self.expires_at_unix).filter(|at| *at > 0),
            qos: match self.rest & QOS {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            retain: self.rest & RETAIN != 0,
            shared: self.rest & SHARED != 0,
            subscription_identifiers: list.cloned().unwrap_or_default(),
            received: self.rest & RECEIVED != 0,
        }
    }
}

/// One claim after the other, as they are needed.
#[derive(Debug)]
pub struct IntoIter {
    claims: std::vec::IntoIter<Claim>,
    identifiers: Vec<Box<[u32]>>,
}

impl Iterator for IntoIter {
    type Item = FoundOwed;

    fn next(&mut self) -> Option<FoundOwed> {
        let claim = self.claims.find(|claim| claim.rest & GONE == 0)?;
        Some(claim.found(&self.identifiers))
    }
}

impl IntoIterator for FoundClaims {
    type Item = FoundOwed;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter { claims: self.claims.into_iter(), identifiers: self.identifiers }
    }
}
