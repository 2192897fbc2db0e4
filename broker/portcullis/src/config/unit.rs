//! Units of numbers in the configuration: counts, bytes and time, as integers or with a suffix.
//!
//! Everything is kept as `u64`: bytes as bytes, time as milliseconds or, where the protocol counts
//! them, seconds.

use std::ops::RangeInclusive;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things: an integer.
    Count,
    /// Bytes: an integer, or text such as `"64KiB"`.
    Bytes,
    /// Time in milliseconds: text such as `"5s"` or `"500ms"`; an integer counts seconds.
    Time,
    /// Time in whole seconds: text such as `"7d"`; an integer counts seconds.
    Seconds,
}

/// Suffixes and what they multiply, longest first where one ends with another.
const BYTES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
const TIME: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SECONDS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

impl Unit {
    /// How a value of this unit is written.
    pub(crate) fn form(self) -> &'static str {
        match self {
            Self::Count => "an integer",
            Self::Bytes => "bytes as an integer or text like \"64KiB\"",
            Self::Seconds => "time as text like \"5m\" (s, m, h, d) or seconds as an integer",
            Self::Time => "time as text like \"5s\" (ms, s, m, h, d) or seconds as an integer",
        }
    }

    /// An integer of the file in our own measure; `None` = too large.
    pub(crate) fn measure(self, integer: u64) -> Option<u64> {
        match self {
            Self::Count | Self::Bytes | Self::Seconds => Some(integer),
            Self::Time => integer.checked_mul(1_000),
        }
    }

    /// The range as a person reads it.
    pub(crate) fn describe(self, range: &RangeInclusive<u64>) -> String {
        format!("{} to {}", self.show(*range.start()), self.show(*range.end()))
    }

    /// A value as it would be written in the file.
    pub(crate) fn show(self, value: u64) -> String {
        let largest = self
            .suffixes()
            .iter()
            .filter(|(_, factor)| value != 0 && value.is_multiple_of(*factor))
            .max_by_key(|(_, factor)| *factor);
        match largest {
            Some((suffix, factor)) if *suffix != "B" => format!("{}{suffix}", value / factor),
            _ => value.to_string(),
        }
    }
}

impl Unit {
    fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Count => &[],
            Self::Bytes => &BYTES,
            Self::Time => &TIME,
            Self::Seconds => &SECONDS,
        }
    }
}

/// Reads text with a suffix; `None` when it has no such form or is too large.
pub(crate) fn parse(unit: Unit, text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at_checked(digits)?;
    let (_, factor) = unit.suffixes().iter().find(|(name, _)| *name == suffix.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_read() {
        for (unit, text, expect) in [
            (Unit::Bytes, "64KiB", Some(65_536)),
            (Unit::Bytes, "1 MiB", Some(1_048_576)),
            (Unit::Bytes, "7B", Some(7)),
            (Unit::Bytes, "7", None),
            (Unit::Bytes, "64kb", None),
            (Unit::Bytes, "-1KiB", None),
            (Unit::Bytes, "18446744073709551615KiB", None),
            (Unit::Time, "500ms", Some(500)),
            (Unit::Time, "7d", Some(604_800_000)),
            (Unit::Time, "5", None),
            (Unit::Time, "", None),
            (Unit::Seconds, "5m", Some(300)),
            (Unit::Seconds, "5ms", None),
            (Unit::Count, "5s", None),
            (Unit::Count, "5", None),
        ] {
            assert_eq!(parse(unit, text), expect, "{text}");
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        assert_eq!(Unit::Bytes.show(65_536), "64KiB");
        assert_eq!(Unit::Bytes.show(100), "100");
        assert_eq!(Unit::Time.show(604_800_000), "7d");
        assert_eq!(Unit::Time.show(1_500), "1500ms");
        assert_eq!(Unit::Count.show(0), "0");
    }
}
