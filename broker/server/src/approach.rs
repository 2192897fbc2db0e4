//! What comes before CONNECT where a listener wants it: the PROXY header of a load balancer, the TLS handshake, then the
//! request that turns HTTP into WebSocket.
//!
//! Called from `connect.rs` on listeners that are not plain; after it, the arrival is as if a client had connected
//! directly and sent packets from the first byte on.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use limits::Refusal;
use tokio::{sync::watch, time::Sleep};

use crate::{
    Transport,
    connect::Arrival,
    listener::Place,
    proxy_protocol,
    stream::Stream,
    tls::handshake,
    websocket::upgrade::{self, Rules},
};

/// Why a connection did not get as far as CONNECT.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no complete {0} within {ms} ms", ms = .1.as_millis())]
    Timeout(&'static str, Duration),
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("{0}")]
    Proxy(proxy_protocol::Refused),
    #[error("{0}")]
    Limit(Refusal),
    #[error("{0}")]
    Tls(handshake::Refused),
    #[error("WebSocket handshake refused: {0}")]
    Upgrade(upgrade::Refused),
}

/// Does what has to be done before packets come. Afterwards `remote` is the client's address, and the one that `place` is
/// counted for.
pub(crate) async fn approach(
    mut arrival: Arrival,
    place: &mut Place,
) -> (Arrival, Result<(), Refused>) {
    let come = come_nearer(&mut arrival, place).await;
    if come.is_ok() && matches!(arrival.listener.transport, Transport::WebSocket { .. }) {
        let most = arrival.core.live.load().limits.sizes.packet_bytes_before_connect;
        let early = std::mem::take(&mut arrival.early);
        arrival = Arrival { stream: arrival.stream.into_websocket(early, most), ..arrival };
    }
    (arrival, come)
}

async fn come_nearer(arrival: &mut Arrival, place: &mut Place) -> Result<(), Refused> {
    announce(arrival, place).await?;
    if arrival.listener.tls.is_some() {
        encrypt(arrival).await?;
    }
    let Arrival { core, listener, stream, early, timer, timeout, .. } = arrival;
    let mut clock = Clock { timer, timeout: *timeout, shutdown: core.shutdown.subscribe() };
    if let Transport::WebSocket { path, origins, .. } = &listener.transport {
        let rules = Rules { path, origins: origins.as_deref() };
        let request = upgrade::negotiate(stream, early, rules);
        clock.bound("WebSocket handshake", request).await?.map_err(Refused::Upgrade)?;
    }
    Ok(())
}

/// Who a load balancer speaks for.
async fn announce(arrival: &mut Arrival, place: &mut Place) -> Result<(), Refused> {
    let Arrival { core, listener, stream, early, remote, timer, timeout, .. } = arrival;
    let mut clock = Clock { timer, timeout: *timeout, shutdown: core.shutdown.subscribe() };
    if listener.proxy_protocol.is_some() {
        let header = proxy_protocol::read(stream, early);
        let source = clock.bound("PROXY header", header).await?.map_err(Refused::Proxy)?;
        *remote = source.unwrap_or(*remote);
        place.settle(remote.ip()).map_err(Refused::Limit)?;
    }
    Ok(())
}

/// The TLS handshake, which has a time of its own; that for CONNECT begins behind it.
async fn encrypt(arrival: &mut Arrival) -> Result<(), Refused> {
    let core = Arc::clone(&arrival.core);
    let timeout = core.live.load().limits.handshake.timeout;
    let early = std::mem::take(&mut arrival.early);
    let socket = arrival.stream.take_socket(early);
    let (Some(tls), Some(socket)) = (&arrival.listener.tls, socket) else {
        return Err(Refused::ShuttingDown);
    };
    let counted = &arrival.listener.counted;
    let parts = (tls, &core.handshakes, &*core.metrics, &**counted);
    let handshake = handshake::shake(parts, socket, (arrival.connection_id, timeout));
    let mut shutdown = core.shutdown.subscribe();
    let done = tokio::select! {
        done = handshake => done,
        _ = shutdown.wait_for(|down| *down) => return Err(Refused::ShuttingDown),
    };
    let (encrypted, secured) = done.map_err(Refused::Tls)?;
    arrival.stream = Stream::Tls(Box::new(encrypted));
    arrival.secured = Some(Box::new(secured));
    arrival.timer.as_mut().reset(tokio::time::Instant::now() + arrival.timeout);
    Ok(())
}

/// What bounds every wait before CONNECT.
struct Clock<'a> {
    /// Runs to the end of `timeout` and goes on to bound CONNECT itself.
    timer: &'a mut Pin<Box<Sleep>>,
    timeout: Duration,
    shutdown: watch::Receiver<bool>,
}

impl Clock<'_> {
    async fn bound<T>(
        &mut self,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        tokio::select! {
            done = work => Ok(done),
            () = self.timer.as_mut() => Err(Refused::Timeout(what, self.timeout)),
            _ = self.shutdown.wait_for(|down| *down) => Err(Refused::ShuttingDown),
        }
    }
}
