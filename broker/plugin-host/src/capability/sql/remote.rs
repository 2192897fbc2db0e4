//! A database on a server: connections, and the transactions on them. Knows nothing of what is said
//! on a connection: that is a `Conversation`.
//!
//! A statement takes a connection through three turns: a transaction begins, with its time limit and
//! the settings that the scanner of statements relies on; the statement runs; the transaction ends,
//! and the connection is cleaned of all that the statement may have left on it.

use std::{
    error, fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::Instant,
};
use tokio_rustls::TlsConnector;

use super::{
    Answer, Question, SqlSettings,
    address::{At, Server},
};
use crate::{
    bindings::portcullis::plugin::sql::Error,
    capability::{
        connections::{Connections, Place},
        tls::Tls,
    },
    sources::Secret,
};

/// How much longer than the server is waited than the server itself takes for a statement: it ends
/// the statement, and the connection stays good.
const GRACE: Duration = Duration::from_millis(200);

/// What a connection goes over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// A connection of one kind of server.
pub(super) trait Conversation: Sized {
    /// From nothing to a connection that may be asked.
    async fn connect(target: &Target) -> Result<Self, Failed>;
    /// Begins a transaction whose statement may take `limit`: the limit is the server's, so that a
    /// statement ends there too when nobody waits for it.
    async fn begin(&mut self, read_only: bool, limit: Duration) -> Result<(), Failed>;
    /// Runs the statement.
    async fn ask(&mut self, question: &Question) -> Result<Answer, Failed>;
    /// Ends the transaction, and leaves nothing of it on the connection.
    async fn end(&mut self, commit: bool) -> Result<(), Failed>;
    /// Nothing is asked and no transaction is open.
    fn is_idle(&self) -> bool;
    /// What the plugin is told of it.
    fn told(failed: Failed) -> Error;
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server says so, with its code.
    Refused { code: String, text: String },
    /// Rows or bytes.
    TooLarge,
    /// The connection is of no use any more.
    Broken(String),
}

impl Failed {
    pub(super) fn broken(error: &dyn error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        Self::Broken(text)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, text } => write!(f, "{text} ({code})"),
            Self::TooLarge => f.write_str("the answer is too large"),
            Self::Broken(text) => f.write_str(text),
        }
    }
}

/// What it takes to be let in.
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) password: Option<Secret>,
    pub(super) tls: Option<Tls>,
}

impl Target {
    fn new(server: Server, settings: &SqlSettings) -> Result<Self, String> {
        let encrypted = settings.tls.unwrap_or_else(|| !server.is_here());
        if encrypted && matches!(server.at, At::Socket(_)) {
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
        Ok(Self { server, password: settings.password.clone(), tls })
    }

    /// In the clear: what comes first differs between servers.
    pub(super) async fn open(&self) -> Result<Box<dyn Transport>, Failed> {
        let broken = |error: std::io::Error| Failed::broken(&error);
        match &self.server.at {
            At::Socket(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(broken)?)),
            At::Host(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(broken)?;
                stream.set_nodelay(true).map_err(broken)?;
                Ok(Box::new(stream))
            }
        }
    }

    /// The server proves its name.
    pub(super) async fn encrypt(
        &self,
        stream: Box<dyn Transport>,
        tls: &Tls,
    ) -> Result<Box<dyn Transport>, Failed> {
        let At::Host(host, _) = &self.server.at else {
            return Err(Failed::Broken("a socket of this machine has no TLS".to_owned()));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Failed::broken(&error))?;
        let config = tls.config().await.map_err(Failed::Broken)?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| Failed::broken(&error))?))
    }
}

/// One server.
pub(super) struct Remote<C> {
    target: Target,
    connections: Arc<Connections<C>>,
    connect_timeout: Duration,
    statement_timeout: Duration,
    /// Whether the last connection failed: said once.
    is_down: AtomicBool,
}

impl<C: Conversation> Remote<C> {
    pub(super) fn new(server: Server, settings: &SqlSettings) -> Result<Self, String> {
        Ok(Self {
            target: Target::new(server, settings)?,
            connections: Connections::new(settings.connections),
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
            is_down: AtomicBool::new(false),
        })
    }

    pub(super) async fn run(&self, question: Question, until: Instant) -> Result<Answer, Error> {
        let place = self.connections.place(self.connect_timeout).await;
        let place = place.map_err(Error::Unavailable)?;
        let mut connection = self.begun(&place, question.read_only, until).await?;
        let limit = self.statement_timeout + GRACE;
        let worked = async {
            let answer = connection.ask(&question).await;
            let commit = match &answer {
                Ok(_) => !question.read_only,
                Err(Failed::Refused { .. } | Failed::TooLarge) => false,
                Err(Failed::Broken(_)) => return answer,
            };
            connection.end(commit).await?;
            answer
        };
        let answer = tokio::time::timeout(limit, worked).await;
        let answer = answer.map_err(|_| Error::Timeout)?;
        // Whatever else it was, what is not idle is closed.
        if connection.is_idle() {
            place.park(connection);
        }
        answer.map_err(C::told)
    }

    /// A connection with a new transaction. One that waited may be broken; nothing was asked on it
    /// yet, so that another can take its place.
    async fn begun(&self, place: &Place<C>, read_only: bool, until: Instant) -> Result<C, Error> {
        let left = until.saturating_duration_since(Instant::now()).min(self.statement_timeout);
        let whole = async {
            if let Some(mut parked) = place.parked() {
                match parked.begin(read_only, left).await {
                    Ok(()) => return Ok(parked),
                    Err(_) => place.close_parked(),
                }
            }
            let mut connection = C::connect(&self.target).await?;
            connection.begin(read_only, left).await?;
            Ok(connection)
        };
        let done = tokio::time::timeout(self.connect_timeout, whole).await;
        let error = match done {
            Ok(Ok(connection)) => {
                self.is_down.store(false, Ordering::Relaxed);
                return Ok(connection);
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
