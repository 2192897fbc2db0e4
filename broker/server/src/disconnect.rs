//! The end of a connection: DISCONNECT from the client, DISCONNECT to the client, and what the session does then.

use std::{
    io,
    time::{Duration, Instant},
};

use codec::{Disconnect, Packet, PacketType, ProtocolVersion, ReasonCode};
use telemetry::events::{Disconnected, ProtocolViolation};
use tokio::io::AsyncWriteExt;

use crate::{close::Close, connection::Connection, will};

/// How long the last bytes may take.
const FAREWELL: Duration = Duration::from_secs(1);

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

    /// The interval may change at the end, but not from zero [MQTT-3.1.2-11.2, section 3.14.2.2.2].
    fn change_session_expiry(&self, seconds: u32) -> Result<(), Close> {
        let live = self.core.live.load();
        let mut state = self.handle.state.lock();
        if state.facts.session_expiry_interval == 0 && seconds > 0 {
            return Err(Close::Protocol(
                ReasonCode::ProtocolError,
                "Session Expiry Interval in DISCONNECT after 0 in CONNECT",
            ));
        }
        let granted = self.authenticated.identity().session_expiry_seconds_max;
        let most = live.limits.sizes.session_expiry_max.min(granted.unwrap_or(u32::MAX));
        state.facts.session_expiry_interval = seconds.min(most);
        state.session.set_persistent(seconds > 0);
        Ok(())
    }
}

/// Ends a connection that came through [`crate::connect`].
pub(crate) async fn finish(mut connection: Box<Connection>, close: Close) {
    release(&connection, &close);
    report(&connection, &close);
    let farewell = say_goodbye(&mut connection, &close);
    // The client may be gone or deaf; nobody waits for it longer than this.
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::trace!(client_id = %connection.handle.client_id, "farewell not taken");
    }
}

/// Gives the session back: Will Message, expiry, or its end.
fn release(connection: &Connection, close: &Close) {
    let (core, handle) = (&connection.core, &connection.handle);
    let now = Instant::now();
    let mut state = handle.state.lock();
    let ours = state
        .connection
        .as_ref()
        .is_some_and(|slot| slot.connection_id == connection.connection_id);
    if !ours {
        // Taken over: the session and its Will Message are in other hands.
        return;
    }
    state.connection = None;
    state.session.detach();
    state.facts.since_unix = core.now_unix();
    let will = state.will.take().filter(|_| close.sends_will());
    let permissions = state.permissions.clone();
    let expiry = Duration::from_secs(state.facts.session_expiry_interval.into());
    if expiry.is_zero() {
        state.ended = true;
        drop(state);
        core.end_session(handle);
        if let Some(will) = will {
            will::publish(core, &will, &permissions, handle.id);
        }
        return;
    }
    state.expires = now.checked_add(expiry);
    let expires = state.expires;
    let mut due_now = None;
    let mut will_due = None;
    match will {
        Some(will) if will.delay.is_zero() => due_now = Some(will),
        Some(will) => {
            // The earlier of delay and session end [MQTT-3.1.3-9].
            will_due = now.checked_add(will.delay.min(expiry));
            state.will_due = will_due;
            state.will = Some(will);
        }
        None => {}
    }
    drop(state);
    if let Some(will) = due_now {
        will::publish(core, &will, &permissions, handle.id);
    }
    if let Some(at) = will_due.into_iter().chain(expires).min() {
        core.timers.arm(at, handle);
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
    Disconnected { client_id, remote, reason, by_client }.emit(metrics);
}

async fn say_goodbye(connection: &mut Connection, close: &Close) -> io::Result<()> {
    if let (Some(code), ProtocolVersion::V5) = (close.disconnect_code(), connection.version) {
        let disconnect = Disconnect {
            reason_code: code,
            session_expiry_interval: None,
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        };
        Packet::Disconnect(disconnect).encode(connection.version, &mut connection.output);
    }
    let rest = connection.unwritten();
    connection.stream.write_all(&rest).await?;
    connection.stream.shutdown().await
}
