//! The records of the log, as bytes and back.
//!
//! ```text
//! record = length u32 LE (of the body) · CRC-32 u32 LE (of length and body) · body
//! body   = kind u8 · fields; numbers as LEB128, texts and bytes with their length before them
//! ```
//!
//! Owns the encoding; knows nothing of files, and of what the records add up to.

use std::borrow::Cow;

use codec::{PacketId, QoS};

use crate::{MessageRef, Origin, Owed, Position, SessionKey, StoredMessage};

/// Bytes before the body.
pub(crate) const HEAD_BYTES: usize = 8;

/// What one record says.
#[derive(Debug, PartialEq)]
pub(crate) enum Record<'a> {
    /// A message.
    Message { message: MessageRef<'a>, origin: Option<Origin> },
    /// Who is owed the message at a place; a number that was owed before means that the message was
    /// written again there. How large it is and when it expires stands here too, so that nobody has
    /// to look it up.
    Owed { position: Position, bytes: u64, expires_at_unix: Option<u64>, owed: Cow<'a, [Owed]> },
    /// These messages of a session are done with.
    Completed { session: SessionKey, numbers: Cow<'a, [u64]> },
    /// PUBREC came for this message of a session.
    Received { session: SessionKey, number: u64 },
    /// A QoS 2 identifier of a client is in use.
    Accepted(Origin),
    /// PUBREL came for it.
    Released(Origin),
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoRecord(pub(crate) &'static str);

const MESSAGE: u8 = 1;
const OWED: u8 = 2;
const COMPLETED: u8 = 3;
const RECEIVED: u8 = 4;
const ACCEPTED: u8 = 5;
const RELEASED: u8 = 6;

/// Appends a whole record.
pub(crate) fn append(record: &Record<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    encode_body(record, out);
    write_head(out.get_mut(start..).unwrap_or_default());
}

/// A body with its head.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut whole = [&[0; HEAD_BYTES], body].concat();
    write_head(&mut whole);
    whole
}

fn write_head(whole: &mut [u8]) {
    let Some((head, body)) = whole.split_at_mut_checked(HEAD_BYTES) else { return };
    // A body holds one MQTT packet or a list that its writer bounds: below 4 GiB.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = checksum(&length, body).to_le_bytes();
    head.copy_from_slice(&[length, crc].concat());
}

/// Length of the body, and its CRC, from the eight bytes before it.
pub(crate) fn head(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    let crc = u32::from_le_bytes(bytes.get(4..HEAD_BYTES)?.try_into().ok()?);
    Some((usize::try_from(length).ok()?, crc))
}

/// The first record of `bytes`, its CRC checked, and how long it is.
pub(crate) fn read(bytes: &[u8]) -> Result<(Record<'_>, usize), NoRecord> {
    let (length, crc) = head(bytes).ok_or(NoRecord("a record ends early"))?;
    let body = bytes.get(HEAD_BYTES..).and_then(|rest| rest.get(..length));
    let body = body.ok_or(NoRecord("a record ends early"))?;
    Ok((check(body, crc)?, HEAD_BYTES + length))
}

/// A body whose CRC is known.
pub(crate) fn check(body: &[u8], crc: u32) -> Result<Record<'_>, NoRecord> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    if checksum(&length, body) != crc {
        return Err(NoRecord("the checksum of a record does not fit"));
    }
    decode_body(body).ok_or(NoRecord("a record makes no sense"))
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}

fn encode_body(record: &Record<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Message { message, origin } => {
            out.push(MESSAGE);
            encode_message(message, *origin, out);
        }
        Record::Owed { position, bytes, expires_at_unix, owed } => {
            out.push(OWED);
            number(position.0, out);
            number(*bytes, out);
            // 0 = never: nothing that is written now expired in 1970.
            number(expires_at_unix.unwrap_or(0), out);
            number(owed.len() as u64, out);
            for owed in owed.iter() {
                encode_owed(owed, out);
            }
        }
        Record::Completed { session, numbers } => {
            out.push(COMPLETED);
            number(session.0, out);
            number(numbers.len() as u64, out);
            for completed in numbers.iter() {
                number(*completed, out);
            }
        }
        Record::Received { session, number: received } => {
            out.push(RECEIVED);
            number(session.0, out);
            number(*received, out);
        }
        Record::Accepted(origin) => {
            out.push(ACCEPTED);
            encode_origin(*origin, out);
        }
        Record::Released(origin) => {
            out.push(RELEASED);
            encode_origin(*origin, out);
        }
    }
}

