//! CONNECT, from accepted socket to connected client: the story is [`admit`].
//!
//! Every refusal leaves at one place, `refuse.rs`: CONNACK (or HTTP status), log line and counter.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, Instant},
};

use access::{
    Authenticated, Connection as Claim, Credentials, DecisionId, Hook, LinkReport, Password,
    Refusal, Verdict, WillSummary,
};
use codec::{ConnAck, Connect, Decoded, Packet, PacketType, ProtocolVersion, ReasonCode, decode};
use limits::{Claimant, Suspect};
use session::WillMessage;
use store::Store;
use telemetry::{
    Cache, Direction, ListenerMetrics, Metrics,
    events::{Authenticated as AuthenticatedEvent, Client, Connected, TakenOver},
};
use tokio::{io::AsyncReadExt, time::Sleep};
use zeroize::Zeroize;

use crate::{
    approach::{self, approach},
    broker::Core,
    config::LiveConfig,
    connection::{Begin, Connection},
    exchange::{Again, Auths, Proved, exchange},
    listener::{Listener, Place},
    refuse::{claimed_version, limit_code, malformed_code, refuse},
    sessions::{Facts, NotOpened, Open, Opened},
    shown::{shown, shown_certificate},
    strangers::{NoRoom, Share},
    stream::Stream,
    subscribe::judge_again,
    tls::Secured,
    traced::{LoginTraces, claimed},
    websocket::{self, Violation},
    will,
};

/// A socket that was accepted and has not shown a CONNECT yet.
pub(crate) struct Arrival {
    pub(crate) core: Arc<Core>,
    pub(crate) stream: Stream,
    /// Of the client, as soon as it is known.
    pub(crate) remote: SocketAddr,
    pub(crate) listener: Arc<Listener>,
    pub(crate) connection_id: u64,
    /// Read, and not looked at yet.
    pub(crate) early: Vec<u8>,
    /// Runs to the end of [`Arrival::timeout`]; the connection goes on with it.
    pub(crate) timer: Pin<Box<Sleep>>,
    /// For the whole of CONNECT.
    pub(crate) timeout: Duration,
    /// What TLS said about the client.
    pub(crate) secured: Option<Box<Secured>>,
    /// What traces see of it.
    pub(crate) traces: LoginTraces,
}

impl Arrival {
    /// How long ago it was accepted.
    pub(crate) fn age(&self) -> Duration {
        let begun = self.timer.deadline().checked_sub(self.timeout);
        begun.map(|begun| begun.elapsed()).unwrap_or_default()
    }
}

/// Why no client came of a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Approach(approach::Refused),
    #[error("{0}")]
    WebSocket(Violation),
    #[error("no complete CONNECT within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("connection ended before CONNECT was complete: {0}")]
    Network(io::ErrorKind),
    #[error("{error}")]
    Malformed { error: codec::Error, version: Option<ProtocolVersion> },
    #[error("{0}")]
    Strangers(NoRoom),
    #[error("the first packet is not CONNECT [MQTT-3.1.0-1]")]
    NotConnect,
    #[error("the configuration does not serve this protocol version")]
    ProtocolVersion,
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("{0}")]
    Limit(limits::SizeExceeded),
    #[error("a packet other than AUTH with the method of CONNECT before CONNACK [MQTT-3.1.2-30]")]
    NotAuth,
    #[error("the client gave up its authentication")]
    GaveUp,
    #[error("AUTH is longer than the Maximum Packet Size of the client")]
    NoRoomForAuth,
    #[error("{0}")]
    ByChain(Refusal),
    #[error("the Will Message is not permitted: {0}")]
    Will(will::Denied),
    #[error("the Will Topic is not a topic name: {0}")]
    WillTopic(topic::InvalidTopic),
    #[error("{0}")]
    BackedOff(limits::BackedOff),
    #[error("{0}")]
    Flapping(limits::Banned),
    #[error("banned (ban {id}): {reason}", id = .0.id, reason = .0.reason)]
    ByBan(Box<limits::Ban>),
    #[error("CONNACK is longer than the Maximum Packet Size of the client")]
    NoRoomForConnAck,
    #[error("the session of this client identifier belongs to another principal")]
    ForeignSession,
    #[error("{0}")]
    Store(store::Unavailable),
}

