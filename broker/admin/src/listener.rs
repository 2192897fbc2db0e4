//! The socket of the admin API: start, connections and their bounds, shutdown.
//!
//! Knows nothing of routes. One task accepts; each connection is a task that ends at the latest
//! when its age is over.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};
use tower::Service;

use crate::{
    AdminState, Config, Error,
    administrators::{Administrators, Lasts},
    alarms::{self, Alarms},
    audit::{self, Audit},
    call::Shared,
    cursor::Cursors,
    directory::Directory,
    events::Hub,
    guard::{Hosts, Peer},
    oidc::Oidc,
    openapi,
    overview::{self, Samples},
    password::Hashing,
    route, routes,
    shares::{CONNECTIONS_OF_USER, STREAMS_OF_USER, Shares},
    token,
    visitors::{Visitor, Visitors},
};

/// A running admin API. Dropping it ends it as [`AdminServer::shutdown`] does, without waiting.
#[derive(Debug)]
pub struct AdminServer {
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// Whether the token file was made by this start.
    pub token_created: bool,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    scrape: Scrape,
}

/// Reads what `/metrics` answers, for whoever sends it elsewhere.
#[derive(Clone)]
pub struct Scrape(Arc<Shared>);

impl Scrape {
    /// The text of `/metrics`. Blocks.
    pub fn text(&self) -> String {
        crate::metrics::text(&self.0)
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scrape").finish()
    }
}

impl AdminServer {
    /// Reads metrics.
    pub fn scrape(&self) -> Scrape {
        self.scrape.clone()
    }

    /// Accepts nothing more, lets requests in progress finish for `grace`, then cuts the rest off.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(grace, &mut self.accepting).await.is_err() {
            tracing::warn!("admin requests were still running after {grace:?} and were cut off");
            self.accepting.abort();
        }
    }
}

/// Starts the admin API: reads or makes the token file, then listens.
///
/// # Errors
/// `bind` is not loopback and `allow_remote` or `host_names` are not set; the token file cannot be used or others
/// can read it; the address is taken.
pub async fn start(config: Config, mut state: AdminState) -> Result<AdminServer, Error> {
    let bind = config.bind;
    if !bind.ip().to_canonical().is_loopback() {
        if !config.allow_remote {
            return Err(Error::RemoteNotAllowed { bind });
        }
        if config.host_names.is_empty() {
            return Err(Error::NamesMissing { bind });
        }
        tracing::warn!(%bind, "the admin API listens beyond this machine without encryption");
    }
    let (token, token_created) = token::load_or_create(&config.token_file)?;
    let listener = TcpListener::bind(bind).await.map_err(|source| Error::Bind { bind, source })?;
    let address = listener.local_addr().map_err(|source| Error::Bind { bind, source })?;
    let directory = Arc::new(Directory::open(&config.folder, config.roles)?);
    let audit = Audit::open(&config.audit_folder, config.audit_keep_days, audit::now)?;
    let log = audit.clone();
    state.ready_checks.push(Box::new(move || log.problems()));
    // It is also how the begin of the log gets to the disk.
    if let Err(problem) = audit.check_writable().await {
        tracing::error!(problem = problem.detail, "the audit log");
    }
    let lasts = Lasts { ttl: config.login_ttl, idle: config.login_idle };
    let (stop, stopped) = watch::channel(false);
    let metrics = Arc::clone(&state.metrics);
    let shared = Shared {
        state,
        administrators: Administrators::new(token, Arc::clone(&directory), lasts),
        directory,
        audit,
        oidc: config.oidc.map(Oidc::new).transpose()?,
        hashing: Hashing::default(),
        backoff: Mutex::default(),
        metrics_open: config.metrics_open,
        hosts: Hosts::new(bind.ip(), &config.host_names),
        alarms: Alarms::default(),
        events: Hub::new(&metrics),
        stopping: stopped.clone(),
        cursors: Cursors::new()?,
        connections: Shares::new(CONNECTIONS_OF_USER),
        streams: Shares::new(STREAMS_OF_USER),
        uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
        openapi: openapi::document(),
        samples: Samples::default(),
    };
    let shared = Arc::new(shared);
    tokio::spawn(overview::keep_sampling(Arc::downgrade(&shared)));
    tokio::spawn(alarms::watch(Arc::clone(&shared)));
    let scrape = Scrape(Arc::clone(&shared));
    let router = routes::router(shared);
    let accepting = tokio::spawn(accept(listener, router, Bounds::default(), stopped));
    Ok(AdminServer { address, token_created, stop, accepting, scrape })
}

