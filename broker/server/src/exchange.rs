//! Enhanced authentication (MQTT 5.0 section 4.12): AUTH between CONNECT and CONNACK, and again while
//! the client is connected.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use access::{
    Approaching, Authenticated, BoxFuture, Connection as Claim, Credentials, Exchange, LinkReport,
    Opening, Progress, RefusalKind,
};
use codec::{Auth, Decoded, Packet, PacketType, ProtocolVersion, ReasonCode, decode};
use limits::{Rate, TokenBucket};
use telemetry::{Direction, Traced};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    broker::Core,
    close::Close,
    connect::{Arrival, Refused, tell_authenticated},
    connection::Connection,
    traced::claimed,
};

/// How long an exchange may take from its first packet to its last.
const PATIENCE: Duration = Duration::from_secs(30);
/// Exchanges of one connected client: one a second, a few at once.
const AGAIN_PER_SECOND: u64 = 1;
const AGAIN_BURST: u64 = 5;

/// Who the client proved to be, with Authentication Data for CONNACK.
pub(crate) type Proved = (Authenticated, Option<Vec<u8>>);

/// AUTH packets of a connection that has no CONNACK yet.
pub(crate) struct Auths<'a> {
    /// The method of CONNECT.
    pub(crate) method: &'a str,
    /// Read behind CONNECT, and in the end behind the last AUTH.
    pub(crate) bytes: &'a mut Vec<u8>,
    /// Maximum Packet Size of the client.
    pub(crate) most: usize,
}

/// The exchange of a CONNECT with an Authentication Method, up to CONNACK. `data` = Authentication
/// Data of CONNECT.
pub(crate) async fn exchange(
    arrival: &mut Arrival,
    (claim, credentials): (&Claim, &Credentials),
    mut auths: Auths<'_>,
    data: Option<Vec<u8>>,
    observe: impl Fn(&Core, &[LinkReport]),
) -> Result<Proved, Refused> {
    let core = Arc::clone(&arrival.core);
    let opening = Opening {
        method: auths.method.to_owned(),
        data,
        principal: None,
        user_properties: credentials.user_properties.clone(),
    };
    let steps = async {
        let (mut progress, mut walk) =
            core.gate.begin(approaching(&core, claim, credentials), opening).await;
        loop {
            observe(&core, &walk);
            let traced = claimed((&claim.client_id, claim.remote.ip()));
            arrival.traces.walk(&core, &traced, &walk);
            let (data, exchange) = match progress {
                Progress::Decided(decided) => return decided.map_err(Refused::ByChain),
                Progress::Challenge(data, exchange) => (data, exchange),
            };
            auths.challenge(arrival, data, traced).await?;
            let auth = auths.read(arrival, traced).await?;
            let (data, properties) = (auth.authentication_data, auth.user_properties);
            let client = approaching(&core, claim, credentials);
            (progress, walk) = core.gate.proceed(client, exchange, data, properties).await;
        }
    };
    let shutdown = async { core.shutdown.subscribe().wait_for(|down| *down).await.is_ok() };
    tokio::select! {
        proved = steps => proved,
        () = tokio::time::sleep(PATIENCE) => Err(Refused::Timeout(PATIENCE)),
        _ = shutdown => Err(Refused::ShuttingDown),
    }
}

fn auth(reason_code: ReasonCode, method: &str, data: Option<Vec<u8>>) -> Packet<'static> {
    Packet::Auth(Auth { authentication_data: data, ..Auth::new(reason_code, method) })
}

