//! What is bound to a sealed payload and is not in it, and what stands in front of the payload inside the seal. Devices
//! make the same bytes: nothing here may change; another layout gets another first byte.
//!
//! The associated data:
//!
//! ```text
//! 0      1  layout, 1
//! 1      1  kind: 1 PUBLISH of a client, 2 sealed by the broker, 3 Will Message
//! 2      1  stamp: 0 none, 1 counter, 2 timestamp
//! 3      2  t, length of the Topic Name, big endian
//! 5      t  Topic Name
//! 5+t    2  c, length of the client's name, big endian; 0 where the rule has no `client`
//! 7+t    c  the client's name
//! ```
//!
//! The plaintext is the stamp, if there is one, as 8 bytes big endian, and then the payload.

use serde::Deserialize;

/// Who made it, and as what it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PUBLISH.
    Publish,
    /// Sealed by the broker.
    Broker,
    /// Will Message: it is sent long after it was sealed, so that its stamps are judged by themselves.
    Will,
}

/// What says that a message is a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stamp {
    /// Nothing: it may come again.
    #[default]
    None,
    /// A number that grows with each message.
    Counter,
    /// Milliseconds since 1970-01-01 UTC that grow with each message.
    Timestamp,
}

/// # Errors
/// Topic or name have more than 65,535 bytes: that cannot be written down.
pub(crate) fn associated_data(
    kind: Kind,
    stamp: Stamp,
    topic: &str,
    name: &str,
) -> Result<Vec<u8>, TooLong> {
    let kind = match kind {
        Kind::Publish => 1,
        Kind::Broker => 2,
        Kind::Will => 3,
    };
    let stamp = match stamp {
        Stamp::None => 0,
        Stamp::Counter => 1,
        Stamp::Timestamp => 2,
    };
    let mut data = vec![LAYOUT, kind, stamp];
    for text in [topic, name] {
        let length = u16::try_from(text.len()).map_err(|_| TooLong)?;
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(text.as_bytes());
    }
    Ok(data)
}

/// More than a length of two bytes can say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The stamp, if there is to be one, and the payload; none where the stamp is cut.
pub(crate) fn split(stamp: Stamp, mut plaintext: Vec<u8>) -> Option<(Option<u64>, Vec<u8>)> {
    if stamp == Stamp::None {
        return Some((None, plaintext));
    }
    let number = u64::from_be_bytes(*plaintext.first_chunk()?);
    plaintext.drain(..STAMP_BYTES);
    Some((Some(number), plaintext))
}

/// The plaintext of a payload with a stamp in front of it.
pub(crate) fn stamped(stamp: u64, payload: &[u8]) -> Vec<u8> {
    [&stamp.to_be_bytes()[..], payload].concat()
}

const LAYOUT: u8 = 1;
const STAMP_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_fixed() {
        let data = associated_data(Kind::Publish, Stamp::Counter, "a/b", "press-7").unwrap();
        assert_eq!(data, b"\x01\x01\x01\0\x03a/b\0\x07press-7");
        let data = associated_data(Kind::Will, Stamp::Timestamp, "", "").unwrap();
        assert_eq!(data, b"\x01\x03\x02\0\0\0\0");
        let data = associated_data(Kind::Broker, Stamp::None, "ä", "").unwrap();
        assert_eq!(data, b"\x01\x02\0\0\x02\xc3\xa4\0\0");
        let long = "x".repeat(65_536);
        assert_eq!(associated_data(Kind::Publish, Stamp::None, &long, ""), Err(TooLong));
    }

    /// No two bindings have the same bytes, wherever topic and name are cut.
    #[test]
    fn nothing_moves_between_topic_and_name() {
        let of = |topic, name| associated_data(Kind::Publish, Stamp::None, topic, name).unwrap();
        let all = [of("ab", "c"), of("a", "bc"), of("abc", ""), of("", "abc")];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn a_stamp_stands_in_front() {
        let plaintext = stamped(258, b"x");
        assert_eq!(plaintext, b"\0\0\0\0\0\0\x01\x02x");
        assert_eq!(split(Stamp::Counter, plaintext.clone()), Some((Some(258), b"x".to_vec())));
        assert_eq!(split(Stamp::None, plaintext.clone()), Some((None, plaintext)));
        assert_eq!(split(Stamp::Timestamp, vec![0; 7]), None);
        assert_eq!(split(Stamp::Timestamp, vec![0; 8]), Some((Some(0), Vec::new())));
    }
}
