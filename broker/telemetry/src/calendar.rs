//! Days and times of UTC as text, and back.
//!
//! Knows nothing of time zones, leap seconds or clocks: seconds since 1970 come in.

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Days since 1970-01-01 at this time.
pub fn day_of(unix_ms: u64) -> u64 {
    unix_ms / DAY_MS
}

/// `YYYY-MM-DD` of a day since 1970-01-01. Howard Hinnant's `civil_from_days`.
pub fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{of_month:02}")
}

/// The day since 1970-01-01 of `YYYY-MM-DD`; `None` = no such day, or one before 1970.
pub fn day_from(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let (year, month, of_month) = (parts.next()?, parts.next()?, parts.next()?);
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(of_month, 2) {
        return None;
    }
    let (year, month): (u64, u64) = (year.parse().ok()?, month.parse().ok()?);
    let of_month: u64 = of_month.parse().ok()?;
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&of_month) {
        return None;
    }
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month_from_march + 2) / 5 + of_month - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let day = (era * 146_097 + of_era).checked_sub(719_468)?;
    // A 31st of a month that has none is another day.
    (date(day) == text).then_some(day)
}

/// RFC 3339 with milliseconds.
pub fn timestamp(unix_ms: u64) -> String {
    let (day, of_day) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
    let (seconds, ms) = (of_day / 1_000, of_day % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z", date(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1972-02-29", 789),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-11-30", 20_787),
            ("2100-02-28", 47_540),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!((date(day), day_from(text)), (text.to_owned(), Some(day)));
        }
        for day in 0..100_000 {
            assert_eq!(day_from(&date(day)), Some(day));
        }
        for text in
            ["", "2023-02-29", "2100-02-29", "1969-12-31", "2024-13-01", "2024-1-1", "../.."]
        {
            assert_eq!(day_from(text), None, "{text}");
        }
    }

    #[test]
    fn a_timestamp_has_milliseconds() {
        assert_eq!(timestamp(1_234_567_890_123), "2009-02-13T23:31:30.123Z");
        assert_eq!(day_of(86_399_999), 0);
    }
}