impl Refused {
    /// The decision that refused, where the chain did.
    pub(crate) fn decision(&self) -> Option<DecisionId> {
        match self {
            Self::ByChain(refusal) => refusal.decision,
            Self::Will(denied) => Some(denied.decision),
            _ => None,
        }
    }

    /// The link that refused, where one did.
    pub(crate) fn plugin(&self) -> Option<&str> {
        match self {
            Self::ByChain(refusal) => refusal.plugin.as_deref(),
            Self::Will(denied) => denied.why.plugin(),
            _ => None,
        }
    }

    /// The code for CONNACK; `None` = close without a word.
    pub(crate) fn reason_code(&self) -> Option<ReasonCode> {
        match self {
            Self::Approach(_) | Self::WebSocket(_) => None,
            Self::Timeout(_) | Self::Network(_) | Self::NotConnect => None,
            Self::Malformed { error, version } => malformed_code(error, *version),
            // CONNACK has no code for it, and no CONNECT was read.
            Self::ShuttingDown | Self::NoRoomForConnAck | Self::NoRoomForAuth => None,
            Self::GaveUp => None,
            // For the counter: no CONNECT was read.
            Self::Strangers(_) => Some(ReasonCode::ServerBusy),
            Self::NotAuth => Some(ReasonCode::ProtocolError),
            Self::ProtocolVersion => Some(ReasonCode::UnsupportedProtocolVersion),
            Self::Limit(exceeded) => Some(limit_code(exceeded)),
            Self::Store(_) => Some(ReasonCode::QuotaExceeded),
            Self::ByChain(refusal) => Some(refusal.reason_code()),
            Self::Will(_) | Self::ForeignSession => Some(ReasonCode::NotAuthorized),
            Self::BackedOff(_) => Some(ReasonCode::ConnectionRateExceeded),
            Self::Flapping(_) | Self::ByBan(_) => Some(ReasonCode::Banned),
            Self::WillTopic(_) => Some(ReasonCode::TopicNameInvalid),
        }
    }
}

/// A CONNECT as it was read.
struct First {
    connect: Box<Connect>,
    /// The client left its identifier to us [MQTT-3.1.3-6].
    assigned: bool,
    /// Its length, fixed header included.
    bytes: usize,
    /// Bytes behind it.
    rest: Vec<u8>,
}

/// Serves one accepted socket to its end.
pub(crate) async fn serve(arrival: Arrival, mut place: Place) {
    // Boxed: what a handshake needs must not weigh on every connection for its life.
    if let Some(connection) = Box::pin(handshake(arrival, &mut place)).await {
        connection.run().await;
    }
    drop(place);
}

async fn handshake(mut arrival: Arrival, place: &mut Place) -> Option<Box<Connection>> {
    if !arrival.listener.is_plain() {
        let come;
        (arrival, come) = Box::pin(approach(arrival, place)).await;
        if let Err(refused) = come {
            Box::pin(refuse(&mut arrival, None, &Refused::Approach(refused))).await;
            return None;
        }
    }
    let mut first = match read_connect(&mut arrival).await {
        Ok(first) => first,
        // Boxed, like the other refusals: those who are let in need no room for it.
        Err(refused) => {
            Box::pin(refuse(&mut arrival, None, &refused)).await;
            return None;
        }
    };
    match admit(&mut arrival, &mut first).await {
        Ok(admitted) => Some(Box::new(admitted.begin(arrival, first))),
        Err(refused) => {
            Box::pin(refuse(&mut arrival, Some(&first.connect), &refused)).await;
            None
        }
    }
}

