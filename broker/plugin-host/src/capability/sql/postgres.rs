//! PostgreSQL: connections and the transactions on them.
//!
//! Three turns with the server: a transaction begins, with its time limit and the settings that the
//! scanner of statements relies on; the statement runs; the transaction ends, and the connection is
//! cleaned of all that the statement may have left on it.

mod login;
mod value;
mod wire;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    IsNull,
    message::{
        backend::{DataRowBody, Message, RowDescriptionBody},
        frontend,
    },
};
use tokio::time::Instant;

use self::wire::{Failed, Wire};
use super::{Answer, Question, ROWS_MAX, SqlSettings, address::Server};
use crate::{
    bindings::portcullis::plugin::sql::{Error, Value},
    capability::{
        connections::{Connections, Place},
        tls::Tls,
    },
    sources::Secret,
};

/// How much longer than the server is waited than the server itself takes for a statement: it ends
/// the statement, and the connection stays good.
const GRACE: Duration = Duration::from_millis(200);

/// One server.
pub(super) struct Postgres {
    target: Target,
    connections: Arc<Connections<Wire>>,
    connect_timeout: Duration,
    statement_timeout: Duration,
    /// Whether the last connection failed: said once.
    is_down: AtomicBool,
}

/// What it takes to be let in.
struct Target {
    server: Server,
    password: Option<Secret>,
    tls: Option<Tls>,
}

impl Postgres {
    pub(super) fn new(server: Server, settings: SqlSettings) -> Result<Self, String> {
        let encrypted = settings.tls.unwrap_or_else(|| !server.is_here());
        if encrypted && matches!(server.at, super::address::Place::Folder(_)) {
            return Err("a socket of this machine has no tls".to_owned());
        }
        let tls = match (encrypted, &settings.ca) {
            (true, Some(pem)) => {
                Some(Tls::trusting(pem, &[]).map_err(|what| format!("ca: {what}"))?)
            }
            (true, None) => Some(Tls::default()),
            (false, Some(_)) => return Err("ca: there is no TLS to judge by it".to_owned()),
            (false, None) => None,
        };
        Ok(Self {
            target: Target { server, password: settings.password, tls },
            connections: Connections::new(settings.connections),
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
            is_down: AtomicBool::new(false),
        })
    }

    pub(super) async fn run(&self, question: Question, until: Instant) -> Result<Answer, Error> {
        let place = self.connections.place(self.connect_timeout).await;
        let place = place.map_err(Error::Unavailable)?;
        let mut wire = self.begun(&place, question.read_only, until).await?;
        let limit = self.statement_timeout + GRACE;
        let worked = async {
            let answer = ask(&mut wire, &question).await;
            let ends = match &answer {
                Ok(_) if !question.read_only => "COMMIT",
                Ok(_) | Err(Failed::Refused { .. } | Failed::TooLarge) => "ROLLBACK",
                Err(Failed::Broken(_)) => return answer,
            };
            end(&mut wire, ends).await?;
            answer
        };
        let answer = tokio::time::timeout(limit, worked).await;
        let answer = answer.map_err(|_| Error::Timeout)?;
        // Whatever else it was, what is not idle is closed.
        if wire.is_idle() {
            place.park(wire);
        }
        answer.map_err(Error::from)
    }

    /// A connection with a new transaction. One that waited may be broken; nothing was asked on it
    /// yet, so that another can take its place.
    async fn begun(
        &self,
        place: &Place<Wire>,
        read_only: bool,
        until: Instant,
    ) -> Result<Wire, Error> {
        let left = until.saturating_duration_since(Instant::now()).min(self.statement_timeout);
        let begin = begin(read_only, left);
        let whole = async {
            if let Some(mut wire) = place.parked() {
                match started(&mut wire, &begin).await {
                    Ok(()) => return Ok(wire),
                    Err(_) => place.close_parked(),
                }
            }
            let mut wire = login::connect(&self.target).await?;
            started(&mut wire, &begin).await?;
            Ok(wire)
        };
        let done = tokio::time::timeout(self.connect_timeout, whole).await;
        let error = match done {
            Ok(Ok(wire)) => {
                self.is_down.store(false, Ordering::Relaxed);
                return Ok(wire);
            }
            Ok(Err(error)) => error,
            Err(_) => Failed::Broken("it does not answer in time".to_owned()),
        };
        if !self.is_down.swap(true, Ordering::Relaxed) {
            let server = &self.target.server;
            tracing::warn!(?server, %error, "a database of plugins is not there");
        }
        // Where the server is and what it is called are the operator's business.
        Err(Error::Unavailable("no connection to the database".to_owned()))
    }
}

/// The limit is the server's, so that a statement ends there too when nobody waits for it.
fn begin(read_only: bool, limit: Duration) -> String {
    let mode = if read_only { "READ ONLY" } else { "READ WRITE" };
    let limit = limit.as_millis().max(1);
    format!(
        "BEGIN {mode}; SET LOCAL statement_timeout = {limit}; \
         SET LOCAL standard_conforming_strings = on; SET LOCAL bytea_output = hex; \
         SET LOCAL extra_float_digits = 1"
    )
}

