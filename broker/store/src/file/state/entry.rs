//! What lies in fjall, as keys and values: one place for each kind.

use super::{Change, Kept};
use crate::{KeptSubscription, Retained, SessionKey, file::record};

/// Which keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Session,
    Subscription,
    Retained,
}

/// An entry's keyspace and key.
pub(super) type Entry = (Place, Vec<u8>);

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Session, Self::Subscription, Self::Retained];
}

/// What is noted of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Of the last change.
    pub(super) number: u64,
    /// Of the checksums of all entries, modulo 2^64: in whatever order they come.
    pub(super) sum: u64,
}

impl Meta {
    pub(super) fn encode(self) -> Vec<u8> {
        [self.number.to_be_bytes(), self.sum.to_be_bytes()].concat()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (number, sum) = value.split_first_chunk()?;
        let sum = u64::from_be_bytes(sum.try_into().ok()?);
        Some(Self { number: u64::from_be_bytes(*number), sum })
    }
}

/// Of one entry; differs from that of any other entry in its upper half too.
pub(super) fn checksum(place: Place, key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[place as u8]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let crc = u64::from(hasher.finalize());
    // SplitMix64, so that sums of such numbers have nothing in common with each other.
    let mut mixed =
        (crc << 32 | value.len() as u64 & 0xffff_ffff).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// What a change makes of which entry; nothing = it goes.
pub(super) fn encode(change: &Change) -> Result<(Entry, Option<Vec<u8>>), fjall::Error> {
    let session = |key: &SessionKey| (Place::Session, key.0.to_be_bytes().to_vec());
    let subscription = |key: &SessionKey, filter: &str| {
        (Place::Subscription, [&key.0.to_be_bytes(), filter.as_bytes()].concat())
    };
    let retained = |topic: &str| (Place::Retained, topic.as_bytes().to_vec());
    Ok(match change {
        Change::PutSession(key, kept) => (session(key), Some(json(kept)?)),
        Change::RemoveSession(key) => (session(key), None),
        Change::PutSubscription(key, kept) => (subscription(key, &kept.filter), Some(json(kept)?)),
        Change::RemoveSubscription(key, filter) => (subscription(key, filter), None),
        Change::PutRetained(kept) => (retained(&kept.message.topic), Some(encode_retained(kept))),
        Change::RemoveRetained(topic) => (retained(topic), None),
    })
}

/// An entry as it is handed on; what is wrong with it otherwise.
pub(super) fn decode(place: Place, key: &[u8], value: &[u8]) -> Result<Kept, String> {
    let session = || {
        let key = key.first_chunk().map(|bytes| SessionKey(u64::from_be_bytes(*bytes)));
        key.ok_or("an entry of a session without its key")
    };
    match place {
        Place::Session => {
            let key = session()?;
            let kept = serde_json::from_slice(value);
            let kept = kept.map_err(|error| format!("session {}: {error}", key.0))?;
            Ok(Kept::Session(key, Box::new(kept)))
        }
        Place::Subscription => {
            let key = session()?;
            let kept: Result<KeptSubscription, _> = serde_json::from_slice(value);
            let kept =
                kept.map_err(|error| format!("subscription of session {}: {error}", key.0))?;
            Ok(Kept::Subscription(key, kept))
        }
        Place::Retained => decode_retained(value)
            .map(Kept::Retained)
            .ok_or_else(|| format!("the retained message of {:?}", String::from_utf8_lossy(key))),
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, fjall::Error> {
    serde_json::to_vec(value).map_err(|error| fjall::Error::Io(error.into()))
}

/// The publisher's length, the publisher, the message.
fn encode_retained(kept: &Retained) -> Vec<u8> {
    let publisher = kept.publisher.as_bytes();
    // A Client Identifier has at most 65,535 bytes.
    let length = u16::try_from(publisher.len()).unwrap_or(u16::MAX);
    let mut value = length.to_be_bytes().to_vec();
    value.extend_from_slice(publisher);
    record::encode_message(&kept.message.as_ref(), None, &mut value);
    value
}

fn decode_retained(value: &[u8]) -> Option<Retained> {
    let (length, rest) = value.split_first_chunk()?;
    let (publisher, message) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let publisher = String::from_utf8(publisher.to_vec()).ok()?;
    Some(Retained { message: record::decode_message(message)?, publisher })
}
