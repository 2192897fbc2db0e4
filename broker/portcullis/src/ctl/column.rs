//! One value of an answer as a person reads it, and the columns of tables. Text that may be a client's is escaped here
//! and nowhere else.

use serde_json::Value;

use crate::api::printable;

/// A column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Where in a row: a JSON pointer.
    pub(super) pointer: &'static str,
    pub(super) form: Form,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// Seconds since 1970.
    Time,
    /// Milliseconds since 1970.
    TimeMilliseconds,
    /// The first 12 characters.
    Short,
    Bytes,
    Seconds,
    /// Of a list of objects: this field of each.
    Each(&'static str),
}

/// A column that is written as it is.
pub(super) const fn column(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer, form: Form::Plain }
}

impl Column {
    pub(super) const fn of(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// What stands in it for a row.
    pub(super) fn cell(&self, row: &Value) -> String {
        row.pointer(self.pointer).map_or_else(|| "-".to_owned(), |value| self.form.write(value))
    }
}

impl Form {
    /// How the value of a field is best written, by the name of the field.
    pub(super) fn of_field(name: &str) -> Self {
        match name {
            "at" | "since" | "until" => Self::Time,
            name if name.ends_with("_unix") || name.ends_with("_at") => Self::Time,
            name if name.ends_with("_unix_ms") => Self::TimeMilliseconds,
            name if name.ends_with("_bytes") || name == "bytes" => Self::Bytes,
            name if name.ends_with("_seconds") || name == "seconds" => Self::Seconds,
            _ => Self::Plain,
        }
    }

    pub(super) fn write(self, value: &Value) -> String {
        match (self, value) {
            (Self::Time, Value::Number(number)) => {
                number.as_u64().map_or_else(|| number.to_string(), time)
            }
            (Self::TimeMilliseconds, Value::Number(number)) => {
                number.as_u64().map_or_else(|| number.to_string(), |at| time(at / 1000))
            }
            (Self::Bytes, Value::Number(number)) => {
                number.as_u64().map_or_else(|| number.to_string(), bytes)
            }
            (Self::Seconds, Value::Number(number)) => {
                number.as_u64().map_or_else(|| number.to_string(), duration)
            }
            (Self::Short, Value::String(text)) => {
                printable(&text.chars().take(12).collect::<String>())
            }
            (Self::Each(field), Value::Array(items)) if !items.is_empty() => {
                let fields =
                    items.iter().map(|item| item.get(field).map_or_else(String::new, plain));
                fields.collect::<Vec<_>>().join(", ")
            }
            (_, value) => plain(value),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let written = Form::of_field(name).write(value);
                format!("{}={written}", printable(name))
            };
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(field)
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}

/// `2026-11-30T17:20:08Z` of seconds since 1970.
pub(crate) fn time(unix: u64) -> String {
    // Beyond the year 9999 it is no time that anybody meant.
    if unix > 253_402_300_799 {
        return unix.to_string();
    }
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days since 0000-03-01, in eras of 400 years that begin there: the leap day comes last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let year = year + era * 400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `1.5 KiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `2d 3h`, the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    if seconds == u64::from(u32::MAX) {
        return "never ends".to_owned();
    }
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let parts = parts.iter().skip_while(|(count, _)| *count == 0).take(2);
    let parts: Vec<_> = parts
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix, expect) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_796_059_208, "2026-11-30T17:20:08Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(time(unix), expect);
        }
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!((bytes(0), bytes(1023)), ("0 B".to_owned(), "1023 B".to_owned()));
        assert_eq!((bytes(1536), bytes(5 << 30)), ("1.5 KiB".to_owned(), "5.0 GiB".to_owned()));
        for (seconds, expect) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_700, "1h 1m"),
            (86_405, "1d"),
            (4_294_967_295, "never ends"),
        ] {
            assert_eq!(duration(seconds), expect);
        }
    }

    #[test]
    fn values_are_one_line() {
        let row = json!({
            "a": null, "b": true, "c": "", "d": "x\ny", "e": [1, "z"],
            "f": { "since_unix": 0, "n": null },
            "g": "0123456789abcdef", "h": [{ "plugin": "one", "x": 1 }, { "plugin": "two\u{7}" }],
        });
        let cell = |pointer| column("", pointer).cell(&row);
        let cells: Vec<_> = ["/a", "/b", "/c", "/d", "/e", "/f", "/none"].map(cell).into();
        let expect =
            ["-", "yes", "\"\"", "x\\u{a}y", "1, z", "since_unix=1970-01-01T00:00:00Z", "-"];
        assert_eq!(cells, expect);
        assert_eq!(column("", "/g").of(Form::Short).cell(&row), "0123456789ab");
        assert_eq!(column("", "/h").of(Form::Each("plugin")).cell(&row), "one, two\\u{7}");
    }
}
