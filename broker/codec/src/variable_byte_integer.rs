//! Variable Byte Integer (section 1.5.5): one to four bytes, seven bits each, low bits first.
//!
//! Used for the Remaining Length, the Property Length and the Subscription Identifier.

use crate::Error;

/// The largest value that four bytes can say: 268,435,455.
pub(crate) const MAX: u32 = 0x0FFF_FFFF;

/// A decoded Variable Byte Integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) value: u32,
    /// How many bytes it took, 1 to 4.
    pub(crate) bytes: usize,
    /// Whether no shorter form says the same [MQTT-1.5.5-1]; 3.1.1 has no such rule.
    pub(crate) shortest: bool,
}

/// The integer at the start of `input`; `None` while its last byte has not come yet.
#[inline]
pub(crate) fn decode(input: &[u8]) -> Result<Option<Found>, Error> {
    match input.first() {
        None => Ok(None),
        Some(&byte) if byte < 0x80 => {
            Ok(Some(Found { value: u32::from(byte), bytes: 1, shortest: true }))
        }
        Some(_) => decode_long(input),
    }
}

fn decode_long(input: &[u8]) -> Result<Option<Found>, Error> {
    let mut value = 0;
    for (index, &byte) in input.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            // A last byte of 0 adds nothing: the byte before could have been the last.
            let shortest = index == 0 || byte != 0;
            return Ok(Some(Found { value, bytes: index + 1, shortest }));
        }
    }
    if input.len() >= 4 { Err(TOO_LONG) } else { Ok(None) }
}

/// How many bytes [`encode`] appends for `value`.
#[inline]
pub(crate) fn len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Appends `value` in its shortest form; a value above [`MAX`] is written as [`MAX`].
#[inline]
pub(crate) fn encode(value: usize, out: &mut Vec<u8>) {
    let mut left = value.min(MAX as usize);
    loop {
        let low = (left & 0x7F) as u8;
        left >>= 7;
        if left == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

const TOO_LONG: Error =
    Error::malformed("a Variable Byte Integer goes on after its fourth byte", "section 1.5.5");
pub(crate) const NOT_SHORTEST: Error =
    Error::malformed("a Variable Byte Integer is not in its shortest form", "MQTT-1.5.5-1");

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 1-1 of the specification: the borders of each length.
    /// Covers 5.0 [MQTT-1.5.5-1].
    #[test]
    fn borders() {
        let table: [(u32, &[u8]); 9] = [
            (0, &[0x00]),
            (1, &[0x01]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (MAX, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ];
        for (value, bytes) in table {
            let mut out = Vec::new();
            encode(value as usize, &mut out);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(len(value as usize), bytes.len(), "{value}");
            let found = Found { value, bytes: bytes.len(), shortest: true };
            assert_eq!(decode(bytes), Ok(Some(found)));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Ok(None), "{value} cut at {cut}");
            }
        }
    }

    #[test]
    fn four_continuation_bits_are_malformed_without_a_fifth_byte() {
        assert_eq!(decode(&[0x80, 0x80, 0x80, 0x80]), Err(TOO_LONG));
        assert_eq!(decode(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01]), Err(TOO_LONG));
    }

    #[test]
    fn padding_is_seen() {
        for bytes in [&[0x80, 0x00][..], &[0xFF, 0x80, 0x00], &[0x81, 0x80, 0x80, 0x00]] {
            let found = decode(bytes).unwrap().unwrap();
            assert!(!found.shortest, "{bytes:?}");
            assert_eq!(found.bytes, bytes.len());
        }
    }

    #[test]
    fn values_above_the_maximum_are_written_as_the_maximum() {
        let mut out = Vec::new();
        encode(MAX as usize + 1, &mut out);
        assert_eq!(out, [0xFF, 0xFF, 0xFF, 0x7F]);
    }
}
