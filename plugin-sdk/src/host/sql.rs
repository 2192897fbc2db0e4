//! Statements for the databases of `[grants] sql`.

use crate::bindings::portcullis::plugin::sql;
/// Values, a result, and why there is none.
pub use crate::bindings::portcullis::plugin::sql::{Error, Rows, Value};

/// Runs a statement with rows as result: SELECT, VALUES, WITH or TABLE, or a change with RETURNING.
/// `parameters` take the place of `?` in order; never put a client's text into the statement itself.
/// At most 1,000 rows and 1 MiB.
///
/// # Errors
/// No grant for this source, the database refused, or it does not answer. Never a reason to allow.
pub fn query(source: &str, statement: &str, parameters: &[Value]) -> Result<Rows, Error> {
    sql::query(source, statement, parameters)
}

/// Runs a statement and returns how many rows it changed. The source must not be read-only.
///
/// # Errors
/// As [`query`].
pub fn execute(source: &str, statement: &str, parameters: &[Value]) -> Result<u64, Error> {
    sql::execute(source, statement, parameters)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