/// The first packet, whole, within the deadline and the size for strangers.
async fn read_connect(arrival: &mut Arrival) -> Result<First, Refused> {
    let most = arrival.core.live.load().limits.sizes.packet_bytes_before_connect;
    let metrics = Arc::clone(&arrival.core.metrics);
    let Arrival { core, stream, early, timer, timeout, listener, .. } = arrival;
    // Subscribed to only when CONNECT has to be waited for.
    let shutdown = pin!(async { core.shutdown.subscribe().wait_for(|down| *down).await.is_ok() });
    let read = pin!(async {
        let mut bytes = std::mem::take(early);
        metrics.bytes_received.inc_by(bytes.len() as u64);
        bytes.reserve(CONNECT_BYTES);
        let mut share = Share::new(core);
        loop {
            if let Some(first) = take_connect(&mut bytes, most)? {
                metrics.packets_received.of(PacketType::Connect).inc();
                let (received, of) = (Direction::Received, PacketType::Connect);
                listener.counted.packets(received, of, 1, first.bytes as u64);
                return Ok(first);
            }
            // It may grow to twice that.
            share.hold(bytes.capacity().saturating_mul(2)).map_err(Refused::Strangers)?;
            let count = stream.read_buf(&mut bytes).await.map_err(|error| {
                let violation = websocket::violation(&error).map(Refused::WebSocket);
                violation.unwrap_or_else(|| Refused::Network(error.kind()))
            })?;
            if count == 0 {
                return Err(Refused::Network(io::ErrorKind::UnexpectedEof));
            }
            metrics.bytes_received.inc_by(count as u64);
        }
    });
    tokio::select! {
        // The timer first: the connection relies on its having been started, however soon CONNECT
        // is there.
        biased;
        () = timer.as_mut() => Err(Refused::Timeout(*timeout)),
        first = read => first,
        _ = shutdown => Err(Refused::ShuttingDown),
    }
}

/// CONNECT and what came behind it, if it is whole.
fn take_connect(bytes: &mut Vec<u8>, most: usize) -> Result<Option<First>, Refused> {
    if bytes.first().is_some_and(|first| first >> 4 != 1) {
        return Err(Refused::NotConnect);
    }
    // CONNECT says its own version; the one given here is not looked at.
    let decoded = decode(bytes, ProtocolVersion::V5, most)
        .map_err(|error| Refused::Malformed { error, version: claimed_version(bytes) });
    match decoded? {
        Decoded::Packet(Packet::Connect(connect), taken) => {
            let rest = bytes.get(taken..).unwrap_or_default().to_vec();
            // They held the password.
            bytes.zeroize();
            Ok(Some(First { connect, assigned: false, bytes: taken, rest }))
        }
        Decoded::Packet(..) => Err(Refused::NotConnect),
        Decoded::Incomplete { .. } => Ok(None),
    }
}

/// An accepted client.
struct Admitted {
    authenticated: Arc<Authenticated>,
    opened: Opened,
    /// CONNACK, encoded.
    connack: Vec<u8>,
    keep_alive_seconds: u16,
    again: Option<Box<Again>>,
}

