//! Appends the data types of section 1.5 and frames whole packets; the mirror of `reader`.
//!
//! A string or binary value longer than its Two Byte Integer can say is cut, so that a value that
//! is too long never shifts the fields after it.

use crate::{utf8, variable_byte_integer};

/// Appends a Two Byte Integer.
#[inline]
pub(crate) fn u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a UTF-8 Encoded String.
pub(crate) fn utf8(text: &str, out: &mut Vec<u8>) {
    binary(utf8::fit(text).as_bytes(), out);
}

/// Appends Binary Data.
pub(crate) fn binary(bytes: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    u16(length, out);
    out.extend_from_slice(bytes.get(..usize::from(length)).unwrap_or(bytes));
}

/// Appends fixed header and `body`; nothing when the body is longer than a packet can be.
pub(crate) fn packet(first_byte: u8, body: &[u8], out: &mut Vec<u8>) {
    if body.len() > variable_byte_integer::MAX as usize {
        return;
    }
    out.reserve(1 + variable_byte_integer::len(body.len()) + body.len());
    out.push(first_byte);
    variable_byte_integer::encode(body.len(), out);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    #[test]
    fn too_long_fields_are_cut_and_stay_framed() {
        let mut out = Vec::new();
        super::binary(&[7; 70_000], &mut out);
        assert_eq!(out.len(), 2 + 65_535);
        assert_eq!(out[..3], [0xFF, 0xFF, 7]);
        out.clear();
        super::utf8(&"ä".repeat(40_000), &mut out);
        assert_eq!(out.len(), 2 + 65_534);
        assert_eq!(out[..2], [0xFF, 0xFE]);
    }
}
