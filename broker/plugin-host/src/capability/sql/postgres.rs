//! PostgreSQL: a transaction, from its begin to a connection that is clean again.

mod login;
mod value;
mod wire;

use std::{io, time::Duration};

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    IsNull,
    message::{
        backend::{DataRowBody, Message, RowDescriptionBody},
        frontend,
    },
};

use self::wire::Wire;
use super::{
    Answer, Question, ROWS_MAX,
    remote::{Conversation, Failed, Remote, Target},
};
use crate::bindings::portcullis::plugin::sql::{Error, Value};

/// One server.
pub(super) type Postgres = Remote<Wire>;

impl Conversation for Wire {
    async fn connect(target: &Target) -> Result<Self, Failed> {
        login::connect(target).await
    }

    async fn begin(&mut self, read_only: bool, limit: Duration) -> Result<(), Failed> {
        started(self, &begin(read_only, limit)).await
    }

    async fn ask(&mut self, question: &Question) -> Result<Answer, Failed> {
        ask(self, question).await
    }

    async fn end(&mut self, commit: bool) -> Result<(), Failed> {
        end(self, if commit { "COMMIT" } else { "ROLLBACK" }).await
    }

    fn is_idle(&self) -> bool {
        self.is_idle()
    }

    fn told(failed: Failed) -> Error {
        match failed {
            Failed::TooLarge => Error::TooLarge,
            Failed::Broken(_) => Error::Unavailable("the connection broke".to_owned()),
            // Canceled, by the time limit in most cases.
            Failed::Refused { code, .. } if code == "57014" => Error::Timeout,
            // Connections, resources, an operator's intervention, a fault of the system.
            Failed::Refused { code, .. }
                if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) =>
            {
                Error::Unavailable(format!("the database is out of order ({code})"))
            }
            Failed::Refused { code, text } => Error::Statement(format!("{text} ({code})")),
        }
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
                self.failed.get_or_insert_with(|| wire::refused(&body));
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
