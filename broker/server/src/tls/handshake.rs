//! The handshake: from a socket to an encrypted connection whose client is who it says.
//!
//! The story is [`shake`]. What `rustls` verified is judged once more at the end, because a session that is resumed verifies
//! nothing, and because what counts may have changed meanwhile.

use std::{
    future::{Future, poll_fn},
    io,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use access::TlsSession;
use rustls::{
    HandshakeKind, ProtocolVersion,
    pki_types::{CertificateDer, UnixTime},
    server::Acceptor,
};
use telemetry::{ListenerMetrics, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{
    ClientAuth, Tls,
    certificate::{self, Unreadable},
    encrypted::{Encrypted, Opened},
    identity::NoIdentity,
    live::Peer,
    loaded::Loaded,
    ocsp,
    slots::Handshakes,
    trust::NotTrusted,
};
use crate::disconnect::FAREWELL;

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no complete TLS handshake within {ms} ms", ms = .0.as_millis())]
    Timeout(Duration),
    #[error("TLS handshake given up: too many others wait for their clients too")]
    PushedOut,
    #[error("connection ended within the TLS handshake: {0}")]
    Network(io::ErrorKind),
    #[error("TLS handshake failed: {0}")]
    Protocol(rustls::Error),
    #[error("{0}")]
    NotTrusted(NotTrusted),
    #[error("the client shows no certificate")]
    NoCertificate,
    #[error("{0}")]
    Unreadable(Unreadable),
    #[error("{0}")]
    Identity(NoIdentity),
    #[error("{0}")]
    Ocsp(ocsp::NotGood),
}

impl Refused {
    /// The label of the counter.
    fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::PushedOut => "pushed_out",
            Self::Network(_) => "network",
            Self::Protocol(error) => match error {
                rustls::Error::InvalidCertificate(rustls::CertificateError::Revoked) => "revoked",
                rustls::Error::InvalidCertificate(_) => "not_trusted",
                rustls::Error::NoCertificatesPresented => "no_certificate",
                _ => "protocol",
            },
            Self::NotTrusted(error) => error.label(),
            Self::NoCertificate => "no_certificate",
            Self::Unreadable(_) => "unreadable",
            Self::Identity(_) => "no_identity",
            Self::Ocsp(error) => error.label(),
        }
    }
}

/// What became known of a client.
pub(crate) struct Secured {
    /// As plugins see it.
    pub(crate) session: TlsSession,
    /// The name that its certificate gives it.
    pub(crate) identity: Option<String>,
    /// How it is told to go; `None` = it showed no certificate.
    pub(crate) peer: Option<Arc<Peer>>,
}

/// Makes an encrypted connection of a socket, within `timeout`.
pub(crate) async fn shake(
    (tls, handshakes, metrics, counted): (&Arc<Tls>, &Handshakes, &Metrics, &ListenerMetrics),
    socket: Opened,
    (connection_id, timeout): (u64, Duration),
) -> Result<(Encrypted, Secured), Refused> {
    let accepted = Instant::now();
    let begun = async {
        let stream = negotiate(tls, handshakes, socket).await?;
        judge(tls, stream, connection_id).await
    };
    let result = tokio::time::timeout(timeout, begun).await;
    let result = result.unwrap_or(Err(Refused::Timeout(timeout)));
    let label = match &result {
        Ok((_, _, HandshakeKind::Resumed)) => "resumed",
        Ok(_) => "full",
        Err(refused) => refused.label(),
    };
    metrics.tls_handshakes.inc(label);
    counted.handshakes().inc(label);
    let kind = if result.is_ok() { label } else { "failed" };
    let seconds = metrics.tls_handshake_seconds.get_or_create(&[("kind", kind)]);
    seconds.observe(accepted.elapsed().as_secs_f64());
    drop(seconds);
    if let Ok((encrypted, secured, _)) = &result {
        let cipher = encrypted.cipher_suite();
        let labels = [("version", secured.session.version), ("cipher", cipher), ("kind", kind)];
        metrics.tls_connections.get_or_create(&labels).inc();
    }
    result.map(|(encrypted, secured, _)| (encrypted, secured))
}

