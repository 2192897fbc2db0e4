//! The end of a connection: DISCONNECT from the client, DISCONNECT to the client, and what the session does then.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Authenticated, Event, EventKinds};
use codec::{Disconnect, Packet, PacketType, ProtocolVersion, ReasonCode};
use session::WillMessage;
use telemetry::events::{Disconnected, ProtocolViolation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    broker::Core, close::Close, connection::Connection, inherit::Ended, sessions::SessionHandle,
    stream::Stream, will,
};

/// How long the last bytes may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

impl Connection {
    /// DISCONNECT from the client.
    pub(crate) fn handle_disconnect(&mut self, disconnect: &Disconnect) -> Result<(), Close> {
        self.counts.packet(PacketType::Disconnect);
        if let Some(seconds) = disconnect.session_expiry_interval {
            self.change_session_expiry(seconds)?;
        }
        Err(match disconnect.reason_code {
            ReasonCode::Success => Close::ByClient,
            code => Close::ByClientWithWill(code),
        })
    }

    /// The interval may change at the end, but not from the zero of CONNECT (section 3.14.2.2.2).
    fn change_session_expiry(&self, seconds: u32) -> Result<(), Close> {
        let live = self.core.live.load();
        let mut state = self.own()?;
        if state.facts.session_expiry_requested == 0 && seconds > 0 {
            return Err(Close::Protocol(
                ReasonCode::ProtocolError,
                "Session Expiry Interval in DISCONNECT after 0 in CONNECT",
            ));
        }
        let granted = self.authenticated.identity().session_expiry_seconds_max;
        let most = live.limits.sizes.session_expiry_max.min(granted.unwrap_or(u32::MAX));
        let mut seconds = seconds.min(most);
        if self.core.store.is_some() && self.handle.key.is_none() {
            // It began as one that ends with its connection: the store knows nothing of it.
            seconds = 0;
        }
        state.facts.session_expiry_interval = seconds;
        state.session.set_persistent(seconds > 0);
        Ok(())
    }
}

/// Ends a connection that came through [`crate::connect`].
pub(crate) async fn finish(mut connection: Box<Connection>, close: Close) {
    connection.refresh.stop();
    if let Some((will, ended)) = release(&connection, &close) {
        match will {
            Some(will) => {
                let session = (Arc::clone(&connection.core), Arc::clone(&connection.handle));
                let is_current = connection.may_read(Instant::now());
                let client = (Arc::clone(&connection.authenticated), is_current);
                Box::pin(send_will(session, client, will, ended)).await;
            }
            None => will::settle(&connection.core, &connection.handle, ended),
        }
    }
    report(&connection, &close);
    connection.core.gate.tell(EventKinds::DISCONNECTED, || {
        let (code, by_client) = close.told();
        Event::Disconnected(connection.who(), code, by_client)
    });
    let is_there = !matches!(close, Close::Network(_) | Close::WriteTimeout);
    if is_there && connection.held.next().is_some() {
        Box::pin(connection.await_held()).await;
    }
    let last_words = last_words(&mut connection, &close);
    if !last_words.is_empty() || is_there && connection.stream.has_goodbye() {
        // Boxed: most clients are gone by now, and what it reads into is large.
        Box::pin(farewell(&mut connection.stream, &last_words)).await;
    }
    connection.counts.flush();
}