impl Auths<'_> {
    async fn challenge(
        &self,
        arrival: &mut Arrival,
        data: Vec<u8>,
        traced: Traced<'_>,
    ) -> Result<(), Refused> {
        let mut output = Vec::new();
        let packet = auth(ReasonCode::ContinueAuthentication, self.method, Some(data));
        if !packet.encode_within(ProtocolVersion::V5, self.most, &mut output) {
            return Err(Refused::NoRoomForAuth);
        }
        let core = Arc::clone(&arrival.core);
        arrival.traces.packet(&core, traced, (Direction::Sent, &packet, output.len()));
        let metrics = &core.metrics;
        metrics.packets_sent.of(PacketType::Auth).inc();
        metrics.bytes_sent.inc_by(output.len() as u64);
        let written = arrival.stream.write_all(&output).await;
        written.map_err(|error| Refused::Network(error.kind()))
    }

    /// Until CONNACK a client may send nothing but AUTH and DISCONNECT [MQTT-3.1.2-30].
    async fn read(&mut self, arrival: &mut Arrival, traced: Traced<'_>) -> Result<Auth, Refused> {
        let most = arrival.core.live.load().limits.sizes.packet_bytes_before_connect;
        loop {
            let decoded = decode(self.bytes, ProtocolVersion::V5, most);
            let decoded = decoded.map_err(|error| Refused::Malformed {
                error,
                version: Some(ProtocolVersion::V5),
            })?;
            if let Decoded::Packet(packet, taken) = decoded {
                let core = Arc::clone(&arrival.core);
                arrival.traces.packet(&core, traced, (Direction::Received, &packet, taken));
                let auth = match packet {
                    Packet::Auth(auth) => auth,
                    Packet::Disconnect(_) => return Err(Refused::GaveUp),
                    _ => return Err(Refused::NotAuth),
                };
                arrival.core.metrics.packets_received.of(PacketType::Auth).inc();
                check(&auth, ReasonCode::ContinueAuthentication, self.method)
                    .map_err(|_| Refused::NotAuth)?;
                self.bytes.drain(..taken);
                return Ok(auth);
            }
            let count = arrival.stream.read_buf(self.bytes).await;
            let count = count.map_err(|error| Refused::Network(error.kind()))?;
            if count == 0 {
                return Err(Refused::Network(std::io::ErrorKind::UnexpectedEof));
            }
            arrival.core.metrics.bytes_received.inc_by(count as u64);
        }
    }
}

/// The one method of the connection [MQTT-4.12.0-5], in a packet of this kind.
fn check(auth: &Auth, reason_code: ReasonCode, method: &str) -> Result<(), Close> {
    if auth.reason_code != reason_code {
        return Err(Close::Protocol(
            ReasonCode::ProtocolError,
            "AUTH with a Reason Code that nothing asked for [MQTT-4.12.0-3]",
        ));
    }
    if auth.authentication_method.as_deref() != Some(method) {
        return Err(Close::Protocol(
            ReasonCode::ProtocolError,
            "AUTH with another Authentication Method than CONNECT [MQTT-4.12.1-1]",
        ));
    }
    Ok(())
}

/// What a connected client needs to authenticate again: it came with a method.
pub(crate) struct Again {
    claim: Arc<Claim>,
    method: Arc<str>,
    step: Step,
    /// When the exchange must be over.
    ends_at: Option<Instant>,
    rate: TokenBucket,
}

/// Where its exchange stands.
enum Step {
    /// There is none.
    Idle,
    /// A plugin is being asked.
    Asked(BoxFuture<'static, (Progress, Vec<LinkReport>)>),
    /// The client is to answer.
    Challenged(Exchange),
}

impl Again {
    pub(crate) fn new(claim: Claim, method: String, now: Instant) -> Option<Self> {
        let rate = Rate::new(AGAIN_PER_SECOND, AGAIN_BURST).ok()?;
        Some(Self {
            claim: Arc::new(claim),
            method: method.into(),
            step: Step::Idle,
            ends_at: None,
            rate: TokenBucket::new(rate, now),
        })
    }

    /// When an exchange that is not over ends the connection.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.ends_at
    }
}