async fn negotiate(
    tls: &Tls,
    handshakes: &Handshakes,
    socket: Opened,
) -> Result<TlsStream<Opened>, Refused> {
    let place = handshakes.wait();
    let start = tokio::select! {
        start = LazyConfigAcceptor::new(Acceptor::default(), socket) => start,
        () = place.lost() => return Err(Refused::PushedOut),
    };
    let start = start.map_err(|error| failed(&error))?;
    drop(place);
    let slot = handshakes.slot().await;
    // What counts now, not when the client began to speak.
    let server = Arc::clone(&tls.current().server);
    let mut accept = Box::pin(start.into_stream(server).into_fallible());
    // Everything that can be computed now is: then the client has to answer, and the slot is another's.
    let first = poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await;
    drop(slot);
    let done = match first {
        Poll::Ready(done) => done,
        Poll::Pending => {
            let place = handshakes.wait();
            tokio::select! {
                done = accept => done,
                () = place.lost() => return Err(Refused::PushedOut),
            }
        }
    };
    match done {
        Ok(stream) => Ok(stream),
        Err((error, socket)) => {
            leave(socket).await;
            Err(failed(&error))
        }
    }
}

/// Lets the alert arrive: closing with input unread would make the system send a reset, which can overtake it.
async fn leave(mut socket: Opened) {
    let mut unread = [0; 1024];
    let left = async {
        socket.shutdown().await?;
        while socket.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    if !matches!(tokio::time::timeout(FAREWELL, left).await, Ok(Ok(()))) {
        tracing::trace!("alert not taken");
    }
}

fn failed(error: &io::Error) -> Refused {
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(error) => Refused::Protocol(error.clone()),
        None => Refused::Network(error.kind()),
    }
}

type Judged = (Encrypted, Secured, HandshakeKind);

/// Who it is that came, by what counts at this moment.
async fn judge(
    tls: &Arc<Tls>,
    stream: TlsStream<Opened>,
    connection_id: u64,
) -> Result<Judged, Refused> {
    let (_, connection) = stream.get_ref();
    let kind = connection.handshake_kind().unwrap_or(HandshakeKind::Full);
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let server_name = connection.server_name().map(str::to_owned);
    let chain = connection.peer_certificates().unwrap_or_default();
    let chain: Vec<_> = chain.iter().map(|der| der.clone().into_owned()).collect();
    let loaded = tls.current();
    if chain.is_empty() {
        if loaded.config.client_auth == ClientAuth::Required {
            return Err(Refused::NoCertificate);
        }
        let session = TlsSession { version, server_name, certificate: None };
        let secured = Secured { session, identity: None, peer: None };
        return Ok((Encrypted::new(stream, None), secured, kind));
    }
    let described = certificate::describe(&chain).map_err(Refused::Unreadable)?;
    let identity = loaded.config.identity.of(&described).map_err(Refused::Identity)?;
    let peer = believe(&loaded, chain.clone(), connection_id)?;
    // From here on a reload finds it; one that came between is asked as well.
    let guard = tls.live.enter(&peer);
    let now_current = tls.current();
    if !Arc::ptr_eq(&loaded, &now_current) {
        believe(&now_current, chain, connection_id)?;
    }
    tls.ask_responder(&peer).await.map_err(Refused::Ocsp)?;
    let certificate = Some(Arc::new(described));
    let session = TlsSession { version, server_name, certificate };
    let secured = Secured { session, identity, peer: Some(peer) };
    Ok((Encrypted::new(stream, Some(guard)), secured, kind))
}

fn believe(
    loaded: &Loaded,
    chain: Vec<CertificateDer<'static>>,
    connection_id: u64,
) -> Result<Arc<Peer>, Refused> {
    let Some(trust) = &loaded.trust else { return Err(Refused::NoCertificate) };
    let proven = trust.judge(&chain, UnixTime::now()).map_err(Refused::NotTrusted)?;
    Ok(Arc::new(Peer::new(connection_id, chain, proven)))
}
