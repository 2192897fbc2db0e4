//! Listeners: binding, accepting, and what is refused before a byte is read.
//!
//! Owns the sockets that listen and the place of each connection in the counts. Knows nothing of what comes over a
//! connection.

mod unix;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use limits::Refusal;
use telemetry::{ListenerMetrics, events::ConnectionRefused};
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use self::unix::SocketFile;
use crate::{
    ListenerAddress, ListenerConfig, ListenerRules, LiveConfig, ProxyProtocol, Transport,
    broker::Core,
    connect::{Arrival, serve},
    stream::Stream,
    tls::Tls,
    traced::LoginTraces,
};

/// A bound listener.
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) transport: Transport,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    pub(crate) tls: Option<Arc<Tls>>,
    /// With the real port.
    pub(crate) address: ListenerAddress,
    pub(crate) connections: AtomicU64,
    pub(crate) counted: Arc<ListenerMetrics>,
    socket_file: Option<SocketFile>,
}

impl Listener {
    /// Whether packets come from the first byte on.
    pub(crate) fn is_plain(&self) -> bool {
        let frames = matches!(self.transport, Transport::WebSocket { .. });
        !frames && self.proxy_protocol.is_none() && self.tls.is_none()
    }

    /// Takes a socket file away: nobody shall find it who comes from now on.
    pub(crate) fn remove_socket_file(&self) {
        if let Some(file) = &self.socket_file {
            file.remove();
        }
    }
}

/// What a bound listener accepts from.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Pause after an accept error that will not go away by itself, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause in accepting when connections come faster than the rate for all of them.
const RATE_WAIT: Duration = Duration::from_millis(250);

/// Who comes over a socket file comes from this machine; it has no port.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Binds a listener. `tls` is what its configuration made, `counted` what it counts.
pub(crate) async fn bind(
    config: ListenerConfig,
    tls: Option<Arc<Tls>>,
    counted: Arc<ListenerMetrics>,
) -> io::Result<(Listener, Socket)> {
    let (socket, address, socket_file) = match &config.transport {
        Transport::Tcp { bind } | Transport::WebSocket { bind, .. } => {
            let socket = bind_tcp(*bind)?;
            let address = ListenerAddress::Socket(socket.local_addr()?);
            (Socket::Tcp(socket), address, None)
        }
        Transport::Unix { path, mode } => {
            let (socket, file) = unix::bind(path, *mode, BACKLOG).await?;
            (Socket::Unix(socket), ListenerAddress::Path(path.clone()), Some(file))
        }
    };
    let listener = Listener {
        name: config.name.into(),
        transport: config.transport,
        proxy_protocol: config.proxy_protocol,
        tls,
        address,
        connections: AtomicU64::new(0),
        counted,
        socket_file,
    };
    Ok((listener, socket))
}

/// A socket that listens. Small packets must not wait for each other, as everything due is written
/// with one call already; accepted sockets inherit that, which saves a system call for each.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
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

impl Socket {
    async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, remote) = socket.accept().await?;
                Ok((Stream::Tcp(stream), remote))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Stream::Unix(stream), LOCAL))
            }
        }
    }
}