impl Connection {
    /// AUTH of a connected client. What else it sends goes on as before, by what it proved before.
    pub(crate) fn handle_auth(&mut self, auth: Auth, now: Instant) -> Result<(), Close> {
        self.counts.packet(PacketType::Auth);
        let Some(again) = &mut self.again else {
            return Err(Close::Protocol(
                ReasonCode::ProtocolError,
                "AUTH on a connection without enhanced authentication [MQTT-4.12.0-7]",
            ));
        };
        let principal = self.authenticated.identity().principal.to_string();
        let core = Arc::clone(&self.core);
        let (claim, method) = (Arc::clone(&again.claim), Arc::clone(&again.method));
        let asked: BoxFuture<'static, _> = match mem::replace(&mut again.step, Step::Idle) {
            Step::Idle => {
                check(&auth, ReasonCode::ReAuthenticate, &method)?;
                if again.rate.try_take(1, now).is_err() {
                    return Err(Close::ByServer(ReasonCode::ConnectionRateExceeded));
                }
                again.ends_at = now.checked_add(PATIENCE);
                let opening = Opening {
                    method: method.to_string(),
                    data: auth.authentication_data,
                    principal: Some(principal),
                    user_properties: auth.user_properties,
                };
                Box::pin(async move {
                    let credentials = no_credentials();
                    core.gate.begin(approaching(&core, &claim, &credentials), opening).await
                })
            }
            Step::Challenged(exchange) => {
                check(&auth, ReasonCode::ContinueAuthentication, &method)?;
                let (data, properties) = (auth.authentication_data, auth.user_properties);
                Box::pin(async move {
                    let credentials = no_credentials();
                    let client = approaching(&core, &claim, &credentials);
                    core.gate.proceed(client, exchange, data, properties).await
                })
            }
            Step::Asked(_) => {
                return Err(Close::Protocol(
                    ReasonCode::ProtocolError,
                    "AUTH while the one before is not answered [MQTT-4.12.0-2]",
                ));
            }
        };
        again.step = Step::Asked(asked);
        Ok(())
    }

    /// Moves an exchange on.
    pub(crate) fn poll_again(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Close> {
        let Some(again) = &mut self.again else { return Ok(()) };
        if again.ends_at.is_some_and(|at| at <= now) {
            return Err(Close::ByServer(ReasonCode::NotAuthorized));
        }
        let Step::Asked(asked) = &mut again.step else { return Ok(()) };
        let Poll::Ready((progress, walk)) = asked.as_mut().poll(cx) else { return Ok(()) };
        again.step = Step::Idle;
        let method = Arc::clone(&again.method);
        let client_id = telemetry::Escaped(&self.handle.client_id);
        tracing::debug!(%client_id, ?walk, "asked again");
        let answer = match progress {
            Progress::Challenge(data, exchange) => {
                again.step = Step::Challenged(exchange);
                auth(ReasonCode::ContinueAuthentication, &method, Some(data))
            }
            Progress::Decided(Ok((authenticated, data))) => {
                again.ends_at = None;
                let claim = Arc::clone(&again.claim);
                tell_authenticated((&claim, &authenticated), true, &self.core);
                self.prove_again(authenticated, now);
                auth(ReasonCode::Success, &method, data)
            }
            Progress::Decided(Err(refusal)) => {
                let cause = telemetry::EscapedDisplay(&refusal);
                tracing::debug!(client_id = %telemetry::Escaped(&self.handle.client_id), %cause,
                    "authentication failed on a connected client");
                // What DISCONNECT can say of it [MQTT-4.12.1-2].
                return Err(Close::ByServer(match refusal.kind {
                    RefusalKind::Busy => ReasonCode::ServerBusy,
                    _ => ReasonCode::NotAuthorized,
                }));
            }
        };
        if !answer.encode_within(self.version, self.answer_bytes_max, &mut self.output) {
            return Err(Close::ByServer(ReasonCode::PacketTooLarge));
        }
        Ok(())
    }
}

fn approaching<'a>(core: &Core, claim: &'a Claim, credentials: &'a Credentials) -> Approaching<'a> {
    let (client_id_from, now_unix) = (core.live.load().client_id_from, core.now_unix());
    Approaching { connection: claim, credentials, client_id_from, now_unix }
}

/// AUTH has no password: a link that wants one refuses.
fn no_credentials() -> Credentials {
    Credentials {
        password: None,
        clean_start: false,
        keep_alive_seconds: 0,
        user_properties: Vec::new(),
        will: None,
    }
}