/// The story of a CONNECT.
async fn admit(arrival: &mut Arrival, first: &mut First) -> Result<Admitted, Refused> {
    let core = Arc::clone(&arrival.core);
    let live = core.live.load_full();
    if let Some(name) = arrival.secured.as_ref().and_then(|secured| secured.identity.clone()) {
        // Proven already: whoever the client says that it is instead, it is not.
        first.connect.username = Some(name);
    }
    let checked = check_connect(&first.connect, &live);
    if checked.is_ok() {
        first.assign_client_id();
    }
    arrival.traces.begin(&core, (&first.connect, first.bytes), arrival.remote.ip());
    checked?;
    let will = first.connect.will.as_deref().map(will::prepare).transpose();
    let will = will.map_err(Refused::WillTopic)?;
    let credentials = credentials(&mut first.connect);
    let method = first.connect.authentication_method.take();
    let data = first.connect.authentication_data.take();
    let claim = claim(arrival, &first.connect);
    check_claim(&core, &claim)?;
    let brake = Brake::begin(&core, arrival.remote, &first.connect, &live)?;
    let who = (&claim, &credentials);
    let proved = match &method {
        None => {
            let parts = (&*core, &*arrival.listener.counted);
            let asked = pin!(authenticate(parts, who, &live, &mut arrival.traces));
            let from = (&mut arrival.stream, &mut first.rest);
            let authenticated = while_it_is_there(from, &core.metrics, asked).await;
            authenticated.map(|authenticated| (authenticated, None))
        }
        // Boxed: few come with one.
        Some(method) => {
            let auths =
                Auths { method, bytes: &mut first.rest, most: packet_bytes_max(&first.connect) };
            Box::pin(exchange(arrival, who, auths, data, observe)).await
        }
    };
    let (authenticated, data) = brake.settle(proved)?;
    arrival.traces.proved(&core, &authenticated);
    tell_authenticated((&claim, &authenticated), false, &core);
    let mut authenticated = Arc::new(authenticated);
    check_names(&authenticated, &live)?;
    check_bans(&core, &authenticated)?;
    if let Some(will) = &will {
        let permitted = Box::pin(will::permit(&core, will, &authenticated)).await;
        permitted.map_err(Refused::Will)?;
    }
    let mut answer = answer(first, &authenticated, &live);
    // [MQTT-4.12.0-5]
    (answer.authentication_method, answer.authentication_data) = (method.clone(), data);
    let expiry = answer.session_expiry_interval.unwrap_or(first.connect.session_expiry_interval);
    // Known before anything is taken over: there is no connection without CONNACK.
    let mut connack = encode_connack(answer, &first.connect).ok_or(Refused::NoRoomForConnAck)?;
    let client_id = &authenticated.subject().client_id;
    let touches_kept = || core.sessions.get(client_id).is_some_and(|old| old.key.is_some());
    if let Some(Err(unavailable)) = core.store().map(Store::check)
        && (expiry > 0 || touches_kept())
    {
        return Err(Refused::Store(unavailable));
    }
    let (will, connect) = ((will, expiry), &first.connect);
    let opened = open_session(arrival, connect, &mut authenticated, will, &live).await?;
    if check_bans(&core, &authenticated).is_err() {
        // Made meanwhile, and perhaps too early to find the session.
        opened.handle.close(ReasonCode::AdministrativeAction);
    }
    // MQTT 3.1 has no such flag, its bit is reserved.
    if opened.session_present && !first.connect.mqtt_3_1 {
        ConnAck::mark_session_present(&mut connack);
    }
    let granted = &authenticated.identity().limits;
    let keep_alive_seconds = live.keep_alive(&first.connect, granted);
    let again = method.and_then(|method| Again::new(claim, method, Instant::now()));
    let again = again.map(Box::new);
    Ok(Admitted { authenticated, opened, connack, keep_alive_seconds, again })
}

/// Says that the chain let somebody in, at CONNECT or `again`.
pub(crate) fn tell_authenticated(
    (claim, authenticated): (&Claim, &Authenticated),
    again: bool,
    core: &Core,
) {
    AuthenticatedEvent {
        client: Client { remote: Some(claim.remote), ..shown(authenticated) },
        username: claim.username.as_deref(),
        protocol: protocol_name(claim.protocol),
        plugin: &authenticated.identity().authenticated_by,
        decision: authenticated.decision().as_ref().map(|id| id as &dyn std::fmt::Display),
        again,
    }
    .emit(&core.metrics);
}

/// Lengths and what this version cannot do.
fn check_connect(connect: &Connect, live: &LiveConfig) -> Result<(), Refused> {
    if !live.protocol_versions.serve(connect) {
        return Err(Refused::ProtocolVersion);
    }
    let sizes = &live.limits.sizes;
    sizes.check_client_id(&connect.client_id).map_err(Refused::Limit)?;
    if let Some(username) = &connect.username {
        sizes.check_username(username).map_err(Refused::Limit)?;
    }
    check_user_properties(&connect.user_properties, sizes)?;
    if let Some(will) = &connect.will {
        sizes.check_topic(&will.topic).map_err(Refused::Limit)?;
        check_user_properties(&will.user_properties, sizes)?;
    }
    Ok(())
}

