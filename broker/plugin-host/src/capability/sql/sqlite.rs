//! SQLite: a file of this machine, read on threads that may block.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, Statement,
    config::DbConfig,
    limits::Limit,
    types::{ToSqlOutput, ValueRef},
};
use tokio::time::Instant;

use super::{Answer, Question, RESULT_BYTES_MAX, SqlSettings, refused};
use crate::{
    bindings::portcullis::plugin::sql::{Error, Value},
    capability::connections::{Connections, Place},
};

/// Steps of SQLite's machine between two looks at the clock: some microseconds.
const STEPS: i32 = 1_000;

/// One file.
pub(super) struct Sqlite {
    path: Arc<PathBuf>,
    connections: Arc<Connections<Connection>>,
    read_only: bool,
    connect_timeout: Duration,
    statement_timeout: Duration,
}

impl Sqlite {
    pub(super) fn new(path: PathBuf, settings: &SqlSettings) -> Result<Self, String> {
        if settings.password.is_some() || settings.ca.is_some() || settings.tls == Some(true) {
            return Err("sqlite: has no password, tls or ca".to_owned());
        }
        Ok(Self {
            path: Arc::new(path),
            connections: Connections::new(settings.connections),
            read_only: settings.read_only,
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
        })
    }

    /// The thread ends by itself when the time is over, also if nobody waits for it any more; its
    /// place is taken until then.
    pub(super) async fn run(&self, question: Question, until: Instant) -> Result<Answer, Error> {
        let place = self.connections.place(self.connect_timeout).await;
        let place = place.map_err(Error::Unavailable)?;
        let until = until.min(Instant::now() + self.statement_timeout);
        let (path, read_only) = (Arc::clone(&self.path), self.read_only);
        let work = move || run(place, &path, read_only, &question, until.into_std());
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string())))
    }
}

fn run(
    place: Place<Connection>,
    path: &PathBuf,
    read_only: bool,
    question: &Question,
    until: std::time::Instant,
) -> Result<Answer, Error> {
    let mut connection = match place.parked() {
        Some(connection) => connection,
        None => open(path, read_only).map_err(|error| {
            tracing::warn!(path = %path.display(), %error, "a database of plugins is not there");
            Error::Unavailable("the database cannot be opened".to_owned())
        })?,
    };
    let late = move || std::time::Instant::now() >= until;
    let left = until.saturating_duration_since(std::time::Instant::now());
    let prepared =
        connection.busy_timeout(left).and_then(|()| connection.progress_handler(STEPS, Some(late)));
    prepared.map_err(|error| failed(&error))?;
    let answer = in_transaction(&mut connection, read_only, question);
    // One that cannot end its transaction is closed.
    if connection.is_autocommit() {
        place.park(connection);
    }
    answer
}

fn open(path: &PathBuf, read_only: bool) -> rusqlite::Result<Connection> {
    let mode = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Other files, and functions that the file itself may call, are no business of a plugin's.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, RESULT_BYTES_MAX as i32)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(connection)
}

fn in_transaction(
    connection: &mut Connection,
    read_only: bool,
    question: &Question,
) -> Result<Answer, Error> {
    let begin = if read_only { "BEGIN" } else { "BEGIN IMMEDIATE" };
    connection.execute_batch(begin).map_err(|error| failed(&error))?;
    let answer = ask(connection, question);
    let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = connection.execute_batch(end).map_err(|error| failed(&error));
    if ended.is_err() && !connection.is_autocommit() {
        // What follows an interruption must not be interrupted.
        let _ = connection.progress_handler(0, None::<fn() -> bool>);
        let _ = connection.execute_batch("ROLLBACK");
    }
    let answer = answer?;
    ended.map(|()| answer)
}

fn ask(connection: &Connection, question: &Question) -> Result<Answer, Error> {
    let mut statement = connection.prepare(&question.statement).map_err(|error| failed(&error))?;
    if statement.parameter_count() != question.parameters.len() {
        return Err(refused("it has parameters of another kind than ?"));
    }
    for (at, value) in question.parameters.iter().enumerate() {
        let bound = statement.raw_bind_parameter(at + 1, Bound(value));
        bound.map_err(|error| failed(&error))?;
    }
    let mut answer = Answer::default();
    if question.wants_rows {
        for name in statement.column_names() {
            answer.name(name.to_owned())?;
        }
    }
    read(&mut statement, question.wants_rows, &mut answer)?;
    let changes = !statement.readonly();
    drop(statement);
    answer.changed = if changes { connection.changes() } else { 0 };
    Ok(answer)
}

fn read(statement: &mut Statement<'_>, wants_rows: bool, answer: &mut Answer) -> Result<(), Error> {
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| failed(&error))? {
        if !wants_rows {
            continue;
        }
        let mut values = Vec::with_capacity(columns);
        for column in 0..columns {
            let value = row.get_ref(column).map_err(|error| failed(&error))?;
            values.push(value_of(value));
        }
        answer.add(values)?;
    }
    Ok(())
}

/// A parameter.
struct Bound<'a>(&'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Boolean(value) => ValueRef::Integer((*value).into()),
            Value::Integer(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn failed(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy) => Error::Timeout,
        Some(ErrorCode::TooBig) => Error::TooLarge,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull,
        ) => Error::Unavailable(error.to_string()),
        // The code behind the text tells the same in fewer words, and the statement is its own.
        _ => Error::Statement(match error {
            rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
            rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
            other => other.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;