/// Gives the session back: expiry, or its end. Returns the Will Message that is due now, and the session if it is over.
/// `None` = it was taken over: the session and its Will Message are in other hands.
fn release(
    connection: &Connection,
    close: &Close,
) -> Option<(Option<Box<WillMessage>>, Option<Ended>)> {
    let (core, handle) = (&connection.core, &connection.handle);
    let mut state = handle.own(connection.connection_id)?;
    state.connection = None;
    handle.set_connected(false);
    state.session.detach();
    state.settle(core.store(), handle.key);
    let will = state.will.take().filter(|_| close.sends_will());
    let expiry = Duration::from_secs(state.facts.session_expiry_interval.into());
    // Without room for what follows from its end, that is left to the timers, which wait for it.
    let waits = handle.stored.is_some() && !core.takes();
    if expiry.is_zero() && !waits {
        state.ended = true;
        drop(state);
        return Some((will, Some(core.end_session(handle))));
    }
    let now = Instant::now();
    state.facts.since_unix = core.now_unix();
    state.expires = now.checked_add(expiry);
    let (delayed, due_now) = match will {
        Some(will) if will.delay.is_zero() && !waits => (None, Some(will)),
        will => (will, None),
    };
    // The earlier of delay and session end [MQTT-3.1.2-8].
    state.will_due = delayed.as_ref().and_then(|will| now.checked_add(will.delay.min(expiry)));
    state.will = delayed;
    let next = state.will_due.into_iter().chain(state.expires).min();
    drop(state);
    if let Some(at) = next {
        core.timers.arm(at, handle);
    }
    Some((due_now, None))
}

/// Sends the Will Message: at once when the permissions at hand are current, else as soon as they are known.
async fn send_will(
    (core, handle): (Arc<Core>, Arc<SessionHandle>),
    (authenticated, is_current): (Arc<Authenticated>, bool),
    will: Box<WillMessage>,
    ended: Option<Ended>,
) {
    if is_current {
        will::publish(&core, &will, &authenticated, &handle).await;
        will::settle(&core, &handle, ended);
    } else {
        will::ask_and_publish(&core, &handle, authenticated, will, ended);
    }
}

fn report(connection: &Connection, close: &Close) {
    let (client_id, remote) = (&*connection.handle.client_id, connection.remote());
    let metrics = &connection.core.metrics;
    if let Some(error) = close.violation() {
        ProtocolViolation { client_id: Some(client_id), remote, error }.emit(metrics);
    }
    if let Some(error) = close.network_error() {
        tracing::debug!(client_id = %telemetry::Escaped(client_id), %error, "network ended");
    }
    let (reason, by_client) = (close.name(), close.by_client());
    let connected = connection.begun.elapsed();
    if let Some(listener) = connection.counts.listener() {
        listener.connected_seconds.observe(connected.as_secs_f64());
        listener.closed.inc(reason);
    }
    Disconnected {
        client: connection.shown(),
        reason,
        by_client,
        bytes_received: connection.counts.all_received(),
        bytes_sent: connection.counts.all_sent(),
        connected,
    }
    .emit(metrics);
}

/// What is still to be written: acknowledgements that were given, and DISCONNECT for a 5.0 client.
fn last_words(connection: &mut Connection, close: &Close) -> Vec<u8> {
    if matches!(close, Close::Network(_) | Close::WebSocket(_) | Close::WriteTimeout) {
        return Vec::new();
    }
    if connection.is_greeting {
        // No DISCONNECT before CONNACK [MQTT-3.14.0-1].
        return Vec::new();
    }
    let mut output = connection.unwritten();
    if let (Some(code), ProtocolVersion::V5) = (close.disconnect_code(), connection.version) {
        let before = output.len();
        Packet::Disconnect(Disconnect::new(code)).encode(connection.version, &mut output);
        let new = output.get(before..).unwrap_or_default();
        connection.counts.sent(new, connection.version);
        connection.trace_sent(new);
    }
    connection.counts.bytes_sent += output.len() as u64;
    output
}

/// Writes the last bytes of a connection so that they arrive: closing a socket while input lies unread would make the
/// system send a reset, which can overtake them. The client may be gone or deaf; nobody waits for it longer than
/// [`FAREWELL`].
pub(crate) async fn farewell(stream: &mut Stream, last_words: &[u8]) {
    let mut unread = [0; 1024];
    let said = async {
        stream.write_all(last_words).await?;
        stream.shutdown().await?;
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    if !matches!(tokio::time::timeout(FAREWELL, said).await, Ok(Ok(()))) {
        tracing::trace!("farewell not taken");
    }
}