/// Bans of what is known before anybody is asked.
fn check_claim(core: &Core, claim: &Claim) -> Result<(), Refused> {
    let certificate = claim.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    let suspect = Suspect {
        address: Some(claim.remote.ip()),
        client_id: Some(&claim.client_id),
        principal: None,
        certificate: certificate.map(|certificate| &certificate.sha256),
    };
    core.bans.find(suspect).map_or(Ok(()), |ban| Err(Refused::ByBan(Box::new(ban))))
}

/// Bans of what was proved.
fn check_bans(core: &Core, authenticated: &Authenticated) -> Result<(), Refused> {
    let ban = core.bans.find_client(authenticated);
    ban.map_or(Ok(()), |ban| Err(Refused::ByBan(Box::new(ban))))
}

/// The names that the chain gave: they are kept as long as the session, like those of CONNECT.
fn check_names(authenticated: &Authenticated, live: &LiveConfig) -> Result<(), Refused> {
    let (sizes, subject) = (&live.limits.sizes, authenticated.subject());
    sizes.check_client_id(&subject.client_id).map_err(Refused::Limit)?;
    sizes.check_username(&subject.identity.principal).map_err(Refused::Limit)
}

fn check_user_properties(
    properties: &[(String, String)],
    sizes: &limits::Sizes,
) -> Result<(), Refused> {
    let bytes = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
    sizes.check_user_properties(properties.len(), bytes).map_err(Refused::Limit)
}

impl First {
    fn assign_client_id(&mut self) {
        if self.connect.client_id.is_empty() {
            self.assigned = true;
            self.connect.client_id = format!("auto-{:032x}", random_u128());
        }
    }
}

/// What slows down those who fail to log in, and those who connect again and again. The login counts as failed while it
/// lasts: so guesses that come all at once are no way around the wait.
struct Brake<'a> {
    core: &'a Core,
    address: IpAddr,
    claimant: Claimant<'a>,
    /// Loopback is free of all connect limits.
    exempt: bool,
    /// It was not told yet how the login went.
    pending: bool,
}

impl<'a> Brake<'a> {
    fn begin(
        core: &'a Core,
        remote: SocketAddr,
        connect: &'a Connect,
        live: &LiveConfig,
    ) -> Result<Self, Refused> {
        let address = remote.ip().to_canonical();
        let exempt = live.limits.connection_rate.loopback_exempt && address.is_loopback();
        let claimant = match &connect.username {
            Some(username) => Claimant::User(username),
            None => Claimant::Client(&connect.client_id),
        };
        let mut brake = Self { core, address, claimant, exempt, pending: false };
        if !exempt {
            let mut backoff = core.login_backoff.lock();
            let attempt = backoff.attempt(address, brake.claimant, Instant::now());
            attempt.map_err(Refused::BackedOff)?;
            brake.pending = true;
        }
        Ok(brake)
    }

    /// Notes how the login went. Only a word of the chain counts as a failed login: a plugin that is down must not
    /// lock its users out for longer than it is.
    fn settle(mut self, result: Result<Proved, Refused>) -> Result<Proved, Refused> {
        if self.exempt {
            return result;
        }
        let now = Instant::now();
        match &result {
            Ok((authenticated, _)) => {
                self.core.login_backoff.lock().succeeded(self.address, self.claimant);
                self.pending = false;
                let subject = authenticated.subject();
                let (principal, client_id) = (&subject.identity.principal, &subject.client_id);
                let connected = self.core.flapping.lock().connected(principal, client_id, now);
                if let Err(banned) = connected {
                    self.core.note_flapping(principal, client_id, banned.until);
                    return Err(Refused::Flapping(banned));
                }
            }
            Err(Refused::ByChain(refusal)) if refusal.is_by_verdict() => {
                self.core.login_backoff.lock().failed(self.address, self.claimant, now);
                self.pending = false;
            }
            // Taken back when dropped.
            Err(_) => {}
        }
        result
    }
}

