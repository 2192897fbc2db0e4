//! The answer of a database: columns by name, values by kind. What a column must not hold is an
//! error that names it.

use portcullis_plugin::{Error, host::sql};
use sql::Value;

/// An answer.
#[derive(Debug)]
pub(crate) struct Rows {
    what: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// One row of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    what: &'a str,
    columns: &'a [String],
    values: &'a [Value],
}

impl Rows {
    /// To the statement that stands at `what` in the configuration.
    pub(crate) fn new(what: &str, rows: sql::Rows) -> Self {
        // Some databases give names back as they were written, others in capital letters.
        let columns = rows.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { what: what.to_owned(), columns, rows: rows.rows }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { what: &self.what, columns: &self.columns, values })
    }

    /// The columns must be these: what nobody reads is a mistake that should be seen.
    pub(crate) fn check_columns(&self, needed: &[&str], optional: &[&str]) -> Result<(), Error> {
        for name in needed {
            if !self.columns.iter().any(|column| column == name) {
                return Err(self.wrong(&format!("has no column {name:?}")));
            }
        }
        for (at, column) in self.columns.iter().enumerate() {
            if !needed.iter().chain(optional).any(|name| name == column) {
                let all = [needed, optional].concat().join(", ");
                return Err(self.wrong(&format!("has the column {column:?}, allowed: {all}")));
            }
            if self.columns.iter().take(at).any(|other| other == column) {
                return Err(self.wrong(&format!("has the column {column:?} twice")));
            }
        }
        Ok(())
    }

    /// Where a row says whom it is about, that must be this name: databases find `Alice` where
    /// `alice` is meant. What was meant with such a row is not known, so it is not passed over.
    pub(crate) fn check_about(&self, name: Option<&String>) -> Result<(), Error> {
        if !self.columns.iter().any(|column| column == "username") {
            return Ok(());
        }
        for row in self.iter() {
            if Some(row.needed_text("username")?) != name.map(String::as_str) {
                return Err(self.wrong("has a row about another user, whose name is alike"));
            }
        }
        Ok(())
    }

    fn wrong(&self, why: &str) -> Error {
        Error::misconfigured(format!("{}: the answer {why}", self.what))
    }
}

impl<'a> Row<'a> {
    /// None where there is no such column, or NULL in it.
    fn value(&self, column: &str) -> Option<&'a Value> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.get(at).filter(|value| !matches!(value, Value::Null))
    }

    pub(crate) fn text(&self, column: &str) -> Result<Option<&'a str>, Error> {
        match self.value(column) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            // Columns of bytes that hold a text, as some schemas have them.
            Some(Value::Blob(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(self.wrong(column, "is not UTF-8")),
            },
            Some(_) => Err(self.wrong(column, "is no text")),
        }
    }

    pub(crate) fn needed_text(&self, column: &str) -> Result<&'a str, Error> {
        self.text(column)?.ok_or_else(|| self.wrong(column, "is NULL or missing"))
    }

    /// SQLite has numbers for it, MariaDB too, and bits.
    pub(crate) fn boolean(&self, column: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(column) else {
            return Ok(None);
        };
        as_boolean(value).map(Some).ok_or_else(|| self.wrong(column, "is no boolean"))
    }

    pub(crate) fn needed_boolean(&self, column: &str) -> Result<bool, Error> {
        self.boolean(column)?.ok_or_else(|| self.wrong(column, "is NULL or missing"))
    }

    pub(crate) fn needed_count(&self, column: &str) -> Result<u32, Error> {
        match self.value(column) {
            Some(Value::Integer(number)) => u32::try_from(*number).ok(),
            _ => None,
        }
        .ok_or_else(|| self.wrong(column, "is no number of 0 or more"))
    }

    /// A boolean where it is one, else a text.
    pub(crate) fn boolean_or_text(&self, column: &str) -> Result<Option<Flag<'a>>, Error> {
        match self.value(column) {
            Some(value) if as_boolean(value).is_none() => Ok(self.text(column)?.map(Flag::Text)),
            _ => Ok(self.boolean(column)?.map(Flag::Boolean)),
        }
    }

    /// A number, or a list of numbers with commas.
    pub(crate) fn numbers(&self, column: &str) -> Result<Option<Vec<i64>>, Error> {
        match self.value(column) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(vec![*number])),
            Some(_) => {
                let text = self.needed_text(column)?;
                let numbers = text.split(',').map(|number| number.trim().parse().ok()).collect();
                let numbers: Option<Vec<i64>> = numbers;
                numbers.map(Some).ok_or_else(|| self.wrong(column, "is no list of numbers"))
            }
        }
    }

    /// The only value of the row beside whom it is about, a text.
    pub(crate) fn only_text(&self) -> Result<&'a str, Error> {
        let mut others = self.columns.iter().filter(|column| *column != "username");
        match (others.next(), others.next()) {
            (Some(column), None) => self.needed_text(column),
            _ => Err(Error::misconfigured(format!(
                "{}: the answer has {} columns, wanted one, and username perhaps",
                self.what,
                self.columns.len()
            ))),
        }
    }

    /// Names the column and not what it holds.
    pub(crate) fn wrong(&self, column: &str, why: &str) -> Error {
        Error::misconfigured(format!("{}: column {column:?} {why}", self.what))
    }
}

/// Either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag<'a> {
    Boolean(bool),
    Text(&'a str),
}

fn as_boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Blob(bits) if **bits == [0] => Some(false),
        Value::Blob(bits) if **bits == [1] => Some(true),
        Value::Text(text) => match &**text {
            "0" | "false" => Some(false),
            "1" | "true" => Some(true),
            _ => None,
        },
        _ => None,
    }
}
