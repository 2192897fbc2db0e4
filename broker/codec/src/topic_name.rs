//! Topic Names inside packets: UTF-8 and free of wildcards, checked in one pass without copying.
//!
//! The owned type is `topic::TopicName`; here a PUBLISH only borrows its name from the read buffer.

use crate::{Error, ErrorKind, utf8};

/// The Topic Name of a PUBLISH; may be empty, which the caller judges (Topic Alias).
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Error> {
    // No early exit: without a branch per byte the loop becomes vector instructions.
    let suspicious =
        bytes.iter().fold(false, |found, byte| found | matches!(byte, 0 | b'#' | b'+'));
    if suspicious {
        return Err(refusal(bytes));
    }
    std::str::from_utf8(bytes).map_err(|_| utf8::ILL_FORMED)
}

/// The topic of a Will: as [`decode`] and at least one character.
pub(crate) fn decode_not_empty(bytes: &[u8]) -> Result<&str, Error> {
    if bytes.is_empty() { Err(EMPTY) } else { decode(bytes) }
}

/// A Response Topic, which is a Topic Name too; breaking that is the sender's Protocol Error, as
/// 0x90 would speak of the topic published to.
pub(crate) fn decode_response(bytes: &[u8]) -> Result<&str, Error> {
    decode_not_empty(bytes).map_err(|error| match error.kind {
        ErrorKind::TopicNameInvalid => RESPONSE_TOPIC,
        _ => error,
    })
}

#[cold]
fn refusal(bytes: &[u8]) -> Error {
    match utf8::decode(bytes) {
        Ok(_) => WILDCARD,
        Err(error) => error,
    }
}

const fn invalid(what: &'static str, statement: &'static str) -> Error {
    Error { kind: ErrorKind::TopicNameInvalid, what, statement }
}

const WILDCARD: Error = invalid("Topic Name contains a wildcard, `+` or `#`", "MQTT-3.3.2-2");
pub(crate) const EMPTY: Error = invalid("Topic Name is empty", "MQTT-4.7.3-1");
const RESPONSE_TOPIC: Error =
    Error::protocol("Response Topic is empty or contains a wildcard", "MQTT-3.3.2-14");

#[cfg(test)]
mod tests {
    use super::*;

    /// What is accepted here must be what `topic::TopicName` accepts.
    #[test]
    fn agrees_with_the_topic_crate() {
        let table = [
            "a",
            "/",
            "a/b/c",
            "$SYS/x",
            "ä/€",
            "a b",
            "+",
            "#",
            "a/+",
            "a/#",
            "a+",
            "+a",
            "x#y",
            "\u{1}",
            "long/topic/name/with/many/levels/in/it/and/some/more",
            "long/topic/name/with/a/wildcard/far/behind/+/in/it",
        ];
        for name in table {
            let ours = decode_not_empty(name.as_bytes());
            assert_eq!(ours.is_ok(), topic::TopicName::check(name).is_ok(), "{name}");
            assert!(ours.is_err_and(|e| e == WILDCARD) || ours_is(name), "{name}");
        }
    }

    fn ours_is(name: &str) -> bool {
        decode(name.as_bytes()) == Ok(name)
    }

    #[test]
    fn bytes_are_judged_before_characters() {
        assert_eq!(decode(b""), Ok(""));
        assert_eq!(decode_not_empty(b""), Err(EMPTY));
        assert_eq!(decode(b"a\0"), Err(utf8::NUL_CHARACTER));
        assert_eq!(decode(b"+\0"), Err(utf8::NUL_CHARACTER));
        assert_eq!(decode(b"#\xFF"), Err(utf8::ILL_FORMED));
        assert_eq!(decode(b"\xED\xA0\x80"), Err(utf8::ILL_FORMED));
        assert_eq!(decode_response(b"a/+"), Err(RESPONSE_TOPIC));
        assert_eq!(decode_response(b""), Err(RESPONSE_TOPIC));
        assert_eq!(decode_response(b"\xFF"), Err(utf8::ILL_FORMED));
        assert_eq!(decode_response(b"answers/1"), Ok("answers/1"));
    }
}