/// Bounds of connections. A stranger is one that has not shown the token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Open connections. When there are as many, the oldest stranger gives way to the next one; if
    /// there is none, that one waits in the backlog of the socket.
    pub(crate) connections: usize,
    /// Strangers of one address; the oldest gives way.
    pub(crate) strangers_per_address: usize,
    /// From the first wait for a request to the end of its headers, also between two requests.
    pub(crate) header_read: Duration,
    /// Then the request in progress is the last one.
    pub(crate) age: Duration,
    /// The same for a stranger.
    pub(crate) stranger_age: Duration,
    /// How long that last one may take.
    pub(crate) last_request: Duration,
    /// The same where it was begun as one that takes its time.
    pub(crate) long_answer: Duration,
    /// The same for a stranger.
    pub(crate) stranger_last_request: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 64,
            strangers_per_address: 16,
            header_read: Duration::from_secs(10),
            age: Duration::from_secs(300),
            stranger_age: Duration::from_secs(15),
            last_request: route::UPLOAD_TIMEOUT + Duration::from_secs(30),
            long_answer: Duration::from_secs(6 * 3_600),
            stranger_last_request: Duration::from_secs(5),
        }
    }
}

pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    mut stopped: watch::Receiver<bool>,
) {
    let mut visitors = Visitors::default();
    let mut connections = JoinSet::new();
    // Accepted, and not served before there is room.
    let mut next = None;
    loop {
        let open = connections.len();
        let room = |_: &mut _| {
            open < bounds.connections || open == bounds.connections && visitors.make_room()
        };
        if let Some((stream, peer)) = next.take_if(room) {
            let visitor = visitors.admit(SocketAddr::ip(&peer), bounds.strangers_per_address);
            let guest = Guest { peer, visitor, bounds, stopped: stopped.clone() };
            connections.spawn(serve(stream, router.clone(), guest));
        }
        let accepted = tokio::select! {
            // An error means that the server was dropped: a stop as well.
            _ = stopped.wait_for(|stop| *stop) => break,
            Some(ended) = connections.join_next() => {
                report_panic(ended);
                continue;
            }
            accepted = listener.accept(), if next.is_none() => accepted,
        };
        match accepted {
            Ok(accepted) => next = Some(accepted),
            Err(error) => {
                // Out of file descriptors, say: trying again at once would only burn the CPU.
                tracing::warn!(%error, "the admin API could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(next);
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report_panic(ended);
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection to the admin API broke down");
    }
}

/// One connection, and when it ends.
struct Guest {
    peer: SocketAddr,
    visitor: Visitor,
    bounds: Bounds,
    stopped: watch::Receiver<bool>,
}

impl Guest {
    /// Returns when its age is over.
    async fn grows_old(&self) {
        tokio::time::sleep(self.bounds.stranger_age).await;
        if self.visitor.is_known() {
            tokio::time::sleep(self.bounds.age.saturating_sub(self.bounds.stranger_age)).await;
        }
    }

    /// How long the request in progress may take.
    fn last_request(&self) -> Duration {
        if self.visitor.has_long_answer() {
            self.bounds.long_answer
        } else if self.visitor.is_known() {
            self.bounds.last_request
        } else {
            self.bounds.stranger_last_request
        }
    }
}

async fn serve(stream: TcpStream, router: Router, guest: Guest) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY on a connection to the admin API");
    }
    let (peer, visitor) = (guest.peer, guest.visitor.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(visitor.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(guest.bounds.header_read)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut stopped = guest.stopped.clone();
    let to_the_end = async {
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            _ = stopped.wait_for(|stop| *stop) => None,
            () = guest.grows_old() => None,
        };
        match ended {
            Some(ended) => Ok(ended),
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(guest.last_request(), connection).await
            }
        }
    };
    let ended = tokio::select! {
        ended = to_the_end => ended,
        () = guest.visitor.asked_to_leave() => {
            tracing::debug!(%peer, "connection to the admin API gave way to another one");
            return;
        }
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "connection to the admin API ended"),
        Err(_) => tracing::debug!(%peer, "connection to the admin API was cut off"),
    }
}

const UPLOADS_MAX: usize = 2;
const HEADERS_MAX: usize = 64;
const BUFFER_BYTES_MAX: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
