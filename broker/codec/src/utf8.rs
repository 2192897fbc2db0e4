//! UTF-8 Encoded String (section 1.5.4): which bytes are one, and how much text fits into one.

use crate::Error;

/// The longest string or binary field, in bytes: its length is a Two Byte Integer.
pub(crate) const FIELD_BYTES_MAX: usize = 65_535;

/// The text of a string field: well-formed UTF-8 without surrogates [MQTT-1.5.4-1] and without
/// U+0000 [MQTT-1.5.4-2].
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| ILL_FORMED)?;
    if bytes.contains(&0) { Err(NUL_CHARACTER) } else { Ok(text) }
}

/// As much of `text` as a field can hold, cut between characters.
#[inline]
pub(crate) fn fit(text: &str) -> &str {
    if text.len() <= FIELD_BYTES_MAX {
        return text;
    }
    text.get(..text.floor_char_boundary(FIELD_BYTES_MAX)).unwrap_or_default()
}

pub(crate) const ILL_FORMED: Error =
    Error::malformed("a string is not well-formed UTF-8", "MQTT-1.5.4-1");
pub(crate) const NUL_CHARACTER: Error =
    Error::malformed("a string contains the character U+0000", "MQTT-1.5.4-2");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_width_is_taken() {
        for text in ["", "a", "\u{1}", "ä", "€", "𪛔", "\u{FEFF}bom", "\u{FFFF}"] {
            assert_eq!(decode(text.as_bytes()), Ok(text));
        }
    }

    /// Covers 5.0 [MQTT-1.5.4-1], 3.1.1 [MQTT-1.5.3-1].
    #[test]
    fn ill_formed_text_is_refused() {
        let table: [&[u8]; 7] = [
            b"\xFF",
            b"\xC3",             // cut off
            b"\xC0\x80",         // U+0000 in two bytes
            b"\xED\xA0\x80",     // U+D800
            b"\xED\xBF\xBF",     // U+DFFF
            b"\xF4\x90\x80\x80", // above U+10FFFF
            b"ok\x80",
        ];
        for bytes in table {
            assert_eq!(decode(bytes), Err(ILL_FORMED), "{bytes:?}");
        }
    }

    /// Covers 5.0 [MQTT-1.5.4-2], 3.1.1 [MQTT-1.5.3-2].
    #[test]
    fn the_nul_character_is_refused_anywhere() {
        for bytes in [&b"\0"[..], b"a\0", b"\0a", b"long text before the \0 character"] {
            assert_eq!(decode(bytes), Err(NUL_CHARACTER), "{bytes:?}");
        }
    }

    #[test]
    fn too_long_text_is_cut_between_characters() {
        let text = "€".repeat(30_000);
        assert_eq!(fit(&text).len(), 65_535);
        let shifted = format!("a{text}");
        assert_eq!(fit(&shifted).len(), 1 + 65_532);
        assert_eq!(fit("short"), "short");
    }
}
