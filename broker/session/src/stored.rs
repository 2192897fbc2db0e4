//! Messages that wait in the store and not in memory: a few bytes each, in the order in which they are to be
//! delivered. Knows nothing of the store: a place is a number to it.
//!
//! What is known of a message is written as the difference to the one before, in runs: a queue of 100,000
//! messages costs some 600 KB, and gives its memory back run by run.

use std::{
    collections::VecDeque,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use codec::QoS;

/// What a session that outlives the process holds of a message: where it stands in its order, and where
/// the message lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Counts the session's messages with QoS > 0; also tells the Packet Identifier, so that a message has
    /// the same one after a restart.
    pub number: NonZeroU64,
    /// Where the store has it.
    pub place: u64,
}

/// Everything about a message that waits, but the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the order and in the store.
    pub claim: Claim,
    /// Bytes that it counts for.
    pub bytes: usize,
    /// When its Message Expiry Interval has passed.
    pub expires_at: Option<Instant>,
    /// QoS it is delivered with.
    pub qos: QoS,
    /// RETAIN flag it is delivered with.
    pub retain: bool,
    /// It came by a shared subscription.
    pub shared: bool,
    /// Of the subscriptions it came by.
    pub subscription_identifiers: Box<[u32]>,
}

/// The queue of them.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    runs: VecDeque<Run>,
    len: usize,
    /// Expiry is written in seconds from here.
    epoch: Option<Instant>,
}

/// Messages one after the other.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    cursor: Cursor,
    /// The last one in it.
    last: Base,
    /// Messages that are still in it.
    len: usize,
}

/// Where reading stands.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    at: usize,
    base: Base,
}

/// What the next one is the difference to.
#[derive(Clone, Copy, Debug, Default)]
struct Base {
    number: u64,
    place: u64,
}

/// Bytes of a run, roughly: what is read and gone is given back with the run.
const RUN_BYTES: usize = 2048;

const RETAIN: u8 = 1 << 2;
const SHARED: u8 = 1 << 3;
const EXPIRES: u8 = 1 << 4;
const IDENTIFIERS: u8 = 1 << 5;

impl Stored {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_back(&mut self, waiting: &Waiting) {
        if self.runs.back().is_none_or(|run| run.bytes.len() >= RUN_BYTES) {
            if let Some(full) = self.runs.back_mut() {
                full.bytes.shrink_to_fit();
            }
            self.runs.push_back(Run::default());
        }
        let epoch = self.epoch(waiting);
        if let Some(run) = self.runs.back_mut() {
            run.push(waiting, epoch);
            self.len += 1;
        }
    }

    /// Puts messages before all others, in their order.
    pub(crate) fn prepend(&mut self, before: impl IntoIterator<Item = Waiting>) {
        let mut run = Run::default();
        for waiting in before {
            let epoch = self.epoch(&waiting);
            run.push(&waiting, epoch);
        }
        if run.len > 0 {
            run.bytes.shrink_to_fit();
            self.len += run.len;
            self.runs.push_front(run);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Waiting> {
        let epoch = self.epoch;
        let run = self.runs.front_mut()?;
        let (waiting, cursor) = run.read(run.cursor, epoch)?;
        run.cursor = cursor;
        run.len -= 1;
        self.len -= 1;
        if run.len == 0 {
            self.runs.pop_front();
        }
        if self.runs.is_empty() {
            *self = Self::default();
        }
        Some(waiting)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Waiting> {
        self.runs.iter().flat_map(move |run| {
            let mut cursor = run.cursor;
            std::iter::from_fn(move || {
                let (waiting, next) = run.read(cursor, self.epoch)?;
                cursor = next;
                Some(waiting)
            })
        })
    }

    /// Keeps what `keep` says, which may change it.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut Waiting) -> bool) {
        let before = std::mem::take(self);
        for mut waiting in before.iter() {
            if keep(&mut waiting) {
                self.push_back(&waiting);
            }
        }
    }

    fn epoch(&mut self, waiting: &Waiting) -> Option<Instant> {
        self.epoch = self.epoch.or(waiting.expires_at);
        self.epoch
    }
}

impl Run {
    fn push(&mut self, waiting: &Waiting, epoch: Option<Instant>) {
        let Waiting { claim, subscription_identifiers: identifiers, .. } = waiting;
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let flags = waiting.qos.value()
            | flag(waiting.retain, RETAIN)
            | flag(waiting.shared, SHARED)
            | flag(waiting.expires_at.is_some(), EXPIRES)
            | flag(!identifiers.is_empty(), IDENTIFIERS);
        let out = &mut self.bytes;
        out.push(flags);
        write(zigzag(claim.number.get().wrapping_sub(self.last.number)), out);
        write(zigzag(claim.place.wrapping_sub(self.last.place)), out);
        write(waiting.bytes as u64, out);
        if let (Some(at), Some(epoch)) = (waiting.expires_at, epoch) {
            write(zigzag(seconds_between(epoch, at)), out);
        }
        if !identifiers.is_empty() {
            write(identifiers.len() as u64, out);
            for identifier in identifiers {
                write((*identifier).into(), out);
            }
        }
        self.last = Base { number: claim.number.get(), place: claim.place };
        self.len += 1;
    }

    /// The message at a cursor, and the cursor behind it; `None` at the end.
    fn read(&self, cursor: Cursor, epoch: Option<Instant>) -> Option<(Waiting, Cursor)> {
        let mut rest = self.bytes.get(cursor.at..)?;
        let flags = take(&mut rest)?;
        let number = cursor.base.number.wrapping_add(unzigzag(read(&mut rest)?));
        let place = cursor.base.place.wrapping_add(unzigzag(read(&mut rest)?));
        let bytes = usize::try_from(read(&mut rest)?).ok()?;
        let expires_at = match flags & EXPIRES {
            0 => None,
            _ => instant_after(epoch?, unzigzag(read(&mut rest)?)),
        };
        let identifiers = match flags & IDENTIFIERS {
            0 => Box::default(),
            _ => {
                let count = read(&mut rest)?;
                (0..count).map(|_| u32::try_from(read(&mut rest)?).ok()).collect::<Option<_>>()?
            }
        };
        let waiting = Waiting {
            claim: Claim { number: NonZeroU64::new(number)?, place },
            bytes,
            expires_at,
            qos: QoS::from_value(flags & 3)?,
            retain: flags & RETAIN != 0,
            shared: flags & SHARED != 0,
            subscription_identifiers: identifiers,
        };
        let at = self.bytes.len() - rest.len();
        Some((waiting, Cursor { at, base: Base { number, place } }))
    }
}

/// Whole seconds, later ones upwards: nothing expires before its time.
fn seconds_between(from: Instant, to: Instant) -> u64 {
    match to.checked_duration_since(from) {
        Some(later) => later.as_secs() + u64::from(later.subsec_nanos() > 0),
        None => from.saturating_duration_since(to).as_secs().wrapping_neg(),
    }
}

fn instant_after(epoch: Instant, seconds: u64) -> Option<Instant> {
    match i64::try_from(seconds) {
        Ok(_) => epoch.checked_add(Duration::from_secs(seconds)),
        Err(_) => epoch.checked_sub(Duration::from_secs(seconds.wrapping_neg())),
    }
}

/// Small differences in either direction become small numbers.
fn zigzag(difference: u64) -> u64 {
    let sign = if difference >> 63 == 1 { u64::MAX } else { 0 };
    (difference << 1) ^ sign
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest)?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

#[cfg(test)]
mod tests;
