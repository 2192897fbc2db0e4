//! Days and times of the calendar, in UTC.
//!
//! Knows nothing of clocks.

use std::fmt;

/// A day, counted from 1 January 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) u64);

const DAY_MILLISECONDS: u64 = 24 * 3_600 * 1_000;
/// The last day with a year of four digits.
const DAY_MAX: u64 = 2_932_896;

impl Day {
    pub(super) fn of(unix_ms: u64) -> Self {
        Self((unix_ms / DAY_MILLISECONDS).min(DAY_MAX))
    }

    /// Of `YYYY-MM-DD`, as it is written here.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (year, rest) = text.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let number = |text: &str| text.parse::<u64>().ok();
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day > 31 {
            return None;
        }
        // Years begin in March here, so that the leap day is the last one.
        let shifted = if month <= 2 { year - 1 } else { year };
        let months = (month + 9) % 12;
        let of_year = (153 * months + 2) / 5 + day.checked_sub(1)?;
        let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + of_year;
        let found = Self(days.checked_sub(EPOCH)?);
        // What is no day, 30 February say, is another one written out.
        (found.to_string() == text).then_some(found)
    }
}

/// Days from 1 March of the year 0 to 1 January 1970.
const EPOCH: u64 = 719_468;

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // After Howard Hinnant's `civil_from_days`.
        let days = self.0 + EPOCH;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + era * 400 + u64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A time as RFC 3339 writes it, with milliseconds.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let day = Day::of(unix_ms);
    let rest = unix_ms % DAY_MILLISECONDS;
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, milliseconds) = (rest / 1_000 % 60, rest % 1_000);
    format!("{day}T{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_and_read() {
        for (days, text) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_787, "2026-11-30"),
            (DAY_MAX, "9999-12-31"),
        ] {
            assert_eq!(Day(days).to_string(), text);
            assert_eq!(Day::parse(text), Some(Day(days)));
        }
        for day in (0..DAY_MAX).step_by(97) {
            assert_eq!(Day::parse(&Day(day).to_string()), Some(Day(day)));
        }
        for text in [
            "",
            "2026-11",
            "2026-02-29",
            "2026-11-31",
            "2026-13-01",
            "2026-1-1",
            "+2026-01-01",
            "2026-00-10",
            "2026-01-00",
            "1969-12-31",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
        assert_eq!(rfc3339(1_796_060_584_007), "2026-11-30T17:43:04.007Z");
    }
}