async fn started(wire: &mut Wire, begin: &str) -> Result<(), Failed> {
    frontend::query(begin, wire.out()).map_err(|error| Failed::broken(&error))?;
    wire.flush().await?;
    wire.until_ready().await?;
    match wire.is_in_transaction() {
        true => Ok(()),
        false => Err(Failed::Broken("no transaction has begun".to_owned())),
    }
}

/// Ends the transaction, and leaves nothing of it on the connection.
async fn end(wire: &mut Wire, how: &str) -> Result<(), Failed> {
    for statement in [how, "DISCARD ALL"] {
        frontend::query(statement, wire.out()).map_err(|error| Failed::broken(&error))?;
    }
    wire.flush().await?;
    let ended = wire.until_ready().await;
    if let Err(Failed::Broken(_)) = ended {
        return ended;
    }
    wire.until_ready().await?;
    ended
}

/// The statement, with all that goes in and comes out as text: that is the one form that every type
/// has. The server decides what type a parameter is.
async fn ask(wire: &mut Wire, question: &Question) -> Result<Answer, Failed> {
    let rows_max = i32::try_from(ROWS_MAX + 1).unwrap_or(i32::MAX);
    let out = wire.out();
    let written = (|| {
        frontend::parse("", &question.statement, [], out)?;
        let values = question.parameters.iter();
        let serialize = |value: &Value, out: &mut bytes::BytesMut| match value::write(value) {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        };
        frontend::bind("", "", [0], values, serialize, [0], out).map_err(|error| match error {
            frontend::BindError::Conversion(error) => io::Error::other(error),
            frontend::BindError::Serialization(error) => error,
        })?;
        frontend::describe(b'P', "", out)?;
        frontend::execute("", rows_max, out)?;
        frontend::sync(out);
        io::Result::Ok(())
    })();
    written.map_err(|error| Failed::broken(&error))?;
    wire.flush().await?;
    let mut reading = Reading { wants_rows: question.wants_rows, ..Reading::default() };
    let ready = loop {
        match wire.receive().await? {
            Message::ReadyForQuery(body) => break body,
            message => reading.take(message)?,
        }
    };
    wire.set_status(ready.status());
    match reading.failed {
        Some(failed) => Err(failed),
        None => Ok(reading.answer),
    }
}

/// An answer in the making.
#[derive(Default)]
struct Reading {
    wants_rows: bool,
    types: Vec<u32>,
    answer: Answer,
    failed: Option<Failed>,
}

impl Reading {
    /// `Err` = the connection is of no use any more.
    fn take(&mut self, message: Message) -> Result<(), Failed> {
        match message {
            Message::RowDescription(body) => self.columns(&body),
            Message::DataRow(body) if self.failed.is_none() => self.row(&body),
            Message::CommandComplete(body) => {
                let tag = body.tag().map_err(|error| Failed::broken(&error))?;
                let number = tag.rsplit(' ').next().and_then(|number| number.parse().ok());
                let changes = !tag.starts_with("SELECT");
                self.answer.changed = number.filter(|_| changes).unwrap_or(0);
                Ok(())
            }
            Message::PortalSuspended => {
                self.failed.get_or_insert(Failed::TooLarge);
                Ok(())
            }
            Message::ErrorResponse(body) => {
                self.failed.get_or_insert_with(|| Failed::refused(&body));
                Ok(())
            }
            Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                Err(Failed::Broken("it is about to copy".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn columns(&mut self, body: &RowDescriptionBody) -> Result<(), Failed> {
        let mut fields = body.fields();
        while let Some(field) = fields.next().map_err(|error| Failed::broken(&error))? {
            self.types.push(field.type_oid());
            if self.wants_rows && self.answer.name(field.name().to_owned()).is_err() {
                self.failed.get_or_insert(Failed::TooLarge);
            }
        }
        Ok(())
    }

    fn row(&mut self, body: &DataRowBody) -> Result<(), Failed> {
        if !self.wants_rows {
            return Ok(());
        }
        let mut row = Vec::with_capacity(self.types.len());
        let (mut ranges, mut types) = (body.ranges(), self.types.iter());
        while let Some(range) = ranges.next().map_err(|error| Failed::broken(&error))? {
            let of_no_type = || Failed::Broken("a row has more values than columns".to_owned());
            let oid = *types.next().ok_or_else(of_no_type)?;
            row.push(match range {
                None => Value::Null,
                Some(range) => {
                    let text = body.buffer().get(range).ok_or_else(of_no_type)?;
                    value::read(oid, text).map_err(Failed::Broken)?
                }
            });
        }
        if self.answer.add(row).is_err() {
            self.failed = Some(Failed::TooLarge);
        }
        Ok(())
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::TooLarge => Self::TooLarge,
            Failed::Broken(_) => Self::Unavailable("the connection broke".to_owned()),
            // Canceled, by the time limit in most cases.
            Failed::Refused { code, .. } if code == "57014" => Self::Timeout,
            // Connections, resources, an operator's intervention, a fault of the system.
            Failed::Refused { code, .. }
                if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) =>
            {
                Self::Unavailable(format!("the database is out of order ({code})"))
            }
            Failed::Refused { code, text } => Self::Statement(format!("{text} ({code})")),
        }
    }
}