impl Drop for Brake<'_> {
    fn drop(&mut self) {
        if self.pending {
            self.core.login_backoff.lock().undecided(self.address, self.claimant);
        }
    }
}

/// What proves it, for the chain. The password leaves the packet: nothing else may see it.
fn credentials(connect: &mut Connect) -> Credentials {
    Credentials {
        password: connect.password.take().map(Password::new),
        clean_start: connect.clean_start,
        keep_alive_seconds: connect.keep_alive,
        user_properties: std::mem::take(&mut connect.user_properties),
        will: connect.will.as_deref().map(|will| WillSummary {
            topic: will.topic.clone(),
            qos: will.qos,
            retain: will.retain,
            payload_bytes: u32::try_from(will.payload.len()).unwrap_or(u32::MAX),
            delay_seconds: will.delay_interval,
        }),
    }
}

/// Who the connection claims to be, for the chain.
fn claim(arrival: &Arrival, connect: &Connect) -> Claim {
    let secured = arrival.secured.as_deref();
    let identity = secured.and_then(|secured| secured.identity.clone());
    Claim {
        connection_id: arrival.connection_id,
        client_id: Arc::from(connect.client_id.as_str()),
        username: connect.username.clone(),
        listener: Arc::clone(&arrival.listener.name),
        remote: arrival.remote,
        protocol: connect.version,
        tls: secured.map(|secured| secured.session.clone()),
        attributes: identity.map(|name| (IDENTITY.to_owned(), name)).into_iter().collect(),
    }
}

/// The attribute that tells plugins which name the certificate gives, where one is configured.
const IDENTITY: &str = "certificate-identity";

/// Asks the chain who this is and what it may do.
async fn authenticate(
    (core, counted): (&Core, &ListenerMetrics),
    (claim, credentials): (&Claim, &Credentials),
    live: &LiveConfig,
    traces: &mut LoginTraces,
) -> Result<Authenticated, Refused> {
    let now = core.now_unix();
    let (result, walk) = core.gate.admit(claim, credentials, live.client_id_from, now).await;
    observe(core, counted, &walk);
    traces.walk(core, &claimed((&claim.client_id, claim.remote.ip())), &walk);
    tracing::debug!(client_id = %telemetry::Escaped(&claim.client_id), ?walk, "chain asked");
    result.map_err(Refused::ByChain)
}

/// Waits for the chain as long as the client does: many may wait for their turn, and who has gone must
/// not have its password computed. What it sends meanwhile is kept, as far as that is little.
async fn while_it_is_there<T>(
    (stream, rest): (&mut Stream, &mut Vec<u8>),
    metrics: &Metrics,
    asked: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    let gone = async {
        // Who sent more before its end may have ended on purpose: what it sent is owed an answer.
        while rest.is_empty() {
            rest.reserve_exact(REST_BYTES);
            match stream.read_buf(rest).await {
                Ok(0) => return Refused::GaveUp,
                Ok(count) => drop(metrics.bytes_received.inc_by(count as u64)),
                Err(error) => {
                    let violation = websocket::violation(&error).map(Refused::WebSocket);
                    return violation.unwrap_or_else(|| Refused::Network(error.kind()));
                }
            }
        }
        std::future::pending().await
    };
    let authenticated = tokio::select! {
        // Most answers are there at once: then the socket is not looked at.
        biased;
        authenticated = asked => authenticated,
        refused = gone => Err(refused),
    };
    if rest.is_empty() {
        *rest = Vec::new();
    }
    authenticated
}

/// What a client may send behind its CONNECT while it waits, and not be forgotten.
const REST_BYTES: usize = 2_048;

