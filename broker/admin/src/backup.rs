//! `/api/v1/backup`: an archive of everything that the broker holds, streamed while it runs.
//!
//! Owns the trait that the program answers for, and the stream; knows nothing of what is in an archive.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use serde::Deserialize;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, Sender},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use crate::{
    call::{Answer, Call, blocking},
    problem::Problem,
    route::Permission,
    visitors::Visitor,
};

/// Pieces that wait for a slow reader; the maker waits behind them.
const PIECES_MAX: usize = 8;
/// How long a reader may take none.
const STALLED: Duration = Duration::from_secs(60);
/// Type of an archive.
pub(crate) const ARCHIVE: &str = "application/gzip";
/// Roughly how many bytes go into the archive before compression.
const ABOUT_BYTES: HeaderName = HeaderName::from_static("portcullis-backup-bytes");

/// Who makes backups. Calls may block.
pub trait BackupMaker: Send + Sync {
    /// Takes the moment that a backup is of: everything that was acknowledged before this call is in it.
    ///
    /// # Errors
    /// Another one is being made, or the disk does not answer.
    fn begin(&self, secrets: bool) -> Result<Box<dyn Backup>, BackupError>;
}

/// A backup whose moment has come.
pub trait Backup: Send {
    /// Bytes that go into it before compression, roughly.
    fn about_bytes(&self) -> u64;
    /// Writes it. What was written before an error is no backup.
    ///
    /// # Errors
    /// Something cannot be read, or `out` takes no more.
    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()>;
}

/// Why there is no backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// Another one is being made.
    #[error("a backup is being made")]
    Busy,
    /// A sentence.
    #[error("a backup cannot be made now: {0}")]
    NotAvailable(String),
}

/// What goes into a backup.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupQuery {
    /// Also keys, administrators, tokens, what plugins keep and secrets of the configuration; whoever asks needs every
    /// permission.
    include_secrets: Option<bool>,
}

/// `POST /api/v1/backup`
pub(crate) async fn make(call: Call) -> Answer {
    let query: BackupQuery = call.query()?;
    let secrets = query.include_secrets.unwrap_or(false);
    check_rights(&call, secrets)?;
    let shared = Arc::clone(&call.shared);
    let backup = blocking(move || shared.state.backups.begin(secrets))
        .await?
        .map_err(|error| problem(&error))?;
    if let Some(visitor) = call.parts.extensions.get::<Visitor>() {
        visitor.is_given_long_answer();
    }
    let about_bytes = backup.about_bytes();
    let (pieces, stream) = mpsc::channel(PIECES_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut outgoing = Outgoing { pieces: pieces.clone(), runtime: runtime.clone() };
        if let Err(error) = backup.write(&mut outgoing) {
            tracing::error!(%error, "the backup was given up");
            // The stream ends with an error: nobody takes half an archive for a whole one.
            let _gone = runtime.block_on(timeout(STALLED, pieces.send(Err(error))));
        }
    });
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(stream)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ARCHIVE));
    headers.insert(ABOUT_BYTES, HeaderValue::from(about_bytes));
    let name = "attachment; filename=\"portcullis-backup.tar.gz\"";
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}

/// An archive holds payloads, topics, wills and names in clear: whoever may not read one of them gets none.
fn check_rights(call: &Call, secrets: bool) -> Result<(), Problem> {
    call.fields().check_all("an archive")?;
    let who = call.who()?;
    let missing = Permission::ALL.iter().find(|permission| !who.permissions.has(**permission));
    match missing {
        Some(permission) if secrets => {
            let what =
                format!("secrets are for whoever has every permission, not {}", permission.name());
            Err(Problem::forbidden(what).about("include_secrets").allowed("false"))
        }
        _ => Ok(()),
    }
}

fn problem(error: &BackupError) -> Problem {
    match error {
        BackupError::Busy => Problem::too_many(error.to_string()).allowed("one at a time"),
        BackupError::NotAvailable(_) => Problem::busy(error.to_string()),
    }
}

/// Hands pieces on to the stream; waits for a slow reader, but not for ever.
struct Outgoing {
    pieces: Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        match self.runtime.block_on(timeout(STALLED, self.pieces.send(Ok(piece)))) {
            Ok(Ok(())) => Ok(bytes.len()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "its reader went away")),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "its reader took nothing for a minute"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