/// Accepts until the broker shuts down.
pub(crate) async fn run(core: Arc<Core>, listener: Arc<Listener>, socket: Socket) {
    let mut shutdown = core.shutdown.subscribe();
    // One for all of them: it stays where it is noted.
    let mut down = pin!(shutdown.wait_for(|down| *down));
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = &mut down => return,
        };
        match accepted {
            Ok((_, remote)) if core.overload.is_memory_full() => {
                let maximum = core.live.load().limits.overload.memory;
                refused(&core, &listener, remote, &Refusal::Memory { maximum });
            }
            Ok((stream, remote)) => {
                if let Some(place) = admit(&core, &listener, remote).await {
                    begin(&core, &listener, stream, remote, place);
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
async fn admit(core: &Arc<Core>, listener: &Arc<Listener>, remote: SocketAddr) -> Option<Place> {
    if let Some(proxy_protocol) = &listener.proxy_protocol {
        return admit_proxy(core, listener, remote, proxy_protocol).await;
    }
    let address = remote.ip();
    if let Err(refusal) = check(core, listener, address) {
        refused(core, listener, remote, &refusal);
        return None;
    }
    let mut admitted = core.connection_rate.lock().admit(address, Instant::now());
    if let Err(Refusal::ConnectRate { until, .. }) = &admitted {
        pause_until(*until).await;
        admitted = core.connection_rate.lock().admit(address, Instant::now());
    }
    match admitted {
        Ok(()) => Some(Place::take(core, listener, Some(address))),
        Err(refusal) => {
            refused(core, listener, remote, &refusal);
            None
        }
    }
}

/// As [`admit`], for somebody who speaks for others: only the number of all connections counts until it has said for whom,
/// and its own address is never counted in their place. Who is not trusted says nothing.
async fn admit_proxy(
    core: &Arc<Core>,
    listener: &Arc<Listener>,
    remote: SocketAddr,
    proxy_protocol: &ProxyProtocol,
) -> Option<Place> {
    let address = remote.ip().to_canonical();
    if !proxy_protocol.trusted.iter().any(|range| range.contains(&address)) {
        let (limit, cause) = ("proxy_protocol.trusted", &"the address is not in the list");
        ConnectionRefused { listener: &listener.name, remote, limit, cause }.emit(&core.metrics);
        listener.counted.turned_away.inc(limit);
        return None;
    }
    let closed_until = core.connection_rate.lock().closed_until(Instant::now());
    if let Some(until) = closed_until {
        pause_until(until).await;
    }
    let room = check_room(listener, rules_of(&core.live.load(), listener));
    let held = room.and_then(|()| core.connection_rate.lock().hold());
    match held {
        Ok(()) => Some(Place::take(core, listener, None)),
        Err(refusal) => {
            refused(core, listener, remote, &refusal);
            None
        }
    }
}

async fn pause_until(until: Instant) {
    let latest = Instant::now() + RATE_WAIT;
    tokio::time::sleep_until(until.min(latest).into()).await;
}

/// Says which limit kept a connection out.
pub(crate) fn refused(core: &Core, listener: &Listener, remote: SocketAddr, refusal: &Refusal) {
    listener.counted.turned_away.inc(refusal.limit());
    ConnectionRefused { listener: &listener.name, remote, limit: refusal.limit(), cause: refusal }
        .emit(&core.metrics);
}

fn rules_of<'a>(live: &'a LiveConfig, listener: &Listener) -> Option<&'a ListenerRules> {
    live.listeners.get(&*listener.name)
}

/// Whether an address may come, and the listener has room for one more.
fn check(core: &Core, listener: &Listener, address: IpAddr) -> Result<(), Refusal> {
    let live = core.live.load();
    let rules = rules_of(&live, listener);
    judge(core, rules, address).and_then(|()| check_room(listener, rules))
}

/// What an address has to be for a listener: let in by its lists, and not banned. Of a load balancer's clients it is
/// asked when they are known.
fn judge(core: &Core, rules: Option<&ListenerRules>, address: IpAddr) -> Result<(), Refusal> {
    if rules.is_some_and(|rules| !rules.admits(address)) {
        return Err(Refusal::AddressDenied);
    }
    match core.bans.find_address(address) {
        Some(ban) => Err(Refusal::Banned { id: ban.id }),
        None => Ok(()),
    }
}

/// Whether the listener has room for one more.
fn check_room(listener: &Listener, rules: Option<&ListenerRules>) -> Result<(), Refusal> {
    let maximum = rules.and_then(|rules| rules.connections);
    match maximum.filter(|maximum| listener.connections.load(Ordering::Relaxed) >= *maximum) {
        Some(maximum) => Err(Refusal::ConnectionsOfListener { maximum }),
        None => Ok(()),
    }
}

/// Gives the connection a task.
fn begin(
    core: &Arc<Core>,
    listener: &Arc<Listener>,
    stream: Stream,
    remote: SocketAddr,
    place: Place,
) {
    let timeout = core.live.load().limits.sizes.connect_timeout;
    let arrival = Arrival {
        traces: LoginTraces::default(),
        core: Arc::clone(core),
        stream,
        remote,
        listener: Arc::clone(listener),
        connection_id: core.next_connection_id(),
        early: Vec::new(),
        timer: Box::pin(tokio::time::sleep(timeout)),
        timeout,
        secured: None,
    };
    tokio::spawn(serve(arrival, place));
}

/// One connection's place in the counts; given back when dropped, also when its task panics.
pub(crate) struct Place {
    core: Arc<Core>,
    listener: Arc<Listener>,
    /// `None` = a load balancer has not said it yet.
    address: Option<IpAddr>,
}

impl Place {
    fn take(core: &Arc<Core>, listener: &Arc<Listener>, address: Option<IpAddr>) -> Self {
        listener.connections.fetch_add(1, Ordering::Relaxed);
        core.connections.fetch_add(1, Ordering::AcqRel);
        Self { core: Arc::clone(core), listener: Arc::clone(listener), address }
    }

    /// Counts the connection as one of `address`, which was not known before.
    pub(crate) fn settle(&mut self, address: IpAddr) -> Result<(), Refusal> {
        judge(&self.core, rules_of(&self.core.live.load(), &self.listener), address)?;
        self.core.connection_rate.lock().settle(address, Instant::now())?;
        self.address = Some(address);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.connections.fetch_sub(1, Ordering::Relaxed);
        {
            let mut rate = self.core.connection_rate.lock();
            match self.address {
                Some(address) => rate.release(address),
                None => rate.release_held(),
            }
        }
        if self.core.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.core.idle.notify_waiters();
        }
    }
}
