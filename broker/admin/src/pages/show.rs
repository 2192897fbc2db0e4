//! How values of the API look on a page: cells of tables and facts.
//!
//! Knows nothing of pages. Text of clients is made visible here (control characters, marks that turn
//! the direction of writing); the templates escape it for HTML.

use askama::Template;
use serde_json::Value;

use super::ask::address;

/// How good something is. It is always said in words too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Quiet,
}

impl Tone {
    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }

    /// The picture beside the word.
    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Good => "check",
            Self::Warning => "warning",
            Self::Bad => "cross",
            Self::Quiet => "dot",
        }
    }
}

/// How a cell looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// Text of machines: ids, topics, hashes.
    Code,
    Number,
    /// Seconds since 1970; the text is the same in UTC.
    Time(u64),
    Badge(Tone),
    Chips(Vec<String>),
    None,
}

/// What is longer is broken where it must be.
const SHORT_BYTES: usize = 26;

/// One value on a page.
#[derive(Clone, Debug, Template)]
#[template(path = "cell.html")]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) look: Look,
    pub(super) href: Option<String>,
    /// All of it, where the text is shortened.
    pub(super) title: Option<String>,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, look: Look) -> Self {
        Self { text: text.into(), look, href: None, title: None }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Look::Plain)
    }

    pub(super) fn none() -> Self {
        Self::new("none", Look::None)
    }

    pub(super) fn badge(text: impl Into<String>, tone: Tone) -> Self {
        Self::new(text, Look::Badge(tone))
    }

    /// Whether it is kept on one line where there is room.
    fn is_short(&self) -> bool {
        self.text.len() <= SHORT_BYTES
    }

    /// Leads to a page; a masked value does not.
    pub(super) fn leads_to(mut self, template: &str, name: &str, value: &str) -> Self {
        if !matches!(value, "" | crate::field::MASK) && !matches!(self.look, Look::None) {
            self.href = Some(address(template, &[(name, value)], &[]));
        }
        self
    }
}

/// A member, also of members: `session.queue`.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// A member as text; empty where there is none.
pub(super) fn text(value: &Value, path: &str) -> String {
    match at(value, path) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The elements of a member; none where there is none.
pub(super) fn rows<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn plain(value: &Value, path: &str) -> Cell {
    cell(value, path, Look::Plain)
}

pub(super) fn code(value: &Value, path: &str) -> Cell {
    cell(value, path, Look::Code)
}

fn cell(value: &Value, path: &str, look: Look) -> Cell {
    match text(value, path) {
        text if text.is_empty() => Cell::none(),
        text => Cell::new(visible(&text), look),
    }
}

/// A hash: what people compare of it, the rest where the pointer rests.
pub(super) fn hash(value: &Value, path: &str) -> Cell {
    let whole = text(value, path);
    let short = shortened(&whole);
    if short == whole {
        return code(value, path);
    }
    Cell { title: Some(whole), ..Cell::new(short, Look::Code) }
}

/// The begin of a hash.
pub(super) fn shortened(hash: &str) -> String {
    visible(hash.get(..HASH_DIGITS).unwrap_or(hash))
}

/// Digits of a hash that are shown.
const HASH_DIGITS: usize = 12;

pub(super) fn number(value: &Value, path: &str) -> Cell {
    match at(value, path).as_u64() {
        Some(number) => Cell::new(grouped(number), Look::Number),
        None => cell(value, path, Look::Number),
    }
}

/// Seconds since 1970.
pub(super) fn time(value: &Value, path: &str) -> Cell {
    match at(value, path).as_u64() {
        Some(unix) => Cell::new(utc(unix), Look::Time(unix)),
        None => plain(value, path),
    }
}

pub(super) fn bytes(value: &Value, path: &str) -> Cell {
    match at(value, path).as_u64() {
        Some(bytes) => Cell::new(in_bytes(bytes), Look::Number),
        None => Cell::none(),
    }
}

pub(super) fn seconds(value: &Value, path: &str) -> Cell {
    match at(value, path).as_u64() {
        Some(seconds) if seconds == u64::from(u32::MAX) => Cell::plain("never ends"),
        Some(seconds) => Cell::new(in_seconds(seconds), Look::Number),
        None => Cell::none(),
    }
}

pub(super) fn microseconds(value: &Value, path: &str) -> Cell {
    match at(value, path).as_u64() {
        Some(micros) => Cell::new(in_microseconds(micros), Look::Number),
        None => Cell::none(),
    }
}

/// Yes or no in words.
pub(super) fn flag(value: &Value, path: &str, yes: (&str, Tone), no: (&str, Tone)) -> Cell {
    let (word, tone) = if at(value, path).as_bool() == Some(true) { yes } else { no };
    Cell::badge(word, tone)
}

/// A list of words.
pub(super) fn chips(value: &Value, path: &str) -> Cell {
    let words = rows(value, path).iter().map(|word| match word {
        Value::String(word) => visible(word),
        other => other.to_string(),
    });
    let words: Vec<_> = words.collect();
    if words.is_empty() { Cell::none() } else { Cell::new("", Look::Chips(words)) }
}

/// A word of a fixed set: how good each is stands in `tones`, the others are quiet.
pub(super) fn word(value: &Value, path: &str, tones: &[(&str, Tone)]) -> Cell {
    let word = text(value, path);
    if word.is_empty() {
        return Cell::none();
    }
    let tone =
        tones.iter().find(|(known, _)| *known == word).map_or(Tone::Quiet, |(_, tone)| *tone);
    Cell::badge(word.replace('_', " "), tone)
}

/// Text as it may stand on a page: what cannot be seen, or turns the direction of writing, is named.
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = character.is_control()
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}');
        if hidden {
            visible.extend(character.escape_unicode());
        } else {
            visible.push(character);
        }
    }
    visible
}

/// With a thin gap between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    grouped
}

pub(super) fn in_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

pub(super) fn in_seconds(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

pub(super) fn in_microseconds(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// `2026-01-31 13:05:09`, in UTC.
pub(super) fn utc(unix: u64) -> String {
    let (days, rest) = (unix / 86_400, unix % 86_400);
    // Days since 0000-03-01, in eras of 400 years: the arithmetic of the proleptic Gregorian calendar.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_700_000_000, "2023-11-14 22:13:20"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(unix), text);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(visible("a\u{202e}b\nc\u{1b}[0m ä"), "a\\u{202e}b\\u{a}c\\u{1b}[0m ä");
        assert_eq!(visible("\u{200b}\u{feff}"), "\\u{200b}\\u{feff}");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(grouped(1_234_567), "1\u{2009}234\u{2009}567");
        assert_eq!(grouped(999), "999");
        assert_eq!(in_bytes(1023), "1023 B");
        assert_eq!(in_bytes(1536), "1.5 KiB");
        assert_eq!(in_seconds(59), "59 s");
        assert_eq!(in_seconds(90_061), "1 d 1 h");
        assert_eq!(in_microseconds(1_500), "1.5 ms");
    }
}