/// Counts the time of a walk, of its two parts apart.
fn observe(core: &Core, counted: &ListenerMetrics, walk: &[LinkReport]) {
    count_answers(core, walk);
    let time = |hook: Hook| -> Option<f64> {
        let mut links = walk.iter().filter(|report| report.hook == hook).peekable();
        links.peek()?;
        Some(links.map(|report| report.elapsed).sum::<Duration>().as_secs_f64())
    };
    let authentication = time(Hook::Authenticator).unwrap_or_default();
    core.metrics.authentication_seconds.observe(authentication);
    counted.authentication_seconds.observe(authentication);
    if let Some(seconds) = time(Hook::Authorizer) {
        core.metrics.permissions_seconds.observe(seconds);
        counted.permissions_seconds.observe(seconds);
    }
}

/// Counts which permissions were there already.
pub(crate) fn count_answers(core: &Core, walk: &[LinkReport]) {
    let asked = |report: &&LinkReport| {
        report.hook == Hook::Authorizer && report.verdict != Verdict::Skipped
    };
    for report in walk.iter().filter(asked) {
        core.metrics.plugins.caches.note(Cache::Permissions, report.cached);
    }
}

/// CONNACK for a client that is let in.
fn answer(first: &First, authenticated: &Authenticated, live: &LiveConfig) -> ConnAck {
    let (connect, identity, sizes) = (&first.connect, authenticated.identity(), &live.limits.sizes);
    let expiry = connect
        .session_expiry_interval
        .min(sizes.session_expiry_max)
        .min(identity.session_expiry_seconds_max.unwrap_or(u32::MAX));
    let keep_alive = live.keep_alive(connect, &identity.limits);
    let client_id = &authenticated.subject().client_id;
    let renamed = first.assigned || **client_id != *connect.client_id;
    ConnAck {
        session_expiry_interval: (expiry != connect.session_expiry_interval).then_some(expiry),
        receive_maximum: Some(live.session_limits(&identity.limits).receive_maximum),
        maximum_packet_size: u32::try_from(live.packet_bytes(&identity.limits)).ok(),
        assigned_client_identifier: renamed.then(|| client_id.to_string()),
        topic_alias_maximum: Some(sizes.topic_alias_maximum),
        server_keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
        user_properties: identity.user_properties.clone(),
        ..ConnAck::default()
    }
}

/// CONNACK in the client's Maximum Packet Size [MQTT-3.1.2-24], without its properties for humans if need be; `None` when
/// it does not fit even so.
fn encode_connack(connack: ConnAck, connect: &Connect) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let most = packet_bytes_max(connect);
    let packet = Packet::ConnAck(Box::new(connack));
    packet.encode_within(connect.version, most, &mut output).then_some(output)
}

pub(crate) fn packet_bytes_max(connect: &Connect) -> usize {
    connect.maximum_packet_size.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX)
}