/// A message by itself: also how retained ones and wills are kept.
pub(crate) fn encode_message(message: &MessageRef<'_>, origin: Option<Origin>, out: &mut Vec<u8>) {
    let flags = message.qos as u8
        | u8::from(message.retain) << 2
        | u8::from(message.expires_at_unix.is_some()) << 3
        | u8::from(origin.is_some()) << 4;
    out.push(flags);
    if let Some(at) = message.expires_at_unix {
        number(at, out);
    }
    if let Some(origin) = origin {
        encode_origin(origin, out);
    }
    text(message.topic.as_bytes(), out);
    text(message.forwarded, out);
    text(message.payload, out);
}

fn encode_owed(owed: &Owed, out: &mut Vec<u8>) {
    number(owed.session.0, out);
    number(owed.number, out);
    out.push(
        owed.qos as u8
            | u8::from(owed.retain) << 2
            | u8::from(!owed.subscription_identifiers.is_empty()) << 3
            | u8::from(owed.shared) << 4,
    );
    if !owed.subscription_identifiers.is_empty() {
        number(owed.subscription_identifiers.len() as u64, out);
        for identifier in &owed.subscription_identifiers {
            number(u64::from(*identifier), out);
        }
    }
}

fn encode_origin(origin: Origin, out: &mut Vec<u8>) {
    number(origin.session.0, out);
    number(u64::from(origin.packet_id.get()), out);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn decode_body(body: &[u8]) -> Option<Record<'_>> {
    let mut bytes = Bytes(body);
    let record = match bytes.byte()? {
        MESSAGE => {
            let (message, origin) = bytes.message()?;
            Record::Message { message, origin }
        }
        OWED => Record::Owed {
            position: Position(bytes.number()?),
            bytes: bytes.number()?,
            expires_at_unix: Some(bytes.number()?).filter(|at| *at > 0),
            owed: bytes.list(MIN_OWED_BYTES, Bytes::owed)?.into(),
        },
        COMPLETED => Record::Completed {
            session: bytes.session()?,
            numbers: bytes.list(1, Bytes::number)?.into(),
        },
        RECEIVED => Record::Received { session: bytes.session()?, number: bytes.number()? },
        ACCEPTED => Record::Accepted(bytes.origin()?),
        RELEASED => Record::Released(bytes.origin()?),
        _ => return None,
    };
    bytes.0.is_empty().then_some(record)
}

/// A message that stands by itself.
pub(crate) fn decode_message(bytes: &[u8]) -> Option<StoredMessage> {
    let mut bytes = Bytes(bytes);
    let (message, _) = bytes.message()?;
    bytes.0.is_empty().then(|| message.into())
}

/// Session, number and flags take a byte each at least.
const MIN_OWED_BYTES: usize = 3;

/// What is left to decode.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A list whose elements take `least` bytes each: a lie about its length allocates nothing.
    fn list<T>(
        &mut self,
        least: usize,
        mut element: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        if count > self.0.len() / least {
            return None;
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(element(self)?);
        }
        Some(list)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn session(&mut self) -> Option<SessionKey> {
        self.number().map(SessionKey)
    }

    fn origin(&mut self) -> Option<Origin> {
        let session = self.session()?;
        let packet_id = u16::try_from(self.number()?).ok().and_then(PacketId::new)?;
        Some(Origin { session, packet_id })
    }

    fn message(&mut self) -> Option<(MessageRef<'a>, Option<Origin>)> {
        let flags = self.byte()?;
        let expires_at_unix = if flags & 0x08 != 0 { Some(self.number()?) } else { None };
        let origin = if flags & 0x10 != 0 { Some(self.origin()?) } else { None };
        let message = MessageRef {
            topic: std::str::from_utf8(self.text()?).ok()?,
            forwarded: self.text()?,
            payload: self.text()?,
            qos: qos(flags)?,
            retain: flags & 0x04 != 0,
            expires_at_unix,
        };
        (flags & 0xe0 == 0).then_some((message, origin))
    }

    fn owed(&mut self) -> Option<Owed> {
        let (session, number, flags) = (self.session()?, self.number()?, self.byte()?);
        let identifiers = if flags & 0x08 != 0 {
            self.list(1, |bytes| u32::try_from(bytes.number()?).ok())?
        } else {
            Vec::new()
        };
        (flags & 0xe0 == 0).then_some(Owed {
            session,
            number,
            qos: qos(flags)?,
            retain: flags & 0x04 != 0,
            shared: flags & 0x10 != 0,
            subscription_identifiers: identifiers.into(),
        })
    }
}

fn qos(flags: u8) -> Option<QoS> {
    match flags & 0x03 {
        0 => Some(QoS::AtMostOnce),
        1 => Some(QoS::AtLeastOnce),
        2 => Some(QoS::ExactlyOnce),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
