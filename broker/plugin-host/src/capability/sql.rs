//! Interface `sql`: statements for databases that the operator named.
//!
//! The story of a statement: the source must be granted, the statement is one of a known kind
//! (`statement.rs`), a place among the source's connections is taken, and the statement runs in a
//! transaction of its own, read-only where the source is. Limits hold while rows are read. A
//! connection goes back only when nothing is left over on it.

mod address;
mod mysql;
mod postgres;
mod remote;
mod sqlite;
mod statement;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use self::{
    address::Address, mysql::MySql, postgres::Postgres, sqlite::Sqlite, statement::Dialect,
};
use super::Lent;
use crate::{
    bindings::portcullis::plugin::sql::{Error, Host, Rows, Value},
    instance::State,
    sources::Secret,
};

const STATEMENT_BYTES_MAX: usize = 64 << 10;
const PARAMETERS_MAX: usize = 256;
const ROWS_MAX: usize = 1_000;
const RESULT_BYTES_MAX: usize = 1 << 20;
/// What a guest has left of its time when the database has taken the rest.
const TO_SAY_SO: Duration = Duration::from_millis(100);
/// What a value costs beside its own bytes.
const VALUE_BYTES: usize = 16;

/// What `[sql.NAME]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlSettings {
    /// `postgres://USER@HOST:PORT/DATABASE`, the same with `mysql:`, or `sqlite:PATH`.
    pub url: String,
    /// The password of the user.
    pub password: Option<Secret>,
    /// Whether the connection is encrypted; `None` = unless it stays on this machine.
    pub tls: Option<bool>,
    /// Authorities that are believed instead of the system's, in PEM.
    pub ca: Option<String>,
    /// Connections at once.
    pub connections: usize,
    /// How long a connection, or a place for one, is waited for.
    pub connect_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// Whether statements may change nothing.
    pub read_only: bool,
}

/// A database that is ready to be asked.
#[derive(Clone)]
pub struct SqlSource(Arc<Ready>);

struct Ready {
    settings: SqlSettings,
    database: Database,
}

enum Database {
    Postgres(Postgres),
    MySql(MySql),
    Sqlite(Sqlite),
}

impl PartialEq for SqlSource {
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl fmt::Debug for SqlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.settings.fmt(f)
    }
}

impl SqlSource {
    /// Reads the settings; connects nowhere. The error is a sentence.
    pub fn new(settings: SqlSettings) -> Result<Self, String> {
        let database = match Address::parse(&settings.url)? {
            Address::Postgres(server) => Database::Postgres(Postgres::new(server, &settings)?),
            Address::MySql(server) => Database::MySql(MySql::new(server, &settings)?),
            Address::Sqlite(path) => Database::Sqlite(Sqlite::new(path, &settings)?),
        };
        Ok(Self(Arc::new(Ready { settings, database })))
    }

    async fn run(&self, question: Question, until: Instant) -> Result<Answer, Error> {
        let dialect = match &self.0.database {
            Database::Postgres(_) => Dialect::Postgres,
            Database::MySql(_) => Dialect::MySql,
            Database::Sqlite(_) => Dialect::Sqlite,
        };
        let (text, parameters) = (&question.statement, &question.parameters);
        if text.len() > STATEMENT_BYTES_MAX {
            return Err(refused(&format!("it has over {STATEMENT_BYTES_MAX} bytes")));
        }
        if parameters.len() > PARAMETERS_MAX {
            return Err(refused(&format!("it has over {PARAMETERS_MAX} parameters")));
        }
        let read_only = self.0.settings.read_only;
        let translated = statement::translate(text, parameters.len(), dialect, read_only);
        let statement = translated.map_err(|what| refused(&what))?;
        let question =
            Question { statement, read_only: read_only || question.read_only, ..question };
        match &self.0.database {
            Database::Postgres(postgres) => postgres.run(question, until).await,
            Database::MySql(mysql) => mysql.run(question, until).await,
            Database::Sqlite(sqlite) => sqlite.run(question, until).await,
        }
    }
}

/// A statement in the database's notation, and what for.
struct Question {
    statement: String,
    parameters: Vec<Value>,
    /// Rows are wanted, not their number.
    wants_rows: bool,
    /// Nothing may be changed, whatever the statement calls.
    read_only: bool,
}

/// What came of it.
#[derive(Default)]
struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    changed: u64,
    bytes: usize,
}

impl Answer {
    fn name(&mut self, column: String) -> Result<(), Error> {
        self.count(column.len())?;
        self.columns.push(column);
        Ok(())
    }

    fn add(&mut self, row: Vec<Value>) -> Result<(), Error> {
        for value in &row {
            self.count(match value {
                Value::Text(text) => text.len(),
                Value::Blob(bytes) => bytes.len(),
                _ => 0,
            })?;
        }
        if self.rows.len() >= ROWS_MAX {
            return Err(Error::TooLarge);
        }
        self.rows.push(row);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(VALUE_BYTES + bytes);
        if self.bytes > RESULT_BYTES_MAX { Err(Error::TooLarge) } else { Ok(()) }
    }
}

fn refused(what: &str) -> Error {
    Error::Statement(what.to_owned())
}

impl State {
    /// Ends a little before the call's deadline: a database that does not answer is no fault of the
    /// guest, and must not count as one, or clients would be kept out when the database is back.
    async fn sql(
        &mut self,
        source: &str,
        mut question: Question,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        self.meter.before_wait()?;
        let lent: Arc<Lent> = Arc::clone(&self.lent);
        question.read_only = lent.shadow;
        // Other statements with rows may change something too.
        let reads = question
            .statement
            .trim_start()
            .get(..6)
            .is_some_and(|word| question.wants_rows && word.eq_ignore_ascii_case("select"));
        if lent.shadow && !reads {
            return Ok(Err(Error::Denied(super::IN_SHADOW.to_owned())));
        }
        let Some(granted) = lent.granted.sql.get(source) else {
            return Ok(Err(Error::Denied(format!("[grants] sql does not name {source:?}"))));
        };
        let deadline = self.meter.deadline();
        let until = Instant::from_std(deadline.checked_sub(TO_SAY_SO).unwrap_or(deadline));
        let answer = tokio::time::timeout_at(until, granted.run(question, until)).await;
        Ok(answer.unwrap_or(Err(Error::Timeout)))
    }
}

impl Host for State {
    async fn query(
        &mut self,
        source: String,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let answer = self
            .sql(&source, Question { statement, parameters, wants_rows: true, read_only: false })
            .await?;
        Ok(answer.map(|answer| Rows { columns: answer.columns, rows: answer.rows }))
    }

    async fn execute(
        &mut self,
        source: String,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let question = Question { statement, parameters, wants_rows: false, read_only: false };
        Ok(self.sql(&source, question).await?.map(|answer| answer.changed))
    }
}
