//! MariaDB and MySQL: a transaction, from its begin to a connection that is clean again.
//!
//! The protocol is spoken here and not by a crate: the crates there are announce that they would send
//! files of ours to the server, and read a result to its end before they let go of a connection.

mod fields;
mod login;
mod value;
mod wire;

use std::time::Duration;

use self::{
    fields::Fields,
    value::Column,
    wire::{Reply, Wire},
};
use super::{
    Answer, Question, ROWS_MAX,
    remote::{Conversation, Failed, Remote, Target},
};
use crate::bindings::portcullis::plugin::sql::Error;

/// One server.
pub(super) type MySql = Remote<Wire>;

const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const RESET: u8 = 0x1f;

/// What a table can have.
const COLUMNS_MAX: usize = 4_096;

/// What strings and quotes are, as the scanner of statements has it, and no silent cuts of values.
const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION";

impl Conversation for Wire {
    async fn connect(target: &Target) -> Result<Self, Failed> {
        login::connect(target).await
    }

    async fn begin(&mut self, read_only: bool, limit: Duration) -> Result<(), Failed> {
        command(self, QUERY, settings(self.is_mariadb(), limit).as_bytes()).await?;
        let begin = if read_only { "START TRANSACTION READ ONLY" } else { "START TRANSACTION" };
        command(self, QUERY, begin.as_bytes()).await?;
        match self.is_in_transaction() {
            true => Ok(()),
            false => Err(Failed::Broken("no transaction has begun".to_owned())),
        }
    }

    async fn ask(&mut self, question: &Question) -> Result<Answer, Failed> {
        let statement = prepare(self, question).await?;
        self.command(EXECUTE, |out| value::execute(statement, &question.parameters, out)).await?;
        answer(self, question.wants_rows).await
    }

    async fn end(&mut self, commit: bool) -> Result<(), Failed> {
        if !self.is_between_answers() {
            // The rest of a result is on its way, and nobody wants it.
            return Ok(());
        }
        let ended = command(self, QUERY, if commit { b"COMMIT" } else { b"ROLLBACK" }).await;
        if let Err(Failed::Broken(_)) = ended {
            return ended;
        }
        // Variables, locks, temporary tables, prepared statements.
        command(self, RESET, &[]).await?;
        self.note_clean();
        ended
    }

    fn is_idle(&self) -> bool {
        self.is_clean()
    }

    fn told(failed: Failed) -> Error {
        match failed {
            Failed::TooLarge => Error::TooLarge,
            Failed::Broken(_) => Error::Unavailable("the connection broke".to_owned()),
            Failed::Refused { code, text } => match &*code {
                // Time limits of statements and locks, a query that was killed.
                "1205" | "1317" | "1969" | "3024" => Error::Timeout,
                // Too many connections, shutdown, no memory, no space, lost connections.
                "1021" | "1037" | "1038" | "1040" | "1041" | "1053" | "1203" | "1226" | "1927" => {
                    Error::Unavailable(format!("the database is out of order ({code})"))
                }
                _ => Error::Statement(format!("{text} ({code})")),
            },
        }
    }
}

/// All that the connection has of its own, in one statement. The one that asks waits for locks no
/// longer than for anything else.
fn settings(is_mariadb: bool, limit: Duration) -> String {
    let milliseconds = limit.as_millis().max(1);
    let limit = if is_mariadb {
        format!("max_statement_time={}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
    } else {
        format!("max_execution_time={milliseconds}")
    };
    let seconds = milliseconds.div_ceil(1_000);
    let rows = ROWS_MAX + 1;
    format!(
        "SET SESSION {limit}, innodb_lock_wait_timeout={seconds}, lock_wait_timeout={seconds}, \
         sql_select_limit={rows}, sql_mode='{SQL_MODE}'"
    )
}

/// A command that is answered with a yes or a no.
async fn command(wire: &mut Wire, command: u8, content: &[u8]) -> Result<(), Failed> {
    wire.command(command, |out| out.extend_from_slice(content)).await?;
    match wire.reply().await? {
        Reply::Ok(_) => Ok(()),
        Reply::Other(_) => Err(Failed::Broken("it answers something else".to_owned())),
    }
}

/// Gives the statement to the server, which says how many parameters it sees in it.
async fn prepare(wire: &mut Wire, question: &Question) -> Result<u32, Failed> {
    let text = question.statement.as_bytes();
    wire.command(PREPARE, |out| out.extend_from_slice(text)).await?;
    let packet = wire.packet().await?;
    let mut fields = Fields::new(&packet);
    match fields.u8()? {
        0x00 => {}
        0xff => return Err(wire.refused(&packet)),
        _ => return Err(Failed::Broken("it prepares something else".to_owned())),
    }
    let (statement, columns, parameters) = (fields.u32()?, fields.u16()?, fields.u16()?);
    for count in [parameters, columns] {
        for _ in 0..count {
            wire.packet().await?;
        }
        if count > 0 {
            wire.end_of_list().await?;
        }
    }
    wire.note_answered();
    if usize::from(parameters) != question.parameters.len() {
        let text = format!("it has {parameters} ? and {} parameters", question.parameters.len());
        return Err(Failed::Refused { code: "?".to_owned(), text });
    }
    Ok(statement)
}

/// Reads a result. What is too large is not read to its end.
async fn answer(wire: &mut Wire, wants_rows: bool) -> Result<Answer, Failed> {
    let mut answer = Answer::default();
    let first = match wire.reply().await? {
        Reply::Ok(changed) => {
            answer.changed = changed;
            return Ok(answer);
        }
        Reply::Other(packet) => packet,
    };
    let count = Fields::new(&first).count()?;
    if count > COLUMNS_MAX {
        return Err(Failed::TooLarge);
    }
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        let (column, name) = Column::read(&wire.packet().await?)?;
        if wants_rows {
            answer.name(name).map_err(|_| Failed::TooLarge)?;
        }
        columns.push(column);
    }
    wire.end_of_list().await?;
    loop {
        let packet = wire.packet().await?;
        match packet.first() {
            Some(0x00) if wants_rows => {
                let row = value::row(&packet, &columns)?;
                answer.add(row).map_err(|_| Failed::TooLarge)?;
            }
            Some(0x00) => {}
            Some(0xff) => return Err(wire.refused(&packet)),
            _ => {
                wire.end_of_result(&packet)?;
                return Ok(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_servers() {
        let told = settings(true, Duration::from_millis(1_500));
        assert!(told.starts_with("SET SESSION max_statement_time=1.500, "), "{told}");
        assert!(told.contains("lock_wait_timeout=2, sql_select_limit=1001,"), "{told}");
        let told = settings(false, Duration::from_micros(10));
        assert!(told.starts_with("SET SESSION max_execution_time=1, "), "{told}");
    }

    #[test]
    fn words_of_the_server_are_told() {
        let told = |code: &str| {
            Wire::told(Failed::Refused { code: code.to_owned(), text: "what".to_owned() })
        };
        assert!(matches!(told("1969"), Error::Timeout));
        assert!(matches!(told("1040"), Error::Unavailable(_)));
        assert!(matches!(told("1146"), Error::Statement(text) if text == "what (1146)"));
    }
}
