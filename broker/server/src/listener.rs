//! TCP listeners: accepting, and what is refused before a byte is read.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use limits::Refusal;
use telemetry::events::ConnectionRefused;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{
    broker::Core,
    connect::{Arrival, serve},
};

/// A bound listener.
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) connections: AtomicU64,
}

/// Pause after an accept error that will not go away by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause in accepting when connections come faster than the rate for all of them.
const RATE_WAIT: Duration = Duration::from_millis(250);

/// A socket that listens. Small packets must not wait for each other, as everything due is written
/// with one call already; accepted sockets inherit that, which saves a system call for each.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that the system holds for us while a burst comes; it bounds this by `somaxconn`.
const BACKLOG: u32 = 4096;

/// Accepts until the broker shuts down.
pub(crate) async fn run(core: Arc<Core>, listener: Arc<Listener>, socket: TcpListener) {
    let mut shutdown = core.shutdown.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = shutdown.wait_for(|down| *down) => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                if admit(&core, &listener, remote).await {
                    begin(&core, &listener, stream, remote);
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(event = "accept_failed", listener = %listener.name, %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Counts the connection against the limits. When only the rate of all connections is exceeded, nothing more is accepted
/// for a bounded wait before the connection is closed: the backlog of the system takes the burst.
async fn admit(core: &Core, listener: &Listener, remote: SocketAddr) -> bool {
    let address = remote.ip();
    let mut admitted = core.connection_rate.lock().admit(address, Instant::now());
    if let Err(Refusal::ConnectRate { until, .. }) = &admitted {
        let latest = Instant::now() + RATE_WAIT;
        tokio::time::sleep_until((*until).min(latest).into()).await;
        admitted = core.connection_rate.lock().admit(address, Instant::now());
    }
    let Err(refusal) = admitted else { return true };
    ConnectionRefused { listener: &listener.name, remote, limit: refusal.limit(), cause: &refusal }
        .emit(&core.metrics);
    false
}

/// Gives the connection a task.
fn begin(core: &Arc<Core>, listener: &Arc<Listener>, stream: TcpStream, remote: SocketAddr) {
    let place = Place::take(Arc::clone(core), Arc::clone(listener), remote.ip());
    let timeout = core.live.load().limits.sizes.connect_timeout;
    let arrival = Arrival {
        core: Arc::clone(core),
        stream,
        remote,
        listener: Arc::clone(&listener.name),
        connection_id: core.next_connection_id(),
        timer: Box::pin(tokio::time::sleep(timeout)),
        timeout,
    };
    tokio::spawn(async move {
        serve(arrival).await;
        drop(place);
    });
}

/// One connection's place in the counts; given back when dropped, also when its task panics.
struct Place {
    core: Arc<Core>,
    listener: Arc<Listener>,
    address: std::net::IpAddr,
}

impl Place {
    fn take(core: Arc<Core>, listener: Arc<Listener>, address: std::net::IpAddr) -> Self {
        listener.connections.fetch_add(1, Ordering::Relaxed);
        core.connections.fetch_add(1, Ordering::AcqRel);
        Self { core, listener, address }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        self.core.connection_rate.lock().release(self.address);
        if self.core.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.core.idle.notify_waiters();
        }
    }
}