/// Resumes, takes over or makes the session, and settles what the old connection left. What has to be waited for is
/// boxed: most have nothing to wait for.
async fn open_session(
    arrival: &Arrival,
    connect: &Connect,
    authenticated: &mut Arc<Authenticated>,
    (will, session_expiry_interval): (Option<Box<WillMessage>>, u32),
    live: &LiveConfig,
) -> Result<Opened, Refused> {
    let core = &arrival.core;
    let granted = &authenticated.identity().limits.clone();
    let facts = Facts {
        authenticated: Arc::clone(authenticated),
        username: connect.username.clone(),
        listener: Arc::clone(&arrival.listener.name),
        remote: arrival.remote,
        protocol: connect.version,
        keep_alive_seconds: live.keep_alive(connect, granted),
        clean_start: connect.clean_start,
        session_expiry_interval,
        session_expiry_requested: connect.session_expiry_interval,
        since_unix: core.now_unix(),
    };
    let mut opened = core
        .sessions
        .open(Open {
            connection_id: arrival.connection_id,
            connect,
            authenticated,
            limits: live.session_limits(granted),
            sizes: &live.limits.sizes,
            store: core.store(),
            will,
            facts,
        })
        .map_err(|not_opened| match not_opened {
            NotOpened::Foreign => Refused::ForeignSession,
            NotOpened::Full(exceeded) => Refused::Limit(exceeded),
        })?;
    let ended = opened.replaced.as_ref().map(|replaced| core.end_session(replaced));
    if opened.taken_over {
        let client = Client { remote: Some(arrival.remote), ..shown(authenticated) };
        TakenOver { client }.emit(&core.metrics);
    }
    if let Some(old_will) = &opened.old_will {
        Box::pin(will::publish(core, old_will, authenticated, &opened.handle)).await;
    }
    if let Some(ended) = ended {
        // After its Will Message: a crash must not take both.
        let gone = Box::pin(ended.settle(core).ticket()).await;
        opened.ticket = opened.ticket.max(gone);
    }
    if opened.session_present {
        let client = (**authenticated).clone();
        let ruled = Box::pin(core.rule_subscriptions(&opened.handle, client)).await;
        *authenticated = Arc::new(ruled);
        opened.handle.set_authenticated(arrival.connection_id, authenticated);
        // What was subscribed and queued under older permissions is judged by the present ones before any of it flows.
        judge_again(core, &opened.handle);
        let limits = live.session_limits(granted);
        let expired = opened.handle.resume(arrival.connection_id, connect, limits);
        let (reason, count) = ("expired", expired as u64);
        telemetry::events::MessageDropped { reason, count }.emit(&core.metrics);
    }
    Ok(opened)
}

impl Admitted {
    fn begin(self, arrival: Arrival, first: First) -> Connection {
        if let Some(peer) = arrival.secured.as_ref().and_then(|secured| secured.peer.as_ref()) {
            peer.attach(&self.opened.handle);
        }
        let (identity, decision) = (self.authenticated.identity(), self.authenticated.decision());
        arrival.listener.counted.accepted_seconds.observe(arrival.age().as_secs_f64());
        Connected {
            client_id: &self.opened.handle.client_id,
            principal: &identity.principal,
            username: first.connect.username.as_deref(),
            listener: &arrival.listener.name,
            remote: arrival.remote,
            certificate: self.authenticated.subject().certificate.as_deref().map(shown_certificate),
            protocol: protocol_name(first.connect.version),
            plugin: &identity.authenticated_by,
            decision: decision.as_ref().map(|id| id as &dyn std::fmt::Display),
            session_present: self.opened.session_present,
        }
        .emit(&arrival.core.metrics);
        let begin = Begin {
            core: arrival.core,
            stream: arrival.stream,
            connection_id: arrival.connection_id,
            version: first.connect.version,
            mqtt_3_1: first.connect.mqtt_3_1,
            answer_bytes_max: packet_bytes_max(&first.connect),
            handle: self.opened.handle,
            authenticated: self.authenticated,
            remote: arrival.remote,
            timer: arrival.timer,
            keep_alive_seconds: self.keep_alive_seconds,
            counted: Arc::clone(&arrival.listener.counted),
            rest: first.rest,
            connack: self.connack,
            again: self.again,
            ticket: self.opened.ticket,
        };
        Connection::new(begin, Instant::now())
    }
}

pub(crate) fn protocol_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V311 => "3.1.1",
        ProtocolVersion::V5 => "5.0",
    }
}

/// 128 random bits. Assigned client identifiers must not be guessable: whoever knows one could take the session over.
fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        // Without random numbers nothing about this process is safe.
        Err(_) => std::process::abort(),
    }
}

/// Room for a usual CONNECT.
const CONNECT_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// It is allocated for each connection, and moved there: a future that is passed on by value in it counts twice.
    #[test]
    fn a_handshake_is_small() {
        fn size<'a, F: Future>(_: impl FnOnce(Arrival, &'a mut Place) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(handshake) <= 3_072, "{} bytes", size(handshake));
    }
}
