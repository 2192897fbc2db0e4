//! Owns the check of one configured number against its range, and the sentence when it fails.
//!
//! Knows nothing of what the number means.

use std::time::Duration;

/// A configured value outside its range. Durations are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} is out of range: it must be from {minimum} to {maximum}")]
pub struct OutOfRange {
    /// The key, as in the configuration.
    pub key: &'static str,
    /// What was configured.
    pub value: u64,
    /// The smallest allowed value.
    pub minimum: u64,
    /// The largest allowed value.
    pub maximum: u64,
}

/// (key, smallest, largest allowed value).
pub(crate) type Range = (&'static str, u64, u64);

/// Checks `value` against `range`. What doesn't fit into 64 bits is out of every range.
pub(crate) fn check(range: Range, value: impl TryInto<u64>) -> Result<(), OutOfRange> {
    let (key, minimum, maximum) = range;
    let value = value.try_into().unwrap_or(u64::MAX);
    if (minimum..=maximum).contains(&value) {
        return Ok(());
    }
    Err(OutOfRange { key, value, minimum, maximum })
}

/// Checks `value`, in milliseconds, against `range`.
pub(crate) fn check_duration(range: Range, value: Duration) -> Result<(), OutOfRange> {
    check(range, value.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_inside() {
        for (value, expect) in [(0_u64, false), (1, true), (9, true), (10, false)] {
            assert_eq!(check(("key", 1, 9), value).is_ok(), expect, "{value}");
        }
        assert!(check(("key", 0, u64::MAX - 1), u128::MAX).is_err());
        assert!(check_duration(("key", 1, 1_000), Duration::from_secs(1)).is_ok());
        assert!(check_duration(("key", 1, 1_000), Duration::MAX).is_err());
    }

    #[test]
    fn the_sentence_names_key_value_and_range() {
        let error = check(("topic_levels", 1, 128), 0_u64).unwrap_err();
        let expect = "topic_levels = 0 is out of range: it must be from 1 to 128";
        assert_eq!(error.to_string(), expect);
    }
}
