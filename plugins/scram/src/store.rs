//! Where credentials are, and what else the host does. Behind a trait, so that everything else runs
//! in native tests.

use portcullis_plugin::{
    Error,
    host::{
        crypto, files, keys, random,
        sql::{self, Value},
    },
};

use crate::settings::{Settings, Sql};

/// The host.
pub(crate) trait Host {
    /// All that is stored for a user, for whichever methods.
    fn credentials(&self, username: &str) -> Result<Vec<String>, Error>;
    /// Random bytes.
    fn random(&self, count: usize) -> Vec<u8>;
    /// HMAC-SHA-256 with the secret.
    fn secret_hmac(&self, data: &[u8]) -> Result<Vec<u8>, Error>;
    /// Whether two are the same, in a time that does not tell where they differ.
    fn equal(&self, a: &[u8], b: &[u8]) -> bool;
}

/// The functions of the broker.
#[derive(Debug)]
pub(crate) struct Broker {
    secret: String,
    sql: Option<Sql>,
}

impl Broker {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { secret: settings.secret.clone(), sql: settings.sql.clone() }
    }
}

impl Host for Broker {
    fn credentials(&self, username: &str) -> Result<Vec<String>, Error> {
        match &self.sql {
            Some(sql) => of_database(sql, username),
            None => of_file(username),
        }
    }

    fn random(&self, count: usize) -> Vec<u8> {
        random::bytes(count)
    }

    fn secret_hmac(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        let made = keys::hmac(keys::Hash::Sha256, &self.secret, data);
        made.map_err(|error| Error::misconfigured(format!("[config] secret: {error:?}")))
    }

    fn equal(&self, a: &[u8], b: &[u8]) -> bool {
        crypto::constant_time_equal(a, b)
    }
}

/// Lines `USER:CREDENTIAL`, one for each method.
fn of_file(username: &str) -> Result<Vec<String>, Error> {
    // The index knows no name with a colon, and none that looks like a comment.
    if username.contains(':') || username.starts_with('#') {
        return Ok(Vec::new());
    }
    let lines = files::lookup(FILE, ':', username)?;
    let texts = lines.into_iter().map(|line| {
        let line = String::from_utf8(line).map_err(|_| wrong("is not UTF-8"))?;
        let (_, text) = line.split_once(':').ok_or_else(|| wrong("has no colon"))?;
        Ok(text.trim_end_matches('\r').to_owned())
    });
    texts.collect()
}

fn wrong(why: &str) -> Error {
    Error::misconfigured(format!("credentials: a line {why}"))
}

/// Rows with the name and one credential.
fn of_database(sql: &Sql, username: &str) -> Result<Vec<String>, Error> {
    let parameters = [Value::Text(username.to_owned())];
    let rows = sql::query(&sql.source, &sql.query, &parameters).map_err(|error| match error {
        sql::Error::Timeout => Error::Timeout("sql: the database takes too long".to_owned()),
        sql::Error::Unavailable(why) => Error::unavailable(format!("sql: {why}")),
        sql::Error::Denied(why) | sql::Error::Statement(why) => {
            Error::misconfigured(format!("sql.query: {why}"))
        }
        sql::Error::TooLarge => Error::misconfigured("sql.query: the answer is too large"),
    })?;
    read_rows(&rows, username)
}

/// Databases find names that are only alike: those are passed over.
fn read_rows(rows: &sql::Rows, username: &str) -> Result<Vec<String>, Error> {
    let columns: Vec<_> = rows.columns.iter().map(|name| name.to_ascii_lowercase()).collect();
    if columns != ["username", "credential"] {
        let what = "sql.query: the answer must have the columns username, credential";
        return Err(Error::misconfigured(what));
    }
    let mut found = Vec::new();
    for row in &rows.rows {
        match row.as_slice() {
            [Value::Text(name), Value::Text(_)] if name != username => {}
            [Value::Text(_), Value::Text(credential)] => found.push(credential.clone()),
            [Value::Text(_), Value::Null] => {}
            _ => return Err(Error::misconfigured("sql.query: a column is no text")),
        }
    }
    Ok(found)
}

/// Its name under `[files]` in the manifest.
const FILE: &str = "credentials";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_about_this_user_alone() {
        let text = |text: &str| Value::Text(text.to_owned());
        let columns = vec!["username".to_owned(), "CREDENTIAL".to_owned()];
        let rows = vec![
            vec![text("User"), text("other's")],
            vec![text("user"), text("one")],
            vec![text("user"), Value::Null],
            vec![text("user"), text("two")],
        ];
        let answer = sql::Rows { columns: columns.clone(), rows };
        assert_eq!(read_rows(&answer, "user").unwrap(), ["one", "two"]);
        let odd = sql::Rows { columns, rows: vec![vec![text("user"), Value::Integer(1)]] };
        assert!(read_rows(&odd, "user").is_err());
        let other = sql::Rows { columns: vec!["credential".to_owned()], rows: Vec::new() };
        assert!(read_rows(&other, "user").is_err());
    }
}
