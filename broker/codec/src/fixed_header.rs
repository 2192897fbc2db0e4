//! The fixed header (section 2.1): packet type, flags and Remaining Length.
//!
//! Called by `packet` before anything else is looked at. Knows no packet's body.

use crate::{Error, PacketType, variable_byte_integer};

/// A fixed header whose type and flags are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FixedHeader {
    pub(crate) packet_type: PacketType,
    /// The low nibble of the first byte; only PUBLISH has any to choose.
    pub(crate) flags: u8,
    /// Bytes of the fixed header itself, 2 to 5.
    pub(crate) bytes: usize,
    /// Bytes that follow the fixed header.
    pub(crate) remaining: usize,
    /// Whether the Remaining Length is in its shortest form.
    pub(crate) shortest: bool,
}

impl FixedHeader {
    /// The header at the start of `input`; `None` while it is not whole.
    #[inline]
    pub(crate) fn decode(input: &[u8]) -> Result<Option<Self>, Error> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(None);
        };
        let packet_type = PacketType::from_value(first >> 4).ok_or(TYPE_ZERO)?;
        let flags = first & 0x0F;
        if packet_type != PacketType::Publish && flags != reserved_flags(packet_type) {
            return Err(RESERVED_FLAGS);
        }
        let Some(length) = variable_byte_integer::decode(rest)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            packet_type,
            flags,
            bytes: 1 + length.bytes,
            remaining: length.value as usize,
            shortest: length.shortest,
        }))
    }
}

/// The first byte of a packet without flags to choose.
pub(crate) fn first_byte(packet_type: PacketType) -> u8 {
    ((packet_type as u8) << 4) | reserved_flags(packet_type)
}

/// What the flags of all packets but PUBLISH must be (table 2-2).
#[inline]
fn reserved_flags(packet_type: PacketType) -> u8 {
    match packet_type {
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
        _ => 0,
    }
}

const TYPE_ZERO: Error = Error::malformed("packet type 0 is reserved", "section 2.1.2");
const RESERVED_FLAGS: Error =
    Error::malformed("the flags of the fixed header are not the reserved ones", "MQTT-2.1.3-1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_first_bytes() {
        for first in 0..=255_u8 {
            let allowed = match first >> 4 {
                0 => false,
                3 => true,
                6 | 8 | 10 => first & 0x0F == 2,
                _ => first & 0x0F == 0,
            };
            // Refused at the first byte already, before a length has come.
            assert_eq!(FixedHeader::decode(&[first]).is_ok(), allowed, "{first:#04x}");
            if let Ok(Some(header)) = FixedHeader::decode(&[first, 0x85, 0x01]) {
                assert_eq!(header.packet_type as u8, first >> 4);
                assert_eq!((header.bytes, header.remaining, header.shortest), (3, 133, true));
                if first >> 4 != 3 {
                    assert_eq!(first_byte(header.packet_type), first);
                }
            } else {
                assert!(!allowed, "{first:#04x}");
            }
        }
    }

    #[test]
    fn waits_for_the_whole_length() {
        assert_eq!(FixedHeader::decode(&[]), Ok(None));
        assert_eq!(FixedHeader::decode(&[0x30, 0x80, 0x80, 0x80]), Ok(None));
        assert!(FixedHeader::decode(&[0x30, 0x80, 0x80, 0x80, 0x80]).is_err());
    }
}
